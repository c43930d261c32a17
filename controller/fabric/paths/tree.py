"""Shortest in-trees: how every switch reaches one edge.  Knows the graph; not labels, capacity left, or policy.

Cost first, then hops; among equals the next hop is drawn by a hash of (edge, hop), so trees toward different edges
spread over the spines, the same fabric always gives the same trees, and a lost spine moves only the trees that used it.
Dijkstra on networkx's own adjacency: with its attributes at hand a heap of our own is several times faster than
networkx's functions, which are the oracle in the tests.
"""

from __future__ import annotations

from hashlib import blake2b
from heapq import heappop, heappush
from typing import NamedTuple

from immutables import Map

from controller.fabric.graph import Fabric


class Hop(NamedTuple):
    """Where a switch sends frames toward an edge: by `port_no`, to the switch `dpid`; at the edge itself (0, edge)."""

    port_no: int
    dpid: int

    @property
    def onward(self) -> set[int]:
        """The switches that frames may go to from here."""
        return {self.dpid}


Tree = Map[int, Hop]
"""dpid -> its hop toward one edge.  Closed (each hop's switch is in it, too) and without loops."""


def in_tree(fabric: Fabric, edge_dpid: int) -> Tree:
    """Each switch that has a path to the edge, and its hop there.  Empty if the edge is not a known switch."""
    graph = fabric.graph()
    if edge_dpid not in graph:
        return Map()
    distance = _distances(fabric, edge_dpid)
    ranks = {dpid: rank(edge_dpid, dpid) for dpid in distance}
    hops = {edge_dpid: Hop(0, edge_dpid)}
    for dpid, (cost, n_hops) in distance.items():
        if dpid == edge_dpid:
            continue
        nearer = (
            hop for hop, link in graph.adj[dpid].items() if distance.get(hop) == (cost - link["cost"], n_hops - 1)
        )
        best = min(nearer, key=ranks.__getitem__)
        hops[dpid] = Hop(graph.adj[dpid][best]["port_no"], best)
    return Map(hops)


def _distances(fabric: Fabric, edge_dpid: int) -> dict[int, tuple[int, int]]:
    """dpid -> (cost, hops) of its best path to the edge."""
    incoming = fabric.graph().pred
    distance: dict[int, tuple[int, int]] = {}
    heap = [(0, 0, edge_dpid)]
    while heap:
        cost, n_hops, dpid = heappop(heap)
        if dpid in distance:
            continue
        distance[dpid] = (cost, n_hops)
        for sender, link in incoming[dpid].items():
            if sender not in distance:
                heappush(heap, (cost + link["cost"], n_hops + 1, sender))
    return distance


def rank(edge_dpid: int, dpid: int, turn: int = 0) -> bytes:
    """Where a switch stands among equals on the way to an edge: the same in every run, another in each turn."""
    return blake2b(edge_dpid.to_bytes(8) + dpid.to_bytes(8), digest_size=16, salt=turn.to_bytes(8)).digest()
