"""Which ways the frames of a network take from edge to edge: as installed, and as they would be.

The one place that says so to whoever adds up loads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from controller.fabric.explicit import Steer
from controller.fabric.graph import Fabric
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.plan import Plan
from controller.fabric.paths.policy import PolicyPaths
from controller.model.network import ANY_PATH
from controller.reconcile.labelling import Labelling
from controller.reconcile.loads import Course, ExplicitStrand, Route, Strand, TreeStrand, tree_course
from controller.reconcile.steering import Steering


class Installed:
    """By the labels that switches write, may be writing, and are going to write."""

    def __init__(self, labelling: Labelling, steering: Steering) -> None:
        self._labelling = labelling
        self._steering = steering

    def __call__(self, route: Route) -> Sequence[Course]:
        plans = self._labelling.going(route.src, route.dst)
        every = [tree_course(plan, route.src, route.dst) for plan in plans]
        if not route.network:
            return every
        courses: list[Course] = []
        for steer in self._steering.going(route.network, route.src, route.dst):
            courses += every if steer is None else [self._steered(route, steer)]
        return courses

    def _steered(self, route: Route, steer: Steer) -> Course:
        strands: list[Strand] = [ExplicitStrand(self._steering.route(number)) for number in steer.numbers]
        if steer.trees:
            plan = self._labelling.plan_of(route.dst, steer.version)
            strands += tree_course(plan, route.src, route.dst, steer.trees)
        return strands


class Foreseen:
    """By the plans as they are, those that there would be toward a switch that is no edge yet, and path policies."""

    def __init__(self, fabric: Fabric, plans: Mapping[int, Plan]) -> None:
        self._fabric = fabric
        self._plans = plans

    def __call__(self, route: Route) -> Sequence[Course]:
        plan = self._plans.get(route.dst)
        if plan is None:
            plan = self._paths.plan(route.dst)
        every = tree_course(plan, route.src, route.dst)
        if route.policy == ANY_PATH or not every:
            return [every]
        verdict = self._paths.verdict_for(route.network, route.src, route.dst, route.policy, plan)
        if verdict.any_tree:
            return [every]
        return [[ExplicitStrand(way.route) if way.tree is None else TreeStrand(plan, route.src, route.dst, way.tree)
                 for way in verdict.ways]]

    @cached_property
    def _paths(self) -> PolicyPaths:
        return PolicyPaths(Topology.of(self._fabric))
