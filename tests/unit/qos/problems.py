"""What the allocator is held against: small problems of every scale, and their answer in exact fractions.

The reference raises one level from event to event, in rational numbers, one event at a time: slow, and with no rounding
to argue about.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, isclose, nextafter

from hypothesis import strategies as st

from controller.model.bandwidth import TrafficClass
from controller.qos.allocation import Aggregate, Allocator, Allotment

RESOURCES = ("north", "south", "tenant", "port", "spur")
Exact = dict[str, Fraction | float]
"""key -> kbit/s; a float only for inf"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Aggregates, and what the resources can carry; one that is not named can carry any amount."""

    aggregates: Mapping[str, Aggregate]
    capacity: Mapping[Hashable, float]

    def load(self, rate: Mapping[str, Fraction | float]) -> dict[Hashable, Fraction]:
        """What each limited resource carries, exactly."""
        return {
            resource: sum((Fraction(each.resources.get(resource, 0)) * Fraction(rate[key])
                           for key, each in self.aggregates.items() if each.resources.get(resource)), Fraction())
            for resource in self.capacity
        }

    @property
    def needs(self) -> Exact:
        return {key: min(each.guarantee_kbps, each.bound_kbps) for key, each in self.aggregates.items()}

    @property
    def is_feasible(self) -> bool:
        """Whether all guarantees fit."""
        return all(load <= self.capacity[resource] for resource, load in self.load(self.needs).items())


def allot(problem: Problem) -> dict[str, Allotment]:
    """From scratch."""
    allocator: Allocator[str] = Allocator()
    for resource, kbps in problem.capacity.items():
        allocator.set_capacity(resource, kbps)
    for key, aggregate in problem.aggregates.items():
        allocator.put(key, aggregate)
    return allocator.solve()


def rates(problem: Problem) -> dict[str, float]:
    return {key: allotment.rate_kbps for key, allotment in allot(problem).items()}


def slack(problem: Problem) -> float:
    """What rounding may add or take, kbit/s: sums near the widest capacity carry it into all that share with them."""
    return 1e-11 * max(problem.capacity.values(), default=0.0)


def is_close(problem: Problem, a: float | Fraction, b: float | Fraction) -> bool:
    """The same but for rounding."""
    return isclose(a, b, rel_tol=1e-9, abs_tol=slack(problem))


# -- the exact answer


def exact_bases(problem: Problem) -> Exact:
    """What everyone gets of its guarantee."""
    needs = problem.needs
    if problem.is_feasible:
        return {key: Fraction(need) for key, need in needs.items()}
    base: Exact = dict.fromkeys(problem.aggregates, Fraction())
    for traffic_class in TrafficClass:
        members = {k for k, each in problem.aggregates.items() if each.traffic_class is traffic_class and needs[k]}
        _raise(problem, base, members, {key: Fraction(needs[key]) for key in members}, needs)
    return base


def exact_rates(problem: Problem) -> Exact:
    """What everyone gets."""
    rate = exact_bases(problem)
    bound = {key: each.bound_kbps for key, each in problem.aggregates.items()}
    for traffic_class in TrafficClass:
        members = {key for key, each in problem.aggregates.items() if each.traffic_class is traffic_class}
        _raise(problem, rate, members, {key: Fraction(problem.aggregates[key].weight) for key in members}, bound)
    return rate


def _raise(
    problem: Problem, rate: Exact, members: set[str], weight: Mapping[str, Fraction], bound: Mapping[str, float]
) -> None:
    """Raise the members' rates by their weights, each to its bound or until a resource of its own is full."""
    active = {key for key in members if rate[key] < bound[key]}
    limited = {
        key: {resource for resource, fraction in each.resources.items() if fraction and resource in problem.capacity}
        for key, each in problem.aggregates.items()
    }
    for key in [key for key in active if bound[key] == inf and not limited[key]]:
        rate[key] = inf
        active.discard(key)
    while active:
        slope = problem.load({key: weight[key] if key in active else Fraction() for key in problem.aggregates})
        left = {r: Fraction(problem.capacity[r]) - load for r, load in _finite_load(problem, rate).items()}
        events = [left[resource] / by for resource, by in slope.items() if by]
        events += [(Fraction(bound[key]) - rate[key]) / weight[key] for key in active if bound[key] < inf]
        for key in active:
            rate[key] += min(events) * weight[key]
        left = {r: Fraction(problem.capacity[r]) - load for r, load in _finite_load(problem, rate).items()}
        full = {resource for resource, by in slope.items() if by and left[resource] == 0}
        active = {key for key in active if rate[key] < bound[key] and not full & limited[key]}


def _finite_load(problem: Problem, rate: Exact) -> dict[Hashable, Fraction]:
    return problem.load({key: Fraction() if each == inf else each for key, each in rate.items()})


# -- strategies

_SMALL = st.integers(0, 20).map(float)
RATES = st.one_of(
    _SMALL, _SMALL, _SMALL, _SMALL,  # near each other, so that one changes what another gets
    st.sampled_from([64.0, 1_000.0, 1_000_000.0, 400_000_000.0]), st.floats(min_value=0.5, max_value=4e8),
)
_LIMITS = st.one_of(st.just(inf), RATES)
_WEIGHTS = st.one_of(st.sampled_from([1.0, 1.0, 2.0, 1_000_000_000.0]), st.floats(min_value=0.1, max_value=1e6))
_FRACTIONS = st.sampled_from([1.0, 1.0, 0.5, 0.25, 1 / 3, 0.0])
_CLASSES = st.sampled_from([TrafficClass.STANDARD, TrafficClass.STANDARD, *TrafficClass])


@st.composite
def aggregates(draw: st.DrawFn) -> Aggregate:
    """One aggregate on any of the resources, or on none."""
    return Aggregate(
        guarantee_kbps=draw(RATES), demand_kbps=draw(_LIMITS), ceiling_kbps=draw(_LIMITS), weight=draw(_WEIGHTS),
        traffic_class=draw(_CLASSES),
        resources=draw(st.dictionaries(st.sampled_from(RESOURCES), _FRACTIONS, max_size=3)),
    )


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Any problem; its guarantees may fit or not."""
    found = draw(st.lists(aggregates(), min_size=1, max_size=8))
    capacity = {resource: draw(st.one_of(RATES, RATES, RATES, st.none())) for resource in RESOURCES}
    return Problem(
        aggregates={f"a{number}": each for number, each in enumerate(found)},
        capacity={resource: kbps for resource, kbps in capacity.items() if kbps is not None},
    )


@st.composite
def feasible_problems(draw: st.DrawFn) -> Problem:
    """One whose guarantees fit, often exactly: as after admission."""
    problem = draw(problems())
    capacity = {r: max(problem.capacity[r], _above(load)) for r, load in problem.load(problem.needs).items()}
    return replace(problem, capacity=capacity)


def _above(exact: Fraction) -> float:
    """The least float that is not below."""
    near = float(exact)
    return near if Fraction(near) >= exact else nextafter(near, inf)
