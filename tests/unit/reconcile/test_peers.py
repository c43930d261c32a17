"""What networks that a peering joins have to do with each other: who is waited for, told, cut off, and refused."""

from __future__ import annotations

import pytest

from controller.fabric.declared import LinkSettings, SwitchSettings
from controller.fabric.events import LinkDeclared, SwitchDeclared
from controller.fabric.ports import EndPoint
from controller.model.errors import FailedPrecondition
from controller.model.network import Network, PathPolicy
from controller.model.status import State
from controller.model.tenancy import Tenant
from controller.reconcile.partition import cut_off
from controller.reconcile.path_gate import PathGate
from tests.sequences.simulation import Simulation
from tests.sequences.test_routes import network_name, peering, port, subnet

ONE, TWO = network_name("red", "one"), network_name("red", "two")
HERE, THERE = port("red", "one", 1, (11, 3)), port("red", "two", 2, (12, 3))
JOINT = peering("red", "one", "two")


def apart() -> Simulation:
    """Red's networks one and two, with a port each, on leaves 11 and 12."""
    sim = Simulation()
    sim.apply([Tenant(name="tenants/red"), *(Network(name=name) for name in (ONE, TWO)), subnet("red", "one", 0),
               subnet("red", "two", 0), HERE, THERE])
    sim.settle()
    return sim


def joined() -> Simulation:
    sim = apart()
    sim.apply([JOINT])
    sim.settle()
    return sim


def test_peering_is_active_when_the_switches_of_both_networks_have_confirmed_it() -> None:
    """And so is a port: its peers' switches, which have to know it, are waited for; those of others are not."""
    sim = apart()
    sim.apply([JOINT])
    sim.reconcile()
    sim.run(11)
    sim.reconcile()
    assert sim.reconciler.view.status(JOINT.name).state is State.PENDING
    assert sim.reconciler.view.lagging(HERE.name) == (12,)
    sim.run(12)
    sim.reconcile()
    assert sim.reconciler.view.status(JOINT.name).state is State.ACTIVE
    assert sim.reconciler.view.needs(HERE.name) == sim.reconciler.view.needs(JOINT.name) == (11, 12)


def test_port_without_a_path_to_its_peers_says_so() -> None:
    """On both sides, and whoever watches is told; without the peering nobody misses anything."""
    for sim, state in ((joined(), State.DEGRADED), (apart(), State.ACTIVE)):
        told: set[str] = set()
        sim.after_step = lambda outcome, told=told: told.update(outcome.names)  # type: ignore[misc]
        for uplink in (1, 2):
            sim.port_down(EndPoint(12, uplink))
        sim.settle()
        for one in (HERE, THERE):
            status = sim.reconciler.view.status(one.name)
            assert status.state is state
            assert [c.reason for c in status.conditions] == (["NO_PATH"] if state is State.DEGRADED else [])
            assert (one.name in told) is (state is State.DEGRADED)


def test_drain_between_peers_would_cut_both_off() -> None:
    """Either network is on one switch alone, and would lose what it has beyond."""
    for sim, cut in ((joined(), [ONE, TWO]), (apart(), [])):
        world, later = sim.reconciler.engine.world, sim.reconciler.engine.world.fabric
        for uplink in (1, 2):
            later, _ = later.apply(LinkDeclared(src=EndPoint(12, uplink), settings=LinkSettings(drained=True)))
        assert cut_off(world, later) == cut


def test_path_policy_is_judged_by_what_the_network_sends_to_its_peers_too() -> None:
    """Whose only ways are through the zone: refused with the pair, in the direction in which it sends."""
    for sim, refused in ((joined(), True), (apart(), False)):
        for spine in (1, 2):
            sim.observe(SwitchDeclared(dpid=spine, settings=SwitchSettings(zone="north")))
        sim.settle()
        gate, before = PathGate(lambda sim=sim: sim.reconciler.engine.world.fabric), sim.intent  # type: ignore[misc]
        sim.apply([Network(name=ONE, path_policy=PathPolicy(avoid_zones=("north",)))])
        if not refused:
            gate.check(before, sim.intent, frozenset({ONE}))
            continue
        with pytest.raises(FailedPrecondition) as error:
            gate.check(before, sim.intent, frozenset({ONE}))
        assert (error.value.metadata["source_switch"], error.value.metadata["destination_switch"]) == (
            f"{11:016x}", f"{12:016x}")
