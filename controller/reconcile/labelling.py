"""Which label versions stand where, who may be writing them, and when the old ones can go.

fabric/labels.py knows one edge's versions; this module keeps all edges' and feeds them with what switches confirmed:

    retree     topology or edges changed       -> new versions where the tree is another one
    confirm    a switch holds its target        -> labels become usable, versions that nobody writes any more go
    map        an edge's versions changed       -> the world's labels and choices, and which of them differ

Make-before-break across switches falls out of it: an edge flips to a version only when every switch on the way
confirmed it, and a version leaves the switches only when none can still be writing it; one out of reach counts with
all it may have held.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TypeVar

from immutables import Map

from controller.fabric.graph import Fabric
from controller.fabric.labels import (
    N_VERSIONS,
    Choice,
    EdgeLabels,
    LabelHop,
    TreeVersion,
    Versions,
    advance,
    choices,
    confirmed,
    fits,
    label_hops,
    prune,
)
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.plan import Plan, Planner

DRAINED_AGES = 2
"""Frames may still be under way with a label that nobody writes any more: it stays for more than one whole age."""
V = TypeVar("V")
N = TypeVar("N")
Pair = tuple[int, int]
"""(dpid, edge dpid)"""


class Labelling:
    """The label versions of every edge.  Owned by the reconcile thread."""

    def __init__(self, kept: Mapping[int, EdgeLabels] | None = None) -> None:
        """`kept`: what a former process knew, by edge (dpid)."""
        self.versions: dict[int, Versions] = {edge: labels.versions for edge, labels in (kept or {}).items()}
        self._edge_ids: dict[int, int] = {edge: labels.edge_id for edge, labels in (kept or {}).items()}
        self.plans: Map[int, Plan] = Map()
        """edge -> the plan toward it as of now: whoever is not in it has no path there"""
        self.starved: Map[int, frozenset[int]] = Map()
        """edges whose plan waits for a free number, and the switches that hold all of them"""
        self._rejoined: set[Pair] = set()
        self._edges: frozenset[int] = frozenset()
        self._due: dict[int, dict[Pair, int]] = {}
        """dpid -> {(edge, version): epoch that put these hops into its target}, for those not yet confirmed"""
        self._flips: dict[int, dict[int, int]] = {}
        """dpid -> {edge: epoch that last changed its choice}, until it is confirmed"""
        self._may_write: dict[int, dict[int, frozenset[int]]] = {}
        """edge -> {dpid: label versions it may be writing}"""
        self._mapped: dict[int, list[tuple[int, Plan]]] = {}
        self._hops: dict[int, dict[int, Map[int, LabelHop]]] = {}
        self._choices: dict[int, dict[int, Choice]] = {}
        """edge -> {dpid: ...}, as last mapped"""
        self._draining: dict[int, dict[int, int]] = {}
        """edge -> {version that nobody writes any more: age at which that was known}"""
        self._age = 0
        self._restored = set(self.versions)
        self._moved: set[int] = set(self.versions)
        self._changed: set[int] = set()
        self._unmapped: set[int] = set(self.versions)

    def retree(self, fabric: Fabric, edge_ids: Mapping[int, int], promised: Set[int] = frozenset()) -> None:
        """The topology or the set of edges (dpid -> edge id) changed: bring every edge's versions up to it.

        `promised`: edges toward which some frames must not touch parts of the fabric, by trees that were chosen for it.
        """
        self._edges = frozenset(edge for edge in edge_ids if edge in fabric.switches)
        for edge in list(self.versions):
            if edge not in self._edges or self._edge_ids[edge] != edge_ids[edge]:
                self._set(edge, ())
        for edge in set(self.plans) - self._edges:
            self.plans = self.plans.delete(edge)
        for edge in set(self.starved) - self._edges:
            self.starved = self.starved.delete(edge)
        planner = Planner(Topology.of(fabric))
        for edge in sorted(self._edges):
            self._edge_ids[edge] = edge_ids[edge]
            before, plan = self.plans.get(edge, Map()), planner.toward(edge)
            self._rejoined |= {(dpid, edge) for dpid in self._edges if (dpid in before) != (dpid in plan)}
            self.plans = self.plans.set(edge, plan)
            self._advance(edge, in_place=edge not in promised)
            if edge in self._restored:
                # What a switch writes is not known until it is read, but it is nothing that it had not confirmed.  Were
                # it any version, one that is gone for good would hold, with some restarts, all numbers.
                for dpid in fabric.switches:
                    self._may_write.setdefault(edge, {})[dpid] = frozenset(
                        v.version for v in self.versions.get(edge, ()) if dpid in v.hops and dpid not in v.pending)
                    self._flips.setdefault(dpid, {}).setdefault(edge, 0)
            if len(self.versions.get(edge, ())) > 1:
                self._prune(edge)
        self._restored.clear()
        # A new edge has a choice to make toward every other.
        self._unmapped |= self._edges

    def confirm(self, dpid: int, epoch: int, refused: frozenset[Pair], *, clean: bool) -> None:
        """The switch holds its target of `epoch`, but for the labels (edge, version) that it refused.

        Not `clean`: something of before is still on it, so it may be writing the labels of before.
        """
        due = self._due.get(dpid, {})
        held = [pair for pair, since in due.items() if since <= epoch and pair not in refused]
        for edge, version in held:
            del due[edge, version]
            self._set(edge, confirmed(self.versions.get(edge, ()), dpid, version))
        flips = self._flips.get(dpid, {})
        flipped = [edge for edge, since in flips.items() if since <= epoch and clean]
        for edge in flipped:
            del flips[edge]
            chosen = self._choices.get(edge, {}).get(dpid)
            self._may_write.setdefault(edge, {})[dpid] = frozenset() if chosen is None else frozenset((chosen.version,))
        self._moved.update(flipped)
        for edge in sorted({*flipped, *(edge for edge, _ in held)}):
            self._prune(edge)

    def plan_of(self, edge: int, version: int) -> Plan:
        """The plan of one of the edge's versions; of one that it has not, the plan as of now."""
        found = (v.hops for v in self.versions.get(edge, ()) if v.version == version)
        return next(found, self.plans.get(edge, Map()))

    def in_use(self, dpid: int, edge: int) -> TreeVersion | None:
        """The version that the switch writes toward the edge, as last mapped."""
        chosen = self._choices.get(edge, {}).get(dpid)
        versions = self.versions.get(edge, ()) if chosen is not None else ()
        return next((v for v in versions if chosen is not None and v.version == chosen.version), None)

    @property
    def can_map(self) -> bool:
        """Whether `map` has something to say."""
        return bool(self._unmapped)

    @property
    def is_draining(self) -> bool:
        """Whether `age` has something to wait for."""
        return bool(self._draining)

    def age(self) -> None:
        """Called regularly, further apart than a frame takes to cross the fabric: drops what has drained."""
        self._age += 1
        for edge in sorted(self._draining):
            self._prune(edge)

    def forget(self, dpid: int) -> None:
        """The operator removed the switch: what it may be writing counts no longer."""
        self._due.pop(dpid, None)
        self._flips.pop(dpid, None)
        for edge, writers in self._may_write.items():
            if writers.pop(dpid, None):
                self._moved.add(edge)
                self._prune(edge)

    def take_rejoined(self) -> set[Pair]:
        """(edge, other edge) between which a path came or went since the last call."""
        rejoined, self._rejoined = self._rejoined, set()
        return rejoined

    def take_moved(self) -> set[int]:
        """The edges toward which frames may go otherwise since the last call: see `going`."""
        moved, self._moved = self._moved, set()
        return moved

    def going(self, dpid: int, edge: int) -> list[Plan]:
        """The plans that frames from one edge toward another may go by: now, while a flip is not confirmed, and next.
        """
        versions, chosen = self.versions.get(edge, ()), self._choices.get(edge, {}).get(dpid)
        written = self._may_write.get(edge, {}).get(dpid, frozenset()) | ({chosen.version} if chosen else set())
        plans = [plan for v in versions if v.version in written or v is versions[-1] for plan in v.plans]
        if edge in self.plans and len(versions) in (0, N_VERSIONS):  # then the plan may have to wait for a number
            plans.append(self.plans[edge])
        return plans

    def mark_all_changed(self) -> None:
        """Whoever keeps labels may not have kept the last changes."""
        self._changed |= self._edge_ids.keys()

    def take_changed(self) -> dict[int, EdgeLabels]:
        """The labels of the edges that changed since the last call, for whoever keeps them."""
        changed, self._changed = self._changed, set()
        versions = ((edge, self.versions.get(edge, ())) for edge in changed)
        return {edge: EdgeLabels(edge_id=self._edge_ids[edge], versions=trees) for edge, trees in versions}

    def map(self, epoch: int) -> tuple[dict[Pair, Map[int, LabelHop]], dict[Pair, Choice | None]]:
        """What differs, since the last call, of the labels (by number) and the choice of each (dpid, edge).

        An empty map or None: there is none any more.  `epoch` is the step that will hand this to the switches.
        """
        labels: dict[Pair, Map[int, LabelHop]] = {}
        chosen: dict[Pair, Choice | None] = {}
        unmapped, self._unmapped = self._unmapped, set()
        self._moved |= unmapped
        for edge in sorted(unmapped):
            versions = self.versions.get(edge, ())
            none: Map[int, LabelHop] = Map()
            mapped = dict(self._mapped.get(edge, ()))
            for tree in versions:
                before = mapped.get(tree.version, tree.hops)
                for dpid in tree.owed:
                    due, pair = self._due.setdefault(dpid, {}), (edge, tree.version)
                    if pair not in due or before.get(dpid) != tree.hops[dpid]:
                        due[pair] = epoch
            if (plans := [(v.version, v.hops) for v in versions]) != self._mapped.get(edge, []):
                self._mapped[edge] = plans
                hops = {dpid: Map(by_number) for dpid, by_number in label_hops(versions).items()}
                for dpid, by_number in self._differing(self._hops.setdefault(edge, {}), hops, none):
                    labels[dpid, edge] = by_number
            for dpid, best in self._differing(self._choices.setdefault(edge, {}), self._chosen(edge), None):
                chosen[dpid, edge] = best
                if best is not None:
                    writers = self._may_write.setdefault(edge, {})
                    writers[dpid] = writers.get(dpid, frozenset()) | {best.version}
                self._flips.setdefault(dpid, {})[edge] = epoch
        return labels, chosen

    def _chosen(self, edge: int) -> dict[int, Choice]:
        """What each other edge can write toward this one."""
        versions = self.versions.get(edge, ())
        n_trees = {v.version: len(v.hops[edge].working) for v in versions}
        writers = self._edges - {edge} if edge in self._edges else ()
        return {dpid: Choice(v, n_trees[v]) for dpid, v in choices(versions).items() if dpid in writers}

    @staticmethod
    def _differing(held: dict[int, V], wanted: dict[int, V], nothing: N) -> list[tuple[int, V | N]]:
        """Make `held` equal to `wanted`; returns what was different, by dpid."""
        differing: list[tuple[int, V | N]] = [(dpid, nothing) for dpid in sorted(held.keys() - wanted.keys())]
        differing += [(dpid, value) for dpid, value in sorted(wanted.items()) if held.get(dpid) != value]
        held.clear()
        held.update(wanted)
        return differing

    def _advance(self, edge: int, *, in_place: bool) -> None:
        plan = self.plans[edge]
        versions = advance(self.versions.get(edge, ()), plan, in_place=in_place)
        self._set(edge, versions)
        if versions and not fits(versions[-1], plan):
            self.starved = self.starved.set(edge, self._holding_up(edge))
        elif edge in self.starved:
            self.starved = self.starved.delete(edge)

    def _holding_up(self, edge: int) -> frozenset[int]:
        """The switches that may be writing other versions than the best."""
        best = {self.versions[edge][-1].version}
        return frozenset(dpid for dpid, written in self._may_write.get(edge, {}).items() if written - best)

    def _set(self, edge: int, versions: Versions) -> None:
        before = self.versions.get(edge, ())
        if versions == before:
            return
        for version in {tree.version for tree in before} - {tree.version for tree in versions}:
            for due in self._due.values():
                due.pop((edge, version), None)
        if versions:
            self.versions[edge] = versions
        else:
            self.versions.pop(edge, None)
        self._changed.add(edge)
        self._unmapped.add(edge)

    def _prune(self, edge: int) -> None:
        """Drop the versions that nobody can be writing any more and that have drained; a plan that waited for a free
        number then moves up.

        In two steps: whoever still owes the confirmation of a dropped version must not owe it to the next one that
        gets its number.
        """
        versions = self.versions.get(edge, ())
        in_use: set[int] = set().union(*self._may_write.get(edge, {}).values())
        unused = set(versions).difference(prune(versions, in_use))
        dropped = {v for v in unused if self._has_drained(edge, v.version) or len(versions) == N_VERSIONS}
        draining = {v.version: self._draining.get(edge, {}).get(v.version, self._age) for v in unused - dropped}
        if draining:
            self._draining[edge] = draining
        else:
            self._draining.pop(edge, None)
        if dropped:
            self._set(edge, tuple(v for v in versions if v not in dropped))
            if edge in self.plans:
                self._advance(edge, in_place=False)

    def _has_drained(self, edge: int, version: int) -> bool:
        since = self._draining.get(edge, {}).get(version)
        return since is not None and self._age - since >= DRAINED_AGES
