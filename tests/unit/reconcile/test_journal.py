"""Whoever reads the journal learns of each touched object once, however readers and steps take turns."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from controller.reconcile.journal import KEPT_STEPS, Journal
from controller.reconcile.spread import Spread
from controller.reconcile.touched import EVERYTHING, NOTHING, Touched
from tests.support.worlds import Lab


def touch(*names: str) -> Touched:
    return Touched(names=frozenset(names))


def test_reader_begins_with_everything_and_goes_on_with_what_was_touched_since() -> None:
    """Each reader for itself; a step that touched nothing is none."""
    journal = Journal()
    journal.note(touch("a"))
    one, other = journal.reader(), journal.reader()
    assert one() == EVERYTHING
    for touched in (touch("b"), NOTHING, Touched(names=frozenset({"c"}), switches=frozenset({1}))):
        journal.note(touched)
    assert one() == Touched(names=frozenset({"b", "c"}), switches=frozenset({1}))
    assert one() == NOTHING
    assert other() == EVERYTHING
    journal.note(touch("d"))
    assert one() == other() == touch("d")


def test_reader_that_asks_too_seldom_is_told_that_anything_may_be_different() -> None:
    """The journal keeps so many steps and no more; who is told so goes on as others do."""
    journal = Journal()
    read = journal.reader()
    read()
    for step in range(KEPT_STEPS):
        journal.note(touch(str(step)))
    assert len(read().names) == KEPT_STEPS
    for step in range(KEPT_STEPS + 1):
        journal.note(touch(str(step)))
    assert read() == EVERYTHING
    journal.note(touch("a"))
    assert read() == touch("a")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=30))
def test_what_was_touched_is_read_whoever_reads_when(turns: list[tuple[bool, int]]) -> None:
    """All that was noted between two readings, nothing else."""
    journal = Journal()
    read = journal.reader()
    read()
    since: set[str] = set()
    for is_read, name in turns:
        if is_read:
            assert read().names == since
            since = set()
        else:
            journal.note(touch(str(name)))
            since.add(str(name))


class Counting(dict[str, frozenset[int]]):
    """Counts who is looked up."""

    asked = 0

    def pop(self, *args: object) -> frozenset[int]:  # type: ignore[override]
        self.asked += 1
        return super().pop(*args)  # type: ignore[call-overload,no-any-return]


def test_spread_costs_what_was_touched() -> None:
    """One port more in one of fifty tenants: that tenant and its network are looked at."""
    lab = Lab.leaf_spine()
    for number in range(50):
        lab.network(f"t{number}")
        for leaf in (11, 12):
            lab.port(f"t{number}", f"p{leaf}", at=(leaf, 10 + number))
    spread = Spread(edges=Counting())
    spread.follow(lab.world, EVERYTHING)
    assert len(spread.edges) == 100 and isinstance(spread.edges, Counting)
    spread.edges.asked = 0
    port = lab.port("t7", "p13", at=(13, 3)).name
    assert spread.follow(lab.world, touch(port)) == []
    assert spread.edges.asked == 2
    assert spread.edges["tenants/t7"] == spread.edges["tenants/t7/networks/net"] == {11, 12, 13}
    lab.unbind(port)
    assert sorted(spread.follow(lab.world, touch(port))) == [(13, "tenants/t7"), (13, "tenants/t7/networks/net")]
