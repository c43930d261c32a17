"""Which rates a policy's schedule puts in force at a moment, and when that may change.

    policy    ─────────┐ 20M ┌───────────────────┐ 20M ┌──────────   of the windows that are open, the first in the list
    window 1           └─ 5M ┘                   └─ 5M ┘             counts; outside all of them the policy's own rates
                      08:00  18:00              08:00  18:00

Time is seconds since 1970.  What the clocks on the wall do when they are set is cron's own custom:

    an expression that names its minutes and hours ("30 2 * * *")
        an hour that is skipped    the window opens when the clocks are set: 03:00 instead of 02:30
        an hour that comes twice   the window opens the first time only
    one whose minutes or hours begin with "*" ("*/15 * * * *")
        the window opens whenever the clocks show a time that matches: not in an hour that is skipped, and in both that
        look the same

A window stays open for its duration by a stopwatch, whatever the clocks show meanwhile.

Refuses to know what time it is, and what the rates are for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from math import floor
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from controller.model.bandwidth import BandwidthPolicy, Interval, Rates, Recurring, Window

_1970 = datetime(1970, 1, 1)
_FIELDS = 5
_MAX_LENGTH = 200
_DAY_S = 86_400
"""Clocks are never set by more; and between two changes of theirs lie weeks, anywhere."""
_NO_ZONES = frozenset({"Factory", "localtime", "posixrules"})
_NO_AREAS = "posix/", "right/"
"""Files beside those of the zones: what this machine is set to, which another is not; and copies, some in a time that
counts leap seconds."""


def open_window(policy: BandwidthPolicy, t_s: float) -> Window | None:
    """The window whose rates are in force; None: the policy's own are."""
    return next((window for window in policy.schedule if _is_open(window.when, t_s)), None)


def rates_at(policy: BandwidthPolicy, t_s: float) -> Rates:
    window = open_window(policy, t_s)
    return policy.rates if window is None else window.rates


def next_change_s(policy: BandwidthPolicy, t_s: float) -> float | None:
    """Up to this moment after `t_s` the rates stay as they are; at it they may be others.  None: never again."""
    moments = (_next_moment(window.when, t_s) for window in policy.schedule)
    return min((moment for moment in moments if moment is not None), default=None)


def breakpoints(policy: BandwidthPolicy, from_s: float, until_s: float) -> list[tuple[float, Rates]]:
    """The rates at `from_s`, and at each moment before `until_s` at which others come into force.  Ascending."""
    spans = [_spans_of(window.when, from_s, until_s) for window in policy.schedule]
    moments = sorted({from_s, *(t for ends in spans for end in ends for t in end if from_s < t < until_s)})
    found: list[tuple[float, Rates]] = []
    at = [0] * len(spans)
    for moment in moments:
        rates = policy.rates
        for i in reversed(range(len(spans))):
            while at[i] < len(spans[i]) and spans[i][at[i]][1] <= moment:
                at[i] += 1
            if at[i] < len(spans[i]) and spans[i][at[i]][0] <= moment:
                rates = policy.schedule[i].rates
        if not found or rates != found[-1][1]:
            found.append((moment, rates))
    return found


def count_openings(policy: BandwidthPolicy, from_s: float, until_s: float, *, at_most: int) -> int:
    """How often its windows open in this time; counted no further than one more than `at_most`."""
    count = 0
    for window in policy.schedule:
        count += _count(window.when, from_s, until_s, at_most - count)
        if count > at_most:
            break
    return count


# -- what may be asked for


def why_invalid(cron: str) -> str | None:
    """None, or what is wrong with a cron expression."""
    if len(cron) > _MAX_LENGTH or len(cron.split()) != _FIELDS:
        return "is not five fields (minute, hour, day of the month, month, day of the week)"
    try:
        next(CronSim(cron, datetime(2000, 1, 1)))
    except CronSimError as error:
        return f"cannot be a time: {str(error).lower()}"  # bad hour, say
    except StopIteration:
        return "never comes: there is no such day"
    return None


def is_time_zone(name: str) -> bool:
    """Whether this is the IANA name of a time zone that this machine knows."""
    if name in _NO_ZONES or name.startswith(_NO_AREAS):
        return False
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # not there; not a name; a directory, or what is too long
        return False
    return True


# -- one window


def _is_open(when: Recurring | Interval, t_s: float) -> bool:
    if isinstance(when, Interval):
        return when.start_s <= t_s < when.end_s
    opened_s = next(_openings(when, t_s - when.duration_s), None)
    return opened_s is not None and opened_s <= t_s


def _next_moment(when: Recurring | Interval, t_s: float) -> float | None:
    """When it opens or closes next, or, though open, opens anew: never later than it is no longer as it is."""
    if isinstance(when, Interval):
        return next((moment for moment in (when.start_s, when.end_s) if moment > t_s), None)
    opened_s = next(_openings(when, t_s - when.duration_s), None)
    if opened_s is None:
        return None
    return opened_s if opened_s > t_s else opened_s + when.duration_s


@lru_cache(maxsize=1_024)
def _count(when: Recurring | Interval, from_s: float, until_s: float, at_most: int) -> int:
    if isinstance(when, Interval):
        return 1
    within = takewhile(lambda opened_s: opened_s < until_s, _openings(when, from_s))
    return sum(1 for _ in islice(within, at_most + 1))


@lru_cache(maxsize=1_024)
def _spans_of(when: Recurring | Interval, from_s: float, until_s: float) -> tuple[tuple[float, float], ...]:
    return tuple(_spans(when, from_s, until_s))


def _spans(when: Recurring | Interval, from_s: float, until_s: float) -> Iterator[tuple[float, float]]:
    """When it is open, from opening to closing, as far as that touches the given time.  Ascending, apart."""
    if isinstance(when, Interval):
        yield when.start_s, when.end_s
        return
    start_s: float | None = None
    end_s = from_s
    for opened_s in _openings(when, from_s - when.duration_s):
        if opened_s >= until_s:
            break
        if start_s is not None and opened_s > end_s:
            yield start_s, end_s
            start_s = None
        start_s = opened_s if start_s is None else start_s
        end_s = opened_s + when.duration_s
    if start_s is not None:
        yield start_s, end_s


# -- from what clocks show to moments


def _openings(when: Recurring, after_s: float) -> Iterator[int]:
    """When it opens, after this moment.  Ascending, each once.

    CronSim knows the calendar; between two changes of the clocks, moments are what they show less a constant.
    """
    zone, at_s, first = ZoneInfo(when.time_zone), floor(after_s), 1
    minutes, hours = when.cron.split()[:2]
    names_times = not minutes.startswith("*") and not hours.startswith("*")
    while True:
        offset_s = _offset_s(zone, at_s)
        changes_s: int | None = None
        # It begins a second after what it is given.
        for shown in CronSim(when.cron, _1970 + timedelta(seconds=at_s + offset_s + first - 1)):
            moment = _seconds(shown) - offset_s
            # What was shown shortly before the clocks are set back is shown again, be the next match a year away.
            if any(_offset_s(zone, t_s) != offset_s for t_s in (moment, min(moment, at_s + _DAY_S))):
                changes_s = _next_change_of_clocks(zone, at_s, moment)
                break
            if not names_times or not _is_shown_again(zone, moment):
                yield moment
            at_s = moment
        if changes_s is None:
            return
        is_skipped = _seconds(shown) < changes_s + _offset_s(zone, changes_s)
        if names_times and is_skipped:
            yield changes_s
        at_s, first = changes_s, 1 if names_times and is_skipped else 0


def _next_change_of_clocks(zone: ZoneInfo, after_s: int, until_s: int) -> int:
    """The first moment after `after_s` from which on the offset is another; there is one up to `until_s`."""
    offset_s = _offset_s(zone, after_s)
    while _offset_s(zone, min(after_s + _DAY_S, until_s)) == offset_s:
        after_s += _DAY_S
    until_s = min(after_s + _DAY_S, until_s)
    while until_s - after_s > 1:
        middle_s = (after_s + until_s) // 2
        if _offset_s(zone, middle_s) == offset_s:
            after_s = middle_s
        else:
            until_s = middle_s
    return until_s


def _offset_s(zone: ZoneInfo, t_s: int) -> int:
    """How far the clocks are ahead of UTC."""
    return _seconds(datetime.fromtimestamp(t_s, zone).replace(tzinfo=None)) - t_s


def _is_shown_again(zone: ZoneInfo, t_s: int) -> bool:
    """Whether the clocks show this for the second time."""
    return datetime.fromtimestamp(t_s, zone).fold == 1


def _seconds(shown: datetime) -> int:
    return round((shown - _1970).total_seconds())
