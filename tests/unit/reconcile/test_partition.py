"""Who would be cut off by a drain."""

from __future__ import annotations

from dataclasses import replace

from immutables import Map

from controller.fabric.declared import LinkSettings, SwitchSettings
from controller.fabric.graph import EndPoint, Event, Fabric, LinkDeclared, LinkLost, SwitchDeclared
from controller.intent.snapshot import Snapshot
from controller.model.network import Network, PathPolicy
from controller.pipeline.world import Placement, World
from controller.reconcile.keeper import Keeper
from controller.reconcile.partition import cut_off
from controller.reconcile.reconciler import Reconciler
from tests.sequences.simulation import MemoryCache
from tests.unit.fabric.fabrics import after, fabric_of

RING = [(1, 2), (2, 3), (3, 4), (4, 1)]
A12, A23 = EndPoint(1, 1), EndPoint(2, 2)


def world(fabric: Fabric, **networks: tuple[int, ...]) -> World:
    """A world with these networks, and the switches where they have ports."""
    presence = {name: Map({dpid: Map({f"{name}-{dpid}": None}) for dpid in dpids}) for name, dpids in networks.items()}
    at: dict[int, Map[str, None]] = {}
    for name, dpids in networks.items():
        for dpid in dpids:
            at[dpid] = at.get(dpid, Map()).set(name, None)
    placement = Placement(presence=Map(presence), networks_at=Map(at))
    return World(intent=Snapshot(), fabric=fabric, placement=placement)


def drain(*ends: EndPoint) -> list[Event]:
    return [LinkDeclared(src=end, settings=LinkSettings(drained=True)) for end in ends]


def drain_switch(dpid: int) -> Event:
    return SwitchDeclared(dpid=dpid, settings=SwitchSettings(drained=True))


def would_cut(before: World, *events: Event) -> list[str]:
    return cut_off(before, after(before.fabric, *events))


def test_one_link_of_a_ring_cuts_nobody_off_and_two_do() -> None:
    """Of two drains together only the networks are named that are on both sides."""
    before = world(fabric_of(RING), across=(1, 3), beside=(3, 4), alone=(2,))
    assert would_cut(before, *drain(A12)) == []
    assert would_cut(before, *drain(A12, EndPoint(4, 2))) == ["across"], "switch 1 is apart"
    assert would_cut(before, *drain(A12, A23)) == [], "only switch 2 is apart, and nobody shares a network with it"
    assert would_cut(world(before.fabric, pair=(1, 2)), *drain(A12, A23)) == ["pair"]


def test_switch_in_the_middle_can_go_and_one_with_ports_cannot() -> None:
    """Even a network that is on one switch only loses that switch."""
    before = world(fabric_of(RING), across=(1, 3), alone=(4,))
    assert would_cut(before, drain_switch(2)) == []
    assert would_cut(before, drain_switch(2), drain_switch(4)) == ["across", "alone"]
    assert would_cut(before, drain_switch(3)) == ["across"]


def test_what_is_apart_already_is_no_loss() -> None:
    """After failures that cut a network the drain of what it cannot use is not refused."""
    broken = after(fabric_of([(1, 2), (2, 3)]), LinkLost(src=A12), LinkLost(src=EndPoint(2, 1)))
    before = world(broken, red=(1, 3))
    assert would_cut(before, *drain(A23)) == []
    assert would_cut(world(broken, red=(1, 2, 3)), *drain(A23)) == ["red"]


def test_refusal_names_five_networks_and_counts_the_rest() -> None:
    """A whole rack's tenants would be no message."""
    fabric = fabric_of([(1, 2)])
    reconciler = Reconciler(fabric, {}, Keeper(MemoryCache()))
    reconciler.engine.world = world(fabric, **{f"n{i}": (1, 2) for i in range(8)})
    refusal = reconciler.refusal(drain(A12))
    assert refusal is not None and refusal.reason == "WOULD_PARTITION"
    assert "n0, n1, n2, n3, n4 and 3 more" in refusal.message
    assert refusal.metadata == {"networks": "n0,n1,n2,n3,n4", "network_count": "8"}
    assert reconciler.fabric is fabric, "nothing was declared"
    assert reconciler.refusal(drain(EndPoint(1, 3))) is None


def test_network_whose_policy_permits_no_other_path_is_cut_off() -> None:
    """The ring has another way, but it passes the zone that the network avoids; whoever has no way now loses none."""
    before = world(after(fabric_of(RING), SwitchDeclared(dpid=4, settings=SwitchSettings(zone="x"))), net=(1, 3))
    policy = PathPolicy(avoid_zones=("x",))
    before = replace(before, intent=Snapshot(networks=Map({"net": Network(name="net", path_policy=policy)})))
    assert would_cut(before, *drain(A12)) == ["net"]
    assert would_cut(before, *drain(EndPoint(4, 1))) == []
    cut_already = replace(before, fabric=after(before.fabric, *drain(A12)))
    assert would_cut(cut_already, *drain(A23)) == []
