"""Two paths that no single failure cuts both: apart in links, in switches, or in whatever shares a risk.

Suurballe's algorithm (1974; Suurballe and Tarjan 1984): the best path, then the best way to add a second one that may
undo parts of the first; the pair is the least in total.  Two paths of a least pair never use the two directions of one
wire, for going without them would be less.  With risk groups the problem is NP-hard: paths are tried as the better of
the pair, best first, each with the best path that shares no risk with it; that is exact as far as it goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from heapq import heappop, heappush
from itertools import islice

import numpy as np

from controller.fabric.graph import EndPoint
from controller.fabric.paths.alternatives import ordered_paths
from controller.fabric.paths.arrays import Flags, Topology
from controller.fabric.paths.path import NoPath, Path, path_of
from controller.fabric.paths.search import cheapest
from controller.fabric.paths.shortest import Routes, distances_to
from controller.model.ids import format_dpid

MAX_TRIED = 200
"""paths tried as the better of a pair without shared risks"""


class Apart(StrEnum):
    """What two paths must not share, apart from their ends."""

    LINKS = "LINKS"
    SWITCHES = "SWITCHES"


def disjoint_pair(
    routes: Routes,
    src: int,
    dst: int,
    *,
    apart: Apart = Apart.LINKS,
    risk_groups: Iterable[frozenset[EndPoint]] = (),
    usable: Flags | None = None,
) -> tuple[Path, Path] | NoPath:
    """The pair of least total cost, then fewest hops, the better path first.

    `risk_groups`: links (src) that fail together; a wire's two directions always do.
    """
    topology = routes.topology
    index = topology.wiring.switch_index
    for dpid in (src, dst):
        if dpid not in index:
            return NoPath(reason="UNKNOWN", message=f"there is no switch {format_dpid(dpid)}")
    if src == dst:
        raise ValueError("a switch needs no path to itself")
    at, to = index[src], index[dst]
    open_links = topology.up if usable is None else usable & topology.up
    groups = [_wires(topology, map(topology.wiring.link_index.get, group)) for group in risk_groups]
    way = f"from {format_dpid(src)} to {format_dpid(dst)}"
    if not groups:
        pair = _Suurballe(topology, at, to, open_links, apart).pair()
    else:
        pair, tried = _without_shared_risk(routes, at, to, open_links, apart, groups)
        if pair is None and tried == MAX_TRIED:
            return NoPath(reason="SEARCH_LIMIT", message=f"no pair {way} without shared risk in {tried} tries")
    if pair is None:
        if cheapest(topology.wiring.out, topology.weights, open_links.tobytes(), [0.0] * len(index), at, to) is None:
            return NoPath(reason="DISCONNECTED", message=f"no links lead {way}")
        return NoPath(reason="DISJOINT", message=f"every two paths {way} share {apart.lower()} or a risk")
    paths = [path_of(topology, at, links) for links in pair]
    paths.sort(key=lambda path: (path.cost, len(path.links), path.links))
    return paths[0], paths[1]


def _without_shared_risk(
    routes: Routes, src: int, dst: int, usable: Flags, apart: Apart, groups: Sequence[set[int]]
) -> tuple[tuple[list[int], list[int]] | None, int]:
    """The best pair among those whose better path was tried, and how many were."""
    topology = routes.topology
    wiring, weight = topology.wiring, topology.weights
    toward = routes.distance[:, dst].tolist()
    best, least, tried = None, float("inf"), 0
    for first in islice(ordered_paths(routes, src, dst, usable=usable), MAX_TRIED):
        total = sum(weight[x] for x in first)
        if 2 * total >= least:
            return best, tried  # the other path of any pair to come is no better than this one
        tried += 1
        shared = _wires(topology, first)
        shared = shared.union(*(group for group in groups if not group.isdisjoint(shared)))
        left = usable.copy()
        left[sorted(shared)] = False
        closed = {int(wiring.head[x]) for x in first[:-1]} if apart is Apart.SWITCHES else set()
        second = cheapest(wiring.out, weight, left.tobytes(), toward, src, dst, closed=closed)
        if second is not None and total + sum(weight[x] for x in second) < least:
            best, least = (first, second), total + sum(weight[x] for x in second)
    return best, tried


def _wires(topology: Topology, links: Iterable[int | None]) -> set[int]:
    """Both directions of these links."""
    known = {x for x in links if x is not None}
    return known | {y for x in known if (y := topology.wiring.reverse[x]) >= 0}


class _Suurballe:
    """One search for a pair.  A place is 2 x switch, and where switches must not be shared there are two on each switch
    of the first path: 2 x switch to enter, 2 x switch + 1 to leave.  Who enters there has to go back along the first
    path before it may leave elsewhere.
    """

    def __init__(self, topology: Topology, src: int, dst: int, usable: Flags, apart: Apart) -> None:
        self._topology, self._src, self._dst, self._apart = topology, src, dst, apart
        self._usable = usable.tobytes()
        weight = np.where(usable, topology.weight, np.inf)
        self._toward: list[float] = distances_to(topology, weight, np.array([dst]))[:, 0].tolist()

    def pair(self) -> tuple[list[int], list[int]] | None:
        wiring = self._topology.wiring
        first = cheapest(
            wiring.out, self._topology.weights, self._usable, self._toward, self._src, self._dst
        )  # fmt: skip
        second = first and self._second(first)
        if not first or not second:
            return None
        links = set(first) ^ set(second)  # a link of the first path that the second went back over is in both
        after: dict[int, list[int]] = {}
        for x in sorted(links, reverse=True):
            after.setdefault(int(wiring.tail[x]), []).append(x)
        return self._taken(after), self._taken(after)

    def _taken(self, after: dict[int, list[int]]) -> list[int]:
        at, links = self._src, []
        while at != self._dst:
            links.append(after[at].pop())
            at = int(self._topology.wiring.head[links[-1]])
        return links

    def _second(self, first: list[int]) -> list[int] | None:
        """Dijkstra with what a link adds over the best way on as its length, so that going back is free."""
        tail = self._topology.wiring.tail.tolist()
        into = {int(self._topology.wiring.head[x]): x for x in first}  # switch -> the first path's link into it
        used = set(first)
        split = {tail[x] for x in first[1:]} if self._apart is Apart.SWITCHES else set()
        came: dict[int, tuple[int, int]] = {}
        heap = [(0.0, 2 * self._src, -1, -1)]
        while heap:
            spent, place, link, before = heappop(heap)
            if place in came:
                continue
            came[place] = (link, before)
            at, leaving = divmod(place, 2)
            if at == self._dst:
                return self._walked(came, place)
            if leaving:
                heappush(heap, (spent, place - 1, -1, place))
            elif at in into:
                back = tail[into[at]]
                heappush(heap, (spent, 2 * back + (back in split), into[at], place))
            if leaving or at not in split:
                self._leave(heap, spent, place, used)
        return None

    def _leave(self, heap: list[tuple[float, int, int, int]], spent: float, place: int, used: set[int]) -> None:
        toward, weight, at = self._toward, self._topology.weights, place // 2
        for x, head in self._topology.wiring.out[at]:
            if self._usable[x] and x not in used and toward[head] != float("inf"):
                heappush(heap, (spent + weight[x] + toward[head] - toward[at], 2 * head, x, place))

    def _walked(self, came: dict[int, tuple[int, int]], place: int) -> list[int]:
        links = []
        while place >= 0:
            link, place = came[place]
            if link >= 0:
                links.append(link)
        return links
