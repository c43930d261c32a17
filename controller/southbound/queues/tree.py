"""The classes, leaves and filters that are a port's queues, and what is to be changed so that a device has them.  Pure.

    5011:            HTB; what no filter chooses goes to the rest
     └ 5011:ffff     the port's rate
        ├ 5011:<n>   one class for each queue, by its number: rate = guarantee, ceil = ceiling
        ├ 5011:fffe  the rest: BEST_EFFORT
        └ 5011:fffd  control: probes and BFD between switches, which no flood may silence

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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pyroute2.netlink import nlmsg

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
    QueueCount,
    Whose,
)
from controller.southbound.queues import messages
from controller.southbound.queues.messages import BUCKETS, HANDLE, ROOT_PARENT, Class, Filter, Key, Qdisc

TOP, REST, CONTROL = 0xFFFF, 0xFFFE, 0xFFFD
"""Minors.  Queues have theirs by number, from 1 to 31,384."""
FRAME_BYTES = 1_514
MAX_QUANTUM_FRAMES = 60
"""What weights can tell apart: one class's turn is at most so many times another's."""
BURST_BYTES = 15_000
BURST_MS = 1
"""A class may send so much at once, the longer of both: less, and the kernel's timers limit the rate."""
CONTROL_KBPS = 256
MIN_LEAF_FRAMES = 8
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
    """frames in the leaf of each class but TOP"""
    entries: Mapping[Entry, int]
    """the minor each leads to"""


@dataclass(slots=True, kw_only=True)
class Found:
    """What a device has below our qdisc."""

    classes: dict[int, Class] = field(default_factory=dict)
    counts: dict[int, QueueCount] = field(default_factory=dict)
    limits: dict[int, int] = field(default_factory=dict)
    filters: list[Filter] = field(default_factory=list)


def shared_limit(frames: int, n_leaves: int) -> int:
    """What each of so many leaves may hold if they share a socket for so many frames, with some to spare."""
    return max(MIN_LEAF_FRAMES, frames * 7 // 8 // max(1, n_leaves))


def leaf_limit(rate_kbps: int) -> int:
    """What a leaf of a port may hold that shares with nobody: some milliseconds' worth."""
    return min(MAX_LEAF_FRAMES, max(MIN_LEAF_FRAMES, rate_kbps * LEAF_MS // (8 * FRAME_BYTES)))


def tree_of(port: PortQueues, limit: int) -> Tree:
    quanta = _quanta(port.queues)
    in_fabric = any(_is_labelled(queue) for queue in port.queues)
    classes = {TOP: _class(ROOT_PARENT, port.rate_kbps, port.rate_kbps)}
    entries: dict[Entry, int] = {}
    for queue in port.queues:
        minor, rate_kbps = queue.number or REST, queue.guarantee_kbps
        if queue.number == BEST_EFFORT and in_fabric:
            control_kbps = min(CONTROL_KBPS, rate_kbps // 4)
            rate_kbps -= control_kbps
            classes[CONTROL] = _class(HANDLE | TOP, control_kbps, port.rate_kbps)
            entries[_entry_of(OfSlice(0))] = CONTROL  # frames between switches carry no tenant's slice
        priority = _PRIORITIES[queue.traffic_class]
        classes[minor] = _class(
            HANDLE | (queue.parent or TOP), rate_kbps, queue.ceiling_kbps, quantum=quanta[queue.number],
            priority=priority)
        entries.update(dict.fromkeys(map(_entry_of, queue.whose), minor))
    leaves = classes.keys() - {each.parent & 0xFFFF for each in classes.values()}
    return Tree(classes=_top_down(classes), limits=dict.fromkeys(leaves, limit), entries=entries)


def _top_down(classes: Mapping[int, Class]) -> dict[int, Class]:
    """The same, each after its parent."""
    below: dict[int, list[int]] = {}
    for minor, each in classes.items():
        below.setdefault(each.parent, []).append(minor)
    order = list(below.get(ROOT_PARENT, ()))
    for minor in order:  # grows on the way
        order += below.get(HANDLE | minor, ())
    return {minor: classes[minor] for minor in order}


def is_right(root: Qdisc) -> bool:
    """Our qdisc is as it should be; else it is made anew."""
    return root.kind == "htb" and root.number == REST


def orders(device: int, found: Found, wanted: Tree) -> list[nlmsg]:
    """What leads from one to the other, in order; nothing if nothing differs.

    Filters lead to classes that are there, and a class goes after the filters that lead to it.  Rates that go down are
    set before those that go up.
    """
    kept, gone, missing = _compare(found.filters, wanted.entries)
    out = [messages.delete_filter(device, each) for each in gone]
    out += [messages.delete_class(device, minor) for minor in found.classes if minor not in wanted.classes]
    changed = [minor for minor, each in wanted.classes.items() if not _is_same(found.classes.get(minor), each)]
    nothing = Class(0, 0, 0, 0, 0, 0, 0)
    grows = {minor: wanted.classes[minor].rate - found.classes.get(minor, nothing).rate for minor in changed}
    # The top one first: a class needs its parent.
    for minor in sorted(changed, key=lambda minor: (minor != TOP, grows[minor])):
        out.append(messages.put_class(device, minor, wanted.classes[minor]))
    out += [messages.put_leaf(device, minor, limit) for minor, limit in sorted(wanted.limits.items())
            if found.limits.get(minor) != limit or minor not in found.classes]
    out += [messages.add_filter(device, each) for each in _frame(kept, {entry.table for entry in wanted.entries})]
    out += [messages.add_filter(device, _filter_of(entry, minor)) for entry, minor in missing]
    return out


def _compare(
    filters: Sequence[Filter], wanted: Mapping[Entry, int],
) -> tuple[list[Filter], list[Filter], list[tuple[Entry, int]]]:
    """The filters that stay, those that go, and what is missing.  A table stays, also when it is empty."""
    missing = dict(wanted)
    tables = {table.number: table for table in TABLES}
    kept: list[Filter] = []
    gone: list[Filter] = []
    for each in filters:
        if each.divisor or each.link:
            kept.append(each)
            continue
        table = tables.get(each.table)
        entry = Entry(table, each.keys) if table is not None else None
        # In its place with all it should be, but for the number that the kernel gave it.
        if entry in missing and each._replace(handle=0) == _filter_of(entry, missing[entry]):
            del missing[entry]
            kept.append(each)
        else:
            gone.append(each)
    return kept, gone, list(missing.items())


def _frame(kept: Sequence[Filter], tables: set[Table]) -> list[Filter]:
    """The tables that are missing, and the ways into them."""
    there = {each.table for each in kept if each.divisor and each.divisor == BUCKETS}
    ways = {(each.priority, each.link, each.hash_at, each.hash_mask) for each in kept if each.link}
    out: list[Filter] = []
    for table in sorted(tables):
        if table.number not in there:
            out.append(Filter(table.priority, table=table.number, divisor=BUCKETS))
        if (table.priority, table.number, table.at, table.mask) not in ways:
            out.append(Filter(table.priority, link=table.number, hash_at=table.at, hash_mask=table.mask))
    return out


def _filter_of(entry: Entry, minor: int) -> Filter:
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


def _is_labelled(queue: Queue) -> bool:
    return any(isinstance(each, OfSlice | OfDestination) or (isinstance(each, OfSource) and each.slice)
               or (isinstance(each, OfPair) and each.key24) for each in queue.whose)


def _quanta(queues: Sequence[Queue]) -> dict[int, int]:
    """Bytes in one turn of each queue: by weight, among those of its class, a frame at least."""
    lightest: dict[TrafficClass, int] = {}
    for queue in queues:
        weight = max(1, queue.weight)
        lightest[queue.traffic_class] = min(weight, lightest.get(queue.traffic_class, weight))
    return {
        queue.number: min(
            MAX_QUANTUM_FRAMES * FRAME_BYTES, FRAME_BYTES * max(1, queue.weight) // lightest[queue.traffic_class])
        for queue in queues}


def _class(
    parent: int, rate_kbps: int, ceiling_kbps: int, *, quantum: int = FRAME_BYTES, priority: int = 0,
) -> Class:
    rate, ceiling = (max(1, kbps) * 125 for kbps in (rate_kbps, ceiling_kbps))
    return Class(parent, rate, max(rate, ceiling), _burst(rate), _burst(max(rate, ceiling)), quantum, priority)


def _burst(rate: int) -> int:
    size = max(BURST_BYTES, rate * BURST_MS // 1_000)
    return size * 1_000_000_000 // (rate * _TICK_NS)


def _is_same(found: Class | None, wanted: Class) -> bool:
    """Of a class with others below it the kernel keeps neither quantum nor priority."""
    if found is None or wanted.parent != ROOT_PARENT:
        return found == wanted
    return found[:5] == wanted[:5]
