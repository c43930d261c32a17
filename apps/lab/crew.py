"""Tenants of the lab and their hosts: who sends in a demonstration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pliant.v1.network_pb2 import Network, Port, Subnet
from pliant.v1.tenant_pb2 import Tenant

from apps.lab.fabric import Fabric


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One host of a tenant."""

    host: Any
    name: str
    port: str
    mac: str
    ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """A tenant and its hosts, one a leaf."""

    tenant: str
    members: tuple[Member, ...]

    @property
    def macs(self) -> frozenset[bytes]:
        return frozenset(bytes.fromhex(member.mac.replace(":", "")) for member in self.members)


def create_tenants(fabric: Fabric) -> tuple[Crew, Crew]:
    """Red gets h1, h3, h5 and blue h2, h4, h6.  One transaction, confirmed by every switch."""
    red = _crew(fabric, "red", ("h1", "h3", "h5"))
    blue = _crew(fabric, "blue", ("h2", "h4", "h6"))
    resources: list[Tenant | Network | Subnet | Port] = []
    for crew in (red, blue):
        network = f"tenants/{crew.tenant}/networks/main"
        subnet = f"{network}/subnets/v4"
        resources += [Tenant(name=f"tenants/{crew.tenant}"), Network(name=network)]
        resources += [Subnet(name=subnet, ipv4_cidr="10.0.0.0/24")]
        resources += [
            Port(
                name=member.port,
                subnet=subnet,
                mac_address=member.mac,
                addresses=[member.ip],
                attachment=fabric.attachment(member.name),
            )
            for member in crew.members
        ]
    fabric.client.apply(resources, wait=True)
    return red, blue


def _crew(fabric: Fabric, tenant: str, names: Sequence[str]) -> Crew:
    members = []
    for number, name in enumerate(names, start=11):
        host, ip = fabric.host(name), f"10.0.0.{number}"
        host.setIP(ip, 24)
        port = f"tenants/{tenant}/networks/main/ports/{name}"
        members.append(Member(host=host, name=name, port=port, mac=host.MAC(), ip=ip))
    return Crew(tenant=tenant, members=tuple(members))
