"""The k best paths without loops, in order: Yen's algorithm (1971) with Lawler's partition (1972).

Each path found splits those not found yet into sets: "begins like it up to here, and then leaves by none of these
links".  A set enters the queue with a lower bound, which the distances give, and is searched only when the bound comes
up; most never do.  Where there are k equally short paths, as in a fat-tree, they are simply counted off, and so that
they part as early as they can.  Parallel links make different paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import islice

from controller.fabric.paths.arrays import Flags
from controller.fabric.paths.path import Path, path_of
from controller.fabric.paths.search import cheapest
from controller.fabric.paths.shortest import Routes


def alternatives(routes: Routes, src: int, dst: int, k: int, *, usable: Flags | None = None) -> tuple[Path, ...]:
    """Up to k paths between two dpids by cost, then hops, over the usable links (by index), else over all that are up.

    Among equals the order is arbitrary but always the same.  None if one of the dpids is not known.
    """
    topology = routes.topology
    index = topology.wiring.switch_index
    if src not in index or dst not in index:
        return ()
    found = _shortest_paths(routes, index[src], index[dst], k) if usable is None else []
    if len(found) < k:
        found = list(islice(ordered_paths(routes, index[src], index[dst], usable=usable), k))
    return tuple([path_of(topology, index[src], links) for links in found])


def _shortest_paths(routes: Routes, src: int, dst: int, k: int) -> list[list[int]]:
    """Up to k of the paths that are as short as any.

    Each has a number, of which a remainder decides at each switch where to go on, so the first paths part at the first
    switch.  A number of which something is left at the end belongs to no path.
    """
    out, weight = routes.topology.wiring.out, routes.topology.weights
    toward = routes.distance[:, dst].tolist()
    exits: dict[int, list[tuple[int, int]]] = {}
    paths: list[list[int]] = []
    if toward[src] == float("inf"):
        return paths
    for number in range(4 * k):
        at, rest, links, forks = src, number, [], False
        while at != dst:
            if at not in exits:
                exits[at] = [(x, head) for x, head in out[at] if weight[x] + toward[head] == toward[at]]
            rest, choice = divmod(rest, len(exits[at]))
            forks |= len(exits[at]) > 1
            link, at = exits[at][choice]
            links.append(link)
        if not rest:
            paths.append(links)
        if len(paths) == k or not forks:
            break
    return paths


def ordered_paths(routes: Routes, src: int, dst: int, *, usable: Flags | None = None) -> Iterator[list[int]]:
    """The links (by index) of each path between two switches (by index), best first, as long as they are asked for."""
    topology = routes.topology
    out, weight = topology.wiring.out, topology.weights
    toward = routes.distance[:, dst].tolist()
    head = topology.wiring.head
    open_links = bytearray((topology.up if usable is None else usable & topology.up).tobytes())
    infinite = float("inf")
    # (weight or its lower bound, 0 for a path and 1 for a set, links of the path or the common beginning, barred exits)
    queue: list[tuple[float, int, tuple[int, ...], int, frozenset[int]]] = []

    def offer(beginning: tuple[int, ...], barred: frozenset[int]) -> None:
        met, at, spent = _walk(src, beginning)
        exits = (weight[x] + toward[h] for x, h in out[at] if open_links[x] and x not in barred and h not in met)
        bound = spent + min(exits, default=infinite)
        if bound < infinite:
            heappush(queue, (bound, 1, beginning, len(beginning), barred))

    def _walk(at: int, links: tuple[int, ...]) -> tuple[set[int], int, float]:
        met, spent = {at}, 0.0
        for x in links:
            at = int(head[x])
            met.add(at)
            spent += weight[x]
        return met, at, spent

    if src == dst:
        yield []
        return
    offer((), frozenset())
    while queue:
        total, is_set, links, n_common, barred = heappop(queue)
        if not is_set:
            yield list(links)
            for i in range(n_common, len(links)):
                offer(links[:i], frozenset({links[i]}) | (barred if i == n_common else frozenset()))
            continue
        met, at, spent = _walk(src, links)
        for x in barred:
            open_links[x] = 0
        rest = cheapest(out, weight, open_links, toward, at, dst, closed=met - {at})
        for x in barred:
            open_links[x] = 1
        if rest is not None:
            total = spent + sum(weight[x] for x in rest)
            heappush(queue, (total, 0, links + tuple(rest), n_common, barred))
