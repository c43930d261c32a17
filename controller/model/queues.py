"""What a switch port's queues shall be: who is guaranteed how much of the port, and how the rest is lent.

A tree of two levels: the port's rate at the root, one queue for each owner below it, and one for everybody else.  Knows
nothing of how a switch makes it so (OVSDB rows, tc classes), nor why anybody gets what it gets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from controller.model.bandwidth import TrafficClass

BEST_EFFORT = 0
"""The number of the queue of whoever has none of its own."""


def leaf_queue(queue_id: int) -> int:
    """The number of the queue that holds an owner's own frames.  Ids up to 32,000 fit a tc minor, 16 bits."""
    return 2 * queue_id


def inner_queue(queue_id: int) -> int:
    """The number of the queue above all that an owner's frames are divided into."""
    return 2 * queue_id + 1


class OfTenant(NamedTuple):
    """Labelled frames of one tenant, on a port inside the fabric."""

    slice: int


class OfPair(NamedTuple):
    """Frames from one MAC to one port key: of a pipe.  On an access port, where the label is gone, `key24` is 0."""

    source_mac: int
    key24: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One share of a port.  `number` is stable for the same owner and port: a restart finds it again."""

    number: int
    """even: `leaf_queue` of its owner; odd: `inner_queue`; BEST_EFFORT: the rest"""
    whose: tuple[OfTenant | OfPair, ...]
    """(): everybody else; of a pipe inside the fabric both ways, for some links lie on both"""
    guarantee_kbps: int
    ceiling_kbps: int
    """at most; never above the port's rate"""
    weight: int = 1
    """share of what is lent, relative to the others of its class"""
    traffic_class: TrafficClass = TrafficClass.STANDARD


@dataclass(frozen=True, slots=True, kw_only=True)
class PortQueues:
    """All queues of one switch port.  The sum of the guarantees is at most `rate_kbps`; exactly one is BEST_EFFORT."""

    rate_kbps: int
    queues: tuple[Queue, ...]
    """by number, ascending"""


class QueueCount(NamedTuple):
    """What went through a queue since it is there."""

    bytes: int
    packets: int
    dropped_packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one owner (a tenant or a pipe) is guaranteed on one switch port, after schedule and failures."""

    guarantee_kbps: int
    ceiling_kbps: int = 0
    """0: none but the port's rate"""
    weight: int = 1
    traffic_class: TrafficClass = TrafficClass.STANDARD
