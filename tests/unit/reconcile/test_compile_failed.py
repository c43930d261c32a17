"""A defect in the compiler costs the one fragment it is in, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.fabric.labels import version_of
from controller.model.bandwidth import BandwidthPolicy
from controller.model.status import State, Status
from controller.pipeline import compiler, switching
from controller.pipeline.compiler import fragment_key
from controller.pipeline.draft import Draft
from controller.pipeline.tables import Kind
from controller.pipeline.views import BoundPort
from controller.pipeline.world import Fragment, FragmentKey, World
from tests.sequences.simulation import SPINES, Simulation
from tests.sequences.states import port, port_name, tenant
from tests.sequences.traffic import expected_reach, reach

CEILING = BandwidthPolicy(ceiling_in_kbps=1_000, ceiling_out_kbps=1_000)
A, B, C = (port_name("red", name) for name in "abc")


@pytest.fixture
def sim() -> Simulation:
    """Ports a and b of one network, each on an edge of its own."""
    sim = Simulation()
    sim.apply(tenant("red", {"a": (11, 3), "b": (12, 3)}).values())
    sim.settle()
    return sim


def test_object_that_cannot_be_compiled_is_degraded_and_holds_up_nobody(
    sim: Simulation, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A defect in one port's fragment: the switch keeps that port's old flows and follows all other changes.

    It is told once.  Numbers of before stay in quarantine while it lasts, and a sound object ends it.
    """
    told: list[FragmentKey] = []
    sim.after_step = lambda outcome: told.extend(outcome.failures)
    key = fragment_key(Kind.PORT, 11, A)
    before = sim.reconciler.program(11)[key]

    def limit_port(draft: Draft, world: World, bound: BoundPort) -> None:
        if bound.port.bandwidth == CEILING:
            raise ValueError("not this one")
        sound(draft, world, bound)

    sound = switching.limit_port
    monkeypatch.setattr(switching, "limit_port", limit_port)
    sim.apply([port("red", "a", (11, 3), CEILING), port("red", "c", (11, 4))])
    generation = sim.intent.generation
    sim.settle()
    assert told == [key]
    assert sim.reconciler.program(11)[key] == before
    status = sim.reconciler.view.status
    (failed,) = status(A).conditions
    assert (status(A).state, failed.reason, failed.switches) == (State.DEGRADED, "COMPILE_FAILED", (11,))
    assert "ValueError: not this one" in failed.message
    assert status(B) == status(C) == Status(state=State.ACTIVE)
    assert (A, C) in reach(sim)
    assert sim.reconciler.view.floor < generation
    sim.apply([replace(port("red", "a", (11, 3), CEILING), mac="02:00:00:00:00:99")])
    sim.settle()
    assert told == [key]
    sim.apply([replace(port("red", "a", (11, 3)), mac="02:00:00:00:00:99")])
    sim.settle()
    assert sim.reconciler.view.status(A) == Status(state=State.ACTIVE)
    assert sim.reconciler.view.floor == sim.intent.generation
    sim.check_installed()


def test_label_that_cannot_be_compiled_is_not_written(
    sim: Simulation, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A spine keeps the old hops of one edge's labels: no edge goes over to the new ones that lead through it."""
    compile_label = compiler._COMPILERS[Kind.LABEL]

    def broken(world: World, dpid: int, edge: int, number: int) -> Fragment | None:
        if dpid in SPINES and version_of(number):
            raise ValueError("not this one")
        return compile_label(world, dpid, edge, number)

    monkeypatch.setitem(compiler._COMPILERS, Kind.LABEL, broken)
    sim.link_lost(sim.wires[0])
    sim.settle()
    assert sim.reconciler.engine.failures
    assert {choice.version for choice in sim.reconciler.view.world.choices.values()} == {0}
    assert reach(sim) == expected_reach(sim.placed)
