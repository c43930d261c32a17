"""Look-ups that several fragments share: an object of intent together with its keys and its place.

Each returns None when the thing does not exist in this world, which is how a fragment comes to not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from immutables import Map

from controller.fabric.graph import EndPoint, SwitchFeatures
from controller.intent.addresses import gateway_mac
from controller.intent.snapshot import Snapshot
from controller.model.bandwidth import NO_POLICY, BandwidthPolicy, Rates
from controller.model.ids import tenant_of
from controller.model.network import Network, Peering, Pipe, Port, Subnet
from controller.model.tenancy import Tenant
from controller.pipeline.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPort:
    """A tenant port that has a place, with every number the data plane knows it by."""

    port: Port
    at: EndPoint
    key24: int
    slot: int
    network_key: int
    tenant_id: int

    @property
    def mac(self) -> int:
        return mac_int(self.port.mac)

    @property
    def gateway_mac(self) -> int:
        return mac_int(gateway_mac(self.network_key))

    @property
    def ipv4(self) -> tuple[int, ...]:
        return tuple(sorted({int(a) for a in self.port.addresses if isinstance(a, IPv4Address)}))

    @property
    def ipv6(self) -> tuple[int, ...]:
        """Its IPv6 addresses and the link-local one that its MAC gives; none at all for a port without IPv6."""
        asked = {int(a) for a in self.port.addresses if isinstance(a, IPv6Address)}
        return tuple(sorted(asked | {link_local(self.mac)})) if asked else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNetwork:
    """A network on a switch where it is present."""

    name: str
    key: int
    tenant_id: int
    slot: int

    @property
    def gateway_mac(self) -> int:
        return mac_int(gateway_mac(self.key))


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTenant:
    """A tenant on a switch where it is present."""

    tenant: Tenant
    tenant_id: int
    slot: int


def find_local_tenant(world: World, dpid: int, name: str) -> LocalTenant | None:
    tenant, slot = world.intent.tenants.get(name), world.intent.keys.tenant_slot(dpid, name)
    if tenant is None or slot is None or dpid not in world.placement.tenants.get(name, ()):
        return None
    return LocalTenant(tenant=tenant, tenant_id=world.intent.keys.tenant_id(name), slot=slot)


def find_bound_port(world: World, name: str) -> BoundPort | None:
    port, at, key = world.intent.ports.get(name), world.placement.at.get(name), world.intent.keys.port_key(name)
    if port is None or at is None or key is None or key.dpid != at.dpid:
        return None
    keys = world.intent.keys
    network_key, tenant_id = keys.network_key(port.network), keys.tenant_id(port.tenant)
    return BoundPort(port=port, at=at, key24=key.key24, slot=key.slot, network_key=network_key, tenant_id=tenant_id)


def find_local_network(world: World, dpid: int, name: str) -> LocalNetwork | None:
    keys = world.intent.keys
    slot = keys.network_slot(dpid, name)
    if slot is None or name not in world.intent.networks or not present(world, dpid, name):
        return None
    tenant_id = keys.tenant_id(tenant_of(name))
    return LocalNetwork(name=name, key=keys.network_key(name), tenant_id=tenant_id, slot=slot)


def rates_of(world: World, obj: Tenant | Network | Port | Pipe) -> Rates:
    """What is in force now: the rates of the window that is open, else the policy's own."""
    return world.rates.get(obj.name, obj.bandwidth.rates)


def policy_of(intent: Snapshot, name: str) -> BandwidthPolicy:
    """The policy of the object of that name; none for what has none, or is not there."""
    obj = intent.get(name)
    return NO_POLICY if obj is None or isinstance(obj, Subnet | Peering) else obj.bandwidth


def find_features(world: World, dpid: int) -> SwitchFeatures | None:
    switch = world.fabric.switches.get(dpid)
    return switch.features if switch else None


def chooses_queues(world: World, dpid: int) -> bool:
    """Whether flows have to say which queue a frame takes there; elsewhere the switch's port tells from the label."""
    switch = world.fabric.switches.get(dpid)
    return switch is not None and switch.queue_driver == "ovsdb"


def shaped_kbps(world: World, at: EndPoint) -> int:
    """The ceiling that the queues of a switch port hold it to; 0 if they hold none."""
    switch = world.fabric.switches.get(at.dpid)
    return switch.shaped.get(at.port_no, 0) if switch is not None else 0


def present(world: World, dpid: int, network: str) -> bool:
    presence = world.placement.presence.get(network)
    return presence is not None and dpid in presence


def subnets_of(world: World, network: str) -> list[Subnet]:
    """By name."""
    return [world.intent.subnets[name] for name in sorted(world.intent.subnets_by_network.get(network, ()))]


def routed_to(world: World, network: str) -> tuple[str, ...]:
    """The networks whose addresses the network's router has routes to, sorted; they have routes to it, too.

    Its peers; and itself as soon as it has two subnets: in one, hosts find each other.
    """
    routes_inside = len(world.intent.subnets_by_network.get(network, ())) > 1
    return tuple(sorted((*world.intent.peers_of(network), *((network,) if routes_inside else ()))))


def reached_by(world: World, network: str) -> frozenset[int]:
    """The switches that the network's frames may be for: where it is present, and where its peers are."""
    presence = world.placement.presence
    return frozenset(dpid for each in (network, *world.intent.peers_of(network)) for dpid in presence.get(each, ()))


def other_edges(world: World, dpid: int, network: str) -> Iterator[int]:
    """Edge ids of the other switches where the network is present, ascending."""
    ids = (world.intent.keys.edge_id(other) for other in world.placement.presence[network] if other != dpid)
    return iter(sorted(edge_id for edge_id in ids if edge_id is not None))


def local_leaves(world: World, dpid: int, network: str) -> list[int]:
    """Leaves of the local replication tree that hold a port, ascending."""
    return sorted(world.placement.leaves.get((dpid, network), ()))


def leaf_keys(world: World, dpid: int, network: str, leaf: int) -> list[int]:
    """Port keys of the network's ports on the switch that belong to the leaf, ascending."""
    leaves: Map[int, Map[int, None]] = world.placement.leaves.get((dpid, network), Map())
    return sorted(leaves.get(leaf, ()))


def mac_int(mac: str) -> int:
    return int(mac.replace(":", ""), 16)


def link_local(mac: int) -> int:
    """fe80::/64 with the modified EUI-64 of the MAC (RFC 4291, appendix A)."""
    return 0xFE80 << 112 | (mac >> 24 ^ 0x020000) << 40 | 0xFFFE << 24 | mac & 0xFFFFFF
