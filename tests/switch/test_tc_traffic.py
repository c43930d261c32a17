"""What queues by the kernel's traffic control do to traffic, on devices that are ports of real switches."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from controller.model.queues import (
    BEST_EFFORT,
    OfSlice,
    OfSource,
    PortQueues,
    Queue,
    inner_queue,
    leaf_queue,
)
from tests.support import queue_trees
from tests.support.netns import inside
from tests.support.rig import Host, Rig
from tests.support.tc import (
    LINK_KBPS,
    SEND_BUFFER_FORCE,
    Sent,
    X,
    Z,
    add_device,
    best_effort,
    bring,
    driver,
    switch_port,
    tenants,
)

GUARANTEE_KBPS = 14_000
TCP_PAYLOAD = 1448 / 1514


@pytest.fixture
def device(ovs: Rig) -> str:
    return add_device(ovs)


class Wired:
    """Hosts x and z on switch 1, each to its receiver on switch 2 under its own slice; n to a third switch beside them.

        x, z, n ── s1 ══ s2 ── rx, rz
                     ╲── s3 ── rn
    """

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        for number in (1, 2, 3):
            rig.add_bridge(f"s{number}", number)
        self.link, _ = rig.add_link("s1", 101, "s2", 101)
        rig.add_link("s1", 102, "s3", 101)
        self.hosts: dict[str, Host] = {}
        for port_no, (name, slice_, far) in enumerate((("x", X, 2), ("z", Z, 2), ("n", 9, 3)), start=1):
            uplink = 101 if far == 2 else 102
            one = self._host(name, 1, port_no, port_no)
            other = self._host(f"r{name}", far, port_no, 100 + port_no)
            for near, uplink_no, receiver, key in (
                    (1, uplink, other, slice_ << 10 | port_no), (far, 101, one, slice_ << 10 | 512 | port_no)):
                label = f"02:00:20:{key >> 16:02x}:{key >> 8 & 0xFF:02x}:{key & 0xFF:02x}"
                rig.ofctl("add-flow", f"s{near}", f"in_port={port_no},actions=mod_dl_dst:{label},output:{uplink_no}")
                away, came_in = (far, 101) if near == 1 else (1, uplink)
                rig.ofctl("add-flow", f"s{away}", f"in_port={came_in},dl_dst={label},"
                          f"actions=mod_dl_dst:{receiver.mac},output:{port_no}")

    def _host(self, name: str, switch: int, port_no: int, number: int) -> Host:
        self.hosts[name] = self.rig.add_host(name, f"s{switch}", port_no, ip=f"10.0.0.{number}/24")
        return self.hosts[name]

    def at_once(self, *flows: tuple[str, int]) -> list[float]:
        """Each (host, offered kbit/s of UDP; 0: TCP) sends to its receiver; kbit/s that arrive."""
        def measure(flow: tuple[str, int]) -> float:
            name, offered_kbps = flow
            sender, receiver = self.hosts[name], self.hosts[f"r{name}"]
            if offered_kbps:
                return sender.udp_rate_to(receiver, offered_kbps=offered_kbps, duration_s=5).rate_kbps
            return sender.tcp_rate_to(receiver, duration_s=5).rate_kbps

        with ThreadPoolExecutor(len(flows)) as pool:
            return list(pool.map(measure, flows))


def test_guarantee_holds_beside_a_flood_and_neighbours_do_not_starve(ovs: Rig) -> None:
    """X has its guarantee although Z floods; alone X borrows all; what leaves by another port is not held up."""
    wired, tc = Wired(ovs), driver(ovs)
    port = switch_port(ovs, wired.link, 101)
    tc.expect(2)
    flood = "z", 2 * LINK_KBPS
    assert bring(tc, {port: PortQueues(rate_kbps=LINK_KBPS, queues=(best_effort(LINK_KBPS, LINK_KBPS),))}).faults == {}
    for _ in range(3):  # a flood that begins late leaves X the wire until then
        (unprotected, _) = wired.at_once(("x", 0), flood)
        if unprotected < 0.7 * GUARANTEE_KBPS:
            break
    assert bring(tc, {port: tenants({X: GUARANTEE_KBPS})}).faults == {}
    (alone,) = wired.at_once(("x", 0))
    protected, flooding, beside = wired.at_once(("x", 0), flood, ("n", 5_000))
    counts = asyncio.run(tc.count(1, port))
    print(f"X unprotected {unprotected:.0f}, alone {alone:.0f}, with its guarantee {protected:.0f} beside "
          f"{flooding:.0f}; the neighbour's 5000: {beside:.0f} kbit/s; {counts}")
    assert unprotected < 0.7 * GUARANTEE_KBPS, "without a guarantee the flood takes what it wants"
    assert protected > 0.8 * GUARANTEE_KBPS * TCP_PAYLOAD
    assert alone > 1.4 * GUARANTEE_KBPS, "spare is lent"
    assert flooding > 0.2 * (LINK_KBPS - GUARANTEE_KBPS), "and nobody is starved"
    assert beside > 0.8 * 5_000
    assert counts.keys() == {BEST_EFFORT, X}
    assert counts[X].bytes > 5 * GUARANTEE_KBPS * 125 and counts[BEST_EFFORT].dropped_packets > 1_000


def test_changes_under_traffic_lose_nothing_and_lead_no_frame_astray(ovs: Rig) -> None:
    """An owner's frames are divided, divided otherwise, and undivided again, and rates change, ten times a second: it
    costs no frame of what flows below its guarantee, and none goes to the rest meanwhile.
    """
    wired, tc = Wired(ovs), driver(ovs)
    port, inner = switch_port(ovs, wired.link, 101), inner_queue(1)
    queue, x_alone, x_mac = queue_trees.queue, inner_queue(2), int(wired.hosts["x"].mac.replace(":", ""), 16)
    whole = queue(inner, guarantee_kbps=GUARANTEE_KBPS)
    trees = itertools.cycle([
        [queue(leaf_queue(1), OfSlice(X), OfSlice(Z), guarantee_kbps=GUARANTEE_KBPS)],
        [whole, queue(leaf_queue(1), OfSlice(X), guarantee_kbps=3_000, parent=inner),
         queue(leaf_queue(3), OfSlice(Z), guarantee_kbps=5_000, parent=inner)],
        [whole, queue(x_alone, guarantee_kbps=4_000, parent=inner),
         queue(leaf_queue(4), OfSource(X, x_mac), guarantee_kbps=2_000, parent=x_alone),
         queue(leaf_queue(2), OfSlice(X), guarantee_kbps=1_000, parent=x_alone)],
    ])
    assert bring(tc, {port: queue_trees.port(*next(trees))}).faults == {}
    x, receiver = wired.hosts["x"], wired.hosts["rx"]
    assert x.ping(receiver).lost == 0
    with x.probe(receiver, packets_per_s=500) as probe:
        for n in range(21):
            changed = [replace(each, weight=n + 1) for each in next(trees)]
            brought = bring(tc, {port: queue_trees.port(*changed)})
            assert brought.faults == {} and brought.written > 0
            time.sleep(0.1)
        result = probe.finish()
    assert result.sent > 500
    assert result.lost <= 2 and not result.duplicates, result
    assert asyncio.run(tc.count(1, port))[BEST_EFFORT].packets == 0


def test_what_is_guaranteed_within_an_owner_is_kept_and_what_is_idle_goes_to_its_other_parts_first(
    ovs: Rig, device: str,
) -> None:
    """A family of two beside another owner and the rest, on a slow port whose queues never run dry.

    With its sibling idle, the one with the small guarantee has what the family is guaranteed, whoever else would like
    it.  With all of them flooding, each has its own.  With the family idle, the others have it all.  As shares of what
    was sent, in long frames: a machine that stalls sends less of everybody's.
    """
    ovs.sandbox.run("ip", "link", "set", device, "mtu", "9000")
    port, tc, family = switch_port(ovs, device), driver(ovs), inner_queue(1)
    small, large, other, rate_kbps = leaf_queue(2), leaf_queue(3), leaf_queue(4), 2_000
    guarantees = {small: 200, large: 1_400, other: 150, BEST_EFFORT: 250}
    slices = {small: 2, large: 3, other: 4, BEST_EFFORT: 9}
    assert bring(tc, {port: PortQueues(rate_kbps=rate_kbps, queues=(best_effort(rate_kbps, 250), *(
        Queue(number=number, whose=(OfSlice(slices[number]),) if number != family else (), ceiling_kbps=rate_kbps,
              guarantee_kbps=guarantees.get(number, 1_600), parent=family if number in (small, large) else 0)
        for number in (family, small, large, other))))}).faults == {}

    def sent(*flooding: int) -> tuple[dict[int, float], float]:
        """The share of each queue in what was sent while these flooded, and kbit/s in all."""
        frames = [Sent(key24=slices[number] << 10).raw(8_000) for number in flooding]
        with inside(ovs.sandbox, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)) as sender:
            sender.bind((device, 0))
            sender.setsockopt(socket.SOL_SOCKET, SEND_BUFFER_FORCE, 4_000_000)  # no queue is to hold up the others
            flood(sender, frames, rate_kbps, 0.5)
            before, begun_s = asyncio.run(tc.count(1, port)), time.monotonic()
            flood(sender, frames, rate_kbps, 2.5)
            counts, took_s = asyncio.run(tc.count(1, port)), time.monotonic() - begun_s
        octets = {number: counts[number].bytes - before[number].bytes for number in slices}
        total = sum(octets.values())
        return {number: each / total for number, each in octets.items()}, total / 125 / took_s

    one_idle, _ = sent(small, other, BEST_EFFORT)
    all_flood, _ = sent(*slices)
    family_idle, rest_kbps = sent(other, BEST_EFFORT)
    print({number: [round(each[number], 2) for each in (one_idle, all_flood, family_idle)] for number in slices})
    assert one_idle[small] > 0.5, "it is 0.8; were what its sibling leaves everybody's, it would be 0.25"
    assert all_flood[large] > 0.4, "it is 0.7; with nothing guaranteed 0.25"
    # 0.07 at least, of 0.075 that the other is guaranteed.
    assert min(one_idle[other], one_idle[BEST_EFFORT], *all_flood.values()) > 0.035
    assert rest_kbps > 0.5 * rate_kbps


def flood(sender: socket.socket, frames: list[bytes], rate_kbps: int, duration_s: float) -> None:
    """Send each of these frames at one and a half times the rate, in bursts that make good for a wait."""
    begun_s, sent = time.monotonic(), 0
    gap_s = len(frames[0]) / (1.5 * rate_kbps * 125)
    while (passed_s := time.monotonic() - begun_s) < duration_s:
        for _ in range(min(10, int(passed_s / gap_s) - sent)):
            for frame in frames:
                sender.send(frame)
        sent = int(passed_s / gap_s)
        time.sleep(gap_s)
