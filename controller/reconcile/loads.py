"""Which share of the traffic between two edges crosses each link: under the labels that are written, and in a failure.

    strands    the ways that frames may take, each an equal share of the connections: the working trees of a plan
    courses    for every plan that frames may go by now or next (make-before-break), its strands; what counts on each
               link is the largest share under any of them, so nothing is promised twice while labels move
    crossing   {link: share}; a strand that meets a dead link goes on as the switches themselves do, by fast failover

Which strands a network has is courses.py's; here nothing knows labels' versions, policies or guarantees.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple, Protocol

from controller.fabric.explicit import Route as Explicit
from controller.fabric.graph import Fabric
from controller.fabric.paths.plan import NO_FAILOVER, Plan
from controller.fabric.ports import EndPoint
from controller.model.network import PathPolicy

Crossing = Mapping[EndPoint, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The links as they are, or as they would be with some of them cut."""

    fabric: Fabric
    cut: frozenset[EndPoint] = frozenset()

    def is_dead(self, link: EndPoint) -> bool:
        known = self.fabric.links.get(link)
        return known is None or not known.up or link in self.cut

    def fails_over(self, dpid: int) -> bool:
        """Whether the switch can change to a backup by itself."""
        switch = self.fabric.switches.get(dpid)
        return switch is not None and switch.features.max_groups > 0

    def without(self, link: EndPoint) -> Ground:
        """With this wire cut, both ways."""
        known = self.fabric.links.get(link)
        wire = {link} if known is None else {link, known.dst}
        return Ground(fabric=self.fabric, cut=self.cut | wire)


class Strand(Protocol):
    """One way from edge to edge."""

    def links(self, ground: Ground) -> tuple[tuple[EndPoint, ...], bool]:
        """The links that a frame crosses, in order, and whether it arrives; else it is lost after the last of them."""
        ...


Course = Sequence[Strand]
"""Strands that are in use at the same time, each for an equal share of the connections."""


@dataclass(frozen=True, slots=True)
class TreeStrand:
    """The way of one working tree of a plan."""

    plan: Plan
    src: int
    dst: int
    tree: int

    def links(self, ground: Ground) -> tuple[tuple[EndPoint, ...], bool]:
        found: list[EndPoint] = []
        at, backup = self.src, NO_FAILOVER
        while at != self.dst:
            hops = self.plan.get(at)
            if hops is None:
                return tuple(found), False
            hop = hops.working[self.tree] if backup == NO_FAILOVER else hops.backup[backup]
            if backup == NO_FAILOVER and ground.is_dead(EndPoint(at, hop.port_no)):
                if hops.failover and ground.fails_over(at):
                    backup = hops.failover[self.tree]
                if backup == NO_FAILOVER:
                    return tuple(found), False
                hop = hops.backup[backup]
            link = EndPoint(at, hop.port_no)
            if ground.is_dead(link):
                return tuple(found), False
            found.append(link)
            at = hop.dpid
        return tuple(found), True


@dataclass(frozen=True, slots=True)
class ExplicitStrand:
    """An explicit path; where it is dead frames go back the way they came, to where the backup leaves."""

    path: Explicit

    def links(self, ground: Ground) -> tuple[tuple[EndPoint, ...], bool]:
        found: list[EndPoint] = []
        for leg in self.path.working:
            if not ground.is_dead(leg.src):
                found.append(leg.src)
                continue
            at = leg.src.dpid
            if not self.path.backup or not ground.fails_over(at):
                return tuple(found), False
            around = self._around(at)
            alive = list(takewhile(lambda link: not ground.is_dead(link), around))
            return (*found, *alive), alive == around
        return tuple(found), True

    def _around(self, at: int) -> list[EndPoint]:
        """The links from a switch on the path to its end, by the backup."""
        links: list[EndPoint] = []
        leaves = {leg.src.dpid: i for i, leg in enumerate(self.path.backup)}
        behind = {leg.dst.dpid: leg for leg in self.path.working}
        while at not in leaves and at in behind:
            links.append(behind[at].dst)
            at = behind[at].src.dpid
        return [*links, *(leg.src for leg in self.path.backup[leaves.get(at, 0):])]


def tree_course(plan: Plan, src: int, dst: int, trees: Sequence[int] = ()) -> Course:
    """The working trees of a plan, or of them only these; none from where there is no path."""
    if src not in plan or dst not in plan:
        return ()
    n_trees = len(plan[src].working)
    return [TreeStrand(plan, src, dst, tree) for tree in sorted({tree % n_trees for tree in trees} or range(n_trees))]


class Carried(NamedTuple):
    """What becomes of a pair's traffic as things are."""

    crossing: Crossing
    arrives: bool
    """some of it does"""


def carried(courses: Sequence[Course], ground: Ground) -> Carried:
    as_is = [[strand.links(ground) for strand in course] for course in courses]
    crossing = _largest([[links for links, _ in strands] for strands in as_is])
    return Carried(crossing, any(arrives for strands in as_is for _, arrives in strands))


def crossing(courses: Sequence[Course], ground: Ground) -> Crossing:
    """The largest share on each link under any of the courses."""
    return carried(courses, ground).crossing


def _largest(courses: Sequence[Sequence[Sequence[EndPoint]]]) -> dict[EndPoint, float]:
    """Of the links of each strand of each course."""
    largest: dict[EndPoint, float] = {}
    for course in courses:
        shares: dict[EndPoint, int] = {}
        for links in course:
            for link in links:
                shares[link] = shares.get(link, 0) + 1
        for link, n_strands in shares.items():
            largest[link] = max(largest.get(link, 0.0), n_strands / len(course))
    return largest


class Failing(NamedTuple):
    """What becomes of a pair's traffic while one wire is dead and nobody has told the switches."""

    crossing: Crossing
    arrives: bool
    """all of it does"""


def failing(
    courses: Sequence[Course], ground: Ground, without: Callable[[EndPoint], Ground],
) -> dict[EndPoint, Failing]:
    """For each wire that the courses use, by the lesser of its ends; `without`: the ground without that wire."""
    as_is = [[strand.links(ground)[0] for strand in course] for course in courses]
    wires: dict[EndPoint, None] = {}
    for link in {link for course in as_is for links in course for link in links}:
        known = ground.fabric.links.get(link)
        wires[link if known is None else min(link, known.dst)] = None
    found = {}
    for wire in sorted(wires):
        arrives, cut = True, without(wire)
        then: list[list[tuple[EndPoint, ...]]] = []
        for course, strands in zip(courses, as_is, strict=True):
            then.append([])
            for strand, links in zip(course, strands, strict=True):
                if not cut.cut.isdisjoint(links):
                    links, still_arrives = strand.links(cut)
                    arrives &= still_arrives
                then[-1].append(links)
        found[wire] = Failing(_largest(then), arrives)
    return found


class Route(NamedTuple):
    """From one edge to another, for a network whose path policy has a say, or "" and ANY_PATH for all others."""

    network: str
    policy: PathPolicy
    src: int
    dst: int


class _Everywhere(Container[Route]):
    def __contains__(self, route: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True


EVERYWHERE: Container[Route] = _Everywhere()
"""All routes there are."""
FindCourses = Callable[[Route], Sequence[Course]]


class Loads:
    """What becomes of each route's traffic, worked out once.  Used by one thread at a time."""

    def __init__(self, courses: FindCourses, ground: Ground) -> None:
        self._courses = courses
        self._ground = ground
        self._carried: dict[Route, Carried] = {}
        self._failing: dict[Route, Mapping[EndPoint, Failing]] = {}
        self._cut: dict[EndPoint, Ground] = {}

    def carried(self, route: Route) -> Carried:
        if route not in self._carried:
            self._carried[route] = carried(self._courses(route), self._ground)
        return self._carried[route]

    def failing(self, route: Route) -> Mapping[EndPoint, Failing]:
        if route not in self._failing:
            self._failing[route] = failing(self._courses(route), self._ground, self._without)
        return self._failing[route]

    def _without(self, wire: EndPoint) -> Ground:
        if wire not in self._cut:
            self._cut[wire] = self._ground.without(wire)
        return self._cut[wire]

    def renew(self, fabric: Fabric, edges: Set[int], networks: Set[str], *, everywhere: bool) -> set[Route]:
        """Labels toward these edges, what is written for these networks, or links anywhere, are other ones: the routes
        on which that changes anything.
        """
        self._ground = Ground(fabric=fabric)
        self._cut.clear()
        changed = set()
        for route in [route for route in self._carried if everywhere or route.dst in edges
                      or route.network in networks]:
            before, was_failing = self._carried.pop(route), self._failing.pop(route, None)
            if self.carried(route) != before or (was_failing is not None and self.failing(route) != was_failing):
                changed.add(route)
        return changed
