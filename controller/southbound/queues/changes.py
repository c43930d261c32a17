"""What is to be changed so that a device has the classes, leaves and filters that it is to have.  Pure.

    rates that fall                              nobody is promised what somebody else still has
    classes that are new, from the top down
    filters: new ones, and each that leads       changed where it is, so that no frame finds none; one whose class
      elsewhere now                              has to be made anew leads to a stand-in meanwhile
    filters and classes that go, bottom up
    classes made anew, and their filters         the kernel moves no class, and makes no leaf of one with others below
    rates that rise

At each step each filter leads to a class that is there, and no frame that has a class goes to the rest.  What comes and
what goes are both there for as long as one batch of orders takes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pyroute2.netlink import nlmsg

from controller.model.queues import QueueCount
from controller.southbound.queues import messages
from controller.southbound.queues.messages import BUCKETS, HANDLE, ROOT_PARENT, Class, Filter, Qdisc
from controller.southbound.queues.tree import (
    REST,
    STAND_IN,
    TABLES,
    TOP,
    Entry,
    Table,
    Tree,
    class_of,
    filter_of,
    top_down,
)


@dataclass(slots=True, kw_only=True)
class Found:
    """What a device has below our qdisc."""

    classes: dict[int, Class] = field(default_factory=dict)
    counts: dict[int, QueueCount] = field(default_factory=dict)
    limits: dict[int, int] = field(default_factory=dict)
    filters: list[Filter] = field(default_factory=list)


def is_right(root: Qdisc) -> bool:
    """Our qdisc is as it should be; else it is made anew."""
    return root.kind == "htb" and root.number == REST


def is_whole(found: Found) -> bool:
    """The port's rate and the rest are there, on which all else relies; else all is made anew."""
    top, rest = found.classes.get(TOP), found.classes.get(REST)
    inner = _inner(found.classes)
    return (top is not None and top.parent == ROOT_PARENT and rest is not None and rest.parent == HANDLE | TOP
            and REST not in inner)


def leaf_counts(found: Found) -> dict[int, QueueCount]:
    """By minor: what went through each class that holds frames."""
    inner = _inner(found.classes)
    return {minor: count for minor, count in found.counts.items() if minor not in inner}


def orders(device: int, found: Found, wanted: Tree) -> list[nlmsg]:
    """What leads from one to the other, in order; nothing if nothing differs.  `found` is whole, or empty."""
    kept, new, anew = _fates(found.classes, wanted)
    grows = {minor: wanted.classes[minor].rate - found.classes[minor].rate for minor in wanted.classes
             if minor in kept and not _is_right(minor, found, wanted)}
    led, framed, gone = _sorted_out(found.filters, wanted)
    now = {entry: minor for entry, minor in wanted.entries.items() if minor not in anew}
    later = {entry: minor for entry, minor in wanted.entries.items() if minor in anew}
    parked = {entry: STAND_IN for entry in later if entry in led and led[entry].minor not in kept}
    out = [messages.put_class(device, minor, wanted.classes[minor]) for minor in reversed(grows) if grows[minor] < 0]
    out += _make(device, wanted, new)
    out += _stand_in(device, wanted, {wanted.entries[entry] for entry in parked})
    out += [messages.put_leaf(device, minor, limit) for minor, limit in sorted(wanted.limits.items())
            if minor in kept and found.limits.get(minor) != limit]
    out += [messages.add_filter(device, each) for each in _frame(framed, {entry.table for entry in wanted.entries})]
    out += _lead(device, led, now | parked)
    out += [messages.delete_filter(device, each) for each in gone]
    out += [messages.delete_class(device, minor) for minor in reversed(top_down(found.classes))
            if minor not in kept and minor != STAND_IN]
    out += _make(device, wanted, anew)
    led |= {entry: led[entry]._replace(minor=STAND_IN) for entry in parked}
    out += _lead(device, led, later)
    if parked or STAND_IN in found.classes:
        out.append(messages.delete_class(device, STAND_IN))
    out += [messages.put_class(device, minor, wanted.classes[minor]) for minor in grows if grows[minor] >= 0]
    return out


def _fates(found: Mapping[int, Class], wanted: Tree) -> tuple[set[int], set[int], set[int]]:
    """Of the wanted classes those that stay, those that nothing is in the way of, and those that are made anew."""
    kept, new, anew = set[int](), set[int](), set[int]()
    inner = _inner(found)
    for minor, each in wanted.classes.items():
        parent, before = each.parent & 0xFFFF, found.get(minor)
        if each.parent != ROOT_PARENT and parent in anew:
            anew.add(minor)
        elif before is None:
            new.add(minor)
        elif before.parent == each.parent and (minor in inner) == (minor not in wanted.limits):
            kept.add(minor)
        else:
            anew.add(minor)
    return kept, new, anew


def _make(device: int, wanted: Tree, minors: Collection[int]) -> Iterator[nlmsg]:
    """These classes, from the top down, each with the leaf it is to have."""
    for minor, each in wanted.classes.items():
        if minor in minors:
            yield messages.put_class(device, minor, each)
            if minor in wanted.limits:
                yield messages.put_leaf(device, minor, wanted.limits[minor])


def _stand_in(device: int, wanted: Tree, minors: Collection[int]) -> Iterator[nlmsg]:
    """A class in place of these, if any, with what they shall have together."""
    if minors:
        rate, ceiling = sum(wanted.classes[minor].rate for minor in minors), wanted.classes[TOP].ceiling
        yield messages.put_class(device, STAND_IN, class_of(HANDLE | TOP, rate // 125, ceiling // 125))
        yield messages.put_leaf(device, STAND_IN, max(wanted.limits[minor] for minor in minors))


def _lead(device: int, there: Mapping[Entry, Filter], goals: Mapping[Entry, int]) -> Iterator[nlmsg]:
    """Have what is looked for lead to these classes."""
    for entry, minor in goals.items():
        if entry not in there:
            yield messages.add_filter(device, filter_of(entry, minor))
        elif there[entry].minor != minor:
            yield messages.lead_filter(device, there[entry]._replace(minor=minor))


def _sorted_out(
    filters: Sequence[Filter], wanted: Tree,
) -> tuple[dict[Entry, Filter], list[Filter], list[Filter]]:
    """Those that look for what is wanted, wherever they lead; tables and the ways into them, which stay also where
    nothing is in them; and those that go.
    """
    tables = {table.number: table for table in TABLES}
    led: dict[Entry, Filter] = {}
    framed, gone = list[Filter](), list[Filter]()
    for each in filters:
        if each.divisor or each.link:
            framed.append(each)
            continue
        table = tables.get(each.table)
        entry = Entry(table, each.keys) if table is not None else None
        # In its place with all it should be, but for the number that the kernel gave it.
        if (entry is not None and entry in wanted.entries and entry not in led
                and each._replace(handle=0) == filter_of(entry, each.minor)):
            led[entry] = each
        else:
            gone.append(each)
    return led, framed, gone


def _frame(there: Sequence[Filter], tables: Collection[Table]) -> list[Filter]:
    """The tables that are missing, and the ways into them."""
    numbers = {each.table for each in there if each.divisor == BUCKETS}
    ways = {(each.priority, each.link, each.hash_at, each.hash_mask) for each in there if each.link}
    out: list[Filter] = []
    for table in sorted(tables):
        if table.number not in numbers:
            out.append(Filter(table.priority, table=table.number, divisor=BUCKETS))
        if (table.priority, table.number, table.at, table.mask) not in ways:
            out.append(Filter(table.priority, link=table.number, hash_at=table.at, hash_mask=table.mask))
    return out


def _inner(classes: Mapping[int, Class]) -> set[int]:
    """The classes with others below them."""
    return {each.parent & 0xFFFF for each in classes.values() if each.parent != ROOT_PARENT}


def _is_right(minor: int, found: Found, wanted: Tree) -> bool:
    """Of a class with others below it the kernel keeps neither quantum nor priority."""
    there, asked = found.classes[minor], wanted.classes[minor]
    return there == asked if minor in wanted.limits else there[:5] == asked[:5]
