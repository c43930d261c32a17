"""Labelling: confirmations and numbers of all edges."""

from __future__ import annotations

from immutables import Map

from controller.fabric.graph import EndPoint, Fabric, LinkLost
from controller.fabric.labels import N_VERSIONS, EdgeLabels, TreeVersion, advance
from controller.fabric.paths import Hop
from controller.fabric.paths.plan import Hops, Plan
from controller.reconcile.labelling import DRAINED_AGES, Labelling
from tests.unit.fabric.fabrics import after, leaf_spine

EDGE = 1


def tree_by(port_no: int, n_trees: int = 1) -> Plan:
    hops = {EDGE: Hop(0, EDGE), 2: Hop(port_no, EDGE), 3: Hop(1, 2)}
    return Map({dpid: Hops((hop,) * n_trees) for dpid, hop in hops.items()})


def test_number_given_on_is_not_confirmed_by_its_former_tree() -> None:
    """Switch 2 still owes version 1 when that is dropped and its number goes to the tree that waited for one.

    The old confirmation, when it comes, must not count for the new tree: switch 2 does not hold that yet.
    """
    versions = tuple(
        TreeVersion(version=n, hops=tree_by(n + 1, n + 1), pending=frozenset({2} if n == 1 else ()))
        for n in range(N_VERSIONS)
    )
    labelling = Labelling({EDGE: EdgeLabels(edge_id=1, versions=versions)})
    labelling.plans = Map({EDGE: tree_by(99, 9)})
    labelling._due = {2: {(EDGE, 1): 5}}
    labelling._may_write = {EDGE: {3: frozenset(range(N_VERSIONS)) - {1}}}
    labelling._prune(EDGE)
    newest = labelling.versions[EDGE][-1]
    assert (newest.version, newest.hops) == (1, tree_by(99, 9))
    labelling.map(9)
    labelling.confirm(2, 5, frozenset(), clean=True)
    assert 2 in labelling.versions[EDGE][-1].pending
    labelling.confirm(2, 9, frozenset(), clean=True)
    assert 2 not in labelling.versions[EDGE][-1].pending


def test_hop_that_changes_again_before_it_is_confirmed_is_confirmed_by_the_later_word_only() -> None:
    """Switch 2 says that it holds what it was told first: what it was told since, it may not hold yet."""
    labelling = Labelling()
    labelling._edges, labelling._edge_ids = frozenset({EDGE, 2, 3}), {EDGE: 1}
    for epoch, port_no in enumerate((1, 2, 3), start=1):
        labelling._set(EDGE, advance(labelling.versions.get(EDGE, ()), tree_by(port_no)))
        labelling.map(epoch)
        if epoch == 1:
            for dpid in (EDGE, 2, 3):
                labelling.confirm(dpid, 1, frozenset(), clean=True)
    (version,) = labelling.versions[EDGE]
    assert [hops.working[0].port_no for hops in version.held(2)] == [3, 2, 1]
    labelling.confirm(2, 2, frozenset(), clean=True)
    assert labelling.versions[EDGE][0].owed == {2}
    labelling.confirm(2, 3, frozenset(), clean=True)
    assert labelling.versions[EDGE][0].held(2) == (tree_by(3)[2],)


def test_refused_hop_counts_as_still_to_come() -> None:
    """The switch keeps its old hop until it takes the new one."""
    labelling = Labelling()
    labelling._edges, labelling._edge_ids = frozenset({EDGE, 2, 3}), {EDGE: 1}
    labelling._set(EDGE, advance((), tree_by(1)))
    labelling.map(1)
    for dpid in (EDGE, 2, 3):
        labelling.confirm(dpid, 1, frozenset(), clean=True)
    labelling._set(EDGE, advance(labelling.versions[EDGE], tree_by(2)))
    labelling.map(2)
    labelling.confirm(2, 2, frozenset({(EDGE, 0)}), clean=False)
    assert labelling.versions[EDGE][0].owed == {2}
    labelling.confirm(2, 2, frozenset(), clean=True)
    assert labelling.versions[EDGE][0].owed == set()


def test_version_that_nobody_came_to_write_goes_when_another_is_wanted_again() -> None:
    """All had confirmed it, and then the old plan was the best once more: its number is free."""
    fabric = leaf_spine(2, 2)
    edge_ids = {101: 1, 102: 2}
    labelling = Labelling()
    labelling.retree(fabric, edge_ids)
    _confirm_all(labelling, fabric, 1)
    without = after(fabric, LinkLost(src=EndPoint(1, 1)), LinkLost(src=EndPoint(101, 1)))
    labelling.retree(without, edge_ids)
    assert any(len(versions) == 2 for versions in labelling.versions.values())
    _confirm_all(labelling, fabric, 2)
    labelling.retree(fabric, edge_ids)
    _confirm_all(labelling, fabric, 3)
    for _ in range(DRAINED_AGES):
        labelling.age()
    assert {len(versions) for versions in labelling.versions.values()} == {1}


def _confirm_all(labelling: Labelling, fabric: Fabric, epoch: int) -> None:
    labelling.map(epoch)
    for dpid in fabric.switches:
        labelling.confirm(dpid, epoch, frozenset(), clean=True)


def test_edge_whose_versions_are_all_held_says_who_holds_them() -> None:
    """Until one of them lets go, or is forgotten: then the newest plan gets its number."""
    fabric = leaf_spine(2, 3)
    edge_ids = {101: 1, 102: 2, 103: 3}
    labelling = Labelling()
    labelling.retree(fabric, edge_ids)
    _confirm_all(labelling, fabric, 1)
    newest = labelling.versions[101][-1]
    labelling.versions[101] = (*(
        TreeVersion(version=n, hops=Map({dpid: Hops(hops.working[:1] * n) for dpid, hops in newest.hops.items()}),
                    pending=frozenset()) for n in range(1, N_VERSIONS)), newest)
    labelling._may_write[101] = {102: frozenset(range(N_VERSIONS)), 103: frozenset({newest.version})}
    lost = after(fabric, *(LinkLost(src=EndPoint(dpid, 1)) for dpid in (101, 102, 103)))
    labelling.retree(lost, edge_ids)
    assert labelling.starved == Map({101: frozenset({102})})
    labelling.forget(102)
    assert labelling.starved == Map()
