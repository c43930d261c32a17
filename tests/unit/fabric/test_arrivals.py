"""Probes that a flood crowds out: frames that arrive speak for their wire, as long as they do and not for ever."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.fabric.arrivals import MIN_PPS, Arrivals, Count
from controller.fabric.discovery import FORGIVEN_PROBES
from controller.fabric.events import LinkLost
from controller.fabric.graph import EndPoint
from tests.unit.fabric.fabrics import connected
from tests.unit.fabric.test_discovery import TICK_S, A, B, Lab

S_NS = 1_000_000_000


@dataclass
class CountingLab(Lab):
    """Ports count what comes in; a wire that is crowded, or cut, brings no probe."""

    pps: dict[EndPoint, float] = field(default_factory=dict)
    """what arrives at a port"""
    answers: bool = True
    """switches tell their counters"""
    waiting: list[EndPoint] = field(default_factory=list)
    reads: int = 0
    lost_s: float | None = None
    """when a link was lost, first"""

    def tick(self, step_s: float = TICK_S) -> None:
        super().tick(step_s)
        self.packets = {at: self.packets.get(at, 0.0) + rate * step_s for at, rate in self.pps.items()}
        self.waiting += self.discovery.to_read()
        if self.answers:
            self.reads += len(self.waiting)
            for at in self.waiting:
                self.discovery.counted(at, Count(int(self.packets.get(at, 0.0)), int(self.now * S_NS)))
            self.waiting.clear()

    packets: dict[EndPoint, float] = field(default_factory=dict)

    def happen(self, *events: object) -> None:
        if self.lost_s is None and any(isinstance(event, LinkLost) for event in events):
            self.lost_s = self.now
        super().happen(*events)  # type: ignore[arg-type]


def linked() -> CountingLab:
    lab = CountingLab()
    lab.happen(connected(1), connected(2))
    lab.run(10)
    assert lab.up() == {(A, B), (B, A)}
    return lab


def crowded(pps: float = 500.0) -> CountingLab:
    """From A to B no probe comes through, but so many other frames do."""
    lab = linked()
    del lab.wires[A]
    lab.pps = {B: pps}
    return lab


def test_flood_that_crowds_out_probes_loses_no_link() -> None:
    """Not for many times as long as it takes to lose a silent one; nobody is asked while probes arrive."""
    lab = linked()
    assert lab.reads == 0
    lab.pps = {B: 500.0}
    del lab.wires[A]
    lab.run(40)
    assert lab.up() == {(A, B), (B, A)} and lab.lost_s is None
    assert 30 <= lab.reads <= 60, "one reading for each probe missed"
    lab.wires[A] = B
    lab.run(2)
    reads = lab.reads
    lab.run(20)
    assert lab.reads == reads


@settings(max_examples=20, deadline=None)
@given(cut_after=st.integers(0, 80))
def test_cut_in_a_flood_is_found_as_soon_as_in_silence(cut_after: int) -> None:
    """Whenever it comes: no later than the last of three probes that nobody could answer, and one tick."""
    lab = crowded()
    lab.run(10)
    for _ in range(cut_after):
        lab.tick()
    lab.pps = {}
    cut_s, n_sent = lab.now, len(lab.sent)
    while lab.lost_s is None:
        lab.tick()
    after_cut = [now for now, at, _ in lab.sent[n_sent:] if at == A]
    assert len(after_cut) <= 4 and lab.lost_s <= after_cut[-1] + 2 * TICK_S
    silent = linked()
    silent.run(10 + cut_after * TICK_S)
    del silent.wires[A]
    silent_cut_s = silent.now
    while silent.lost_s is None:
        silent.tick()
    assert lab.lost_s - cut_s <= silent.lost_s - silent_cut_s + 1.2 + 2 * TICK_S, "within one probe's period"


def test_trickle_and_frames_at_the_near_end_speak_for_nothing() -> None:
    """Something on the way that says a word a second; and the other direction is another matter."""
    for pps in ({B: MIN_PPS / 2}, {A: 500.0}):
        lab = linked()
        del lab.wires[A]
        lab.pps = pps
        lab.run(6)
        assert not lab.fabric.links[A].seen
        assert lab.fabric.links[B].seen


def test_frames_keep_no_link_for_ever() -> None:
    """A host that was put in the switch's place without a sign may send what it likes."""
    lab = crowded()
    lab.run(FORGIVEN_PROBES * 0.8)
    assert lab.lost_s is None
    lab.run(FORGIVEN_PROBES * 0.4 + 6)
    assert not lab.fabric.links[A].seen


def test_no_verdict_while_a_counter_is_awaited_and_without_counters_as_ever() -> None:
    """A switch slow to tell its counters is slow to hand over probes; one that has none is judged by probes alone."""
    lab = crowded(0.0)
    lab.answers = False
    lab.run(30)
    assert lab.lost_s is None
    lab.answers = True
    lab.run(6)
    assert lab.lost_s is not None
    deaf = linked()
    del deaf.wires[A]
    for _ in range(60):
        Lab.tick(deaf)
        for at in deaf.discovery.to_read():
            deaf.discovery.counted(at, None)
    assert not deaf.fabric.links[A].seen


@pytest.mark.parametrize(("before", "now", "flows"), [
    (Count(100, 5 * S_NS), Count(100 + MIN_PPS, 6 * S_NS), True),
    (Count(100, 5 * S_NS), Count(99 + MIN_PPS, 6 * S_NS), False),
    (Count(100, 5 * S_NS), Count(100, 5 * S_NS), False),
    (Count(100, 5 * S_NS), Count(9_000, 1 * S_NS), False),  # another port of that number
    (Count(100, 5 * S_NS), Count(7, 6 * S_NS), False),  # counters began anew
])
def test_arrivals_are_growth_by_the_switchs_clock(before: Count, now: Count, *, flows: bool) -> None:
    """Two readings in a row, however late they came in; whatever is odd about them shows nothing."""
    arrivals = Arrivals()
    assert not arrivals.counted(B, before)
    assert arrivals.counted(B, now) is flows
    assert not arrivals.counted(A, now), "of another port"
    arrivals.forget([B])
    assert not arrivals.counted(B, Count(1_000_000, 10 * S_NS))
