"""Disjoint pairs against all pairs of simple paths."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.fabric.graph import EndPoint
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.disjoint import Apart, disjoint_pair
from controller.fabric.paths.path import NoPath, Path
from controller.fabric.paths.shortest import all_pairs
from tests.support.graphs import fat_tree, graphs, ring, wan
from tests.unit.fabric.paths.walks import Length, length, simple_paths, wires


def _apart(topology: Topology, one: Path, other: Path, apart: Apart, groups: list[frozenset[EndPoint]]) -> bool:
    """The definition, spelt out."""
    mine, others = wires(topology, one), wires(topology, other)
    if mine & others or (apart is Apart.SWITCHES and set(one.switches[1:-1]) & set(other.switches[1:-1])):
        return False
    return not any(
        any(group & wire for wire in mine) and any(group & wire for wire in others) for group in groups
    )


def _total(one: Path, other: Path) -> Length:
    return one.cost + other.cost, len(one.links) + len(other.links)


@given(graph=graphs(6), apart=st.sampled_from(Apart), directed=st.booleans(), data=st.data())
def test_pair_is_the_least_of_all_disjoint_pairs(
    graph: nx.MultiGraph[int], apart: Apart, directed: bool, data: st.DataObject
) -> None:
    """Least cost in total, then fewest hops; or truly every two paths share something."""
    graph = graph if directed else nx.MultiGraph(graph)
    topology = Topology.from_graph(graph)
    srcs = topology.wiring.srcs
    group = st.frozensets(st.sampled_from(srcs or (EndPoint(0, 0),)), max_size=3)
    groups = data.draw(st.lists(group, max_size=2))
    routes = all_pairs(topology)
    for dst in list(graph)[1:]:
        found = disjoint_pair(routes, 1, dst, apart=apart, risk_groups=groups)
        paths = simple_paths(topology, 1, dst)
        pairs = [pair for pair in combinations(paths, 2) if _apart(topology, *pair, apart, groups)]
        if isinstance(found, NoPath):
            assert not pairs
            assert found.reason == ("DISJOINT" if paths else "DISCONNECTED")
        else:
            assert _apart(topology, *found, apart, groups)
            assert set(found) <= set(paths) and length(found[0]) <= length(found[1])
            assert _total(*found) == min(_total(*pair) for pair in pairs)


def test_pair_escapes_the_trap() -> None:
    """The best path alone would bar every second one; the pair gives it up."""
    graph = nx.Graph()
    graph.add_weighted_edges_from(
        [(1, 2, 1), (2, 3, 1), (3, 4, 1), (1, 3, 3), (2, 4, 3)], weight="cost"
    )
    pair = disjoint_pair(all_pairs(Topology.from_graph(graph)), 1, 4)
    assert not isinstance(pair, NoPath)
    assert {path.switches for path in pair} == {(1, 2, 4), (1, 3, 4)}


def test_pair_uses_only_usable_links() -> None:
    """A ring with one link barred has no pair."""
    topology = Topology.from_graph(ring(4))
    usable = np.ones(topology.n_links, bool)
    usable[topology.wiring.link_index[EndPoint(0, 1)]] = False
    answer = disjoint_pair(all_pairs(topology), 0, 2, usable=usable)
    assert isinstance(answer, NoPath) and answer.reason == "DISJOINT"


@pytest.mark.parametrize("graph", [fat_tree(4), ring(9), wan(60)], ids=["fat-tree", "ring", "wan"])
def test_pair_on_fabrics_costs_as_a_least_flow_of_two(graph: nx.Graph[int]) -> None:
    """The oracle is networkx's minimum-cost flow of two units."""
    topology = Topology.from_graph(graph)
    routes = all_pairs(topology)
    flow: nx.DiGraph[int] = nx.DiGraph(graph)
    nx.set_edge_attributes(flow, 1, "capacity")
    switches = sorted(graph)
    for src, dst in list(zip(switches, reversed(switches), strict=True))[:8]:
        if src == dst:
            continue
        flow.add_node(src, demand=-2)
        flow.add_node(dst, demand=2)
        found = disjoint_pair(routes, src, dst)
        try:
            least = nx.min_cost_flow_cost(flow, weight="cost")
        except nx.NetworkXUnfeasible:
            assert isinstance(found, NoPath)
        else:
            assert not isinstance(found, NoPath) and _total(*found)[0] == least
        flow.add_node(src, demand=0)
        flow.add_node(dst, demand=0)


def test_pair_to_strangers_and_to_itself() -> None:
    """An unknown switch is a reason; a pair to oneself is a caller's mistake."""
    routes = all_pairs(Topology.from_graph(ring(4)))
    answer = disjoint_pair(routes, 0, 9)
    assert isinstance(answer, NoPath) and answer.reason == "UNKNOWN"
    with pytest.raises(ValueError, match="no path to itself"):
        disjoint_pair(routes, 1, 1)


def test_pair_without_shared_risk_is_given_up_after_so_many_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tries end before the paths do, the answer is not that there is no pair."""
    monkeypatch.setattr("controller.fabric.paths.disjoint.MAX_TRIED", 1)
    topology = Topology.from_graph(ring(4))
    one_trench = frozenset(topology.wiring.srcs)
    answer = disjoint_pair(all_pairs(topology), 0, 2, risk_groups=[one_trench])
    assert isinstance(answer, NoPath) and answer.reason == "SEARCH_LIMIT"
