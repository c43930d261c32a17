"""Redundant in-trees: what two trees of a pair share, and how long they are."""

from __future__ import annotations

from collections import Counter

import networkx as nx
import pytest
from hypothesis import given

from controller.fabric.paths import Hop
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.redundant import RedundantTrees, in_trees
from controller.fabric.paths.shortest import all_pairs
from tests.support.graphs import fat_tree, graphs, ring, wan
from tests.unit.fabric.paths.walks import walk, wires

LEAF_SPINE: nx.Graph[int] = nx.complete_bipartite_graph(4, 10)
FABRICS = {"fat-tree": fat_tree(4), "ring": ring(7), "wan": wan(40), "leaf-spine": LEAF_SPINE}


def _assert_redundant(graph: nx.Graph[int], edge: int, n_trees: int) -> None:
    """In each pair a switch's paths share just what every path has to take; and never a loop."""
    topology = Topology.from_graph(graph)
    trees = in_trees(topology, edge, n_trees)
    assert len(trees) == n_trees
    together = nx.node_connected_component(graph, edge)
    simple: nx.Graph[int] = nx.Graph(graph)
    for tree in trees:
        assert set(tree) == together and tree[edge] == Hop(0, edge)
    for one, other in zip(trees[::2], trees[1::2], strict=True):
        for dpid in together - {edge}:
            a, b = walk(topology, one, dpid), walk(topology, other, dpid)
            for wire in wires(topology, a) & wires(topology, b):
                ends = [at.dpid for at in wire]
                rest = nx.Graph(simple)
                rest.remove_edge(*ends)
                assert graph.number_of_edges(*ends) == 1 and not nx.has_path(rest, dpid, edge)
            for shared in set(a.switches[1:-1]) & set(b.switches[1:-1]):
                assert not nx.has_path(simple.subgraph(set(simple) - {shared}), dpid, edge)


@given(graph=graphs(9, directed=False))
def test_trees_share_only_what_cannot_be_avoided(graph: nx.MultiGraph[int]) -> None:
    """On any graph: only bridges and cut switches, also with parallel links, in two pairs."""
    for edge in graph:
        _assert_redundant(graph, edge, 4)


@pytest.mark.parametrize("name", FABRICS)
def test_trees_on_fabrics_share_only_what_cannot_be_avoided(name: str) -> None:
    """The same on the shapes that fabrics have."""
    for edge in sorted(FABRICS[name])[::3]:
        _assert_redundant(FABRICS[name], edge, 4)


@given(graph=graphs(6))
def test_trees_hold_all_that_can_reach_the_edge(graph: nx.MultiGraph[int]) -> None:
    """One-way links too, while the other direction is not seen yet or any more."""
    topology = Topology.from_graph(graph)
    for edge in graph:
        for tree in in_trees(topology, edge, 3):
            assert set(tree) == nx.ancestors(graph, edge) | {edge}
            for dpid in tree:
                walk(topology, tree, dpid)


def test_trees_in_a_ring_go_both_ways_round() -> None:
    """One clockwise, one counter-clockwise."""
    topology = Topology.from_graph(ring(5))
    paths = {walk(topology, tree, 2).switches for tree in in_trees(topology, 0, 2)}
    assert paths == {(2, 1, 0), (2, 3, 4, 0)}


def test_trees_in_a_leaf_spine_are_shortest_and_use_all_spines() -> None:
    """Two hops between leaves in every tree; four trees toward a leaf give each leaf different spines."""
    topology = Topology.from_graph(LEAF_SPINE)
    shared = RedundantTrees(topology)
    loads: Counter[int] = Counter()
    for edge in range(4, 14):
        trees = shared.toward(edge, 4)
        for leaf in range(4, 14):
            spines = [walk(topology, tree, leaf).switches[1:-1] for tree in trees]
            if leaf != edge:
                assert all(len(way) == 1 for way in spines)
                loads.update(way[0] for way in spines)
    assert max(loads.values()) <= 1.25 * sum(loads.values()) / 4


def test_trees_in_a_fat_tree_are_short() -> None:
    """Between edge switches the better path of a pair is a shortest one, the other a fifth longer at most."""
    graph = fat_tree(8)
    topology = Topology.from_graph(graph)
    routes, shared = all_pairs(topology), RedundantTrees(topology)
    longer = []
    edges = [dpid for dpid in graph if dpid < 2000]
    for edge in edges[::5]:
        pair = shared.toward(edge, 2)
        for dpid in set(edges) - {edge}:
            hops = sorted(len(walk(topology, tree, dpid).links) for tree in pair)
            shortest = routes.hops(dpid, edge)
            assert hops[0] == shortest
            longer.append(hops[1] / (shortest or 1))
    assert sum(longer) / len(longer) <= 1.2


def test_trees_do_not_depend_on_the_run() -> None:
    """Computed twice, they are the same."""
    one, other = (in_trees(Topology.from_graph(wan(80)), 5, 4) for _ in range(2))
    assert one == other


def test_trees_toward_strangers_and_loners() -> None:
    """An unknown edge has empty trees; one without links reaches itself."""
    topology = Topology.from_graph(nx.empty_graph(1))
    assert [dict(tree) for tree in in_trees(topology, 0, 2)] == [{0: Hop(0, 0)}] * 2
    assert [len(tree) for tree in in_trees(topology, 7, 3)] == [0, 0, 0]
