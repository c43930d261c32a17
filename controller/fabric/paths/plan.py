"""How every switch forwards toward one edge: over all shortest paths, and around any one failure.

    working   up to four in-trees of shortest paths, which differ wherever a switch has several equal next hops
    backup    a pair of redundant in-trees (redundant.py): every switch sends by two different links, if it can be
    failover  for each working tree, which backup takes over at this switch when the link of its own hop fails

Why a failover never loops: the frame changes to a backup tree once and keeps it; a backup tree is a tree; and its path
leaves the switch by another link than the one that failed, and being simple never comes back to use that one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from immutables import Map

from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.redundant import RedundantTrees
from controller.fabric.paths.shortest import distances_to
from controller.fabric.paths.tree import Hop, Tree, rank

MAX_WORKING = 4
NO_FAILOVER = -1


class Hops(NamedTuple):
    """What one switch does with frames toward one edge."""

    working: tuple[Hop, ...]
    """by tree"""
    backup: tuple[Hop, ...] = ()
    """by tree; none where the switch has no pair of ways"""
    failover: tuple[int, ...] = ()
    """working tree -> the backup tree to change to when its link fails, or NO_FAILOVER"""

    @property
    def onward(self) -> set[int]:
        """The switches that frames may go to from here; at the edge itself, that edge."""
        return {hop.dpid for hop in (*self.working, *self.backup)}


Plan = Map[int, Hops]
"""dpid -> its hops toward one edge; closed: every switch that a hop leads to is in it, too."""


class Planner:
    """Plans toward any edge of one topology, sharing what they have in common."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._redundant = RedundantTrees(topology)

    def toward(self, edge: int) -> Plan:
        """The plan of every switch that has a path to the edge; empty if the edge is no known switch."""
        topology = self._topology
        root = topology.wiring.switch_index.get(edge)
        if root is None:
            return Map()
        distance: list[float] = distances_to(topology, topology.weight, np.array([root]))[:, 0].tolist()
        choices = {at: self._equals(at, edge, distance) for at, d in enumerate(distance) if d < float("inf")}
        n_trees = _n_trees(max((len(equals) for equals in choices.values()), default=1))
        backups = self._redundant.toward(edge, 2)
        here = Hop(0, edge)
        plan = {edge: Hops((here,) * n_trees, (here,) * len(backups), (NO_FAILOVER,) * n_trees)}
        for at, equals in choices.items():
            dpid = topology.wiring.dpids[at]
            if dpid != edge:
                working = tuple(equals[tree % len(equals)] for tree in range(n_trees))
                plan[dpid] = _protect(dpid, edge, working, backups)
        return Map(plan)

    def _equals(self, at: int, edge: int, distance: list[float]) -> tuple[Hop, ...]:
        """The first hops of all shortest paths, in an order of the edge's own."""
        topology = self._topology
        wiring, weights = topology.wiring, topology.weights
        equals = (
            Hop(wiring.srcs[link].port_no, wiring.dpids[head])
            for link, head in wiring.out[at] if weights[link] + distance[head] == distance[at]
        )
        return tuple(sorted(equals, key=lambda hop: (rank(edge, hop.dpid), hop.port_no)))


def _n_trees(widest: int) -> int:
    """As many trees as the widest choice; of more than four next hops each edge uses four of its own."""
    return max(1, min(widest, MAX_WORKING))


def _protect(dpid: int, edge: int, working: tuple[Hop, ...], backups: tuple[Tree, ...]) -> Hops:
    if any(dpid not in tree for tree in backups):
        return Hops(working)
    ways = [_way(dpid, tree) for tree in backups]

    def failover(hop: Hop) -> int:
        others = [i for i, tree in enumerate(backups) if tree[dpid].port_no != hop.port_no]
        # Best one that avoids the next switch too, for it may be the switch that failed; then the shorter.
        order = [(hop.dpid != edge and hop.dpid in ways[i], len(ways[i]), i) for i in others]
        return min(order)[-1] if order else NO_FAILOVER

    return Hops(working, tuple(tree[dpid] for tree in backups), tuple(failover(hop) for hop in working))


def _way(dpid: int, tree: Tree) -> list[int]:
    """The switches behind `dpid` on its way to the edge."""
    way = []
    while (hop := tree[dpid]).dpid != dpid:
        dpid = hop.dpid
        way.append(dpid)
    return way
