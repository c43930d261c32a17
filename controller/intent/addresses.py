"""Addresses that Pliant chooses: MACs of ports and gateways, the next free address of a subnet, the default gateway.

Knows which addresses of a CIDR a host can have.  Refuses to know whether a chosen address is allowed (rules.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network
from itertools import count

from immutables import Map

from controller.intent.snapshot import Snapshot
from controller.model.errors import ResourceExhausted
from controller.model.network import Address, Subnet

Cidr = IPv4Network | IPv6Network

GATEWAY_MAC_PREFIX = "02:00:5e"


def gateway_mac(network_key: int) -> str:
    """The MAC of all gateways of a network: one per network key, so that no two networks of a switch share one."""
    return f"{GATEWAY_MAC_PREFIX}:{_hex_pairs(network_key.to_bytes(3, 'big'))}"


def assign_mac(snapshot: Snapshot, network: str, uid: str) -> str:
    """A locally administered MAC that is free in the network.

    It follows from the port's uid (blake2b, 40 bits): the same port has the same MAC whatever was created before it.
    After a collision the hash of the next step is taken.
    """
    taken = snapshot.macs.get(network, Map())
    for step in count():
        mac = "02:" + _hex_pairs(blake2b(f"{uid}/{step}".encode(), digest_size=5).digest())
        if mac not in taken and not mac.startswith(GATEWAY_MAC_PREFIX):
            return mac
    raise AssertionError("unreachable")


def assign_addresses(snapshot: Snapshot, subnet: Subnet) -> tuple[Snapshot, tuple[Address, ...]]:
    """One free address of each family of the subnet, and the snapshot that remembers where to search next.

    The search goes on behind the address given last and wraps around: as a rule it takes one step, and a deleted port's
    address is not given at once to another port, to which stale neighbour caches would send its traffic.  After a start
    the place is unknown and the first search walks over what is in use, once.  SUBNET_EXHAUSTED is found by counting.
    """
    chosen: list[Address] = []
    cursors = snapshot.address_cursors
    taken = snapshot.addresses.get(subnet.network, Map())
    for cidr in cidrs(subnet):
        first, last = host_range(cidr)
        if snapshot.counts.get((subnet.name, f"ipv{cidr.version}"), 0) > last - first:
            raise _exhausted(subnet, cidr, last - first + 1)
        at = cursors.get((subnet.name, cidr.version), first - 1)
        while True:
            at = at + 1 if at < last else first
            address = cidr[at]
            if address not in taken:
                break
        cursors = cursors.set((subnet.name, cidr.version), at)
        chosen.append(address)
    return replace(snapshot, address_cursors=cursors), tuple(chosen)


def cidrs(subnet: Subnet) -> Iterator[Cidr]:
    for cidr in (subnet.ipv4_cidr, subnet.ipv6_cidr):
        if cidr is not None:
            yield cidr


def host_range(cidr: Cidr) -> tuple[int, int]:
    """First and last offset in the CIDR that a host can have.

    Not the first address (the network's; in IPv6 that of any router, RFC 4291 2.6.1), nor the IPv4 broadcast address.
    """
    return 1, cidr.num_addresses - (2 if cidr.version == 4 else 1)


def is_host(cidr: Cidr, address: Address) -> bool:
    """Whether a host in the CIDR can have the address."""
    first, last = host_range(cidr)
    return address.version == cidr.version and first <= int(address) - int(cidr.network_address) <= last


def with_gateways(subnet: Subnet) -> Subnet:
    """With the first host address of each CIDR as gateway where none is given."""
    ipv4, ipv6 = subnet.ipv4_gateway, subnet.ipv6_gateway
    if ipv4 is None and subnet.ipv4_cidr is not None:
        ipv4 = subnet.ipv4_cidr[1]
    if ipv6 is None and subnet.ipv6_cidr is not None:
        ipv6 = subnet.ipv6_cidr[1]
    return replace(subnet, ipv4_gateway=ipv4, ipv6_gateway=ipv6)


def _hex_pairs(data: bytes) -> str:
    return data.hex(":")


def _exhausted(subnet: Subnet, cidr: Cidr, size: int) -> ResourceExhausted:
    return ResourceExhausted(
        "SUBNET_EXHAUSTED",
        f"subnet {subnet} has no free address left in {cidr}: all {size} are in use; "
        "delete ports, or create another subnet in the network",
        subject=subnet.name,
        metadata={"subnet": subnet.name, "cidr": str(cidr), "size": str(size)},
    )
