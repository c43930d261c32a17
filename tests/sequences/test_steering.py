"""Networks with a path policy: where their frames go while policies, zones, links and switches change."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import permutations, product

import pytest

from controller.fabric.declared import LinkSettings, SwitchSettings
from controller.fabric.events import LinkDeclared, SwitchDeclared
from controller.fabric.ports import EndPoint
from controller.model.bandwidth import BandwidthPolicy
from controller.model.network import ANY_PATH, Network, PathPolicy, Port, Spread
from controller.model.status import State as Is
from controller.pipeline.tables import Reason
from tests.fakes import packets
from tests.sequences.simulation import LEAVES, Simulation
from tests.sequences.states import network_name, tenant
from tests.sequences.traffic import check_no_loss, unicast

SPINES = (1, 2, 3)
ZONES = {1: "a", 2: "b", 3: "b"}
AVOID_A, AVOID_B = PathPolicy(avoid_zones=("a",)), PathPolicy(avoid_zones=("b",))
TOGETHER = PathPolicy(spread=Spread.TOGETHER)
RED, BLUE = network_name("red"), network_name("blue")


def fabric(*tenants: str, spines: tuple[int, ...] = SPINES) -> Simulation:
    """A leaf-spine whose first spine is of zone a, the others of zone b; each tenant has a port on each leaf."""
    sim = Simulation(spines=spines, ports=range(1, 16))
    for dpid in spines:
        sim.observe(SwitchDeclared(dpid=dpid, settings=SwitchSettings(zone=ZONES[dpid])))
    for i, name in enumerate(tenants):
        sim.apply(tenant(name, {f"p{leaf}": (leaf, 5 + i) for leaf in LEAVES}).values())
    sim.settle()
    return sim


def set_policy(sim: Simulation, network: str, policy: PathPolicy) -> None:
    sim.apply([Network(name=network, path_policy=policy)])


def set_dear(sim: Simulation, spine: int) -> None:
    """The shortest paths lead over the others."""
    for leaf, end in sim.wires:
        for src in (leaf, end):
            sim.observe(LinkDeclared(src=src, settings=LinkSettings(cost=10 if end.dpid == spine else 1)))


def pairs(sim: Simulation, network: str) -> list[tuple[Port, Port]]:
    mine = [port for port in sim.intent.ports.values() if port.network == network and port.name in sim.placed]
    return list(permutations(sorted(mine, key=lambda port: port.name), 2))


def crossed(sim: Simulation, network: str) -> set[int]:
    """The spines that frames between the network's ports cross, several connections of each pair."""
    net, spines = sim.network(), set[int]()
    for sport, (sender, receiver) in product(range(1000, 1006), pairs(sim, network)):
        ips = str(sender.addresses[0]), str(receiver.addresses[0])
        net.inject(sim.placed[sender.name], packets.udp(sender.mac, receiver.mac, *ips, sport=sport))
        spines |= {net.wires[out].dpid for out, _ in net.on_the_wire} & set(SPINES)
    return spines


def conditions(sim: Simulation, name: str) -> list[str]:
    return [condition.reason for condition in sim.reconciler.view.status(name).conditions]


def n_paths(sim: Simulation) -> int:
    return len({label >> 1 for dpid in sim.switches for label in sim.reconciler.engine.world.explicit.get(dpid, ())})


@pytest.mark.parametrize("seed", range(3))
def test_no_frame_is_lost_while_policies_change_and_switches_confirm_in_any_order(seed: int) -> None:
    """At every moment between one policy and the next each frame arrives, once; in the end where it is wanted."""
    rng = random.Random(seed)
    sim = fabric("red", "blue")
    for policy in (AVOID_A, AVOID_B, TOGETHER, AVOID_A, ANY_PATH, PathPolicy(trees=(1,)), AVOID_B):
        set_policy(sim, RED, policy)
        for _ in range(250):
            if rng.random() < 0.1:
                sim.reconcile()
            elif rng.random() < 0.05:
                sim.reconciler.age()
            else:
                sim.turn(rng.choice(list(sim.switches)))
            check_no_loss(sim, rng.sample(pairs(sim, RED), 2))
        sim.settle()
        sim.check_installed()
        check_no_loss(sim, pairs(sim, RED) + pairs(sim, BLUE))
        if policy.avoid_zones:
            assert {ZONES[spine] for spine in crossed(sim, RED)}.isdisjoint(policy.avoid_zones)
        assert conditions(sim, RED) == []
    assert crossed(sim, BLUE) == set(SPINES)


def test_paths_are_shared_by_networks_and_go_with_the_last_of_them() -> None:
    """Two networks that want the same path write the same label; when neither does, nothing of it is left anywhere."""
    sim = fabric("red", "blue")
    set_policy(sim, RED, AVOID_B)
    sim.settle()
    alone = n_paths(sim)
    set_policy(sim, BLUE, AVOID_B)
    sim.settle()
    assert n_paths(sim) == alone == len(LEAVES) * (len(LEAVES) - 1)
    for network in (RED, BLUE):
        assert n_paths(sim) == alone
        set_policy(sim, network, ANY_PATH)
        sim.settle()
    assert n_paths(sim) == 0
    assert not sim.cache.records.keys() & {key for key in sim.cache.records if key.startswith(("explicit/", "steer/"))}
    sim.check_installed()


def test_zone_that_is_avoided_is_avoided_while_links_are_dead_and_nobody_is_in_charge() -> None:
    """Frames go over the other spine of their zone, or are dropped; before and after the controller knows."""
    sim = fabric("red")
    set_policy(sim, RED, AVOID_A)
    sim.settle()
    for spine in (2, 3):
        for leaf in LEAVES:
            sim.switches[spine].down.add(LEAVES.index(leaf) + 1)
            sim.switches[leaf].down.add(SPINES.index(spine) + 1)
            net = sim.network()
            for sender, receiver in pairs(sim, RED):
                net.inject(sim.placed[sender.name], unicast(sender, receiver))
                assert not {net.wires[out].dpid for out, _ in net.on_the_wire} & {1}
            if spine == 2:
                check_no_loss(sim, pairs(sim, RED))


def test_port_on_a_new_edge_sends_nothing_through_the_zone_before_its_paths_are_there() -> None:
    """For as long as the permitted spine is out of reach; the edges have labels for another network's sake."""
    rng = random.Random(0)
    sim = fabric("blue")
    red = tenant("red", {f"p{leaf}": (leaf, 6) for leaf in LEAVES})
    sim.apply([obj for obj in red.values() if not isinstance(obj, Port)])
    set_policy(sim, RED, AVOID_B)
    sim.disconnect(1)
    sim.apply([obj for obj in red.values() if isinstance(obj, Port)])
    for _ in range(80):
        sim.reconcile() if rng.random() < 0.1 else sim.turn(rng.choice(list(sim.switches)))
        assert crossed(sim, RED) == set()
    sim.settle()
    assert crossed(sim, RED) == set()
    status = sim.reconciler.view.status(RED)
    message = next(c.message for c in status.conditions if c.reason == "PATH_POLICY_PENDING")
    assert message.startswith("frames are dropped from 000000000000000b to 000000000000000c")
    sim.connect(1)
    sim.settle()
    assert (crossed(sim, RED), conditions(sim, RED)) == ({1}, [])
    check_no_loss(sim, pairs(sim, RED) + pairs(sim, BLUE))


@pytest.mark.parametrize("seed", range(2))
def test_trees_that_move_into_the_zone_take_no_frame_along(seed: int) -> None:
    """While no tree touches the zone the network takes all; when costs lead trees there, it has long left them."""
    rng = random.Random(seed)
    sim = fabric("red")
    sim.observe(SwitchDeclared(dpid=2, settings=SwitchSettings(zone="c")))
    set_dear(sim, 3)
    set_policy(sim, RED, AVOID_B)
    sim.settle()
    assert not sim.reconciler.engine.world.steers
    for spine in (1, 3):
        set_dear(sim, spine)
        for _ in range(150):
            sim.reconcile() if rng.random() < 0.1 else sim.turn(rng.choice(list(sim.switches)))
            assert 3 not in crossed(sim, RED)
            check_no_loss(sim, rng.sample(pairs(sim, RED), 2))
        sim.settle()


def test_frames_without_a_permitted_path_are_dropped_and_the_network_says_so() -> None:
    """Until a link of the permitted spine is back."""
    sim = fabric("red", "blue")
    set_policy(sim, RED, AVOID_B)
    sim.settle()
    assert crossed(sim, RED) == {1}
    sim.link_lost(sim.wires[0])
    sim.settle()
    cut, leaf = [pair for pair in pairs(sim, RED) if pair[0].attachment.dpid == 11], sim.switches[11]  # type: ignore[union-attr]
    net, before = sim.network(), leaf.count(100, reg1=(Reason.NO_PATH, 0xFFFF))
    for sender, receiver in cut:
        assert net.inject(sim.placed[sender.name], unicast(sender, receiver)) == []
        assert net.on_the_wire == []
    assert leaf.count(100, reg1=(Reason.NO_PATH, 0xFFFF)) == before + len(cut)
    status = sim.reconciler.view.status(RED)
    assert status.state is Is.DEGRADED
    assert [condition.reason for condition in status.conditions] == ["PATH_POLICY_VIOLATED"]
    assert "avoids zone b" in status.conditions[0].message
    assert "dropped" in status.conditions[0].message
    assert conditions(sim, f"{RED}/ports/p11") == ["PATH_POLICY_VIOLATED"]
    assert conditions(sim, BLUE) == []
    check_no_loss(sim, pairs(sim, BLUE))
    sim.link_seen(sim.wires[0])
    sim.settle()
    check_no_loss(sim, pairs(sim, RED))
    assert (crossed(sim, RED), conditions(sim, RED)) == ({1}, [])


def test_latency_bound_that_no_path_keeps_is_said_and_the_fastest_path_is_taken() -> None:
    """It is a wish: frames go on, by the fastest way there is, and the network is DEGRADED."""
    sim = fabric("red")
    for one, other in sim.wires:
        slow_us = 100 * (one.dpid if one.dpid in SPINES else other.dpid)
        for end in (one, other):
            sim.observe(LinkDeclared(src=end, settings=LinkSettings(latency_us=slow_us)))
    set_policy(sim, RED, PathPolicy(max_latency_us=400))
    sim.settle()
    assert (crossed(sim, RED), conditions(sim, RED)) == ({1, 2}, [])
    set_policy(sim, RED, PathPolicy(max_latency_us=150))
    sim.settle()
    assert (crossed(sim, RED), conditions(sim, RED)) == ({1}, ["PATH_POLICY_VIOLATED"])
    message = sim.reconciler.view.status(RED).conditions[0].message
    assert "takes at most 150 us; the fastest takes 200 us" in message
    check_no_loss(sim, pairs(sim, RED))


def test_network_kept_together_takes_one_way_and_networks_take_different_ones() -> None:
    """All connections between two edges cross one spine; ten networks do not all choose the same."""
    names = [f"t{i}" for i in range(10)]
    sim = fabric(*names)
    for name in names:
        set_policy(sim, network_name(name), TOGETHER)
    sim.settle()
    chosen = set()
    for name in names:
        (way,) = {steer.trees for (network, edge), steer in sim.reconciler.engine.world.steers[11].items()
                  if network == network_name(name) and edge == 12}
        assert len(way) == 1
        chosen.add(way)
    assert len(chosen) > 1
    for name in names:
        check_no_loss(sim, pairs(sim, network_name(name)))


@pytest.mark.parametrize("away", [None, 2, 12])
def test_restarted_controller_writes_nothing_about_paths(away: int | None) -> None:
    """With every switch there, or a spine or an edge out of reach."""
    sim = fabric("red", "blue")
    set_policy(sim, RED, AVOID_A)
    set_policy(sim, BLUE, TOGETHER)
    sim.settle()
    if away is not None:
        sim.disconnect(away)
        sim.settle()
    sim.frames = 0
    for _ in range(2):
        sim.restart()
        for dpid in sim.switches.keys() - {away}:
            sim.connect(dpid)
        sim.settle()
        assert sim.frames == 0
    check_no_loss(sim, pairs(sim, RED))


@pytest.mark.parametrize("seed", range(4))
def test_killed_while_networks_move_no_frame_is_lost_and_no_zone_is_touched(seed: int) -> None:
    """From one permitted spine to another, the controller killed at any moment and started again."""
    rng = random.Random(seed)
    sim = fabric("red")
    set_policy(sim, RED, AVOID_A)
    sim.settle()
    for round_ in range(4):
        # Which spines are of zone a does not change; which way is cheaper does.
        for one, other in sim.wires:
            cost = 1 + 5 * (2 + round_ % 2 in (one.dpid, other.dpid))
            for end in (one, other):
                sim.observe(LinkDeclared(src=end, settings=LinkSettings(cost=cost)))
        for _ in range(rng.randrange(120)):
            sim.reconcile() if rng.random() < 0.15 else sim.turn(rng.choice(list(sim.switches)))
            check_no_loss(sim, rng.sample(pairs(sim, RED), 1))
        sim.restart()
        check_no_loss(sim, pairs(sim, RED))
        for dpid in rng.sample(list(sim.switches), len(sim.switches)):
            sim.connect(dpid)
            sim.reconcile()
            sim.run(dpid)
            check_no_loss(sim, pairs(sim, RED))
            assert 1 not in crossed(sim, RED)
        sim.settle()
        sim.check_installed()
        assert conditions(sim, RED) == []


def test_trees_that_were_taken_for_their_zones_lead_nowhere_else_under_the_same_labels() -> None:
    """Else a frame on its way would follow its tree into the zone.  Toward all others labels stay, and hops change."""
    def moved_in_place(sim: Simulation) -> int:
        sim.link_lost(next(wire for wire in sim.wires if {wire[0].dpid, wire[1].dpid} == {2, LEAVES[0]}))
        sim.reconcile()
        return sum(bool(v.earlier) for each in sim.reconciler.engine.labelling.versions.values() for v in each)

    assert moved_in_place(fabric("red")) > 0
    sim = fabric("red", "blue")
    set_policy(sim, BLUE, AVOID_A)
    sim.settle()
    assert moved_in_place(sim) == 0


def test_edge_out_of_reach_keeps_the_path_that_it_writes() -> None:
    """Its old path stands until it is back and has confirmed the new one, whatever restarts in between."""
    sim = fabric("red")
    set_policy(sim, RED, AVOID_A)
    sim.settle()
    sim.disconnect(11)
    set_policy(sim, RED, AVOID_B)
    sim.settle()
    for _ in range(2):
        check_no_loss(sim, pairs(sim, RED))
        sim.restart()
        for dpid in sim.switches.keys() - {11}:
            sim.connect(dpid)
        sim.settle()
    sim.connect(11)
    sim.settle()
    check_no_loss(sim, pairs(sim, RED))
    assert crossed(sim, RED) == {1}
    assert n_paths(sim) == len(LEAVES) * (len(LEAVES) - 1)


def test_core_holds_explicit_paths_and_no_networks() -> None:
    """Ten more networks with the same policy cost the spines nothing."""
    sizes = []
    for n in (1, 3):
        sim = fabric(*(f"t{i}" for i in range(n)))
        for i in range(n):
            set_policy(sim, network_name(f"t{i}"), AVOID_B)
        sim.settle()
        sizes.append([len(sim.switches[spine].flows) for spine in SPINES])
    assert sizes[0] == sizes[1]


def test_guarantees_are_kept_free_on_the_paths_that_the_network_takes() -> None:
    """On its own spine only; while it moves to another one, on both until the edges have confirmed."""
    sim = fabric("red")
    set_policy(sim, RED, AVOID_B)
    sim.settle()
    ports = [replace(port, bandwidth=BandwidthPolicy(guarantee_in_kbps=1_000, guarantee_out_kbps=1_000))
             for port in sim.intent.ports.values()]
    sim.apply(ports)
    sim.settle()

    def granted() -> set[int]:
        return {at.dpid for at, here in sim.reconciler.view.granted.grants.items() if here} & set(SPINES)

    assert granted() == {1}
    set_policy(sim, RED, AVOID_A)
    sim.reconcile()
    assert granted() > {1}
    sim.settle()
    assert crossed(sim, RED) <= granted() <= {2, 3}


def test_port_on_another_switch_gets_paths_of_its_own() -> None:
    """And takes them along when it leaves."""
    sim = fabric("red")
    sim.apply((), [f"{RED}/ports/p13"])
    set_policy(sim, RED, AVOID_B)
    sim.settle()
    assert n_paths(sim) == 2
    sim.apply(tenant("red", {"p13": (13, 5)}).values())
    set_policy(sim, RED, AVOID_B)
    sim.settle()
    assert n_paths(sim) == 6
    sim.apply((), [f"{RED}/ports/p13"])
    sim.settle()
    assert n_paths(sim) == 2
    assert EndPoint(13, 5) not in sim.placed.values()
