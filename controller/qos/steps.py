"""How shares of one total change so that their sum is within it at every moment: down first, up when that is confirmed.

    in force    A 60   B 40        total 100; wanted is A 20, B 80
    step 1      A 20               B may not grow yet: A's switch may still use 60
    confirmed   A 20   B 40
    step 2             B 80        the 40 that A gave up

A change that was sent and not confirmed may be in force or not, so its holder counts with the higher of both until the
switch has answered.  A switch that is out of reach holds what it had, and nobody grows into that.

Decides what may be sent now; knows no switches, and not when to ask again.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def next_step(may_hold: Mapping[K, int], wanted: Mapping[K, int], total: int) -> dict[K, int]:
    """The shares to set now: everyone that shall have less, and who shall have more as far as it surely fits.

    `may_hold` is the most that may be in force at each holder; one that is not in it holds nothing, and one that is not
    wanted shall hold nothing.  With P what is set, the sum of max(may_hold, P) stays within the total, or does not grow
    where it is above the total already.  If not all that is to grow fits, each grows by the same part of what it lacks.
    Asked again after each confirmation it ends with what is wanted, if that fits the total.
    """
    step = {holder: wanted.get(holder, 0) for holder, held in may_hold.items() if wanted.get(holder, 0) < held}
    lacks = {holder: share - may_hold.get(holder, 0) for holder, share in wanted.items()}
    lacks = {holder: lack for holder, lack in lacks.items() if lack > 0}
    free, lacking = max(0, total - sum(may_hold.values())), sum(lacks.values())
    for holder, lack in lacks.items():
        more = lack if lacking <= free else lack * free // lacking
        if more:
            step[holder] = may_hold.get(holder, 0) + more
    return step
