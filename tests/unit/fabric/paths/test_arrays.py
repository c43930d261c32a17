"""The topology as arrays: what it is made of, what a change shares, what it refuses."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import pytest

from controller.fabric.declared import LinkSettings
from controller.fabric.graph import EndPoint, Fabric, LinkDeclared, LinkLost, SwitchForgotten
from controller.fabric.paths.arrays import MAX_COST, Topology
from tests.unit.fabric.fabrics import applied, connected, fabric_of, leaf_spine


def test_topology_numbers_switches_and_links_in_order() -> None:
    """Indexes follow dpids and sources; each link knows its ends, its worth and the other direction of its wire."""
    fabric = fabric_of([(3, 1), (1, 2)])
    topology = Topology.of(fabric, latency_us={EndPoint(1, 1): 250}, zones={3: "east"})
    wiring = topology.wiring
    assert wiring.dpids == (1, 2, 3)
    assert list(wiring.srcs) == sorted(fabric.links)
    assert [wiring.dsts[i] for i in range(4)] == [fabric.links[src].dst for src in wiring.srcs]
    assert [wiring.srcs[i] for i in wiring.reverse] == list(wiring.dsts)
    assert topology.latency_us.tolist() == [250, 0, 0, 0]
    assert topology.zones == ("", "", "east")
    assert set(topology.capacity_kbps.tolist()) == {10_000_000}


def test_topology_keeps_parallel_links_apart() -> None:
    """Two wires between two switches are four links."""
    assert Topology.of(fabric_of([(1, 2), (1, 2)])).n_links == 4
    graph = nx.MultiGraph([(1, 2), (1, 2)])
    assert Topology.from_graph(graph).wiring.dsts == (EndPoint(2, 1), EndPoint(2, 2), EndPoint(1, 1), EndPoint(1, 2))


def test_topology_after_a_failure_shares_all_but_what_failed() -> None:
    """Numbers, wiring, cost and capacity are the very same objects; only which links are up is another array."""
    fabric = leaf_spine(2, 3)
    before = Topology.of(fabric)
    src = EndPoint(101, 1)
    fabric, change = fabric.apply(LinkLost(src=src))
    after = before.after(fabric, change)
    assert after.wiring is before.wiring
    assert after.cost is before.cost and after.capacity_kbps is before.capacity_kbps
    assert before.up.all()
    assert [after.wiring.srcs[i] for i, up in enumerate(after.up) if not up] == [EndPoint(1, 1), src]


@pytest.mark.parametrize(
    "event",
    [
        LinkLost(src=EndPoint(1, 1)),
        LinkDeclared(src=EndPoint(1, 1), settings=LinkSettings(capacity_kbps=5)),
        connected(7),
        connected(1, [1]),
        SwitchForgotten(dpid=2),
    ],
    ids=lambda event: type(event).__name__,
)
def test_topology_after_any_event_is_that_of_the_fabric(event: object) -> None:
    """Incremental equals from scratch, up to links that are gone, which may stay as links that are down."""
    fabric = leaf_spine(2, 3)
    before = Topology.of(fabric)
    fabric, change = applied(fabric, event)  # type: ignore[arg-type]
    after, fresh = before.after(fabric, change), Topology.of(fabric)
    assert after.wiring.dpids == fresh.wiring.dpids
    assert _links_up(after) == _links_up(fresh)


def _links_up(topology: Topology) -> list[object]:
    return [topology.link(src, up=True) for src, up in zip(topology.wiring.srcs, topology.up, strict=True) if up]


def test_topology_that_nothing_changed_is_the_same_object() -> None:
    """A change that is not about links gives this very topology back."""
    fabric = leaf_spine(2, 3)
    topology = Topology.of(fabric)
    assert topology.with_changes(fabric.links.values()) is topology
    fabric, change = fabric.apply(connected(1, fabric.switches[1].ports.values()))
    assert topology.after(fabric, change) is topology


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("cost", 0, "cost outside"),
        ("cost", MAX_COST + 1, "cost outside"),
        ("capacity_kbps", -1, "negative capacity"),
        ("dst", EndPoint(1, 9), "its own switch"),
    ],
)
def test_topology_refuses_what_no_path_can_be_computed_with(field: str, value: object, message: str) -> None:
    """Bad worth is refused with the link named, whether it is there from the start or comes with a change."""
    fabric = fabric_of([(1, 2)])
    src = EndPoint(1, 1)
    bad = replace(fabric.links[src], **{field: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"0000000000000001:1 .*{message}"):
        Topology.of(replace(fabric, links=fabric.links.set(src, bad)))
    if field != "dst":
        with pytest.raises(ValueError, match=message):
            Topology.of(fabric).with_changes([bad])


def test_topology_of_nothing_is_empty() -> None:
    """No switches, no links, no error."""
    assert Topology.of(Fabric()).n_switches == 0
