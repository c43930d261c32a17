"""Which ways a path policy leaves: trees, explicit paths, nothing; on every topology no promise is broken."""

from __future__ import annotations

import random
from itertools import permutations

import networkx as nx
import pytest

from controller.fabric.declared import LinkSettings, SwitchSettings
from controller.fabric.explicit import Legs
from controller.fabric.graph import EndPoint, Event, Fabric, LinkDeclared, LinkLost, SwitchDeclared
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.policy import PolicyPaths, Verdict
from controller.model.network import ANY_PATH, PathPolicy, Spread
from tests.unit.fabric.fabrics import after, fabric_of, leaf_spine

RING = [(1, 2), (2, 3), (3, 4), (4, 5), (5, 1)]


def zones(**dpids: str) -> list[Event]:
    """zones(s3="x"): switch 3 is of zone x."""
    return [SwitchDeclared(dpid=int(name[1:]), settings=SwitchSettings(zone=zone)) for name, zone in dpids.items()]


def slow(fabric: Fabric, latencies_us: dict[tuple[int, int], int]) -> list[Event]:
    return [
        LinkDeclared(src=src, settings=LinkSettings(latency_us=latencies_us.get((src.dpid, link.dst.dpid), 10)))
        for src, link in fabric.links.items()
    ]


def judge(fabric: Fabric, src: int, dst: int, policy: PathPolicy) -> Verdict:
    return PolicyPaths(Topology.of(fabric)).verdict(src, dst, policy)


def switches(legs: Legs) -> list[int]:
    return [leg.dst.dpid for leg in legs]


def test_policy_that_asks_nothing_steers_nothing() -> None:
    """So does one that every tree keeps to, and one where there is no path at all."""
    fabric = after(leaf_spine(2, 3), *zones(s101="x"))
    together, elsewhere = PathPolicy(spread=Spread.TOGETHER), PathPolicy(avoid_zones=("y",))
    for policy in (ANY_PATH, together, elsewhere, PathPolicy(trees=(0, 1))):
        assert judge(fabric, 101, 103, policy).any_tree
    assert judge(fabric, 101, 103, PathPolicy(avoid_zones=("x",))).any_tree, "that is where the tenant's own ports are"
    assert judge(fabric_of([(1, 2), (3, 4)]), 1, 4, PathPolicy(trees=(3,))).any_tree


def test_trees_are_taken_modulo_their_number() -> None:
    """So that a policy stays what it is when the fabric has fewer."""
    fabric = leaf_spine(2, 3)
    by_tree = [judge(fabric, 101, 103, PathPolicy(trees=(tree,))).ways for tree in range(4)]
    assert [way.tree for ways in by_tree for way in ways] == [0, 1, 0, 1]
    assert by_tree[0] == by_tree[2] != by_tree[1]


def test_tree_whose_failover_would_touch_the_zone_is_taken_explicitly() -> None:
    """With a backup that does not, if there is one."""
    explicit = []
    for shut in (1, 2, 3):
        fabric = after(leaf_spine(3, 3), *zones(**{f"s{shut}": "x"}))
        ways = judge(fabric, 101, 103, PathPolicy(avoid_zones=("x",))).ways
        assert {tuple(switches(way.route.working)) for way in ways} == {(spine, 103) for spine in {1, 2, 3} - {shut}}
        explicit += [way.route for way in ways if way.tree is None]
        assert all(switches(way.route.backup)[-1:] == [103] * (way.tree is None) for way in ways)
    assert explicit, "the backup trees of three spines use two of them"
    (only,) = judge(after(leaf_spine(2, 3), *zones(s1="x")), 101, 103, PathPolicy(avoid_zones=("x",))).ways
    assert only.route.backup == ()


def test_explicit_path_where_no_tree_keeps_to_the_policy() -> None:
    """The long way round a ring, because the short one passes the zone."""
    (way,) = judge(after(fabric_of(RING), *zones(s2="x")), 1, 3, PathPolicy(avoid_zones=("x",))).ways
    assert (switches(way.route.working), way.tree, way.route.backup) == ([5, 4, 3], None, ())


def test_nothing_is_left_and_the_reason_names_the_zone_and_what_the_best_path_passes() -> None:
    """The frames are dropped."""
    fabric = after(fabric_of([(1, 2), (2, 3)]), *zones(s2="x"))
    verdict = judge(fabric, 1, 3, PathPolicy(avoid_zones=("x",), max_latency_us=7))
    assert (verdict.drops, verdict.constraint) == (True, "ZONES")
    assert verdict.why == ("no path from 0000000000000001 to 0000000000000003 avoids zone x; the best one passes "
                           "0000000000000002")
    trees = judge(after(leaf_spine(2, 2), *zones(s1="x")), 101, 102, PathPolicy(avoid_zones=("x",), trees=(0,)))
    other = judge(after(leaf_spine(2, 2), *zones(s1="x")), 101, 102, PathPolicy(avoid_zones=("x",), trees=(1,)))
    assert sorted([trees.drops, other.drops]) == [False, True]


def test_latency_bound_chooses_among_trees_then_paths_then_gives_the_fastest() -> None:
    """In a ring with one slow link: the short way, the long way, and the fastest with what it takes."""
    fabric = fabric_of(RING)
    fabric = after(fabric, *slow(fabric, {(1, 2): 500, (2, 1): 500}))
    assert judge(fabric, 1, 3, PathPolicy(max_latency_us=510)).any_tree
    (way,) = judge(fabric, 1, 3, PathPolicy(max_latency_us=100)).ways
    assert switches(way.route.working) == [5, 4, 3]
    assert switches(way.route.backup) == [2, 3], "better late than never"
    verdict = judge(fabric, 1, 3, PathPolicy(max_latency_us=29))
    assert (verdict.constraint, switches(verdict.ways[0].route.working)) == ("LATENCY", [5, 4, 3])
    assert "takes at most 29 us; the fastest takes 30 us" in verdict.why


def test_backup_keeps_to_the_bound_if_one_can() -> None:
    """Rather than a cheaper one that does not."""
    fabric = fabric_of([(1, 2), (2, 6), (1, 3), (3, 6), (1, 4), (4, 5), (5, 6)])
    slow_links = {(1, 3): 900, (3, 1): 900}
    # Two ways of two hops, one of them slow, and a fast one of three hops.
    fabric = after(fabric, *slow(fabric, slow_links), *zones(s3="y", s4="y"))
    (way,) = judge(fabric, 1, 6, PathPolicy(max_latency_us=100)).ways
    assert way.tree is not None
    (way,) = judge(after(fabric, *zones(s2="x")), 1, 6, PathPolicy(avoid_zones=("x",), max_latency_us=100)).ways
    assert (switches(way.route.working), switches(way.route.backup)) == ([4, 5, 6], [3, 6])


def test_protected_pair_comes_before_a_cheaper_path_that_a_failure_cuts() -> None:
    """The cheapest path uses both ways out; a pair of dearer ones shares nothing."""
    fabric = fabric_of([(1, 9), (9, 6), (1, 2), (2, 3), (3, 6), (1, 4), (4, 5), (5, 6), (2, 5)])
    fabric = after(fabric, *zones(s9="x"))
    (way,) = judge(fabric, 1, 6, PathPolicy(avoid_zones=("x",))).ways
    assert way.route.backup
    assert not set(switches(way.route.working)[:-1]) & set(switches(way.route.backup)[:-1])


def test_plan_that_is_written_is_judged_not_the_best_there_is() -> None:
    """A tree over a dead link fails over by itself and stays; what would need a label of its own has to be up."""
    fabric = leaf_spine(2, 3)
    plan = PolicyPaths(Topology.of(fabric)).plan(103)
    dead = after(fabric, LinkLost(src=EndPoint(101, plan[101].working[0].port_no)))
    paths = PolicyPaths(Topology.of(dead))
    assert [way.tree for way in paths.verdict(101, 103, PathPolicy(trees=(0,)), plan).ways] == [0]
    zoned = after(dead, *zones(**{f"s{plan[101].working[1].dpid}": "x"}))
    assert PolicyPaths(Topology.of(zoned)).verdict(101, 103, PathPolicy(avoid_zones=("x",)), plan).drops


@pytest.mark.parametrize("seed", range(20))
def test_verdicts_on_random_graphs_keep_what_they_promise(seed: int) -> None:
    """No way touches a zone, every way is simple and leads there, none shares a wire with its backup; and frames are
    dropped only if networkx finds no way around the zones either.
    """
    rng = random.Random(seed)
    graph = nx.gnm_random_graph(12, 22, seed=seed)
    fabric = fabric_of([(a + 1, b + 1) for a, b in graph.edges])
    shut = rng.sample(range(1, 13), 4)
    fabric = after(fabric, *zones(**{f"s{dpid}": "x" for dpid in shut}))
    fabric = after(fabric, *slow(fabric, {(link.src.dpid, link.dst.dpid): rng.randrange(100)
                                          for link in fabric.links.values()}))
    paths = PolicyPaths(Topology.of(fabric))
    for src, dst in permutations(sorted(fabric.switches), 2):
        bound_us = rng.choice((0, 100, 200))
        verdict = paths.verdict(src, dst, PathPolicy(avoid_zones=("x",), max_latency_us=bound_us))
        clear = fabric.graph().subgraph(set(fabric.switches) - (set(shut) - {src, dst}))
        assert verdict.drops == (nx.has_path(fabric.graph(), src, dst) and not nx.has_path(clear, src, dst))
        for way in verdict.ways:
            wires = [frozenset(leg) for leg in way.route.working + way.route.backup]
            assert len(set(wires)) == len(wires)
            for legs in filter(None, (way.route.working, way.route.backup)):
                met = [src, *switches(legs)]
                assert (len(set(met)), met[-1]) == (len(met), dst)
                assert not set(met[1:-1]) & set(shut)
                assert all(fabric.links[leg.src].dst == leg.dst for leg in legs)
            late_us = sum(fabric.links[leg.src].latency_us or 0 for leg in way.route.working)
            assert not bound_us or (late_us > bound_us) == (verdict.constraint == "LATENCY")
