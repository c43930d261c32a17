"""One path under constraints: the cheapest that meets them, then the one of fewest hops, then the widest.

If there is none, the answer names a smallest set of constraints that cannot be met together, and of the last of them
the best value that could be had with all others kept.  Knows the topology and what is left on its links as it is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from controller.fabric.graph import EndPoint
from controller.fabric.paths.arrays import Flags, Floats, Ints, Topology
from controller.fabric.paths.path import NoPath, Path, path_of
from controller.fabric.paths.search import Bounds, TooManyLabels, cheapest, cheapest_within, straight
from controller.fabric.paths.shortest import Routes, distances_to
from controller.model.ids import format_dpid


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Parts of a fabric.  A link is one direction of a wire, by src; a zone is all its switches."""

    links: frozenset[EndPoint] = frozenset()
    switches: frozenset[int] = frozenset()
    zones: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.links or self.switches or self.zones)

    def __str__(self) -> str:
        links, zones = map(str, sorted(self.links)), (f"zone {zone}" for zone in sorted(self.zones))
        return ", ".join([*links, *map(format_dpid, sorted(self.switches)), *zones])


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What a path has to keep to."""

    bandwidth_kbps: int = 0
    """left on each of its links"""
    max_latency_us: int | None = None
    max_hops: int | None = None
    include: Parts = Parts()
    """the path passes each of them, in any order; of a zone at least one switch"""
    exclude: Parts = Parts()
    """the path touches none of them; what does not exist is no hindrance"""


NONE = Constraints()


def find_path(
    routes: Routes, src: int, dst: int, constraints: Constraints = NONE, *, left_kbps: Ints | None = None
) -> Path | NoPath:
    """The best path between two dpids.  `left_kbps`: what is left on each link (by index), else all its capacity."""
    index = routes.topology.wiring.switch_index
    for dpid in (src, dst):
        if dpid not in index:
            return NoPath(reason="UNKNOWN", message=f"there is no switch {format_dpid(dpid)}")
    if left_kbps is None:
        left_kbps = routes.topology.capacity_kbps
    query = _Query(routes, index[src], index[dst], left_kbps)
    if missing := constraints.include and _missing(routes.topology, constraints.include):
        return NoPath(reason="UNKNOWN", message=f"the path shall pass what does not exist: {missing}")
    try:
        links = query.best(constraints)
        if links is not None:
            return path_of(routes.topology, query.src, links, left_kbps)
        return _explained(query, constraints, f"from {format_dpid(src)} to {format_dpid(dst)}")
    except TooManyLabels:
        return NoPath(reason="SEARCH_LIMIT", message="the search was given up; let the path pass fewer parts")


def fastest_path(routes: Routes, src: int, dst: int, constraints: Constraints = NONE) -> Path | None:
    """The path of least latency within the constraints; of those that are as fast, the widest.

    Both dpids are known, and the constraints bound no latency and include nothing.
    """
    topology = routes.topology
    index = topology.wiring.switch_index
    query = _Query(routes, index[src], index[dst], topology.capacity_kbps)
    links = query.best(constraints, _latency(topology))
    return None if links is None else path_of(topology, query.src, links)


def usable_links(topology: Topology, constraints: Constraints, left_kbps: Ints | None = None) -> Flags:
    """link -> whether it is up, has the bandwidth left, and neither it nor an end of it is excluded."""
    wiring, exclude = topology.wiring, constraints.exclude
    left = topology.capacity_kbps if left_kbps is None else left_kbps
    usable = topology.up & (left >= constraints.bandwidth_kbps)
    if exclude:
        usable[[wiring.link_index[src] for src in exclude.links if src in wiring.link_index]] = False
        shut = _shut(topology, exclude)
        usable &= ~(shut[wiring.tail] | shut[wiring.head])
    return usable


class _Query(NamedTuple):
    routes: Routes
    src: int
    dst: int
    left_kbps: Ints

    def best(self, constraints: Constraints, weight: Floats | None = None) -> list[int] | None:
        """The links of the path that is least by weight (else cost, then hops), and then widest."""
        topology, out = self.routes.topology, self.routes.topology.wiring.out
        if constraints.exclude and _shut(topology, constraints.exclude)[[self.src, self.dst]].any():
            return None
        links = self._straight(constraints) if weight is None else None
        if links is not None and meets(topology, self.src, links, constraints):
            return links
        usable = usable_links(topology, constraints, self.left_kbps).tobytes()
        width = self.left_kbps.data  # indexed: Python's numbers
        if weight is None:
            weights, toward = topology.weights, self.routes.distance[:, self.dst].tolist()
        else:
            weights, toward = weight.tolist(), self._toward(weight)
        if links is None:
            links = cheapest(out, weights, usable, toward, self.src, self.dst, width=width)
            if links is None or meets(topology, self.src, links, constraints):
                return links
        rows = toward, self._toward(topology.latency_us.astype(np.float64)), self._toward(np.ones(topology.n_links))
        return cheapest_within(
            out, weights, usable, rows, self.src, self.dst, width=width, latency_us=topology.latencies_us,
            bounds=_bounds(topology, constraints),
        )  # fmt: skip

    def _straight(self, constraints: Constraints) -> list[int] | None:
        """The best path, if it is one that is found without looking at the whole fabric."""
        topology, left = self.routes.topology, self.left_kbps
        if constraints.exclude:
            left = np.where(usable_links(topology, constraints, left), left, -1)
        return straight(
            topology.wiring.out, topology.weights, self.routes.distance[:, self.dst].data, self.src, self.dst,
            width=left.data, floor=constraints.bandwidth_kbps,
        )  # fmt: skip

    def _toward(self, weight: Floats) -> list[float]:
        topology = self.routes.topology
        up = np.where(topology.up, weight, np.inf)
        row: list[float] = distances_to(topology, up, np.array([self.dst]))[:, 0].tolist()
        return row


def meets(topology: Topology, src: int, links: list[int], constraints: Constraints) -> bool:
    """Whether a path (by index) keeps to the constraints that usable_links says nothing about."""
    if not constraints.include and constraints.max_latency_us is None and constraints.max_hops is None:
        return True
    bounds = _bounds(topology, constraints)
    passed = bounds.passes_at[src]
    for x in links:
        passed |= bounds.passes_over[x] | bounds.passes_at[int(topology.wiring.head[x])]
    late = sum(int(topology.latency_us[x]) for x in links)
    return passed == bounds.to_pass and late <= bounds.latency_us and len(links) <= bounds.hops


def _bounds(topology: Topology, constraints: Constraints) -> Bounds:
    wiring, include = topology.wiring, constraints.include
    passes_at, passes_over = [0] * topology.n_switches, [0] * topology.n_links
    bits = (1 << i for i in range(len(include.links) + len(include.switches) + len(include.zones)))
    to_pass = 0
    for src in sorted(include.links):
        to_pass |= (bit := next(bits))
        passes_over[wiring.link_index[src]] |= bit
    for dpid in sorted(include.switches):
        to_pass |= (bit := next(bits))
        passes_at[wiring.switch_index[dpid]] |= bit
    for wanted in sorted(include.zones):
        to_pass |= (bit := next(bits))
        passes_at = [old | bit if zone == wanted else old for old, zone in zip(passes_at, topology.zones, strict=True)]
    latency_us = float("inf") if constraints.max_latency_us is None else constraints.max_latency_us
    hops = float("inf") if constraints.max_hops is None else constraints.max_hops
    return Bounds(
        latency_us=latency_us, hops=hops, to_pass=to_pass, passes_at=passes_at, passes_over=passes_over
    )  # fmt: skip


def _shut(topology: Topology, exclude: Parts) -> Flags:
    """switch -> whether no path may touch it."""
    index = topology.wiring.switch_index
    shut = np.zeros(topology.n_switches, bool)
    shut[[index[dpid] for dpid in exclude.switches if dpid in index]] = True
    if exclude.zones:
        shut |= np.array([zone in exclude.zones for zone in topology.zones], bool)
    return shut


def _latency(topology: Topology) -> Floats:
    """link -> its latency as a weight."""
    return np.where(topology.up, topology.latency_us.astype(np.float64), np.inf)


def _missing(topology: Topology, parts: Parts) -> Parts:
    return Parts(
        links=frozenset(src for src in parts.links if src not in topology.wiring.link_index),
        switches=frozenset(dpid for dpid in parts.switches if dpid not in topology.wiring.switch_index),
        zones=parts.zones - set(topology.zones),
    )


_WITHOUT = {
    "EXCLUDE": {"exclude": Parts()},
    "INCLUDE": {"include": Parts()},
    "LATENCY": {"max_latency_us": None},
    "HOPS": {"max_hops": None},
    "BANDWIDTH": {"bandwidth_kbps": 0},
}
"""How each constraint is dropped.  The later a name comes, the sooner it is the one that is given as the reason."""


def _without(constraints: Constraints, name: str) -> Constraints:
    return replace(constraints, **_WITHOUT[name])  # type: ignore[arg-type]


def _explained(query: _Query, constraints: Constraints, way: str) -> NoPath:
    if query.best(NONE) is None:
        return NoPath(reason="DISCONNECTED", message=f"no links lead {way}")
    rest, needed = constraints, []
    for name in _WITHOUT:
        if _without(rest, name) == rest:
            continue
        if query.best(_without(rest, name)) is None:
            rest = _without(rest, name)
        else:
            needed.append(name)
    wants = " and ".join(_wanted(rest, name) for name in needed)
    best = next(_best_values(query, constraints, needed[-1]), "")
    return NoPath(
        reason=needed[-1], message=f"no path {way} {wants}{best and '; ' + best}", constraints=tuple(needed)
    )  # fmt: skip


def _wanted(constraints: Constraints, name: str) -> str:
    match name:
        case "EXCLUDE":
            return f"avoids {constraints.exclude}"
        case "INCLUDE":
            return f"passes {constraints.include}"
        case "LATENCY":
            return f"takes at most {constraints.max_latency_us} us"
        case "HOPS":
            return f"has at most {constraints.max_hops} hops"
        case _:
            return f"has {constraints.bandwidth_kbps} kbit/s left"


def _best_values(query: _Query, constraints: Constraints, name: str) -> Iterator[str]:
    """The best that could be had of this constraint if all others are kept, in words; nothing if they cannot be."""
    topology, others = query.routes.topology, _without(constraints, name)
    if name == "LATENCY":
        links = query.best(others, _latency(topology))
        if links is not None:
            yield f"the fastest that keeps to all else takes {sum(int(topology.latency_us[x]) for x in links)} us"
    elif name == "HOPS":
        links = query.best(others, np.where(topology.up, 1.0, np.inf))
        if links is not None:
            yield f"the shortest that keeps to all else has {len(links)}"
    elif name == "BANDWIDTH" and query.best(others) is not None:
        left = query.left_kbps
        values = np.unique(left[left < constraints.bandwidth_kbps]).tolist()
        low, high = 0, len(values)  # the least value fits: something does, and no link has less
        while high - low > 1:
            middle = (low + high) // 2
            fits = query.best(replace(others, bandwidth_kbps=values[middle])) is not None
            low, high = (middle, high) if fits else (low, middle)
        yield f"the widest that keeps to all else has {values[low]}"
