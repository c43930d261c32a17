"""The record of what was observed of the fabric: switches, ports and their roles, links.

Holds and answers; how an event changes it is edit.py's.  Knows no tenant, no program and no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from immutables import Map

from controller.fabric.declared import NO_LINK_SETTINGS, NO_SWITCH_SETTINGS, LinkSettings, SwitchSettings
from controller.fabric.ports import EndPoint, PortRole, Switch, SwitchPort


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One direction of a wire.

    A link that is down is kept and its ports stay fabric, until another wire is seen there, the port is
    removed or replaced, or the operator declares a role: else frames still under way on a failing link
    would be taken for those of a host.
    """

    src: EndPoint
    dst: EndPoint
    capacity_kbps: int
    declared_capacity_kbps: int | None = None
    cost: int = 1
    latency_us: int | None = None
    """None where nobody said"""
    drained: bool = False
    """the operator wants no path over it: of the wire, or of a switch at its ends"""
    seen: bool = True
    """a probe came over it lately"""
    up: bool = True
    """seen in both directions: what only one probe vouches for carries nothing, for a host may have relayed that"""

    @property
    def usable(self) -> bool:
        """Whether paths may take it."""
        return self.up and not self.drained

    def __str__(self) -> str:
        return f"{self.src} -> {self.dst}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something on the wire that an operator should look at.  `reason` is UPPER_SNAKE and stable."""

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
            switches=self.switches | other.switches,
            ports=self.ports | other.ports,
            links=self.links | other.links,
            topology=self.topology or other.topology,
            alarms=self.alarms + other.alarms,
        )


NO_CHANGE = Change()
_NONE: Map[int, LinkSettings] = Map()


@dataclass(frozen=True, kw_only=True)
class Observed:
    """All switches and links ever seen and not forgotten."""

    switches: Map[int, Switch] = Map()
    links: Map[EndPoint, Link] = Map()
    """by src; at most one link leaves a port and at most one comes in"""
    into: Map[EndPoint, EndPoint] = Map()
    """dst -> src of the same links"""
    bound: Map[EndPoint, None] = Map()
    """switch ports that tenant ports are bound to"""
    declared_roles: Map[int, Map[str, PortRole]] = Map()
    """dpid -> {interface: role}: also of switches and interfaces that have not appeared yet"""
    declared_links: Map[int, Map[int, LinkSettings]] = Map()
    """dpid -> {port_no: what is declared of the link that leaves there}: also of links that have not appeared yet"""
    declared_switches: Map[int, SwitchSettings] = Map()
    default_role: PortRole = PortRole.AUTO

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

    def link_settings(self, src: EndPoint) -> LinkSettings:
        """What is declared of the link that leaves there."""
        return self.declared_links.get(src.dpid, _NONE).get(src.port_no, NO_LINK_SETTINGS)

    def switch_settings(self, dpid: int) -> SwitchSettings:
        return self.declared_switches.get(dpid, NO_SWITCH_SETTINGS)

    def is_drained(self, at: EndPoint) -> bool:
        """Whether the operator wants no path over this port."""
        return self.link_settings(at).drained or self.switch_settings(at.dpid).drained

    def link_at(self, at: EndPoint) -> Link | None:
        """The link that leaves by this port, else the one that comes in."""
        return self.links.get(at) or self.links.get(self.into.get(at, at))
