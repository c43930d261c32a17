"""Which rates are in force together at any time to come, and when that is too much to work out."""

from __future__ import annotations

import pytest

from controller.model.bandwidth import BandwidthPolicy, Interval, Rates, Recurring, Window
from controller.qos.schedule import count_openings
from controller.reconcile.horizon import HORIZON_S, states

NOW_S = 1_800_000_000.0 - 60.0


def policy(*crons: str, high_kbps: int = 2_000) -> BandwidthPolicy:
    """1,000 kbit/s, and in each window more."""
    return BandwidthPolicy(guarantee_out_kbps=1_000, schedule=tuple(
        Window(when=Recurring(cron=cron, duration_s=600), rates=Rates(guarantee_out_kbps=high_kbps + i))
        for i, cron in enumerate(crons)))


def test_states_are_the_combinations_that_come() -> None:
    """Never both high, for they are at different hours."""
    day, night = policy("0 12 * * *"), policy("0 0 * * *", high_kbps=3_000)
    found = states([day, night], NOW_S)
    assert found is not None
    assert sorted((state[day].guarantee_out_kbps, state[night].guarantee_out_kbps) for state in found) == [
        (1_000, 1_000), (1_000, 3_000), (2_000, 1_000)]


@pytest.mark.parametrize("crons", [("* * * * *",), ("* * * * *",) * 100, ("0 * * * *",) * 20])
def test_windows_that_open_all_the_time_are_not_followed(crons: tuple[str, ...]) -> None:
    """One tenant must not hold up all others: that there are too many openings is found without going through them."""
    assert states([policy("0 8 * * 1-5"), policy(*crons)], NOW_S) is None


def test_openings_are_counted_as_far_as_it_matters() -> None:
    """Each window's; an interval opens once."""
    twice = policy("0 8 * * *", "0 9 * * *")
    assert count_openings(twice, NOW_S, NOW_S + HORIZON_S, at_most=100) == 70
    assert 10 < count_openings(twice, NOW_S, NOW_S + HORIZON_S, at_most=10) < 35
    once = Window(when=Interval(start_s=NOW_S, end_s=NOW_S + 5), rates=Rates())
    assert count_openings(BandwidthPolicy(schedule=(once,)), NOW_S, NOW_S + HORIZON_S, at_most=10) == 1
