"""Frames from subnet to subnet: by way of a gateway, on the edge where they come in, and no further than asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.fabric.declared import SwitchSettings
from controller.fabric.graph import EndPoint, SwitchDeclared
from controller.model.bandwidth import BandwidthPolicy
from controller.model.network import PathPolicy, Peering, Port
from controller.pipeline import tables
from controller.pipeline.tables import MeterKind, Reason
from tests.fakes import packets
from tests.fakes.data_plane import FakeNetwork
from tests.support.worlds import Lab

NET = "tenants/red/networks/net"
PLACES = {"a": ("sub", 11, 3), "b": ("sub", 12, 3), "c": ("two", 11, 4), "d": ("two", 12, 4), "e": ("two", 13, 4)}
ADDRESSES = {"a": "10.0.0.11 fd00::11", "b": "10.0.0.12 fd00::12",
             "c": "10.1.0.13 fd01::13", "d": "10.1.0.14 fd01::14", "e": "10.1.0.15 fd01::15"}
OTHER_GATEWAYS = {"sub": ("10.1.0.1", "fd01::1"), "two": ("10.0.0.1", "fd00::1")}


class World:
    """Red has two subnets in one network, and blue the same; the switches are programmed."""

    def __init__(self) -> None:
        self.lab = Lab.leaf_spine()
        for tenant, shift in (("red", 0), ("blue", 2)):
            network = self.lab.network(tenant)
            self.lab.subnet(network, "two", "10.1.0.0/16", "fd01::/64")
            for number, (name, (subnet, leaf, port_no)) in enumerate(PLACES.items(), start=1):
                self.lab.port(tenant, name, at=(leaf, port_no + shift), mac=f"02:00:00:00:00:0{number}",
                              addresses=ADDRESSES[name].split(), subnet=subnet)
        self.net: FakeNetwork = self.lab.fake_network()

    def port(self, name: str, tenant: str = "red") -> Port:
        return self.lab.intent.ports[f"tenants/{tenant}/networks/net/ports/{name}"]

    def at(self, port: Port) -> EndPoint:
        return self.lab.placement.at[port.name]

    def gateway_mac(self, network: str = NET) -> str:
        return f"02:00:5e:{self.lab.intent.keys.network_key(network).to_bytes(3, 'big').hex(':')}"

    def by_gateway(self, sender: Port, receiver: Port, family: int = 0, **kw: Any) -> bytes:
        ends = str(sender.addresses[family]), str(receiver.addresses[family])
        return packets.udp(sender.mac, self.gateway_mac(sender.network), *ends, data=b"hello", **kw)

    def send(self, sender: Port, frame: bytes) -> list[tuple[EndPoint, bytes]]:
        return self.net.inject(self.at(sender), frame)

    def drops(self, dpid: int, reason: Reason) -> int:
        """Frames of red in the drop counter of a reason."""
        owner = self.lab.intent.keys.tenant_id("tenants/red") << 24, 0xFFFFFF << 24
        return self.net.switches[dpid].count(tables.DROP.number, reg1=(int(reason), 0xFFFF), metadata=owner)


@pytest.fixture
def world() -> World:
    return World()


def routed(frame: bytes, receiver: Port) -> bytes:
    """What the receiver should see of it: its own MAC, one hop less to live."""
    frame = packets.rewrite(frame, "eth_dst", int(receiver.mac.replace(":", ""), 16))
    return packets.rewrite(frame, "ip_ttl", packets.read(frame)["ip_ttl"] - 1)


@pytest.mark.parametrize("family", [0, 1])
@pytest.mark.parametrize("tenant", ["red", "blue"])
def test_subnets_of_a_network_reach_each_other_by_their_gateways_and_nobody_else(
    world: World, tenant: str, family: int
) -> None:
    """Near and far, in both directions; of two tenants with equal addresses each reaches its own ports alone."""
    for name in PLACES:
        for other in PLACES.keys() - {name}:
            sender, receiver = world.port(name, tenant), world.port(other, tenant)
            frame = world.by_gateway(sender, receiver, family)
            assert world.send(sender, frame) == [(world.at(receiver), routed(frame, receiver))], (name, other)
            assert all(packets.checksums_hold(got) for _, got in world.send(sender, frame))


@pytest.mark.parametrize("family", [0, 1])
def test_echo_by_way_of_a_gateway_goes_on_and_one_for_any_gateway_is_answered(world: World, family: int) -> None:
    """A ping from subnet to subnet is no query for the switch; one to a gateway of the other subnet is."""
    a, d = world.port("a"), world.port("d")
    ends = str(a.addresses[family]), str(d.addresses[family])
    ping = packets.icmp_echo(a.mac, world.gateway_mac(), *ends)
    assert world.send(a, ping) == [(world.at(d), routed(ping, d))]
    for gateway in (OTHER_GATEWAYS["sub"][family], OTHER_GATEWAYS["two"][family]):
        ask = packets.icmp_echo(a.mac, world.gateway_mac(), ends[0], gateway)
        ((at, reply),) = world.send(a, ask)
        answer = packets.icmp_echo(world.gateway_mac(), a.mac, gateway, ends[0])
        assert at == world.at(a)
        assert reply == packets.rewrite(answer, *(("icmpv6_type", 129) if family else ("icmpv4_type", 0)))


@pytest.mark.parametrize(
    ("reason", "forge"),
    [
        (Reason.TTL_EXPIRED, lambda w, a, d: packets.rewrite(w.by_gateway(a, d), "ip_ttl", 1)),
        (Reason.TTL_EXPIRED, lambda w, a, d: packets.rewrite(w.by_gateway(a, d, 1), "ip_ttl", 1)),
        (Reason.TTL_EXPIRED, lambda w, a, d: packets.rewrite(w.by_gateway(a, d), "ip_ttl", 0)),
        (Reason.NO_ROUTE, lambda w, a, d: packets.udp(a.mac, w.gateway_mac(), "10.0.0.11", "192.0.2.1")),
        (Reason.NO_ROUTE, lambda w, a, d: packets.udp(a.mac, w.gateway_mac(), "fd00::11", "2001:db8::1")),
        (Reason.NO_ROUTE, lambda w, a, d: packets.udp(a.mac, w.gateway_mac(), "10.0.0.11", "255.255.255.255")),
        (Reason.NO_ROUTE, lambda w, a, d: packets.udp(a.mac, w.gateway_mac(), "10.0.0.11", "224.0.0.1")),
        (Reason.NO_ROUTE, lambda w, a, d: packets.udp(a.mac, w.gateway_mac(), "fe80::ff:fe00:1", "fd01::14")),
        (Reason.NO_ROUTE, lambda w, a, d: packets.arp(
            a.mac, w.gateway_mac(), 2, a.mac, "10.0.0.11", w.gateway_mac(), "10.0.0.1")),
        (Reason.UNKNOWN_ADDRESS, lambda w, a, d: packets.udp(a.mac, w.gateway_mac(), "10.0.0.11", "10.1.0.99")),
        (Reason.UNKNOWN_ADDRESS, lambda w, a, d: packets.udp(a.mac, w.gateway_mac(), "10.0.0.11", "10.1.255.255")),
        (Reason.UNKNOWN_ADDRESS, lambda w, a, d: packets.udp(a.mac, w.gateway_mac(), "10.0.0.11", "10.1.0.1")),
        (Reason.UNKNOWN_DESTINATION, lambda w, a, d: packets.udp(
            a.mac, w.gateway_mac("tenants/blue/networks/net"), "10.0.0.11", "10.1.0.14")),
        (Reason.SPOOFED_IPV4, lambda w, a, d: packets.udp(a.mac, w.gateway_mac(), "10.0.0.12", "10.1.0.14")),
        (Reason.SPOOFED_IPV4, lambda w, a, d: packets.udp(a.mac, w.gateway_mac(), "10.1.0.13", "10.0.0.12")),
        (Reason.SPOOFED_IPV4, lambda w, a, d: packets.udp(w.gateway_mac(), d.mac, "10.0.0.11", "10.1.0.14")),
    ],
)  # fmt: skip
def test_what_a_router_must_not_pass_on_reaches_nobody_and_is_counted(world: World, reason: Reason, forge: Any) -> None:
    """Old, foreign, aimed at groups or at nobody: each ends where it came in, under the reason that names it."""
    a, d = world.port("a"), world.port("d")
    assert world.send(a, forge(world, a, d)) == []
    assert world.net.on_the_wire == []
    assert world.drops(11, reason) == 1


def test_broadcast_and_multicast_stay_what_they_are_with_two_subnets(world: World) -> None:
    """A network is one broadcast domain, whatever its subnets; a frame to all is routed nowhere."""
    a = world.port("a")
    for mac, address in ((packets.BROADCAST, "10.1.0.14"), ("01:00:5e:01:02:03", "239.1.2.3")):
        frame = packets.udp(a.mac, mac, "10.0.0.11", address)
        assert {got for _, got in world.send(a, frame)} == {frame}


def test_frame_between_subnets_keeps_its_senders_mac_on_the_wire(world: World) -> None:
    """Whatever tells the class of a frame by its source in the fabric tells it of routed ones, too."""
    a, d = world.port("a"), world.port("d")
    world.send(a, world.by_gateway(a, d))
    assert len(world.net.on_the_wire) == 2
    assert {packets.read(frame)["eth_src"] for _, frame in world.net.on_the_wire} == {0x020000000001}


def test_network_of_one_subnet_has_no_routes() -> None:
    """It costs no flow that only a router needs, and its gateway passes nothing on."""
    lab = Lab.leaf_spine()
    network = lab.network("red")
    a, b = lab.port("red", "a", at=(11, 3)), lab.port("red", "b", at=(12, 3))
    assert not any(key.kind == "neighbour" for key in lab.programs())
    mac = f"02:00:5e:{lab.intent.keys.network_key(network).to_bytes(3, 'big').hex(':')}"
    frame = packets.udp(a.mac, mac, str(a.addresses[0]), str(b.addresses[0]))
    assert lab.fake_network().inject(EndPoint(11, 3), frame) == []
    lab.subnet(network, "two", "10.1.0.0/24")
    assert {key.dpid for key in lab.programs() if key.kind == "neighbour"} == {11, 12}
    assert lab.fake_network().inject(EndPoint(11, 3), frame) == [(EndPoint(12, 3), routed(frame, b))]


# -- from network to network

PEERS = {"one": {"a": (11, 3), "a2": (12, 3)}, "two": {"b": (12, 4), "b2": (13, 3)},
         "three": {"c": (11, 4), "c2": (12, 5)}, "four": {"d": (13, 4), "d2": (11, 5)}}
"""Networks of red and their ports; one is a peer of two and of three, and nobody is one of four."""


class Peers:
    """Red's four networks; blue has the same names, MACs and addresses, its networks in other pairs."""

    def __init__(self) -> None:
        self.lab = Lab.leaf_spine()
        for tenant, shift in (("red", 0), ("blue", 3)):
            for i, (network, ports) in enumerate(PEERS.items()):
                full = self.lab.network(tenant, network, ipv4=f"10.{i}.0.0/24", ipv6=f"fd0{i}::/64")
                for j, (name, (leaf, port_no)) in enumerate(ports.items(), start=8):
                    self.lab.port(full, name, at=(leaf, port_no + shift), mac=f"02:00:00:00:0{j}:0{i}",
                                  addresses=[f"10.{i}.0.{j}", f"fd0{i}::{j}"])
        for tenant, pairs in (("red", ("one two", "one three")), ("blue", ("three four",))):
            for number, pair in enumerate(pairs):
                a, b = (f"tenants/{tenant}/networks/{network}" for network in pair.split())
                self.lab.create(Peering(name=f"tenants/{tenant}/peerings/p{number}", a=a, b=b))
        self.net = self.lab.fake_network()

    def ports(self) -> list[Port]:
        return [self.lab.intent.ports[name] for name in sorted(self.lab.intent.ports)]

    def port(self, network: str, name: str) -> Port:
        return self.lab.intent.ports[f"tenants/red/networks/{network}/ports/{name}"]

    def gateway_mac(self, port: Port) -> str:
        return f"02:00:5e:{self.lab.intent.keys.network_key(port.network).to_bytes(3, 'big').hex(':')}"

    def send(self, sender: Port, receiver: Port, family: int = 0) -> list[tuple[EndPoint, bytes]]:
        """What becomes of a frame by way of the sender's gateway."""
        return self.net.inject(self.lab.placement.at[sender.name], self.frame(sender, receiver, family))

    def frame(self, sender: Port, receiver: Port, family: int = 0) -> bytes:
        return packets.udp(sender.mac, self.gateway_mac(sender), str(sender.addresses[family]),
                           str(receiver.addresses[family]), data=b"hello")

    def arrived(self, sender: Port, receiver: Port, family: int) -> tuple[EndPoint, bytes]:
        """What the receiver should get: from its own gateway, one hop older."""
        frame = routed(self.frame(sender, receiver, family), receiver)
        frame = packets.rewrite(frame, "eth_src", int(self.gateway_mac(receiver).replace(":", ""), 16))
        return self.lab.placement.at[receiver.name], frame


@pytest.mark.parametrize("family", [0, 1])
def test_networks_reach_each_other_if_they_are_peers_and_no_others(family: int) -> None:
    """Over all pairs of ports: not by a common peer, not with the same addresses in another tenant, near or far."""
    world = Peers()
    for sender in world.ports():
        for receiver in world.ports():
            if sender.network == receiver.network:
                continue
            # With the same addresses there are two that might hear it: it is the sender's tenant's, or nobody.
            known = world.lab.intent.peers_of(sender.network)
            meant = next((p for p in world.ports() if p.addresses == receiver.addresses and p.network in known), None)
            expected = [] if meant is None else [world.arrived(sender, meant, family)]
            assert world.send(sender, receiver, family) == expected, (sender, receiver)


def test_frame_to_a_peer_carries_its_routers_mac_and_the_peers_key_through_the_fabric() -> None:
    """So that a queue can tell which network it comes from, and which it is for; and no peer's edge takes another."""
    world = Peers()
    a, b = world.port("one", "a"), world.port("two", "b")
    assert world.send(a, b)
    key = world.lab.intent.keys.port_key(b.name)
    assert key is not None
    crossed = [packets.read(frame) for _, frame in world.net.on_the_wire]
    assert len(crossed) == 2
    assert {f"{fields['eth_src']:012x}" for fields in crossed} == {world.gateway_mac(a).replace(":", "")}
    assert {fields["eth_dst"] & 0xFFFFFF for fields in crossed} == {key.key24}
    assert {fields["eth_dst"] >> 42 & 0b111 for fields in crossed} == {tables.LABEL_ROUTED}
    entered, frame = world.net.on_the_wire[-1]
    forged = packets.rewrite(frame, "eth_src", int(world.gateway_mac(world.port("three", "c")).replace(":", ""), 16))
    end = world.net.wires[entered]
    assert world.net.switches[end.dpid].forward(frame, end.port_no)
    assert world.net.switches[end.dpid].forward(forged, end.port_no) == []


def test_gateways_of_peers_answer_and_those_of_others_do_not() -> None:
    """Asked by way of the network's own gateway."""
    world = Peers()
    a = world.port("one", "a")
    for number, family in ((0, 0), (1, 0), (2, 1), (1, 1)):
        gateway = (f"10.{number}.0.1", f"fd0{number}::1")[family]
        ask = packets.icmp_echo(a.mac, world.gateway_mac(a), str(a.addresses[family]), gateway)
        assert [at for at, _ in world.net.inject(EndPoint(11, 3), ask)] == [EndPoint(11, 3)], gateway
    ask = packets.icmp_echo(a.mac, world.gateway_mac(a), "10.0.0.8", "10.3.0.1")
    assert world.net.inject(EndPoint(11, 3), ask) == []


def test_broadcast_never_crosses_to_a_peer() -> None:
    """Not one for all, and not one for the peer's own broadcast address."""
    world = Peers()
    a = world.port("one", "a")
    own = {world.lab.placement.at[world.port("one", "a2").name]}
    for mac, address in ((packets.BROADCAST, "255.255.255.255"), (packets.BROADCAST, "10.1.0.255"),
                         (world.gateway_mac(a), "10.1.0.255")):
        heard = world.net.inject(EndPoint(11, 3), packets.udp(a.mac, mac, "10.0.0.8", address))
        assert {at for at, _ in heard} <= own


def test_ceilings_in_of_a_peer_count_what_is_routed_to_it() -> None:
    """Its own, its port's and not the sender's network's, on another edge and on the same one."""
    world = Peers()
    ceiling = BandwidthPolicy(ceiling_in_kbps=10_000)
    for network in ("one", "two", "three"):
        full = f"tenants/red/networks/{network}"
        world.lab.update(replace(world.lab.intent.networks[full], bandwidth=ceiling))
    world.net = world.lab.fake_network()
    for sender, receiver, dpid in (("a", "b", 12), ("a", "c", 11)):
        target = {"b": "two", "c": "three"}[receiver]
        slot = world.lab.intent.keys.network_slot(dpid, f"tenants/red/networks/{target}")
        assert slot is not None
        before = dict(world.net.switches[dpid].metered)
        assert world.send(world.port("one", sender), world.port(target, receiver))
        passed = {k for k, n in world.net.switches[dpid].metered.items() if n != before.get(k, 0)}
        assert passed == {tables.meter_id(slot, MeterKind.IN)}


def test_routed_frame_fails_over_as_what_it_is() -> None:
    """A dead link changes its label, not its type: at its end it is let in as from a peer."""
    lab = Peers().lab
    wires = dict(lab.wires)
    for dead in ((1, 2), (2, 2)):  # the spines' ports to leaf 12
        world = Peers()
        world.net.switches[dead[0]].down.add(dead[1])
        assert EndPoint(*dead) in wires.values()
        a, b = world.port("one", "a"), world.port("two", "b")
        assert world.send(a, b) == [world.arrived(a, b, 0)]


def test_path_policy_holds_for_what_a_network_sends_to_its_peers() -> None:
    """It is of the sender's network: frames back go as that of the peer says."""
    world = Peers()
    lab = world.lab
    lab.observe(SwitchDeclared(dpid=1, settings=SwitchSettings(zone="north")))
    one = lab.intent.networks["tenants/red/networks/one"]
    lab.update(replace(one, path_policy=PathPolicy(avoid_zones=("north",))))
    world.net = lab.fake_network()
    a, b = world.port("one", "a"), world.port("two", "b")
    for sport in range(1000, 1040):
        frame = packets.udp(a.mac, world.gateway_mac(a), "10.0.0.8", "10.1.0.8", sport=sport)
        assert world.net.inject(EndPoint(11, 3), frame)
        assert {at.dpid for at, _ in world.net.on_the_wire} == {11, 2}
    assert len(world.send(b, a)) == 1
