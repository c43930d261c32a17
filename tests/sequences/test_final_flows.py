"""The flows depend on where one is, not on the way there.

One list of states is expanded into many orders of events.  Each must end with "compile from scratch == installed" on
every switch, with the same flows as every other order but for numbers that depend on history, and with the same hosts
reaching the same hosts.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from controller.fabric.events import RoleDeclared
from controller.fabric.ports import PortRole
from controller.model.bandwidth import BandwidthPolicy
from tests.sequences.simulation import HOST_PORTS, LEAVES, Simulation
from tests.sequences.states import State, Walk, places, port, tenant
from tests.sequences.traffic import expected_reach, reach

CEILING = BandwidthPolicy(ceiling_in_kbps=10_000, ceiling_out_kbps=20_000)
FIRST = State(tenant("red", {"a": (11, 3), "b": (11, 4), "c": (12, 3)}) | tenant("blue", {"a": (11, 5), "c": (12, 5)}))
JOINED = State(tenant("red", {"a": (11, 3), "c": (12, 3)}) | tenant("blue", {"a": (11, 5), "c": (12, 5), "d": (13, 3)}))
MOVED = State(
    tenant("red", {"a": (11, 3), "c": (13, 4)}, CEILING) | tenant("blue", {"a": (11, 5), "c": (12, 5), "d": (13, 3)}),
    lost=frozenset({0}))
HANDED_OVER = State(
    tenant("green", {"a": (11, 3), "b": (12, 6)}) | tenant("red", {"c": (13, 4)}) | tenant("blue", {"c": (12, 5)}),
    lost=frozenset({3}))
LAST_PORTS = {"e": (11, 4), "c": (13, 4), "f": (13, 3)}
LAST = State(
    tenant("green", {"a": (11, 3), "b": (12, 6), "c": (11, 6)}, CEILING) | tenant("red", LAST_PORTS)
    | tenant("blue", {"c": (12, 5), "d": (12, 3)}) | {(p := port("blue", "x", (13, 7), CEILING)).name: p},
    lost=frozenset({0}))
STATES = (FIRST, JOINED, MOVED, HANDED_OVER, LAST)


def shape(sim: Simulation) -> Counter[object]:
    """What all switches hold, without the numbers that depend on history: keys, ids, versions."""
    held: Counter[object] = Counter()
    for dpid, switch in sim.switches.items():
        held.update((dpid, "flow", flow.table, flow.priority) for flow in switch.flows.values())
        held.update((dpid, "group", group.type, len(group.buckets)) for group in switch.groups.values())
        held.update((dpid, "meter", meter.rate, meter.burst, meter.unit) for meter in switch.meters.values())
    return held


def rest(sim: Simulation) -> None:
    """Everything is worked in and confirmed before the next event."""
    sim.settle()


def hurry(sim: Simulation) -> None:
    """The next event finds switches anywhere between one state and the next."""
    rng = random.Random(sim.intent.generation)
    sim.reconcile()
    for dpid in rng.choices(sorted(sim.switches), k=40):
        for _ in range(rng.randrange(30)):
            sim.turn(dpid)
        if sim.dirty and rng.random() < 0.5:
            sim.reconcile()


Pause = Callable[[Simulation], None]


def identity(sim: Simulation, pause: Pause) -> None:
    walk = Walk(sim)
    for state in STATES:
        walk.go(state)
        pause(sim)


def reversed_(sim: Simulation, pause: Pause) -> None:
    walk = Walk(sim, split=True, reverse=True)
    for state in (*reversed(STATES), LAST):
        walk.go(state)
        pause(sim)


def split(sim: Simulation, pause: Pause) -> None:
    walk = Walk(sim, split=True)
    for state in STATES:
        walk.go(state)
        pause(sim)


def squashed(sim: Simulation, pause: Pause) -> None:
    walk = Walk(sim)
    for state in STATES:
        walk.go(state)
    pause(sim)


def squashed_into_one_commit(sim: Simulation, pause: Pause) -> None:
    Walk(sim).go(LAST)
    pause(sim)


def duplicated(sim: Simulation, pause: Pause) -> None:
    walk = Walk(sim, feed=2)
    for state in (state for state in STATES for _ in range(2)):
        walk.go(state)
        pause(sim)


def controller_restarted_midway(sim: Simulation, pause: Pause) -> None:
    walk = Walk(sim)
    for state in STATES:
        walk.go(state)
        pause(sim)
        sim.restart()
        for dpid in sim.switches:
            sim.connect(dpid)
            pause(sim)


def controller_killed_between_commit_and_step(sim: Simulation, pause: Pause) -> None:
    walk = Walk(sim)
    for state in STATES:
        walk.go(state)
        sim.restart()
        for dpid in sim.switches:
            sim.connect(dpid)
        for number, wire in enumerate(sim.wires):
            (sim.link_lost if number in state.lost else sim.link_seen)(wire)
        pause(sim)


def switch_reconnected(sim: Simulation, pause: Pause) -> None:
    walk = Walk(sim)
    for state in STATES:
        walk.go(state)
        pause(sim)
        for dpid in (1, 11, 12):
            sim.disconnect(dpid, arriving=3)
            pause(sim)
            sim.connect(dpid)


def connection_replaced(sim: Simulation, pause: Pause) -> None:
    walk = Walk(sim)
    for state in STATES:
        walk.go(state)
        pause(sim)
        for dpid in (2, 11, 13):
            sim.connect(dpid)


def switch_wiped(sim: Simulation, pause: Pause) -> None:
    walk = Walk(sim)
    for state in STATES:
        walk.go(state)
        pause(sim)
        for dpid in (1, 2, 11, 12):
            sim.wipe(dpid)
            pause(sim)


def edge_out_of_reach_in_the_middle(sim: Simulation, pause: Pause) -> None:
    _out_of_reach(sim, pause, 12)


def spine_out_of_reach_in_the_middle(sim: Simulation, pause: Pause) -> None:
    _out_of_reach(sim, pause, 1)


def _out_of_reach(sim: Simulation, pause: Pause, dpid: int) -> None:
    walk = Walk(sim)
    walk.go(FIRST)
    pause(sim)
    sim.disconnect(dpid)
    for state in STATES[1:]:
        walk.go(state)
        pause(sim)
    sim.connect(dpid)


WAYS = (
    identity, reversed_, split, squashed, squashed_into_one_commit, duplicated, controller_restarted_midway,
    controller_killed_between_commit_and_step, switch_reconnected, connection_replaced, switch_wiped,
    edge_out_of_reach_in_the_middle, spine_out_of_reach_in_the_middle,
)  # fmt: skip


def start() -> Simulation:
    """Host ports are declared: else a port remembers that there was once a host, which is history that counts."""
    sim = Simulation()
    for dpid in LEAVES:
        for n in HOST_PORTS:
            sim.observe(RoleDeclared(dpid=dpid, interface=f"s{dpid}-{n}", role=PortRole.EDGE))
    sim.settle()
    return sim


def come_to_rest(sim: Simulation) -> None:
    """Shares of ceilings are moved by demand for ever, and so are history: here they are divided anew."""
    sim.settle()
    sim.set_shares(dict.fromkeys(sim.reconciler.engine.world.shares))
    sim.settle()


@pytest.fixture(scope="module")
def direct() -> Counter[object]:
    """What the shortest way leads to."""
    sim = start()
    Walk(sim).go(LAST)
    come_to_rest(sim)
    return shape(sim)


@pytest.mark.parametrize("pause", [rest, hurry])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.rstrip("_"))
def test_same_final_flows_whatever_the_way(
    way: Callable[[Simulation, Pause], None], pause: Pause, direct: object,
) -> None:
    """Events reversed, split, squashed, duplicated; controller restarted, switch reconnected, wiped, out of reach."""
    sim = start()
    way(sim, pause)
    come_to_rest(sim)
    sim.check_programs()
    sim.check_installed()
    assert reach(sim) == expected_reach(places(LAST))
    assert shape(sim) == direct
