"""What somebody seems to want: more is believed at once, less bit by bit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.qos.demand import FALL, estimate, is_hungry

CEILING = 30_000.0


@pytest.mark.parametrize(("rate", "dropped", "expected"), [
    (5_000, 0, 6_000), (9_500, 0, CEILING), (3_000, 1, CEILING), (500, 0, 0.7 * 5_000), (0, 0, 0.3 * 5_000),
    (3_800, 0, 0.98 * 5_000),
], ids=["headroom", "nearly all of it", "drops", "falls by steps", "silent", "noise"])  # fmt: skip
def test_estimate(rate: float, dropped: float, expected: float) -> None:
    """Of one that may use 10 Mbit/s and was taken to want 5."""
    assert estimate(5_000, rate, dropped, 10_000, CEILING) == expected


def test_nobody_is_taken_to_want_nothing() -> None:
    """So that it can begin: 1 Mbit/s, or a small part of a ceiling that is small."""
    assert estimate(0, 0, 0, 10_000, 100_000) == 1_000
    assert estimate(0, 0, 0, 100, 300) == 6


def test_the_hungry_are_taken_at_what_they_had_when_they_are_not_any_more() -> None:
    """All that is known is that it used less than its share."""
    assert estimate(CEILING, 8_000, 0, 10_000, CEILING) == 9_800
    assert estimate(CEILING, 1_000, 0, 10_000, CEILING) == FALL * 10_000


@given(*[st.floats(0, 1e6)] * 3, st.floats(1, 1e6), st.floats(1, 1e6))
def test_estimate_is_within_bounds(before: float, rate: float, dropped: float, cap: float, ceiling: float) -> None:
    """Never above the ceiling, and at least what was seen to pass."""
    wanted = estimate(before, rate, dropped, cap, ceiling)
    assert 0 < wanted <= ceiling
    assert wanted >= min(rate, ceiling)
    assert not is_hungry(rate, dropped, cap) or wanted == ceiling
