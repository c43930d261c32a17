"""One path under constraints, against all simple paths that meet them."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.fabric.graph import EndPoint
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.constrained import Constraints, Parts, find_path
from controller.fabric.paths.path import NoPath, Path
from controller.fabric.paths.shortest import all_pairs
from tests.support.graphs import fat_tree, graphs, wan
from tests.unit.fabric.paths.walks import length, simple_paths


def _keeps(topology: Topology, path: Path, constraints: Constraints) -> bool:
    """The definition of a constraint, spelt out."""
    zone = dict(zip(topology.wiring.dpids, topology.zones, strict=True))
    met = set(path.links), set(path.switches), {zone[dpid] for dpid in path.switches}
    include = constraints.include.links, constraints.include.switches, constraints.include.zones
    exclude = constraints.exclude.links, constraints.exclude.switches, constraints.exclude.zones
    return (
        (path.width_kbps is None or path.width_kbps >= constraints.bandwidth_kbps)
        and (constraints.max_latency_us is None or path.latency_us <= constraints.max_latency_us)
        and (constraints.max_hops is None or len(path.links) <= constraints.max_hops)
        and all(wanted <= there for wanted, there in zip(include, met, strict=True))
        and not any(barred & there for barred, there in zip(exclude, met, strict=True))
    )


@st.composite
def _parts(draw: st.DrawFn, topology: Topology, most: int) -> Parts:
    """Few parts of a topology, often none."""
    kind = draw(st.sampled_from(("none", "links", "switches", "zones")))
    options = {"links": topology.wiring.srcs, "switches": topology.wiring.dpids, "zones": sorted(set(topology.zones))}
    if not options.get(kind):
        return Parts()
    chosen = draw(st.frozensets(st.sampled_from(options[kind]), max_size=most))
    return Parts(**{kind: chosen})  # type: ignore[arg-type]


@given(graph=graphs(7), data=st.data())
def test_path_is_the_best_that_keeps_to_the_constraints(graph: nx.MultiGraph[int], data: st.DataObject) -> None:
    """Least cost, then fewest hops, then widest, of all simple paths that meet them; or truly none does."""
    topology = Topology.from_graph(graph)
    constraints = Constraints(
        bandwidth_kbps=data.draw(st.sampled_from((0, 150, 250))),
        max_latency_us=data.draw(st.none() | st.integers(0, 12)),
        max_hops=data.draw(st.none() | st.integers(0, 5)),
        include=data.draw(_parts(topology, 3)),
        exclude=data.draw(_parts(topology, 2)),
    )
    src, dst = data.draw(st.sampled_from(topology.wiring.dpids)), data.draw(st.sampled_from(topology.wiring.dpids))
    found = find_path(all_pairs(topology), src, dst, constraints)
    paths = simple_paths(topology, src, dst)
    fit = [path for path in paths if _keeps(topology, path, constraints)]
    if isinstance(found, Path):
        assert found in fit
        assert (length(found), found.width_kbps) == min(
            ((length(path), path.width_kbps) for path in fit), key=lambda one: (one[0], -(one[1] or 0))
        )
    else:
        assert not fit
        assert (found.reason == "DISCONNECTED") == (not paths)
        _assert_explained(topology, found, paths, constraints)


_DROP = {
    "EXCLUDE": {"exclude": Parts()},
    "INCLUDE": {"include": Parts()},
    "LATENCY": {"max_latency_us": None},
    "HOPS": {"max_hops": None},
    "BANDWIDTH": {"bandwidth_kbps": 0},
}


def _assert_explained(topology: Topology, answer: NoPath, paths: list[Path], constraints: Constraints) -> None:
    """The named constraints fail together, and no longer if any one of them is dropped."""
    if answer.reason == "DISCONNECTED":
        return
    alone = constraints
    for name in _DROP.keys() - set(answer.constraints):
        alone = replace(alone, **_DROP[name])  # type: ignore[arg-type]
    assert not any(_keeps(topology, path, alone) for path in paths)
    for name in answer.constraints:
        without = replace(alone, **_DROP[name])  # type: ignore[arg-type]
        assert any(_keeps(topology, path, without) for path in paths)
    assert answer.reason == answer.constraints[-1]


AWAY_FROM_3 = Parts(switches=frozenset({3}))


def _diamond() -> Topology:
    """1 > 2 > 4 is cheap, narrow and slow, 1 > 3 > 4 is dear, wide and fast; 5 hangs on 4."""
    graph: nx.Graph[int] = nx.Graph()
    cheap, dear, last = (1, 100, 50), (5, 300, 10), (1, 900, 0)
    for a, b, (cost, kbps, us) in ((1, 2, cheap), (2, 4, cheap), (1, 3, dear), (3, 4, dear), (4, 5, last)):
        graph.add_edge(a, b, cost=cost, capacity_kbps=kbps, latency_us=us)
    nx.set_node_attributes(graph, {1: "a", 2: "b", 3: "c", 4: "a", 5: "a"}, "zone")
    return Topology.from_graph(graph)


@pytest.mark.parametrize(
    ("constraints", "switches"),
    [
        (Constraints(), (1, 2, 4)),
        (Constraints(bandwidth_kbps=200), (1, 3, 4)),
        (Constraints(max_latency_us=99), (1, 3, 4)),
        (Constraints(include=Parts(switches=frozenset({3}))), (1, 3, 4)),
        (Constraints(include=Parts(zones=frozenset({"c"}))), (1, 3, 4)),
        (Constraints(exclude=Parts(zones=frozenset({"b"}))), (1, 3, 4)),
        (Constraints(exclude=Parts(links=frozenset({EndPoint(1, 1)}))), (1, 3, 4)),
        (Constraints(exclude=Parts(switches=frozenset({99}))), (1, 2, 4)),
    ],
    ids=str,
)
def test_each_constraint_moves_the_path(constraints: Constraints, switches: tuple[int, ...]) -> None:
    """Each of them has its say."""
    path = find_path(all_pairs(_diamond()), 1, 4, constraints)
    assert isinstance(path, Path) and path.switches == switches


@pytest.mark.parametrize(
    ("dst", "constraints", "reason", "words"),
    [
        (4, Constraints(bandwidth_kbps=500), "BANDWIDTH", "500 kbit/s left; the widest that keeps to all else has 300"),
        (4, Constraints(bandwidth_kbps=500, max_hops=9), "BANDWIDTH", "else has 300"),
        (4, Constraints(max_latency_us=15), "LATENCY", "at most 15 us; the fastest that keeps to all else takes 20 us"),
        (5, Constraints(max_hops=2), "HOPS", "at most 2 hops; the shortest that keeps to all else has 3"),
        (4, Constraints(bandwidth_kbps=200, exclude=AWAY_FROM_3), "BANDWIDTH", "avoids .*3 and has 200.*100"),
        (4, Constraints(include=Parts(switches=frozenset({2, 3}))), "INCLUDE", "passes .*2, .*3"),
        (4, Constraints(exclude=Parts(switches=frozenset({4}))), "EXCLUDE", "avoids .*4"),
        (4, Constraints(include=Parts(switches=frozenset({42}))), "UNKNOWN", "what does not exist: 000000000000002a"),
        (9, Constraints(), "UNKNOWN", "no switch 0000000000000009"),
    ],
)  # fmt: skip
def test_no_path_says_which_constraint_binds(dst: int, constraints: Constraints, reason: str, words: str) -> None:
    """The reason names the constraint and the best that could be had of it."""
    answer = find_path(all_pairs(_diamond()), 1, dst, constraints)
    assert isinstance(answer, NoPath) and answer.reason == reason
    with pytest.raises(LookupError, match=words):
        raise LookupError(answer.message)


def test_path_takes_what_is_left_not_what_there_is() -> None:
    """Reserved bandwidth counts."""
    topology = _diamond()
    left = topology.capacity_kbps.copy()
    left[topology.wiring.link_index[EndPoint(1, 2)]] = 60
    assert isinstance(find_path(all_pairs(topology), 1, 4, Constraints(bandwidth_kbps=200)), Path)
    answer = find_path(all_pairs(topology), 1, 4, Constraints(bandwidth_kbps=200), left_kbps=left)
    assert isinstance(answer, NoPath) and "the widest that keeps to all else has 100" in answer.message


def test_path_to_itself_is_empty() -> None:
    """No links, no bottleneck."""
    path = find_path(all_pairs(_diamond()), 1, 1, Constraints(bandwidth_kbps=10**9))
    assert path == Path(links=(), switches=(1,), cost=0, latency_us=0, width_kbps=None)


def test_disconnected_is_said_before_any_constraint() -> None:
    """Where no links lead there is nothing to relax."""
    topology = Topology.from_graph(nx.Graph([(1, 2), (3, 4)]))
    answer = find_path(all_pairs(topology), 1, 4, Constraints(max_hops=1))
    assert isinstance(answer, NoPath) and (answer.reason, answer.constraints) == ("DISCONNECTED", ())


@pytest.mark.parametrize("graph", [fat_tree(8), wan(200)], ids=["fat-tree", "wan"])
def test_path_on_large_fabrics_costs_as_networkx_says(graph: nx.Graph[int]) -> None:
    """Over the links that have the bandwidth left."""
    topology = Topology.from_graph(graph)
    routes = all_pairs(topology)
    left = topology.capacity_kbps.copy()
    chance = np.random.default_rng(7)
    left[chance.random(topology.n_links) < 0.3] = 0
    open_graph: nx.DiGraph[int] = nx.DiGraph()
    open_graph.add_nodes_from(graph)
    for i in np.flatnonzero(left):
        open_graph.add_edge(topology.wiring.srcs[i].dpid, topology.wiring.dsts[i].dpid, cost=int(topology.cost[i]))
    for src, dst in chance.choice(topology.wiring.dpids, (50, 2)).tolist():
        found = find_path(routes, src, dst, Constraints(bandwidth_kbps=1), left_kbps=left)
        if isinstance(found, NoPath):
            assert not nx.has_path(open_graph, src, dst)
        else:
            assert found.cost == nx.shortest_path_length(open_graph, src, dst, weight="cost")


def test_path_search_is_given_up_rather_than_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passing many parts can take exponential time; the answer then says that the search was given up."""
    monkeypatch.setattr("controller.fabric.paths.search.MAX_LABELS", 50)
    routes = all_pairs(Topology.from_graph(wan(40)))
    answer = find_path(routes, 0, 1, Constraints(include=Parts(switches=frozenset(range(2, 12)))))
    assert isinstance(answer, NoPath) and answer.reason == "SEARCH_LIMIT"
