"""Rates and shares that move while nobody asks for anything: what switches get, who is told, who waits."""

from __future__ import annotations

from dataclasses import replace

from controller.model.bandwidth import BandwidthPolicy, Interval, Rates, Window
from controller.model.status import State
from controller.pipeline.world import Share
from controller.qos.sharing import shared_kbps
from tests.sequences.simulation import Simulation
from tests.sequences.states import port_name, tenant

CEILING = BandwidthPolicy(ceiling_in_kbps=8_000, ceiling_out_kbps=4_000)
RED, A = "tenants/red", port_name("red", "a")


def two_edges() -> Simulation:
    sim = Simulation()
    sim.apply(tenant("red", {"a": (11, 3), "b": (12, 3)}, CEILING).values())
    sim.settle()
    return sim


def test_shares_change_meters_and_nothing_that_a_watcher_sees() -> None:
    """The tenant is as ACTIVE as before, before and after the switch confirmed; nobody is told anything."""
    sim = two_edges()
    sim.set_shares({(11, RED): Share(in_kbps=2_000, out_kbps=1_000)})
    sim.settle()
    before = sim.frames
    waiter = sim.set_shares({(11, RED): Share(in_kbps=1_000, out_kbps=500)})
    outcome = sim.reconcile()
    assert outcome.names == frozenset() and outcome.targets.keys() == {11} and not waiter.done()
    assert sim.reconciler.view.status(RED).state is State.ACTIVE
    sim.run(11)
    assert sim.reconcile().names == frozenset()
    assert waiter.done() and waiter.result() == ()
    assert sim.frames - before == 2, "both meters are modified, and no flow is touched"


def test_share_set_twice_waits_for_the_switch_though_the_second_changes_nothing() -> None:
    """The same again, while the first is under way: confirmed is confirmed by the switch, not by us."""
    sim = two_edges()
    share = {(11, RED): Share(in_kbps=1_000, out_kbps=500)}
    first = sim.set_shares(share)
    sim.reconcile()
    second = sim.set_shares(share)
    assert sim.reconcile().targets == {}
    assert not first.done() and not second.done()
    sim.settle()
    assert first.done() and second.done()


def test_rates_in_force_are_told_like_any_change() -> None:
    """A window opens: whoever watches the tenant sees it come about on the switches that have it, and no other."""
    sim = two_edges()
    sim.set_rates({RED: Rates(ceiling_in_kbps=1_000, ceiling_out_kbps=1_000), A: Rates(ceiling_out_kbps=64)})
    outcome = sim.reconcile()
    assert outcome.names >= {RED, A} and outcome.targets.keys() == {11, 12}
    assert sim.reconciler.view.status(RED).state is State.PENDING
    sim.settle()
    assert sim.reconciler.view.status(RED).state is State.ACTIVE
    half = shared_kbps(1_000, 2, 0) // 2
    assert sorted(meter.rate for meter in sim.switches[11].meters.values() if meter.unit == "kbps") == [64, half, half]
    assert sorted(meter.rate for meter in sim.switches[12].meters.values() if meter.unit == "kbps") == [half, half]


def test_share_is_a_part_of_the_ceiling_in_force() -> None:
    """All together never more than it, whatever was given; and where there is none, there is nothing to share."""
    sim = two_edges()
    sim.set_shares({(11, RED): Share(in_kbps=5_000, out_kbps=3_000)})
    sim.set_rates({RED: Rates(ceiling_in_kbps=2_000)})
    sim.settle()
    for dpid in (11, 12):
        assert [meter.rate for meter in sim.switches[dpid].meters.values() if meter.unit == "kbps"] == [
            shared_kbps(2_000, 2, 0) // 2]


def test_schedule_moves_meters_and_nothing_else_at_its_boundaries() -> None:
    """Open, closed, set back, and over again after a restart in the middle: the meters of that moment, no flow touched.

    What is in force at a restart is in the first program already.
    """
    night = Rates(ceiling_in_kbps=800, ceiling_out_kbps=400)
    window = Window(when=Interval(start_s=1_000.0, end_s=2_000.0), rates=night)
    sim = Simulation()
    sim.apply(tenant("red", {"a": (11, 3)}, replace(CEILING, schedule=(window,))).values())
    sim.settle()
    flows = dict(sim.switches[11].flows)
    day, inside = [4_000, 8_000], [400, 800]
    for now_s, kbps in ((999.9, day), (1_000.0, inside), (1_999.9, inside), (2_000.0, day), (1_500.0, inside),
                        (10.0, day), (1_200.0, inside)):
        before = sim.frames
        sim.pass_time(now_s)
        sim.settle()
        assert [meter.rate for meter in sim.switches[11].meters.values() if meter.unit == "kbps"] == kbps
        assert sim.switches[11].flows == flows and sim.frames - before <= 2
    before = sim.frames
    sim.restart()
    sim.connect(11)
    sim.settle()
    assert sim.frames == before, "nothing that is right is written again"
    sim.apply([tenant("red", {}, CEILING)[RED]])
    sim.settle()
    assert [meter.rate for meter in sim.switches[11].meters.values() if meter.unit == "kbps"] == [4_000, 8_000]
