"""Demands split over given paths so that the busiest link is as little busy as it can be: a linear program for HiGHS.

    least z  such that  every demand is split completely over its paths,  and on each link  carried <= z x capacity

z of at most 1 means that everything fits.  Among splits of the same z short paths are preferred, by a term so
small that it costs z less than a 100,000th of what the first path of each demand alone would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack

from controller.fabric.graph import EndPoint
from controller.fabric.paths.arrays import Flags, Floats, Ints, Topology
from controller.fabric.paths.path import Path

_LENGTH_MATTERS = 1e-5


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
    capacity = topology.capacity_kbps if capacity_kbps is None else capacity_kbps
    owner = np.repeat(np.arange(len(demands)), [len(demand.paths) for demand in demands])
    rate = np.array([demand.rate_kbps for demand in demands], np.float64)
    if not len(demands):
        return Splits(utilisation=0.0, busiest=None, shares=())
    over = _links_of(topology, demands)
    usable = _usable(over, (capacity > 0) & topology.up)
    unserved = np.flatnonzero(np.bincount(owner[usable], minlength=len(demands)) == 0)
    if len(unserved):
        raise ValueError(f"demand {unserved[0]} has no path over links with capacity")
    shares = np.zeros(len(owner))
    shares[usable] = _solved(over[:, usable], capacity, rate, owner[usable])
    load = over @ (shares * rate[owner])
    busy = np.divide(load, capacity, out=np.zeros(len(load)), where=capacity > 0)
    worst = int(np.argmax(busy)) if len(busy) else -1
    carried = worst >= 0 and busy[worst] > 0
    ends = np.cumsum([len(demand.paths) for demand in demands])
    return Splits(
        utilisation=float(busy[worst]) if carried else 0.0,
        busiest=topology.wiring.srcs[worst] if carried else None,
        shares=tuple(tuple(part.tolist()) for part in np.split(shares, ends[:-1])),
    )


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


def _solved(over: csr_array, capacity: Ints, rate: Floats, owner: Ints) -> Floats:
    """The share of each path of its owner's demand."""
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
    whole_shares: Floats = shares / total[owner]
    return whole_shares
