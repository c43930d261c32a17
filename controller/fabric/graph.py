"""The fabric as observed: switches, ports, roles and links, and what each event changes in them.

Knows no clock, no I/O and no program: probes are discovery.py's, paths are paths.py's.  Rules it keeps:

- Unknown is not down: a lost control channel keeps ports and links as they were.
- A port that goes down takes its links down at once, in both directions; only a new probe brings one up again.
- A wire has two ends: a link that is seen replaces every link that contradicts it (a moved cable).
- Nobody becomes fabric by its own doing: a wire seen where a host was heard or bound is an alarm, not a link.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import networkx as nx
from immutables import Map

from controller.fabric.events import (
    CapacityDeclared,
    Event,
    HostHeard,
    LinkLost,
    LinkSeen,
    PortObserved,
    PortRemoved,
    PortsBound,
    RoleDeclared,
    SwitchConnected,
    SwitchDisconnected,
    SwitchForgotten,
)
from controller.fabric.ports import EndPoint, PortRole, Switch, SwitchFeatures, SwitchPort

__all__ = [
    "NO_CHANGE", "UNKNOWN_SPEED_KBPS", "Alarm", "CapacityDeclared", "Change", "EndPoint", "Event", "Fabric", "HostHeard", "Link",
    "LinkLost", "LinkSeen", "PortObserved", "PortRemoved", "PortRole", "PortsBound", "RoleDeclared", "Switch", "SwitchConnected",
    "SwitchDisconnected", "SwitchFeatures", "SwitchForgotten", "SwitchPort",
]

UNKNOWN_SPEED_KBPS = 1_000_000
"""What a port is taken to carry that reports no speed (OVS reports 10 Gbit/s for a veth, nothing for tunnels and patch ports)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One direction of a wire.  A link that is down is kept: its ports stay fabric until the operator or the wire says otherwise."""

    src: EndPoint
    dst: EndPoint
    capacity_kbps: int
    declared_capacity_kbps: int | None = None
    cost: int = 1
    up: bool = True

    def __str__(self) -> str:
        return f"{self.src} -> {self.dst}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something on the wire that must not be, or that an operator should look at.  `reason` is UPPER_SNAKE and stable."""

    reason: str
    at: EndPoint
    message: str

    def __str__(self) -> str:
        return f"{self.reason} at {self.at}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an event changed, so that only what depends on it is looked at again."""

    switches: frozenset[int] = frozenset()
    """switches that came, went, or had anything of their own changed"""
    ports: frozenset[EndPoint] = frozenset()
    """switch ports that came, went, changed, or have another role"""
    links: frozenset[EndPoint] = frozenset()
    """links (by src) that came, went or changed"""
    topology: bool = False
    """the graph is another one"""
    alarms: tuple[Alarm, ...] = ()

    def __or__(self, other: Change) -> Change:
        return Change(
            switches=self.switches | other.switches, ports=self.ports | other.ports, links=self.links | other.links,
            topology=self.topology or other.topology, alarms=self.alarms + other.alarms,
        )


NO_CHANGE = Change()


@dataclass(frozen=True, kw_only=True)
class Fabric:
    """All switches and links ever seen and not forgotten.  Not slotted: each value keeps the graph it was asked for."""

    switches: Map[int, Switch] = Map()
    links: Map[EndPoint, Link] = Map()
    """by src; at most one link leaves a port and at most one comes in"""
    into: Map[EndPoint, EndPoint] = Map()
    """dst -> src of the same links"""
    bound: Map[EndPoint, None] = Map()
    """switch ports that tenant ports are bound to"""
    declared_roles: Map[int, Map[str, PortRole]] = Map()
    """dpid -> {interface: role}: also of switches and interfaces that have not appeared yet"""
    declared_capacities: Map[int, Map[int, int]] = Map()
    """dpid -> {port_no: kbit/s of the link that leaves there}"""
    default_role: PortRole = PortRole.AUTO

    def apply(self, event: Event) -> tuple[Fabric, Change]:
        """The fabric after the event and what changed; costs what it changes.  An event that says nothing new gives self back."""
        raise NotImplementedError

    def port(self, at: EndPoint) -> SwitchPort | None:
        switch = self.switches.get(at.dpid)
        return switch.ports.get(at.port_no) if switch else None

    def role(self, at: EndPoint) -> PortRole:
        """declared > bound or once heard: EDGE > end of a link: FABRIC > the fabric's default."""
        port = self.port(at)
        if port is not None and port.declared_role is not None:
            return port.declared_role
        if at in self.bound or (port is not None and port.heard_host):
            return PortRole.EDGE
        if at in self.links or at in self.into:
            return PortRole.FABRIC
        return self.default_role

    def link_at(self, at: EndPoint) -> Link | None:
        """The link that leaves by this port, else the one that comes in."""
        return self.links.get(at) or self.links.get(self.into.get(at, at))

    def graph(self) -> nx.DiGraph[int]:
        """All known switches and the links that are up, frozen; attributes: capacity_kbps, cost, port_no, src, dst.

        Of parallel links the cheapest stands for all, then the widest, then that with the lowest port number.
        """
        return self._graph

    @cached_property
    def _graph(self) -> nx.DiGraph[int]:
        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(sorted(self.switches))
        preferred = sorted((x for x in self.links.values() if x.up), key=lambda x: (x.cost, -x.capacity_kbps, x.src, x.dst))
        for x in preferred:
            if not graph.has_edge(x.src.dpid, x.dst.dpid):
                graph.add_edge(x.src.dpid, x.dst.dpid, capacity_kbps=x.capacity_kbps, cost=x.cost, port_no=x.src.port_no, src=x.src, dst=x.dst)
        return nx.freeze(graph)
