"""Whose traffic each counter of a switch counts: the counters of its ports, and the meters that make ceilings.

    port 7, a tenant's     rx ─► sent by the port, its network, its tenant        tx ─► received by them
    port 101, a link's                                                            tx ─► sent over the link
    meter of a port        dropped by its ceiling: of the port, its network, its tenant
    meter of a network     ... of the network and its tenant
    meter of a tenant      ... of the tenant
    meter of a pipe        ... of the pipe, and of the port that sent it (not between networks), its network, its tenant

Pure: reads one world after the other, and of each what was touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from controller.fabric.ports import EndPoint
from controller.model.ids import format_dpid, network_of, tenant_of
from controller.pipeline import tables
from controller.pipeline.tables import MeterKind
from controller.pipeline.world import World
from controller.qos.sums import Cause, Entry, Way
from controller.reconcile.touched import EVERYTHING, Touched

WAYS: tuple[tuple[Way, MeterKind], ...] = (("out", MeterKind.OUT), ("in", MeterKind.IN))
Entries = tuple[Entry, ...]
Counters = dict[int, Entries]


@dataclass(slots=True)
class Owners:
    """Of one switch."""

    rx: Counters = field(default_factory=dict)
    """port_no -> for whom what comes in there counts"""
    tx: Counters = field(default_factory=dict)
    meters: Counters = field(default_factory=dict)
    """meter id -> for whom its drops count"""
    passes: Counters = field(default_factory=dict)
    """meter id -> for whom counts all that comes to it: of pipes, which no switch port counts"""


class Place(NamedTuple):
    """A switch where an object, or a link, has counters; those of a pipe are with its ends."""

    dpid: int
    name: str


def link_name(src: EndPoint) -> str:
    """The resource name of the link that leaves there."""
    return f"links/{format_dpid(src.dpid)}-{src.port_no}"


def owners_on(world: World, dpid: int) -> Owners:
    """Whose counters the switch has."""
    book = OwnersBook()
    book.follow(world, EVERYTHING)
    return book.on(dpid)


@dataclass(slots=True)
class _Part:
    """What was entered of one place."""

    names: tuple[str, ...]
    """the object, and the pipes that end with it"""
    at: list[tuple[Counters, int]]


class OwnersBook:
    """The owners on all switches, kept up to date at the cost of what was touched."""

    def __init__(self) -> None:
        self._on: defaultdict[int, Owners] = defaultdict(Owners)
        self._parts: dict[Place, _Part] = {}
        self._places: defaultdict[str, set[Place]] = defaultdict(set)
        """of each object, where it has a part in what was entered"""

    def on(self, dpid: int) -> Owners:
        """Of one switch, as of the last world; not to be changed."""
        return self._on[dpid]

    def follow(self, world: World, touched: Touched) -> None:
        """Bring it up to the world."""
        if touched.everything:
            places = {*self._parts, *_all_places(world)}
        else:
            places = {Place(src.dpid, link_name(src)) for src in touched.links}
            for name in touched.names:
                places.update(self._places.get(name, ()), _places_of(world, name))
            places |= {Place(place.dpid, above) for place in places for above in _above(place.name)}
        for place in places:  # a number may be somebody else's now: all leave ahead of any that come
            self._leave(place)
        for place in places:
            self._enter(world, place)

    def _leave(self, place: Place) -> None:
        if (part := self._parts.pop(place, None)) is None:
            return
        for counters, number in part.at:
            counters.pop(number, None)
        for name in part.names:
            self._places[name].discard(place)
            if not self._places[name]:
                del self._places[name]

    def _enter(self, world: World, place: Place) -> None:
        found = _find(world, place)
        if not (found.rx or found.tx or found.meters):
            return
        names = place.name, *world.intent.pipes_by_end.get(place.name, ())
        part = self._parts[place] = _Part(names, [])
        owners = self._on[place.dpid]
        for counters, more in ((owners.rx, found.rx), (owners.tx, found.tx), (owners.meters, found.meters),
                               (owners.passes, found.passes)):
            counters.update(more)
            part.at += [(counters, number) for number in more]
        for name in names:
            self._places[name].add(place)


def exists(world: World) -> Mapping[str, str]:
    """name -> uid of all that can have traffic; links have no uid."""
    return _Existing(world)


class _Existing(Mapping[str, str]):
    """Looked up one by one: to copy all names for each question would cost more than the question."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getitem__(self, name: str) -> str:
        if (src := _link_of(name)) is not None:
            if src in self._world.fabric.links:
                return ""
            raise KeyError(name)
        obj = self._world.intent.get(name)
        if obj is None:
            raise KeyError(name)
        return obj.meta.uid

    def __iter__(self) -> Iterator[str]:
        yield from (obj.name for obj in self._world.intent.objects())
        yield from map(link_name, self._world.fabric.links)

    def __len__(self) -> int:
        return sum(1 for _ in self)


# -- where something has counters


def _all_places(world: World) -> Iterator[Place]:
    yield from (Place(src.dpid, link_name(src)) for src in world.fabric.links)
    yield from (Place(dpid, tenant) for tenant, edges in world.placement.tenants.items() for dpid in edges)
    for network, edges in world.placement.presence.items():
        for dpid, ports in edges.items():
            yield from (Place(dpid, name) for name in (network, *ports))


def _places_of(world: World, name: str) -> Iterator[Place]:
    """Of an object, those of a pipe's ends."""
    placement, pipe = world.placement, world.intent.pipes.get(name)
    if pipe is not None:
        yield from (place for end in (pipe.a, pipe.b) for place in _places_of(world, end))
    elif (at := placement.at.get(name)) is not None:
        yield Place(at.dpid, name)
    else:
        edges: Iterable[int] = placement.tenants.get(name) or placement.presence.get(name) or ()
        yield from (Place(dpid, name) for dpid in edges)


def _above(name: str) -> tuple[str, ...]:
    """Who has counters on a switch only while a port is there."""
    return (network_of(name), tenant_of(name)) if "/ports/" in name else ()


# -- whose they are


def _find(world: World, place: Place) -> Owners:
    """What the object has there, or the link; nothing if it is not there any more."""
    owners, (dpid, name), keys, placement = Owners(), place, world.intent.keys, world.placement
    if (src := _link_of(name)) is not None:
        if src in world.fabric.links:
            owners.tx[src.port_no] = (Entry(name, "", "out"),)
    elif (at := placement.at.get(name)) is not None:
        if at.dpid == dpid:
            _own_port(owners, world, name, at.port_no)
    elif dpid in placement.presence.get(name, ()):
        _own_meters(owners, keys.network_slot(dpid, name), "network", lineage(world, name))
        _own_pipes(owners, world, name, lineage(world, name))
    elif dpid in placement.tenants.get(name, ()):
        _own_meters(owners, keys.tenant_slot(dpid, name), "tenant", lineage(world, name))
    return owners


def _own_port(owners: Owners, world: World, port: str, port_no: int) -> None:
    chain = lineage(world, port)
    owners.rx[port_no] = tuple(Entry(name, uid, "out") for name, uid in chain)
    owners.tx[port_no] = tuple(Entry(name, uid, "in") for name, uid in chain)
    _own_pipes(owners, world, port, chain)
    key = world.intent.keys.port_key(port)
    _own_meters(owners, key.slot if key else None, "port", chain)


def _own_meters(owners: Owners, slot: int | None, cause: Cause, chain: tuple[tuple[str, str], ...]) -> None:
    if slot is None:
        return
    for way, kind in WAYS:
        # What a port sends is counted where it comes in, ahead of all meters; what it receives behind them.
        entries = tuple(Entry(name, uid, way, cause, way == "out") for name, uid in chain)
        owners.meters[tables.meter_id(slot, kind)] = entries


def _own_pipes(owners: Owners, world: World, end: str, chain: tuple[tuple[str, str], ...]) -> None:
    """What each pipe's meter on the switch of this end lets pass, and drops, of what this end sends."""
    for name in world.intent.pipes_by_end.get(end, ()):
        pipe = world.intent.pipes[name]
        way, kind = WAYS[0] if end == pipe.a else WAYS[1]
        sent = (Entry(above, uid, "out", "pipe", was_counted=True) for above, uid in chain)
        meter_id = tables.pipe_meter_id(world.intent.keys.pipe_id(name), kind)
        owners.meters[meter_id] = (Entry(name, pipe.meta.uid, way, "pipe", was_counted=True), *sent)
        owners.passes[meter_id] = (Entry(name, pipe.meta.uid, way),)


def lineage(world: World, name: str) -> tuple[tuple[str, str], ...]:
    """The object and those above it that exist, with their uids."""
    above = dict.fromkeys((name, network_of(name), tenant_of(name)))
    return tuple((each, obj.meta.uid) for each in above if (obj := world.intent.get(each)) is not None)


def _link_of(name: str) -> EndPoint | None:
    """Where a link leaves, if that is what the name is of."""
    if not name.startswith("links/"):
        return None
    dpid, _, port_no = name.removeprefix("links/").partition("-")
    return EndPoint(int(dpid, 16), int(port_no))
