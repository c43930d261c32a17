"""The classes, leaves and filters that are a port's queues.  Pure.

    5011:            HTB; what no filter chooses goes to the rest
     └ 5011:ffff     the port's rate
        ├ 5011:<n>   one class for each queue, by its number: rate = guarantee, ceil = ceiling; below its parent's
        ├ 5011:fffe  the rest: BEST_EFFORT
        ├ 5011:fffd  control: probes and BFD between switches, which no flood may silence
        └ 5011:fffc  for a moment, in place of classes that are made anew

    filters of priority
        1  pairs           source MAC, edge and key, in buckets by the key's (on access ports the MAC's) low byte
        2  sources         the slice in the label and the source MAC, in buckets by the MAC's low byte
        3  destinations    edge and key, in buckets by the key's low byte
        4  sources that are asked second
        5  slices          in buckets by the slice's low byte

However many classes: a frame meets the few filters of one bucket of each table.  Leaves are short: all ports of a
userspace datapath send through one socket that holds some 90 full frames, and one port's long queue starves the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from controller.fabric.labels import NUMBER_BITS
from controller.model.bandwidth import TrafficClass
from controller.model.queues import (
    BEST_EFFORT,
    EXPLICIT,
    OfDestination,
    OfPair,
    OfSlice,
    OfSource,
    PortQueues,
    Queue,
    Whose,
)
from controller.southbound.queues.messages import HANDLE, ROOT_PARENT, Class, Filter, Key

TOP, REST, CONTROL, STAND_IN = 0xFFFF, 0xFFFE, 0xFFFD, 0xFFFC
"""Minors.  Queues have theirs by number, from 2 to 60,001."""
FRAME_BYTES = 1_514
MAX_QUANTUM_FRAMES = 60
"""What weights can tell apart: one class's turn is at most so many times another's."""
BURST_BYTES = 5_000
BURST_US = 400
"""A class may send so much at once, the longer of both.  It waits on the wire, where no class goes before another: who
sends little and is in time in every queue waits there for all who sent a burst.  Three frames are enough for the
kernel's timers to keep the rate.
"""
CONTROL_KBPS = 256
MIN_LEAF_FRAMES = 8
MIN_PART_FRAMES = 4
"""of a leaf that is a part of an owner's: however many these are, they are to leave others room"""
MAX_LEAF_FRAMES = 1_000
LEAF_MS = 20
"""No queue is longer, at the port's rate."""
_TICK_NS = 64
_PRIORITIES = {TrafficClass.CRITICAL: 0, TrafficClass.STANDARD: 1, TrafficClass.BULK: 2}
_LABEL_AT, _KEY_AT, _MAC_HIGH_AT, _MAC_LOW_AT = -14, -12, -8, -4
"""The label after a byte; its low byte and the key; the source's MAC, 4 and 2 bytes.  From the network header, 14 bytes
in."""


class Table(NamedTuple):
    """A hash table of filters, the bits of a frame that choose the bucket, and how many zeros follow these."""

    number: int
    priority: int
    at: int
    mask: int
    shift: int

    def bucket(self, keys: Sequence[Key]) -> int:
        return next((key.value & self.mask) >> self.shift for key in keys if key.at == self.at)


PAIRS = Table(1, 1, _KEY_AT, 0x000000FF, 0)
SENDERS = Table(2, 1, _MAC_LOW_AT, 0x00FF0000, 16)
SOURCES = Table(3, 2, _MAC_LOW_AT, 0x00FF0000, 16)
DESTINATIONS = Table(4, 3, _KEY_AT, 0x000000FF, 0)
SECOND_SOURCES = Table(5, 4, _MAC_LOW_AT, 0x00FF0000, 16)
SLICES = Table(6, 5, _KEY_AT, 0x0003FC00, 10)
TABLES = (PAIRS, SENDERS, SOURCES, DESTINATIONS, SECOND_SOURCES, SLICES)


class Entry(NamedTuple):
    """What a filter looks for: the same keys in the same table lead to one class at most."""

    table: Table
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What a device is to have."""

    classes: Mapping[int, Class]
    """by minor, TOP first"""
    limits: Mapping[int, int]
    """frames in the leaf of each class that has none below it"""
    entries: Mapping[Entry, int]
    """the minor each leads to"""


def shared_limit(frames: int, n_families: int) -> int:
    """What each of so many families may hold if they share a socket for so many frames, with some to spare."""
    return max(MIN_LEAF_FRAMES, frames * 7 // 8 // max(1, n_families))


def leaf_limit(rate_kbps: int) -> int:
    """What a leaf of a port may hold that shares with nobody: some milliseconds' worth."""
    return min(MAX_LEAF_FRAMES, max(MIN_LEAF_FRAMES, rate_kbps * LEAF_MS // (8 * FRAME_BYTES)))


def tree_of(port: PortQueues, limit: int, family_limit: int | None = None) -> Tree:
    """Args:
        limit: what a leaf may hold at most.
        family_limit: what all leaves of one owner may hold together, if that is bounded.
    """
    leaves = port.leaves
    quanta = _quanta(port.queues, leaves)
    classes = {TOP: class_of(ROOT_PARENT, port.rate_kbps, port.rate_kbps)}
    entries: dict[Entry, int] = {}
    for queue in port.queues:
        minor, rate_kbps = queue.number or REST, queue.guarantee_kbps
        if queue.number == BEST_EFFORT and port.is_inside:
            control_kbps = min(CONTROL_KBPS, rate_kbps // 4)
            rate_kbps -= control_kbps
            classes[CONTROL] = class_of(HANDLE | TOP, control_kbps, port.rate_kbps)
            entries[_entry_of(OfSlice(0))] = CONTROL  # frames between switches carry no tenant's slice
        classes[minor] = class_of(
            HANDLE | (queue.parent or TOP), rate_kbps, queue.ceiling_kbps,
            quantum=quanta.get(queue.number, FRAME_BYTES), priority=_PRIORITIES[queue.traffic_class])
        entries.update(dict.fromkeys(map(_entry_of, queue.whose), minor))
    shared = limit if family_limit is None else min(limit, family_limit)
    limits = dict.fromkeys({CONTROL} & classes.keys(), shared)
    for family in port.families:
        kbps = max(1, sum(leaf.guarantee_kbps for leaf in family))
        for leaf in family:
            part = limit if family_limit is None else family_limit * leaf.guarantee_kbps // kbps
            limits[leaf.number or REST] = min(shared, max(part, MIN_PART_FRAMES)) if len(family) > 1 else shared
    return Tree(classes=top_down(classes), limits=limits, entries=entries)


def top_down(classes: Mapping[int, Class]) -> dict[int, Class]:
    """The same, each after its parent."""
    below: dict[int, list[int]] = {}
    for minor, each in classes.items():
        below.setdefault(each.parent, []).append(minor)
    order = list(below.get(ROOT_PARENT, ()))
    for minor in order:  # grows on the way
        order += below.get(HANDLE | minor, ())
    return {minor: classes[minor] for minor in order}


def filter_of(entry: Entry, minor: int) -> Filter:
    table = entry.table
    return Filter(table.priority, table=table.number, bucket=table.bucket(entry.keys), keys=entry.keys, minor=minor)


def _entry_of(whose: Whose) -> Entry:
    match whose:
        case OfPair(source_mac, key24, edge_id):
            return Entry(PAIRS, (*_toward(edge_id, key24), *_from(source_mac))) if key24 else (
                Entry(SENDERS, _from(source_mac)))
        case OfSource(slice_, source_mac, second):
            keys = _of_slice(slice_) if slice_ else ()
            return Entry(SECOND_SOURCES if second else SOURCES, (*keys, *_from(source_mac)))
        case OfDestination(edge_id, key24):
            return Entry(DESTINATIONS, _toward(edge_id, key24))
        case OfSlice(slice_):
            return Entry(SLICES, _of_slice(slice_))


def _of_slice(slice_: int) -> tuple[Key, ...]:
    return (Key(_KEY_AT, 0x00FFFC00, slice_ << 10),)


def _from(mac: int) -> tuple[Key, ...]:
    return Key(_MAC_HIGH_AT, 0xFFFFFFFF, mac >> 16), Key(_MAC_LOW_AT, 0xFFFF0000, (mac & 0xFFFF) << 16)


def _toward(edge_id: int, key24: int) -> tuple[Key, ...]:
    """The edge's bits of the label, of those of explicit paths what all have; the key."""
    mask = 0xF000 if edge_id == EXPLICIT else 0xFFFF >> NUMBER_BITS << NUMBER_BITS
    label = edge_id << NUMBER_BITS
    return (
        Key(_LABEL_AT, (mask & 0xFF00) << 8, (label & 0xFF00) << 8),
        Key(_KEY_AT, (mask & 0xFF) << 24 | 0x00FFFFFF, (label & 0xFF) << 24 | key24))


def _quanta(queues: Sequence[Queue], leaves: Sequence[Queue]) -> dict[int, int]:
    """Bytes in one turn of each leaf: by its part of what is lent, among those of its class, a frame at least."""
    parts, least = _parts(queues), dict[TrafficClass, float]()
    for leaf in leaves:
        least[leaf.traffic_class] = min(parts[leaf.number], least.get(leaf.traffic_class, 1))
    return {
        leaf.number: min(MAX_QUANTUM_FRAMES * FRAME_BYTES, round(
            FRAME_BYTES * parts[leaf.number] / least[leaf.traffic_class]))
        for leaf in leaves}


def _parts(queues: Sequence[Queue]) -> dict[int, float]:
    """Of what is lent: by weight, among those of a class with the same parent, who divide what their parent has.

    For the kernel goes round the leaves: an owner with many would have a turn for each of them.
    """
    weights = Counter[tuple[int, TrafficClass]]()
    by_number = {queue.number: queue for queue in queues}
    for queue in queues:
        weights[queue.parent, queue.traffic_class] += max(1, queue.weight)
    parts: dict[int, float] = {}
    for queue in queues:
        part, at = 1.0, queue
        while True:
            part *= max(1, at.weight) / weights[at.parent, at.traffic_class]
            if not at.parent:
                break
            at = by_number[at.parent]
        parts[queue.number] = part
    return parts


def class_of(
    parent: int, rate_kbps: int, ceiling_kbps: int, *, quantum: int = FRAME_BYTES, priority: int = 0,
) -> Class:
    rate, ceiling = (max(1, kbps) * 125 for kbps in (rate_kbps, ceiling_kbps))
    return Class(parent, rate, max(rate, ceiling), _burst(rate), _burst(max(rate, ceiling)), quantum, priority)


def _burst(rate: int) -> int:
    size = max(BURST_BYTES, rate * BURST_US // 1_000_000)
    return size * 1_000_000_000 // (rate * _TICK_NS)
