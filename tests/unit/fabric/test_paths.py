"""Working trees against networkx, ties, determinism."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from controller.fabric.graph import EndPoint, Fabric, LinkLost, SwitchDisconnected
from controller.fabric.paths import Hop, Tree
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.plan import Planner
from tests.unit.fabric.fabrics import after, connected, fabric_of, leaf_spine

WIRES = st.lists(
    st.tuples(st.integers(1, 7), st.integers(1, 7)).filter(lambda w: w[0] != w[1]), min_size=1, max_size=14
)


def priced(fabric: Fabric, costs: dict[EndPoint, int]) -> Fabric:
    links = {src: replace(link, cost=costs.get(src, 1)) for src, link in fabric.links.items()}
    return replace(fabric, links=fabric.links.update(links))


def in_tree(fabric: Fabric, edge: int) -> Tree:
    """The first of the working trees."""
    return Map({dpid: hops.working[0] for dpid, hops in Planner(Topology.of(fabric)).toward(edge).items()})


def walk(tree: Tree, dpid: int) -> list[int]:
    path = [dpid]
    while tree[path[-1]].dpid != path[-1]:
        path.append(tree[path[-1]].dpid)
        assert len(path) <= len(tree), f"loop: {path}"
    return path


@given(wires=WIRES, data=st.data())
def test_tree_is_shortest_by_cost_then_hops(wires: list[tuple[int, int]], data: st.DataObject) -> None:
    """Every switch with a path is in the tree, on a path of networkx's least cost and, at that cost, of fewest hops."""
    fabric = fabric_of(wires)
    costs = data.draw(st.fixed_dictionaries({src: st.integers(1, 3) for src in sorted(fabric.links)}))
    graph = priced(fabric, costs).graph()
    fabric = priced(fabric, costs)
    for edge in graph:
        tree = in_tree(fabric, edge)
        # 1000 x cost + 1 per link orders by (cost, hops) as long as no path has a thousand hops
        weight = lambda _u, _v, link: 1000 * link["cost"] + 1  # noqa: E731
        oracle = nx.single_source_dijkstra_path_length(graph.reverse(), edge, weight=weight)
        assert set(tree) == set(oracle)
        assert tree[edge] == Hop(0, edge)
        for dpid in tree:
            path = walk(tree, dpid)
            assert path[-1] == edge
            assert sum(1000 * graph.edges[a, b]["cost"] + 1 for a, b in nx.utils.pairwise(path)) == oracle[dpid]
            assert dpid == edge or tree[dpid].port_no == graph.edges[dpid, tree[dpid].dpid]["port_no"]


def test_tree_follows_only_links_that_are_up() -> None:
    """A ring cut at one link sends everyone the other way round; cut off switches are not in the tree."""
    ring = fabric_of([(1, 2), (2, 3), (3, 4), (4, 1)])
    assert walk(in_tree(ring, 1), 2) == [2, 1]
    cut = after(ring, LinkLost(src=EndPoint(2, 1)))
    assert walk(in_tree(cut, 1), 2) == [2, 3, 4, 1]
    assert set(in_tree(after(cut, LinkLost(src=EndPoint(4, 2))), 1)) == {1}


def test_lost_control_channel_moves_no_tree() -> None:
    """Unknown is not down."""
    fabric = leaf_spine(2, 3)
    assert in_tree(after(fabric, SwitchDisconnected(dpid=1)), 101) == in_tree(fabric, 101)


def test_unknown_edge_has_no_tree_and_a_lone_switch_only_itself() -> None:
    """Asking about a switch that is not there is no error."""
    assert len(in_tree(Fabric(), 1)) == 0
    assert dict(in_tree(after(Fabric(), connected(1)), 1)) == {1: Hop(0, 1)}


def test_trees_toward_different_edges_spread_over_the_spines() -> None:
    """With equal costs each spine carries its share of the trees, within what hashing gives."""
    fabric = leaf_spine(4, 60)
    used = Counter(in_tree(fabric, 101 + leaf)[101 + (leaf + 1) % 60].dpid for leaf in range(60))
    assert set(used) == {1, 2, 3, 4}
    assert min(used.values()) >= 60 / 4 / 3


def test_lost_spine_moves_only_the_trees_that_used_it() -> None:
    """Ties are drawn by rank, not by position: whoever did not use the spine keeps its hop."""
    fabric = leaf_spine(4, 12)
    of_spine_2 = [src for src, link in fabric.links.items() if 2 in (src.dpid, link.dst.dpid)]
    without = after(fabric, *(LinkLost(src=src) for src in of_spine_2))
    for edge in range(101, 113):
        before, now = in_tree(fabric, edge), in_tree(without, edge)
        assert {d: h for d, h in before.items() if d != 2 and h.dpid != 2} == {
            d: h for d, h in now.items() if before[d].dpid != 2
        }


@pytest.mark.parametrize("order", [1, -1])
def test_tree_does_not_depend_on_the_order_of_events(order: int) -> None:
    """The same fabric learned in another order gives the same tree."""
    fabric = leaf_spine(3, 5)
    again = Fabric()
    for dpid in sorted(fabric.switches)[::order]:
        again = after(again, connected(dpid, fabric.switches[dpid].ports.values()))
    links = {src: fabric.links[src] for src in sorted(fabric.links)[::order]}
    again = replace(again, links=again.links.update(links))
    for edge in fabric.switches:
        assert in_tree(again, edge) == in_tree(fabric, edge)
