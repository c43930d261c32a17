"""Hosts in several subnets and networks, on real switches: who reaches whom by a gateway, and what comes in between.

    amber   shop 10.0.0.0/24 ◄─ peering ─► office 10.1.0.0/24, 10.2.0.0/24        lone 10.3.0.0/24
    ebony   shop, office and lone again, with the same addresses and MACs; here lone and office are peers
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pliant.v1 import network_pb2, peering_pb2, tenant_pb2

from apps.lab import measure
from apps.lab.frames import udp_frame
from tests.support.eventually import eventually
from tests.support.fabric import ACTIVE, Fabric, at, leaf_spine
from tests.support.rig import Host, Rig
from tests.support.storm import send_frames

pytestmark = pytest.mark.ovs

SUBNETS = {"shop/a": 0, "office/a": 1, "office/b": 2, "lone/a": 3}
"""network/subnet -> N of 10.N.0.0/24 and fd00:N::/64"""
HOSTS = {"s1": ("shop/a", 1), "s2": ("shop/a", 2), "o1": ("office/a", 1), "o2": ("office/b", 2), "l1": ("lone/a", 2)}
"""name -> subnet, leaf"""
PEERINGS = {"amber": ("shop", "office"), "ebony": ("lone", "office")}
_IPV4, _ECHO6 = b"\x08\x00", (b"\x80", b"\x81")
GAP_MS = 1_000
"""Far more than a failover takes, and less than the stream goes on."""


class Town:
    """The two tenants, each with all hosts."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.hosts: dict[str, dict[str, Host]] = {}
        for t, tenant in enumerate(PEERINGS):
            self.hosts[tenant] = {name: self._add_host(tenant, t, i, name) for i, name in enumerate(HOSTS)}
            fabric.client.apply([*self._objects(tenant), self.peering(tenant)], wait=True)
        fabric.wait_in_sync()

    def _add_host(self, tenant: str, t: int, i: int, name: str) -> Host:
        subnet, leaf = HOSTS[name]
        number = SUBNETS[subnet]
        host = self.fabric.rig.add_host(
            f"{tenant[0]}{name}", f"s{leaf}", 10 + 2 * i + t, mac=f"02:00:00:00:00:{i + 1:02x}",
            ip=f"10.{number}.0.{10 + i}/24", gateway=f"10.{number}.0.1", ipv6=f"fd00:{number}::{10 + i}/64")
        host.run("ip", "-6", "route", "add", "default", "via", f"fd00:{number}::1", "dev", "eth0")
        return host

    def _objects(self, tenant: str) -> Iterator[object]:
        top = f"tenants/{tenant}"
        yield tenant_pb2.Tenant(name=top)
        for network in ("shop", "office", "lone"):
            yield network_pb2.Network(name=f"{top}/networks/{network}")
        for subnet, number in SUBNETS.items():
            network, _, name = subnet.partition("/")
            yield network_pb2.Subnet(name=f"{top}/networks/{network}/subnets/{name}", ipv4_cidr=f"10.{number}.0.0/24",
                                     ipv6_cidr=f"fd00:{number}::/64")
        for name, host in self.hosts[tenant].items():
            yield self.port(tenant, name, int(host.bridge[1:]), host.port_no)

    def port(self, tenant: str, name: str, leaf: int, port_no: int) -> network_pb2.Port:
        network, _, subnet = HOSTS[name][0].partition("/")
        host, top = self.hosts[tenant][name], f"tenants/{tenant}/networks/{network}"
        return network_pb2.Port(
            name=f"{top}/ports/{name}", subnet=f"{top}/subnets/{subnet}", mac_address=host.mac,
            addresses=[host.ip, ipv6(host)], attachment=at(leaf, port_no))

    def peering(self, tenant: str) -> peering_pb2.Peering:
        a, b = (f"tenants/{tenant}/networks/{network}" for network in PEERINGS[tenant])
        return peering_pb2.Peering(name=f"tenants/{tenant}/peerings/p", a=a, b=b)

    def gateway_mac(self, host: Host) -> str:
        """What the host has learned."""
        host.ping(gateway(host), count=1)
        said = host.run("ip", "neigh", "show", gateway(host))
        return said.split("lladdr ")[1].split()[0]


def ipv6(host: Host) -> str:
    _, number, _, last = host.ip.split(".")
    return f"fd00:{number}::{last}"


def gateway(host: Host) -> str:
    return f"{host.ip.rpartition('.')[0]}.1"


def meets(tenant: str, one: str, other: str) -> bool:
    """Whether they are of one network, or of two that are peers."""
    networks = {HOSTS[name][0].partition("/")[0] for name in (one, other)}
    return len(networks) == 1 or networks == set(PEERINGS[tenant])


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with Rig() as rig, leaf_spine(rig, leaves=(1, 2), env={"PLIANT_FABRIC__HOLD_DOWN_S": "1.0"}) as fabric:
        yield Town(fabric)


@pytest.mark.parametrize("tenant", PEERINGS)
def test_subnets_and_peers_reach_each_other_and_nobody_else(town: Town, tenant: str) -> None:
    """IPv4 and IPv6, near and far, all pairs at once, while the other tenant's hosts record what they hear: nothing."""
    hosts = town.hosts[tenant]
    other = next(iter(PEERINGS.keys() - {tenant}))
    with ExitStack() as stack:
        captures = [stack.enter_context(host.capture()) for host in town.hosts[other].values()]
        for family in (lambda host: host.ip, ipv6):
            pings = {(one, to): measure.start_ping(hosts[one], family(hosts[to]), count=3)
                     for one in hosts for to in hosts if one != to}
            results = {pair: ping.finish() for pair, ping in pings.items()}
            for (one, to), ping in results.items():
                assert ping.received == (3 if meets(tenant, one, to) else 0), (one, to, ping)
        heard = [frame for capture in captures for frame in capture.finish()]
        assert [frame for frame in heard if frame[12:14] == _IPV4 or frame[54:55] in _ECHO6] == []


def test_gateways_answer_and_a_host_sees_one_hop(town: Town) -> None:
    """Its own gateway and those of all subnets that it reaches; what it gets from there has a TTL of 63."""
    s1, o2 = town.hosts["amber"]["s1"], town.hosts["amber"]["o2"]
    for address in ("10.0.0.1", "10.1.0.1", "10.2.0.1", "fd00:0::1", "fd00:1::1", "fd00:2::1"):
        assert s1.ping(address).received == 3, address
    assert s1.ping("10.3.0.1").received == 0
    assert "ttl=63" in s1.run("ping", "-n", "-c", "1", "-W", "5", o2.ip)


def test_tcp_crosses_at_full_size(town: Town) -> None:
    """From network to network and back, between two switches: 1500-byte packets, in both directions."""
    s1, o2 = town.hosts["amber"]["s1"], town.hosts["amber"]["o2"]
    assert s1.tcp_rate_to(o2, duration_s=2).rate_kbps > 1_000
    assert s1.run("ping", "-n", "-c", "2", "-W", "5", "-M", "do", "-s", "1472", o2.ip).count("bytes from") == 2


def test_forged_frames_to_a_gateway_are_dropped_and_counted(town: Town) -> None:
    """A foreign source, a source of the other network, no hop left, an unknown address, a net that is no peer's."""
    s1, o1, l1 = (town.hosts["amber"][name] for name in ("s1", "o1", "l1"))
    mac = town.gateway_mac(s1)
    for reason, frame in (
        ("SPOOFED_IPV4", udp_frame(src_mac=s1.mac, dst_mac=mac, src_ip=o1.ip, dst_ip="10.2.0.13")),
        ("SPOOFED_IPV4", udp_frame(src_mac=mac, dst_mac=mac, src_ip=s1.ip, dst_ip=o1.ip)),
        ("TTL_EXPIRED", udp_frame(src_mac=s1.mac, dst_mac=mac, src_ip=s1.ip, dst_ip=o1.ip, ttl=1)),
        ("UNKNOWN_ADDRESS", udp_frame(src_mac=s1.mac, dst_mac=mac, src_ip=s1.ip, dst_ip="10.1.0.99")),
        ("UNKNOWN_ADDRESS", udp_frame(src_mac=s1.mac, dst_mac=mac, src_ip=s1.ip, dst_ip="10.1.0.255")),
        ("NO_ROUTE", udp_frame(src_mac=s1.mac, dst_mac=mac, src_ip=s1.ip, dst_ip=l1.ip)),
        ("NO_ROUTE", udp_frame(src_mac=s1.mac, dst_mac=mac, src_ip=s1.ip, dst_ip="255.255.255.255")),
        ("UNKNOWN_DESTINATION", udp_frame(
            src_mac=s1.mac, dst_mac=town.gateway_mac(o1), src_ip=s1.ip, dst_ip=o1.ip)),
    ):
        before = town.fabric.drops("amber", reason)
        with o1.capture() as capture:
            send_frames(s1, [frame] * 5)
            assert s1.ping(o1, count=1).received == 1  # frames of one host keep their order
            assert frame[14:] not in [heard[14:] for heard in capture.finish()]
        eventually(lambda reason=reason, before=before: town.fabric.drops("amber", reason) >= before + 5,
                   what=f"5 more of {reason}")


def test_routed_traffic_outlives_the_controller_and_a_dead_link(town: Town) -> None:
    """pliantd is killed and started under a stream: nothing lost.  Gone again, a wire dies: the switches get around."""
    fabric = town.fabric
    s1, o2 = town.hosts["amber"]["s1"], town.hosts["amber"]["o2"]
    with s1.probe(o2, packets_per_s=500) as probe:
        fabric.pliantd.stop(signal.SIGKILL)
        fabric.pliantd.start()
        fabric.wait_in_sync()
        result = probe.finish()
    assert (result.lost, result.duplicates) == (0, 0), result
    fabric.pliantd.kill()
    for interface in ("s1-s11-101", "s1-s12-102"):
        with s1.probe(o2, packets_per_s=500) as probe:
            time.sleep(0.3)
            fabric.rig.set_link(interface, up=False)
            time.sleep(2.0)
            result = probe.finish()
        assert result.received and result.longest_gap_ms < GAP_MS, (interface, result)
        assert result.duplicates == 0
        fabric.rig.set_link(interface, up=True)
    fabric.pliantd.start()
    fabric.wait_in_sync()
    eventually(lambda: all(link.up for link in fabric.client.links.list()), 30, "all links used again")
    fabric.wait_in_sync()


def test_port_that_moves_is_found_by_its_peers(town: Town) -> None:
    """To another switch: the peers' edges follow, and back."""
    fabric, tenant = town.fabric, "amber"
    s1, o1 = town.hosts[tenant]["s1"], town.hosts[tenant]["o1"]
    moved = fabric.rig.add_host("elsewhere", "s2", 60, mac=o1.mac, ip=f"{o1.ip}/24", gateway="10.1.0.1")
    try:
        assert fabric.client.ports.update(town.port(tenant, "o1", 2, 60), ["attachment"], wait=True).state == ACTIVE
        assert s1.ping(moved.ip).received == 3
        assert moved.ping(s1).received == 3
        assert o1.ping(s1).received == 0
    finally:
        fabric.client.ports.update(town.port(tenant, "o1", 1, o1.port_no), ["attachment"], wait=True)
        fabric.rig.remove_host(moved)
    assert s1.ping(o1).received == 3


def test_peering_that_goes_takes_its_routes_and_nothing_else(town: Town) -> None:
    """Under traffic: what crossed stops when the call returns, inside each network all goes on; created anew, it flows.
    """
    fabric = town.fabric
    s1, s2, o1, o2 = (town.hosts["amber"][name] for name in ("s1", "s2", "o1", "o2"))
    with o1.probe(o2, packets_per_s=200) as inside:
        fabric.client.peerings.delete("tenants/amber/peerings/p", wait=True)
        assert [s1.ping(to).received for to in (o1.ip, o2.ip, ipv6(o1), "10.1.0.1")] == [0, 0, 0, 0]
        assert o2.ping(s2).received == 0
        assert s1.ping(s2).received == 3
        fabric.client.peerings.create(town.peering("amber"), wait=True)
        assert [s1.ping(to).received for to in (o1.ip, o2.ip, ipv6(o1), "10.1.0.1")] == [3, 3, 3, 3]
        result = inside.finish()
    assert (result.lost, result.duplicates) == (0, 0), result
