"""Which ways a network's path policy leaves between two edges, in the fabric as it is.

    trees     of the working trees toward the destination those that keep to the policy; each connection takes one
    explicit  a way that has to get a label of its own: no tree does, or one does until it fails over; one that a single
              dead link cuts only where there is no other
    nothing   no path keeps out of the zones: the frames are dropped, here and now

What is a promise and what is a wish:

    zones     a promise, also while a link is dead and nobody is in charge: a tree whose failover would touch one of
              them is taken under an explicit label, whose backup keeps out of them, or which has none
    latency   a wish: where no path is as fast, the fastest one that keeps the promise carries the frames, and a
              failover may take longer for as long as it lasts
    trees     a wish in the same sense; toward an edge that has n trees, tree t is tree t modulo n

Knows a topology and policies.  Refuses to know networks, labels, and what any switch holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b

from controller.fabric.explicit import Leg, Legs, Route
from controller.fabric.graph import EndPoint
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.constrained import NONE, Constraints, Parts, fastest_path, find_path, usable_links
from controller.fabric.paths.disjoint import disjoint_pair
from controller.fabric.paths.path import NoPath, Path
from controller.fabric.paths.plan import NO_FAILOVER, Plan, Planner
from controller.fabric.paths.shortest import Routes, all_pairs
from controller.model.ids import format_dpid
from controller.model.network import ANY_PATH, PathPolicy, Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way that the policy leaves; all ways of a verdict are taken by equal shares of the connections."""

    route: Route
    """without a backup if it is a tree's: the tree fails over by itself"""
    tree: int | None = None
    """the working tree that goes exactly this way, whatever fails; None: it takes an explicit label"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a policy means between two edges."""

    ways: tuple[Way, ...] = ()
    """none: the frames are dropped, unless `any_tree`"""
    any_tree: bool = False
    """every tree keeps to it, or there is no path at all: nothing is to be steered"""
    constraint: str = ""
    """ZONES or LATENCY: what cannot be kept to; empty: all is"""
    why: str = ""
    """how it comes that it cannot, in words"""

    @property
    def drops(self) -> bool:
        """There are paths, and the policy permits none."""
        return not self.ways and not self.any_tree


NOTHING_TO_STEER = Verdict(any_tree=True)


class PolicyPaths:
    """Verdicts for one topology; each is worked out once."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._verdicts: dict[tuple[int, int, PathPolicy, bool, int], tuple[Plan, Verdict]] = {}
        self._tree_ways: dict[tuple[int, int, int], tuple[Plan, tuple[Way, ...]]] = {}
        """both by the id of the plan that is held with them: several may be asked about in turn"""

    def verdict(
        self, src: int, dst: int, policy: PathPolicy, plan: Plan | None = None, *, is_settled: bool = True
    ) -> Verdict:
        """Between two different edges (dpids).  `plan`: what frames toward `dst` take, else the best there is.

        Not `is_settled`: some switch may still forward by another one, so that no tree keeps a promise.
        TOGETHER is not looked at: it is a choice among these ways, see `verdict_for`.
        """
        policy = replace(policy, spread=Spread.SPREAD)
        if policy == ANY_PATH:
            return NOTHING_TO_STEER
        plan = self.plan(dst) if plan is None else plan
        key = src, dst, policy, is_settled, id(plan)
        if key not in self._verdicts:
            self._verdicts[key] = plan, self._judge(src, dst, policy, plan, is_settled=is_settled)
        return self._verdicts[key][1]

    def verdict_for(
        self, network: str, src: int, dst: int, policy: PathPolicy, plan: Plan, *, is_settled: bool = True
    ) -> Verdict:
        """The same for one network, which takes one of the ways if it is kept together.

        Another network may take another one, and few move when ways change.
        """
        verdict = self.verdict(src, dst, policy, plan, is_settled=is_settled)
        if policy.spread is not Spread.TOGETHER:
            return verdict
        ways = self.tree_ways(src, dst, plan) if verdict.any_tree else verdict.ways
        first = sorted(ways, key=lambda way: blake2b(f"{network} {way.route}".encode(), digest_size=8).digest())[:1]
        return replace(verdict, ways=tuple(first), any_tree=not first and verdict.any_tree)

    def tree_ways(self, src: int, dst: int, plan: Plan) -> tuple[Way, ...]:
        """The ways of all trees, each once; none if there is no path."""
        key = src, dst, id(plan)
        if key not in self._tree_ways:
            self._tree_ways[key] = plan, self._walk_all(src, dst, plan)
        return self._tree_ways[key][1]

    def _walk_all(self, src: int, dst: int, plan: Plan) -> tuple[Way, ...]:
        if src not in plan:
            return ()
        first: dict[Legs, int] = {}
        for tree in range(len(plan[src].working)):
            first.setdefault(self._walk(plan, src, dst, tree), tree)
        return tuple(Way(route=Route(working=legs), tree=tree) for legs, tree in first.items())

    def plan(self, dst: int) -> Plan:
        """The best plan toward an edge."""
        if dst not in self._plans:
            self._plans[dst] = self._planner.toward(dst)
        return self._plans[dst]

    @cached_property
    def routes(self) -> Routes:
        return all_pairs(self.topology)

    def leg(self, src: EndPoint) -> Leg:
        wiring = self.topology.wiring
        return Leg(src, wiring.dsts[wiring.link_index[src]])

    # -- judging

    def _judge(self, src: int, dst: int, policy: PathPolicy, plan: Plan, *, is_settled: bool) -> Verdict:
        if src not in plan:
            return NOTHING_TO_STEER
        query = _Query(self, src, dst, policy)
        n_trees = len(plan[src].working)
        wanted = sorted({tree % n_trees for tree in policy.trees}) or list(range(n_trees))
        ways = {tree: self._walk(plan, src, dst, tree) for tree in wanted}
        clear = {tree: legs for tree, legs in ways.items() if query.is_clear(legs)}
        good = {tree: legs for tree, legs in clear.items() if query.latency_us(legs) <= query.bound_us}
        exposed = self._exposed(plan, good, query) if is_settled or not query.avoided else set(good)
        if len(good) == n_trees and not exposed:
            return NOTHING_TO_STEER
        found = tuple(query.ways(good, exposed))
        safe = tuple(way for way in found if way.tree is not None or way.route.backup)
        if safe or (found and policy.trees):
            return Verdict(ways=safe or found)
        if not policy.trees:
            if (route := query.explicit()) is not None:
                return Verdict(ways=(Way(route=route),) if route.backup or not found else found)
            route = query.fastest()
            found = (Way(route=route),) if route is not None else ()
        else:
            best_us = min(map(query.latency_us, clear.values()), default=0)
            fastest = {tree: legs for tree, legs in clear.items() if query.latency_us(legs) == best_us}
            exposed = self._exposed(plan, fastest, query) if is_settled or not query.avoided else set(fastest)
            found = tuple(query.ways(fastest, exposed))
        return Verdict(ways=found, constraint="LATENCY" if found else "ZONES", why=query.why(found))

    @cached_property
    def _planner(self) -> Planner:
        return Planner(self.topology)

    @cached_property
    def _plans(self) -> dict[int, Plan]:
        return {}

    def _walk(self, plan: Plan, src: int, dst: int, tree: int) -> Legs:
        """The links of a working tree from one switch to the edge; of one that is no more, without its far port."""
        index, dsts = self.topology.wiring.link_index, self.topology.wiring.dsts
        legs, at = [], src
        while at != dst:
            hop = plan[at].working[tree]
            out = EndPoint(at, hop.port_no)
            legs.append(Leg(out, dsts[index[out]] if out in index else EndPoint(hop.dpid, 0)))
            at = hop.dpid
        return tuple(legs)

    def _exposed(self, plan: Plan, trees: Mapping[int, Legs], query: _Query) -> set[int]:
        """The trees whose failover, somewhere on the way, may lead over a switch that is avoided."""
        if not query.avoided:
            return set()
        return {tree for tree, legs in trees.items() if any(
            at in query.avoided for leg in legs for at in _around(plan, leg.src.dpid, tree))}


def _around(plan: Plan, at: int, tree: int) -> Iterator[int]:
    """The switches that a frame comes to if the link of its hop is dead."""
    hops = plan[at]
    other = hops.failover[tree] if hops.failover else NO_FAILOVER
    while other != NO_FAILOVER and (hop := plan[at].backup[other]).dpid != at:
        at = hop.dpid
        yield at


class _Query:
    """One policy between two edges."""

    def __init__(self, paths: PolicyPaths, src: int, dst: int, policy: PathPolicy) -> None:
        self.policy = policy
        self.bound_us = policy.max_latency_us or float("inf")
        self._paths, self._src, self._dst = paths, src, dst
        self._latency_us, self._up = paths.topology.latency_us.data, paths.topology.up.data
        self._index = paths.topology.wiring.link_index
        wiring, zones = paths.topology.wiring, frozenset(policy.avoid_zones)
        zoned = zip(wiring.dpids, paths.topology.zones, strict=True) if zones else ()
        self.avoided = frozenset(dpid for dpid, zone in zoned if zone in zones) - {src, dst}
        """the two edges are where the tenant put its ports"""

    def latency_us(self, legs: Legs) -> int:
        return sum(self._latency_us[self._index[leg.src]] for leg in legs if leg.src in self._index)

    def is_clear(self, legs: Legs) -> bool:
        return not any(leg.src.dpid in self.avoided for leg in legs)

    def is_up(self, legs: Legs) -> bool:
        return all(leg.src in self._index and self._up[self._index[leg.src]] for leg in legs)

    def ways(self, trees: Mapping[int, Legs], exposed: Collection[int]) -> Iterator[Way]:
        """Trees that go the same way count once; what cannot fail over as a tree has to be up."""
        seen: set[Legs] = set()
        for tree in sorted(trees, key=lambda tree: (tree in exposed, tree)):
            if (legs := trees[tree]) in seen:
                continue
            seen.add(legs)
            if tree in exposed:
                if self.is_up(legs):
                    yield Way(route=Route(working=legs, backup=self._backup(legs)))
            else:
                yield Way(route=Route(working=legs), tree=tree)

    def explicit(self) -> Route | None:
        """The least pair of disjoint paths within the policy, else the best single path; None: there is none."""
        routes, constraints = self._paths.routes, self._constraints(latency=True)
        usable = usable_links(self._paths.topology, constraints)
        pair = disjoint_pair(routes, self._src, self._dst, usable=usable)
        if not isinstance(pair, NoPath) and pair[0].latency_us <= self.bound_us:
            return Route(working=self._legs(pair[0]), backup=self._legs(pair[1]))
        found = find_path(routes, self._src, self._dst, constraints)
        return None if isinstance(found, NoPath) else self._protected(found)

    def fastest(self) -> Route | None:
        """The fastest path that keeps out of the zones."""
        found = fastest_path(self._paths.routes, self._src, self._dst, self._constraints(latency=False))
        return None if found is None else self._protected(found)

    def _protected(self, path: Path) -> Route:
        legs = self._legs(path)
        return Route(working=legs, backup=self._backup(legs))

    def _backup(self, legs: Legs) -> Legs:
        """The best path that shares nothing with this one, or at least no wire: within the bound if one is."""
        wires = frozenset(end for leg in legs for end in leg)
        inner = frozenset(leg.src.dpid for leg in legs[1:])
        for latency in dict.fromkeys((bool(self.policy.max_latency_us), False)):
            for apart in (inner, frozenset[int]()):
                limits = self._constraints(latency=latency, links=wires, switches=apart)
                found = find_path(self._paths.routes, self._src, self._dst, limits)
                if not isinstance(found, NoPath):
                    return self._legs(found)
        return ()

    def _constraints(
        self, *, latency: bool, links: frozenset[EndPoint] = frozenset(), switches: frozenset[int] = frozenset()
    ) -> Constraints:
        bound_us = self.policy.max_latency_us if latency else 0
        return Constraints(
            max_latency_us=bound_us or None, exclude=Parts(links=links, switches=self.avoided | switches))

    def _legs(self, path: Path) -> Legs:
        return tuple(map(self._paths.leg, path.links))

    # -- in words

    def why(self, ways: Iterable[Way]) -> str:
        """What cannot be kept to, and what is the best there is."""
        zones = ", ".join(self.policy.avoid_zones)
        avoids = f"avoids zone{'s' if len(self.policy.avoid_zones) > 1 else ''} {zones}"
        trees = f"of tree{'s' if len(self.policy.trees) > 1 else ''} {', '.join(map(str, self.policy.trees))} "
        none = f"no path {trees if self.policy.trees else ''}from {format_dpid(self._src)} to {format_dpid(self._dst)}"
        for way in ways:
            and_avoids = f" and {avoids}" if self.avoided else ""
            best_us = self.latency_us(way.route.working)
            return f"{none} takes at most {self.policy.max_latency_us} us{and_avoids}; the fastest takes {best_us} us"
        best = find_path(self._paths.routes, self._src, self._dst, NONE)
        through = [] if isinstance(best, NoPath) else [dpid for dpid in best.switches if dpid in self.avoided]
        passes = f"; the best one passes {', '.join(map(format_dpid, through))}" if through else ""
        return f"{none} {avoids}{passes}"
