"""States that a sequence passes through: what is asked, and which links probes still find.

A state is the whole of it, not a change: `go` works out what to put and what to delete, and gives it to the controller
in one commit or in many.  So one list of states expands into many orders of events that end in the same place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from controller.fabric.ports import EndPoint
from controller.intent.snapshot import Resource
from controller.model.bandwidth import NO_POLICY, BandwidthPolicy
from controller.model.network import Attachment, Network, Peering, Pipe, Port, Subnet
from controller.model.tenancy import Tenant
from tests.sequences.simulation import Simulation

_RANK = {Tenant: 0, Network: 1, Subnet: 2, Port: 3, Peering: 4, Pipe: 5}


@dataclass(frozen=True)
class State:
    objects: Mapping[str, Resource]
    lost: frozenset[int] = frozenset()
    """numbers of the wires that probes do not find"""


def network_name(tenant: str) -> str:
    return f"tenants/{tenant}/networks/net"


def port_name(tenant: str, port: str) -> str:
    return f"{network_name(tenant)}/ports/{port}"


def tenant(
    name: str, ports: Mapping[str, tuple[int, int]], bandwidth: BandwidthPolicy = NO_POLICY,
) -> dict[str, Resource]:
    """A tenant with one network; every tenant uses the same addresses and MACs.  `ports`: name -> switch port."""
    net = network_name(name)
    cidrs = {"ipv4_cidr": IPv4Network("10.0.0.0/16"), "ipv6_cidr": IPv6Network("fd00::/64")}
    objects: list[Resource] = [
        Tenant(name=f"tenants/{name}", bandwidth=bandwidth), Network(name=net),
        Subnet(name=f"{net}/subnets/sub", **cidrs), *(port(name, one, at) for one, at in ports.items()),
    ]
    return {obj.name: obj for obj in objects}


def port(tenant_name: str, name: str, at: tuple[int, int] | None, bandwidth: BandwidthPolicy = NO_POLICY) -> Port:
    """Its addresses and MAC follow from its name."""
    number = int.from_bytes(name.encode()[-1:])
    return Port(
        name=port_name(tenant_name, name), subnet=f"{network_name(tenant_name)}/subnets/sub",
        mac=f"02:00:00:00:00:{number:02x}",
        addresses=(IPv4Address(f"10.0.0.{number}"), IPv6Address(f"fd00::{number:x}")),
        attachment=Attachment(dpid=at[0], port_no=at[1]) if at else None, bandwidth=bandwidth)


def far_name(tenant: str) -> str:
    return f"tenants/{tenant}/networks/far"


def far_port(tenant_name: str, name: str, at: tuple[int, int] | None) -> Port:
    """A port of the tenant's network "far"."""
    number, far = int.from_bytes(name.encode()[-1:]), far_name(tenant_name)
    return Port(
        name=f"{far}/ports/{name}", subnet=f"{far}/subnets/sub", mac=f"02:00:00:00:01:{number:02x}",
        addresses=(IPv4Address(f"10.1.0.{number}"), IPv6Address(f"fd01::{number:x}")),
        attachment=Attachment(dpid=at[0], port_no=at[1]) if at else None)


def peered(name: str, ports: Mapping[str, tuple[int, int]]) -> dict[str, Resource]:
    """Beside a tenant's network: another one, "far", with these ports, and a peering of the two."""
    far = far_name(name)
    cidrs = {"ipv4_cidr": IPv4Network("10.1.0.0/16"), "ipv6_cidr": IPv6Network("fd01::/64")}
    objects: list[Resource] = [
        Network(name=far), Subnet(name=f"{far}/subnets/sub", **cidrs),
        *(far_port(name, one, at) for one, at in ports.items()),
        Peering(name=f"tenants/{name}/peerings/far", a=network_name(name), b=far),
    ]
    return {obj.name: obj for obj in objects}


def far_pipe(name: str, bandwidth: BandwidthPolicy) -> Pipe:
    """Between the tenant's two networks; out goes to "far"."""
    return Pipe(name=f"tenants/{name}/pipes/far", a=network_name(name), b=far_name(name), bandwidth=bandwidth)


@dataclass
class Walk:
    """Takes a simulation from state to state."""

    sim: Simulation
    split: bool = False
    """every object in a commit, every link in an event, of its own"""
    reverse: bool = False
    """what can be in another order comes in the other order"""
    feed: int = 1
    """every event is told so many times"""
    at: State = field(default_factory=lambda: State({}))

    def go(self, to: State) -> None:
        puts = [obj for name, obj in to.objects.items() if self.at.objects.get(name) != obj]
        deletes = [name for name in self.at.objects if name not in to.objects]
        puts.sort(key=lambda obj: obj.name, reverse=self.reverse)
        puts.sort(key=lambda obj: _RANK[type(obj)])
        deletes.sort(reverse=self.reverse)
        deletes.sort(key=lambda name: (-name.count("/"), "/subnets/" in name))
        links = sorted(self.at.lost ^ to.lost, reverse=self.reverse)
        if self.reverse:
            self._links(links, to)
        if self.split:
            for name in deletes:
                self._commit([], [name])
            for obj in puts:
                self._commit([obj], [])
        elif puts or deletes:
            self._commit(puts, deletes)
        if not self.reverse:
            self._links(links, to)
        self.at = to

    def _commit(self, puts: list[Resource], deletes: list[str]) -> None:
        self.sim.apply(puts, deletes, feed=self.feed)
        if self.split:
            self.sim.reconcile()

    def _links(self, numbers: list[int], to: State) -> None:
        for number in numbers:
            for _ in range(self.feed):
                (self.sim.link_lost if number in to.lost else self.sim.link_seen)(self.sim.wires[number])
            if self.split:
                self.sim.reconcile()


def places(state: State) -> dict[str, EndPoint]:
    ports = (obj for obj in state.objects.values() if isinstance(obj, Port))
    return {p.name: EndPoint(p.attachment.dpid, p.attachment.port_no) for p in ports if p.attachment}
