"""What schedules have in force now, and when to look again.  Told what time it is, by a clock that may jump.

    put        objects came, changed or went          advance    time passed, or was set back
    both answer the rates that came into force and those that ended with it

Of each object with a schedule two moments are known: the one it was looked at, and the one up to which what was found
holds.  So a boundary costs O(log n), whatever lies between two calls; and when the clock was set back, those are looked
at again that were last looked at later than now.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from math import inf
from typing import NamedTuple

from controller.model.bandwidth import BandwidthPolicy, Rates
from controller.qos.schedule import next_change_s, open_window

Changed = dict[str, Rates | None]
"""object -> the rates in force; None: those of its policy"""


class _Look(NamedTuple):
    """What was found, and from when up to when that is known to hold."""

    policy: BandwidthPolicy
    since_s: float
    until_s: float
    rates: Rates | None


class Agenda:
    def __init__(self) -> None:
        self._now_s = 0.0
        self._looks: dict[str, _Look] = {}
        self._due: list[tuple[float, str]] = []
        """a heap; of what is outdated, `_looks` says otherwise"""

    def put(self, policies: Mapping[str, BandwidthPolicy]) -> Changed:
        """These are the policies of these objects now; of one that is gone, NO_POLICY."""
        changed: Changed = {}
        for name, policy in policies.items():
            known = self._looks.get(name)
            if policy.schedule and (known is None or policy != known.policy):
                changed |= self._look(name, policy)
            elif not policy.schedule and known is not None:
                del self._looks[name]
                changed |= {name: None} if known.rates is not None else {}
        return changed

    def advance(self, now_s: float) -> Changed:
        """It is `now_s`, which may be any time after or before the last."""
        is_back, self._now_s = now_s < self._now_s, now_s
        changed: Changed = {}
        for name in [name for name, look in self._looks.items() if look.since_s > now_s] if is_back else ():
            changed |= self._look(name, self._looks[name].policy)
        while self._due and self._due[0][0] <= now_s:
            due_s, name = heappop(self._due)
            if (look := self._looks.get(name)) is not None and look.until_s == due_s:
                changed |= self._look(name, look.policy)
        return changed

    def _look(self, name: str, policy: BandwidthPolicy) -> Changed:
        window, until_s = open_window(policy, self._now_s), next_change_s(policy, self._now_s)
        before, rates = self._looks.get(name), window.rates if window else None
        self._looks[name] = look = _Look(policy, self._now_s, inf if until_s is None else until_s, rates)
        if len(self._due) <= 2 * len(self._looks) + 64:
            heappush(self._due, (look.until_s, name))
        else:
            self._due = [(look.until_s, name) for name, look in self._looks.items()]
            heapify(self._due)
        return {name: rates} if rates != (before.rates if before else None) else {}
