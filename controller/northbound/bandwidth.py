"""UsageService and QuoteService: what is carried, as it is looked at, and what could be guaranteed.

    look ──► notify ──► [wake] ──► what differs from what was told ──► stream

However many looks there are while a reader is slow, it is told the newest: nothing queues up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from grpc.aio import ServicerContext
from pliant.v1 import bandwidth_pb2 as pb
from pliant.v1 import watch_pb2
from pliant.v1.bandwidth_pb2_grpc import QuoteServiceServicer, UsageServiceServicer

from controller.intent.snapshot import Resource
from controller.model.bandwidth import BandwidthStatus
from controller.model.errors import InvalidArgument, NotFound
from controller.model.ids import check_name, kind_of
from controller.model.usage import Quote, Traffic, Usage
from controller.northbound.calls import NEW, Calls
from controller.northbound.pages import Position, after, check_page_size
from controller.northbound.picture import link_name
from controller.northbound.render import bandwidth_status
from controller.northbound.resources import KINDS
from controller.northbound.times import timestamp

CARRYING = ("tenant", "network", "port", "pipe", "link")
"""The kinds that have usage."""
BATCH = 1_000
"""How many a message of a stream holds at most: well within what a client takes at once."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """All that one look shows of one resource."""

    usage: Usage
    status: BandwidthStatus | None
    capacity_kbps: int

    def differs(self, told: _Seen | None) -> bool:
        """Whether there is news; that it was looked at again is none."""
        return told is None or self._timeless() != told._timeless()

    def _timeless(self) -> _Seen:
        status = replace(self.status, since_s=0.0) if self.status is not None else None
        return replace(self, usage=replace(self.usage, at_s=0.0), status=status)


class UsageServicer(UsageServiceServicer):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._bandwidth = calls.backend.bandwidth

    async def ListUsage(self, request: pb.ListUsageRequest, context: ServicerContext) -> pb.ListUsageResponse:
        kind = self._check(request)
        size = check_page_size(request.page_size)
        bound = ("usage", kind, request.parent)
        position = self._calls.pager.read(request.page_token, *bound)

        def read() -> tuple[list[pb.Usage], bool]:
            seen = self._look(kind, request.parent)
            names = after(sorted(seen), position)
            return [_message(seen[name]) for name in names[:size]], len(names) > size

        # There may be ten thousand of them: not in the event loop's thread.
        usages, more = await asyncio.get_running_loop().run_in_executor(None, read)
        token = self._calls.pager.issue(Position(0, usages[-1].name), *bound) if more else ""
        return pb.ListUsageResponse(usages=usages, next_page_token=token)

    async def WatchUsage(
        self, request: pb.WatchUsageRequest, context: ServicerContext
    ) -> AsyncIterator[pb.WatchUsageResponse]:
        kind = self._check(request)
        loop, wake = asyncio.get_running_loop(), asyncio.Event()
        told: dict[str, _Seen] = {}

        def news() -> list[pb.WatchUsageResponse]:
            seen = self._look(kind, request.parent)
            gone = sorted(told.keys() - seen.keys())
            changed = {name: each for name, each in seen.items() if each.differs(told.get(name))}
            for name in gone:
                del told[name]
            told.update(changed)
            return list(_responses([_message(changed[name]) for name in sorted(changed)], gone))

        def notify() -> None:
            loop.call_soon_threadsafe(wake.set)

        leave = self._bandwidth.follow(notify)
        try:
            # The first answer comes at once, even if it is empty: from then on the reader knows that it is heard.
            responses = await loop.run_in_executor(None, news) or [pb.WatchUsageResponse()]
            while True:
                for response in responses:
                    yield response
                await wake.wait()
                wake.clear()
                responses = await loop.run_in_executor(None, news)
        finally:
            leave()

    def _check(self, request: pb.ListUsageRequest | pb.WatchUsageRequest) -> str:
        """The kind that is asked for; the parent exists."""
        known = request.kind in watch_pb2.Kind.values()
        kind = watch_pb2.Kind.Name(request.kind).removeprefix("KIND_").lower() if known else ""
        if kind not in CARRYING:
            what = f"must be one of {', '.join(each.upper() for each in CARRYING)}"
            raise InvalidArgument("INVALID_ENUM", f"kind {what}", fields={"kind": what})
        parent = request.parent
        if not parent:
            return kind
        above = kind_of(parent, "parent")
        if kind == "link" or above not in ("tenant", "network") or (kind == "pipe" and above == "network"):
            within = {"link": "links are in none", "pipe": "pipes are in a tenant"}
            what = f"must be empty, or a tenant or network: {within.get(kind, f'{kind}s are in no {above}')}"
            raise InvalidArgument("INVALID_NAME", f"parent {what}", fields={"parent": what})
        if self._calls.engine.snapshot().get(parent) is None:
            raise NotFound("PARENT_NOT_FOUND", f"{parent} does not exist", subject=parent)
        return kind

    def _look(self, kind: str, parent: str) -> dict[str, _Seen]:
        capacities_kbps: dict[str, int] = {}
        if kind == "link":
            links = self._calls.backend.operator.fabric().links.values()
            capacities_kbps = {link_name(link.src): link.capacity_kbps for link in links}
        return {
            usage.name: _Seen(
                usage, None if kind == "link" else self._bandwidth.status(usage.name),
                capacities_kbps.get(usage.name, 0),
            )
            for usage in self._bandwidth.usage(kind, parent)
        }


class QuoteServicer(QuoteServiceServicer):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def QuoteBandwidth(
        self, request: pb.QuoteBandwidthRequest, context: ServicerContext
    ) -> pb.QuoteBandwidthResponse:
        field = request.resource.WhichOneof("kind")
        if field is None:
            raise InvalidArgument("MISSING_FIELD", "resource is empty", fields={"resource": "must hold a resource"})
        if field == "subnet":
            what = "subnets have no bandwidth"
            raise InvalidArgument("INVALID_FIELD", f"resource.subnet: {what}", fields={"resource.subnet": what})
        message, prefix = getattr(request.resource, field), f"resource.{field}"
        name = check_name(message.name, field, f"{prefix}.name")
        wanted: Resource = KINDS[field].to_model(message, name, NEW, prefix)

        def ask() -> Quote:
            return self._calls.backend.bandwidth.quote(self._calls.engine.preview(wanted))

        quote = await asyncio.get_running_loop().run_in_executor(None, ask)
        return pb.QuoteBandwidthResponse(
            fits=quote.fits,
            largest_guarantee_in_kbps=quote.largest_in_kbps,
            largest_guarantee_out_kbps=quote.largest_out_kbps,
            shortfalls=[
                pb.Shortfall(link=each.link, needed_kbps=each.needed_kbps, left_kbps=each.left_kbps)
                for each in quote.shortfalls
            ],
        )


def _responses(usages: Sequence[pb.Usage], gone: Sequence[str]) -> Iterator[pb.WatchUsageResponse]:
    """As few messages as can hold it all; none if there is nothing to say."""
    left = iter(usages)
    while batch := list(islice(left, BATCH)):
        yield pb.WatchUsageResponse(usages=batch)
    if gone:
        yield pb.WatchUsageResponse(gone=gone)


def _message(seen: _Seen) -> pb.Usage:
    usage = seen.usage
    return pb.Usage(
        name=usage.name,
        inward=None if usage.name.startswith("links/") else _traffic(usage.inward),
        outward=_traffic(usage.outward),
        observe_time=timestamp(usage.at_s) if usage.at_s else None,
        bandwidth_status=bandwidth_status(seen.status) if seen.status is not None else None,
        capacity_kbps=seen.capacity_kbps,
    )


def _traffic(traffic: Traffic) -> pb.Traffic:
    return pb.Traffic(
        bytes=traffic.bytes, packets=traffic.packets, dropped_bytes=traffic.dropped_bytes,
        dropped_packets=traffic.dropped_packets, rate_kbps=traffic.kbps,
    )
