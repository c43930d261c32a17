"""Frames from subnet to subnet: by way of a gateway, on the edge where they come in, and no further than asked."""

from __future__ import annotations

from typing import Any

import pytest

from controller.fabric.graph import EndPoint
from controller.model.network import Port
from controller.pipeline import tables
from controller.pipeline.tables import Reason
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
