"""A pool gives each number to one holder, lets it rest after use, and gives it again as late as possible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.intent.pools import Exhausted, Pool


def test_pool_gives_ascending_numbers_first() -> None:
    """A fresh pool gives first, first + 1, ..."""
    pool, values = Pool(first=5, last=9), []
    for _ in range(3):
        pool, value = pool.allocate(floor=0)
        values.append(value)
    assert values == [5, 6, 7]
    assert pool.in_use == 3


def test_pool_reuses_a_number_as_late_as_possible() -> None:
    """A number that is free again waits until the search has come round to it."""
    pool, first = Pool(first=0, last=3).allocate(floor=0)
    pool = pool.free(first, generation=1)
    values = []
    for _ in range(4):
        pool, value = pool.allocate(floor=1)
        values.append(value)
    assert values == [1, 2, 3, 0]


def test_pool_lets_a_number_rest_until_the_floor_reached_its_generation() -> None:
    """Freed at generation 7: not given at floor 6, given at floor 7."""
    pool, value = Pool(first=1, last=1).allocate(floor=0)
    pool = pool.free(value, generation=7)
    with pytest.raises(Exhausted) as exhausted:
        pool.allocate(floor=6)
    assert (exhausted.value.in_use, exhausted.value.resting) == (0, 1)
    assert pool.allocate(floor=7)[1] == 1


def test_pool_lets_go_of_a_bounded_number_per_edit() -> None:
    """After a mass delete no single allocation pays for all of it, and the quarantine still drains."""
    pool = Pool(first=0, last=999)
    for _ in range(500):
        pool, _ = pool.allocate(floor=0)
    for value in range(500):
        pool = pool.free(value, generation=1)
    left = []
    for _ in range(200):
        pool, _ = pool.allocate(floor=1)
        left.append(len(pool.resting))
    assert left[0] == 496
    assert left[-1] == 0


def test_pool_refuses_to_free_what_it_did_not_give() -> None:
    """Freeing an unknown number is a defect of the caller."""
    with pytest.raises(KeyError):
        Pool(first=0, last=9).free(3, generation=1)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=80))
def test_pool_never_gives_a_number_that_is_held_or_resting(steps: list[tuple[bool, int]]) -> None:
    """Whatever the order of giving and freeing: no number twice or before its time, exhausted only if true."""
    pool = Pool(first=3, last=8)
    held: list[int] = []
    freed: dict[int, int] = {}
    generation = floor = 0
    for take, choice in steps:
        generation += 1
        floor = max(floor, generation - choice)
        if take:
            try:
                pool, value = pool.allocate(floor)
            except Exhausted:
                assert len(held) + sum(g > floor for g in freed.values()) == 6
                continue
            assert value not in held
            assert freed.pop(value, 0) <= floor
            held.append(value)
        elif held:
            value = held.pop(choice % len(held))
            pool = pool.free(value, generation)
            freed[value] = generation
        assert pool.in_use == len(held)
