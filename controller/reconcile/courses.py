"""Which ways the frames of a network take from edge to edge: as installed, and as they would be.

The one place that says so to whoever adds up loads.  A Route names the network only if its path policy has a say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from controller.fabric.graph import Fabric
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.plan import Plan, Planner
from controller.reconcile.labelling import Labelling
from controller.reconcile.loads import Course, Route, tree_course


class Installed:
    """By the labels that switches write, may be writing, and are going to write."""

    def __init__(self, labelling: Labelling) -> None:
        self._labelling = labelling

    def __call__(self, route: Route) -> Sequence[Course]:
        _, src, dst = route
        return [tree_course(plan, src, dst) for plan in self._labelling.going(src, dst)]


class Foreseen:
    """By the plans as they are, and those that there would be toward a switch that is no edge yet."""

    def __init__(self, fabric: Fabric, plans: Mapping[int, Plan]) -> None:
        self._fabric = fabric
        self._plans = dict(plans)
        self._planner: Planner | None = None

    def __call__(self, route: Route) -> Sequence[Course]:
        _, src, dst = route
        return [tree_course(self._plan(dst), src, dst)]

    def _plan(self, edge: int) -> Plan:
        if edge not in self._plans:
            self._planner = self._planner or Planner(Topology.of(self._fabric))
            self._plans[edge] = self._planner.toward(edge)
        return self._plans[edge]
