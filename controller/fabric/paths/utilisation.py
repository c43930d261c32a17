"""Demands split over given paths so that the busiest link is as little busy as it can be: a linear program for HiGHS.

    least z  such that  every demand is split completely over its paths,  and on each link  carried <= z x capacity

z of at most 1 means that everything fits.  Among splits of the same z short paths are preferred, by a term so
small that it costs z less than a 100,000th of what the first path of each demand alone would give.

Which paths a demand is given matters more than how it is split: the k shortest ones often share their bottleneck.
`chosen_paths` finds few paths that do together what all could, by column generation (Ford and Fulkerson 1958): solve
with the paths at hand, take from the program what each link's capacity is worth, and offer each demand the path that
is cheapest at these prices, until all that could be gained is less than one part in 1,000.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack

from controller.fabric.graph import EndPoint
from controller.fabric.paths.alternatives import alternatives
from controller.fabric.paths.arrays import Flags, Floats, Ints, Topology
from controller.fabric.paths.path import Path, path_of
from controller.fabric.paths.search import cheapest
from controller.fabric.paths.shortest import Routes, distances_to

_LENGTH_MATTERS = 1e-5
_MAX_ROUNDS = 30
_CHEAPER = 1 - 1e-6
"""what a path may cost of the best one at hand to be worth adding"""
_GAP = 1e-3
"""what may be missing to the optimum"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Traffic between two switches and the paths it may take, all of them from the same switch to the same other."""

    rate_kbps: float
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Which share of each demand goes over each of its paths."""

    utilisation: float
    """of the busiest link: carried / capacity; above 1 it does not fit"""
    busiest: EndPoint | None
    """the link (src) that is as busy as that; None if nothing is carried"""
    shares: tuple[tuple[float, ...], ...]
    """one for each path of each demand, in their order; those of a demand add up to 1"""


def least_utilisation(topology: Topology, demands: Sequence[Demand], *, capacity_kbps: Ints | None = None) -> Splits:
    """The splits that leave the busiest link least busy.  ValueError if a demand has no path over links with capacity.

    `capacity_kbps`: what counts as the capacity of each link (by index), for example what reservations leave.
    """
    if not demands:
        return Splits(utilisation=0.0, busiest=None, shares=())
    capacity = topology.capacity_kbps if capacity_kbps is None else capacity_kbps
    solution = _solved(topology, demands, capacity)
    busy = np.divide(solution.load, capacity, out=np.zeros(len(capacity)), where=capacity > 0)
    worst = int(np.argmax(busy)) if busy.any() else None
    return Splits(
        utilisation=0.0 if worst is None else float(busy[worst]),
        busiest=None if worst is None else topology.wiring.srcs[worst],
        shares=tuple(tuple(part.tolist()) for part in solution.shares),
    )


def chosen_paths(
    routes: Routes, rates_kbps: Mapping[tuple[int, int], float], k: int, *, capacity_kbps: Ints | None = None
) -> tuple[Demand, ...]:
    """Up to k paths for each demand (src dpid, dst dpid), chosen for all these demands together.

    ValueError if a demand has no path over links with capacity.
    """
    topology = routes.topology
    capacity = topology.capacity_kbps if capacity_kbps is None else capacity_kbps
    usable = topology.up & (capacity > 0)
    demands = [
        Demand(rate_kbps=rate, paths=alternatives(routes, *ends, k, usable=None if usable.all() else usable))
        for ends, rate in rates_kbps.items()
    ]
    for _ in range(_MAX_ROUNDS if demands else 0):
        better, gap = _with_cheaper_paths(topology, demands, usable, _solved(topology, demands, capacity).price)
        if gap < _GAP:
            break
        demands = better
    few = []
    for demand, shares in zip(demands, _solved(topology, demands, capacity).shares if demands else (), strict=True):
        best = sorted(range(len(shares)), key=lambda i: (-shares[i], i))[:k]
        few.append(Demand(rate_kbps=demand.rate_kbps, paths=tuple(demand.paths[i] for i in best)))
    return tuple(few)


def _with_cheaper_paths(
    topology: Topology, demands: Sequence[Demand], usable: Flags, price: Floats
) -> tuple[list[Demand], float]:
    """The demands, each with one more path if one is cheaper at these prices than all it has; and what is missing.

    By duality the optimum is at least what the demands would pay on the cheapest of all paths.
    """
    wiring, prices, open_links = topology.wiring, price.tolist(), usable.tobytes()
    toward = distances_to(topology, np.where(usable, price, np.inf), np.arange(topology.n_switches))
    better, pays, could_pay = [], 0.0, 0.0
    for demand in demands:
        src, dst = (wiring.switch_index[demand.paths[0].switches[end]] for end in (0, -1))
        least = min(sum(prices[wiring.link_index[x]] for x in path.links) for path in demand.paths)
        pays, could_pay = pays + demand.rate_kbps * least, could_pay + demand.rate_kbps * float(toward[src, dst])
        paths = demand.paths
        if toward[src, dst] < least * _CHEAPER:
            links = cheapest(wiring.out, prices, open_links, toward[:, dst].tolist(), src, dst)
            paths = paths if links is None else (*paths, path_of(topology, src, links))
        better.append(Demand(rate_kbps=demand.rate_kbps, paths=paths))
    return better, (pays - could_pay) / pays if pays else 0.0


class _Solution(NamedTuple):
    shares: list[Floats]
    """for each demand, of its paths"""
    load: Floats
    """link -> kbit/s carried"""
    price: Floats
    """link -> what one more kbit/s there adds to the busiest link, and a little for the hop"""


def _solved(topology: Topology, demands: Sequence[Demand], capacity: Ints) -> _Solution:
    counts = [len(demand.paths) for demand in demands]
    owner = np.repeat(np.arange(len(demands)), counts)
    rate = np.array([demand.rate_kbps for demand in demands], np.float64)
    over = _links_of(topology, demands)
    usable = _usable(over, (capacity > 0) & topology.up)
    unserved = np.flatnonzero(np.bincount(owner[usable], minlength=len(demands)) == 0)
    if len(unserved):
        raise ValueError(f"demand {unserved[0]} has no path over links with capacity")
    shares = np.zeros(len(owner))
    shares[usable], price = _program(over[:, usable], capacity, rate, owner[usable])
    load: Floats = over @ (shares * rate[owner])
    return _Solution(np.split(shares, np.cumsum(counts)[:-1]), load, price)


def _links_of(topology: Topology, demands: Sequence[Demand]) -> csr_array:
    """[link, path] -> 1 where the path takes the link."""
    index = topology.wiring.link_index
    paths = [path for demand in demands for path in demand.paths]
    rows = [index[src] for path in paths for src in path.links]
    columns = np.repeat(np.arange(len(paths)), [len(path.links) for path in paths])
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=(topology.n_links, len(paths)))


def _usable(over: csr_array, fit: Flags) -> Flags:
    """path -> whether all its links are fit."""
    usable: Flags = over.T @ (~fit).astype(np.float64) == 0
    return usable


def _program(over: csr_array, capacity: Ints, rate: Floats, owner: Ints) -> tuple[Floats, Floats]:
    """The share of each path of its owner's demand, and the price of each link."""
    n = len(owner)
    inverse = np.divide(1.0, capacity, out=np.zeros(len(capacity)), where=capacity > 0)
    busy = csr_array(over.multiply(inverse[:, None]).multiply((rate[owner])[None, :]))
    first = np.zeros(n)
    first[np.unique(owner, return_index=True)[1]] = 1.0
    unit = float((busy @ first).max(initial=0.0)) or 1.0  # with each demand on its first path, z is 1
    whole = csr_array((np.ones(n), (owner, np.arange(n))), shape=(len(rate), n))
    length = np.asarray(over.sum(axis=0)).ravel() * rate[owner]
    longest = float(np.maximum.reduceat(length, np.flatnonzero(np.diff(owner, prepend=-1))).sum()) or 1.0
    answer = linprog(
        np.append(_LENGTH_MATTERS * length / longest, 1.0),
        A_ub=hstack([busy / unit, csr_array(-np.ones((over.shape[0], 1)))], format="csr"),
        b_ub=np.zeros(over.shape[0]),
        A_eq=hstack([whole, csr_array((len(rate), 1))], format="csr"),
        b_eq=np.ones(len(rate)),
        method="highs",
    )
    if answer.x is None:
        raise ArithmeticError(f"HiGHS found no split: {answer.message}")
    shares = np.maximum(answer.x[:n], 0.0)
    total = np.bincount(owner, weights=shares, minlength=len(rate))
    price: Floats = np.maximum(-answer.ineqlin.marginals, 0.0) * inverse / unit + _LENGTH_MATTERS / longest
    return shares / total[owner], price
