"""Requests about switches and links -> what the operator declares, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from google.protobuf.descriptor import Descriptor
from google.protobuf.field_mask_pb2 import FieldMask
from pliant.v1 import fabric_pb2 as pb

from controller.fabric.declared import MAX_COST, MAX_LATENCY_US, LinkSettings, SwitchSettings
from controller.fabric.events import Event, LinkDeclared, RoleDeclared, SwitchDeclared
from controller.fabric.graph import EndPoint, Fabric, PortRole
from controller.model.bandwidth import MAX_RATE_KBPS, MIN_RATE_KBPS
from controller.model.errors import InvalidArgument, NotFound
from controller.model.ids import check_id, parse_dpid
from controller.northbound import masks
from controller.northbound.convert import INTERFACE
from controller.northbound.picture import link_name
from controller.northbound.render import switch_name

MAX_DECLARED_ROLES = 4_096
_LINK = re.compile(r"links/([0-9a-f]{1,16})-([1-9][0-9]{0,9})")


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


def about_switch(fabric: Fabric, request: pb.UpdateSwitchRequest) -> tuple[int, list[Event]]:
    """The dpid, and what is declared of it."""
    wanted = request.switch
    dpid, fields = parse_switch(wanted.name, "switch.name"), _fields(request.update_mask, pb.Switch.DESCRIPTOR)
    events: list[Event] = []
    if "declared_roles" in fields:
        roles = _roles(wanted.declared_roles)
        before: Mapping[str, PortRole] = fabric.declared_roles.get(dpid, {})
        events += [RoleDeclared(dpid=dpid, interface=name, role=None) for name in before if name not in roles]
        events += [RoleDeclared(dpid=dpid, interface=name, role=role) for name, role in roles.items()]
    if "zone" in fields and wanted.zone:
        check_id(wanted.zone, "switch.zone")
    if "drained" in fields and wanted.drained and dpid not in fabric.switches and not request.allow_missing:
        name = switch_name(dpid)
        raise NotFound("NOT_FOUND", f"{name} never connected; allow_missing drains it ahead of that", subject=name)
    if settings := fields & {"zone", "drained"}:
        said = SwitchSettings(zone=wanted.zone, drained=wanted.drained)
        events.append(SwitchDeclared(dpid=dpid, settings=said, fields=settings))
    return dpid, events


def about_link(fabric: Fabric, request: pb.UpdateLinkRequest) -> tuple[EndPoint, list[Event]]:
    """The link's source, and what is declared of it; drained is the wire, whichever direction is named."""
    wanted = request.link
    src, fields = parse_link(wanted.name, "link.name"), _fields(request.update_mask, pb.Link.DESCRIPTOR)
    if "capacity_override_kbps" in fields:
        _check_capacity(wanted.capacity_override_kbps)
    if "cost" in fields and not 0 <= wanted.cost <= MAX_COST:
        raise _out_of_range("link.cost", wanted.cost, f"1 to {MAX_COST}, or 0 for 1")
    if "latency_us" in fields and not 0 <= wanted.latency_us <= MAX_LATENCY_US:
        raise _out_of_range("link.latency_us", wanted.latency_us, f"0 to {MAX_LATENCY_US}, or leave it unset")
    link = fabric.links.get(src)
    if link is None and src.port_no not in fabric.declared_links.get(src.dpid, {}) and not request.allow_missing:
        name = link_name(src)
        raise NotFound("NOT_FOUND", f"no link was seen leaving {src}; allow_missing says it ahead", subject=name)
    known = {"capacity_kbps" if field == "capacity_override_kbps" else field for field in fields}
    said = LinkSettings(
        capacity_kbps=(wanted.capacity_override_kbps or None) if "capacity_kbps" in known else None,
        cost=(wanted.cost or 1) if "cost" in known else 1,
        latency_us=wanted.latency_us if "latency_us" in known and wanted.HasField("latency_us") else None,
        drained=wanted.drained,
    )
    events: list[Event] = [LinkDeclared(src=src, settings=said, fields=frozenset(known))]
    if link is not None and "drained" in known:
        events.append(LinkDeclared(src=link.dst, settings=said, fields=frozenset({"drained"})))
    return src, events


def _fields(mask: FieldMask, resource: Descriptor) -> frozenset[str]:
    """The fields that the mask names: each as a whole."""
    paths = masks.check_mask(mask, resource)
    for path in paths:
        if len(path) > 1:
            what = f"{'.'.join(path)} cannot be updated by itself"
            raise InvalidArgument("INVALID_UPDATE_MASK", what, fields={"update_mask": what})
    return frozenset(path[0] for path in paths)


def _check_capacity(kbps: int) -> None:
    if kbps and not MIN_RATE_KBPS <= kbps <= MAX_RATE_KBPS:
        what = f"is {kbps} kbit/s; use {MIN_RATE_KBPS} to {MAX_RATE_KBPS}, or 0 for none"
        field = "link.capacity_override_kbps"
        raise InvalidArgument("INVALID_RATE", f"{field} {what}", fields={field: what})


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


def _bad_name(field: str, name: str, pattern: str) -> InvalidArgument:
    shown = name if len(name) <= 60 else f"{name[:57]}..."
    message = f"{field} {shown!r} must look like {pattern}"
    return InvalidArgument("INVALID_NAME", message, fields={field: f"must look like {pattern}"})


def _out_of_range(field: str, value: int, range_: str) -> InvalidArgument:
    what = f"is {value}; use {range_}"
    return InvalidArgument("INVALID_FIELD", f"{field} {what}", fields={field: what})
