"""Bandwidth shared out weighted max-min: everyone's level rises alike until a resource is full or nobody wants more.

    rate = weight x level, up to its bound, and so that no level can rise without one that is lower, or as low, falling

The textbook raises one water level from event to event.  Here all places are frozen at once where the outcome no longer
depends on the rest: a resource that is full before any of its aggregates is held elsewhere (a local bottleneck), and
an aggregate that meets its bound before any of its resources is full.  So the number of rounds is the depth to which
bottlenecks depend on each other, 5 to 30, and each round is a few passes over arrays.

There is no tolerance in it.  What is compared is one number with a minimum that this very number took part in, so the
lowest level of all always freezes somebody, be it 1 kbit/s beside 400 Gbit/s.  All that rounding does is to let a sum
exceed its capacity by what float64 cannot hold.

Knows rates and weights; not guarantees, classes or what a resource is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from controller.qos.incidence import Floats, Incidence, Ints

NOTHING = -1
"""in place of a resource: held by its own bound"""


class Filling(NamedTuple):
    """What everyone gets, and why not more."""

    rate: Floats
    bottleneck: Ints
    """aggregate -> a full resource on which no level is higher than its own, or NOTHING"""


def waterfill(incidence: Incidence, capacity: Floats, weight: Floats, bound: Floats) -> Filling:
    """Share out the capacities.  Weights are above 0 and finite, capacities at least 0 and finite; bounds may be inf.

    An aggregate that crosses no resource gets its bound.
    """
    n, n_resources = incidence.n_aggregates, incidence.n_resources
    rate, bottleneck = bound.astype(np.float64), np.full(n, NOTHING)
    satisfied = bound / weight  # the level at which it has all it wants
    left = capacity.astype(np.float64)
    at, over, fraction = incidence.aggregate, incidence.resource, incidence.fraction  # of who is not frozen yet
    turned = np.argsort(over, kind="stable")
    over_turned, at_turned = over[turned], at[turned]
    lowest, reach = np.empty(n), np.empty(n)
    while len(at):
        slope = np.bincount(over, weights=fraction * weight[at], minlength=n_resources)
        full = np.divide(left, slope, out=np.full(n_resources, np.inf), where=slope > 0)  # the level that fills it
        starts = _starts(at)
        active = at[starts]
        lowest[active] = np.minimum.reduceat(full[over], starts)
        reach[active] = np.minimum(lowest[active], satisfied[active])

        starts = _starts(over_turned)
        used = over_turned[starts]
        is_bottleneck = np.zeros(n_resources, bool)
        is_bottleneck[used] = full[used] <= np.minimum.reduceat(reach[at_turned], starts)

        at_bottleneck = is_bottleneck[over]
        held = at[at_bottleneck]
        bottleneck[held], rate[held] = over[at_bottleneck], weight[held] * lowest[held]
        content = active[satisfied[active] <= lowest[active]]
        bottleneck[content], rate[content] = NOTHING, bound[content]

        frozen = np.zeros(n, bool)
        frozen[held] = frozen[content] = True
        gone, gone_turned = frozen[at], frozen[at_turned]
        taken = np.bincount(over[gone], weights=fraction[gone] * rate[at[gone]], minlength=n_resources)
        left = np.maximum(left - taken, 0.0)
        at, over, fraction = at[~gone], over[~gone], fraction[~gone]
        over_turned, at_turned = over_turned[~gone_turned], at_turned[~gone_turned]
    return Filling(rate, bottleneck)


def _starts(ascending: Ints) -> Ints:
    """Where each run of equal numbers begins."""
    return np.flatnonzero(np.diff(ascending, prepend=-1))
