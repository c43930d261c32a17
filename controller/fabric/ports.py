"""Switches and their ports, as last observed.  Knows nothing of links, tenants or OpenFlow messages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from immutables import Map

from controller.model.ids import format_dpid


class EndPoint(NamedTuple):
    """One switch port of the fabric."""

    dpid: int
    port_no: int

    def __str__(self) -> str:
        return f"{format_dpid(self.dpid)}:{self.port_no}"


class PortRole(StrEnum):
    """Who is behind a switch port."""

    AUTO = "AUTO"
    """Not known yet: probed, and open to whichever shows itself first, a link or a host."""
    EDGE = "EDGE"
    """Tenants' hosts; whatever comes from there is untrusted."""
    FABRIC = "FABRIC"
    """Another switch of the fabric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPort:
    """A port of a switch.  Name and MAC are its identity: with another of either it is another port."""

    port_no: int
    name: str
    mac: str
    up: bool
    speed_kbps: int = 0
    """What the port reports; 0 if it does not say."""
    declared_role: PortRole | None = None
    heard_host: bool = False
    """A host was once heard or bound here, so a probe alone never makes this a fabric port."""

    def is_same_port(self, other: SwitchPort) -> bool:
        return (self.port_no, self.name, self.mac) == (other.port_no, other.name, other.mac)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchFeatures:
    """What a switch said it can do.  `max_meters` 0: it has none, and ceilings cannot be enforced there."""

    n_tables: int = 254
    max_meters: int = 0
    meter_pktps: bool = False
    max_groups: int = 0
    manufacturer: str = ""
    software: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A switch that connected at least once.  `connected` is about the control channel only."""

    dpid: int
    connected: bool
    features: SwitchFeatures = SwitchFeatures()
    ports: Map[int, SwitchPort] = Map()
    by_name: Map[str, int] = Map()
    queue_driver: str = ""
    """how guarantees are enforced here: "ovsdb", "tc", or by nothing"""
    no_queues: str = ""
    """why there is no driver; "" also if nobody looked yet"""
    queue_faults: Map[int, str] = Map()
    """port number -> why its queues are not as they should be"""
    shaped: Map[int, int] = Map()
    """port number -> kbit/s that its queues hold it to, where that is a ceiling; nothing where there is any doubt"""

    def __str__(self) -> str:
        return format_dpid(self.dpid)

    def find_port(self, interface: str, port_no: int = 0) -> SwitchPort | None:
        """The port with that interface name, or (if the name is empty) with that number."""
        return self.ports.get(self.by_name.get(interface, 0) if interface else port_no)
