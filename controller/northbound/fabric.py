"""FabricService: what is observed of switches and links, and what the operator declares of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.field_mask_pb2 import FieldMask
from grpc.aio import ServicerContext
from pliant.v1 import fabric_pb2 as pb
from pliant.v1.fabric_pb2_grpc import FabricServiceServicer

from controller.fabric.graph import EndPoint, Fabric, Link, PortRole, Switch
from controller.model.bandwidth import MAX_RATE_KBPS, MIN_RATE_KBPS
from controller.model.errors import InvalidArgument, NotFound
from controller.model.ids import check_name, format_dpid, parse_dpid
from controller.northbound import masks
from controller.northbound.calls import Calls, first
from controller.northbound.convert import INTERFACE
from controller.northbound.filters import parse_filter
from controller.northbound.pages import Position, after, check_page_size
from controller.northbound.render import switch_name, timestamp

MAX_DECLARED_ROLES = 4_096
_LINK = re.compile(r"links/([0-9a-f]{1,16})-([1-9][0-9]{0,9})")


class FabricServicer(FabricServiceServicer):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._operator = calls.backend.operator

    # -- switches

    async def GetSwitch(self, request: pb.GetSwitchRequest, context: ServicerContext) -> pb.Switch:
        return self._get_switch(parse_switch(request.name))

    async def ListSwitches(self, request: pb.ListSwitchesRequest, context: ServicerContext) -> pb.ListSwitchesResponse:
        fabric = self._operator.fabric()
        dpids = {*fabric.switches, *fabric.declared_roles}
        switches, token = self._page(request, "switches", {switch_name(dpid): dpid for dpid in dpids}, self._get_switch)
        return pb.ListSwitchesResponse(switches=switches, next_page_token=token)

    async def UpdateSwitch(self, request: pb.UpdateSwitchRequest, context: ServicerContext) -> pb.Switch:
        dpid = parse_switch(request.switch.name, "switch.name")
        check_mask(request.update_mask, pb.Switch.DESCRIPTOR)
        await asyncio.wrap_future(self._operator.declare_roles(dpid, _roles(request.switch.declared_roles)))
        return self._get_switch(dpid)

    async def DeleteSwitch(self, request: pb.DeleteSwitchRequest, context: ServicerContext) -> pb.DeleteSwitchResponse:
        dpid = parse_switch(request.name)
        try:
            await asyncio.wrap_future(self._operator.forget(dpid))
        except NotFound:
            if not request.allow_missing:
                raise
        return pb.DeleteSwitchResponse()

    def _get_switch(self, dpid: int) -> pb.Switch:
        fabric = self._operator.fabric()
        switch = fabric.switches.get(dpid)
        if switch is None and dpid not in fabric.declared_roles:
            raise NotFound("NOT_FOUND", f"{switch_name(dpid)} never connected", subject=switch_name(dpid))
        message = pb.Switch(name=switch_name(dpid))
        for interface, role in fabric.declared_roles.get(dpid, {}).items():
            message.declared_roles[interface] = _role(role)
        if switch is not None:
            sync = self._operator.sync(dpid)
            message.MergeFrom(_observed(fabric, switch))
            message.in_sync = sync.in_sync
            message.confirmed_revision = sync.confirmed_generation
        return message

    # -- links

    async def GetLink(self, request: pb.GetLinkRequest, context: ServicerContext) -> pb.Link:
        return self._get_link(parse_link(request.name))

    async def ListLinks(self, request: pb.ListLinksRequest, context: ServicerContext) -> pb.ListLinksResponse:
        sources = {link_name(src): src for src in self._operator.fabric().links}
        links, token = self._page(request, "links", sources, self._get_link)
        return pb.ListLinksResponse(links=links, next_page_token=token)

    async def UpdateLink(self, request: pb.UpdateLinkRequest, context: ServicerContext) -> pb.Link:
        src = parse_link(request.link.name, "link.name")
        check_mask(request.update_mask, pb.Link.DESCRIPTOR)
        capacity_kbps = request.link.capacity_override_kbps
        if capacity_kbps and not MIN_RATE_KBPS <= capacity_kbps <= MAX_RATE_KBPS:
            what = f"is {capacity_kbps} kbit/s; use {MIN_RATE_KBPS} to {MAX_RATE_KBPS}, or 0 for none"
            field = "link.capacity_override_kbps"
            raise InvalidArgument("INVALID_RATE", f"{field} {what}", fields={field: what})
        self._get_link(src)
        await asyncio.wrap_future(self._operator.declare_capacity(src, capacity_kbps or None))
        return self._get_link(src)

    def _get_link(self, src: EndPoint) -> pb.Link:
        fabric = self._operator.fabric()
        link = fabric.links.get(src)
        if link is None:
            raise NotFound("NOT_FOUND", f"no link was seen leaving {src}", subject=link_name(src))
        return _link(fabric, link)

    # -- the rest

    async def ListDrops(self, request: pb.ListDropsRequest, context: ServicerContext) -> pb.ListDropsResponse:
        dpid = parse_switch(request.switch, "switch") if request.switch else None
        tenant = check_name(request.tenant, "tenant", "tenant") if request.tenant else None
        counts = await asyncio.wrap_future(self._operator.drops())
        return pb.ListDropsResponse(
            drops=[
                pb.DropCount(
                    switch=switch_name(count.dpid),
                    tenant=count.tenant,
                    reason=count.reason,
                    packets=count.packets,
                    bytes=count.bytes,
                )
                for count in counts
                if dpid in (None, count.dpid) and tenant in (None, count.tenant)
            ]
        )

    async def GetServerInfo(self, request: pb.GetServerInfoRequest, context: ServicerContext) -> pb.ServerInfo:
        switches = self._operator.fabric().switches
        connected = [dpid for dpid, switch in switches.items() if switch.connected]
        backend = self._calls.backend
        return pb.ServerInfo(
            version=backend.version,
            boot_id=backend.engine.boot_id,
            start_time=timestamp(backend.started_s),
            revision=backend.engine.snapshot().generation,
            switch_count=len(switches),
            switches_connected=len(connected),
            switches_in_sync=sum(self._operator.sync(dpid).in_sync for dpid in connected),
        )

    def _page(self, request: Any, collection: str, keys: Mapping[str, Any], get: Any) -> tuple[list[Any], str]:
        """One page of what is observed now.  There is no revision: pages may be of different moments."""
        message = pb.Switch if collection == "switches" else pb.Link
        accept = parse_filter(request.filter, message.DESCRIPTOR)
        size = check_page_size(request.page_size)
        bound = (collection, request.filter)
        names = after(sorted(keys), self._calls.pager.read(request.page_token, *bound))
        messages = first(size + 1, (get(keys[name]) for name in names), accept)
        if len(messages) <= size:
            return messages, ""
        messages.pop()
        return messages, self._calls.pager.issue(Position(0, messages[-1].name), *bound)


def link_name(src: EndPoint) -> str:
    return f"links/{format_dpid(src.dpid)}-{src.port_no}"


def parse_switch(name: str, field: str = "name") -> int:
    """'switches/{hex dpid}' -> dpid."""
    collection, slash, dpid = name.partition("/")
    if collection != "switches" or not slash:
        raise _bad_name(field, name, "switches/{datapath id in hex}")
    return parse_dpid(dpid, field)


def parse_link(name: str, field: str = "name") -> EndPoint:
    match = _LINK.fullmatch(name)
    if match is None:
        raise _bad_name(field, name, "links/{datapath id in hex}-{port number}")
    return EndPoint(parse_dpid(match[1], field), int(match[2]))


def _bad_name(field: str, name: str, pattern: str) -> InvalidArgument:
    shown = name if len(name) <= 60 else f"{name[:57]}..."
    message = f"{field} {shown!r} must look like {pattern}"
    return InvalidArgument("INVALID_NAME", message, fields={field: f"must look like {pattern}"})


def check_mask(mask: FieldMask, resource: Descriptor) -> None:
    """Each of the two resources has one field to set, so a valid mask says nothing more."""
    for path in masks.check_mask(mask, resource):
        if len(path) > 1:
            what = f"{'.'.join(path)} cannot be updated by itself"
            raise InvalidArgument("INVALID_UPDATE_MASK", what, fields={"update_mask": what})


def _roles(declared: Mapping[str, pb.PortRole.ValueType]) -> dict[str, PortRole]:
    if len(declared) > MAX_DECLARED_ROLES:
        what = f"has {len(declared)} interfaces; at most {MAX_DECLARED_ROLES} are allowed"
        raise InvalidArgument("INVALID_FIELD", f"switch.declared_roles {what}", fields={"switch.declared_roles": what})
    roles = {}
    for interface, value in declared.items():
        field = f"switch.declared_roles[{interface[:40]}]"
        if not INTERFACE.fullmatch(interface):
            what = "is not an interface name: 1 to 15 visible characters, no '/'"
            raise InvalidArgument("INVALID_FIELD", f"{field} {what}", fields={field: what})
        if value not in pb.PortRole.values() or value == pb.PORT_ROLE_UNSPECIFIED:
            what = f"{value} is not a PortRole: use AUTO, EDGE or FABRIC"
            raise InvalidArgument("INVALID_ENUM", f"{field}: {what}", fields={field: what})
        roles[interface] = PortRole(pb.PortRole.Name(value).removeprefix("PORT_ROLE_"))
    return roles


def _role(role: PortRole) -> pb.PortRole.ValueType:
    return pb.PortRole.Value(f"PORT_ROLE_{role.value}")


def _observed(fabric: Fabric, switch: Switch) -> pb.Switch:
    features = switch.features
    return pb.Switch(
        connected=switch.connected,
        manufacturer=features.manufacturer,
        software=features.software,
        table_count=features.n_tables,
        meter_count_max=features.max_meters,
        switch_ports=[
            pb.SwitchPort(
                port_number=port.port_no,
                interface=port.name,
                mac_address=port.mac,
                up=port.up,
                speed_kbps=port.speed_kbps,
                role=_role(fabric.role(EndPoint(switch.dpid, port.port_no))),
            )
            for _, port in sorted(switch.ports.items())
        ],
    )


def _link(fabric: Fabric, link: Link) -> pb.Link:
    return pb.Link(
        name=link_name(link.src),
        source=_end(fabric, link.src),
        destination=_end(fabric, link.dst),
        up=link.up,
        capacity_kbps=link.capacity_kbps,
        capacity_override_kbps=link.declared_capacity_kbps or 0,
    )


def _end(fabric: Fabric, at: EndPoint) -> pb.LinkEnd:
    port = fabric.port(at)
    return pb.LinkEnd(switch=switch_name(at.dpid), port_number=at.port_no, interface=port.name if port else "")
