"""k alternatives against all simple paths and against networkx."""

from __future__ import annotations

from itertools import islice

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.fabric.paths.alternatives import alternatives
from controller.fabric.paths.arrays import WEIGHT_OF_COST, Topology
from controller.fabric.paths.shortest import all_pairs
from tests.support.graphs import fat_tree, graphs, ring, wan
from tests.unit.fabric.paths.walks import length, simple_paths


@given(graph=graphs(6), k=st.integers(1, 12), barred=st.integers(0, 4))
def test_alternatives_are_the_k_best_simple_paths(graph: nx.MultiGraph[int], k: int, barred: int) -> None:
    """No path twice, none with a loop, in order, none better left out; links that are barred are not used."""
    topology = Topology.from_graph(graph)
    routes = all_pairs(topology)
    usable = np.arange(topology.n_links) >= barred
    kept = set(topology.wiring.srcs[barred:])
    for dst in graph:
        found = alternatives(routes, 1, dst, k, usable=usable)
        expected = [path for path in simple_paths(topology, 1, dst) if kept.issuperset(path.links)]
        assert len(set(found)) == len(found)
        assert set(found) <= set(expected)
        assert [length(path) for path in found] == sorted(map(length, expected))[:k]


@pytest.mark.parametrize("graph", [fat_tree(4), ring(8), wan(50)], ids=["fat-tree", "ring", "wan"])
def test_alternatives_on_fabrics_cost_as_networkx_says(graph: nx.Graph[int]) -> None:
    """Yen's order, cost by cost."""
    for _, _, link in graph.edges(data=True):
        link["weight"] = WEIGHT_OF_COST * link["cost"] + 1
    routes = all_pairs(Topology.from_graph(graph))
    switches = sorted(graph)
    for src, dst in zip(switches[:10], reversed(switches), strict=False):
        found = alternatives(routes, src, dst, 6)
        oracle = islice(nx.shortest_simple_paths(graph, src, dst, weight="weight"), 6)
        assert [WEIGHT_OF_COST * path.cost + len(path.links) for path in found] == [
            nx.path_weight(graph, path, "weight") for path in oracle
        ]


def test_alternatives_do_not_depend_on_the_order_of_the_graph() -> None:
    """The same wires named in another order: the same paths, ties included."""
    graph = fat_tree(4)
    topology = Topology.from_graph(graph)
    links = [topology.link(src, up=True) for src in topology.wiring.srcs]
    again: nx.DiGraph[int] = nx.DiGraph()
    for link in reversed(links):
        again.add_edge(link.src.dpid, link.dst.dpid, src=link.src, dst=link.dst, capacity_kbps=link.capacity_kbps)
    one, other = (alternatives(all_pairs(t), 1000, 1007, 4) for t in (topology, Topology.from_graph(again)))
    assert one == other and len(one) == 4


def test_alternatives_to_itself_and_to_strangers() -> None:
    """One empty path to itself; none to a switch that is not there."""
    routes = all_pairs(Topology.from_graph(ring(4)))
    assert [path.switches for path in alternatives(routes, 2, 2, 3)] == [(2,)]
    assert alternatives(routes, 2, 77, 3) == ()
