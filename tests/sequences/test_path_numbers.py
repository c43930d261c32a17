"""Explicit paths when their numbers run short: who gets one, and what becomes of the others."""

from __future__ import annotations

import pytest

from tests.sequences.test_steering import (
    AVOID_A,
    RED,
    check_no_loss,
    conditions,
    crossed,
    fabric,
    n_paths,
    pairs,
    set_dear,
    set_policy,
)


def have_numbers(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    for module in ("fabric.explicit", "reconcile.path_pool"):
        monkeypatch.setattr(f"controller.{module}.N_NUMBERS", n)


@pytest.mark.parametrize(("n_numbers", "n_used"), [(1_000, 12), (14, 9), (7, 7)])
def test_last_half_of_the_numbers_is_for_those_that_have_no_way_yet(
    monkeypatch: pytest.MonkeyPatch, n_numbers: int, n_used: int,
) -> None:
    """Six pairs of leaves with two permitted spines, so one of these for each pair is enough."""
    have_numbers(monkeypatch, n_numbers)
    sim = fabric("red")
    set_policy(sim, RED, AVOID_A)
    sim.settle()
    assert n_paths(sim) == n_used
    assert conditions(sim, RED) == []
    assert 1 not in crossed(sim, RED)
    check_no_loss(sim, pairs(sim, RED))


def test_network_without_a_number_for_better_paths_keeps_those_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs lead it from one spine to the other, with numbers for half of that; those that it leaves serve the rest."""
    have_numbers(monkeypatch, 9)
    sim, seen = fabric("red"), set[str]()
    set_dear(sim, 2)
    set_policy(sim, RED, AVOID_A)
    sim.settle()
    assert crossed(sim, RED) == {3}
    set_dear(sim, 3)
    sim.reconcile()
    for _ in range(40):
        for dpid in sim.switches:
            sim.run(dpid)
        sim.reconcile()
        check_no_loss(sim, pairs(sim, RED))
        seen.update(conditions(sim, RED))
    assert 1 not in crossed(sim, RED)
    assert "PATH_POLICY_VIOLATED" in seen
    sim.settle()
    assert (crossed(sim, RED), conditions(sim, RED)) == ({2}, [])
