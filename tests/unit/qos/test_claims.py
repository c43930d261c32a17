"""The account of claims, and the search for what would fit."""

from __future__ import annotations

from math import ceil, inf

import hypothesis.strategies as st
import pytest
from hypothesis import given

from controller.qos.ledger import Claim, Excess, Ledger, budget, claim, largest, shortfalls

CLAIMS = st.builds(lambda working, more: Claim(working, working + more), st.integers(1, 50), st.integers(0, 20))
CHANGES = st.lists(st.tuples(st.sampled_from("ABCD"), st.dictionaries(st.sampled_from("xyz"), CLAIMS)), max_size=12)


@given(CHANGES)
def test_ledger_is_the_sum_of_the_last_claims_whatever_came_before(changes: list[tuple[str, dict[str, Claim]]]) -> None:
    """Claims replace each other; sums leave no trace of what is gone."""
    ledger, last = Ledger(), dict[str, dict[str, Claim]]()
    for owner, claims in changes:
        before, (ledger, changed) = ledger, ledger.put(owner, claims)
        was = last.get(owner, {})
        assert changed == {r for r in was.keys() | claims.keys() if was.get(r) != claims.get(r)}
        assert (ledger is before) == (not changed)
        last[owner] = claims
    sums = {r: sum(claims[r].reserved_kbps for claims in last.values() if r in claims) for r in "xyz"}
    assert dict(ledger.totals) == {r: total for r, total in sums.items() if total}
    assert {owner: dict(claims) for owner, claims in ledger.by_owner.items()} == {o: c for o, c in last.items() if c}


def test_shortfall_names_what_is_wanted_and_what_the_others_leave() -> None:
    """Worst first; and nothing where capacity is not known, or the change takes no more than before."""
    before, _ = Ledger().put("A", {"x": Claim(60, 60), "y": Claim(10, 10), "z": Claim(90, 90)})
    after, changed = before.put("B", {"x": Claim(50, 50), "y": Claim(99, 99), "w": Claim(900, 900), "z": Claim(5, 5)})
    capacity = {"x": 100, "y": 100, "z": 100}.get
    assert shortfalls(before, after, changed, {"B"}, capacity) == [Excess("x", 50, 35), Excess("y", 99, 85)]


def test_whoever_takes_less_is_not_refused() -> None:
    """However much is promised on a link that has become smaller."""
    before, _ = Ledger().put("A", {"x": Claim(200, 200)})
    after, changed = before.put("A", {"x": Claim(150, 150)})
    assert shortfalls(before, after, changed, {"A"}, lambda _: 100) == []


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 100))
def test_largest_is_exact(limit: int, at_most: int, at_least: int) -> None:
    """To the last kbit/s; whether what is lacking is known, or not how much."""
    expected = min(limit, at_most) if min(limit, at_most) >= at_least else 0
    assert largest(lambda n: max(0, n - limit), at_most, at_least=at_least) == expected
    assert largest(lambda n: 0 if n <= limit else inf, at_most, at_least=at_least) == expected


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 50_000)), min_size=1, max_size=4), st.integers(1, 200_000))
def test_largest_is_found_in_few_steps(pieces: list[tuple[float, int]], at_most: int) -> None:
    """Of what grows in straight pieces, rounded up as claims are."""
    asked: list[int] = []

    def lacks(n: int) -> int:
        asked.append(n)
        return max(0, min(ceil(slope * n) + base for slope, base in pieces) - 30_000)

    found = largest(lacks, at_most)
    assert len(asked) <= 3 * 18
    assert found == 0 or not lacks(found)
    assert found == at_most or lacks(found + 1)


def test_search_of_the_largest_follows_what_is_lacking() -> None:
    """A refusal asks for it while others wait: halving alone would take 19 steps here; and 1 where nothing fits."""
    asked: list[int] = []

    def lacks(n: int) -> float:
        asked.append(n)
        return max(0.0, ceil(0.37 * n) - 10_000)

    assert largest(lacks, 200_000) == 27_027
    assert len(asked) <= 7
    asked.clear()
    assert largest(lacks, 200_000, at_least=30_000) == 0
    assert len(asked) == 1


@pytest.mark.parametrize(("need", "whole"), [(33.333, 34), (50.0, 50), (50.0000000001, 50)])
def test_claims_are_rounded_up(need: float, whole: int) -> None:
    """So that what is promised is enough; errors of the last digit are not counted."""
    assert claim(need, need) == Claim(whole, whole)


def test_headroom_is_left_to_best_effort() -> None:
    """Five percent of every link."""
    assert budget(100_000) == 95_000
