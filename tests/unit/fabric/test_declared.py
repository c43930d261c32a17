"""What the operator declares of links and switches: kept for those not yet seen, and what follows for paths."""

from __future__ import annotations

import pytest

from controller.fabric.cache import everything, fabric_records, restore
from controller.fabric.declared import MAX_COST, LinkSettings, SwitchSettings
from controller.fabric.graph import (
    EndPoint,
    Fabric,
    LinkDeclared,
    LinkSeen,
    PortRole,
    SwitchDeclared,
    SwitchDisconnected,
)
from controller.fabric.paths.arrays import Topology
from tests.unit.fabric.fabrics import after, connected, fabric_of, wire

A, B = EndPoint(1, 1), EndPoint(2, 1)


def drain(at: EndPoint, *, drained: bool = True) -> LinkDeclared:
    return LinkDeclared(src=at, settings=LinkSettings(drained=drained), fields=frozenset({"drained"}))


def drain_switch(dpid: int, *, drained: bool = True) -> SwitchDeclared:
    return SwitchDeclared(dpid=dpid, settings=SwitchSettings(drained=drained), fields=frozenset({"drained"}))


@pytest.mark.parametrize("end", [A, B])
def test_drained_wire_is_up_but_no_path_takes_it_either_way(end: EndPoint) -> None:
    """One end drained is the wire drained; both directions leave the graph and come back with it."""
    ring = fabric_of([(1, 2), (2, 3), (3, 1)])
    drained, change = ring.apply(drain(end))
    assert all(drained.links[at].up and drained.links[at].drained for at in (A, B))
    assert (change.topology, change.links) == (True, {A, B})
    assert not drained.graph().has_edge(1, 2) and not drained.graph().has_edge(2, 1)
    assert Topology.of(drained).up.sum() == 4
    assert after(drained, drain(end, drained=False)) == ring


def test_drained_switch_takes_all_its_links_with_it() -> None:
    """No link of it is used, all are up, and a link drained by itself stays so when the switch is used again."""
    ring = fabric_of([(1, 2), (2, 3), (3, 1)])
    drained = after(ring, drain(A), drain_switch(2))
    assert sorted(drained.graph().edges) == [(1, 3), (3, 1)]
    assert all(link.up for link in drained.links.values())
    assert sorted(after(drained, drain_switch(2, drained=False)).graph().edges) == [(1, 3), (2, 3), (3, 1), (3, 2)]
    assert after(drained, SwitchDisconnected(dpid=2)).graph().edges == drained.graph().edges, "unknown is not down"


def test_declarations_wait_for_what_has_not_appeared() -> None:
    """Cost, latency, zone and draining of what nobody saw yet hold from its first moment."""
    settings = LinkSettings(cost=7, latency_us=30)
    fabric = after(
        Fabric(), LinkDeclared(src=A, settings=settings), drain(EndPoint(3, 1)),
        SwitchDeclared(dpid=1, settings=SwitchSettings(zone="east")),
        connected(1), connected(2), connected(3), *wire(A, B), *wire(EndPoint(1, 2), EndPoint(3, 1)),
    )  # fmt: skip
    assert (fabric.links[A].cost, fabric.links[A].latency_us, fabric.links[B].cost) == (7, 30, 1)
    assert sorted(fabric.graph().edges) == [(1, 2), (2, 1)]
    topology = Topology.of(fabric)
    assert topology.zones == ("east", "", "")
    assert topology.latency_us[topology.wiring.link_index[A]] == 30


def test_declaring_one_field_leaves_the_others() -> None:
    """Two operators who say different things of a link do not undo each other."""
    fabric = after(
        Fabric(), LinkDeclared(src=A, settings=LinkSettings(cost=7), fields=frozenset({"cost"})),
        LinkDeclared(src=A, settings=LinkSettings(latency_us=9), fields=frozenset({"latency_us"})), drain(A),
    )  # fmt: skip
    assert fabric.link_settings(A) == LinkSettings(cost=7, latency_us=9, drained=True)


def test_topology_follows_what_is_declared() -> None:
    """After any change of cost, latency, draining or zone it equals the topology made afresh."""
    fabric = fabric_of([(1, 2), (2, 3), (3, 1)])
    for event in (
        drain(A), LinkDeclared(src=A, settings=LinkSettings(cost=3, latency_us=5)), drain_switch(3),
        SwitchDeclared(dpid=2, settings=SwitchSettings(zone="west")),
    ):
        before = Topology.of(fabric)
        fabric, change = fabric.apply(event)
        now, fresh = before.after(fabric, change), Topology.of(fabric)
        assert now is not before
        assert (now.weights, now.latency_us.tolist(), now.zones) == (
            fresh.weights, fresh.latency_us.tolist(), fresh.zones)  # fmt: skip


def test_declarations_survive_a_restart_and_old_records_are_read() -> None:
    """All that was declared comes back, and so do the capacities that an earlier version kept."""
    fabric = after(
        fabric_of([(1, 2)]), drain(A), LinkDeclared(src=EndPoint(9, 9), settings=LinkSettings(cost=4)),
        SwitchDeclared(dpid=8, settings=SwitchSettings(zone="north", drained=True)),
    )  # fmt: skip
    again, _ = restore(fabric_records(fabric, everything(fabric)), PortRole.AUTO)
    assert again.declared_links == fabric.declared_links
    assert again.declared_switches == fabric.declared_switches
    assert again.links == fabric.links
    old, _ = restore({f"declared/{1:016x}": {"roles": {}, "capacities": {"1": 500}}}, PortRole.AUTO)
    assert old.link_settings(A) == LinkSettings(capacity_kbps=500)


@pytest.mark.parametrize(
    ("field", "value"),
    [("capacity_kbps", 0), ("capacity_kbps", -1), ("cost", 0), ("cost", MAX_COST + 1), ("latency_us", -1),
     ("latency_us", 1 << 25)],
)  # fmt: skip
def test_settings_that_no_path_can_be_computed_with_cannot_be_made(field: str, value: int) -> None:
    """A sum of costs never overflows because no single one may be too big."""
    with pytest.raises(ValueError, match=str(value)):
        LinkSettings(**{field: value})  # type: ignore[arg-type]


def test_parallel_links_are_drained_one_by_one_and_a_self_loop_is_none() -> None:
    """Draining one of two wires leaves the other; a wire that joins a switch to itself is an alarm and no link."""
    pair = fabric_of([(1, 2), (1, 2)])
    assert after(pair, drain(A)).graph().edges[1, 2]["port_no"] == 2
    assert not after(pair, drain(A), drain(EndPoint(1, 2))).graph().edges
    fabric, change = after(pair, connected(3)).apply(LinkSeen(src=EndPoint(3, 1), dst=EndPoint(3, 2)))
    assert [alarm.reason for alarm in change.alarms] == ["SELF_LOOP"]
    assert EndPoint(3, 1) not in fabric.links
