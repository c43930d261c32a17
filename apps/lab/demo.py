"""What Pliant promises, each promise measured on a real fabric: the rows of `make demo`.

Two tenants, red and blue, with one host on each of the three leaves, and the same addresses.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from itertools import permutations
from pathlib import Path

from pliant.v1.common_pb2 import BandwidthPolicy
from pliant.v1.network_pb2 import Port

from apps.lab import elastic, measure
from apps.lab.crew import Crew, Member, create_tenants
from apps.lab.fabric import Fabric
from apps.lab.frames import arp_frame, udp_frame
from apps.lab.table import Board
from apps.lab.wait import eventually

_CEILING_KBPS = 10_000
_NEW_CEILING_KBPS = 5_000
_SETTLE_S = 1.0
"""What a new ceiling's burst may take before the rate is judged."""
_SPOOFED = 100
_FAILOVER_LOST = 50
"""Of 1,000 packets a second: what goes by until the switch has seen its carrier go."""
_CROSSED = 200
"""Of 500 packets: a stream of them goes this way, and not only what else there is to say."""


def run(fabric: Fabric, board: Board) -> None:
    """Bring the fabric up, ask for two tenants, and measure every row."""
    board.doing("starting pliantd, two spines, three leaves, six hosts")
    fabric.start_pliantd()
    fabric.start_network()
    fabric.wait_until_known()
    board.doing("creating two tenants with equal addresses, over gRPC")
    red, blue = create_tenants(fabric)
    for crew in (red, blue):
        _reachability(board, crew)
    _isolation(board, red, blue)
    _ceiling(board, fabric, red)
    _live_change(board, fabric, red)
    _set_ceiling(fabric, red.members[0], 0)
    elastic.run(board, fabric, red, blue)
    _restart(board, fabric, red)
    _failover(board, fabric, red)
    _spoofing(board, fabric, red)


def _reachability(board: Board, crew: Crew) -> None:
    pairs = list(permutations(crew.members, 2))
    with board.row(f"{crew.tenant}: every host reaches every other, across leaves", wanted="all answered") as row:
        pings = [measure.start_ping(one.host, other.ip, count=3) for one, other in pairs]
        results = [ping.finish() for ping in pings]
        answered, sent = sum(ping.received for ping in results), sum(ping.sent for ping in results)
        row.measured(f"{answered} of {sent} pings over {len(pairs)} pairs", holds=answered == sent)


def _isolation(board: Board, red: Crew, blue: Crew) -> None:
    """Broadcasts, and frames addressed straight to the other tenant's hosts: none may arrive."""
    for attacker, victim in ((red, blue), (blue, red)):
        claim = f"{attacker.tenant} cannot reach {victim.tenant}, which has the same addresses"
        with board.row(claim, wanted="0 frames arrive") as row, ExitStack() as stack:
            captures = [
                stack.enter_context(measure.Capture(member.host, interface=f"{member.name}-eth0"))
                for member in victim.members
            ]
            sent = sum(_intrude(member, victim) for member in attacker.members)
            frames = [frame for capture in captures for frame in capture.finish()]
            leaked = sum(frame[6:12] in attacker.macs for frame in frames)
            row.measured(f"{leaked} of {sent} arrived", holds=leaked == 0)


def _intrude(attacker: Member, victim: Crew) -> int:
    ask = arp_frame(src_mac=attacker.mac, src_ip=attacker.ip, dst_ip="10.0.0.99")
    frames = [ask] + [
        udp_frame(src_mac=attacker.mac, src_ip=attacker.ip, dst_mac=member.mac, dst_ip=member.ip)
        for member in victim.members
    ]
    each = 10
    for frame in frames:
        measure.send_frame(attacker.host, frame, interface=f"{attacker.name}-eth0", count=each)
    return each * len(frames)


def _ceiling(board: Board, fabric: Fabric, crew: Crew) -> None:
    sender, receiver, _ = crew.members
    _set_ceiling(fabric, sender, _CEILING_KBPS)
    with board.row("ceiling of 10 Mbit/s out of a port, TCP (iperf3)", wanted="8 to 10 Mbit/s of payload") as row:
        rate = measure.tcp_rate(sender.host, receiver.host, receiver.ip, duration_s=6)
        row.measured(rate, holds=8_000 <= rate.rate_kbps <= 10_000)
    with board.row("the same, UDP offered at 20 Mbit/s (iperf3)", wanted="9 to 10 Mbit/s of payload") as row:
        rate = measure.udp_rate(sender.host, receiver.host, receiver.ip, offered_kbps=20_000, duration_s=6)
        row.measured(rate, holds=9_000 <= rate.rate_kbps <= 10_000)


def _live_change(board: Board, fabric: Fabric, crew: Crew) -> None:
    """One stream offers more than both ceilings; another, from a port next door, must not notice."""
    sender, receiver, bystander = crew.members
    wanted = "from 10 to 5 Mbit/s of frames, within 10 %"
    with board.row("ceiling halved under traffic: the rate follows", wanted=wanted) as row:
        with ExitStack() as stack:
            flood = stack.enter_context(
                measure.Probe(
                    sender.host, receiver.host, receiver.ip, packets_per_s=1_600, size_bytes=_PAYLOAD_BYTES, port=7100
                )
            )
            quiet = stack.enter_context(
                measure.Probe(bystander.host, receiver.host, receiver.ip, packets_per_s=200, port=7200)
            )
            began_s = time.monotonic()
            _stream_for(3.0)
            _set_ceiling(fabric, sender, _NEW_CEILING_KBPS)
            changed_s = time.monotonic()
            _stream_for(3.0)
            ended_s = time.monotonic()
            stream, neighbour = flood.finish(), quiet.finish()
        before = _frame_rate(stream, since_s=began_s + _SETTLE_S, until_s=began_s + 3.0)
        after = _frame_rate(stream, since_s=changed_s + _SETTLE_S, until_s=ended_s)
        holds = abs(before / _CEILING_KBPS - 1) < 0.1 and abs(after / _NEW_CEILING_KBPS - 1) < 0.1
        row.measured(f"{before / 1000:.2f}, then {after / 1000:.2f} Mbit/s", holds=holds)
    with board.row("meanwhile, 200 packets/s between its neighbours", wanted="0 lost") as row:
        row.measured(neighbour, holds=neighbour.lost == 0 and neighbour.sent > 0)


_PAYLOAD_BYTES = 1200
_FRAME_BYTES = _PAYLOAD_BYTES + 42
"""Ethernet, IPv4 and UDP headers: a ceiling counts what is on the wire."""


def _frame_rate(stream: measure.Stream, *, since_s: float, until_s: float) -> float:
    return stream.rate_kbps(since_s=since_s, until_s=until_s) * _FRAME_BYTES / _PAYLOAD_BYTES


def _restart(board: Board, fabric: Fabric, crew: Crew) -> None:
    _, sender, receiver = crew.members
    with board.row("pliantd killed (SIGKILL) and started again under 1,000 packets/s", wanted="0 lost") as row:
        with measure.Probe(sender.host, receiver.host, receiver.ip, packets_per_s=1_000) as probe:
            _stream_for(1.0)
            fabric.kill_pliantd()
            _stream_for(2.0)
            fabric.start_pliantd()
            eventually(fabric.in_sync, 30, "every switch in sync again")
            _stream_for(1.0)
            stream = probe.finish()
        row.measured(stream, holds=stream.lost == 0 and stream.sent > 0)


def _failover(board: Board, fabric: Fabric, crew: Crew) -> None:
    """Whichever uplink the stream uses, one of the two cuts hits it; nobody tells the switches what to do."""
    _, sender, receiver = crew.members
    wanted = f"{_FAILOVER_LOST} lost at most"
    with board.row("pliantd stopped, each uplink of a leaf cut in turn under 1,000 packets/s", wanted=wanted) as row:
        fabric.kill_pliantd()
        with measure.Probe(sender.host, receiver.host, receiver.ip, packets_per_s=1_000) as probe:
            hits = [_cut(fabric, spine, "leaf2") for spine in ("spine1", "spine2")]
            _stream_for(0.5)
            stream = probe.finish()
        fabric.start_pliantd()
        eventually(fabric.in_sync, 30, "every switch in sync again")
        fabric.wait_until_known()
        found = stream if any(hits) else f"{stream}, but no cut was on its way"
        row.measured(found, holds=any(hits) and stream.lost <= _FAILOVER_LOST and stream.sent > 3_000)


def _cut(fabric: Fabric, spine: str, leaf: str) -> bool:
    """Cut the wire for a second; whether the stream crossed it, and then crossed it no more."""
    (link,) = fabric.net.linksBetween(fabric.net[spine], fabric.net[leaf])
    start = _carried(link.intf2.name)
    _stream_for(0.5)
    before = _carried(link.intf2.name) - start
    fabric.net.configLinkStatus(spine, leaf, "down")
    start = _carried(link.intf2.name)
    _stream_for(1.0)
    meanwhile = _carried(link.intf2.name) - start
    fabric.net.configLinkStatus(spine, leaf, "up")
    return before > _CROSSED and meanwhile == 0


def _carried(interface: str) -> int:
    """Packets so far, both ways."""
    counters = Path("/sys/class/net") / interface / "statistics"
    return sum(int((counters / name).read_text()) for name in ("rx_packets", "tx_packets"))


def _spoofing(board: Board, fabric: Fabric, crew: Crew) -> None:
    attacker, victim, _ = crew.members
    frame = udp_frame(src_mac=attacker.mac, dst_mac=victim.mac, src_ip="10.0.0.77", dst_ip=victim.ip)
    wanted = f"0 of {_SPOOFED} arrive, {_SPOOFED} counted"
    with board.row("a host sends from an address that is not its own", wanted=wanted) as row:
        already = _spoofed(fabric, crew)
        with measure.Capture(victim.host, interface=f"{victim.name}-eth0") as capture:
            measure.send_frame(attacker.host, frame, interface=f"{attacker.name}-eth0", count=_SPOOFED)
            eventually(
                lambda: _spoofed(fabric, crew) - already >= _SPOOFED, 15, "the dropped frames in the switches' counters"
            )
            arrived = capture.finish().count(frame)
        counted = _spoofed(fabric, crew) - already
        row.measured(f"{arrived} arrived, {counted} counted", holds=arrived == 0 and counted == _SPOOFED)


def _spoofed(fabric: Fabric, crew: Crew) -> int:
    drops = fabric.client.drops(tenant=f"tenants/{crew.tenant}")
    return sum(drop.packets for drop in drops if drop.reason == "SPOOFED_IPV4")


def _set_ceiling(fabric: Fabric, member: Member, ceiling_kbps: int) -> None:
    port = Port(name=member.port, bandwidth=BandwidthPolicy(ceiling_out_kbps=ceiling_kbps))
    fabric.client.ports.update(port, ["bandwidth.ceiling_out_kbps"], wait=True)


def _stream_for(duration_s: float) -> None:
    """Let the streams run: here the time that passes is what is measured, and nothing is waited for."""
    time.sleep(duration_s)
