"""Mixtures of two plans: what may be mixed carries every frame, in every mixture, also around a dead link."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from controller.fabric.graph import EndPoint, Fabric, LinkLost
from controller.fabric.labels import LabelHop, TreeVersion, label_hops, label_number
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.mixed import may_mix
from controller.fabric.paths.plan import Hops, Plan, Planner
from controller.fabric.paths.tree import Hop
from tests.support.graphs import graphs
from tests.support.topologies import fabric_of
from tests.unit.fabric.paths.test_plan import TOPOLOGIES

Labels = Mapping[int, Mapping[int, LabelHop]]
"""dpid -> {label number: what the switch does with it}"""
Wire = frozenset[EndPoint]
WITHIN = {"leaf_spine", "leaf_spine4", "fat_tree4", "b4", "abilene"}
MOST_EXHAUSTIVE, SAMPLED = 64, 12


def labels_of(plan: Plan) -> Labels:
    return label_hops((TreeVersion(version=0, hops=plan, pending=frozenset()),))


def mixtures(old: Plan, new: Plan, rng: random.Random) -> Iterator[Labels]:
    """What switches may hold: each label on each switch is the old or the new one; all mixtures, or some of many."""
    before, after = labels_of(old), labels_of({**old, **new})  # type: ignore[arg-type]
    differ = [(dpid, n) for dpid, hops in sorted(after.items()) for n in hops if hops[n] != before[dpid][n]]
    if 2 ** len(differ) <= MOST_EXHAUSTIVE:
        choices: Iterator[Sequence[bool]] = product((False, True), repeat=len(differ))
    else:
        shares = (0.1, 0.5, 0.9) * (SAMPLED // 3)
        choices = iter([[rng.random() < share for _ in differ] for share in shares])
    for chosen in choices:
        mixture = {dpid: dict(hops) for dpid, hops in before.items()}
        for (dpid, n), is_new in zip(differ, chosen, strict=True):
            if is_new:
                mixture[dpid][n] = after[dpid][n]
        yield mixture


def walk(labels: Labels, links: Mapping[EndPoint, EndPoint], start: int, tree: int, dead: Wire) -> list[int] | None:
    """The switches that a frame meets, by the rules of the data plane; None if it is lost."""
    at, number, way = start, label_number(0, tree), [start]
    while (hop := labels[at].get(number)) is not None and hop.port_no:
        port_no = hop.port_no
        if EndPoint(at, port_no) in dead:
            if not hop.failover_port_no or EndPoint(at, hop.failover_port_no) in dead:
                return None
            port_no, number = hop.failover_port_no, hop.failover_number
        at = links[EndPoint(at, port_no)].dpid
        way.append(at)
        assert len(way) <= 2 * len(labels), f"loop: {way}"
    return way if hop is not None else None


def both_ways(fabric: Fabric, wire: Wire) -> tuple[Fabric, Fabric]:
    """The fabric with the wire and without."""
    without = fabric
    for end in wire:
        without, _ = without.apply(LinkLost(src=end))
    return fabric, without


@pytest.mark.parametrize("name", sorted(WITHIN))
def test_what_may_be_mixed_carries_every_frame_around_any_one_dead_link(name: str) -> None:
    """A wire dies, or returns, or is avoided though it is alive; and meanwhile any other one dies, or the same.

    In every mixture of the plans before and after every frame arrives that has a way left, but for one: the first wire
    is dead and another one dies, too.  Then no frame loops.
    """
    rng, fabric = random.Random(name), fabric_of(TOPOLOGIES[name])
    links = {src: link.dst for src, link in fabric.links.items()}
    wires = sorted({frozenset((link.src, link.dst)) for link in fabric.links.values()}, key=sorted)
    mixed = 0
    for wire in wires if len(wires) < 20 else rng.sample(wires, 12):
        planners = [Planner(Topology.of(each)) for each in both_ways(fabric, wire)]
        for edge in sorted(fabric.switches):
            with_it, without = (planner.toward(edge) for planner in planners)
            old, new = (with_it, without) if rng.random() < 0.5 else (without, with_it)
            if not may_mix(merged(old, new)) or old == new:
                continue
            mixed += 1
            other = rng.choice([each for each in wires if each != wire])
            for labels in mixtures(old, new, rng):
                for dead in (frozenset[EndPoint](), wire, other, wire | other):
                    _check(fabric, labels, links, edge, dead, avoided=wire)
    assert mixed > 3


def _check(
    fabric: Fabric, labels: Labels, links: Mapping[EndPoint, EndPoint], edge: int, dead: Wire, *, avoided: Wire
) -> None:
    left = nx.Graph(fabric.graph())
    for end in dead | avoided:
        left.remove_edges_from([(end.dpid, links[end].dpid)])
    connected = nx.node_connected_component(left, edge)
    n_trees = sum(number < 4 for number in labels[edge])
    for start in labels:
        for tree in range(n_trees):
            way = walk(labels, links, start, tree, dead)
            if len(dead) <= 2 and start in connected:
                assert way is not None, f"{start} -> {edge} on tree {tree} with {set(dead)} dead"
                assert way[-1] == edge


def merged(old: Plan, new: Plan) -> dict[int, tuple[Hops, ...]]:
    return {dpid: tuple(dict.fromkeys(plan[dpid] for plan in (old, new) if dpid in plan)) for dpid in {*old, *new}}


@given(graph=graphs(6, directed=False), data=st.data())
def test_whatever_may_not_be_mixed_has_a_mixture_that_loops(graph: nx.MultiGraph[int], data: st.DataObject) -> None:
    """Of one tree each: may_mix says no exactly where some frame would go in a circle or come where it is unknown."""
    edge = min(graph)
    plans = []
    for _ in range(2):
        order = [edge, *data.draw(st.permutations(sorted(set(graph) - {edge})))]
        hops = {edge: Hops((Hop(0, edge),))}
        for dpid in order:
            if near := sorted(hops.keys() & set(graph[dpid])):
                hops.setdefault(dpid, Hops((Hop(1, data.draw(st.sampled_from(near))),)))
        plans.append(Map(hops))
    held = merged(*plans)
    safe = True
    for chosen in product(*held.values()):
        mixture = dict(zip(held, chosen, strict=True))
        safe &= all(_arrives(mixture, start) for start in mixture)
    assert may_mix(held) == safe


def _arrives(mixture: Mapping[int, Hops], at: int) -> bool:
    for _ in mixture:
        if at not in mixture:
            return False
        at = mixture[at].working[0].dpid
    return at in mixture and mixture[at].working[0].dpid == at


def test_labels_that_come_or_go_are_not_mixed() -> None:
    """One tree more, or no backup any more: who holds the other plan would not know the label of a frame."""
    here, hop = Hop(0, 1), Hop(1, 1)
    plain = {1: (Hops((here,)),), 2: (Hops((hop,)),)}
    assert may_mix(plain)
    assert not may_mix(plain | {2: (Hops((hop,)), Hops((hop, hop)))})
    assert not may_mix(plain | {2: (Hops((hop,)), Hops((hop,), (hop, hop), (0,)))})
    assert not may_mix({1: plain[1], 2: (Hops((hop, hop)),)}), "the edge does not hold the second label"
    assert not may_mix({2: (Hops((hop,)),)}), "the hop leads to nobody"
    assert may_mix({})


def test_most_changes_of_a_fat_tree_may_be_mixed() -> None:
    """What it is for: a link that dies in a fat-tree is another hop on few switches, and not a new version."""
    fabric = fabric_of(TOPOLOGIES["fat_tree4"])
    edges = [dpid for dpid in fabric.switches if dpid >> 12 == 3]
    counts = {True: 0, False: 0}
    for wire in islice(sorted({frozenset((x.src, x.dst)) for x in fabric.links.values()}, key=sorted), 0, None, 3):
        planners = [Planner(Topology.of(each)) for each in both_ways(fabric, wire)]
        for edge in edges:
            counts[may_mix(merged(*(planner.toward(edge) for planner in planners)))] += 1
    assert counts[True] > counts[False]
