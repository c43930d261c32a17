"""Graphs to compute paths on, as networkx graphs of wires: the shapes of fabrics, and hypothesis' random ones."""

from __future__ import annotations

import math
import random
from itertools import combinations

import networkx as nx
import numpy as np
from hypothesis import strategies as st
from scipy.spatial import Delaunay

GIGABIT_KBPS = 1_000_000


def fat_tree(k: int) -> nx.Graph[int]:
    """k pods of k/2 edge (1000..) and k/2 aggregation switches (2000..), and (k/2)^2 core switches (3000..)."""
    graph: nx.Graph[int] = nx.Graph()
    half = k // 2
    for pod in range(k):
        for i in range(half):
            for j in range(half):
                graph.add_edge(1000 + pod * half + i, 2000 + pod * half + j)
                graph.add_edge(2000 + pod * half + i, 3000 + i * half + j)
    nx.set_edge_attributes(graph, 1, "cost")
    nx.set_edge_attributes(graph, 10 * GIGABIT_KBPS, "capacity_kbps")
    return graph


def ring(n: int) -> nx.Graph[int]:
    """Switches 0 to n - 1 in a circle."""
    graph: nx.Graph[int] = nx.cycle_graph(n)
    nx.set_edge_attributes(graph, 1, "cost")
    nx.set_edge_attributes(graph, GIGABIT_KBPS, "capacity_kbps")
    return graph


def wan(n: int, seed: int = 1) -> nx.Graph[int]:
    """A Gabriel graph of n random sites, as real backbones resemble it; cost and latency grow with the distance."""
    chance = random.Random(seed)
    sites = [(chance.random(), chance.random()) for _ in range(n)]
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(n))
    points = np.array(sites)
    pairs = {pair for triangle in Delaunay(points).simplices.tolist() for pair in combinations(sorted(triangle), 2)}
    for a, b in sorted(pairs):
        middle, length = (points[a] + points[b]) / 2, math.dist(sites[a], sites[b])
        nearest = np.sort(((points - middle) ** 2).sum(axis=1))[0]
        if nearest >= (length / 2) ** 2 - 1e-12:  # nobody lies in the circle over the two
            graph.add_edge(
                a,
                b,
                cost=1 + int(length * 1000),
                latency_us=int(length * 20_000),
                capacity_kbps=chance.choice((1, 4, 10)) * GIGABIT_KBPS,
            )
    return graph


@st.composite
def graphs(draw: st.DrawFn, max_switches: int = 8, *, directed: bool = True) -> nx.MultiGraph[int]:
    """Any small multigraph with cost, latency, capacity and zones; often cut in parts, often with parallel links."""
    n = draw(st.integers(2, max_switches))
    graph: nx.MultiGraph[int] = nx.MultiDiGraph() if directed else nx.MultiGraph()
    graph.add_nodes_from((dpid, {"zone": f"z{dpid % 3}"}) for dpid in range(1, n + 1))
    ends = st.tuples(st.integers(1, n), st.integers(1, n)).filter(lambda pair: pair[0] != pair[1])
    for a, b in draw(st.lists(ends, max_size=3 * n)):
        graph.add_edge(
            a,
            b,
            cost=draw(st.integers(1, 3)),
            latency_us=draw(st.integers(0, 4)),
            capacity_kbps=draw(st.sampled_from((100, 200, 300))),
        )
    return graph
