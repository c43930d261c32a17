"""Networks of one tenant: apart from each other like those of two, together under the tenant's ceiling."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import permutations

import pytest
from pliant.v1 import network_pb2, tenant_pb2

from apps.lab.frames import udp_frame
from controller.pipeline.tables import FDB, TX_TENANT, Table
from tests.support.eventually import eventually
from tests.support.fabric import Fabric, Policy, leaf_spine
from tests.support.rig import Host, Rig
from tests.support.storm import send_frames

BROADCAST = "ff:ff:ff:ff:ff:ff"
NETWORKS = "mno"
LEAVES = 1, 2
PAYLOAD, FRAME = 1_400, 1_442


class Tenant:
    """red, with networks m, n and o, and in each of them host 1 on leaf 1 and host 2 on leaf 2, with equal addresses.

    The controller reaches leaf 2 through a relay.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.hosts: dict[str, dict[int, Host]] = {}
        fabric.client.apply([tenant_pb2.Tenant(name="tenants/red")])
        for i, network in enumerate(NETWORKS):
            self.add(network, {leaf: fabric.add_host(f"{network}{leaf}", leaf, 1 + i, 10 + leaf) for leaf in LEAVES})

    def add(self, network: str, hosts: dict[int, Host]) -> None:
        """A network with a port for each of these hosts."""
        name = f"tenants/red/networks/{network}"
        self.fabric.client.apply([
            network_pb2.Network(name=name), network_pb2.Subnet(name=f"{name}/subnets/s", ipv4_cidr="10.0.0.0/24")])
        self.fabric.create_ports(name, hosts.values())
        self.hosts[network] = hosts

    def slices(self, leaf: int) -> set[int]:
        """Of the networks that are present there: by them MACs are looked up."""
        return {int(key, 16) >> 10 for key in self._found(leaf, FDB, r"metadata=0x([0-9a-f]+)/0xffffff\b")}

    def meters(self, leaf: int) -> list[str]:
        """What frames pass at the ceiling of the tenant where they come in."""
        return self._found(leaf, TX_TENANT, r"meter:(\d+)")

    def _found(self, leaf: int, table: Table, pattern: str) -> list[str]:
        flows = [flow for flow in self.fabric.rig.flows(f"s{leaf}") if f"table={table.number}," in flow]
        return [found for flow in flows for found in re.findall(pattern, flow)]


@pytest.fixture(scope="module")
def red() -> Iterator[Tenant]:
    with Rig() as rig, leaf_spine(rig, leaves=LEAVES, spines=(11,), relayed=(2,)) as fabric:
        yield Tenant(fabric)


def test_siblings_reach_their_own_and_nothing_of_the_others(red: Tenant) -> None:
    """Unicast and broadcast arrive once, across the fabric, in their own network only."""
    with ExitStack() as stack:
        captures = {host.name: stack.enter_context(host.capture())
                    for hosts in red.hosts.values() for host in hosts.values()}
        sent: dict[str, list[bytes]] = {}
        for hosts in red.hosts.values():
            for one, other in permutations(hosts.values(), 2):
                sent[one.name] = [
                    udp_frame(src_mac=one.mac, dst_mac=mac, src_ip=one.ip, dst_ip=ip, payload=one.name.encode())
                    for mac, ip in ((other.mac, other.ip), (BROADCAST, "255.255.255.255"))]
                send_frames(one, sent[one.name])
                assert one.ping(other, count=2).lost == 0
        arrived = {name: capture.finish() for name, capture in captures.items()}
    for name, frames in arrived.items():
        for sender, theirs in sent.items():
            times = 1 if sender[0] == name[0] and sender != name else 0
            assert [frames.count(frame) for frame in theirs] == [times, times], f"from {sender} at {name}"
    assert len(red.slices(1)) == len(NETWORKS) and red.slices(1) == red.slices(2)


def test_siblings_are_under_one_ceiling_of_their_tenant(red: Tenant) -> None:
    """Two networks offer 40 Mbit/s each from one edge: they pass one meter there, and get the ceiling together."""
    kbps, update = 20_000, red.fabric.client.tenants.update
    policy = Policy(ceiling_out_kbps=kbps, burst_ms=100)
    update(tenant_pb2.Tenant(name="tenants/red", bandwidth=policy), ["bandwidth"], wait=True)
    with ExitStack() as stack:
        probes = [stack.enter_context(hosts[1].probe(hosts[2], packets_per_s=3_500, size_bytes=PAYLOAD))
                  for hosts in (red.hosts["m"], red.hosts["n"])]
        began_s = time.monotonic()
        time.sleep(9)  # for a rate to be measured
        assert len(red.meters(1)) == 1
        streams = [probe.finish() for probe in probes]
    # A share moves to the edge that sends within some seconds.
    rates = [stream.rate_kbps(since_s=began_s + 4, until_s=began_s + 9) * FRAME / PAYLOAD for stream in streams]
    print(f"of {kbps}: {rates[0]:.0f} and {rates[1]:.0f}")
    assert 0.6 * kbps <= sum(rates) <= 1.1 * kbps, rates
    update(tenant_pb2.Tenant(name="tenants/red"), ["bandwidth"], wait=True)


def test_frames_of_a_network_that_is_gone_reach_nobody_who_came_after(red: Tenant) -> None:
    """Leaf 2 is out of reach and goes on sending for a deleted network: one that comes after it, with the same host and
    the same addresses, hears nothing.
    """
    fabric, hosts = red.fabric, red.hosts["o"]
    before = red.slices(1)
    fabric.relays[2].cut()
    fabric.wait_connected(2, connected=False)
    fabric.client.networks.delete("tenants/red/networks/o", force=True)
    for name in ("p", "q"):  # the numbers that were given last would be the first to be given again
        red.add(name, {1: hosts[1]})
        stale = fabric.drops("red", "STALE_KEY") + _unowned(fabric, "STALE_KEY")
        frames = [udp_frame(src_mac=hosts[2].mac, dst_mac=mac, src_ip=hosts[2].ip, dst_ip=ip, payload=b"from the past")
                  for mac, ip in ((hosts[1].mac, hosts[1].ip), (BROADCAST, "255.255.255.255"))]
        with hosts[1].capture() as capture:
            send_frames(hosts[2], frames)
            eventually(lambda stale=stale: _unowned(fabric, "STALE_KEY") >= stale + 2, 20, "both arrived on leaf 1")
            heard = capture.finish()
        assert not any(b"from the past" in frame for frame in heard)
        assert len(red.slices(1) - before) == 1
        before |= red.slices(1)
        if name == "p":
            fabric.client.networks.delete("tenants/red/networks/p", force=True)
    fabric.relays[2].restore()
    fabric.wait_in_sync(timeout_s=30)
    assert red.slices(2) < before


def _unowned(fabric: Fabric, reason: str) -> int:
    """Frames dropped for this reason whose tenant is not known."""
    return sum(drop.packets for drop in fabric.client.drops() if drop.reason == reason and not drop.tenant)


def test_kill_amid_new_networks_leaves_each_with_a_slice_and_a_restart_writes_nothing(red: Tenant) -> None:
    """Whatever was begun when the kill came: asked for again, hosts of each reach each other; then all stands."""
    fabric = red.fabric
    for i in range(2):
        name = f"tenants/red/networks/k{i}"
        hosts = {leaf: fabric.add_host(f"k{i}{leaf}", leaf, 20 + i, 30 + leaf) for leaf in LEAVES}
        objects = [
            network_pb2.Network(name=name), network_pb2.Subnet(name=f"{name}/subnets/s", ipv4_cidr="10.0.0.0/24"),
            *(fabric.port(name, host) for host in hosts.values())]
        fabric.client.apply(objects)
        fabric.pliantd.kill()  # no waiting: whatever the switches have of it, they have
        fabric.pliantd.start()
        fabric.client.apply(objects)
        red.hosts[f"k{i}"] = hosts
    fabric.wait_in_sync()
    for hosts in (red.hosts[name] for name in ("m", "n", "k0", "k1")):
        eventually(lambda hosts=hosts: hosts[1].ping(hosts[2], count=1).lost == 0, 20, "they reach each other")
    flows, groups = fabric.flows(), fabric.groups()
    assert len(red.slices(2)) == 4
    fabric.pliantd.kill()
    fabric.pliantd.start()
    fabric.wait_in_sync()
    assert (fabric.flows(), fabric.groups()) == (flows, groups)
