"""FabricService: what is observed of switches and links, what the operator declares of them, and the ways they make."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from grpc.aio import ServicerContext
from pliant.v1 import fabric_pb2 as pb
from pliant.v1.fabric_pb2_grpc import FabricServiceServicer

from controller.fabric.export import Format, export
from controller.model.errors import InvalidArgument, NotFound
from controller.model.ids import check_name
from controller.northbound import identify, paths
from controller.northbound.calls import Calls, first
from controller.northbound.declare import about_link, about_switch, parse_link, parse_switch
from controller.northbound.filters import parse_filter
from controller.northbound.interfaces import Operator
from controller.northbound.pages import Position, after, check_page_size
from controller.northbound.picture import Picture
from controller.northbound.render import switch_name
from controller.northbound.times import timestamp

RATES_TIMEOUT_S = 2.0


class FabricServicer(FabricServiceServicer):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._operator = calls.backend.operator

    # -- switches

    async def GetSwitch(self, request: pb.GetSwitchRequest, context: ServicerContext) -> pb.Switch:
        return Picture(self._operator).switch(parse_switch(request.name))

    async def ListSwitches(self, request: pb.ListSwitchesRequest, context: ServicerContext) -> pb.ListSwitchesResponse:
        picture = Picture(self._operator)
        switches, token = self._page(request, "switches", picture.switches(), picture.switch)
        return pb.ListSwitchesResponse(switches=switches, next_page_token=token)

    async def UpdateSwitch(self, request: pb.UpdateSwitchRequest, context: ServicerContext) -> pb.Switch:
        dpid, events = about_switch(self._operator.fabric(), request)
        drains = "drained" in request.update_mask.paths or "*" in request.update_mask.paths
        await asyncio.wrap_future(self._operator.declare(events, force=request.force or not drains))
        return Picture(self._operator).switch(dpid)

    async def DeleteSwitch(self, request: pb.DeleteSwitchRequest, context: ServicerContext) -> pb.DeleteSwitchResponse:
        dpid = parse_switch(request.name)
        try:
            await asyncio.wrap_future(self._operator.forget(dpid))
        except NotFound:
            if not request.allow_missing:
                raise
        return pb.DeleteSwitchResponse()

    # -- links

    async def GetLink(self, request: pb.GetLinkRequest, context: ServicerContext) -> pb.Link:
        return Picture(self._operator).link(parse_link(request.name))

    async def ListLinks(self, request: pb.ListLinksRequest, context: ServicerContext) -> pb.ListLinksResponse:
        if request.usage:
            await _await_rates(self._operator)
        picture = Picture(self._operator, usage=request.usage)
        links, token = self._page(request, "links", picture.links(), picture.link)
        return pb.ListLinksResponse(links=links, next_page_token=token)

    async def UpdateLink(self, request: pb.UpdateLinkRequest, context: ServicerContext) -> pb.Link:
        src, events = about_link(self._operator.fabric(), request)
        await asyncio.wrap_future(self._operator.declare(events, force=request.force))
        return Picture(self._operator).link(src)

    # -- all of it

    async def ListPaths(self, request: pb.ListPathsRequest, context: ServicerContext) -> pb.ListPathsResponse:
        operator, snapshot = self._operator, self._calls.engine.snapshot()
        src = paths.find_end(operator, snapshot, request.source, "source")
        dst = paths.find_end(operator, snapshot, request.destination, "destination")
        network = paths.find_network(snapshot, request)
        count = paths.check_count(request.alternative_count)
        loop = asyncio.get_running_loop()
        others = await loop.run_in_executor(None, operator.alternatives, src, dst, count)
        return paths.answer(operator.fabric(), src, dst, operator.ways(src, dst, network), others)

    async def GetTopology(self, request: pb.GetTopologyRequest, context: ServicerContext) -> pb.GetTopologyResponse:
        if request.format not in pb.TopologyFormat.values():
            what = f"{request.format} is not a TopologyFormat"
            raise InvalidArgument("INVALID_ENUM", f"format: {what}", fields={"format": what})
        name = pb.TopologyFormat.Name(request.format or pb.TOPOLOGY_FORMAT_NODE_LINK_JSON)
        format_ = Format(name.removeprefix("TOPOLOGY_FORMAT_"))
        loop = asyncio.get_running_loop()
        document = await loop.run_in_executor(None, export, self._operator.fabric(), format_)
        return pb.GetTopologyResponse(document=document)

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

    async def Identify(self, request: pb.IdentifyRequest, context: ServicerContext) -> pb.IdentifyResponse:
        return identify.answer(self._calls.engine.snapshot(), request)

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


async def _await_rates(operator: Operator) -> None:
    """Until something is known of what ports carry, if no one follows it already; not for long."""
    loop, known = asyncio.get_running_loop(), asyncio.Event()

    def notify() -> None:
        if operator.rates():
            loop.call_soon_threadsafe(known.set)

    leave = operator.follow_rates(notify)
    try:
        if not operator.rates():
            await asyncio.wait_for(known.wait(), RATES_TIMEOUT_S)
    except TimeoutError:
        return  # no switch is connected, or none that counts: the links then show nothing
    finally:
        leave()
