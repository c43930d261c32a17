"""A restarted controller recognises what it finds: it writes nothing to a switch that is right."""

from __future__ import annotations

import pytest

from controller.model.status import State as Is
from tests.sequences.simulation import LEAVES, SPINES, Simulation
from tests.sequences.states import State, Walk, places
from tests.sequences.test_final_flows import FIRST, LAST, STATES
from tests.sequences.traffic import expected_reach, reach


def states_of(sim: Simulation) -> set[Is]:
    return {sim.reconciler.view.status(obj.name).state for obj in sim.intent.objects()}


def connect_all(sim: Simulation, *, but: int | None = None) -> None:
    for dpid in sim.switches.keys() - {but}:
        sim.connect(dpid)
    sim.settle()


def lived_in(*, flaps: int = 0) -> Simulation:
    """A fabric that has been through all states, and whose links came and went, so that label versions moved on."""
    sim = Simulation()
    walk = Walk(sim)
    for state in STATES:
        walk.go(state)
        sim.settle()
    for i in range(flaps):
        walk.go(State(LAST.objects, frozenset({i % 6})))
        sim.settle()
    walk.go(LAST)
    sim.settle()
    return sim


@pytest.mark.parametrize("flaps", [0, 5, 11])
def test_restarted_controller_writes_nothing_when_nothing_changed(flaps: int) -> None:
    """Zero frames to every switch, and every object is ACTIVE again once all switches were read."""
    sim = lived_in(flaps=flaps)
    sim.frames = 0
    for _ in range(2):
        sim.restart()
        assert Is.ACTIVE not in states_of(sim)
        connect_all(sim)
        assert sim.frames == 0
        assert states_of(sim) == {Is.ACTIVE}
        assert sim.reconciler.view.floor == sim.intent.generation
        sim.check_installed()


@pytest.mark.parametrize("away", [SPINES[0], LEAVES[1]], ids=["spine", "edge"])
def test_restarted_controller_writes_nothing_while_a_switch_is_out_of_reach(away: int) -> None:
    """Nothing is written to the others, nor to the one that was away when it comes back."""
    sim = lived_in(flaps=4)
    sim.disconnect(away)
    sim.settle()
    sim.frames = 0
    sim.restart()
    connect_all(sim, but=away)
    assert sim.frames == 0
    assert sim.reconciler.view.floor == -1
    sim.connect(away)
    sim.settle()
    assert sim.frames == 0
    assert states_of(sim) == {Is.ACTIVE}


def test_restart_while_labels_move_keeps_what_the_switch_out_of_reach_may_write() -> None:
    """An edge that left before the trees changed still writes the old labels; they stay until it is back."""
    sim = Simulation()
    walk = Walk(sim)
    walk.go(FIRST)
    sim.settle()
    sim.disconnect(12)
    for lost in (0, 1, 4):
        walk.go(State(FIRST.objects, frozenset({lost})))
        sim.settle()
        sim.restart()
        connect_all(sim, but=12)
        assert reach(sim) == expected_reach(places(FIRST))
    sim.connect(12)
    sim.settle()
    sim.check_installed()
    assert {len(versions) for versions in sim.reconciler.engine.labelling.versions.values()} == {1}
    assert reach(sim) == expected_reach(places(FIRST))


def test_edge_that_left_before_it_went_over_is_served_after_a_restart() -> None:
    """All is ready for new labels, but the edge is out of reach before it is told to write them: the old ones stay."""
    sim = Simulation()
    walk = Walk(sim)
    walk.go(FIRST)
    sim.settle()
    walk.go(State(FIRST.objects, frozenset({0, 2})))
    while 12 in sim.channels:
        outcome = sim.reconcile()
        if any(key.kind == "reach" for key in outcome.targets.get(12, ())):
            sim.disconnect(12)
        for dpid in sim.switches:
            sim.run(dpid)
    sim.settle()
    for _ in range(2):
        sim.restart()
        connect_all(sim, but=12)
        assert reach(sim) == expected_reach(places(FIRST))


def test_edge_gone_for_good_uses_up_no_label_numbers_over_restarts() -> None:
    """However often trees change and the controller restarts while an edge is away, the newest plan has a version."""
    sim = Simulation()
    walk = Walk(sim)
    walk.go(FIRST)
    sim.settle()
    sim.disconnect(12)
    for lost in (0, 1, 4, 5, 0, 1, 4):
        walk.go(State(FIRST.objects, frozenset({lost})))
        sim.settle()
        labelling = sim.reconciler.engine.labelling
        for edge, plan in labelling.plans.items():
            newest = labelling.versions[edge][-1].hops
            assert all(newest[dpid] == hops for dpid, hops in plan.items())
        sim.restart()
        connect_all(sim, but=12)


def test_drift_is_found_by_reading_again_and_repaired() -> None:
    """Somebody deletes flows and a group and adds one of ours: one re-read, and all is as it should be."""
    sim = lived_in()
    switch = sim.switches[11]
    for key in list(switch.flows)[::3]:
        switch.delete_flow(key)
    group = switch.groups.pop(min(switch.groups))
    assert sim.reread(11) > 1
    sim.settle()
    assert switch.groups[group.id] == group
    sim.check_installed()
    assert sim.reread(11) == 0
