"""The allocator over time: what was changed step by step is what from scratch would be, and only changes are told."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.bandwidth import TrafficClass
from controller.qos.allocation import Aggregate, Allocator, Allotment
from tests.unit.qos.problems import RATES, RESOURCES, Problem, aggregates, allot, is_close

_KEYS = tuple("abcdefgh")
_puts = st.tuples(st.sampled_from(_KEYS), st.one_of(st.none(), aggregates(), aggregates()))
_capacities = st.tuples(st.sampled_from(RESOURCES), st.one_of(st.none(), RATES))


@settings(deadline=None, max_examples=200)
@given(rounds=st.lists(st.lists(st.one_of(_puts, _puts, _capacities), min_size=1, max_size=6), min_size=2, max_size=6))
def test_allocator_after_any_changes_is_as_from_scratch(
    rounds: list[list[tuple[str, Aggregate | float | None]]],
) -> None:
    """Components that merge, split, come and go; resources that become limited, tight, loose and unlimited again.

    What `solve` tells is exactly what is not as it was.
    """
    allocator: Allocator[str] = Allocator()
    there: dict[str, Aggregate] = {}
    capacity: dict[Hashable, float] = dict.fromkeys(RESOURCES, 10.0)
    for resource, kbps in capacity.items():
        allocator.set_capacity(resource, kbps)
    told: dict[str, Allotment] = {}
    for changes in rounds:
        for name, value in changes:
            if name in RESOURCES:
                assert not isinstance(value, Aggregate)
                allocator.set_capacity(name, value)
                capacity[name] = inf if value is None else value
            else:
                assert not isinstance(value, float)
                allocator.put(name, value)
                told.pop(name, None)
                there.pop(name, None)
                if value is not None:
                    there[name] = value
        before, changed = dict(told), allocator.solve()
        told |= changed
        now = {key: allocator.allotment(key) for key in there}
        assert {key: told.get(key, now[key]) for key in there} == now
        assert all(before.get(key) != allotment for key, allotment in changed.items())
        limited = {resource: kbps for resource, kbps in capacity.items() if kbps < inf}
        problem = Problem(aggregates=there, capacity=limited)
        for key, fresh in allot(problem).items():
            assert is_close(problem, now[key].rate_kbps, fresh.rate_kbps), key
    for key in there:
        allocator.put(key, None)
    assert all(resource.wanted == 0 for resource in allocator._resources.values()), "nobody is left to want any"
    for resource in capacity:
        allocator.set_capacity(resource, None)
    assert not allocator.solve()
    assert not allocator._resources and not allocator._members, "nothing is kept of what is gone"


def _of(*resources: str, **kbps: float) -> Aggregate:
    return Aggregate(resources=dict.fromkeys(resources, 1.0), **{f"{key}_kbps": rate for key, rate in kbps.items()})


def _with(capacity: dict[str, float], **there: Aggregate) -> tuple[Allocator[str], dict[str, Allotment]]:
    allocator: Allocator[str] = Allocator()
    for resource, kbps in capacity.items():
        allocator.set_capacity(resource, kbps)
    for key, aggregate in there.items():
        allocator.put(key, aggregate)
    return allocator, allocator.solve()


def _gets(kbps: float, bottleneck: str | None = None) -> Allotment:
    return Allotment(rate_kbps=kbps, bottleneck=bottleneck)


def test_allocator_lends_what_the_others_leave_and_takes_it_back() -> None:
    """Alone A has the whole link; B arrives and both have their guarantee and half of what is spare; B goes."""
    allocator, alone = _with({"link": 100}, A=_of("link", guarantee=45))
    assert alone == {"A": _gets(100, "link")}
    allocator.put("B", _of("link", guarantee=25))
    assert allocator.solve() == {"A": _gets(60, "link"), "B": _gets(40, "link")}
    allocator.put("B", _of("link", guarantee=25, demand=10))
    assert allocator.solve() == {"A": _gets(90, "link"), "B": _gets(10)}
    allocator.put("B", None)
    assert allocator.solve() == {"A": _gets(100, "link")}


def test_allocator_says_what_holds_back() -> None:
    """Its own wish or ceiling is no bottleneck; a tenant's ceiling is one like any link."""
    capacity = {"link": 100, "tenant": 30}
    _, allotments = _with(capacity, wish=_of("link", demand=5), ceiling=_of("link", ceiling=7), rest=_of("link"),
                          one=_of("link", "tenant"), other=_of("tenant", demand=10))
    assert allotments == {
        "wish": _gets(5), "ceiling": _gets(7), "other": _gets(10),
        "one": _gets(20, "tenant"), "rest": _gets(68, "link"),
    }


def test_allocator_loads_a_link_with_what_crosses_it() -> None:
    """Half of A goes over this spine: the 20 that its tenant allows leave 90 of 100 to B."""
    split = Aggregate(resources={"spine": 0.5, "tenant": 1.0})
    _, allotments = _with({"spine": 100, "tenant": 20}, A=split, B=_of("spine"))
    assert allotments == {"A": _gets(20, "tenant"), "B": _gets(90, "spine")}
    _, allotments = _with({"spine": 60, "tenant": 200}, A=split, B=_of("spine"))
    assert allotments == {"A": _gets(40, "spine"), "B": _gets(40, "spine")}


def test_allocator_tells_of_another_bottleneck() -> None:
    """Though the rate stays."""
    allocator, _ = _with({"one": 10, "other": 20}, A=_of("one", "other"))
    allocator.set_capacity("one", 20)
    allocator.set_capacity("other", 10)
    assert allocator.solve() == {"A": _gets(10, "other")}


def test_allocator_follows_a_change_as_far_as_it_matters() -> None:
    """A chain of links, each shared by two: when the first wants less the second gains, the third loses, and so on."""
    chain = {f"{i}": _of(f"{i}", f"{i + 1}") for i in range(9)}
    allocator, before = _with({f"{i}": 10 + i for i in range(1, 10)}, **chain)
    assert [before[key].rate_kbps for key in chain] == [5.5, 5.5, 6.5, 6.5, 7.5, 7.5, 8.5, 8.5, 9.5]
    allocator.put("0", _of("0", "1", demand=1))
    after = allocator.solve()
    assert [after[key].rate_kbps for key in chain] == [1, 6, 6, 7, 7, 8, 8, 9, 9]


def test_allocator_keeps_the_same_share_of_each_guarantee_when_they_do_not_fit() -> None:
    """After a failure 60 are left for guarantees of 80 and 40; who has one that fits elsewhere keeps it."""
    _, allotments = _with({"link": 60, "other": 50}, A=_of("link", guarantee=80), B=_of("link", guarantee=40),
                          C=_of("other", guarantee=50), D=_of("other"))
    assert {key: allotment.rate_kbps for key, allotment in allotments.items()} == {"A": 40, "B": 20, "C": 50, "D": 0}


def test_allocator_serves_classes_in_order() -> None:
    """The guarantees of all come first; what is spare goes to the first class that wants it, and then to the next."""
    critical, bulk = TrafficClass.CRITICAL, TrafficClass.BULK
    there = {
        "critical": replace(_of("link", guarantee=10, demand=40), traffic_class=critical),
        "standard": _of("link", guarantee=10),
        "bulk": replace(_of("link", guarantee=10), traffic_class=bulk),
    }
    allocator, allotments = _with({"link": 100}, **there)
    assert allotments == {"critical": _gets(40), "standard": _gets(50, "link"), "bulk": _gets(10, "link")}
    allocator.set_capacity("link", 15)
    assert allocator.solve() == {"critical": _gets(10, "link"), "standard": _gets(5, "link"), "bulk": _gets(0, "link")}


def test_allocator_lends_by_weight() -> None:
    """Three to one, on top of equal guarantees."""
    heavy = replace(_of("link", guarantee=10), weight=3.0)
    _, allotments = _with({"link": 100}, heavy=heavy, light=_of("link", guarantee=10))
    assert allotments == {"heavy": _gets(70, "link"), "light": _gets(30, "link")}


def test_allocator_knows_a_kilobit_beside_the_fastest_link() -> None:
    """1 kbit/s is shared in halves and 400 Gbit/s between them, by one and the same solve, with nobody rounded away."""
    _, allotments = _with(
        {"slow": 1, "fast": 400e6}, a=_of("slow"), b=_of("slow", "fast"), c=_of("fast"), d=_of("fast", demand=0.001)
    )
    assert {key: allotment.rate_kbps for key, allotment in allotments.items()} == {
        "a": 0.5, "b": 0.5, "c": pytest.approx(400e6 - 0.501, rel=1e-15), "d": 0.001,
    }


def test_allocator_lets_what_has_no_bounds_be_without() -> None:
    """Nothing limits it: infinity; and a capacity of 0 is a limit."""
    _, allotments = _with({"link": 100, "cut": 0}, free=_of("unlimited"), nowhere=_of(), stuck=_of("cut", guarantee=5))
    assert allotments == {"free": _gets(inf), "nowhere": _gets(inf), "stuck": _gets(0, "cut")}


def test_allocator_solves_nothing_twice() -> None:
    """What is put again as it is, or where nothing changes, is not told."""
    allocator, _ = _with({"link": 100}, A=_of("link"), B=_of("link"))
    allocator.put("A", _of("link"))
    allocator.set_capacity("link", 100)
    assert allocator.solve() == {}
    with pytest.raises(KeyError):
        allocator.allotment("C")
    allocator.put("C", _of("link"))
    with pytest.raises(KeyError):
        allocator.allotment("C")


@pytest.mark.parametrize(
    "wrong",
    [
        {"guarantee_kbps": inf}, {"guarantee_kbps": -1.0}, {"demand_kbps": float("nan")}, {"ceiling_kbps": -1.0},
        {"weight": 0.0}, {"weight": inf}, {"resources": {"link": -0.5}}, {"resources": {"link": float("nan")}},
    ],
)
def test_aggregate_refuses_what_is_no_rate(wrong: dict[str, object]) -> None:
    """Negative and undefined numbers, an infinite guarantee, a weight that shares nothing."""
    with pytest.raises(ValueError, match="must be"):
        Aggregate(**{"resources": {}, **wrong})  # type: ignore[arg-type]


def test_allocator_refuses_a_capacity_that_is_none() -> None:
    """Negative, or not a number."""
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="capacity of link"):
            Allocator().set_capacity("link", wrong)
