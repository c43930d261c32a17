"""Routed frames while networks, subnets, peerings, ports, links and the controller come and go, in any order."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from itertools import permutations
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from controller.fabric.declared import SwitchSettings
from controller.fabric.events import QueuesFound, SwitchDeclared
from controller.fabric.ports import EndPoint
from controller.intent.addresses import gateway_mac
from controller.intent.snapshot import Resource
from controller.model.bandwidth import BandwidthPolicy, TrafficClass
from controller.model.errors import PliantError
from controller.model.ids import network_of
from controller.model.network import ANY_PATH, Attachment, Network, PathPolicy, Peering, Pipe, Port, Subnet
from controller.model.status import State as Is
from controller.model.tenancy import Tenant
from controller.pipeline import tables
from controller.pipeline.tables import Reason
from tests.fakes import packets
from tests.sequences.simulation import LEAVES, Simulation
from tests.sequences.test_law import check_steers
from tests.sequences.traffic import check_isolation

TENANTS, NETWORKS = ("red", "blue"), ("one", "two", "three")
AVOID = PathPolicy(avoid_zones=("north",))


def network_name(tenant: str, network: str) -> str:
    return f"tenants/{tenant}/networks/{network}"


def subnet(tenant: str, network: str, number: int) -> Subnet:
    """Every tenant has the same addresses: 10.NETWORK.SUBNET.0/24."""
    cidr = IPv4Network(f"10.{NETWORKS.index(network)}.{number}.0/24")
    return Subnet(name=f"{network_name(tenant, network)}/subnets/s{number}", ipv4_cidr=cidr)


def port(tenant: str, network: str, number: int, at: tuple[int, int], *, of: int = 0) -> Port:
    """Number `number` of its network, with an address of subnet `of`.  MACs are the same in every network."""
    name, address = network_name(tenant, network), IPv4Address(f"10.{NETWORKS.index(network)}.{of}.{10 + number}")
    return Port(
        name=f"{name}/ports/p{number}", subnet=f"{name}/subnets/s{of}", mac=f"02:00:00:00:00:{number:02x}",
        addresses=(address,), attachment=Attachment(dpid=at[0], port_no=at[1]))


def peering(tenant: str, a: str, b: str) -> Peering:
    return Peering(name=f"tenants/{tenant}/peerings/{a}-{b}", a=network_name(tenant, a), b=network_name(tenant, b))


def routed(sim: Simulation, sender: Port, receiver: Port, *, sport: int = 1000) -> bytes:
    """By way of the sender's gateway."""
    mac = gateway_mac(sim.intent.keys.network_key(sender.network))
    return packets.udp(sender.mac, mac, str(sender.addresses[0]), str(receiver.addresses[0]), sport=sport)


def hears(sim: Simulation, sender: Port, receiver: Port, *, sport: int = 1000) -> list[EndPoint]:
    return [at for at, _ in sim.network().inject(sim.placed[sender.name], routed(sim, sender, receiver, sport=sport))]


def reached(sim: Simulation, network: str) -> set[str]:
    """Whom its gateway should lead to."""
    inside = {network} if len(sim.intent.subnets_by_network.get(network, ())) > 1 else set()
    return inside | set(sim.intent.peers_of(network))


def check_reach(sim: Simulation) -> None:
    """Each port by its gateway: whom its network has a route to, once, and nobody else, with equal addresses or not."""
    ports = [sim.intent.ports[name] for name in sorted(sim.placed)]
    for sender, meant in permutations(ports, 2):
        known = [p for p in ports if p.addresses == meant.addresses and p.network in reached(sim, sender.network)]
        expected = [sim.placed[p.name] for p in known if p.name != sender.name]
        assert hears(sim, sender, meant) == expected, (sender, meant)


class Course:
    def __init__(self) -> None:
        self.sim = Simulation()
        self.sim.after_step = lambda outcome: self.sim.check_programs()
        self.joined: set[frozenset[str]] = set()
        """networks that some switch may still hold to be peers"""
        self.hosts: dict[Port, None] = {}
        self.turns = 0
        self.sim.observe(SwitchDeclared(dpid=1, settings=SwitchSettings(zone="north")))
        objects: list[Resource] = [Tenant(name=f"tenants/{tenant}") for tenant in TENANTS]
        for tenant in TENANTS:
            for network in NETWORKS:
                objects += [Network(name=network_name(tenant, network)), subnet(tenant, network, 0)]
        self.sim.apply(objects)
        for i in range(6):
            put_port(self, i, i % 3)
        put_peering(self, 0, 0)
        self.settled()

    def note_peerings(self) -> None:
        self.joined.update(frozenset((one.a, one.b)) for one in self.sim.intent.peerings.values())

    def check(self) -> None:
        """Nobody hears a network that is neither his nor, as far as any switch knows, a peer of his."""
        self.note_peerings()
        self.turns += 1
        check_isolation(self.sim, self.hosts, of=10, turn=self.turns)
        net = self.sim.network()
        for number, (sender, receiver) in enumerate(permutations(self.hosts, 2)):
            if (number + self.turns) % 10 or sender.network not in self.sim.intent.networks:
                continue
            assert sender.attachment is not None
            at = EndPoint(sender.attachment.dpid, sender.attachment.port_no)
            mine = self.sim.networks_at(at)
            near = mine.union(*(pair for pair in self.joined if pair & mine))
            for heard_at, _ in net.inject(at, routed(self.sim, sender, receiver)):
                assert near & self.sim.networks_at(heard_at), (sender, receiver, heard_at)

    def settled(self) -> None:
        """All is confirmed: no switch holds anything of before."""
        for dpid in self.sim.switches:
            if dpid not in self.sim.channels:
                self.sim.connect(dpid)
        for wire in self.sim.wires:
            self.sim.port_up(wire[0])
            self.sim.link_seen(wire)
        self.sim.settle()
        self.sim.check_installed()
        self.joined.clear()
        self.note_peerings()
        check_reach(self.sim)
        check_steers(self.sim)


def put_port(course: Course, a: int, b: int) -> None:
    tenant, network = TENANTS[a % 2], NETWORKS[a // 2 % 3]
    made = port(tenant, network, b % 3, (LEAVES[b % 3], 3 + a % 6), of=b // 3 % 2)
    course.sim.apply([made])
    course.hosts[made] = None


def delete_port(course: Course, a: int, b: int) -> None:
    course.sim.apply((), [f"{network_name(TENANTS[a % 2], NETWORKS[a // 2 % 3])}/ports/p{b % 3}"])


def put_subnet(course: Course, a: int, b: int) -> None:
    course.sim.apply([subnet(TENANTS[a % 2], NETWORKS[b % 3], 1)])


def delete_subnet(course: Course, a: int, b: int) -> None:
    course.sim.apply((), [subnet(TENANTS[a % 2], NETWORKS[b % 3], 1).name])


def put_peering(course: Course, a: int, b: int) -> None:
    course.sim.apply([peering(TENANTS[a % 2], *((("one", "two"), ("two", "three"), ("three", "one"))[b % 3]))])


def delete_peering(course: Course, a: int, _: int) -> None:
    names = sorted(course.sim.intent.peerings)
    course.sim.apply((), [names[a % len(names)]] if names else [])


def renew_network(course: Course, a: int, b: int) -> None:
    """Gone and there again, peered and with a port, within one step."""
    tenant, network = TENANTS[a % 2], NETWORKS[b % 3]
    course.sim.apply((), [network_name(tenant, network)])
    course.sim.apply([Network(name=network_name(tenant, network)), subnet(tenant, network, 0)])
    put_peering(course, a, b)
    put_port(course, a % 2 + 2 * (b % 3), b)


def change_path_policy(course: Course, a: int, b: int) -> None:
    policy = (ANY_PATH, AVOID, PathPolicy(trees=(1,)))[b // 3 % 3]
    course.sim.apply([Network(name=network_name(TENANTS[a % 2], NETWORKS[b % 3]), path_policy=policy)])


def put_pipe(course: Course, a: int, b: int) -> None:
    """Between two networks, with more or less than a link carries."""
    one, other = ((("one", "two"), ("two", "three"), ("three", "one"))[b % 3])
    policy = (BandwidthPolicy(guarantee_out_kbps=300_000, ceiling_in_kbps=5_000),
              BandwidthPolicy(guarantee_in_kbps=700_000, traffic_class=TrafficClass.CRITICAL))[b // 3 % 2]
    tenant = TENANTS[a % 2]
    course.sim.apply([Pipe(name=f"tenants/{tenant}/pipes/p", a=network_name(tenant, one), b=network_name(tenant, other),
                           bandwidth=policy)])


def find_queues(course: Course, a: int, b: int) -> None:
    course.sim.observe(QueuesFound(dpid=LEAVES[a % 3], driver=("ovsdb", "tc")[b % 2]))


def fail_port(course: Course, a: int, b: int) -> None:
    course.sim.port_down(EndPoint(LEAVES[a % 3], 1 + b % 2))


def lose_link(course: Course, a: int, _: int) -> None:
    course.sim.link_lost(course.sim.wires[a % 6])


def find_link(course: Course, a: int, _: int) -> None:
    course.sim.link_seen(course.sim.wires[a % 6])


def disconnect(course: Course, a: int, b: int) -> None:
    course.sim.disconnect(LEAVES[a % 3], arriving=b % 20)


def connect(course: Course, a: int, _: int) -> None:
    course.sim.connect(LEAVES[a % 3])


def restart(course: Course, _a: int, b: int) -> None:
    course.sim.restart()
    for dpid in sorted(course.sim.switches)[b % 3 :]:
        course.sim.connect(dpid)


def turn(course: Course, a: int, b: int) -> None:
    for _ in range(1 + b % 40):
        course.sim.turn(LEAVES[a % 3])


def reconcile(course: Course, _a: int, _b: int) -> None:
    course.sim.reconcile()


def settle(course: Course, _a: int, _b: int) -> None:
    course.settled()


Act = Callable[[Course, int, int], None]
ACTS: tuple[Act, ...] = (
    put_port, put_port, put_port, delete_port, put_subnet, put_subnet, delete_subnet, put_peering, put_peering,
    delete_peering, renew_network, change_path_policy, put_pipe, find_queues, fail_port, lose_link, find_link,
    disconnect, connect, restart, turn, turn, turn, reconcile, reconcile, settle,
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 255), st.integers(0, 255)), min_size=5, max_size=30))
def test_whoever_has_a_route_reaches_and_nobody_else_hears(acts: list[tuple[Act, int, int]]) -> None:
    """Over random orders: incremental equals full, nobody hears a stranger, and in the end peers and subnets reach."""
    course = Course()
    for act, a, b in acts:
        try:
            act(course, a, b)
        except PliantError:
            continue
        course.check()
    course.settled()


def joined(*, ports: int = 1) -> tuple[Simulation, list[Port], list[Port]]:
    """Red's networks one and two, which are peers, each with so many ports on each leaf; theirs."""
    sim = Simulation(ports=range(1, 16))
    ends: dict[str, list[Port]] = {"one": [], "two": []}
    objects: list[Resource] = [Tenant(name="tenants/red")]
    for i, network in enumerate(ends):
        objects += [Network(name=network_name("red", network)), subnet("red", network, 0)]
        for number in range(3 * ports):
            at = LEAVES[number % 3], 3 + 2 * (number // 3) + i
            ends[network].append(port("red", network, number, at))
    sim.apply([*objects, *ends["one"], *ends["two"], peering("red", "one", "two")])
    sim.settle()
    return sim, ends["one"], ends["two"]


@pytest.mark.parametrize("seed", range(3))
def test_no_routed_frame_is_lost_while_all_around_it_changes(seed: int) -> None:
    """Links, another peering, another subnet, other ports, and the controller: at every moment each frame arrives."""
    rng = Random(seed)
    sim, ones, twos = joined()
    other = [Network(name=network_name("red", "three")), subnet("red", "three", 0)]
    changes: tuple[Callable[[], object], ...] = (
        lambda: sim.link_lost(sim.wires[0]),
        lambda: sim.apply([*other, peering("red", "two", "three")]),
        lambda: sim.apply([subnet("red", "one", 1), port("red", "three", 7, (11, 9)), port("red", "two", 8, (12, 9))]),
        lambda: sim.link_seen(sim.wires[0]),
        lambda: (sim.restart(), [sim.connect(dpid) for dpid in sim.switches]),
        lambda: sim.apply((), [peering("red", "two", "three").name, port("red", "two", 8, (12, 9)).name]),
        lambda: sim.apply((), [subnet("red", "one", 1).name]),
    )
    for change in changes:
        change()
        for _ in range(60):
            if rng.random() < 0.1:
                sim.reconcile()
            else:
                sim.turn(rng.choice(list(sim.switches)))
            sender, receiver = rng.choice(ones), rng.choice(twos)
            for a, b in ((sender, receiver), (receiver, sender)):
                if a.name in sim.placed and b.name in sim.placed:
                    assert hears(sim, a, b) == [sim.placed[b.name]], (change, a, b)
        sim.settle()
        sim.check_installed()


def test_peering_that_went_is_over_at_the_far_edge_whatever_a_switch_out_of_reach_goes_on_sending() -> None:
    """What still comes from there is dropped where it ends, and counted as what has no key any more."""
    sim, ones, twos = joined()
    sender, receiver = ones[0], twos[1]
    assert hears(sim, sender, receiver) == [sim.placed[receiver.name]]
    sim.disconnect(11)
    sim.apply((), [peering("red", "one", "two").name])
    sim.settle()
    assert hears(sim, sender, receiver) == []
    stale = (int(Reason.STALE_KEY), 0xFFFF)
    assert sim.switches[12].count(tables.DROP.number, priority=tables.Priority.REASON, reg1=stale) == 1


def test_zone_that_a_network_avoids_is_avoided_by_what_it_sends_to_a_peer_from_the_first_frame() -> None:
    """At every moment between the peering and its last confirmation; only then do they say to be in force."""
    sim = Simulation()
    sim.observe(SwitchDeclared(dpid=1, settings=SwitchSettings(zone="north")))
    a, b = port("red", "one", 1, (11, 3)), port("red", "two", 2, (12, 3))
    sim.apply([Tenant(name="tenants/red"), Network(name=network_name("red", "one"), path_policy=AVOID),
               Network(name=network_name("red", "two")), subnet("red", "one", 0), subnet("red", "two", 0), a, b])
    sim.settle()
    sim.apply([peering("red", "one", "two")])
    rng, heard = Random(5), False
    while sim.dirty or any(sim.channels[dpid].mail or sim.channels[dpid].steps for dpid in sim.channels):
        if rng.random() < 0.2:
            sim.reconcile()
        sim.turn(rng.choice(list(sim.switches)))
        if sim.reconciler.age():
            sim.dirty = True
        net = sim.network()
        for sport in range(1000, 1008):
            got = net.inject(sim.placed[a.name], routed(sim, a, b, sport=sport))
            assert {at.dpid for at, _ in net.on_the_wire} <= {11, 2}
            heard |= bool(got)
    assert heard
    sim.settle()
    assert sim.reconciler.view.status(a.name).state is Is.ACTIVE
    assert hears(sim, a, b) == [sim.placed[b.name]]
    assert network_of(a.name) in sim.reconciler.engine.steering._bound
