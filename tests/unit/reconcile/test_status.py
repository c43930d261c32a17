"""What a client is told about an object in every condition, and how long it waits."""

from __future__ import annotations

import pytest

from controller.fabric.events import RoleDeclared
from controller.fabric.ports import EndPoint, PortRole, SwitchFeatures
from controller.model.bandwidth import BandwidthPolicy, Interval, Window
from controller.model.network import Attachment, Pipe, Port
from controller.model.status import Condition, State, Status
from controller.pipeline.world import Share
from tests.sequences.simulation import Simulation
from tests.sequences.states import far_pipe, far_port, network_name, peered, port, port_name, tenant

CEILING = BandwidthPolicy(ceiling_in_kbps=1_000, ceiling_out_kbps=1_000)
A, B, C = (port_name("red", name) for name in "abc")


def make(ports: dict[str, tuple[int, int]], *, features: SwitchFeatures | None = None) -> Simulation:
    sim = Simulation() if features is None else Simulation(features=features)
    sim.apply(tenant("red", ports).values())
    sim.settle()
    return sim


def status(sim: Simulation, name: str) -> Status:
    return sim.reconciler.view.status(name)


def condition(sim: Simulation, name: str, reason: str) -> Condition:
    return next(c for c in status(sim, name).conditions if c.reason == reason)


def test_everything_confirmed_is_active_without_conditions() -> None:
    """Tenant, network, subnet and ports alike."""
    sim = make({"a": (11, 3), "b": (12, 3)})
    for obj in sim.intent.objects():
        assert status(sim, obj.name) == Status(state=State.ACTIVE)


@pytest.mark.parametrize(("attachment", "reason"), [
    (None, "UNATTACHED"),
    (Attachment(dpid=77, port_no=1), "SWITCH_UNKNOWN"),
    (Attachment(dpid=11, interface="eth9"), "INTERFACE_UNKNOWN"),
    (Attachment(dpid=11, interface="s11-3"), "ATTACHMENT_CONFLICT"),
    (Attachment(dpid=11, port_no=1), "ATTACHMENT_IS_FABRIC"),
])  # fmt: skip
def test_unbound_port_is_pending_with_its_reason(attachment: Attachment | None, reason: str) -> None:
    """And nothing else: what is not bound is in no switch."""
    sim = make({"a": (11, 3)})
    asked = port("red", "b", None)
    sim.apply([Port(name=asked.name, subnet=asked.subnet, mac=asked.mac, addresses=asked.addresses,
                    attachment=attachment)])
    sim.settle()
    found = status(sim, B)
    assert (found.state, [c.reason for c in found.conditions]) == (State.PENDING, [reason])
    assert found.conditions[0].message


def test_pipe_is_as_its_ends_are() -> None:
    """PENDING with the reason of the end that is on no switch; ACTIVE when both are."""
    sim = make({"a": (11, 3), "b": (12, 3)})
    sim.apply([port("red", "c", None), Pipe(name="tenants/red/pipes/ab", a=A, b=B),
               Pipe(name="tenants/red/pipes/ac", a=A, b=C)])
    sim.settle()
    assert status(sim, "tenants/red/pipes/ab") == Status(state=State.ACTIVE)
    assert sim.reconciler.view.needs("tenants/red/pipes/ab") == (11, 12)
    found = status(sim, "tenants/red/pipes/ac")
    assert (found.state, [c.reason for c in found.conditions]) == (State.PENDING, ["UNATTACHED"])
    assert C in found.conditions[0].message


def test_port_is_pending_until_its_switch_appears() -> None:
    """Unknown switch, then known: bound and ACTIVE by itself."""
    sim = Simulation(leaves=(11, 12))
    sim.apply(tenant("red", {"a": (11, 9)}).values())
    sim.settle()
    assert condition(sim, A, "INTERFACE_UNKNOWN")
    sim.port_numbers = range(1, 10)
    sim.connect(11)
    sim.settle()
    assert status(sim, A).state is State.ACTIVE


def test_change_that_is_not_compiled_yet_is_pending() -> None:
    """Between commit and step, and for what was never heard of."""
    sim = make({})
    assert status(sim, A).conditions[0].reason == "NOT_COMPILED"


def test_unconfirmed_change_names_the_switches_that_lag() -> None:
    """The edge of the port, and other edges of its network that must learn of it."""
    sim = make({"a": (11, 3), "b": (12, 3)})
    sim.disconnect(12)
    sim.apply([port("red", "c", (11, 4))])
    sim.settle()
    found = status(sim, C)
    assert (found.state, found.reconciling) == (State.PENDING, True)
    assert condition(sim, C, "SWITCH_NOT_CONFIRMED").switches == (12,)
    sim.connect(12)
    sim.settle()
    assert status(sim, C) == Status(state=State.ACTIVE)


def test_object_changed_on_one_switch_does_not_wait_for_the_others() -> None:
    """A new ceiling concerns the port's own switch; a display name concerns none."""
    sim = make({"a": (11, 3), "b": (12, 3)})
    sim.apply([port("red", "a", (11, 3), CEILING)])
    sim.settle()
    assert status(sim, A) == Status(state=State.ACTIVE)
    sim.disconnect(12)
    sim.apply([port("red", "a", (11, 3))])
    sim.settle()
    assert status(sim, A).state is State.ACTIVE


def test_refused_flow_makes_its_object_degraded_and_names_the_switch() -> None:
    """With the switch's words; others stay ACTIVE; an accepted retry ends it."""
    sim = make({"a": (11, 3)})
    sim.refuses = lambda dpid, mark: mark.table == "flow" and dpid == 11
    sim.apply([port("red", "b", (11, 4))])
    sim.settle()
    assert status(sim, B).state is State.DEGRADED
    refusal = condition(sim, B, "FLOW_REFUSED")
    assert refusal.switches == (11,) and "TABLE_FULL" in refusal.message
    assert status(sim, A) == Status(state=State.ACTIVE)
    sim.refuses = lambda dpid, mark: False
    sim.retry(11)
    sim.settle()
    assert status(sim, B) == Status(state=State.ACTIVE)


def test_refusals_of_a_forgotten_switch_are_forgotten() -> None:
    """An object is not DEGRADED for what a switch that is gone once refused."""
    sim = make({"a": (11, 3), "b": (12, 3)})
    sim.refuses = lambda dpid, mark: dpid == 12
    sim.apply([port("red", "c", (11, 4))])
    sim.settle()
    assert status(sim, C).state is State.DEGRADED
    sim.disconnect(12)
    sim.forget(12)
    sim.settle()
    assert status(sim, C) == Status(state=State.ACTIVE)
    assert condition(sim, B, "SWITCH_UNKNOWN")


def test_port_without_a_path_is_degraded() -> None:
    """All links of an edge are lost: its ports, and those that cannot reach them, say NO_PATH with the switches."""
    sim = make({"a": (11, 3), "b": (12, 3)})
    for uplink in (1, 2):
        sim.port_down(EndPoint(12, uplink))
    told: set[str] = set()
    sim.after_step = lambda outcome: told.update(outcome.names)
    sim.settle()
    assert {A, B} <= told
    assert status(sim, A).state is status(sim, B).state is State.DEGRADED
    assert condition(sim, A, "NO_PATH").switches == (12,)
    assert condition(sim, B, "NO_PATH").switches == (11,)


def test_ceilings_say_what_they_do_not_cover() -> None:
    """A switch without meters enforces none; everything is ACTIVE all the same."""
    sim = make({"a": (11, 3)}, features=SwitchFeatures(max_groups=1_000))
    red = tenant("red", {}, CEILING)["tenants/red"]
    sim.apply([red, port("red", "a", (11, 3), CEILING), port("red", "b", (12, 3))])
    sim.settle()
    assert [c.reason for c in status(sim, "tenants/red").conditions] == ["NO_METERS"]
    assert condition(sim, A, "NO_METERS").switches == (11,)
    assert status(sim, A).state is State.ACTIVE


def test_edge_that_holds_a_whole_ceiling_beside_others_is_named() -> None:
    """The first of several edges, until it was told its share."""
    sim = make({"a": (11, 3)})
    sim.apply([tenant("red", {}, CEILING)["tenants/red"]])
    sim.settle()
    assert status(sim, "tenants/red").conditions == ()
    sim.apply([port("red", "b", (12, 3))])
    sim.settle()
    assert condition(sim, "tenants/red", "PER_EDGE").switches == (11,)
    told: set[str] = set()
    sim.after_step = lambda outcome: told.update(outcome.names)
    sim.set_shares({(11, "tenants/red"): Share(in_kbps=500, out_kbps=500)})
    sim.settle()
    assert status(sim, "tenants/red").conditions == () and "tenants/red" in told


def test_peering_and_pipe_between_networks_wait_for_the_switches_of_both() -> None:
    """ACTIVE when all have confirmed; what waits names those that have not."""
    sim = make({"a": (11, 3)})
    sim.apply(peered("red", {"b": (12, 3)}).values())
    sim.settle()
    sim.apply([far_pipe("red", CEILING)])
    sim.reconcile()
    names = "tenants/red/peerings/far", "tenants/red/pipes/far"
    assert condition(sim, names[1], "SWITCH_NOT_CONFIRMED").switches == (11, 12)
    sim.settle()
    for name in names:
        assert status(sim, name) == Status(state=State.ACTIVE)


def test_edge_that_holds_the_whole_ceiling_of_a_pipe_is_named_by_direction() -> None:
    """Where each network is on one edge there is nothing to share; a second one of either makes it so."""
    sim = make({"a": (11, 3)})
    sim.apply([*peered("red", {"b": (12, 3)}).values(), far_pipe("red", CEILING)])
    sim.settle()
    pipe = "tenants/red/pipes/far"
    assert status(sim, pipe).conditions == ()
    sim.apply([far_port("red", "c", (11, 4))])
    sim.settle()
    assert condition(sim, pipe, "PER_EDGE").switches == (12,)
    sim.set_shares({(12, pipe): Share(in_kbps=500)})
    sim.settle()
    assert status(sim, pipe).conditions == ()


def test_ceiling_that_is_not_in_force_is_missed_nowhere() -> None:
    """Outside its window nobody asks for a sum over edges."""
    once = Window(when=Interval(start_s=10.0, end_s=20.0), rates=CEILING.rates)
    sim = make({"a": (11, 3), "b": (12, 3)})
    sim.apply([tenant("red", {}, BandwidthPolicy(schedule=(once,)))["tenants/red"]])
    for now_s in (0.0, 30.0):
        sim.pass_time(now_s)
        sim.settle()
        assert status(sim, "tenants/red").conditions == ()


def test_nothing_is_remembered_of_deleted_objects() -> None:
    """However many come and go."""
    sim = make({"a": (11, 3)})
    for i in range(5):
        sim.apply([port("red", "b", (11, 4 + i % 2))])
        sim.settle()
        sim.apply((), [B])
        sim.settle()
    assert set(sim.reconciler.view.changed) == {obj.name for obj in sim.intent.objects()}


def test_watcher_is_told_when_a_port_can_be_reached_at_last() -> None:
    """The last that is said about the first port of an edge is said when it is ACTIVE."""
    sim = make({"a": (11, 3)})
    said: dict[str, State] = {}
    sim.after_step = lambda outcome: said.update({n: status(sim, n).state for n in outcome.names})
    sim.apply([port("red", "b", (12, 3))])
    sim.settle()
    assert said[B] is said[A] is State.ACTIVE


def test_wait_for_the_first_port_of_an_edge_covers_labels_and_their_choice() -> None:
    """It ends only when every edge of the network writes the label that every hop confirmed: frames arrive then."""
    sim = make({"a": (11, 3)})
    sim.apply([port("red", "b", (12, 3))])
    waiter = sim.wait()
    while not waiter.done():
        assert sim.dirty or sum(map(sim.turn, sim.switches))
        if sim.dirty:
            sim.reconcile()
    assert waiter.result() == ()
    choices = sim.reconciler.view.world.choices
    assert (11, 12) in choices and (12, 11) in choices
    sim.check_installed()


def test_wait_covers_what_follows_even_when_other_commits_are_worked_in_with_it() -> None:
    """The confirmation that makes a label usable may share its step with a later commit."""
    sim = make({"a": (11, 3)})
    sim.apply([port("red", "b", (12, 3))])
    waiter = sim.wait()
    sim.reconcile()
    for dpid in sim.switches:
        sim.run(dpid)
    sim.apply([port("red", "c", (13, 3))])
    sim.reconcile()
    assert not waiter.done(), "the choice of the label toward 12 is not confirmed yet"
    sim.settle()
    assert waiter.result() == ()


def test_declared_fabric_port_unbinds_and_frees_its_wait() -> None:
    """A port whose wire becomes the fabric's is PENDING, and nobody waits for a switch on its account."""
    sim = make({"a": (11, 3)})
    sim.observe(RoleDeclared(dpid=11, interface="s11-3", role=PortRole.FABRIC))
    sim.settle()
    assert condition(sim, A, "ATTACHMENT_IS_FABRIC")
    assert sim.wait().done()
    assert status(sim, network_name("red")).state is State.ACTIVE
