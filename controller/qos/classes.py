"""Guarantees first, then what is spare, class by class: the order in which waterfills follow each other.

    1  base     min(guarantee, bound) of everyone.  If that does not fit, as after a failure, it is a waterfill itself,
                one class after the other, in which each keeps the same share of its guarantee as far as its resources
                allow
    2  spare    the first class shares by weight what the bases leave, the second what that leaves, and so on

The bound is what an aggregate would use at most.  Knows arrays of numbers; not names.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.qos.incidence import Flags, Floats, Incidence, Ints
from controller.qos.waterfill import NOTHING, Filling, waterfill


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Requests:
    """One number for each aggregate."""

    guarantee: Floats
    """finite"""
    bound: Floats
    """the lower of demand and ceiling; may be inf"""
    weight: Floats
    rank: Ints
    """of its class; the lowest comes first"""


def divide(incidence: Incidence, capacity: Floats, requests: Requests) -> Filling:
    """What everyone gets, with the resource that holds back whoever gets less than its bound."""
    ranks = np.unique(requests.rank).tolist()
    needed = np.minimum(requests.guarantee, requests.bound)
    rate, bottleneck = needed, np.full(incidence.n_aggregates, NOTHING)
    if (incidence.load(needed) > capacity).any():
        rate = np.zeros(incidence.n_aggregates)
        for rank in ranks:
            members = (requests.rank == rank) & (needed > 0)
            rate[members] = _share(incidence, capacity, rate, members, needed, needed).rate
    base = rate.copy()
    wants_more = base < requests.bound
    for rank in ranks:
        members = (requests.rank == rank) & wants_more
        more = _share(incidence, capacity, rate, members, requests.weight, requests.bound - base)
        bottleneck[members], bound = more.bottleneck, requests.bound[members]
        rate[members] = np.where(more.bottleneck == NOTHING, bound, np.minimum(base[members] + more.rate, bound))
    return Filling(rate, bottleneck)


def _share(
    incidence: Incidence, capacity: Floats, rate: Floats, members: Flags, weight: Floats, bound: Floats
) -> Filling:
    """What the members get on top of the rates that are given out already."""
    left = np.maximum(capacity - incidence.load(rate), 0.0)
    return waterfill(incidence.of(members), left, weight[members], bound[members])
