"""Which rates are in force together at any time to come: the states that scheduled policies go through.

    policy A   ▁▁▁▁▇▇▇▁▁▁▁▇▇▇▁▁▁▁
    policy B   ▇▇▁▁▁▁▁▁▇▇▁▁▁▁▁▁▇▇      three states: (low, high), (low, low), (high, low); never (high, high)

Recurring windows are followed for HORIZON_S, single ones up to MAX_HORIZON_S.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache

from controller.model.bandwidth import BandwidthPolicy, Interval, Rates
from controller.qos.schedule import breakpoints, count_openings

HOUR_S = 3_600
HORIZON_S = 35 * 24 * HOUR_S
"""Every day of the week, and every day of a month."""
MAX_HORIZON_S = 400 * 24 * HOUR_S
MAX_STATES = 256
"""Beyond that it is not worked out who has windows at different times."""
MAX_OPENINGS = 10_000
"""of all windows, each as often as its policy has windows; beyond that neither"""


def states(policies: Collection[BandwidthPolicy], now_s: float) -> list[Mapping[BandwidthPolicy, Rates]] | None:
    """policy -> rates, for every combination of them that will be in force at some time; None: there are too many."""
    from_s = now_s - now_s % HOUR_S
    distinct = sorted(set(policies), key=repr)
    ends = [window.when.end_s for policy in distinct for window in policy.schedule if isinstance(window.when, Interval)]
    until_s = min(max([from_s + HORIZON_S, *ends]), from_s + MAX_HORIZON_S)
    if _is_too_much(distinct, from_s, until_s):
        return None
    timelines = [_timeline(policy, from_s, until_s) for policy in distinct]
    at = [0] * len(distinct)
    found: dict[tuple[Rates, ...], None] = {}
    for moment in sorted({t_s for timeline in timelines for t_s, _ in timeline}):
        for i, timeline in enumerate(timelines):
            if at[i] + 1 < len(timeline) and timeline[at[i] + 1][0] <= moment:
                at[i] += 1
        found[tuple(timeline[at[i]][1] for i, timeline in enumerate(timelines))] = None
        if len(found) > MAX_STATES:
            return None
    return [dict(zip(distinct, state, strict=True)) for state in found]


def _is_too_much(policies: Collection[BandwidthPolicy], from_s: float, until_s: float) -> bool:
    """Found before it is done: a window that opens every minute does so fifty thousand times in that time."""
    left = MAX_OPENINGS
    for policy in policies:
        n_windows = max(1, len(policy.schedule))
        left -= n_windows * count_openings(policy, from_s, until_s, at_most=left // n_windows)
        if left < 0:
            return True
    return False


@lru_cache(maxsize=256)
def _timeline(policy: BandwidthPolicy, from_s: float, until_s: float) -> tuple[tuple[float, Rates], ...]:
    return tuple(breakpoints(policy, from_s, until_s))
