"""All distances and all equal-cost next hops, and what a change of a few links makes of them.

Cost first, then hops, as everywhere (arrays.py).  Where all links cost the same, which is the rule, distances come from
a breadth-first search toward all switches at once, 64 of them to a machine word; else from scipy's Dijkstra.

After a change only this is computed again: toward which switches a link that got worse was the last equal-cost next hop
of its tail (one Dijkstra each), and toward which a link that got better shortens paths.  The latter needs no search:
such a path goes to the tail as before, over the link, and on from the head as before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from controller.fabric.graph import EndPoint
from controller.fabric.paths.arrays import MAX_WEIGHT, WEIGHT_OF_COST, Flags, Floats, Ints, Topology


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Routes:
    """The distances between all switches of one topology."""

    topology: Topology
    distance: Floats
    """[switch, destination] -> weight of the best path; infinite if there is none.  Read-only."""

    def cost(self, src: int, dst: int) -> int | None:
        """Cost of the best path between two dpids."""
        distance = self._distance(src, dst)
        return None if distance is None else distance // WEIGHT_OF_COST

    def hops(self, src: int, dst: int) -> int | None:
        """Links on the best path between two dpids."""
        distance = self._distance(src, dst)
        return None if distance is None else distance % WEIGHT_OF_COST

    def next_hops(self, at: int, dst: int) -> tuple[EndPoint, ...]:
        """The links (src) that begin a best path from one dpid to another, ascending."""
        wiring, weight = self.topology.wiring, self.topology.weight
        i, toward = wiring.switch_index[at], self.distance[:, wiring.switch_index[dst]]
        if not 0 < toward[i] < np.inf:
            return ()
        return tuple(wiring.srcs[x] for x, head in wiring.out[i] if weight[x] + toward[head] == toward[i])

    def on_best_paths(self, dst: int) -> Flags:
        """link -> whether it lies on a best path from its tail to that dpid."""
        wiring = self.topology.wiring
        return _tight(self.topology.weight, wiring.tail, wiring.head, self.distance[:, wiring.switch_index[dst]])

    def _distance(self, src: int, dst: int) -> int | None:
        index = self.topology.wiring.switch_index
        distance = self.distance[index[src], index[dst]]
        return int(distance) if np.isfinite(distance) else None


def all_pairs(topology: Topology) -> Routes:
    """The distances between all switches."""
    distance = distances_to(topology, topology.weight, np.arange(topology.n_switches))
    return Routes(topology=topology, distance=_read_only(distance))


def recompute(routes: Routes, topology: Topology) -> tuple[Routes, frozenset[int]]:
    """The distances after links changed, and the dpids toward which some distance or next hop became another."""
    old = routes.topology
    if topology.wiring is not old.wiring:  # switches or wires came or went: the numbers are others
        return all_pairs(topology), frozenset(topology.wiring.dpids)
    worse, better = topology.weight > old.weight, topology.weight < old.weight
    if not (worse.any() or better.any()):
        return Routes(topology=topology, distance=routes.distance), frozenset()
    distance = routes.distance.copy()
    weight = np.maximum(old.weight, topology.weight)
    changed = _worsen(topology, old.weight, weight, np.flatnonzero(worse), distance)
    for link in np.flatnonzero(better).tolist():
        changed |= _improve(topology, link, distance)
    dpids = topology.wiring.dpids
    touched = frozenset(dpids[i] for i in np.flatnonzero(changed).tolist())
    return Routes(topology=topology, distance=_read_only(distance)), touched


def distances_to(topology: Topology, weight: Floats, destinations: Ints) -> Floats:
    """[switch, place in destinations] -> least sum of these link weights on the way there."""
    order, first, tail, pointer = topology.wiring.by_head
    n = topology.n_switches
    if not len(order) or not len(destinations):
        toward = np.full((n, len(destinations)), np.inf)
        toward[destinations, np.arange(len(destinations))] = 0.0
        return toward
    best = np.minimum.reduceat(weight[order], first)  # of parallel links the cheapest counts
    usable = np.isfinite(best)
    unit = best[usable].min(initial=np.inf)
    if not usable.any() or (best[usable] == unit).all():
        head = np.repeat(np.arange(n), np.diff(pointer))
        return _breadth_first(n, tail[usable], head[usable], destinations, unit)
    turned = csr_array((best, tail, pointer), shape=(n, n))
    return np.ascontiguousarray(dijkstra(turned, indices=destinations).T)


def _breadth_first(n: int, tail: Ints, head: Ints, destinations: Ints, unit: np.float64) -> Floats:
    """Distances where each link adds one unit: a switch holds one bit for each destination that it has reached."""
    n_columns, n_words = len(destinations), -(-len(destinations) // 64)
    start = np.zeros((n, n_words * 64), np.uint8)
    start[destinations, np.arange(n_columns)] = 1
    reached = np.packbits(start, axis=1, bitorder="little").view(np.uint64)
    order = np.argsort(tail, kind="stable")
    tail, head = tail[order], head[order]
    first = np.flatnonzero(np.diff(tail, prepend=-1))
    rows = tail[first]
    levels = np.zeros((n, n_columns), np.uint16)
    while True:
        missing = np.unpackbits((~reached).view(np.uint8), axis=1, count=n_columns, bitorder="little")
        before = reached.copy()
        if len(first):
            reached[rows] |= np.bitwise_or.reduceat(before.take(head, axis=0), first, axis=0)
        if np.array_equal(reached, before):
            break
        levels += missing
    unreached = missing.view(bool)
    levels[unreached] = 0
    toward = levels * min(unit, np.float64(MAX_WEIGHT))
    toward[unreached] = np.inf
    return toward


def _worsen(topology: Topology, before: Floats, weight: Floats, worse: Ints, distance: Floats) -> Flags:
    """Work links that fail or cost more now into the distances; which destinations they were on the way to."""
    tail, head, out = topology.wiring.tail, topology.wiring.head, topology.wiring.out
    used, lost = np.zeros((2, topology.n_switches), bool)
    for link in worse.tolist():
        at = int(tail[link])
        mine = _tight(before[link], tail[link], head[link], distance)
        used |= mine
        others = [x for x, _ in out[at] if weight[x] == before[x]]
        spare = (distance[head[others]] + weight[others][:, None] == distance[at]).any(axis=0)
        lost |= mine & ~spare
    again = np.flatnonzero(lost)
    if len(again):
        distance[:, again] = distances_to(topology, weight, again)
    return used


def _improve(topology: Topology, link: int, distance: Floats) -> Flags:
    """Work a link that is better now into the distances; which destinations it leads to."""
    weight = topology.weight[link]
    tail, head = topology.wiring.tail[link], topology.wiring.head[link]
    over = weight + distance[head]
    shorter = np.flatnonzero(over < distance[tail])
    leads: Flags = (over <= distance[tail]) & np.isfinite(over)
    through = distance[:, tail][:, None] + over[shorter]
    distance[:, shorter] = np.minimum(distance[:, shorter], through)
    return leads


def _tight(weight: Floats | np.float64, tail: Ints | np.int64, head: Ints | np.int64, distance: Floats) -> Flags:
    over = weight + distance[head]
    tight: Flags = (over == distance[tail]) & np.isfinite(over)
    return tight


def _read_only(array: Floats) -> Floats:
    array.flags.writeable = False
    return array
