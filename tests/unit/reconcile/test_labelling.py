"""Labelling: confirmations and numbers of all edges."""

from __future__ import annotations

from immutables import Map

from controller.fabric.labels import N_VERSIONS, EdgeLabels, TreeVersion
from controller.fabric.paths import Hop
from controller.fabric.paths.plan import Hops, Plan
from controller.reconcile.labelling import Labelling

EDGE = 1


def tree_by(port_no: int) -> Plan:
    hops = {EDGE: Hop(0, EDGE), 2: Hop(port_no, EDGE), 3: Hop(1, 2)}
    return Map({dpid: Hops((hop,)) for dpid, hop in hops.items()})


def test_number_given_on_is_not_confirmed_by_its_former_tree() -> None:
    """Switch 2 still owes version 1 when that is dropped and its number goes to the tree that waited for one.

    The old confirmation, when it comes, must not count for the new tree: switch 2 does not hold that yet.
    """
    versions = tuple(
        TreeVersion(version=n, hops=tree_by(n + 1), pending=frozenset({2} if n == 1 else ())) for n in range(N_VERSIONS)
    )
    labelling = Labelling({EDGE: EdgeLabels(edge_id=1, versions=versions)})
    labelling.plans = Map({EDGE: tree_by(99)})
    labelling._due = {2: {(EDGE, 1): 5}}
    labelling._may_write = {EDGE: {3: frozenset(range(N_VERSIONS)) - {1}}}
    labelling._prune(EDGE)
    newest = labelling.versions[EDGE][-1]
    assert (newest.version, newest.hops) == (1, tree_by(99))
    labelling.map(9)
    labelling.confirm(2, 5, frozenset(), clean=True)
    assert 2 in labelling.versions[EDGE][-1].pending
    labelling.confirm(2, 9, frozenset(), clean=True)
    assert 2 not in labelling.versions[EDGE][-1].pending
