"""Label versions: each operation, then all of them together over every order of events of a small fabric."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from immutables import Map

from controller.fabric.labels import (
    MAX_EARLIER,
    N_VERSIONS,
    Versions,
    advance,
    choice,
    confirmed,
    label16,
    label_number,
    prune,
    version_of,
)
from controller.fabric.paths import Hop
from controller.fabric.paths.plan import NO_FAILOVER, Hops, Plan
from tests.unit.fabric.label_model import EDGE, Model, plan, tree

DIRECT = tree(s1=0, s2=0)
VIA_2 = tree(s1=2, s2=0)
VIA_1 = tree(s1=0, s2=1)
"""DIRECT and either of the others may be mixed; VIA_1 and VIA_2 may not"""


def held(versions: Versions, version: int, *dpids: int) -> Versions:
    for dpid in dpids:
        versions = confirmed(versions, dpid, version)
    return versions


def numbers(versions: Versions) -> list[int]:
    return [v.version for v in versions]


def test_label_packs_edge_version_and_tree() -> None:
    """edge id in the high 11 bits, backup, version, tree; below all explicit labels."""
    assert label16(0x001, label_number(0, 0)) == 0x0020
    assert label16(0x77F, label_number(3, 3, backup=True)) == 0xEFFF
    assert version_of(label_number(2, 1, backup=True)) == 2


def test_first_tree_is_chosen_only_when_the_whole_way_confirmed() -> None:
    """A switch writes a label when it, every hop, and the edge hold it; others need not."""
    versions = advance((), VIA_2)
    assert versions[0].pending == {0, 1, 2}
    versions = held(versions, 0, 1, 0)
    assert choice(versions, 1) is None
    assert choice(held(versions, 0, 2), 1) == 0
    assert choice(held((advance((), VIA_2)), 0, 2, 0), 2) == 0
    assert choice(versions, 99) is None
    assert choice((), 1) is None


def test_plan_is_chosen_only_when_the_backup_trees_are_confirmed_too() -> None:
    """Where a link may die a frame may come by any backup hop, so that switch must hold the version, too."""
    here, direct = Hop(0, EDGE), Hop(1, EDGE)
    wanted = Map({
        EDGE: Hops((here,), (here, here), (NO_FAILOVER,)),
        1: Hops((direct,), (direct, Hop(2, 2)), (1,)),
        2: Hops((direct,), (Hop(2, 1), direct), (0,)),
    })
    versions = held(advance((), wanted), 0, EDGE, 1)
    assert choice(versions, 1) is None
    assert choice(held(versions, 0, 2), 1) == 0


def test_same_tree_changes_nothing() -> None:
    """Level, not edge: asking again for what is wanted already gives the same object."""
    versions = advance((), DIRECT)
    assert advance(versions, DIRECT) is versions


def test_joining_switch_extends_the_version() -> None:
    """A switch that only adds itself renumbers nobody; it is pending, the others stay confirmed."""
    versions = held(advance((), tree(s1=0)), 0, 0, 1)
    extended = advance(versions, DIRECT)
    assert numbers(extended) == [0]
    assert extended[0].pending == {2}
    assert choice(extended, 1) == 0
    assert choice(extended, 2) is None


def test_leaving_switch_renumbers_nothing() -> None:
    """A switch that lost its way keeps its hop: harmless, and right if it comes back by the same wire."""
    versions = held(advance((), DIRECT), 0, 0, 1, 2)
    assert advance(versions, tree(s1=0)) is versions


def test_plan_that_mixes_with_the_old_one_changes_the_version_where_it_stands() -> None:
    """No new number, nobody writes another label; a switch may hold either hop until it confirms the new one."""
    versions = held(advance((), DIRECT), 0, 0, 1, 2)
    versions = advance(versions, VIA_2)
    assert numbers(versions) == [0]
    assert versions[0].hops == VIA_2
    assert versions[0].pending == set()
    assert versions[0].held(1) == (VIA_2[1], DIRECT[1])
    assert versions[0].owed == {1}
    assert versions[0].plans == [VIA_2, DIRECT]
    assert [choice(versions, dpid) for dpid in (1, 2)] == [0, 0]
    assert held(versions, 0, 1)[0].owed == set()
    assert held(versions, 0, 1)[0].plans == [VIA_2]
    assert advance(versions, VIA_2) is versions


def test_what_a_switch_may_still_hold_counts_in_the_next_change() -> None:
    """Switch 1 may still send to 2, so 2 must not be told to send to 1 under the same labels."""
    versions = held(advance((), VIA_2), 0, 0, 1, 2)
    versions = advance(versions, DIRECT)
    assert numbers(advance(versions, VIA_1)) == [0, 1]
    assert numbers(advance(held(versions, 0, 1), VIA_1)) == [0]


def test_version_is_not_changed_toward_a_switch_that_may_not_hold_it() -> None:
    """Who writes it keeps writing it, so its frames must not come to one that has only been asked to hold it."""
    versions = held(advance((), tree(s1=0)), 0, 0, 1)
    assert numbers(advance(versions, VIA_2)) == [0, 1]
    assert numbers(advance(held(advance(versions, DIRECT), 0, 2), VIA_2)) == [0]


def test_version_is_not_changed_for_ever_under_a_switch_out_of_reach() -> None:
    """What it may hold does not grow without bound: at some point there is a new version."""
    versions = held(advance((), plan({1: Hop(1, EDGE)})), 0, 0, 1)
    for port_no in range(2, MAX_EARLIER + 2):
        versions = advance(versions, plan({1: Hop(port_no, EDGE)}))
        assert numbers(versions) == [0]
    versions = advance(versions, plan({1: Hop(99, EDGE)}))
    assert numbers(versions) == [0, 1]
    assert choice(versions, 1) == 0


def test_hop_that_does_not_mix_makes_a_new_version_and_flips_each_switch_alone() -> None:
    """Switches whose new way is confirmed flip at once; those behind one that is out of reach keep the old label."""
    versions = advance(held(advance((), VIA_1), 0, 0, 1, 2), VIA_2)
    assert numbers(versions) == [0, 1]
    versions = held(versions, 1, 0, 1)
    assert choice(versions, 1) == 0
    assert choice(held(versions, 1, 2), 1) == 1


def test_flapping_link_goes_back_to_a_version_that_is_still_installed() -> None:
    """While the previous version stands, wanting it again is a new preference, not a new number."""
    versions = held(advance((), VIA_1), 0, 0, 1, 2)
    for _ in range(50):
        versions = held(advance(versions, VIA_2), 1, 0, 1, 2)
        assert choice(versions, 1) == 1
        versions = advance(versions, VIA_1)
        assert choice(versions, 1) == 0
    assert sorted(numbers(versions)) == [0, 1]


def test_confirmation_is_sticky_and_names_its_version() -> None:
    """Confirming twice, or a version or switch that is not there, changes nothing."""
    versions = held(advance((), DIRECT), 0, 1)
    assert versions[0].pending == {0, 2}
    assert held(versions, 0, 1, 99) == held(versions, 5, 0) == versions


def test_old_version_stays_until_nobody_writes_it() -> None:
    """Confirmed everywhere is not enough: a switch that may still write the old label keeps it everywhere."""
    versions = advance(held(advance((), VIA_1), 0, 0, 1, 2), VIA_2)
    assert prune(versions, set()) == versions
    versions = held(versions, 1, 0, 1, 2)
    assert prune(versions, {0, 1}) is versions
    assert numbers(prune(versions, {1})) == [1]
    assert prune((), set()) == ()


def test_version_in_between_stays_while_somebody_waits_for_it() -> None:
    """What is better than a switch's choice may become its choice, so it is not dropped under way."""
    first, second, third = plans(3)
    versions = held(advance((), first), 0, 0, 1, 2)
    versions = advance(advance(versions, second), third)
    assert numbers(prune(versions, {0})) == [0, 1, 2]
    assert numbers(prune(held(versions, 2, 0, 1, 2), {0, 2})) == [0, 2]


def test_numbers_wrap_and_are_reused_last() -> None:
    """Twenty changes, each completed: numbers go round, never reusing one that was just freed."""
    versions: Versions = ()
    seen = []
    for i in range(20):
        versions = advance(versions, [VIA_1, VIA_2][i % 2])
        seen.append(versions[-1].version)
        versions = prune(held(versions, seen[-1], 0, 1, 2), {seen[-1]})
    assert seen == [i % N_VERSIONS for i in range(20)]


def plans(n: int) -> list[Plan]:
    """n plans of which none may be mixed with another, for they have other labels: one tree, two, three, ..."""
    one = plan({1: Hop(1, EDGE), 2: Hop(1, 1)})
    return [Map({dpid: Hops(hops.working * count) for dpid, hops in one.items()}) for count in range(1, n + 1)]


def test_when_all_numbers_are_taken_the_newest_tree_waits() -> None:
    """With a version in use under each number nothing is renumbered; when one frees up, asking again gets it."""
    versions: Versions = ()
    for wanted in plans(N_VERSIONS):
        versions = advance(versions, wanted)
    last = plans(N_VERSIONS + 1)[-1]
    assert advance(versions, last) is versions
    assert prune(versions, set(range(N_VERSIONS))) is versions
    versions = advance(prune(versions, set(range(N_VERSIONS)) - {1}), last)
    assert versions[-1].version == 1
    assert versions[-1].hops == last


def test_switch_out_of_reach_does_not_use_up_the_numbers() -> None:
    """However often the tree changes while switch 2 is away, its label stays and the newest tree gets a number."""
    versions = held(advance((), plans(1)[0]), 0, 0, 1, 2)
    for wanted in plans(30)[1:]:
        versions = advance(prune(versions, {0}), wanted)
        versions = held(versions, versions[-1].version, 0, 1)
        assert versions[-1].hops == wanted
        assert 0 in numbers(versions)
        assert choice(versions, 1) == versions[-1].version
        assert choice(versions, 2) == 0


def test_edge_that_is_no_edge_any_more_has_no_versions() -> None:
    """An empty tree (the edge is gone from the graph) drops all of them."""
    assert advance(advance((), DIRECT), Map()) == ()


@pytest.mark.parametrize("trees", list(itertools.permutations([DIRECT, VIA_2, VIA_1])), ids=range(6))
def test_every_interleaving_of_three_moves_carries_every_frame(trees: tuple[Plan, ...]) -> None:
    """All orders of sending, applying, confirming and moves that overtake each other, on three switches.

    Some moves are made where the version stands, some need a new one, and the last goes back to where all began.
    """
    trees = (*trees, trees[0])
    start = Model([0, 1, 2], bundles=True)
    start.act(("tree", 0, 0), list(trees))
    drain(start, list(trees))
    states, todo = {(start.key(), 1)}, [(start, 1)]
    while todo:
        model, n_moves = todo.pop()
        model.check()
        actions = list(model.actions())
        if not actions:
            model.check_settled()
        if n_moves < len(trees):
            actions.append(("tree", 0, n_moves))
        for action in actions:
            after = model.then(action, list(trees)), n_moves + (action[0] == "tree")
            key = (after[0].key(), after[1])
            if key not in states:
                states.add(key)
                todo.append(after)
    assert len(states) > 1_500


def drain(model: Model, trees: list[Plan]) -> None:
    for _ in range(10_000):
        action = next(model.actions(), None)
        if action is None:
            return
        model.act(action, trees)
        model.check()
    raise AssertionError("the model does not come to rest")


def random_tree(rng: Random, n_switches: int, size: int) -> Plan:
    """Any in-tree toward switch 0 over `size` of the switches 0..n-1."""
    order = [EDGE, *rng.sample(range(1, n_switches), size - 1)]
    parents = {dpid: rng.choice(order[:i]) for i, dpid in enumerate(order) if i}
    return plan({dpid: Hop(parent + 1, parent) for dpid, parent in parents.items()})


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 2**32), n_moves=st.integers(0, 12))
def test_any_order_with_lost_channels_and_wiped_switches_carries_every_frame(seed: int, n_moves: int) -> None:
    """Moves, lost channels, wiped switches and single flow changes in any order; at rest all follow the last tree."""
    rng = Random(seed)
    trees = [random_tree(rng, 5, rng.randint(1, 5)) for _ in range(n_moves)] + [random_tree(rng, 5, 5)]
    model = Model(list(range(5)), bundles=False)
    moves = iter(range(len(trees)))
    for _ in range(300):
        actions = list(model.actions())
        chance = rng.random()
        if chance < 0.05 and (move := next(moves, None)) is not None:
            model.act(("tree", 0, move), trees)
        elif chance < 0.10:
            model.act((rng.choice(["drop", "drop", "wipe"]), rng.randrange(5), 0), trees)
        elif actions:
            model.act(rng.choice(actions), trees)
        model.check()
    for move in moves:
        model.act(("tree", 0, move), trees)
    drain(model, trees)
    model.check_settled()
