"""A ceiling over three leaves, with the buckets that its meters really have: nothing told by a share is free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from immutables import Map

from controller.model.bandwidth import DEFAULT_BURST_MS, BandwidthPolicy
from controller.pipeline import tables
from controller.pipeline.rates import compile_ceiling
from controller.pipeline.world import Share, World
from controller.reconcile.elastic import Elastic, Key
from controller.reconcile.opening import NOT_KNOWN, opening_shares
from controller.reconcile.status import Waiter
from tests.sequences.simulation import MemoryCache
from tests.support.counting import CountingSwitch
from tests.support.worlds import Lab

RED, CEILING, HUNGRY = "tenants/red", 30_000, 35_000
EDGES = (11, 12, 13)
TICK_MS, CONFIRM_MS, WINDOW_MS = 10, 40, 3_000


class Buckets:
    """Meters as Open vSwitch makes them: a bucket is full, and counters are zero, after each change."""

    def __init__(self, policy: BandwidthPolicy) -> None:
        self.lab = Lab.leaf_spine()
        self.lab.network("red")
        self.lab.update(replace(self.lab.intent.tenants[RED], bandwidth=policy))
        for nth, leaf in enumerate((11, 11, 12, 13)):
            self.lab.port("red", f"p{nth}", at=(leaf, 3 + nth))
        self.switches = {dpid: CountingSwitch(dpid) for dpid in EDGES}
        self.now_ms = 0
        self.shares: Map[Key, Share] = Map(opening_shares(
            World(intent=self.lab.intent, fabric=self.lab.fabric), self.lab.world, [RED], NOT_KNOWN))
        self.meters = dict.fromkeys(EDGES, (0, 0))
        """dpid -> rate, burst"""
        self.left_kbit = dict.fromkeys(EDGES, 0.0)
        self.under_way: list[tuple[int, Mapping[Key, Share | None], Waiter]] = []
        self.passed_kbit: list[float] = []
        self.program()
        self.elastic = Elastic(
            self.world, lambda: self.switches, self.set_shares, MemoryCache(),  # type: ignore[arg-type,return-value]
            clock=lambda: self.now_ms / 1_000, post=lambda deed: deed())

    def world(self) -> World:
        return replace(self.lab.world, shares=self.shares)

    def set_shares(self, changed: Mapping[Key, Share | None], timeout_s: float) -> Waiter:
        waiter = Waiter()
        self.under_way.append((self.now_ms + CONFIRM_MS, changed, waiter))
        return waiter

    def program(self) -> None:
        for dpid in EDGES:
            fragment = compile_ceiling(self.world(), dpid, RED)
            assert fragment is not None
            meter = (fragment.meters[0].rate, fragment.meters[0].burst)
            if self.meters[dpid] != meter:
                self.meters[dpid], self.left_kbit[dpid] = meter, meter[1]
                self.switches[dpid].meters.clear()

    def tick(self, offered_kbps: Mapping[int, int]) -> None:
        self.now_ms += TICK_MS
        passed = 0.0
        for dpid, (rate, burst) in self.meters.items():
            came = offered_kbps.get(dpid, 0) * TICK_MS / 1_000
            has = min(burst, self.left_kbit[dpid] + rate * TICK_MS / 1_000)
            goes = min(came, has)
            self.left_kbit[dpid] = has - goes
            passed += goes
            slot = self.lab.intent.keys.tenant_slot(dpid, RED)
            assert slot is not None
            self.switches[dpid].police(
                tables.meter_id(slot, tables.MeterKind.OUT), round(came * 125), round((came - goes) * 125))
            self.switches[dpid].pass_s(TICK_MS / 1_000)
        self.passed_kbit.append(passed)
        for due in [due for due in self.under_way if due[0] <= self.now_ms]:
            self.under_way.remove(due)
            self.shares = self.shares.update(due[1])  # type: ignore[arg-type]  # none is taken away here
            self.program()
            due[2].set_result(())
        if not self.now_ms % 100:
            self.elastic.tick(self.now_ms / 1_000)

    def run(self, turns: Mapping[int, list[tuple[int, int]]], until_ms: int) -> None:
        """Who sends all it can, in which times."""
        while self.now_ms < until_ms:
            self.tick({dpid: HUNGRY for dpid, times in turns.items() if any(a <= self.now_ms < b for a, b in times)})

    def used(self, since_ms: int, until_ms: int) -> float:
        """Of the ceiling."""
        kbit = sum(self.passed_kbit[since_ms // TICK_MS:until_ms // TICK_MS])
        return kbit / (CEILING * (until_ms - since_ms) / 1_000)


@pytest.mark.parametrize("burst_ms", [DEFAULT_BURST_MS, 10_000])
@pytest.mark.parametrize(("turn_ms", "most", "least"), [(5_000, 1.05, 0.85), (3_000, 1.08, 0.8)])
@pytest.mark.parametrize("from_ms", [3_000, 3_270])
def test_moving_demand_is_within_a_twentieth_of_the_ceiling(
    burst_ms: int, turn_ms: int, most: float, least: float, from_ms: int,
) -> None:
    """In any three seconds, whatever burst the policy asks for, and most of it is used.

    Demand moves from leaf 11 to 12, to 13, and back, one beginning while another goes on.  If it moves as fast as that,
    whoever fell silent comes back to a bucket that is still full.
    """
    turn = [from_ms + nth * turn_ms for nth in range(5)]
    end_ms = turn[4]
    field = Buckets(BandwidthPolicy(ceiling_out_kbps=CEILING, burst_ms=burst_ms))
    field.run({11: [(turn[0], turn[2]), (turn[3], end_ms)], 12: [(turn[1], turn[3])], 13: [(turn[2], end_ms)]}, end_ms)
    windows = [field.used(at_ms, at_ms + WINDOW_MS) for at_ms in range(from_ms, end_ms - WINDOW_MS + 1, 50)]
    assert max(windows) <= most
    assert field.used(from_ms + 1_000, end_ms) >= least


def test_ceiling_at_rest_is_used_and_nobody_is_told_anything() -> None:
    """One edge that floods has 92 % of it for good, beside two that are silent."""
    field = Buckets(BandwidthPolicy(ceiling_out_kbps=CEILING))
    field.run({12: [(0, 30_000)]}, 10_000)
    held = dict(field.meters)
    field.run({12: [(0, 30_000)]}, 30_000)
    assert field.meters == held
    assert 0.92 <= field.used(10_000, 30_000) <= 1.0
