"""What every allotment keeps to, I1 to I10, over problems of every scale; and what few numbers show best."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from math import inf
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.bandwidth import TrafficClass
from controller.qos.allocation import Allotment
from tests.unit.qos.problems import (
    Problem,
    allot,
    exact_bases,
    exact_rates,
    feasible_problems,
    is_close,
    problems,
    rates,
    slack,
)

_many = settings(deadline=None, max_examples=100)


@_many
@given(problem=problems())
def test_allocation_i1_loads_no_resource_above_its_capacity(problem: Problem) -> None:
    """I1: whatever is asked, and whether guarantees fit or not, each resource carries at most its capacity."""
    for resource, load in problem.load(rates(problem)).items():
        assert load <= Fraction(problem.capacity[resource]) * (1 + Fraction(1, 10**12))


@_many
@given(problem=problems())
def test_allocation_i2_gives_nobody_more_than_it_asks_for_or_its_ceiling(problem: Problem) -> None:
    """I2: not even by the last bit of rounding."""
    given_rates = rates(problem)
    assert all(given_rates[key] <= each.bound_kbps for key, each in problem.aggregates.items())


@_many
@given(problem=feasible_problems())
def test_allocation_i3_gives_each_its_guarantee_when_guarantees_fit(problem: Problem) -> None:
    """I3: who asks for it has at least its guarantee, who asks for less has that; also where they fit exactly."""
    given_rates = rates(problem)
    for key, need in problem.needs.items():
        assert given_rates[key] >= need or is_close(problem, given_rates[key], need)


@_many
@given(problem=feasible_problems())
def test_allocation_i4_names_the_bottleneck_of_whoever_is_below_its_bound(problem: Problem) -> None:
    """I4: it is full, nobody of the same class has a higher level there, and no class behind has any of the spare."""
    _assert_certified(problem, allot(problem))


@_many
@given(problem=problems())
def test_allocation_i5_equals_one_event_at_a_time(problem: Problem) -> None:
    """I5: the answer is that of the slow reference in exact fractions."""
    given_rates = rates(problem)
    for key, exact in exact_rates(problem).items():
        assert is_close(problem, given_rates[key], exact), key


@_many
@given(problem=problems(), scale=st.sampled_from([1e-3, 0.3, 7.0, 1e3]))
def test_allocation_i6_is_free_of_scale(problem: Problem, scale: float) -> None:
    """I6: everything in another unit gives the same in that unit."""
    larger = Problem(
        aggregates={
            key: replace(
                each, guarantee_kbps=each.guarantee_kbps * scale, demand_kbps=each.demand_kbps * scale,
                ceiling_kbps=each.ceiling_kbps * scale,
            )
            for key, each in problem.aggregates.items()
        },
        capacity={resource: kbps * scale for resource, kbps in problem.capacity.items()},
    )
    small, large = rates(problem), rates(larger)
    assert all(is_close(larger, large[key], small[key] * scale) for key in small)


@_many
@given(problem=problems(), seed=st.integers())
def test_allocation_i7_is_free_of_order(problem: Problem, seed: int) -> None:
    """I7: in whatever order aggregates and resources come, everyone gets the same."""
    chance = random.Random(seed)

    def shuffled(items: Any) -> dict[Any, Any]:
        return dict(chance.sample(list(items), len(items)))

    other = Problem(
        aggregates={
            key: replace(each, resources=shuffled(each.resources.items()))
            for key, each in shuffled(problem.aggregates.items()).items()
        },
        capacity=shuffled(problem.capacity.items()),
    )
    one, two = rates(problem), rates(other)
    assert all(is_close(problem, one[key], two[key]) for key in one)


@_many
@given(problem=problems())
def test_allocation_i8_asking_for_what_one_got_changes_nothing(problem: Problem) -> None:
    """I8: idempotent."""
    before = rates(problem)
    content = {key: replace(each, demand_kbps=before[key]) for key, each in problem.aggregates.items()}
    after = rates(replace(problem, aggregates=content))
    assert all(is_close(problem, after[key], before[key]) for key in before)


@_many
@given(problem=problems(), more=st.one_of(st.just(inf), st.floats(min_value=0.1, max_value=1e8)), data=st.data())
def test_allocation_i9_asking_for_more_never_yields_less(problem: Problem, more: float, data: st.DataObject) -> None:
    """I9: nobody gains by asking for less than it wants."""
    key = data.draw(st.sampled_from(sorted(problem.aggregates)))
    asks = problem.aggregates[key]
    greedy = replace(problem, aggregates={
        **problem.aggregates, key: replace(asks, demand_kbps=asks.demand_kbps + more)
    })
    before, after = rates(problem)[key], rates(greedy)[key]
    assert after >= before or is_close(problem, after, before)


@_many
@given(problem=problems())
def test_allocation_i10_keeps_to_the_rest_when_guarantees_do_not_fit(problem: Problem) -> None:
    """I10: I4 holds, too, on top of what each gets of its guarantee; I1 and I2 never ask whether guarantees fit."""
    _assert_certified(problem, allot(problem))


def _assert_certified(problem: Problem, allotments: dict[str, Allotment]) -> None:
    base, spare = exact_bases(problem), Fraction(slack(problem))
    load = problem.load({key: allotment.rate_kbps for key, allotment in allotments.items()})
    order = list(TrafficClass).index
    for key, each in problem.aggregates.items():
        got = allotments[key]
        if got.bottleneck is None:
            assert got.rate_kbps == each.bound_kbps
            continue
        assert is_close(problem, float(load[got.bottleneck]), problem.capacity[got.bottleneck]), "it is not full"
        level = max(Fraction(), Fraction(got.rate_kbps) - base[key] + spare) / Fraction(each.weight)
        for rival, other in problem.aggregates.items():
            if other.resources.get(got.bottleneck) and order(other.traffic_class) >= order(each.traffic_class):
                allowed = level * Fraction(other.weight) if other.traffic_class is each.traffic_class else 0
                assert allotments[rival].rate_kbps <= (base[rival] + allowed) * (1 + Fraction(1, 10**9)) + spare, rival
