"""Plans: every shortest path used, and every single failure survived, checked on every topology there is."""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx
import pytest
from mininet.topo import Topo

from controller.fabric.graph import EndPoint, Fabric
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.plan import NO_FAILOVER, Plan, Planner
from tests.support.topologies import fabric_of
from topologies.dumbbell import Dumbbell
from topologies.fat_tree import FatTree
from topologies.leaf_spine import LeafSpine
from topologies.linear import Linear
from topologies.ring import Ring
from topologies.wan import Wan

TOPOLOGIES = {
    "linear": Linear(), "ring5": Ring(switches=5), "ring6": Ring(switches=6), "dumbbell": Dumbbell(),
    "leaf_spine": LeafSpine(), "leaf_spine4": LeafSpine(spines=4, leaves=6), "fat_tree4": FatTree(k=4),
    "b4": Wan(name="b4"), "abilene": Wan(name="abilene"),
}


@pytest.fixture(params=TOPOLOGIES)
def fabric(request: pytest.FixtureRequest) -> Fabric:
    return fabric_of(TOPOLOGIES[request.param])


def walk(plan: Plan, fabric: Fabric, start: int, tree: int, dead: frozenset[EndPoint]) -> list[int] | None:
    """The switches a frame visits that enters at `start` on a working tree while links are dead; None if it is lost.

    Follows the rules of the data plane: a failover to a backup tree where the link of the hop is dead, once.
    """
    at, backup, way = start, None, [start]
    while True:
        hops = plan[at]
        hop = hops.working[tree] if backup is None else hops.backup[backup]
        if hop.dpid == at:
            return way
        if EndPoint(at, hop.port_no) in dead:
            if backup is not None or not hops.failover or hops.failover[tree] == NO_FAILOVER:
                return None
            backup = hops.failover[tree]
            hop = hops.backup[backup]
            if EndPoint(at, hop.port_no) in dead:
                return None
        assert fabric.links[EndPoint(at, hop.port_no)].dst.dpid == hop.dpid
        at = hop.dpid
        way.append(at)
        assert len(way) <= 2 * len(plan), f"loop: {way}"


def frames(fabric: Fabric) -> Iterator[tuple[Plan, int, int, int]]:
    """(plan, start, tree, edge) of every frame there can be."""
    planner = Planner(Topology.of(fabric))
    for edge in fabric.switches:
        plan = planner.toward(edge)
        for start, hops in plan.items():
            for tree in range(len(hops.working)):
                yield plan, start, tree, edge


def test_working_trees_are_shortest_paths(fabric: Fabric) -> None:
    """Without failure every tree takes every switch to the edge by a path as short as networkx knows."""
    lengths = dict(nx.all_pairs_shortest_path_length(fabric.graph()))
    for plan, start, tree, edge in frames(fabric):
        way = walk(plan, fabric, start, tree, frozenset())
        assert way is not None
        assert way[-1] == edge
        assert len(way) - 1 == lengths[start][edge]


def test_every_single_link_failure_is_survived(fabric: Fabric) -> None:
    """With any one wire cut, a frame that still has a way arrives, on every tree, without a loop."""
    wires = {frozenset((link.src, link.dst)) for link in fabric.links.values()}
    cases = list(frames(fabric))
    for wire in wires:
        left = nx.Graph(fabric.graph())
        a, b = (end.dpid for end in wire)
        parallel = sum(1 for x in wires if {end.dpid for end in x} == {a, b})
        if parallel == 1:
            left.remove_edge(a, b)
        for plan, start, tree, edge in cases:
            way = walk(plan, fabric, start, tree, wire)
            if nx.has_path(left, start, edge):
                assert way is not None, f"{start} -> {edge} on tree {tree} with {set(wire)} cut"
                assert way[-1] == edge


def test_most_switch_failures_are_survived_too() -> None:
    """In a fabric that no one switch divides, frames get around a dead switch: each sees one dead link, its own."""
    fabric = fabric_of(LeafSpine(spines=3, leaves=4))
    cases = list(frames(fabric))
    for dead in fabric.switches:
        links = [link for link in fabric.links.values() if dead in (link.src.dpid, link.dst.dpid)]
        ends = {end for link in links for end in (link.src, link.dst)}
        for plan, start, tree, edge in cases:
            if dead not in (start, edge):
                assert walk(plan, fabric, start, tree, frozenset(ends)), f"{start} -> {edge} around {dead}"


def test_trees_spread_over_all_equal_paths() -> None:
    """Four spines: each leaf uses all four toward each other leaf; six: four of them, others for other edges."""
    for spines in (2, 3, 4, 6):
        fabric = fabric_of(LeafSpine(spines=spines, leaves=5))
        planner = Planner(Topology.of(fabric))
        leaves = [dpid for dpid in fabric.switches if fabric.graph().out_degree(dpid) == spines]
        used: set[int] = set()
        for edge in leaves:
            for leaf, hops in planner.toward(edge).items():
                if leaf in leaves and leaf != edge:
                    assert len({hop.dpid for hop in hops.working}) == min(spines, 4)
                    used |= {hop.dpid for hop in hops.working}
        assert len(used) == spines


def test_plan_is_the_same_every_time(fabric: Fabric) -> None:
    """The same fabric, the same plans."""
    one, other = Planner(Topology.of(fabric)), Planner(Topology.of(fabric))
    for edge in fabric.switches:
        assert one.toward(edge) == other.toward(edge)


def test_edge_that_is_unknown_has_no_plan(fabric: Fabric) -> None:
    """Not an error: the edge's switch may not have been seen yet."""
    assert not Planner(Topology.of(fabric)).toward(0xFFFF)


def test_topologies_are_all_of_them() -> None:
    """A new topology is to be checked here, too."""
    assert {type(topo) for topo in TOPOLOGIES.values()} | {_single()} == set(_all())


def _single() -> type[Topo]:
    from topologies.single import Single

    return Single


def _all() -> Iterator[type[Topo]]:
    import importlib
    import pkgutil

    import topologies

    for module in pkgutil.iter_modules(topologies.__path__):
        loaded = importlib.import_module(f"topologies.{module.name}")
        yield from {topo for topo in loaded.topos.values() if isinstance(topo, type)}
