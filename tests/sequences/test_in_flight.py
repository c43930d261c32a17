"""While switches are between one program and the next: nobody hears another tenant, and moving loses nothing."""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from controller.fabric.ports import EndPoint
from controller.intent import pools
from controller.intent.pools import SLICES
from controller.model.errors import ResourceExhausted
from controller.model.network import Port
from controller.openflow.entries import FlowKey
from controller.pipeline import tables
from tests.sequences.simulation import SPINES, Simulation
from tests.sequences.states import State, Walk, network_name, port, port_name, tenant
from tests.sequences.test_final_flows import STATES
from tests.sequences.traffic import check_isolation, check_no_loss, unicast

SEEDS = range(6)
FEW = {"tenants": (1, 9), "slices": (1, 16), "edges": (1, 6), "ports": (1, 8), "slots": (1_024, 1_050)}


@pytest.fixture(autouse=True)
def few_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools so small that numbers are given again as soon as they may be."""
    for pool, ends in FEW.items():
        monkeypatch.setitem(pools.RANGES, pool, ends)


def ports_of(*states: State) -> list[Port]:
    return list(dict.fromkeys(obj for state in states for obj in state.objects.values() if isinstance(obj, Port)))


def interleave(sim: Simulation, rng: random.Random, n: int) -> None:
    """So many moments of connections and of the reconcile thread, in any order."""
    for _ in range(n):
        dpid = rng.choice(sorted(sim.switches))
        for _ in range(rng.choice((1, 1, 3, 10))):
            sim.turn(dpid)
        if sim.dirty and rng.random() < 0.3:
            sim.reconcile()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_frame_reaches_another_tenant_at_any_moment(seed: int) -> None:
    """Ports come, move, go and are handed to other tenants; switches lag, drop off and come back as they like."""
    rng, sim, turn = random.Random(seed), Simulation(), 0
    walk, hosts = Walk(sim, split=seed % 2 == 0), ports_of(*STATES)
    for state in (*STATES, STATES[0], STATES[3]):
        try:
            walk.go(state)
        except ResourceExhausted:
            walk.at = State(dict(walk.at.objects))  # too much rests until a switch is back
        for _ in range(30):
            interleave(sim, rng, 2)
            turn += 1
            check_isolation(sim, hosts, of=8, turn=turn)
        dpid = rng.choice(sorted(sim.switches))
        if dpid in sim.channels and rng.random() < 0.5:
            sim.disconnect(dpid, arriving=rng.randrange(10))
        else:
            sim.connect(dpid)


@pytest.mark.parametrize("seed", SEEDS)
def test_links_that_change_lose_no_frame(seed: int) -> None:
    """Links come and go in the books while wires keep working: every frame between confirmed ports arrives, always.

    Meanwhile a spine drops off and comes back, other ports come and go, and the controller is restarted.
    """
    rng, sim = random.Random(seed), Simulation()
    objects = tenant("red", {"a": (11, 3), "b": (12, 3), "c": (13, 3), "d": (11, 4)})
    walk = Walk(sim)
    walk.go(State(objects))
    sim.settle()
    pairs = list(permutations(ports_of(State(objects)), 2))
    for i in range(14):
        lost = frozenset({rng.randrange(6)}) if rng.random() < 0.7 else frozenset()
        walk.go(State(objects | (tenant("blue", {"x": (12, 5), "y": (13, 5)}) if i % 4 > 1 else {}), lost))
        spine = rng.choice(SPINES)
        if i % 3 == 0:
            sim.disconnect(spine, arriving=rng.randrange(10))
        for _ in range(6):
            interleave(sim, rng, rng.choice((1, 5, 15)))
            check_no_loss(sim, rng.sample(pairs, 4))
        if i % 3 == 0:
            sim.connect(spine)
        if i % 5 == 4:
            sim.restart()
            for dpid in sim.switches:
                sim.connect(dpid)
    for _ in range(400):
        if not (sum(map(sim.turn, sim.switches)) or sim.dirty):
            break
        if sim.dirty:
            sim.reconcile()
        check_no_loss(sim, rng.sample(pairs, 1))
    sim.settle()
    check_no_loss(sim, pairs)


def confirm_all(sim: Simulation) -> None:
    """Everything is confirmed, and no time passes."""
    while sim.dirty:
        sim.reconcile()
        for dpid in sim.switches:
            sim.run(dpid)


def test_labels_that_nobody_writes_any_more_stay_for_what_is_under_way() -> None:
    """A frame that left its edge just before that went over to another plan still arrives, for one whole tick.

    Wanted again meanwhile, the labels are written at once; else they go with the second tick.
    """
    sim = Simulation()
    walk = Walk(sim)
    objects = tenant("red", {"a": (11, 3), "b": (12, 3)})
    walk.go(State(objects))
    sim.settle()
    labelling = sim.reconciler.engine.labelling
    for back in (True, False):
        before = {edge: versions[-1] for edge, versions in labelling.versions.items()}
        walk.go(State(objects, frozenset({0, 2})))
        confirm_all(sim)
        assert labelling.is_draining
        sim.dirty = sim.reconciler.age()
        confirm_all(sim)
        assert all(version in labelling.versions[edge] for edge, version in before.items())
        if back:
            walk.go(State(objects))
            confirm_all(sim)
            assert before == {edge: versions[-1] for edge, versions in labelling.versions.items()}
            sim.settle()
    sim.dirty = sim.reconciler.age()
    confirm_all(sim)
    assert not labelling.is_draining
    assert {len(versions) for versions in labelling.versions.values()} == {1}
    sim.check_installed()


@pytest.mark.parametrize(("refusing", "table"), [(11, tables.PATH), (1, tables.FABRIC), (2, tables.FABRIC)])
def test_refused_label_leaves_traffic_on_the_old_ones(refusing: int, table: tables.Table) -> None:
    """An edge that cannot be told to write other labels, or a spine that does not take one: no frame is lost.

    Accepted at last, everybody goes over, and the old labels go.
    """
    sim = Simulation()
    walk = Walk(sim)
    objects = tenant("red", {"a": (11, 3), "b": (12, 3), "c": (13, 3)})
    walk.go(State(objects))
    sim.settle()
    pairs = list(permutations(ports_of(State(objects)), 2))
    sim.refuses = lambda dpid, mark: (
        dpid == refusing and isinstance(mark.key, FlowKey) and mark.key.table == table.number
        and mark.value is not None)
    for lost in ({0}, {0, 2}, {2}):
        walk.go(State(objects, frozenset(lost)))
        sim.settle()
        check_no_loss(sim, pairs)
    assert any(len(versions) > 1 for versions in sim.reconciler.engine.labelling.versions.values())
    sim.refuses = lambda dpid, mark: False
    sim.retry(refusing)
    sim.settle()
    check_no_loss(sim, pairs)
    assert {len(versions) for versions in sim.reconciler.engine.labelling.versions.values()} == {1}
    sim.check_installed()


def test_switch_that_refuses_groups_forwards_without_them() -> None:
    """Paths over it are used all the same, it says so once, and whoever comes back with groups gets them again."""
    sim = Simulation()
    sim.refuses = lambda dpid, mark: dpid == 1 and mark.table == "group" and mark.value is not None
    walk = Walk(sim)
    objects = tenant("red", {"a": (11, 3), "b": (12, 3), "c": (13, 3)})
    walk.go(State(objects))
    sim.settle()
    check_no_loss(sim, list(permutations(ports_of(State(objects)), 2)))
    assert not sim.switches[1].groups
    assert sim.switches[2].groups
    assert all(version.owed == set() for each in sim.reconciler.engine.labelling.versions.values() for version in each)
    assert sim.reconciler.fabric.switches[1].features.max_groups == 0
    sim.refuses = lambda dpid, mark: False
    sim.disconnect(1, arriving=0)
    sim.connect(1)
    sim.settle()
    assert sim.switches[1].groups
    sim.check_installed()


OLD, NEW = tenant("red", {"a": (11, 3), "b": (12, 3)}), tenant("blue", {"a": (12, 5)})


@pytest.mark.parametrize("restarted", [False, True], ids=["", "controller_restarted_meanwhile"])
@pytest.mark.parametrize("away", [11, 12], ids=["sender_away", "receiver_away"])
def test_edge_out_of_reach_while_a_port_is_deleted_and_another_created_leaks_nothing_when_it_returns(
    away: int, restarted: bool,
) -> None:
    """The edge keeps forwarding for tenants that are gone; no frame of theirs reaches those who came after them.

    Tenants are deleted and created until all numbers rest, while the edge is away; then it is brought up to date, frame
    by frame, and they are given again.  Also when the controller died meanwhile.
    """
    sim = Simulation()
    walk = Walk(sim)
    walk.go(State(OLD))
    sim.settle()
    hosts = ports_of(State(OLD))
    sim.disconnect(away)
    exhausted = False
    for i in range(20):
        state = State(tenant(f"t{i}", {"a": (11, 3 + i % 3), "b": (12, 3), "c": (12, 4)}))
        try:
            walk.go(state)
        except ResourceExhausted:
            exhausted = True
            break
        hosts = list(dict.fromkeys((*hosts, *ports_of(state))))
        sim.settle()
        check_isolation(sim, hosts)
        if restarted and i == 1:
            sim.restart()
            for dpid in sim.switches.keys() - {away}:
                sim.connect(dpid)
            sim.settle()
    assert exhausted
    assert sim.reconciler.view.floor < sim.intent.generation
    sim.connect(away)
    turn = 0
    while sum(map(sim.turn, sim.switches)) or sim.dirty:
        if sim.dirty:
            sim.reconcile()
        turn += 1
        check_isolation(sim, hosts, of=5, turn=turn)
    sim.settle()
    assert sim.reconciler.view.floor == sim.intent.generation
    for i in range(10):
        walk.go(State(tenant(f"u{i}", {"a": (11, 3 + i % 3), "b": (12, 3 + i % 2)})))
        sim.settle()
        check_isolation(sim, hosts)


def test_numbers_rest_no_longer_than_needed() -> None:
    """Quarantine ends with the confirmations: slices of former tenants are given again, not used up."""
    sim = Simulation(spines=(1,), leaves=(11,))
    walk = Walk(sim)
    for i in range(20):
        walk.go(State(tenant(f"t{i}", {"a": (11, 3)})))
        sim.settle()
    assert len(sim.intent.keys.pools.get(SLICES).resting) <= 2
    assert sim.reconciler.view.floor == sim.intent.generation


def test_refused_deletion_keeps_numbers_in_quarantine() -> None:
    """A switch that refuses to take a flow away may still write its numbers: the floor waits for it."""
    sim = Simulation()
    walk = Walk(sim)
    walk.go(State(OLD | NEW))
    sim.settle()
    assert sim.reconciler.view.floor == sim.intent.generation
    sim.refuses = lambda dpid, mark: dpid == 11 and mark.value is None
    walk.go(State(NEW))
    sim.settle()
    assert sim.reconciler.view.reached[11] < sim.intent.generation
    sim.refuses = lambda dpid, mark: False
    sim.retry(11)
    sim.settle()
    assert sim.reconciler.view.floor == sim.intent.generation


def test_frame_of_a_deleted_port_is_dropped_where_it_is_confirmed() -> None:
    """A host whose port is gone can send what it likes once its edge has confirmed that."""
    sim = Simulation()
    walk = Walk(sim)
    walk.go(State(OLD))
    sim.settle()
    walk.go(State({name: obj for name, obj in OLD.items() if name != port_name("red", "a")}))
    sim.settle()
    frame = unicast(port("red", "a", (11, 3)), port("red", "b", (12, 3)))
    assert sim.network().inject(EndPoint(11, 3), frame) == []
    assert network_name("red") in sim.intent.networks
