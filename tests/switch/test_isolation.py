"""Two tenants with equal addresses on every leaf: all of each network, and nothing of the other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import permutations, product

import pytest

from apps.lab import measure
from apps.lab.frames import arp_frame, mac_bytes, udp_frame
from tests.support.eventually import eventually
from tests.support.fabric import Fabric
from tests.support.packets import nd_advertisement, nd_solicitation, udp6_frame
from tests.support.rig import Host
from tests.support.storm import send_frames, storm

TENANTS = ("red", "blue")
PLACES = {1: 1, 2: 2, 3: 3, 4: 1}
"""host number -> leaf; two hosts of each tenant are on the same leaf"""
KERNELS_OWN = (mac_bytes("33:33:00:00:00:16"), mac_bytes("33:33:00:00:00:02"))
"""Where hosts' kernels report multicast groups and look for routers, all by themselves."""
BROADCAST, ALL_NODES, MDNS = "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01", "01:00:5e:00:00:fb"


class Tenants:
    """red and blue: hosts 1 to 4 of each, with the same MACs, IPv4 and IPv6 addresses."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.hosts: dict[str, dict[int, Host]] = {}
        for t, tenant in enumerate(TENANTS):
            network = fabric.create_network(tenant, ipv6=True)
            self.hosts[tenant] = {
                number: fabric.add_host(f"{tenant}{number}", leaf, 10 * number + t, number + 10, ipv6=True)
                for number, leaf in PLACES.items()
            }
            fabric.create_ports(network, self.hosts[tenant].values(), ipv6=True)

    def send_and_capture(self, sender: Host, frames: list[bytes]) -> dict[str, list[bytes]]:
        """Send frames from one host; what arrives at each host, by name, up to the end of a later ping."""
        with ExitStack() as stack:
            everyone = [host for hosts in self.hosts.values() for host in hosts.values()]
            captures = {host.name: stack.enter_context(host.capture()) for host in everyone}
            send_frames(sender, frames)
            # Frames of one switch keep their order: once these answers are back, all the frames are where they go.
            for number in PLACES:
                if sender.ip != self.hosts["red"][number].ip:
                    assert sender.ping(f"10.0.0.{number + 10}", count=2).lost == 0
            return {name: capture.finish() for name, capture in captures.items()}


@pytest.fixture(scope="module")
def tenants(shared_fabric: Fabric) -> Tenants:
    return Tenants(shared_fabric)


def test_every_pair_inside_reaches_each_other_and_no_frame_crosses(shared_fabric: Fabric, tenants: Tenants) -> None:
    """IPv4 and IPv6 between all pairs of red, while each host of blue records: nothing of it arrives there."""
    with ExitStack() as stack:
        captures = [stack.enter_context(host.capture()) for host in tenants.hosts["blue"].values()]
        pings = [
            measure.start_ping(one, target, count=2, interval_s=0.2)
            for one, other in permutations(tenants.hosts["red"].values(), 2)
            for target in (other.ip, f"fd00::{other.ip.rpartition('.')[2]}")
        ]
        assert [ping.finish().lost for ping in pings] == [0] * len(pings)
        for capture in captures:
            assert [frame for frame in capture.finish() if frame[:6] not in KERNELS_OWN] == []
    for one, other in ((1, 2), (2, 3), (3, 4), (4, 1)):
        assert tenants.hosts["blue"][one].ping(tenants.hosts["blue"][other], count=1).lost == 0
    assert tenants.hosts["red"][1].ping("10.0.0.1").lost == 0


@pytest.mark.parametrize("sender", [1, 2])
def test_broadcast_and_multicast_come_once_to_each_member(
    shared_fabric: Fabric, tenants: Tenants, sender: int
) -> None:
    """Across leaves and on the sender's own leaf once, with the group's MAC; never back, never to the other tenant."""
    red = tenants.hosts["red"]
    addresses = {"src_mac": red[sender].mac, "src_ip": red[sender].ip}
    ipv6 = {"src_mac": red[sender].mac, "src_ip": f"fd00::{sender + 10}"}
    frames = [
        udp_frame(dst_mac=BROADCAST, dst_ip="10.0.0.255", payload=b"broadcast", **addresses),
        udp_frame(dst_mac=BROADCAST, dst_ip="255.255.255.255", payload=b"limited broadcast", **addresses),
        udp_frame(dst_mac=MDNS, dst_ip="224.0.0.251", payload=b"multicast", **addresses),
        udp6_frame(dst_mac=ALL_NODES, dst_ip="ff02::1", payload=b"multicast 6", **ipv6),
    ]
    arrived = tenants.send_and_capture(red[sender], frames)
    for number in PLACES:
        times = 0 if number == sender else 1
        assert [arrived[f"red{number}"].count(frame) for frame in frames] == [times] * len(frames)
        assert [arrived[f"blue{number}"].count(frame) for frame in frames] == [0] * len(frames)


def test_an_answered_question_goes_to_nobody_else(shared_fabric: Fabric, tenants: Tenants) -> None:
    """ARP for a member is answered by the switch with the member's MAC, once; the question arrives nowhere."""
    red = tenants.hosts["red"]
    question = arp_frame(src_mac=red[1].mac, src_ip=red[1].ip, dst_ip=red[3].ip)
    arrived = tenants.send_and_capture(red[1], [question])
    assert not [name for name, frames in arrived.items() if question in frames]
    answers = [frame for frame in arrived["red1"] if frame[12:14] == b"\x08\x06" and frame[21] == 2]
    assert {frame[22:28] for frame in answers} >= {mac_bytes(red[3].mac)}
    assert red[1].arping("10.0.0.99", count=2).received == 0


SPOOFS: dict[str, tuple[str, Callable[[Host, Host], bytes]]] = {
    "mac": ("SPOOFED_IPV4", lambda me, other: udp_frame(
        src_mac="02:bd:00:00:00:01", dst_mac=other.mac, src_ip=me.ip, dst_ip=other.ip)),
    "ipv4": ("SPOOFED_IPV4", lambda me, other: udp_frame(
        src_mac=me.mac, dst_mac=other.mac, src_ip="10.0.0.77", dst_ip=other.ip)),
    "ipv4 of a member": ("SPOOFED_IPV4", lambda me, other: udp_frame(
        src_mac=me.mac, dst_mac=other.mac, src_ip=other.ip, dst_ip=other.ip)),
    "arp sender": ("SPOOFED_ARP", lambda me, other: arp_frame(
        src_mac=me.mac, src_ip="10.0.0.1", dst_ip=other.ip, dst_mac=other.mac, reply=True)),
    "arp mac": ("SPOOFED_ARP", lambda me, other: (
        arp_frame(src_mac=me.mac, src_ip=me.ip, dst_ip=other.ip, dst_mac=other.mac, reply=True)
        .replace(mac_bytes(me.mac) + b"\x0a", mac_bytes("02:bd:00:00:00:01") + b"\x0a"))),
    "ipv6": ("SPOOFED_IPV6", lambda me, other: udp6_frame(
        src_mac=me.mac, dst_mac=other.mac, src_ip="fd00::77", dst_ip=f"fd00::{other.ip.rpartition('.')[2]}")),
    "nd target": ("SPOOFED_ND", lambda me, other: nd_advertisement(
        src_mac=me.mac, dst_mac=other.mac, src_ip=f"fd00::{me.ip.rpartition('.')[2]}",
        dst_ip=f"fd00::{other.ip.rpartition('.')[2]}", target="fd00::1", link_layer=me.mac)),
    "nd target mac": ("SPOOFED_ND", lambda me, other: nd_advertisement(
        src_mac=me.mac, dst_mac=other.mac, src_ip=f"fd00::{me.ip.rpartition('.')[2]}",
        dst_ip=f"fd00::{other.ip.rpartition('.')[2]}", target=f"fd00::{me.ip.rpartition('.')[2]}",
        link_layer="02:bd:00:00:00:01")),
    "nd source mac": ("SPOOFED_ND", lambda me, other: nd_solicitation(
        src_mac=me.mac, dst_mac=ALL_NODES, src_ip=f"fd00::{me.ip.rpartition('.')[2]}",
        target=f"fd00::{other.ip.rpartition('.')[2]}", link_layer="02:bd:00:00:00:01")),
    "vlan": ("TAGGED", lambda me, other: (
        (plain := udp_frame(src_mac=me.mac, dst_mac=other.mac, src_ip=me.ip, dst_ip=other.ip))[:12]
        + b"\x81\x00\x00\x05" + plain[12:])),
    "ethertype": ("ETHERTYPE", lambda me, other: mac_bytes(other.mac) + mac_bytes(me.mac) + b"\x88\xb5" + bytes(50)),
}


@pytest.mark.parametrize("claim", SPOOFS)
def test_false_source_is_dropped_and_counted(shared_fabric: Fabric, tenants: Tenants, claim: str) -> None:
    """The frame arrives at nobody, and the drop counter of this tenant and reason grows by what was sent."""
    me, other = tenants.hosts["red"][1], tenants.hosts["red"][2]
    reason, make = SPOOFS[claim]
    frame = make(me, other)
    before = shared_fabric.drops("red", reason)
    arrived = tenants.send_and_capture(me, [frame] * 5)
    assert not [name for name, frames in arrived.items() if frame in frames]
    # Open vSwitch brings a flow's counters up to date every half second or so.
    eventually(lambda: shared_fabric.drops("red", reason) >= before + 5, what=f"5 drops for {reason}")
    assert not [drop for drop in shared_fabric.client.drops(tenant="tenants/blue") if drop.reason == reason]


def label_mac(kind: int, edge: int, low: int, key: int) -> str:
    """The eth_dst of a frame in the fabric: type, edge id, tree version, port or network key (docs/pipeline.md)."""
    return (kind << 42 | 0b10 << 40 | edge << 28 | low << 24 | key).to_bytes(6, "big").hex(":")


def test_frames_to_label_macs_reach_nobody(shared_fabric: Fabric, tenants: Tenants) -> None:
    """A host that sends to every MAC that could be a label, of any type, reaches no host with it."""
    red = tenants.hosts["red"][1]
    keys = [slice_ << 10 | index for slice_, index in product(range(5), range(4))]
    addresses = {"src_mac": red.mac, "src_ip": red.ip, "dst_ip": "10.0.0.12"}
    frames = [
        udp_frame(dst_mac=label_mac(kind, edge, low, key), payload=b"to a label", **addresses)
        for kind, edge, low, key in product(range(4), range(5), range(16), keys)
    ]
    arrived = tenants.send_and_capture(red, frames)
    assert [name for name, frames in arrived.items() if any(b"to a label" in frame for frame in frames)] == []


def test_storm_of_arp_requests_leaves_others_latency_within_3x(shared_fabric: Fabric, tenants: Tenants) -> None:
    """A port of blue asks 5,000 times a second; the median ARP answer for red on the same switch stays below 3x."""
    victim, attacker = tenants.hosts["red"][1], tenants.hosts["blue"][1]
    requests = [
        arp_frame(src_mac=attacker.mac, src_ip=attacker.ip, dst_ip=f"10.0.0.{number + 10}") for number in PLACES]
    quiet: list[float] = []
    stormy: list[float] = []
    for _ in range(3):
        quiet.append(_arp_median_ms(victim, tenants.hosts["red"][3]))
        sent, since_s = _frames_sent(attacker), time.monotonic()
        with storm(attacker, requests, frames_per_s=5_000):
            stormy.append(_arp_median_ms(victim, tenants.hosts["red"][3]))
        assert _frames_sent(attacker) - sent > 3_000 * (time.monotonic() - since_s), "that was no storm"
    assert statistics.median(stormy) < 3 * statistics.median(quiet), (quiet, stormy)
    print(f"ARP answered in {statistics.median(quiet):.3f} ms, during the storm {statistics.median(stormy):.3f} ms")


def _frames_sent(host: Host) -> int:
    return int(host.run("cat", "/sys/class/net/eth0/statistics/tx_packets"))


def _arp_median_ms(asker: Host, target: Host) -> float:
    answers = measure.arping(asker, target.ip, count=30, interval_s=0.04)
    assert answers.received >= 25, answers
    return statistics.median(answers.rtts_ms)


def test_hosts_whose_macs_look_like_labels_reach_only_their_own_network(
    shared_fabric: Fabric, tenants: Tenants
) -> None:
    """Two tenants' hosts have MACs that read as labels of existing edges and ports: each reaches its own peers only."""
    hosts: dict[str, list[Host]] = {}
    keys = (1 << 10 | 1, 2 << 10 | 1, 3 << 10 | 1)
    labels = [label_mac(kind, edge, 0, key) for kind, edge, key in ((0, 1, keys[0]), (1, 2, keys[1]), (2, 3, keys[2]))]
    for t, tenant in enumerate(("green", "grey")):
        network = shared_fabric.create_network(tenant)
        hosts[tenant] = [
            shared_fabric.add_host(f"{tenant}{i}", i + 1, 50 + t, 50 + i, mac=mac) for i, mac in enumerate(labels)]
        shared_fabric.create_ports(network, hosts[tenant])
    with ExitStack() as stack:
        others = [*hosts["grey"], *(host for tenant in tenants.hosts.values() for host in tenant.values())]
        captures = {host.name: stack.enter_context(host.capture()) for host in others}
        for one, other in permutations(hosts["green"], 2):
            send_frames(one, [udp_frame(
                src_mac=one.mac, dst_mac=other.mac, src_ip=one.ip, dst_ip=other.ip, payload=b"looks like a label")])
            assert one.ping(other, count=2).lost == 0
        heard = {name: [f for f in capture.finish() if f[:6] not in KERNELS_OWN] for name, capture in captures.items()}
    assert {name: frames for name, frames in heard.items() if frames} == {}
    for one, other in permutations(hosts["grey"], 2):
        assert one.ping(other, count=1).lost == 0
