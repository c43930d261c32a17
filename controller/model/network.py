"""Virtual networks, subnets, ports, peerings, pipes, and where a port attaches."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from controller.model.bandwidth import NO_POLICY, BandwidthPolicy
from controller.model.ids import format_dpid, network_of, tenant_of
from controller.model.tenancy import Meta

Address = IPv4Address | IPv6Address


class Spread(StrEnum):
    """How a network's connections use the paths between two edges."""

    SPREAD = "SPREAD"
    """each connection takes one of the paths by its hash"""
    TOGETHER = "TOGETHER"
    """all of the network between two edges take one path, so that nothing is ever reordered between connections"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPolicy:
    """Which paths a network's frames may take.  Whatever is unset constrains nothing."""

    trees: tuple[int, ...] = ()
    """of the working trees toward an edge only these, 0 to 3, modulo the number it has; (): any"""
    avoid_zones: tuple[str, ...] = ()
    """no switch on the way, the two edges apart, is of one of these zones: a promise, rather drop than break it"""
    max_latency_us: int = 0
    """sum over the links of the path; 0: any.  A wish: where no path is as fast, the fastest one carries"""
    spread: Spread = Spread.SPREAD


ANY_PATH = PathPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A tenant's virtual network.  Its ports reach each other, those of networks it has a peering with, and no others.
    """

    name: str
    meta: Meta = field(default_factory=Meta)
    bandwidth: BandwidthPolicy = NO_POLICY
    path_policy: PathPolicy = ANY_PATH

    @property
    def tenant(self) -> str:
        return tenant_of(self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """Addresses of a network: an IPv4 range, an IPv6 range, or both, each with the gateway that answers in it."""

    name: str
    meta: Meta = field(default_factory=Meta)
    ipv4_cidr: IPv4Network | None = None
    ipv6_cidr: IPv6Network | None = None
    ipv4_gateway: IPv4Address | None = None
    ipv6_gateway: IPv6Address | None = None

    @property
    def network(self) -> str:
        return network_of(self.name)

    @property
    def gateways(self) -> tuple[Address, ...]:
        return tuple(g for g in (self.ipv4_gateway, self.ipv6_gateway) if g is not None)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Where a port plugs in: a switch, and one of its ports by interface name or by OpenFlow number (exactly one)."""

    dpid: int
    interface: str = ""
    port_no: int = 0

    def __str__(self) -> str:
        return f"{format_dpid(self.dpid)}:{self.interface or self.port_no}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A tenant's attachment point.  Its MAC and addresses are the only ones it may use as source."""

    name: str
    subnet: str
    mac: str
    addresses: tuple[Address, ...] = ()
    meta: Meta = field(default_factory=Meta)
    attachment: Attachment | None = None
    bandwidth: BandwidthPolicy = NO_POLICY

    @property
    def network(self) -> str:
        return network_of(self.name)

    @property
    def tenant(self) -> str:
        return tenant_of(self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Peering:
    """Two networks of one tenant reach each other.  Not transitive: what `a` reaches otherwise `b` does not."""

    name: str
    a: str
    b: str
    meta: Meta = field(default_factory=Meta)

    @property
    def tenant(self) -> str:
        return tenant_of(self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipe:
    """Bandwidth between two ports of one network, or between two networks that have a peering.

    `out` is from `a` to `b`, `in` from `b` to `a`.  Lives in the tenant.
    """

    name: str
    a: str
    b: str
    meta: Meta = field(default_factory=Meta)
    bandwidth: BandwidthPolicy = NO_POLICY

    @property
    def tenant(self) -> str:
        return tenant_of(self.name)

    @property
    def joins_networks(self) -> bool:
        """Whether its ends are networks, each with all of its ports."""
        return network_of(self.a) == self.a

    def __str__(self) -> str:
        return self.name
