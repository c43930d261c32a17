"""Which fragments may come out differently after a change.  May name too many, never too few; costs what changed.

What each kind reads, beside the features and the queue driver of its switch:

    switch_port  the switch port, its role, whether it is bound
    label        hops of that label, edge id                          reach    the choice, edge id
    explicit     the hop of that label
    steer        the steer, edge id, the network's key
    tenant       the tenant's id, whether it is present here
    ceiling      the tenant or network, its rates, id or key, slot and share here, whether it is present here; the pipe
                 between networks, its rates, id and share here, its networks' keys, which of them is present here
    network      its subnets, slot and presence anywhere, edge ids, which local leaves hold a port
    flood        port keys of one local leaf of the network, at most 64
    port         the port, its rates, keys and place, and what queues hold it to
    peer         the same, the edge id of its place, presence of the network here
    route        the subnets and keys of its network and of those that this has routes to, presence of the network here
    neighbour    as peer, but presence of any network that has a route to the port's: those are told by its
                 subnets and peerings
    queue        the network's slice, its tenant's queue id, whether that has a guarantee
    pipe         the pipe, its rates, its id, its ports, their keys and places, the edge ids of these; or its networks
                 and their keys

Keys change only together with the objects that hold them, edge ids with the ports attached to the edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from immutables import Map

from controller.fabric.graph import EndPoint
from controller.model.ids import network_of, tenant_of
from controller.pipeline import tables
from controller.pipeline.compiler import fragment_key, fragments_on
from controller.pipeline.tables import Kind
from controller.pipeline.views import chooses_queues, routed_to
from controller.pipeline.world import FragmentKey, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What is not the same in two worlds.  Too much does no harm."""

    ports: frozenset[str] = frozenset()
    """tenant ports whose binding changed"""
    objects: frozenset[str] = frozenset()
    """objects of intent, of any kind, that came, changed or went"""
    switch_ports: frozenset[EndPoint] = frozenset()
    """switch ports that came, went, or have another role"""
    switches: frozenset[int] = frozenset()
    """switches that came, went, or have other features or queues"""
    labels: frozenset[tuple[int, int]] = frozenset()
    choices: frozenset[tuple[int, int]] = frozenset()
    """(dpid, edge dpid), as in World"""
    rates: frozenset[str] = frozenset()
    """objects for which other rates are in force, though they themselves are the same"""
    shares: frozenset[tuple[int, str]] = frozenset()
    """(dpid, tenant or network)"""
    explicit: frozenset[tuple[int, int]] = frozenset()
    """(dpid, label)"""
    steers: frozenset[tuple[int, str, int]] = frozenset()
    """(dpid, network, edge dpid)"""


def affected(before: World, after: World, changed: Changed) -> set[FragmentKey]:
    search = _Search(before, after)
    for dpid in changed.switches:
        search.switch(dpid)
    for at in changed.switch_ports:
        search.add(Kind.SWITCH_PORT, at.dpid, at.port_no)
    for dpid, edge in changed.labels:
        search.label(dpid, edge)
    for dpid, edge in changed.choices:
        search.add(Kind.REACH, dpid, edge)
    for name in changed.rates:
        search.rated(name)
    for dpid, name in changed.shares:
        search.shared(dpid, name)
    for dpid, label in changed.explicit:
        search.add(Kind.EXPLICIT, dpid, label)
    for dpid, network, edge in changed.steers:
        search.add(Kind.STEER, dpid, network, edge)
    names = changed.objects | changed.ports
    for name in names:
        search.named(name)
    for tenant in {tenant_of(name) for name in names}:
        search.guaranteed(tenant)
    for edge in sorted({dpid for name in names for dpid in search.places(name)}):
        search.edge(edge)
    return search.found


class _Search:
    """Walks from what changed to what reads it, in both worlds."""

    def __init__(self, before: World, after: World) -> None:
        self.worlds = (before, after)
        self.found: set[FragmentKey] = set()
        self._presence_compared: set[str] = set()

    def add(self, kind: Kind, dpid: int, *subject: str | int) -> None:
        self.found.add(fragment_key(kind, dpid, *subject))

    def switch(self, dpid: int) -> None:
        able = [(s.features, s.queue_driver) if (s := world.fabric.switches.get(dpid)) else None
                for world in self.worlds]
        if able[0] != able[1]:
            for world in self.worlds:
                self.found.update(fragments_on(world, dpid))
        self._shaped(dpid)

    def _shaped(self, dpid: int) -> None:
        """The ports bound where queues hold another ceiling than before."""
        before, after = (s.shaped if (s := world.fabric.switches.get(dpid)) else Map[int, int]()
                         for world in self.worlds)
        if before == after:
            return
        differs = {port_no for held in (before, after) for port_no in held
                   if before.get(port_no) != after.get(port_no)}
        placement = self.worlds[1].placement
        for network in placement.networks_at.get(dpid, ()):
            for port in placement.presence[network][dpid]:
                if placement.at[port].port_no in differs:
                    self.add(Kind.PORT, dpid, port)

    def label(self, dpid: int, edge: int) -> None:
        for world in self.worlds:
            for number in world.labels.get((dpid, edge), ()):
                self.add(Kind.LABEL, dpid, edge, number)

    def named(self, name: str) -> None:
        """An object of intent, by the form of its name: tenants/t[/pipes/p | /peerings/p | /networks/n[...]]."""
        match name.split("/"):
            case [_, _]:
                for dpid in self._switches():
                    self.add(Kind.TENANT, dpid, name)
                    self.add(Kind.CEILING, dpid, name)
            case [_, _, "pipes", _]:
                self._pipe(name)
            case [_, _, "peerings", _]:
                for world in self.worlds:
                    if (peering := world.intent.peerings.get(name)) is not None:
                        self._routes(peering.a)
            case [_, _, "networks", _]:
                self._network(name)
                self._queues((name,))
            case [_, _, _, _, "subnets", _]:
                self._network(network_of(name))
                self._routes(network_of(name))
            case [_, _, _, _, "ports", _]:
                self._port(name)

    def rated(self, name: str) -> None:
        """An object whose rates are others: its meters, wherever it has some."""
        match name.split("/"):
            case [_, _] | [_, _, "networks", _]:
                for dpid in self._switches():
                    self.shared(dpid, name)
            case [_, _, "pipes", _]:
                self._pipe(name)
            case [_, _, _, _, "ports", _]:
                if (at := self.worlds[1].placement.at.get(name)) is not None:
                    self.add(Kind.PORT, at.dpid, name)

    def shared(self, dpid: int, name: str) -> None:
        """A tenant, network or pipe of networks whose part of its ceiling is another, if present on the switch."""
        placement, pipe = self.worlds[1].placement, self.worlds[1].intent.pipes.get(name)
        present = placement.networks_at.get(dpid, ())
        if dpid in placement.tenants.get(name, ()) or name in present or (
                pipe is not None and (pipe.a in present or pipe.b in present)):
            self.add(Kind.CEILING, dpid, name)

    def guaranteed(self, tenant: str) -> None:
        """If the tenant came to have a guarantee, or to have none."""
        before, after = (tenant in world.guaranteed for world in self.worlds)
        if before != after:
            for world in self.worlds:
                self._queues(world.intent.networks_by_tenant.get(tenant, ()))

    def _queues(self, networks: Iterable[str]) -> None:
        """Of networks of one tenant, where flows choose queues."""
        for world in self.worlds:
            guaranteed = [network for network in networks if tenant_of(network) in world.guaranteed]
            for dpid in world.fabric.switches if guaranteed else ():
                if chooses_queues(world, dpid):
                    for network in guaranteed:
                        self.add(Kind.QUEUE, dpid, network)

    def places(self, port: str) -> Iterator[int]:
        """Switches where the port is, or is asked to be: those whose edge id may depend on it."""
        for world in self.worlds:
            asked = world.intent.ports.get(port)
            if asked is not None and asked.attachment is not None:
                yield asked.attachment.dpid

    def edge(self, edge: int) -> None:
        """If the switch became, ceased to be, or is another edge, all that names it by edge id."""
        before, after = (world.intent.keys.edge_id(edge) for world in self.worlds)
        if before == after:
            return
        for dpid in self._switches():
            self.label(dpid, edge)
            self.add(Kind.REACH, dpid, edge)
            self._steers(dpid, lambda network, toward: toward == edge)
        for world in self.worlds:
            for network in world.placement.networks_at.get(edge, ()):
                self._network(network)
                for port in world.placement.presence[network][edge]:
                    self._peer(port)
                    self._pipes_of(port)

    def _switches(self) -> set[int]:
        return {dpid for world in self.worlds for dpid in world.fabric.switches}

    def _edges_of(self, network: str) -> set[int]:
        return {dpid for world in self.worlds for dpid in world.placement.presence.get(network, ())}

    def _network(self, network: str) -> None:
        for dpid in self._edges_of(network):
            self.add(Kind.NETWORK, dpid, network)
            self.add(Kind.ROUTE, dpid, network)
            self.add(Kind.CEILING, dpid, network)
            self._steers(dpid, lambda steered, toward: steered == network)
        self._pipes_of(network)

    def _steers(self, dpid: int, concerns: Callable[[str, int], bool]) -> None:
        for world in self.worlds:
            for network, edge in world.steers.get(dpid, ()):
                if concerns(network, edge):
                    self.add(Kind.STEER, dpid, network, edge)

    def _peer(self, port: str) -> None:
        for dpid in self._edges_of(network_of(port)):
            self.add(Kind.PEER, dpid, port)
        for other in self._routed_to(network_of(port)):
            for dpid in self._edges_of(other):
                self.add(Kind.NEIGHBOUR, dpid, port)

    def _routed_to(self, network: str) -> set[str]:
        return {other for world in self.worlds for other in routed_to(world, network)}

    def _routes(self, network: str) -> None:
        """Where the network, and those with a route to it, may be routed to; the ports there, if these are others."""
        for other in {network, *self._routed_to(network)}:
            for dpid in self._edges_of(other):
                self.add(Kind.ROUTE, dpid, other)
        before, after = (frozenset(routed_to(world, network)) for world in self.worlds)
        for other in before ^ after:
            self._neighbours(other, self._edges_of(network))
            self._neighbours(network, self._edges_of(other))

    def _neighbours(self, network: str, dpids: Iterable[int]) -> None:
        members = {port for world in self.worlds for port in world.placement.members.get(network, ())}
        for dpid in dpids:
            for port in members:
                self.add(Kind.NEIGHBOUR, dpid, port)

    def _port(self, port: str) -> None:
        network = network_of(port)
        if self._is_limited_otherwise(port):
            self.rated(port)
            return
        for world in self.worlds:
            at, key = world.placement.at.get(port), world.intent.keys.port_key(port)
            if at is None:
                continue
            self.add(Kind.PORT, at.dpid, port)
            self.add(Kind.SWITCH_PORT, at.dpid, at.port_no)
            self.add(Kind.NETWORK, at.dpid, network)
            self.add(Kind.TENANT, at.dpid, tenant_of(port))
            self.add(Kind.CEILING, at.dpid, network)
            self.add(Kind.CEILING, at.dpid, tenant_of(port))
            if key is not None:
                self.add(Kind.FLOOD, at.dpid, network, tables.leaf_of(key.key24))
        self._peer(port)
        self._pipes_of(port)
        self._presence(network)

    def _is_limited_otherwise(self, port: str) -> bool:
        """Whether nothing but its policy is another one, and nothing but its meters depends on that."""
        before, after = self.worlds
        old, new = before.intent.ports.get(port), after.intent.ports.get(port)
        return (
            old is not None and new is not None and old.bandwidth != new.bandwidth
            and replace(old, bandwidth=new.bandwidth, meta=new.meta) == new and old.meta.uid == new.meta.uid
            and before.placement.at.get(port) == after.placement.at.get(port)
            and before.intent.keys.port_key(port) == after.intent.keys.port_key(port)
            and before.choices is after.choices)  # else somebody may have come in reach, or got out of it

    def _pipes_of(self, end: str) -> None:
        for world in self.worlds:
            for pipe in world.intent.pipes_by_end.get(end, ()):
                self._pipe(pipe)

    def _pipe(self, name: str) -> None:
        """Where its ends are; and where flows choose queues, if it has a guarantee."""
        for world in self.worlds:
            if (pipe := world.intent.pipes.get(name)) is None:
                continue
            for dpid in self._edges_of(pipe.a) | self._edges_of(pipe.b) if pipe.joins_networks else ():
                self.add(Kind.CEILING, dpid, name)
            places = (world.placement.at.get(end) for end in (pipe.a, pipe.b))
            dpids = {at.dpid for at in places if at is not None}
            if pipe.bandwidth.may_guarantee:
                dpids.update(dpid for dpid in world.fabric.switches if chooses_queues(world, dpid))
            for dpid in dpids:
                self.add(Kind.PIPE, dpid, name)

    def _presence(self, network: str) -> None:
        """Where the network arrived or left, everybody's peer fragments; everywhere, the copies to other edges."""
        if network in self._presence_compared:
            return
        self._presence_compared.add(network)
        before, after = (frozenset(world.placement.presence.get(network, Map())) for world in self.worlds)
        if before == after:
            return
        self._network(network)
        for dpid in before ^ after:
            for world in self.worlds:
                for port in world.placement.members.get(network, ()):
                    self.add(Kind.PEER, dpid, port)
        for other in self._routed_to(network):
            self._neighbours(other, before ^ after)
