"""Path policies that are refused: because no path keeps to them, or because they name what does not exist."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.fabric.declared import LinkSettings, SwitchSettings
from controller.fabric.graph import LinkDeclared, SwitchDeclared
from controller.model.errors import FailedPrecondition, InvalidArgument
from controller.model.network import ANY_PATH, PathPolicy
from controller.reconcile.path_gate import PathGate
from tests.support.worlds import Lab

NET = "tenants/red/networks/net"


def lab() -> Lab:
    """Two spines, one of them of zone x; a port on the first and on the last leaf; links of 100 us."""
    lab = Lab.leaf_spine()
    lab.observe(SwitchDeclared(dpid=1, settings=SwitchSettings(zone="x")))
    for src in lab.fabric.links:
        lab.observe(LinkDeclared(src=src, settings=LinkSettings(latency_us=100)))
    lab.network("red")
    lab.port("red", "a", at=(11, 3))
    lab.port("red", "b", at=(13, 3))
    return lab


def check(lab: Lab, policy: PathPolicy) -> None:
    before = lab.intent
    lab.update(replace(before.networks[NET], path_policy=policy))
    PathGate(lambda: lab.fabric).check(before, lab.intent, frozenset({NET}))


def test_policy_that_some_path_keeps_to_is_let_pass() -> None:
    """And so is one that nothing is asked of any more, and any other change."""
    world = lab()
    for policy in (PathPolicy(avoid_zones=("x",)), PathPolicy(max_latency_us=200), PathPolicy(trees=(3,)), ANY_PATH):
        check(world, policy)
    PathGate(lambda: world.fabric).check(world.intent, world.intent, frozenset({NET, f"{NET}/ports/a", "tenants/red"}))


def test_policy_that_no_path_keeps_to_is_refused_with_the_pair_and_the_constraint() -> None:
    """Where the best path passes the zone, and how fast the fastest one is."""
    world = lab()
    world.observe(SwitchDeclared(dpid=2, settings=SwitchSettings(zone="y")))
    with pytest.raises(FailedPrecondition, match="avoids zones x, y; the best one passes 0000000000000001") as refused:
        check(world, PathPolicy(avoid_zones=("x", "y")))
    assert (refused.value.reason, refused.value.subject) == ("PATH_POLICY_UNSATISFIABLE", NET)
    assert refused.value.metadata == {
        "constraint": "ZONES", "source_switch": f"{11:016x}", "destination_switch": f"{13:016x}"}
    with pytest.raises(FailedPrecondition, match="takes at most 150 us and avoids zone x; the fastest takes 200 us"):
        check(world, PathPolicy(max_latency_us=150, avoid_zones=("x",)))


def test_policy_is_looked_at_where_ports_are_to_be() -> None:
    """One that is attached counts though its switch was not asked yet; one alone has no path to keep to."""
    world = lab()
    world.observe(SwitchDeclared(dpid=2, settings=SwitchSettings(zone="x")))
    world.delete(f"{NET}/ports/b")
    check(world, PathPolicy(avoid_zones=("x",)))
    check(world, ANY_PATH)
    world.port("red", "c", at=(12, 3), bind=False)
    with pytest.raises(FailedPrecondition):
        check(world, PathPolicy(avoid_zones=("x",)))


def test_same_policy_is_not_judged_again() -> None:
    """What became of it since it was set is a condition, and no reason to refuse a new name for the network."""
    world = lab()
    policy = PathPolicy(avoid_zones=("x",))
    check(world, policy)
    world.observe(SwitchDeclared(dpid=2, settings=SwitchSettings(zone="x")))
    check(world, policy)


@pytest.mark.parametrize(("zones", "there_are"), [(("x", "nowhere"), "there are x"), (("",), "there are x")])
def test_zone_of_no_switch_is_refused_by_name(zones: tuple[str, ...], there_are: str) -> None:
    """The field says which one of them."""
    with pytest.raises(InvalidArgument, match=there_are) as refused:
        check(lab(), PathPolicy(avoid_zones=zones))
    assert list(refused.value.fields) == [f"network.path_policy.avoid_zones[{len(zones) - 1}]"]
