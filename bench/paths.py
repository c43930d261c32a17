"""The path engine beside networkx, on the same graphs in the same run: pure Python and numpy, no switch.

networkx is asked in the fastest way it has: breadth-first where all links cost alike, from both ends where it can.  It
has no recomputation; beside it stands all pairs again, and the changed destinations only, as if it were told which.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import networkx as nx
import numpy as np

from bench.figures import Report, median
from controller.fabric.paths.alternatives import alternatives
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.constrained import Constraints, find_path
from controller.fabric.paths.disjoint import disjoint_pair
from controller.fabric.paths.redundant import RedundantTrees
from controller.fabric.paths.shortest import Routes, all_pairs, recompute
from tests.support.graphs import fat_tree, wan

K = 4
NARROW = 0.1
"""Share of the links that have not the bandwidth a constrained path asks for."""


@dataclass(kw_only=True)
class Subject:
    """One graph, as both sides know it."""

    name: str
    graph: nx.Graph[int]
    samples: int

    def __post_init__(self) -> None:
        self.chance = random.Random(7)
        ends = sorted(dpid for dpid in self.graph if dpid < 2000)  # in a fat-tree: edge switches
        self.pairs = [tuple(self.chance.sample(ends, 2)) for _ in range(self.samples)]
        self.weight = None if len({cost for *_, cost in self.graph.edges(data="cost")}) == 1 else "cost"

    @cached_property
    def topology(self) -> Topology:
        topology = Topology.from_graph(self.graph)
        assert topology.wiring.out and topology.wiring.reverse and topology.weights and topology.wiring.by_head
        return topology

    @cached_property
    def routes(self) -> Routes:
        return all_pairs(self.topology)


def run(*, quick: bool = False) -> Iterator[Report]:
    """All questions on fat-trees and a WAN."""
    ks, sites, samples = ((4, 8), 100, 5) if quick else ((8, 16, 24), 1000, 40)
    subjects = [Subject(name=f"fat-tree k={k}", graph=fat_tree(k), samples=samples) for k in ks]
    subjects.append(Subject(name=f"WAN of {sites}", graph=wan(sites), samples=samples))
    report = Report(
        title="Path engine beside networkx (medians)",
        columns=("", "switches", "links", "question", "engine", "networkx", "ratio"),
        notes=(
            "aims: all pairs at least 10x, the others at least 5x",
            f"one path: {NARROW:.0%} of the links are too narrow; a failure takes both directions of a wire",
        ),
    )
    for subject in subjects:
        size = str(subject.topology.n_switches), str(subject.topology.n_links)
        for question, measure in QUESTIONS.items():
            engine, oracle = measure(subject)
            ratio = "" if oracle is None else f"{oracle / engine:.1f}x"
            report.add(subject.name, *size, question, _ms(engine), "" if oracle is None else _ms(oracle), ratio)
    yield report


def _all_pairs(subject: Subject) -> tuple[float, float]:
    return (
        _timed(lambda: all_pairs(subject.topology), times=5),
        _timed(lambda: _networkx_all(subject), times=1 if subject.topology.n_switches > 500 else 3),
    )


def _all_next_hops(subject: Subject) -> tuple[float, float]:
    """All distances and, toward each switch, the links on best paths; for networkx the predecessors of Dijkstra."""

    def engine() -> None:
        routes = all_pairs(subject.topology)
        for dpid in subject.topology.wiring.dpids:
            routes.on_best_paths(dpid)

    def oracle() -> None:
        for dpid in subject.graph:
            if subject.weight is None:
                nx.predecessor(subject.graph, dpid)
            else:
                nx.dijkstra_predecessor_and_distance(subject.graph, dpid, weight=subject.weight)

    return _timed(engine, times=5), _timed(oracle, times=1 if subject.topology.n_switches > 500 else 3)


def _one_path(subject: Subject) -> tuple[float, float]:
    topology, wiring = subject.topology, subject.topology.wiring
    left = topology.capacity_kbps.copy()
    left[np.random.default_rng(5).random(topology.n_links) < NARROW] = 0
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(subject.graph)
    for i, (src, dst) in enumerate(zip(wiring.srcs, wiring.dsts, strict=True)):
        graph.add_edge(src.dpid, dst.dpid, cost=int(topology.cost[i]), left_kbps=int(left[i]))

    def weight(_a: int, _b: int, link: dict[str, Any]) -> int | None:
        return link["cost"] if link["left_kbps"] >= 1 else None

    def oracle(src: int, dst: int) -> int | None:
        try:
            return nx.bidirectional_dijkstra(graph, src, dst, weight=weight)[0]
        except nx.NetworkXNoPath:
            return None

    wanted, routes = Constraints(bandwidth_kbps=1), subject.routes
    for src, dst in subject.pairs:
        assert getattr(find_path(routes, src, dst, wanted, left_kbps=left), "cost", None) == oracle(src, dst)
    return (
        _each(subject.pairs, lambda src, dst: find_path(routes, src, dst, wanted, left_kbps=left)),
        _each(subject.pairs, oracle),
    )


def _alternatives(subject: Subject) -> tuple[float, float]:
    def oracle(src: int, dst: int) -> list[list[int]]:
        return list(islice(nx.shortest_simple_paths(subject.graph, src, dst, weight=subject.weight), K))

    pairs = subject.pairs[:10]
    return _each(pairs, lambda src, dst: alternatives(subject.routes, src, dst, K)), _each(pairs, oracle)


def _failures(subject: Subject) -> list[tuple[Topology, list[int]]]:
    """Topologies with one wire down each, and the indexes of the switches toward which something changed."""
    topology, wiring = subject.topology, subject.topology.wiring
    cases = []
    for i in random.Random(3).sample(range(topology.n_links), min(subject.samples, topology.n_links)):
        ends = wiring.srcs[i], wiring.dsts[i]
        failed = topology.with_changes(topology.link(end, up=False) for end in ends)
        assert failed.weights
        cases.append((failed, sorted(recompute(subject.routes, failed)[1])))
    return cases


def _recompute(subject: Subject) -> tuple[float, float]:
    cases = _failures(subject)
    engine = [_timed(lambda failed=failed: recompute(subject.routes, failed), times=3) for failed, _ in cases]
    return median(engine), _timed(lambda: _networkx_all(subject), times=1 if subject.topology.n_switches > 500 else 3)


def _recompute_told(subject: Subject) -> tuple[float, float]:
    cases = _failures(subject)[:10]
    engine = [_timed(lambda failed=failed: recompute(subject.routes, failed), times=3) for failed, _ in cases]
    oracle = [_timed(lambda told=told: _networkx_all(subject, told), times=1) for _, told in cases]
    return median(engine), median(oracle)


def _pairs(subject: Subject) -> tuple[float, float]:
    """networkx has node-disjoint paths only without regard to cost; the least pair is a flow of two."""
    flow: nx.DiGraph[int] = nx.DiGraph(subject.graph)
    nx.set_edge_attributes(flow, 1, "capacity")

    def oracle(src: int, dst: int) -> None:
        flow.add_node(src, demand=-2)
        flow.add_node(dst, demand=2)
        with suppress(nx.NetworkXUnfeasible):  # no pair; the engine says so, too
            nx.min_cost_flow_cost(flow, weight="cost")
        flow.add_node(src, demand=0)
        flow.add_node(dst, demand=0)

    few = subject.pairs[: 1 if subject.topology.n_switches > 300 else 3]
    return _each(subject.pairs, lambda src, dst: disjoint_pair(subject.routes, src, dst)), _each(few, oracle)


def _trees(subject: Subject) -> tuple[float, None]:
    shared = RedundantTrees(subject.topology)
    return _each(subject.pairs[:10], lambda edge, _: shared.toward(edge, 2)), None


QUESTIONS: dict[str, Callable[[Subject], tuple[float, float | None]]] = {
    "all pairs": _all_pairs,
    "all pairs, next hops": _all_next_hops,
    "one path with bandwidth": _one_path,
    f"k={K}": _alternatives,
    "after a failure / all": _recompute,
    "after a failure / told": _recompute_told,
    "link-disjoint pair": _pairs,
    "two in-trees, one edge": _trees,
}


def _networkx_all(subject: Subject, destinations: Sequence[int] | None = None) -> None:
    for dpid in subject.graph if destinations is None else destinations:
        if subject.weight is None:
            nx.single_source_shortest_path_length(subject.graph, dpid)
        else:
            nx.single_source_dijkstra_path_length(subject.graph, dpid, weight=subject.weight)


def _timed(work: Callable[[], object], *, times: int) -> float:
    """The median of the seconds it took."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return median(taken)


def _each(pairs: Sequence[tuple[int, ...]], work: Callable[[int, int], object]) -> float:
    return median([_timed(lambda pair=pair: work(*pair), times=1) for pair in pairs])


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"
