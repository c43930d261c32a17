"""Schedules against a clock that is read minute by minute, over every way in which clocks on the wall are set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from controller.model.bandwidth import BandwidthPolicy, Interval, Rates, Recurring, Window
from controller.qos.schedule import (
    breakpoints,
    is_time_zone,
    next_change_s,
    open_window,
    rates_at,
    why_invalid,
)

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
AROUND = (
    ("UTC", datetime(2026, 3, 29, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),  # at midnight, forward
    ("America/Sao_Paulo", datetime(2018, 2, 18, 2, tzinfo=UTC)),  # at midnight, back
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),  # by half an hour, back
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),  # a day was left out
    ("Asia/Kolkata", datetime(2026, 5, 1, tzinfo=UTC)),
)
"""A time zone, and a moment at which its clocks are set (or not)."""
Field = set[int] | None
"""The numbers that match; None: "*"."""


def seconds(moment: datetime) -> int:
    return round(moment.timestamp())


def text(field: Field) -> str:
    return "*" if field is None else ",".join(map(str, sorted(field)))


class Clock:
    """The oracle: every minute around a moment, what the clocks show then, and whether a window opens.

    A time that is skipped is shown, as it were, at the moment at which the clocks are set.
    """

    def __init__(self, zone: str, around: datetime, *, days: int = 2) -> None:
        self.zone = ZoneInfo(zone)
        self.first_s, self.last_s = seconds(around) - days * DAY_S, seconds(around) + days * DAY_S

    def openings(self, minute: Field, hour: Field, weekday: Field) -> list[int]:
        def matches(shown: datetime) -> bool:
            parts = (minute, shown.minute), (hour, shown.hour), (weekday, shown.isoweekday() % 7)
            return all(field is None or part in field for field, part in parts)

        names_times = minute is not None and hour is not None
        found, before = [], None
        for t_s in range(self.first_s, self.last_s, MINUTE_S):
            shown = datetime.fromtimestamp(t_s, self.zone)
            now = shown.replace(tzinfo=None, fold=0)
            opens = matches(now) and not (names_times and shown.fold)
            if before is not None and names_times:
                skipped = before + timedelta(minutes=1)
                while skipped < now:
                    opens |= matches(skipped)
                    skipped += timedelta(minutes=1)
            if opens:
                found.append(t_s)
            before = now
        return found


fields = st.one_of(st.none(), st.sets(st.integers(0, 59), min_size=1, max_size=4))
hours = st.one_of(st.none(), st.sets(st.integers(0, 5), min_size=1, max_size=3), st.just({23}))
weekdays = st.one_of(st.none(), st.none(), st.just({0, 6}))
durations = st.sampled_from((60, 300, 1_800, 3_600, 5_000, 26 * HOUR_S))
OWN, INSIDE = Rates(ceiling_out_kbps=1_000), Rates(ceiling_out_kbps=5_000, guarantee_out_kbps=100)


def policy(*windows: Window) -> BandwidthPolicy:
    return BandwidthPolicy(ceiling_out_kbps=1_000, schedule=windows)


def recurring(cron: str, duration_s: int, zone: str = "UTC", rates: Rates = INSIDE) -> Window:
    return Window(when=Recurring(cron=cron, duration_s=duration_s, time_zone=zone), rates=rates)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(AROUND), fields, hours, weekdays, durations)
def test_schedule_is_what_a_clock_shows_minute_by_minute(
    around: tuple[str, datetime], minute: Field, hour: Field, weekday: Field, duration_s: int,
) -> None:
    """Rates, the next moment of change and all breakpoints agree with a clock read every minute for two days."""
    zone, moment = around
    openings = Clock(zone, moment, days=4).openings(minute, hour, weekday)
    scheduled = policy(recurring(f"{text(minute)} {text(hour)} * * {text(weekday)}", duration_s, zone))
    first_s, last_s = seconds(moment) - DAY_S, seconds(moment) + DAY_S
    is_open, latest, i = [], -1, 0
    for t_s in range(first_s, last_s, MINUTE_S):
        while i < len(openings) and openings[i] <= t_s:
            latest, i = openings[i], i + 1
        is_open.append(t_s < latest + duration_s)
    for index in range(0, len(is_open), 7):
        t_s = first_s + index * MINUTE_S
        assert rates_at(scheduled, t_s) == (INSIDE if is_open[index] else OWN), datetime.fromtimestamp(t_s, UTC)
    for index in range(0, len(is_open), 97):
        t_s = first_s + index * MINUTE_S
        change_s = next_change_s(scheduled, t_s)
        until = len(is_open) if change_s is None else min(len(is_open), -int((first_s - change_s) // MINUTE_S))
        assert change_s is None or change_s > t_s
        assert len(set(is_open[index:until])) == 1, "the rates stay as they are up to the next change"
    found = breakpoints(scheduled, first_s, last_s)
    assert [rates for t_s in range(first_s, last_s, 31 * MINUTE_S) for rates in [_last(found, t_s)]] == [
        INSIDE if is_open[(t_s - first_s) // MINUTE_S] else OWN for t_s in range(first_s, last_s, 31 * MINUTE_S)]
    assert all(one[0] < other[0] and one[1] != other[1] for one, other in pairwise(found))


def _last(found: list[tuple[float, Rates]], t_s: float) -> Rates:
    return [rates for at_s, rates in found if at_s <= t_s][-1]


BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(("cron", "opens", "why"), [
    ("30 2 29 3 *", "2026-03-29T01:00", "02:30 is skipped, and it opens at 03:00, when the clocks are set"),
    ("0 3 29 3 *", "2026-03-29T01:00", "03:00 itself is the same moment"),
    ("30 2 25 10 *", "2026-10-25T00:30", "02:30 comes twice, and it opens the first time"),
    ("30 3 25 10 *", "2026-10-25T02:30", "winter time"),
])
def test_window_that_starts_when_the_clocks_are_set(cron: str, opens: str, why: str) -> None:
    """In the hour that is skipped, and in the hour that comes twice.  It lasts an hour by a stopwatch."""
    opens_s = seconds(datetime.fromisoformat(opens).replace(tzinfo=UTC))
    scheduled = policy(recurring(cron, HOUR_S, BERLIN))
    assert breakpoints(scheduled, opens_s - DAY_S, opens_s + DAY_S) == [
        (opens_s - DAY_S, OWN), (opens_s, INSIDE), (opens_s + HOUR_S, OWN)], why


def test_window_that_names_no_hour_opens_in_both_hours_that_look_the_same() -> None:
    """Every half hour for ten minutes, once a year: twenty-five hours of that day have it, though one looks twice."""
    day_s = seconds(datetime(2026, 10, 24, 22, tzinfo=UTC))
    scheduled = policy(recurring("*/30 * 25 10 *", 600, BERLIN))
    found = breakpoints(scheduled, day_s, day_s + 2 * DAY_S)
    assert sum(rates == INSIDE for _, rates in found) == 50


def test_first_open_window_of_the_list_counts() -> None:
    """Not the narrower, nor the one that opened last."""
    nightly, once = Rates(ceiling_out_kbps=2_000), Rates(ceiling_out_kbps=3_000)
    scheduled = policy(
        Window(when=Interval(start_s=10 * HOUR_S, end_s=11 * HOUR_S), rates=once),
        recurring("0 9 * * *", 3 * HOUR_S, rates=nightly),
    )
    hours_of_day = {hour: rates_at(scheduled, hour * HOUR_S).ceiling_out_kbps for hour in (8, 9, 10, 11, 12)}
    assert hours_of_day == {8: 1_000, 9: 2_000, 10: 3_000, 11: 2_000, 12: 1_000}
    assert [t_s / HOUR_S for t_s, _ in breakpoints(scheduled, 0, DAY_S)] == [0, 9, 10, 11, 12]
    assert open_window(scheduled, 10.5 * HOUR_S) == scheduled.schedule[0]
    assert open_window(scheduled, 8 * HOUR_S) is None


def test_window_that_opens_anew_while_it_is_open_stays_open() -> None:
    """An hour every half hour has no end; the next moment to look at it comes all the same, in time."""
    scheduled = policy(recurring("*/30 * * * *", HOUR_S))
    assert breakpoints(scheduled, DAY_S, 3 * DAY_S) == [(DAY_S, INSIDE)]
    change_s = next_change_s(scheduled, DAY_S + 1)
    assert change_s is not None and DAY_S < change_s <= DAY_S + HOUR_S


def test_interval_that_is_over_never_changes_anything_again() -> None:
    """None is the answer, not a moment of the past."""
    scheduled = policy(Window(when=Interval(start_s=10.5, end_s=20.25), rates=INSIDE))
    assert [next_change_s(scheduled, t_s) for t_s in (0, 10.5, 20.25)] == [10.5, 20.25, None]
    assert [rates_at(scheduled, t_s) for t_s in (10.4, 10.5, 20.24, 20.25)] == [OWN, INSIDE, INSIDE, OWN]


def test_policy_without_schedule_is_itself_for_ever() -> None:
    """No window, no change."""
    assert next_change_s(policy(), 0.0) is None
    assert breakpoints(policy(), 5.0, 10.0) == [(5.0, OWN)]


@pytest.mark.parametrize(("cron", "says"), [
    ("0 8 * * 1-5", None), ("*/5 * * * MON", None), ("0 0 L * *", None),
    ("0 25 * * *", "bad hour"), ("0 8 * *", "five fields"), ("0 0 8 * * 1", "five fields"), ("", "five fields"),
    ("0 0 30 2 *", "bad day-of-month"), ("0 0 1 1 8", "bad day-of-week"), ("a * * * *", "bad minute"),
    ("9" * 5_000 + " * * * *", "five fields"), ("*/0 * * * *", "bad minute"),
])
def test_cron_expression_is_valid_or_says_why_not(cron: str, says: str | None) -> None:
    """In words that complete "the expression ..."."""
    why = why_invalid(cron)
    assert why is None if says is None else why is not None and says in why


def test_expression_that_no_day_matches_is_found() -> None:
    """The first of February is never its fifth Monday; 29 February comes, and so does the fifth Monday of one."""
    assert why_invalid("0 0 */31 2 1#5") == "never comes: there is no such day"
    assert why_invalid("0 0 29 2 *") is why_invalid("0 0 * 2 MON#5") is None
    scheduled = policy(recurring("0 0 */31 2 1#5", HOUR_S))
    assert rates_at(scheduled, DAY_S) == OWN and next_change_s(scheduled, DAY_S) is None


@pytest.mark.parametrize("name", [
    "Europe", "", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "a" * 5_000, "\0", "localtime", "posixrules",
    "Factory", "posix/Europe/Rome", "right/Europe/Rome"])
def test_what_is_no_time_zone_is_told_apart(name: str) -> None:
    """Whatever the name may lead to."""
    assert not is_time_zone(name)
    assert is_time_zone("UTC") and is_time_zone("Europe/Berlin") and is_time_zone("America/Argentina/Ushuaia")
