"""Counters that wrap, start over, are read twice or not at all: sums never go back, and never exceed what was carried.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.qos.counters import NO_GROWTH, NOT_COUNTED, NS_PER_S, WRAP, Growth, Reading, growth

BEFORE = Reading(1_000, 10, 5 * NS_PER_S)


@pytest.mark.parametrize(("now", "expected"), [
    (Reading(1_500, 13, 7 * NS_PER_S), Growth(500, 3, 2 * NS_PER_S)),
    (BEFORE, NO_GROWTH),
    (Reading(1_500, 13, 5 * NS_PER_S), Growth(500, 3, 0)),
    (Reading(300, 2, 7 * NS_PER_S), Growth(300, 2, 0)),
    (Reading(300, 2, 1 * NS_PER_S), Growth(300, 2, 1 * NS_PER_S)),
    (Reading(1_200, 2, 7 * NS_PER_S), Growth(1_200, 2, 0)),
    (Reading(NOT_COUNTED, 12, 7 * NS_PER_S), Growth(0, 12, 0)),
], ids=["on", "twice", "no time", "zeroed", "made anew", "zeroed and busy", "not counted any more"])  # fmt: skip
def test_growth_of_a_counter(now: Reading, expected: Growth) -> None:
    """What is new since the last look, and in what time if the switch's clock tells."""
    assert growth(BEFORE, now) == expected


@pytest.mark.parametrize(("now", "expected"), [
    (Reading(1_500, 13, NS_PER_S), Growth(500, 3, 0)),
    (BEFORE._replace(duration_ns=0), NO_GROWTH),
    (Reading(300, 2, NS_PER_S), Growth(300, 2, NS_PER_S)),
    (Reading(1_500, 13, 7 * NS_PER_S), Growth(500, 3, 2 * NS_PER_S)),
], ids=["goes on", "idle", "zeroed", "no restart"])  # fmt: skip
def test_counter_that_outlives_its_clock_is_not_counted_twice(now: Reading, expected: Growth) -> None:
    """The switch started again, and its port's device went on counting; unless that was made anew as well."""
    assert growth(BEFORE, now, outlives_its_clock=True) == expected


def test_counter_that_wraps_goes_on() -> None:
    """At 64 bits; 100 bytes below the end and 400 after it."""
    grown = growth(Reading(WRAP - 100, 10, NS_PER_S), Reading(400, 15, 2 * NS_PER_S))
    assert grown == Growth(500, 5, NS_PER_S)
    assert grown.kbps == 4


def test_rate_without_time_is_none() -> None:
    """Nobody knows when the counting began anew."""
    assert Growth(500, 5, 0).kbps == 0


@dataclass
class Real:
    """A counter of a switch, and what was really carried past it."""

    octets: int = 0
    packets: int = 0
    now_ns: int = 0
    born_ns: int = 0
    carried: int = 0

    def look(self) -> Reading:
        return Reading(self.octets, self.packets, self.now_ns - self.born_ns)


EVENTS = st.lists(st.one_of(
    st.tuples(st.just("carry"), st.integers(0, 10**9)), st.tuples(st.just("look"), st.booleans()),
    st.tuples(st.sampled_from(["zero", "anew", "clock"]), st.none())), max_size=60)  # fmt: skip


@given(EVENTS, st.booleans())
def test_sum_of_growth_is_bounded_by_the_truth(events: list[tuple[str, int]], outlives: bool) -> None:
    """Whatever happens between looks, lost or repeated: never back, never too much; exact if no reset hid traffic."""
    real, last, total, hidden, unseen = Real(), Reading(0, 0, 0), 0, 0, 0
    for what, value in events:
        real.now_ns += NS_PER_S // 10
        if what == "carry":
            real.octets, real.packets = real.octets + value, real.packets + 1 + value // 1_000
            real.carried += value
            unseen += value
        elif what == "look":
            for _ in range(1 + bool(value)):
                grown = growth(last, real.look(), outlives_its_clock=outlives)
                assert grown.bytes >= 0 and grown.packets >= 0
                total, last, unseen = total + grown.bytes, real.look(), 0
        elif what == "clock":
            real.born_ns = real.now_ns if outlives else real.born_ns
        else:
            hidden += unseen + real.octets  # a reset that the counter has grown past looks like no reset at all
            real.octets = real.packets = 0
            if what == "anew":
                real.born_ns = real.now_ns
        assert total <= real.carried
    if not hidden:
        grown = growth(last, real.look(), outlives_its_clock=outlives)
        assert total + grown.bytes == real.carried
