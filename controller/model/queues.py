"""What a switch port's queues shall be: who is guaranteed how much of the port, and how the rest is lent.

    the port's rate
     ├ an owner whose frames are not divided    a leaf: `leaf_queue(id)`, whose frames it holds
     ├ an owner whose frames are                inner: `inner_queue(id)`, no frames of its own
     │   ├ ... its parts, leaves or inner again
     │   └ the rest of it                       a leaf: `leaf_queue(id)` of the same owner
     └ everybody else                           BEST_EFFORT

What a queue does not use is lent to those under the same inner queue first.  Knows nothing of how a switch makes it so
(OVSDB rows, tc classes), nor why anybody gets what it gets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from immutables import Map

from controller.model.bandwidth import TrafficClass

BEST_EFFORT = 0
"""The number of the queue of whoever has none of its own."""
MAX_QUEUE_ID = 30_000
"""So that all numbers are what OVSDB (below 61,440) and tc (16 bits, the highest taken) can tell apart."""


def leaf_queue(queue_id: int) -> int:
    """The number of the queue that holds an owner's own frames."""
    return 2 * queue_id


def inner_queue(queue_id: int) -> int:
    """The number of the queue above all that an owner's frames are divided into."""
    return 2 * queue_id + 1


def queue_id_of(number: int) -> tuple[int, bool]:
    """Whose queue has this number, and whether it is the inner one."""
    return number >> 1, bool(number & 1)


EXPLICIT = 0x780
"""In place of an edge's id: frames under the label of any explicit path, which does not say where it leads."""


class OfSlice(NamedTuple):
    """Labelled frames of one network."""

    slice: int


class OfSource(NamedTuple):
    """Labelled frames of a slice from one MAC.  On an access port, where the label is gone, `slice` is 0: all from it.
    """

    slice: int
    source_mac: int
    second: bool = False
    """destinations are asked first"""


class OfDestination(NamedTuple):
    """Labelled frames toward one port: its key, on the edge that the label names."""

    edge_id: int
    key24: int


class OfPair(NamedTuple):
    """Frames of a pipe, from one MAC toward one port.  On an access port, where the label is gone, `key24` is 0."""

    source_mac: int
    key24: int
    edge_id: int
    """of an access port 0"""


Whose = OfPair | OfSource | OfDestination | OfSlice
"""Asked in this order: pairs, sources, destinations, sources that are `second`, slices; the first that fits has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One share of a port.  `number` is stable for the same owner and port: a restart finds it again."""

    number: int
    """even: `leaf_queue` of its owner; odd: `inner_queue`; BEST_EFFORT: the rest"""
    whose: tuple[Whose, ...]
    """(): everybody else's, or inner; of a pipe inside the fabric both ways, for some links lie on both"""
    guarantee_kbps: int
    ceiling_kbps: int
    """at most; never above the port's rate"""
    weight: int = 1
    """share of what is lent, relative to the others of its class with the same parent"""
    traffic_class: TrafficClass = TrafficClass.STANDARD
    """of a leaf: who is lent to first"""
    parent: int = 0
    """the number of the inner queue that it is a part of; 0: of the port's rate itself"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortQueues:
    """All queues of one switch port.  What has the same parent is guaranteed at most what the parent is; exactly one is
    BEST_EFFORT, and that is a part of the port's rate itself.
    """

    rate_kbps: int
    queues: tuple[Queue, ...]
    """by number, ascending"""
    is_ceiling: bool = False
    """the rate is the ceiling of the port that this access port is for, so nothing else has to hold it"""

    @property
    def leaves(self) -> tuple[Queue, ...]:
        """Those that hold frames."""
        inner = {queue.parent for queue in self.queues}
        return tuple(queue for queue in self.queues if queue.number == BEST_EFFORT or queue.number not in inner)

    @property
    def is_inside(self) -> bool:
        """Of a port inside the fabric, where frames have labels; on an access port all are one tenant's."""
        return any(_is_labelled(whose) for queue in self.queues for whose in queue.whose)

    @property
    def families(self) -> tuple[tuple[Queue, ...], ...]:
        """The leaves, those together that are parts of one owner; on an access port all."""
        if not self.is_inside:
            return (self.leaves,)
        parents = {queue.number: queue.parent for queue in self.queues}
        found: dict[int, list[Queue]] = {}
        for leaf in self.leaves:
            number = leaf.number
            while parents[number]:
                number = parents[number]
            found.setdefault(number, []).append(leaf)
        return tuple(map(tuple, found.values()))


def _is_labelled(whose: Whose) -> bool:
    match whose:
        case OfSource(slice_):
            return slice_ > 0
        case OfPair(_, key24):
            return key24 > 0
        case _:
            return True


class QueueCount(NamedTuple):
    """What went through a queue since it is there."""

    bytes: int
    packets: int
    dropped_packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PortGrant:
    """What of its network's grant on one switch port is one port's own."""

    guarantee_kbps: int
    weight: int
    traffic_class: TrafficClass
    sends: bool
    """of frames from it"""
    receives: bool
    """of frames to it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkGrant:
    """What of its tenant's grant on one switch port is one network's own."""

    guarantee_kbps: int
    weight: int
    traffic_class: TrafficClass
    by_source: bool = True
    """a frame counts as its sender's before it counts as its receiver's; else the other way round"""
    ports: Map[str, PortGrant] = Map()
    """those with a part of their own; what is left is for the others"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one owner (a tenant or a pipe) is guaranteed on one switch port, after schedule and failures."""

    guarantee_kbps: int
    ceiling_kbps: int = 0
    """0: none but the port's rate"""
    weight: int = 1
    traffic_class: TrafficClass = TrafficClass.STANDARD
    networks: Map[str, NetworkGrant] = Map()
    """of a tenant, those with a part of their own; the others share what is left"""
