"""What one direction of a pipe gets: from what its meter and its queues tell, and what is left on the links of its way.

    its own ceiling drops          that holds it back, and it has all that it may have
    its queues drop                the fullest link of its way does, or the receiver, if that has a ceiling; what gets
                                   through is what it has, and its guarantee at least
    nothing drops                  it may have what its links have left, beside what it has

Pure.  Knows no counters: how much passed and was dropped is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice, product
from math import inf
from typing import NamedTuple

from immutables import Map

from controller.fabric.ports import EndPoint
from controller.model.network import Pipe
from controller.pipeline.world import Placement
from controller.qos.sums import Way

FULL = 0.9
"""of its capacity"""
WANTS_MORE = 1.2
"""times what is offered"""
MAX_PAIRS = 64
"""of switches that are looked at for a pipe between networks: more would be a long piece of work"""


class Passed(NamedTuple):
    """A link of the way."""

    name: str
    part: float
    """of the pipe's frames that cross it"""
    capacity_kbps: float
    carried_kbps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What is known of one direction."""

    name: str
    receiver: str
    """whose ceiling may be what its queues drop for; "" if nobody's"""
    offered_kbps: float
    dropped_kbps: float
    own_dropped_kbps: float
    """by its own ceiling, of all that was dropped"""
    guarantee_kbps: float
    ceiling_kbps: float
    """inf if there is none"""
    links: Mapping[EndPoint, Passed]

    @property
    def bottleneck(self) -> str:
        """The name of it; "" if nothing holds it back."""
        if self.own_dropped_kbps:
            return self.name
        if not self.dropped_kbps:
            return ""
        fullest = max(self.links.values(), key=lambda link: link.carried_kbps / link.capacity_kbps, default=None)
        if fullest is not None and fullest.carried_kbps >= FULL * fullest.capacity_kbps:
            return fullest.name
        return self.receiver

    @property
    def _is_at_ceiling(self) -> bool:
        return self.own_dropped_kbps > 0 and self.ceiling_kbps != inf

    @property
    def demand_kbps(self) -> float:
        if self._is_at_ceiling:
            return self.ceiling_kbps
        return min(self.ceiling_kbps, WANTS_MORE * self.offered_kbps)

    @property
    def allotted_kbps(self) -> float:
        if self._is_at_ceiling:
            return self.ceiling_kbps
        has = self.offered_kbps - self.dropped_kbps
        if not self.bottleneck:
            left = [(link.capacity_kbps - link.carried_kbps) / link.part for link in self.links.values()]
            has = has + max(0.0, min(left)) if left else WANTS_MORE * self.offered_kbps
        return min(self.ceiling_kbps, max(has, self.guarantee_kbps))


def parts_of(
    placement: Placement, pipe: Pipe, way: Way, crossing: Callable[[int, int], Mapping[EndPoint, float]]
) -> Mapping[EndPoint, float]:
    """Which part of its frames crosses each link, if they are equally many between any two switches at its ends."""
    src, dst = (pipe.a, pipe.b) if way == "out" else (pipe.b, pipe.a)
    pairs = list(islice(product(_edges(placement, src), _edges(placement, dst)), MAX_PAIRS))
    parts: defaultdict[EndPoint, float] = defaultdict(float)
    for pair in pairs:
        for link, part in crossing(*pair).items():
            parts[link] += part / len(pairs)
    return parts


def _edges(placement: Placement, end: str) -> Iterable[int]:
    return (placement.at[end].dpid,) if end in placement.at else sorted(placement.presence.get(end, Map()))
