"""Shares of a total that change without ever exceeding it (I12), on whatever becomes of the messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.qos.steps import next_step

HOLDERS = "abcd"


@dataclass(kw_only=True)
class Switches:
    """Holders of shares, each of which applies what it is sent in order, some day; and what is known of them."""

    in_force: dict[str, int]
    on_the_way: dict[str, list[int]] = field(default_factory=dict)

    @property
    def may_hold(self) -> dict[str, int]:
        """Nobody knows whether what is on the way has arrived."""
        return {key: max(held, *self.on_the_way.get(key, [0])) for key, held in self.in_force.items()}

    def send(self, step: Mapping[str, int]) -> None:
        for key, share in step.items():
            self.in_force.setdefault(key, 0)
            self.on_the_way.setdefault(key, []).append(share)

    def confirm(self, key: str) -> None:
        """The switch answered: all that was sent is in force, the last of it for good."""
        if sent := self.on_the_way.pop(key, []):
            self.in_force[key] = sent[-1]


_shares = st.dictionaries(st.sampled_from(HOLDERS), st.integers(0, 1000))
_answers = st.lists(st.sampled_from(HOLDERS))


@settings(deadline=None)
@given(start=_shares, wishes=st.lists(st.tuples(_shares, _answers), min_size=1), room=st.integers(0, 1000))
def test_steps_i12_never_exceed_the_total(
    start: dict[str, int], wishes: list[tuple[dict[str, int], list[str]]], room: int
) -> None:
    """I12: whichever messages arrived so far, and however often the wishes change in between."""
    total = sum(start.values()) + room
    switches = Switches(in_force=dict(start))
    for wanted, confirmed in wishes:
        switches.send(next_step(switches.may_hold, wanted, total))
        assert sum(switches.may_hold.values()) <= total
        for key in confirmed:
            switches.confirm(key)


@settings(deadline=None)
@given(start=_shares, wanted=_shares, order=st.permutations(HOLDERS))
def test_steps_end_with_what_is_wanted(start: dict[str, int], wanted: dict[str, int], order: list[str]) -> None:
    """Each time somebody answers the next step is taken; when all have answered twice, all hold what they shall."""
    total = max(sum(start.values()), sum(wanted.values()))
    switches = Switches(in_force=dict(start))
    for key in (*order, *order):
        switches.send(next_step(switches.may_hold, wanted, total))
        switches.confirm(key)
    assert {key: share for key, share in switches.in_force.items() if share} == {k: v for k, v in wanted.items() if v}
    assert not next_step(switches.may_hold, wanted, total)


@settings(deadline=None)
@given(held=_shares, wanted=_shares, total=st.integers(0, 1000))
def test_steps_under_a_total_that_fell_only_decrease(
    held: dict[str, int], wanted: dict[str, int], total: int
) -> None:
    """While more may be in force than the total allows, nobody gets more, and whoever shall have less gives it up."""
    step = next_step(held, wanted, min(total, sum(held.values())))
    assert step == {key: wanted.get(key, 0) for key in held if wanted.get(key, 0) < held[key]}


def test_steps_decrease_before_they_increase() -> None:
    """B's increase waits until A's decrease is confirmed."""
    wanted = {"A": 20, "B": 80}
    assert next_step({"A": 60, "B": 40}, wanted, 100) == {"A": 20}
    assert next_step({"A": 20, "B": 40}, wanted, 100) == {"B": 80}


def test_steps_share_what_is_free_when_it_is_not_enough() -> None:
    """A, out of reach, holds 60 of 100; the 30 that are free go to B and C by what they lack."""
    assert next_step({"A": 60, "B": 10, "C": 0}, {"A": 0, "B": 30, "C": 70}, 100) == {"A": 0, "B": 16, "C": 23}


_paths = st.dictionaries(st.sampled_from(HOLDERS), st.sets(st.sampled_from("xyz"), min_size=1), min_size=1)


@settings(deadline=None)
@given(paths=_paths, start=_shares, wanted=_shares, order=st.permutations(HOLDERS), cut=st.integers(0, 8))
def test_steps_i12_over_commit_no_link_of_a_path(
    paths: dict[str, set[str]], start: dict[str, int], wanted: dict[str, int], order: list[str], cut: int
) -> None:
    """I12 for aggregates over several links, from one admitted state to another: each link allows what it can, and the
    least that all links of a path allow is set.  No link is over-committed at any moment, wherever the update is cut.
    """

    def on(link: str, shares: Mapping[str, int]) -> dict[str, int]:
        return {key: shares.get(key, 0) for key, links in paths.items() if link in links}

    capacity = {link: max(sum(on(link, start).values()), sum(on(link, wanted).values())) for link in "xyz"}
    switches = Switches(in_force={key: start.get(key, 0) for key in paths})
    for key in (*order, *order)[:cut]:
        may_hold = switches.may_hold
        steps = {link: next_step(on(link, may_hold), on(link, wanted), capacity[link]) for link in "xyz"}
        step = {a: min(steps[link].get(a, may_hold[a]) for link in links) for a, links in paths.items()}
        switches.send({a: share for a, share in step.items() if share != may_hold[a]})
        assert all(sum(on(link, switches.may_hold).values()) <= capacity[link] for link in "xyz")
        switches.confirm(key)
    if cut == 8:
        assert switches.in_force == {key: wanted.get(key, 0) for key in paths}
