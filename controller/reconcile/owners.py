"""Whose traffic each counter of a switch counts: the counters of its ports, and the meters that make ceilings.

    port 7, a tenant's     rx ─► sent by the port, its network, its tenant        tx ─► received by them
    port 101, a link's                                                            tx ─► sent over the link
    meter of a port        dropped by its ceiling: of the port, its network, its tenant
    meter of a network     ... of the network and its tenant
    meter of a tenant      ... of the tenant
    meter of a pipe        ... of the pipe, and of the port that sent it (not between networks), its network, its tenant

Pure: reads one world.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from immutables import Map

from controller.fabric.ports import EndPoint
from controller.model.ids import format_dpid, network_of, tenant_of
from controller.pipeline import tables
from controller.pipeline.tables import MeterKind
from controller.pipeline.world import World
from controller.qos.accounts import Cause, Entry, Way

WAYS: tuple[tuple[Way, MeterKind], ...] = (("out", MeterKind.OUT), ("in", MeterKind.IN))


@dataclass(slots=True)
class Owners:
    """Of one switch."""

    rx: dict[int, tuple[Entry, ...]] = field(default_factory=dict)
    """port_no -> for whom what comes in there counts"""
    tx: dict[int, tuple[Entry, ...]] = field(default_factory=dict)
    meters: dict[int, tuple[Entry, ...]] = field(default_factory=dict)
    """meter id -> for whom its drops count"""
    passes: dict[int, tuple[Entry, ...]] = field(default_factory=dict)
    """meter id -> for whom counts all that comes to it: of pipes, which no switch port counts"""


def link_name(src: EndPoint) -> str:
    """The resource name of the link that leaves there."""
    return f"links/{format_dpid(src.dpid)}-{src.port_no}"


def owners_on(world: World, dpid: int) -> Owners:
    """Whose counters the switch has."""
    owners = Owners()
    tenants: set[str] = set()
    for network in world.placement.networks_at.get(dpid, Map()):
        tenants.add(tenant_of(network))
        _own_meters(owners, world.intent.keys.network_slot(dpid, network), "network", _chain(world, network))
        for pipe in world.intent.pipes_by_end.get(network, ()):
            _own_pipe(owners, world, pipe, network, _chain(world, network))
        for port in world.placement.presence[network][dpid]:
            _own_port(owners, world, port)
    for tenant in tenants:
        _own_meters(owners, world.intent.keys.tenant_slot(dpid, tenant), "tenant", _chain(world, tenant))
    switch = world.fabric.switches.get(dpid)
    for port_no in switch.ports if switch else ():
        if (src := EndPoint(dpid, port_no)) in world.fabric.links:
            owners.tx[port_no] = (Entry(link_name(src), "", "out"),)
    return owners


def exists(world: World) -> Mapping[str, str]:
    """name -> uid of all that can have traffic; links have no uid."""
    return _Existing(world)


class _Existing(Mapping[str, str]):
    """Looked up one by one: to copy all names for each question would cost more than the question."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getitem__(self, name: str) -> str:
        if name.startswith("links/"):
            dpid, _, port_no = name.removeprefix("links/").partition("-")
            if EndPoint(int(dpid, 16), int(port_no)) in self._world.fabric.links:
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


def _own_port(owners: Owners, world: World, port: str) -> None:
    port_no = world.placement.at[port].port_no
    chain = _chain(world, port)
    owners.rx[port_no] = tuple(Entry(name, uid, "out") for name, uid in chain)
    owners.tx[port_no] = tuple(Entry(name, uid, "in") for name, uid in chain)
    for pipe in world.intent.pipes_by_end.get(port, ()):
        _own_pipe(owners, world, pipe, port, chain)
    key = world.intent.keys.port_key(port)
    _own_meters(owners, key.slot if key else None, "port", chain)


def _own_meters(owners: Owners, slot: int | None, cause: Cause, chain: tuple[tuple[str, str], ...]) -> None:
    if slot is None:
        return
    for way, kind in WAYS:
        # What a port sends is counted where it comes in, ahead of all meters; what it receives behind them.
        entries = tuple(Entry(name, uid, way, cause, way == "out") for name, uid in chain)
        owners.meters[tables.meter_id(slot, kind)] = entries


def _own_pipe(owners: Owners, world: World, name: str, end: str, chain: tuple[tuple[str, str], ...]) -> None:
    """What the pipe's meter on the switch of this end lets pass, and drops, of what this end sends."""
    pipe = world.intent.pipes[name]
    way, kind = WAYS[0] if end == pipe.a else WAYS[1]
    sent = (Entry(above, uid, "out", "pipe", was_counted=True) for above, uid in chain)
    meter_id = tables.pipe_meter_id(world.intent.keys.pipe_id(name), kind)
    owners.meters[meter_id] = (Entry(name, pipe.meta.uid, way, "pipe", was_counted=True), *sent)
    owners.passes[meter_id] = (Entry(name, pipe.meta.uid, way),)


def _chain(world: World, name: str) -> tuple[tuple[str, str], ...]:
    """The object and those above it that exist, with their uids."""
    above = dict.fromkeys((name, network_of(name), tenant_of(name)))
    return tuple((each, obj.meta.uid) for each in above if (obj := world.intent.get(each)) is not None)
