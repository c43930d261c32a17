"""The ways that frames go, read off the labels: as many as trees, with what takes over at each link."""

from __future__ import annotations

from dataclasses import replace

from immutables import Map

from controller.fabric.graph import EndPoint, Fabric, LinkLost
from controller.fabric.labels import Choice, advance, label_hops, number_in
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.plan import Planner
from controller.intent.keys import NO_KEYS
from controller.intent.snapshot import Snapshot
from controller.pipeline.world import World
from controller.reconcile.ways import in_use, ways
from tests.unit.fabric.fabrics import after, fabric_of, leaf_spine

SRC, DST = 101, 103
INTENT = Snapshot(keys=replace(NO_KEYS, edge_ids=Map({3: 1, DST: 2})))


def programmed(fabric: Fabric, src: int, dst: int) -> World:
    """The world in which the best plan toward one switch stands, and another writes it."""
    plan = Planner(Topology.of(fabric)).toward(dst)
    (version,) = advance((), plan)
    labels = {(dpid, dst): Map(hops) for dpid, hops in label_hops((version,)).items()}
    choice = Choice(version.version, len(plan[dst].working))
    return World(intent=INTENT, fabric=fabric, labels=Map(labels), choices=Map({(src, dst): choice}))


def test_each_spine_carries_a_tree_and_backs_the_other_up() -> None:
    """Two ways over two spines; if the link to one fails its frames go over the other."""
    found = ways(programmed(leaf_spine(2, 3), SRC, DST), SRC, DST)
    assert sorted(number_in(label) & 3 for way in found for label in way.labels) == [0, 1]
    assert all(way.complete and len(way.legs) == 2 for way in found)
    one, other = (way.legs[0].link for way in found)
    assert found[0].legs[0].backup[0] == other
    assert found[1].legs[0].backup[0] == one


def test_frames_of_a_link_that_is_down_are_shown_on_their_backup() -> None:
    """What is programmed has not changed, but the switch itself sends them the other way."""
    world = programmed(leaf_spine(2, 3), SRC, DST)
    one, other = ways(world, SRC, DST)
    cut = one.legs[0].link
    down = World(
        intent=world.intent, fabric=after(world.fabric, LinkLost(src=cut)), labels=world.labels, choices=world.choices
    )
    (now,) = {way.legs[0].link for way in ways(down, SRC, DST)}
    assert now == other.legs[0].link
    assert any(way.legs[0].failed_over and way.complete for way in ways(down, SRC, DST))


def test_way_that_turns_round_at_the_last_hop_is_whole_though_longer_than_the_ring() -> None:
    """Two switches there, two back, and the other way around a ring of six."""
    world = programmed(fabric_of([(1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 1)]), 6, 3)
    cut = next(way.legs[-1].link for way in ways(world, 6, 3) if way.legs[-1].link.dpid == 2)
    world = replace(world, fabric=after(world.fabric, LinkLost(src=cut)))
    turned = next(way for way in ways(world, 6, 3) if any(leg.failed_over for leg in way.legs))
    assert [leg.link.dpid for leg in turned.legs] == [6, 1, 2, 1, 6, 5, 4]
    assert turned.complete


def test_without_backup_the_way_is_whole_but_unprotected_and_broken_when_cut() -> None:
    """A line of switches has one way only."""
    world = programmed(fabric_of([(1, 2), (2, 3)]), 1, 3)
    (way,) = ways(world, 1, 3)
    assert way.complete and [leg.backup for leg in way.legs] == [(), ()]
    assert ways(world, 3, 1) == ()


def test_ports_in_use_are_those_that_labels_lead_to() -> None:
    """The backup's, too: it may be taken at any moment."""
    world = programmed(fabric_of([(1, 2), (2, 3), (3, 1)]), 1, 3)
    assert in_use(world) >= {EndPoint(1, 1), EndPoint(1, 2), EndPoint(2, 2)}
    assert not in_use(World(intent=Snapshot(), fabric=world.fabric))
