"""The versions of one edge's label: how traffic moves from one tree to the next without a loop and without a gap.

A label is (edge id, version), and the forwarding of one version never changes under it:

    the wanted tree changes  --advance-->    a new version, pending on every switch; or the same, if only switches join
    a switch holds it        --confirmed-->  no longer pending there, for good
    a switch asks            --choice-->     the best version that every switch from there to the edge confirmed
    nobody writes it         --prune-->      gone, and its number is free

Why no frame loops: within a version the hops are a tree, and a frame keeps its version from edge to edge.  Why no frame
is lost on the way over: a switch writes a version only after all hops hold it, and it leaves them only when no switch
can still be writing it; one out of reach counts with all it may hold, so it keeps what it writes.  A number that is
used again is no danger either: nobody writes it before each switch on the way has confirmed its new meaning.

Versions stand in order of preference, best last.  Knows no switch, no clock and no program: what a switch confirmed,
or may be writing, is told.  When the edge's id changes or it is no edge any more, its versions are simply dropped.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

from controller.fabric.paths import Tree

N_VERSIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeVersion:
    """One tree toward the edge as it is, or is being, installed under one version number."""

    version: int
    hops: Tree
    """closed and without loops; may still hold switches that have lost their way to the edge since"""
    pending: frozenset[int]
    """switches that have not confirmed to hold this version's flow with exactly this hop"""


Versions = tuple[TreeVersion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLabels:
    """All labels of one edge.  With another edge id they are other labels, and nothing confirmed holds for them."""

    edge_id: int
    versions: Versions


def label16(edge_id: int, version: int) -> int:
    """The label as frames carry it: edge id (12 bits) . 0 (working tree) . version (3 bits)."""
    return edge_id << 4 | version


def advance(versions: Versions, wanted: Tree) -> Versions:
    """Make a version of the wanted tree the best one; the same object if it is already.

    A version fits if it differs from the wanted tree only in switches that the tree has not; the tree's further
    switches are added to it as pending.  So a switch that joins or drops out renumbers nothing, and a link that flaps
    goes back and forth between two versions that are both installed.  Without a fitting one a new version is made;
    if all numbers are taken, nothing happens until prune has freed one: call again then.
    """
    if not wanted:
        return ()
    fitting = [v for v in reversed(versions) if all(v.hops.get(dpid, hop) == hop for dpid, hop in wanted.items())]
    if fitting:
        best = min(fitting, key=lambda v: sum(dpid not in v.hops for dpid in wanted))
        added = [dpid for dpid in wanted if dpid not in best.hops]
        if not added and best is versions[-1]:
            return versions
        extended = replace(best, hops=best.hops.update(wanted), pending=best.pending.union(added))
        return (*(v for v in versions if v is not best), extended)
    number = _free_number(versions)
    if number is None:
        return versions
    return (*versions, TreeVersion(version=number, hops=wanted, pending=frozenset(wanted)))


def confirmed(versions: Versions, dpid: int, version: int) -> Versions:
    """The switch holds that version's flow, with its hop.  Sticky: a switch that loses the flow will get it again."""
    return tuple(
        replace(v, pending=v.pending - {dpid}) if v.version == version and dpid in v.pending else v for v in versions
    )


def choice(versions: Versions, dpid: int) -> int | None:
    """The version this switch should write: the best that it and every switch from there to the edge confirmed."""
    return next((v.version for v in reversed(versions) if _is_complete(v, dpid)), None)


def prune(versions: Versions, in_use: Set[int]) -> Versions:
    """Drop what nobody writes and nobody waits for; call whenever a switch confirmed something.

    `in_use`: every version that some switch may be writing (confirmed, or sent and not yet confirmed, or held by a
    switch out of reach) or is going to be told to write.  Versions better than some switch's choice may become its
    choice, so they stay, too, unless all numbers are taken: then only the best is worth waiting for.
    """
    best = versions[-1:]
    place = {v.version: i for i, v in enumerate(versions)}
    choices = [choice(versions, dpid) for v in best for dpid in v.hops]
    waited_for = min((0 if c is None else place[c] for c in choices), default=0)
    if len(versions) == N_VERSIONS:
        waited_for = N_VERSIONS
    kept = tuple(v for i, v in enumerate(versions) if i >= waited_for or v in best or v.version in in_use)
    return versions if len(kept) == len(versions) else kept


def _is_complete(version: TreeVersion, dpid: int) -> bool:
    hops, pending = version.hops, version.pending
    while dpid in hops and dpid not in pending:
        if hops[dpid].dpid == dpid:
            return True
        dpid = hops[dpid].dpid
    return False


def _free_number(versions: Versions) -> int | None:
    """The free number that comes next in turn after the best, so that each is reused as late as possible."""
    used = {v.version for v in versions}
    start = versions[-1].version + 1 if versions else 0
    return next((n % N_VERSIONS for n in range(start, start + N_VERSIONS) if n % N_VERSIONS not in used), None)
