"""Switches and links in a watch: what is, then what differs from what was told.

The fabric has no history, so each call begins with all of it.  However much changed meanwhile, the reader gets the
newest: nothing queues up for a slow one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pliant.v1 import fabric_pb2, watch_pb2

from controller.northbound.interfaces import Operator
from controller.northbound.picture import Picture

LOOK_AGAIN_S = 1.0
"""How far switches are in sync, and links drained, changes without a new fabric: so it is looked at again now and then.
"""
KINDS = frozenset({"switch", "link"})


class FabricWatch:
    """Of one watch.  `notify` may be called from any thread; everything else is the reader's."""

    def __init__(
        self, operator: Operator, kinds: frozenset[str], *, usage: bool, notify: Callable[[], None]
    ) -> None:
        self._operator = operator
        self._kinds = kinds & KINDS
        self._usage = usage and "link" in kinds
        self._told: dict[str, fabric_pb2.Switch | fabric_pb2.Link] = {}
        self._leave: list[Callable[[], None]] = []
        if self._kinds:
            self._leave.append(operator.follow(notify))
        if self._usage:
            self._leave.append(operator.follow_rates(notify))

    @property
    def look_again_s(self) -> float | None:
        """After which time to take again even if nobody notified; None is never."""
        return LOOK_AGAIN_S if self._kinds else None

    def take(self) -> Iterator[watch_pb2.WatchResponse]:
        """What to tell now."""
        if not self._kinds:
            return
        now = self._now()
        for name in sorted(self._told.keys() - now.keys(), reverse=True):
            gone = self._told.pop(name)
            yield _response(watch_pb2.EVENT_TYPE_DELETED, type(gone)(name=name))
        for name, message in now.items():
            before = self._told.get(name)
            if before != message:
                self._told[name] = message
                yield _response(watch_pb2.EVENT_TYPE_MODIFIED if before else watch_pb2.EVENT_TYPE_ADDED, message)

    def close(self) -> None:
        for leave in self._leave:
            leave()

    def _now(self) -> dict[str, fabric_pb2.Switch | fabric_pb2.Link]:
        picture = Picture(self._operator, usage=self._usage)
        now: dict[str, fabric_pb2.Switch | fabric_pb2.Link] = {}
        if "switch" in self._kinds:
            now |= {name: picture.switch(dpid) for name, dpid in sorted(picture.switches().items())}
        if "link" in self._kinds:
            now |= {name: picture.link(src) for name, src in sorted(picture.links().items())}
        return now


def _response(
    kind: watch_pb2.EventType.ValueType, message: fabric_pb2.Switch | fabric_pb2.Link
) -> watch_pb2.WatchResponse:
    if isinstance(message, fabric_pb2.Switch):
        return watch_pb2.WatchResponse(type=kind, switch=message)
    return watch_pb2.WatchResponse(type=kind, link=message)
