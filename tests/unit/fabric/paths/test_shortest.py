"""All pairs and their recomputation, against networkx."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.fabric.paths.arrays import WEIGHT_OF_COST, Topology
from controller.fabric.paths.shortest import all_pairs, recompute
from tests.support.graphs import fat_tree, graphs, ring, wan

FABRICS = {"fat-tree": fat_tree(4), "ring": ring(9), "wan": wan(60), "alone": nx.empty_graph(3)}


def _assert_as_networkx(topology: Topology, graph: nx.Graph[int]) -> None:
    """Same distances, and next hops are just those neighbours that are on a best path."""
    routes = all_pairs(topology)

    def weight(_u: int, _v: int, links: dict[str, int]) -> int:
        parallel = links.values() if graph.is_multigraph() else [links]
        return min(WEIGHT_OF_COST * link["cost"] + 1 for link in parallel)  # type: ignore[index]

    oracle = dict(nx.all_pairs_dijkstra_path_length(graph, weight=weight))
    for src, dst in product(graph, graph):
        distance = oracle[src].get(dst)
        assert routes.cost(src, dst) == (None if distance is None else distance // WEIGHT_OF_COST)
        assert routes.hops(src, dst) == (None if distance is None else distance % WEIGHT_OF_COST)
        hops = {topology.wiring.dsts[topology.wiring.link_index[hop]].dpid for hop in routes.next_hops(src, dst)}
        assert hops == {
            hop
            for hop, links in graph.adj[src].items()
            if src != dst and distance is not None and oracle[hop].get(dst, -1) + weight(src, hop, links) == distance
        }
        flags = routes.on_best_paths(dst)
        assert {hop for hop in topology.wiring.srcs if flags[topology.wiring.link_index[hop]] and hop.dpid == src} == (
            set(routes.next_hops(src, dst))
        )


@given(graph=graphs())
def test_all_pairs_equal_networkx(graph: nx.MultiGraph[int]) -> None:
    """Cost, then hops; with parallel links, one-way links and parts that are cut off."""
    _assert_as_networkx(Topology.from_graph(graph), graph)


@pytest.mark.parametrize("name", FABRICS)
def test_all_pairs_equal_networkx_on_fabrics(name: str) -> None:
    """The same where all links cost alike, which takes the other way through the code, and on a WAN."""
    _assert_as_networkx(Topology.from_graph(FABRICS[name]), FABRICS[name])


@given(graph=graphs(), data=st.data())
def test_recompute_equals_from_scratch(graph: nx.MultiGraph[int], data: st.DataObject) -> None:
    """After any links failed, returned or cost something else: the same distances, and every change is told."""
    topology = Topology.from_graph(graph)
    routes = all_pairs(topology)
    for _ in range(3):
        srcs = st.sampled_from(topology.wiring.srcs) if topology.n_links else st.nothing()
        some = data.draw(st.lists(srcs, unique=True))
        states = st.tuples(st.booleans(), st.integers(1, 3))
        changes = [(topology.link(src, up=True), *data.draw(states)) for src in some]
        links = [replace(link, up=up, cost=cost) for link, up, cost in changes]
        topology = topology.with_changes(links)
        before, fresh = routes, all_pairs(topology)
        routes, changed = recompute(routes, topology)
        assert np.array_equal(routes.distance, fresh.distance)
        for dst in graph:
            same = (before.on_best_paths(dst) == routes.on_best_paths(dst)).all()
            assert same or dst in changed
            column = topology.wiring.switch_index[dst]
            assert dst in changed or np.array_equal(before.distance[:, column], routes.distance[:, column])


def test_recompute_touches_only_what_used_the_link() -> None:
    """An uplink fails: only toward switches whose best paths took it anything changes, and back again the same."""
    graph = fat_tree(4)
    topology = Topology.from_graph(graph)
    routes = all_pairs(topology)
    core_to_pod = next(src for src in topology.wiring.srcs if src.dpid == 3000)
    used = {dst for dst in graph if core_to_pod in {hop for at in graph for hop in routes.next_hops(at, dst)}}
    failed = topology.with_changes([topology.link(core_to_pod, up=False)])
    after, changed = recompute(routes, failed)
    assert changed == used and len(used) < len(graph) / 2
    back, again = recompute(after, topology)
    assert again == used and np.array_equal(back.distance, routes.distance)


def test_recompute_without_a_change_of_weight_keeps_the_distances() -> None:
    """A declared capacity moves no path."""
    topology = Topology.from_graph(ring(5))
    routes = all_pairs(topology)
    link = replace(topology.link(topology.wiring.srcs[0], up=True), capacity_kbps=1)
    after, changed = recompute(routes, topology.with_changes([link]))
    assert not changed and after.distance is routes.distance


def test_recompute_with_other_wiring_starts_again() -> None:
    """A switch that joins renumbers everything."""
    routes = all_pairs(Topology.from_graph(ring(5)))
    after, changed = recompute(routes, Topology.from_graph(ring(6)))
    assert changed == set(range(6)) and after.hops(0, 3) == 3
