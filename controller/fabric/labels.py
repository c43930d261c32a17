"""The versions of one edge's labels: how traffic moves from one plan to the next without a loop and without a gap.

A label is (edge id, version, tree).  A version holds one plan (paths/plan.py): up to four working trees, and a pair of
backup trees to fail over to.  When the wanted plan becomes another one:

    it is that of a version that is there  --advance-->  that version is the best again
    every mixture of the two is safe       --advance-->  the best version itself becomes it, switch by switch
    else                                   --advance-->  a new version, pending on every switch

    a switch holds it        --confirmed-->  no longer pending there, for good, and nothing earlier held
    a switch asks            --choice-->     the best version that every switch its frames may come to confirmed
    nobody writes it         --prune-->      gone, and its number is free

Why no frame loops: a frame keeps its version from edge to edge, and its tree, but that it changes once from a working
to a backup tree where a link is dead; and under one label no mixture of hops that switches may hold has a circle
(paths/mixed.py).  Why no frame is lost on the way over: a switch writes a version only after all hops hold it, and it
leaves them only when no switch can still be writing it; one out of reach counts with all it may hold, so it keeps what
it writes.  A version number that is used again is no danger either: nobody writes it before each switch on the way has
confirmed its new meaning.

Versions stand in order of preference, best last.  Knows no switch, no clock and no program: what a switch confirmed,
or may be writing, is told.  When the edge's id changes or it is no edge any more, its versions are simply dropped.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from typing import NamedTuple

from immutables import Map

from controller.fabric.paths.mixed import may_mix
from controller.fabric.paths.plan import NO_FAILOVER, Hops, Plan

N_VERSIONS = 4
NUMBER_BITS = 5
MAX_EARLIER = 4
"""One out of reach holds what it holds, but may be told so many other things before a new version is simpler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeVersion:
    """One plan toward the edge as it is, or is being, installed under one version number."""

    version: int
    hops: Plan
    """closed and without loops; may still hold switches that have lost their way to the edge since"""
    pending: frozenset[int]
    """switches that have not confirmed to hold this version's flows"""
    earlier: Map[int, tuple[Hops, ...]] = Map()
    """dpid -> hops that the switch may still hold instead, for it has not confirmed those it shall have"""

    @property
    def owed(self) -> frozenset[int]:
        """The switches whose confirmation is still to come."""
        return self.pending.union(self.earlier)

    def held(self, dpid: int) -> tuple[Hops, ...]:
        """All that the switch may do with frames of this version, if it holds them: what it shall do is the first."""
        return (self.hops[dpid], *self.earlier.get(dpid, ()))

    @property
    def plans(self) -> list[Plan]:
        """The plan that it shall hold, and those before it that are not gone from every switch yet."""
        changes = max((len(held) for held in self.earlier.values()), default=0)
        return [self.hops, *(
            self.hops.update({dpid: held[min(i, len(held) - 1)] for dpid, held in self.earlier.items()})
            for i in range(changes)
        )]


Versions = tuple[TreeVersion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLabels:
    """All labels of one edge.  With another edge id they are other labels, and nothing confirmed holds for them."""

    edge_id: int
    versions: Versions


def label_number(version: int, tree: int, *, backup: bool = False) -> int:
    """Which of an edge's labels: backup (1 bit) . version (2 bits) . tree (2 bits)."""
    return backup << 4 | version << 2 | tree


def version_of(number: int) -> int:
    """The version that a label number belongs to."""
    return number >> 2 & N_VERSIONS - 1


class LabelHop(NamedTuple):
    """What a switch does with frames under one label."""

    port_no: int
    """where they leave; 0 at the edge, where the label ends"""
    failover_port_no: int = 0
    """where they leave while the link of `port_no` is dead; 0: nowhere"""
    failover_number: int = 0
    """the label number they then go on with"""


class Choice(NamedTuple):
    """What a switch writes toward an edge: the labels of one version, spread over its working trees."""

    version: int
    n_trees: int


def label_hops(versions: Versions) -> dict[int, dict[int, LabelHop]]:
    """dpid -> {label number: what to do with it}."""
    hops: dict[int, dict[int, LabelHop]] = {}
    for v in versions:
        for dpid, at in v.hops.items():
            here = hops.setdefault(dpid, {})
            for tree, hop in enumerate(at.backup):
                here[label_number(v.version, tree, backup=True)] = LabelHop(hop.port_no)
            for tree, hop in enumerate(at.working):
                other = at.failover[tree] if at.failover else NO_FAILOVER
                protected = () if other == NO_FAILOVER else (
                    at.backup[other].port_no, label_number(v.version, other, backup=True))
                here[label_number(v.version, tree)] = LabelHop(hop.port_no, *protected)
    return hops


def label16(edge_id: int, number: int) -> int:
    """The label as frames carry it: edge id (11 bits) . label number (5 bits)."""
    return edge_id << NUMBER_BITS | number


def edge_of(label: int) -> int:
    """The edge id of a label as frames carry it."""
    return label >> NUMBER_BITS


def number_in(label: int) -> int:
    """Which of its edge's labels it is."""
    return label & (1 << NUMBER_BITS) - 1


def advance(versions: Versions, wanted: Plan, *, in_place: bool = True) -> Versions:
    """Make a version of the wanted plan the best one; the same object if it is already.

    A version fits if it differs from the wanted plan only in switches that the plan has not; the plan's further
    switches are added to it as pending.  So a switch that joins or drops out renumbers nothing, and a link that flaps
    goes back and forth between two versions that are both installed.  Without a fitting one the best one is changed
    where it stands, if it may be, or else a new version is made; if all numbers are taken, nothing happens until prune
    has freed one: call again then.

    Not `in_place`: somebody relies on where the trees of a version lead, so the best is one that leads nowhere else.
    """
    if not wanted:
        return ()
    fitting = [v for v in reversed(versions) if (in_place or not v.earlier) and fits(v, wanted)]
    if fitting:
        best = min(fitting, key=lambda v: sum(dpid not in v.hops for dpid in wanted))
        added = [dpid for dpid in wanted if dpid not in best.hops]
        if not added and best is versions[-1]:
            return versions
        extended = replace(best, hops=best.hops.update(wanted), pending=best.pending.union(added))
        return (*(v for v in versions if v is not best), extended)
    if in_place and versions and (moved := _moved(versions[-1], wanted)) is not None:
        return (*versions[:-1], moved)
    number = _free_number(versions)
    if number is None:
        return versions
    return (*versions, TreeVersion(version=number, hops=wanted, pending=frozenset(wanted)))


def confirmed(versions: Versions, dpid: int, version: int) -> Versions:
    """The switch holds that version's flow, with its hop.  Sticky: a switch that loses the flow will get it again."""
    return tuple(_settled(v, dpid) if v.version == version and dpid in v.owed else v for v in versions)


def choices(versions: Versions) -> dict[int, int]:
    """What each switch should write: the best version that it, and all switches its frames may come to, confirmed."""
    chosen: dict[int, int] = {}
    for v in versions:
        chosen.update(dict.fromkeys(_complete(v), v.version))
    return chosen


def choice(versions: Versions, dpid: int) -> int | None:
    """The same of one switch; None: nothing yet."""
    return choices(versions).get(dpid)


def prune(versions: Versions, in_use: Set[int]) -> Versions:
    """Drop what nobody writes and nobody waits for; call whenever a switch confirmed something, and after advance.

    `in_use`: every version that some switch may be writing (confirmed, or sent and not yet confirmed, or held by a
    switch out of reach) or is going to be told to write.  Versions better than some switch's choice may become its
    choice, so they stay, too, unless all numbers are taken: then only the best is worth waiting for.
    """
    if len(versions) < 2:  # as nearly always, and each switch that confirms asks for each edge
        return versions
    best = versions[-1:]
    place = {v.version: i for i, v in enumerate(versions)}
    chosen = choices(versions)
    waited_for = min((place[chosen[dpid]] if dpid in chosen else 0 for v in best for dpid in v.hops), default=0)
    if len(versions) == N_VERSIONS:
        waited_for = N_VERSIONS
    kept = tuple(v for i, v in enumerate(versions) if i >= waited_for or v in best or v.version in in_use)
    return versions if len(kept) == len(versions) else kept


def fits(version: TreeVersion, wanted: Plan) -> bool:
    """Whether it does with every switch of the wanted plan what the plan wants."""
    return all(version.hops.get(dpid, hops) == hops for dpid, hops in wanted.items())


def _moved(version: TreeVersion, wanted: Plan) -> TreeVersion | None:
    """The version with the hops of the wanted plan; None if switches may not go over to them one by one."""
    earlier, joining = version.earlier, []
    for dpid, hops in wanted.items():
        if dpid not in version.hops:
            joining.append(dpid)
        elif hops != version.hops[dpid]:
            earlier = earlier.set(dpid, tuple(held for held in version.held(dpid) if held != hops))
    if any(len(held) > MAX_EARLIER for held in earlier.values()):
        return None
    moved = replace(
        version, hops=version.hops.update(wanted), pending=version.pending.union(joining), earlier=earlier
    )  # fmt: skip
    if not may_mix({dpid: moved.held(dpid) for dpid in moved.hops}):
        return None
    if moved.pending and not _complete(version) <= _complete(moved):
        return None  # frames would come to a switch that may not hold this version yet
    return moved


def _settled(version: TreeVersion, dpid: int) -> TreeVersion:
    earlier = version.earlier.delete(dpid) if dpid in version.earlier else version.earlier
    return replace(version, pending=version.pending - {dpid}, earlier=earlier)


def _complete(version: TreeVersion) -> set[int]:
    """The switches whose frames under this version, on whatever tree, come only to switches that confirmed it."""
    complete, todo = set(version.hops), list(version.pending)
    if not todo:
        return complete
    before: dict[int, list[int]] = {}
    for dpid in version.hops:
        for onward in set().union(*(hops.onward for hops in version.held(dpid))):
            before.setdefault(onward, []).append(dpid)
    while todo:
        at = todo.pop()
        if at in complete:
            complete.remove(at)
            todo += before.get(at, ())
    return complete


def _free_number(versions: Versions) -> int | None:
    """The free number that comes next in turn after the best, so that each is reused as late as possible."""
    used = {v.version for v in versions}
    start = versions[-1].version + 1 if versions else 0
    return next((n % N_VERSIONS for n in range(start, start + N_VERSIONS) if n % N_VERSIONS not in used), None)
