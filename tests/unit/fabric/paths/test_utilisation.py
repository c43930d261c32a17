"""Least utilisation against the linear program over flows, and by hand."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.fabric.graph import EndPoint
from controller.fabric.paths.alternatives import alternatives
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.shortest import all_pairs
from controller.fabric.paths.utilisation import Demand, Splits, chosen_paths, least_utilisation
from tests.support.flows import least_flow_utilisation
from tests.support.graphs import graphs, ring, wan


def _busiest(topology: Topology, demands: list[Demand], splits: Splits) -> float:
    carried = dict.fromkeys(topology.wiring.srcs, 0.0)
    for demand, shares in zip(demands, splits.shares, strict=True):
        for path, share in zip(demand.paths, shares, strict=True):
            for src in path.links:
                carried[src] += share * demand.rate_kbps
    capacity = dict(zip(topology.wiring.srcs, topology.capacity_kbps.tolist(), strict=True))
    return max(carried[src] / capacity[src] for src in carried)


@settings(deadline=None)
@given(graph=graphs(5), data=st.data())
def test_splits_over_all_paths_reach_the_optimum(graph: nx.MultiGraph[int], data: st.DataObject) -> None:
    """With every simple path allowed nothing does better, not even flows that may go anywhere."""
    topology = Topology.from_graph(graph)
    routes = all_pairs(topology)
    pairs = [(src, dst) for src in graph for dst in graph if src != dst and routes.hops(src, dst)]
    if not pairs:
        return
    chosen = data.draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=4, unique=True))
    rates = {pair: float(data.draw(st.integers(1, 500))) for pair in chosen}
    demands = [Demand(rate_kbps=rate, paths=alternatives(routes, *pair, 1000)) for pair, rate in rates.items()]
    splits = least_utilisation(topology, demands)
    assert all(sum(shares) == pytest.approx(1) and min(shares) >= 0 for shares in splits.shares)
    assert splits.utilisation == pytest.approx(_busiest(topology, demands, splits))
    assert splits.utilisation == pytest.approx(least_flow_utilisation(topology, rates), rel=1e-4)


def test_splits_fill_a_ring_both_ways() -> None:
    """Two ways of equal length share alike; the busiest link is told."""
    topology = Topology.from_graph(ring(4))
    paths = alternatives(all_pairs(topology), 0, 2, 2)
    splits = least_utilisation(topology, [Demand(rate_kbps=1_000_000, paths=paths)])
    assert splits.shares[0] == pytest.approx((0.5, 0.5))
    assert splits.utilisation == pytest.approx(0.5) and splits.busiest in {src for path in paths for src in path.links}


def test_splits_prefer_short_paths_where_it_costs_nothing() -> None:
    """A demand that does not touch the busiest link takes no detour."""
    graph = ring(5)
    topology = Topology.from_graph(graph)
    routes = all_pairs(topology)
    busy = Demand(rate_kbps=900_000, paths=alternatives(routes, 0, 1, 1))
    free = Demand(rate_kbps=100_000, paths=alternatives(routes, 2, 3, 2))
    splits = least_utilisation(topology, [busy, free])
    assert splits.shares[1] == pytest.approx((1.0, 0.0), abs=1e-6)


def test_splits_avoid_links_without_capacity() -> None:
    """A path over a link with nothing left carries nothing; without another path the demand is refused."""
    topology = Topology.from_graph(ring(4))
    paths = alternatives(all_pairs(topology), 0, 1, 2)
    left = topology.capacity_kbps.copy()
    left[topology.wiring.link_index[EndPoint(0, 1)]] = 0
    splits = least_utilisation(topology, [Demand(rate_kbps=1, paths=paths)], capacity_kbps=left)
    assert splits.shares == ((0.0, 1.0),)
    with pytest.raises(ValueError, match="demand 0 has no path"):
        least_utilisation(topology, [Demand(rate_kbps=1, paths=paths[:1])], capacity_kbps=left)
    with pytest.raises(ValueError, match="demand 0 has no path"):
        least_utilisation(topology, [Demand(rate_kbps=1, paths=())])


def test_splits_of_nothing_use_nothing() -> None:
    """No demands, or demands of zero, or of a switch to itself."""
    topology = Topology.from_graph(ring(4))
    routes = all_pairs(topology)
    assert least_utilisation(topology, []) == Splits(utilisation=0.0, busiest=None, shares=())
    for demand in (
        Demand(rate_kbps=0, paths=alternatives(routes, 0, 1, 1)),
        Demand(rate_kbps=5, paths=alternatives(routes, 0, 0, 1)),
    ):
        assert least_utilisation(topology, [demand]) == Splits(utilisation=0.0, busiest=None, shares=((1.0,),))


@settings(deadline=None)
@given(graph=graphs(6), data=st.data())
def test_chosen_paths_nearly_reach_the_optimum(graph: nx.MultiGraph[int], data: st.DataObject) -> None:
    """With as many paths as links (more a split never needs) what they carry is within a few parts in 1,000."""
    topology = Topology.from_graph(graph)
    routes = all_pairs(topology)
    pairs = [(src, dst) for src in graph for dst in graph if src != dst and routes.hops(src, dst)]
    if not pairs:
        return
    chosen = data.draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=4, unique=True))
    rates = {pair: float(data.draw(st.integers(1, 500))) for pair in chosen}
    demands = chosen_paths(routes, rates, topology.n_links + 1)
    assert [(d.paths[0].switches[0], d.paths[0].switches[-1]) for d in demands] == chosen
    assert all(len(set(demand.paths)) == len(demand.paths) for demand in demands)
    best = least_flow_utilisation(topology, rates)
    assert least_utilisation(topology, demands).utilisation <= best * 1.003


def test_chosen_paths_are_few_and_better_than_the_shortest() -> None:
    """Two paths for each demand, chosen together, leave the busiest link less busy than the two shortest."""
    topology = Topology.from_graph(wan(30))
    routes = all_pairs(topology)
    rates = {(src, dst): 1_000.0 for src in range(0, 30, 3) for dst in range(1, 30, 3)}
    chosen = chosen_paths(routes, rates, 2)
    assert chosen == chosen_paths(routes, rates, 2)
    assert max(len(demand.paths) for demand in chosen) == 2
    shortest = [Demand(rate_kbps=rate, paths=alternatives(routes, *ends, 2)) for ends, rate in rates.items()]
    best = least_flow_utilisation(topology, rates)
    used = [least_utilisation(topology, demands).utilisation for demands in (chosen, shortest)]
    assert best * 0.999 <= used[0] < used[1]


def test_chosen_paths_of_nothing_and_of_the_impossible() -> None:
    """No demands need no paths; one between parts that no link joins is refused."""
    routes = all_pairs(Topology.from_graph(nx.Graph([(1, 2), (3, 4)])))
    assert chosen_paths(routes, {}, 4) == ()
    with pytest.raises(ValueError, match="demand 0 has no path"):
        chosen_paths(routes, {(1, 4): 1.0}, 4)
