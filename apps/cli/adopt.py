"""Which objects make the hosts of a running Mininet reach each other.  Pure.

One port for each interface, with exactly its MAC and addresses, attached where its wire ends; one subnet for each range
of addresses, whose gateway is an address that no host has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import islice

from pliant.v1.fabric_pb2 import Switch
from pliant.v1.network_pb2 import Attachment, Network, Port, Subnet
from pliant.v1.tenant_pb2 import Tenant

from apps.cli.errors import INVALID, PRECONDITION, Failure
from apps.cli.kinds import last_id, pad_dpid
from apps.cli.manifest import Resource
from apps.cli.mininet import HostInterface

ADOPTED = {"adopted-from": "mininet"}
"""The label of every port made here, by which those of hosts that are gone are found."""
MAX_TRIED_GATEWAYS = 100_000
Range = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@dataclass(slots=True)
class _Subnet:
    """Ranges that some interface has together, and the addresses taken in them."""

    ranges: set[Range]
    taken: set[Address] = field(default_factory=set)


def plan(
    interfaces: Sequence[HostInterface], switches: Iterable[Switch], *, tenant: str, network: str, template: str
) -> list[Resource]:
    """Tenant, network, subnets and ports, in this order.  Failure names what stands in the way."""
    where = f"tenants/{tenant}/networks/{network}"
    attachments = attach(interfaces, switches)
    subnets = _subnets(interfaces)
    resources: list[Resource] = [Tenant(name=f"tenants/{tenant}"), Network(name=where)]
    names: dict[frozenset[Range], str] = {}
    for subnet in subnets:
        name = f"{where}/subnets/{_subnet_id(subnet)}"
        names[frozenset(subnet.ranges)] = name
        resources.append(_subnet_message(name, subnet))
    several = len({interface.host for interface in interfaces}) < len(interfaces)
    used: dict[str, HostInterface] = {}
    for interface in interfaces:
        port_id = _port_id(interface, template or ("{interface}" if several else "{host}"))
        if other := used.get(port_id):
            raise Failure(
                f"{other.name} of {other.host} and {interface.name} of {interface.host} would both be port {port_id!r}",
                INVALID, advice="tell them apart with --name '{host}-{interface}'",
            )
        used[port_id] = interface
        ranges = {address.network for address in interface.addresses}
        subnet_name = next(name for held, name in names.items() if ranges <= held)
        resources.append(
            Port(
                name=f"{where}/ports/{port_id}",
                labels=ADOPTED,
                subnet=subnet_name,
                mac_address=interface.mac,
                addresses=[str(address.ip) for address in interface.addresses],
                attachment=attachments[interface.peer],
            )
        )
    return resources


def attach(interfaces: Sequence[HostInterface], switches: Iterable[Switch]) -> Mapping[str, Attachment]:
    """Interface out here -> attachment.  Every one must be a port of exactly one connected switch."""
    owners: dict[str, list[str]] = {}
    for switch in switches:
        for port in switch.switch_ports if switch.connected else ():
            owners.setdefault(port.interface, []).append(pad_dpid(last_id(switch.name)))
    lost = [interface for interface in interfaces if interface.peer not in owners]
    if lost:
        shown = ", ".join(f"{interface.peer} (of {interface.host})" for interface in lost[:5])
        more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
        raise Failure(
            f"no connected switch has the interface {shown}{more}", PRECONDITION,
            advice="pliant get switches; mn needs --controller remote, and pliantd's OpenFlow port (6653)",
        )
    for interface in interfaces:
        if len(owners[interface.peer]) > 1:
            raise Failure(
                f"several switches have an interface {interface.peer}: {', '.join(owners[interface.peer])}",
                PRECONDITION, advice="create the port by hand: pliant create port --attach INTERFACE@DPID",
            )
    return {
        interface.peer: Attachment(switch=owners[interface.peer][0], interface=interface.peer)
        for interface in interfaces
    }


def _subnets(interfaces: Sequence[HostInterface]) -> list[_Subnet]:
    """Interfaces that share a range share a subnet, so an IPv4 and an IPv6 range that occur together are one."""
    subnets: list[_Subnet] = []
    for interface in interfaces:
        merged = _Subnet({address.network for address in interface.addresses})
        merged.taken.update(address.ip for address in interface.addresses)
        for subnet in [each for each in subnets if each.ranges & merged.ranges]:
            merged.ranges |= subnet.ranges
            merged.taken |= subnet.taken
            subnets.remove(subnet)
        subnets.append(merged)
        for version in (4, 6):
            same = sorted(str(each) for each in merged.ranges if each.version == version)
            if len(same) > 1:
                raise Failure(
                    f"{interface.name} of {interface.host} ties {' and '.join(same)} together, but a port has the "
                    f"addresses of one subnet: one range of IPv{version}", PRECONDITION,
                    advice="take one of the addresses away, or leave that host out by naming the others",
                )
    return subnets


def _subnet_id(subnet: _Subnet) -> str:
    """From its first range, so that the same hosts give the same name: 10-0-0-0-24."""
    first = min(subnet.ranges, key=lambda each: (each.version, str(each)))
    return re.sub(r"-+", "-", re.sub(r"[^0-9a-f]", "-", str(first)))


def _subnet_message(name: str, subnet: _Subnet) -> Subnet:
    message = Subnet(name=name)
    for each in subnet.ranges:
        setattr(message, f"ipv{each.version}_cidr", str(each))
        setattr(message, f"ipv{each.version}_gateway", str(_gateway(each, subnet.taken)))
    return message


def _gateway(range_: Range, taken: set[Address]) -> Address:
    """The highest address that no host has: hosts usually count from below."""
    last = range_.num_addresses - (2 if range_.version == 4 and range_.num_addresses > 2 else 1)
    offsets = islice(range(last, -1, -1), MAX_TRIED_GATEWAYS)
    free = next((range_[offset] for offset in offsets if range_[offset] not in taken), None)
    if free is None or free == range_.network_address:
        raise Failure(f"the hosts take every address of {range_}, and its gateway needs one", PRECONDITION)
    return free


def _port_id(interface: HostInterface, template: str) -> str:
    """What the template makes of it, in the letters that an id may have."""
    try:
        text = template.format(host=interface.host, interface=interface.name)
    except (KeyError, IndexError, ValueError) as error:
        raise Failure(f"--name {template!r} may use {{host}} and {{interface}} only", INVALID) from error
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
