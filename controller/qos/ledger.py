"""Who claims how much of what: one account for every link and access port, and whether one more claim fits.

    put(owner, claims)    what the owner claims from now on, in the place of what it claimed before
    shortfalls            the resources that a change leaves over-claimed, worst first
    largest               the most that fits, found with the very check that refuses

A value: `put` gives the next ledger and shares with the old one whatever did not change, so that trying costs nothing
and needs no undoing.  Sums are of integers, kbit/s, so the order of changes leaves no trace.

Owners are names; resources are whatever hashable the caller names them by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from immutables import Map

HEADROOM = 0.05
"""of every resource, never guaranteed to anybody: so that what has no guarantee does not starve"""
ROUNDING = 1e-6


class Claim(NamedTuple):
    """What one owner claims of one resource, kbit/s."""

    working_kbps: int
    reserved_kbps: int
    """the same, and what more it needs if a link fails that it is protected against"""


NO_CLAIM = Claim(0, 0)
Claims = Mapping[Any, Claim]
"""By resource; of each something is reserved."""
NO_CLAIMS: Claims = {}


class Excess(NamedTuple):
    """A resource on which claims do not fit."""

    resource: Any
    needed_kbps: int
    """what those want who are to blame"""
    left_kbps: int
    """what the others leave"""


def claim(working: float, reserved: float) -> Claim:
    """Rounded so that it is enough."""
    return Claim(math.ceil(working - ROUNDING), math.ceil(reserved - ROUNDING))


def budget(capacity_kbps: int) -> int:
    """How much of a resource can be claimed."""
    return math.floor(capacity_kbps * (1 - HEADROOM) + ROUNDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """All claims."""

    by_owner: Map[str, Claims] = Map()
    totals: Map[Any, int] = Map()
    """resource -> the sum of what is reserved"""

    def put(self, owner: str, claims: Claims) -> tuple[Ledger, set[Any]]:
        """The ledger with these as the owner's only claims, and the resources on which anything changed."""
        before = self.by_owner.get(owner, NO_CLAIMS)
        changed = {r for r, now in claims.items() if (was := before.get(r)) is not now and was != now}
        changed |= before.keys() - claims.keys()
        if not changed:
            return self, changed
        totals = self.totals.mutate()
        for resource in changed:
            more = claims.get(resource, NO_CLAIM).reserved_kbps - before.get(resource, NO_CLAIM).reserved_kbps
            if total := totals.get(resource, 0) + more:
                totals[resource] = total
            else:
                del totals[resource]
        by_owner = self.by_owner.set(owner, claims) if claims else self.by_owner.delete(owner)
        return Ledger(by_owner=by_owner, totals=totals.finish()), changed

    def claimed_by(self, owners: Collection[str], resource: Hashable) -> int:
        """What these owners have reserved of it."""
        return sum(self.by_owner.get(owner, NO_CLAIMS).get(resource, NO_CLAIM).reserved_kbps for owner in owners)


def shortfalls(
    before: Ledger, after: Ledger, changed: Collection[Any], owners: Collection[str],
    capacity_kbps: Callable[[Any], int | None],
) -> list[Excess]:
    """Where the step from one to the other asks for more than there is, worst first.

    `owners`: whose claims changed.  Whoever only takes less is never refused, however much the others have.
    """
    found = []
    for resource in changed:
        total = after.totals.get(resource, 0)
        if total <= before.totals.get(resource, 0):
            continue
        capacity = capacity_kbps(resource)
        if capacity is None or total <= budget(capacity):
            continue
        needed = after.claimed_by(owners, resource)
        found.append(Excess(resource, needed, max(0, budget(capacity) - (total - needed))))
    return sorted(found, key=lambda excess: (excess.left_kbps - excess.needed_kbps, str(excess.resource)))


def largest(lacks: Callable[[int], float], at_most: int, *, at_least: int = 1) -> int:
    """The largest whole number that lacks nothing, from `at_least` to `at_most`; 0 if none does.

    `lacks` must not shrink as numbers grow.  It may be slow: what is lacking of two numbers leads to the third, since
    what links have to carry grows in few straight pieces; and where nothing fits it is asked once.
    """
    if at_most < at_least or lacks(at_least):
        return 0
    low, high, missing, slope = at_least, at_most, lacks(at_most), 0.0
    if not missing:
        return high
    while high - low > 1:
        zero = high - math.ceil(missing / slope) if slope and missing < math.inf else low
        for n in (zero, zero + 1, (low + high) // 2):
            if not low < n < high:
                continue
            if not (found := lacks(n)):
                low = n
                continue
            if missing < math.inf:
                slope = (missing - found) / (high - n)
            high, missing = n, found
    return low
