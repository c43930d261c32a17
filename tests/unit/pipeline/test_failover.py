"""Compiled programs in switches that lose links: every frame on every tree, around every failure, on every topology.

The plans are checked in test_plan.py; here it is flows and groups, from tenant port to tenant port.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, count, permutations

import networkx as nx
import pytest
from immutables import Map
from mininet.topo import Topo

from controller.fabric.declared import SwitchSettings
from controller.fabric.graph import EndPoint, LinkLost, PortRole, SwitchDeclared
from controller.fabric.labels import Choice, LabelHop, Versions, advance, choice, confirmed, label_hops
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.plan import Planner
from controller.model.network import ANY_PATH, PathPolicy, Port
from controller.openflow.entries import Flow
from controller.pipeline import tables
from controller.pipeline.compiler import compile_fragment, fragments_on
from controller.pipeline.tables import Kind
from controller.pipeline.world import World
from controller.reconcile.courses import Foreseen
from controller.reconcile.loads import Ground, Route
from controller.reconcile.ways import written
from tests.fakes import packets
from tests.fakes.data_plane import FakeNetwork, FakeSwitch
from tests.support.topologies import events_of, host_ports
from tests.support.worlds import Lab, compile_all, program_switch
from topologies.dumbbell import Dumbbell
from topologies.fat_tree import FatTree
from topologies.leaf_spine import LeafSpine
from topologies.linear import Linear
from topologies.ring import Ring
from topologies.single import Single
from topologies.wan import Wan

TOPOLOGIES = {
    "single": Single(), "linear": Linear(), "ring5": Ring(switches=5), "ring6": Ring(switches=6),
    "dumbbell": Dumbbell(), "leaf_spine": LeafSpine(), "leaf_spine4": LeafSpine(spines=4, leaves=3),
    "fat_tree4": FatTree(k=4), "b4": Wan(name="b4"), "abilene": Wan(name="abilene"),
}
SWITCHES_MAY_FAIL = ("leaf_spine", "leaf_spine4", "fat_tree4")
"""Where a switch that fails is got around, too, by whoever still has a way"""

Wire = frozenset[EndPoint]


@dataclass(frozen=True, slots=True)
class Frame:
    """One connection between two edges, on one of its trees."""

    sender: Port
    receiver: Port
    data: bytes
    wires: frozenset[Wire] = frozenset()
    """what it crosses while nothing has failed"""


def udp(sender: Port, receiver: Port, sport: int) -> bytes:
    return packets.udp(sender.mac, receiver.mac, str(sender.addresses[0]), str(receiver.addresses[0]), sport=sport)


class Stage:
    """A world with one tenant port on every edge of a topology, in switches that forward."""

    def __init__(self, topo: Topo, policy: PathPolicy = ANY_PATH) -> None:
        self.lab = Lab(default_role=PortRole.AUTO)
        for event in events_of(topo):
            self.lab.observe(event)
        self.wires = [
            (link.src, link.dst) for link in self.lab.fabric.links.values() if link.src < link.dst
        ]
        self.lab.wires = self.wires
        self.network = self.lab.network("red")
        self.lab.update(replace(self.lab.intent.networks[self.network], path_policy=policy))
        edges = {at.dpid: at for at in reversed(host_ports(topo).values())}
        self.ports = [
            self.lab.port("red", f"p{dpid}", at=at, addresses=[f"10.0.0.{i}", f"fd00::{i:x}"])
            for i, (dpid, at) in enumerate(sorted(edges.items()), start=10)
        ]
        self.net = self.lab.fake_network()

    def at(self, port: Port) -> EndPoint:
        return self.lab.placement.at[port.name]

    def send(self, frame: Frame) -> bool:
        """Whether it arrives, once and unchanged; that nobody else hears it, and that it does not circle."""
        got = self.net.inject(self.at(frame.sender), frame.data)
        assert got in ([], [(self.at(frame.receiver), frame.data)]), (frame, got)
        return bool(got)

    def crossed(self) -> frozenset[Wire]:
        """The wires that the last frame crossed."""
        return frozenset(frozenset((out, self.net.wires[out])) for out, _ in self.net.on_the_wire)

    def frames(self) -> Iterator[Frame]:
        """From every edge to every other on every tree, the trees found as hosts find them: by other connections."""
        world = self.lab.world
        for sender, receiver in permutations(self.ports, 2):
            n_labels = len(written(world, self.at(sender).dpid, self.at(receiver).dpid, self.network))
            if not n_labels:
                assert not self.send(Frame(sender, receiver, udp(sender, receiver, 1000)))
                continue
            labels: set[int] = set()
            for sport in count(1000):
                frame = Frame(sender, receiver, udp(sender, receiver, sport))
                assert self.send(frame)
                label = packets.read(self.net.on_the_wire[0][1])["eth_dst"] >> tables.LABEL_BIT & 0xFFFF
                if label not in labels:
                    labels.add(label)
                    yield replace(frame, wires=self.crossed())
                if len(labels) == n_labels:
                    break

    def fail(self, dead: Collection[EndPoint]) -> None:
        """These ports have no carrier, all others have."""
        for switch in self.net.switches.values():
            switch.down = {at.port_no for at in dead if at.dpid == switch.dpid}

    def has_way(self, frame: Frame, dead: Collection[EndPoint]) -> bool:
        graph: nx.MultiGraph[int] = nx.MultiGraph()
        graph.add_nodes_from(self.lab.fabric.switches)
        graph.add_edges_from((one.dpid, other.dpid) for one, other in self.wires if one not in dead)
        return bool(nx.has_path(graph, self.at(frame.sender).dpid, self.at(frame.receiver).dpid))


@pytest.fixture(scope="module", params=TOPOLOGIES)
def everywhere(request: pytest.FixtureRequest) -> tuple[str, Stage, list[Frame]]:
    stage = Stage(TOPOLOGIES[request.param])
    return request.param, stage, list(stage.frames())


def test_every_frame_gets_around_every_single_link_failure(everywhere: tuple[str, Stage, list[Frame]]) -> None:
    """With any one wire dead, whoever still has a way is heard, once, and by nobody else; whoever has none is dropped.

    Only wires that the frame crosses: the switches on its way look at no other.
    """
    _, stage, frames = everywhere
    for frame in frames:
        for wire in frame.wires:
            stage.fail(wire)
            assert stage.send(frame) == stage.has_way(frame, wire), f"{frame} with {set(wire)} dead"


def test_every_broadcast_gets_around_every_single_link_failure(everywhere: tuple[str, Stage, list[Frame]]) -> None:
    """Each copy finds its own way: whoever can be reached hears it, once."""
    _, stage, _ = everywhere
    for sender in stage.ports:
        data = packets.udp(sender.mac, packets.BROADCAST, str(sender.addresses[0]), "255.255.255.255")
        for wire in map(frozenset, stage.wires):
            stage.fail(wire)
            others = [port for port in stage.ports if port is not sender]
            heard = [stage.at(port) for port in others if stage.has_way(Frame(sender, port, data), wire)]
            assert stage.net.inject(stage.at(sender), data) == [(at, data) for at in sorted(heard)], (sender, wire)


def test_no_frame_circles_when_a_second_link_fails(everywhere: tuple[str, Stage, list[Frame]]) -> None:
    """A second wire dead on the way around the first: it arrives or is lost, and a label's flow counts it last."""
    name, stage, frames = everywhere
    for frame in frames[:: 3 if name == "fat_tree4" else 1]:
        for wire in frame.wires:
            stage.fail(wire)
            stage.send(frame)
            for second in stage.crossed() - {wire}:
                stage.fail(wire | second)
                if not stage.send(frame):
                    assert counted(stage, second) or counted(stage, wire), f"{frame}: {set(wire)} and {set(second)}"


def counted(stage: Stage, wire: Wire) -> bool:
    """Whether a switch at the wire was the last to see the frame, in a flow of a label."""
    return any(_last_flow_is_a_labels(stage.net.switches[end.dpid]) for end in wire)


def _last_flow_is_a_labels(switch: FakeSwitch) -> bool:
    return bool(switch.hit) and switch.hit[-1].table == tables.FABRIC.number


def test_frames_get_around_a_switch_that_fails(everywhere: tuple[str, Stage, list[Frame]]) -> None:
    """No frame circles or goes astray; in fabrics that no one switch divides, every frame arrives."""
    name, stage, frames = everywhere
    for frame in frames:
        ends = {stage.at(frame.sender).dpid, stage.at(frame.receiver).dpid}
        for dpid in {end.dpid for wire in frame.wires for end in wire} - ends:
            dead = {end for wire in stage.wires if dpid in (wire[0].dpid, wire[1].dpid) for end in wire}
            stage.fail(dead)
            arrived = stage.send(frame)
            assert arrived or name not in SWITCHES_MAY_FAIL, f"{frame} with switch {dpid} dead"


@pytest.mark.parametrize("name", ["leaf_spine", "ring5", "b4"])
@pytest.mark.parametrize("returns", [False, True], ids=["dies", "returns"])
def test_no_frame_is_lost_while_switches_move_to_another_plan(name: str, returns: bool) -> None:
    """A wire dies or is back; switches get the new version and confirm it in any order.

    At every moment what has a way arrives, and with any other wire dead as well no frame circles or goes astray.
    """
    stage = Stage(TOPOLOGIES[name])
    before, pairs = stage.lab.world, list(permutations(stage.ports, 2))
    rng = random.Random(name)
    for wire in map(frozenset, stage.wires[:: 1 + len(stage.wires) // 10]):
        dead = frozenset() if returns else wire
        for world in moves(before, wire, rng, returns=returns):
            stage.net = network_of(world, stage)
            other = frozenset(rng.choice(stage.wires))
            for sender, receiver in rng.sample(pairs, min(len(pairs), 20)):
                frame = Frame(sender, receiver, udp(sender, receiver, rng.randrange(1000, 1100)))
                stage.fail(dead)
                assert stage.send(frame) == stage.has_way(frame, dead), (frame, wire)
                stage.fail(dead | other)
                stage.send(frame)


def moves(world: World, wire: Wire, rng: random.Random, *, returns: bool) -> Iterator[World]:
    """The worlds between the plans with and without the wire, as some switches hold and confirmed the new one."""
    fabric = world.fabric
    for end in wire:
        fabric, _ = fabric.apply(LinkLost(src=end))
    old, new = (Planner(Topology.of(each)) for each in ((fabric, world.fabric) if returns else (world.fabric, fabric)))
    edges = list(world.intent.keys.edges())
    order = rng.sample(list(fabric.switches), len(fabric.switches))
    held_n = rng.randrange(len(order))
    stages = ((order[:held_n], order[: held_n // 2]), (order, order[:held_n]), (order, order))
    for held, sure in stages:
        labels: dict[tuple[int, int], Map[int, LabelHop]] = {}
        choices: dict[tuple[int, int], Choice] = {}
        for edge in edges:
            first = advance((), old.toward(edge))
            for dpid in fabric.switches:
                first = confirmed(first, dpid, first[0].version)
            versions = advance(first, new.toward(edge))
            for dpid in sure:
                versions = confirmed(versions, dpid, versions[-1].version)
            labels |= _held(first, versions, edge, held)
            for dpid in edges:
                version = choice(versions, dpid)
                if dpid != edge and version is not None:
                    n_trees = next(len(v.hops[edge].working) for v in versions if v.version == version)
                    choices[dpid, edge] = Choice(version, n_trees)
        yield replace(world, fabric=fabric, labels=Map(labels), choices=Map(choices))


def _held(
    first: Versions, versions: Versions, edge: int, held: Collection[int]
) -> dict[tuple[int, int], Map[int, LabelHop]]:
    """What the switches in `held` shall hold, and the others still as it was: of what there was before."""
    before, after = label_hops(first), label_hops(versions)
    return {(dpid, edge): Map(hops if dpid in held else before.get(dpid, {})) for dpid, hops in after.items()}


def network_of(world: World, stage: Stage) -> FakeNetwork:
    programs = compile_all(world)
    switches = [program_switch(FakeSwitch(s.dpid, s.ports), programs) for s in world.fabric.switches.values()]
    return FakeNetwork(switches, stage.wires)


@pytest.fixture(scope="module", params=TOPOLOGIES)
def zoned(request: pytest.FixtureRequest) -> tuple[Stage, frozenset[int]]:
    """Every third switch is of a zone that the network avoids."""
    topo = TOPOLOGIES[request.param]
    stage = Stage(topo, PathPolicy(avoid_zones=("x",)))
    shut = frozenset(sorted(stage.lab.fabric.switches)[1::3])
    for dpid in shut:
        stage.lab.observe(SwitchDeclared(dpid=dpid, settings=SwitchSettings(zone="x")))
    stage.net = stage.lab.fake_network()
    return stage, shut


def test_network_keeps_out_of_a_zone_around_every_single_and_double_failure(
    zoned: tuple[Stage, frozenset[int]],
) -> None:
    """On trees and on explicit paths: no frame touches the zone or circles, whatever is dead.  Where the rest of the
    fabric has two ways every frame gets around every dead wire, where it has one it arrives, else it is dropped; and
    it crosses the links that are counted on for its guarantee.
    """
    stage, shut = zoned
    reached = set()
    foresee, policy = Foreseen(stage.lab.fabric, {}), PathPolicy(avoid_zones=("x",))
    for frame in stage.frames():
        ends = {stage.at(frame.sender).dpid, stage.at(frame.receiver).dpid}
        reached.add(frozenset(ends))
        assert not through(frame.wires) & (shut - ends)
        src, dst = stage.at(frame.sender).dpid, stage.at(frame.receiver).dpid
        (course,) = foresee(Route(stage.network, policy, src, dst))
        is_safe = nx.edge_connectivity(around(stage, shut - ends), *ends) > 1
        for wire in frame.wires:
            stage.fail(wire)
            arrived = stage.send(frame)
            crossed = stage.crossed()
            assert arrived or not is_safe, (frame, wire)
            cut = Ground(fabric=stage.lab.fabric, cut=wire)
            assert (tuple(out for out, _ in stage.net.on_the_wire), arrived) in [way.links(cut) for way in course]
            assert not through(crossed) & (shut - ends)
            for second in crossed - {wire}:
                stage.fail(wire | second)
                stage.send(frame)
                assert not through(stage.crossed()) & (shut - ends)
        stage.fail(())
    for pair in combinations(stage.ports, 2):
        ends = {stage.at(port).dpid for port in pair}
        assert (frozenset(ends) in reached) == nx.has_path(around(stage, shut - ends), *ends)


def through(wires: Collection[Wire]) -> set[int]:
    """The switches at the ends of these wires."""
    return {end.dpid for wire in wires for end in wire}


def around(stage: Stage, shut: Collection[int]) -> nx.Graph[int]:
    graph: nx.Graph[int] = nx.Graph((one.dpid, other.dpid) for one, other in stage.wires)
    graph.add_nodes_from(stage.lab.fabric.switches)
    graph.remove_nodes_from(shut)
    return graph


def test_core_holds_the_same_at_5_and_at_500_tenants() -> None:
    """A spine's flows and groups are as many as the labels of the edges take, whatever the number of tenants."""
    small, large = spine_after(5), spine_after(500)
    assert len(small[0]) == len(large[0])
    assert small[1] == large[1]
    edges, trees, backups = 3, 2, 2
    labels = [flow for flow in large[0] if flow.cookie >> 48 & 0xFF == Kind.LABEL]
    assert len(labels) == edges * (trees + backups)
    assert large[1] == edges * trees


def test_core_holds_the_same_explicit_paths_for_5_and_for_500_tenants() -> None:
    """Whose networks all avoid the other spine's zone: one label, with its end, for each ordered pair of leaves."""
    small, large = (spine_after(n, PathPolicy(avoid_zones=("x",))) for n in (5, 500))
    assert len(small[0]) == len(large[0])
    assert small[1] == large[1]
    explicit = [flow for flow in large[0] if flow.cookie >> 48 & 0xFF == Kind.EXPLICIT]
    assert len(explicit) == 3 * 2


def spine_after(tenants: int, policy: PathPolicy = ANY_PATH) -> tuple[list[Flow], int]:
    """Flows, and number of groups, of a spine when so many tenants have a port on each of three leaves."""
    lab = Lab()
    for spine, zone in ((1, "y"), (2, "x")):
        lab.connect(spine)
        lab.observe(SwitchDeclared(dpid=spine, settings=SwitchSettings(zone=zone)))
    for number, leaf in enumerate((11, 12, 13), start=1):
        lab.connect(leaf, ports=range(1, tenants + 3))
        for spine in (1, 2):
            lab.wire(EndPoint(leaf, spine), EndPoint(spine, number))
    for i in range(tenants):
        name = lab.network(f"t{i}")
        lab.update(replace(lab.intent.networks[name], path_policy=policy))
        for leaf in (11, 12, 13):
            lab.port(f"t{i}", f"p{leaf}", at=(leaf, 3 + i))
    world = lab.world
    fragments = [compile_fragment(world, key) for key in fragments_on(world, 1)]
    found = [fragment for fragment in fragments if fragment is not None]
    return [flow for one in found for flow in one.flows], sum(len(one.groups) for one in found)
