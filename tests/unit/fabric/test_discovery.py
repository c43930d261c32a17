"""Discovery over a simulated wire: links found, kept and lost, and nobody fooled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.fabric.discovery import FAST_PROBES, IDLE_FACTOR, Discovery
from controller.fabric.events import Event, LinkSeen
from controller.fabric.graph import (
    Alarm,
    EndPoint,
    Fabric,
    HostHeard,
    PortObserved,
    PortRole,
    RoleDeclared,
    SwitchDisconnected,
)
from controller.fabric.probes import LLDP_DST, read_probe, write_probe
from tests.unit.fabric.fabrics import after, connected, switch_port

KEY = b"0123456789abcdef"
A, B = EndPoint(1, 1), EndPoint(2, 1)
TICK_S = 0.1


def nonces() -> Callable[[], bytes]:
    numbers = count()
    return lambda: next(numbers).to_bytes(8)


@dataclass
class Lab:
    """A fabric, its discovery, and the wires that really are there; time moves by run()."""

    wires: dict[EndPoint, EndPoint] = field(default_factory=lambda: {A: B, B: A})
    fabric: Fabric = field(default_factory=Fabric)
    discovery: Discovery = field(default_factory=lambda: Discovery(KEY, nonces()))
    now: float = 1_000.0
    alarms: list[Alarm] = field(default_factory=list)
    sent: list[tuple[float, EndPoint, bytes]] = field(default_factory=list)
    slow: frozenset[int] = frozenset()

    def happen(self, *events: Event) -> None:
        for event in events:
            self.fabric, change = self.fabric.apply(event)
            self.alarms.extend(change.alarms)

    def receive(self, at: EndPoint, frame: bytes) -> LinkSeen | Alarm | None:
        result = self.discovery.received(self.now, at, frame)
        if isinstance(result, LinkSeen):
            self.happen(result)
        elif result is not None:
            self.alarms.append(result)
        return result

    def tick(self, step_s: float = TICK_S) -> None:
        self.now += step_s
        self.happen(*self.discovery.lost(self.fabric))
        for at, frame in self.discovery.due(self.now, self.fabric, self.slow):
            self.sent.append((self.now, at, frame))
            there = self.wires.get(at)
            if there and there.dpid in self.fabric.switches and self.fabric.switches[there.dpid].connected:
                self.receive(there, frame)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.tick()

    def up(self) -> set[tuple[EndPoint, EndPoint]]:
        return {(link.src, link.dst) for link in self.fabric.links.values() if link.up}


def lab_of_two() -> Lab:
    lab = Lab()
    lab.happen(connected(1), connected(2))
    return lab


def linked_lab() -> Lab:
    lab = lab_of_two()
    lab.run(10)
    assert lab.up() == {(A, B), (B, A)}
    return lab


def test_probe_frame_is_valid_lldp() -> None:
    """Chassis id, port id and TTL come first and in order, the private TLV and the end follow, nothing is left over."""
    frame = write_probe(KEY, EndPoint(0xABCD, 7), "02:00:00:00:00:01", bytes(8), 12.5)
    assert frame[:14] == LLDP_DST + bytes.fromhex("020000000001") + b"\x88\xcc"
    kinds, rest = [], frame[14:]
    while rest:
        head = int.from_bytes(rest[:2])
        kinds.append(head >> 9)
        rest = rest[2 + (head & 0x1FF) :]
    assert kinds == [1, 2, 3, 127, 0]
    assert len(frame) >= 60


@given(st.integers(1, 2**64 - 1), st.integers(1, 2**32 - 1), st.binary(min_size=8, max_size=8), st.integers(0, 2**31))
def test_probe_reads_back_as_written(dpid: int, port_no: int, nonce: bytes, now: int) -> None:
    """What was signed is read, authentic under its key, and not under another."""
    frame = write_probe(KEY, EndPoint(dpid, port_no), "02:00:00:00:00:01", nonce, now)
    probe = read_probe(KEY, frame + b"padding")
    assert probe is not None
    assert (probe.src, probe.nonce, probe.sent_s, probe.authentic) == ((dpid, port_no), nonce, now, True)
    other = read_probe(b"another key", frame)
    assert other is not None
    assert not other.authentic


@given(st.binary(max_size=120), st.integers(0, 79), st.integers(1, 255))
def test_no_bytes_pass_for_a_probe(noise: bytes, position: int, flip: int) -> None:
    """Random bytes, and any single changed byte of the signed part, raise nothing and are never authentic."""
    assert read_probe(KEY, noise) is None
    frame = bytearray(write_probe(KEY, A, "02:00:00:00:00:01", bytes(8), 1))
    frame[position] ^= flip
    probe = read_probe(KEY, bytes(frame))
    assert position < 14 or position >= 78 or probe is None or not probe.authentic


def test_link_is_found_within_a_tick_of_both_ends_up() -> None:
    """A lab comes up at once: both directions are known after the first ticks."""
    lab = lab_of_two()
    lab.run(0.2)
    assert lab.up() == {(A, B), (B, A)}
    assert not lab.alarms


def test_late_switch_has_both_directions_found_at_once() -> None:
    """The neighbour's first probe makes a port that went idle probe back without waiting for its turn."""
    lab = Lab()
    lab.happen(connected(1))
    lab.run(8.05)
    lab.happen(connected(2))
    lab.run(0.3)
    assert lab.up() == {(A, B), (B, A)}


def test_edge_and_down_ports_are_not_probed() -> None:
    """Only ports that may be fabric, are up, and belong to a connected switch carry probes."""
    lab = Lab(wires={})
    lab.happen(connected(1, [1, switch_port(2, up=False), 3, 4]), connected(2, [1]), SwitchDisconnected(dpid=2))
    lab.happen(HostHeard(at=EndPoint(1, 3)), RoleDeclared(dpid=1, interface="s1-eth4", role=PortRole.FABRIC))
    lab.run(20)
    assert {at for _, at, _ in lab.sent} == {EndPoint(1, 1), EndPoint(1, 4)}


def test_probes_are_paced_and_spread() -> None:
    """Fast at first, then once a period on links, rarely elsewhere; a hundred ports do not all speak in one tick."""
    lab = linked_lab()
    lab.sent.clear()
    lab.run(60)
    per_port = {at: sum(src == at for _, src, _ in lab.sent) for at in (A, EndPoint(1, 2))}
    assert 45 <= per_port[A] <= 75
    assert 60 / IDLE_FACTOR / 1.5 <= per_port[EndPoint(1, 2)] <= 60 / IDLE_FACTOR * 1.5
    crowd = Lab(wires={})
    crowd.happen(connected(1, range(1, 101)))
    crowd.run(30)
    crowd.sent.clear()
    crowd.run(10)
    times = [round(now, 1) for now, _, _ in crowd.sent]
    assert max(times.count(now) for now in times) <= 20


def test_cut_wire_without_carrier_loss_is_lost_after_three_probes() -> None:
    """Three probes answered by nobody and the wire is down, not sooner; the other direction alone carries nothing."""
    lab = linked_lab()
    del lab.wires[A]
    lab.sent.clear()
    while sum(at == A for _, at, _ in lab.sent) < 3:
        lab.tick()
    assert (A, B) in lab.up()
    lab.run(2.5)
    assert lab.up() == set()
    assert lab.fabric.links[B].seen and not lab.fabric.links[A].seen
    lab.wires[A] = B
    lab.run(1.5)
    assert lab.up() == {(A, B), (B, A)}


@pytest.mark.parametrize("end", [A.dpid, B.dpid])
def test_probes_of_a_switch_that_is_slow_to_answer_are_not_missed(end: int) -> None:
    """It may be as slow to send or hand them over.  Once it answers again they count, from the first."""
    lab = linked_lab()
    lab.wires = {}
    lab.slow = frozenset({end})
    lab.run(30.0)
    assert lab.up() == {(A, B), (B, A)}
    lab.slow = frozenset()
    lab.run(2.0)
    assert lab.up() == {(A, B), (B, A)}
    lab.run(4.0)
    assert lab.up() == set()


def test_one_answer_forgives_the_probes_missed_before() -> None:
    """Every third probe getting through keeps the link."""
    lab = linked_lab()
    for _ in range(20):
        del lab.wires[A]
        n_sent = len(lab.sent)
        while sum(at == A for _, at, _ in lab.sent[n_sent:]) < 2:
            lab.tick()
        lab.wires[A] = B
        lab.run(1.3)
    assert lab.up() == {(A, B), (B, A)}


def test_late_ticks_expire_nothing() -> None:
    """A machine that stands still for an hour, again and again, loses no link: probes are counted, not time."""
    lab = linked_lab()
    for _ in range(10):
        lab.tick(3_600)
    assert lab.up() == {(A, B), (B, A)}
    assert not lab.alarms


def test_answer_that_comes_after_a_long_pause_is_still_accepted() -> None:
    """The last probe is awaited as long as no two others were sent, whatever the clock says."""
    lab = lab_of_two()
    (_, frame), *_ = lab.discovery.due(lab.now, lab.fabric)
    lab.now += 3_600
    assert lab.receive(B, frame) == LinkSeen(src=A, dst=B)


def test_disconnected_end_loses_no_link() -> None:
    """Unknown is not down: probes toward or from a switch that is not connected count as nothing."""
    for dpid in (1, 2):
        lab = linked_lab()
        lab.happen(SwitchDisconnected(dpid=dpid))
        lab.run(60)
        assert lab.up() == {(A, B), (B, A)}


def test_reconnected_switch_without_its_program_has_time_to_get_it() -> None:
    """A switch that was wiped answers no probe until it is programmed; a second of that loses no link."""
    lab = linked_lab()
    lab.happen(SwitchDisconnected(dpid=2))
    lab.run(5)
    lab.happen(connected(2))
    lab.wires.clear()
    lab.run(FAST_PROBES * 0.2 + 0.5)
    lab.wires.update({A: B, B: A})
    lab.run(5)
    assert lab.up() == {(A, B), (B, A)}


def test_cached_links_are_presumed_up_until_probes_were_missed() -> None:
    """A new controller on a cached fabric keeps links to switches that are away, and loses the one that is cut."""
    cached = linked_lab().fabric
    cached = after(cached, SwitchDisconnected(dpid=1), SwitchDisconnected(dpid=2))
    lab = Lab(wires={}, fabric=cached)
    lab.run(10)
    lab.happen(connected(1))
    lab.run(30)
    assert lab.up() == {(A, B), (B, A)}
    lab.happen(connected(2))
    lab.run(10)
    assert lab.up() == set()


def test_port_that_comes_up_again_is_found_fast() -> None:
    """Carrier loss takes the link down at once, and it is back within half a second of the carrier."""
    lab = linked_lab()
    lab.happen(PortObserved(dpid=1, port=switch_port(1, up=False)))
    lab.run(5)
    assert lab.up() == set()
    lab.happen(PortObserved(dpid=1, port=switch_port(1)))
    lab.run(0.5)
    assert lab.up() == {(A, B), (B, A)}


def test_replayed_probe_is_an_alarm() -> None:
    """A recorded probe proves nothing: its nonce was accepted before, or is awaited no more."""
    lab = linked_lab()
    _, at, frame = lab.sent[-1]
    for where in (lab.wires[at], EndPoint(1, 3)):
        result = lab.receive(where, frame)
        assert isinstance(result, Alarm)
        assert (result.reason, result.at) == ("LLDP_REPLAYED", where)
    lab.wires.clear()
    lab.sent.clear()
    lab.run(5)
    result = lab.receive(EndPoint(1, 3), lab.sent[0][2])
    assert isinstance(result, Alarm)
    assert result.reason == "LLDP_REPLAYED"


def test_forged_and_foreign_probes_are_alarms() -> None:
    """A wrong signature, and another controller's probe, are told apart."""
    lab = lab_of_two()
    good = write_probe(KEY, A, "02:00:00:00:00:01", bytes(8), lab.now)
    forged = lab.receive(B, good[:-3] + b"\0\0\0")
    foreign = lab.receive(B, write_probe(b"theirs", A, "02:00:00:00:00:01", bytes(8), lab.now))
    never_sent = lab.receive(B, good)
    reasons = [alarm.reason for alarm in (forged, foreign, never_sent) if isinstance(alarm, Alarm)]
    assert reasons == ["LLDP_FORGED", "LLDP_FOREIGN", "LLDP_REPLAYED"]
    assert not lab.up()


def test_live_relay_by_a_host_is_an_alarm() -> None:
    """A host with two ports that passes probes on, at once and unchanged, makes no link: its ports are edge."""
    lab = Lab(wires={EndPoint(1, 2): EndPoint(2, 2)})
    lab.happen(connected(1), connected(2), HostHeard(at=EndPoint(2, 2)))
    lab.run(1)
    assert not lab.up()
    assert {(alarm.reason, alarm.at) for alarm in lab.alarms} == {("WIRE_ON_EDGE_PORT", EndPoint(2, 2))}


def test_lldp_of_a_host_is_ignored() -> None:
    """lldpd on a host is neither a link nor an alarm."""
    tlvs = bytes.fromhex("02070400163e123456 040505 65746830 06020078 0000")
    frame = LLDP_DST + bytes.fromhex("020000000001") + b"\x88\xcc" + tlvs
    assert lab_of_two().receive(A, frame) is None
    assert lab_of_two().receive(A, frame.ljust(100, b"\0")) is None


def test_memory_is_bounded_by_ports() -> None:
    """Probes that nobody answers, and ports that go, leave nothing behind."""
    lab = Lab(wires={})
    lab.happen(connected(1), connected(2))
    lab.run(300)
    state = lab.discovery
    assert all(len(probing.awaited) <= 2 for probing in state._ports.values())
    assert len(state._schedule) <= 2 * len(state._ports)
    lab.happen(SwitchDisconnected(dpid=1), SwitchDisconnected(dpid=2))
    lab.run(10)
    assert not state._ports
    assert not state._schedule
