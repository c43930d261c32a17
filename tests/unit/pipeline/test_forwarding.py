"""What the compiled pipeline does to frames, on a fabric of two spines and three leaves in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address
from typing import Any

import pytest
from immutables import Map

from controller.fabric.graph import EndPoint, QueuesFound, SwitchFeatures
from controller.model.bandwidth import BandwidthPolicy
from controller.model.network import Port
from controller.model.queues import leaf_queue
from controller.openflow.entries import GROUP_FAST_FAILOVER, Meter
from controller.pipeline import tables
from controller.pipeline.tables import MeterKind, Reason
from controller.pipeline.views import link_local
from controller.pipeline.world import Share
from tests.fakes import packets
from tests.fakes.data_plane import FakeNetwork
from tests.support.worlds import FEATURES, Lab

CEILING = BandwidthPolicy(ceiling_in_kbps=10_000, ceiling_out_kbps=20_000)
PLACES = {"a": (11, 3), "b": (11, 4), "c": (12, 3), "d": (13, 3)}
"""Ports of red; blue has the same names, MACs and addresses two switch ports further."""
GATEWAYS = ("10.0.0.1", "fd00::1")


class World:
    """The lab, its switches, and short names for what tests do with them."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.net: FakeNetwork = lab.fake_network()

    def port(self, tenant: str, name: str) -> Port:
        return self.lab.intent.ports[f"tenants/{tenant}/networks/net/ports/{name}"]

    def at(self, port: Port) -> EndPoint:
        return self.lab.placement.at[port.name]

    def send(self, sender: Port, frame: bytes) -> dict[EndPoint, list[bytes]]:
        received: dict[EndPoint, list[bytes]] = {}
        for at, data in self.net.inject(self.at(sender), frame):
            received.setdefault(at, []).append(data)
        return received

    def drops(self, dpid: int, reason: Reason, tenant: str = "") -> int:
        """Frames in the drop counter of a reason, of one tenant or of those whose tenant is not counted."""
        match: dict[str, Any] = {"reg1": (int(reason), 0xFFFF)}
        if not tenant:
            return self.net.switches[dpid].count(tables.DROP.number, priority=tables.Priority.REASON, **match)
        tenant_id = self.lab.intent.keys.tenant_id(f"tenants/{tenant}")
        match["metadata"] = (tenant_id << 24, 0xFFFFFF << 24)
        return self.net.switches[dpid].count(tables.DROP.number, **match)


def make_lab(**lab_options: Any) -> Lab:
    lab = Lab.leaf_spine(**lab_options)
    for tenant, shift in (("red", 0), ("blue", 2)):
        lab.network(tenant)
        for number, (name, (leaf, port_no)) in enumerate(PLACES.items(), start=1):
            mac, addresses = f"02:00:00:00:00:0{number}", (f"10.0.0.1{number}", f"fd00::1{number}")
            lab.port(tenant, name, at=(leaf, port_no + shift), mac=mac, addresses=addresses)
    return lab


@pytest.fixture
def world() -> World:
    return World(make_lab())


def udp(sender: Port, receiver: Port, family: int = 0, **kw: int) -> bytes:
    return packets.udp(
        sender.mac, receiver.mac, str(sender.addresses[family]), str(receiver.addresses[family]), data=b"hello", **kw
    )


def fields(frame: bytes) -> dict[str, int]:
    return packets.read(frame)


@pytest.mark.parametrize("tenant", ["red", "blue"])
@pytest.mark.parametrize("family", [0, 1])
def test_every_port_reaches_every_other_of_its_network_and_nobody_else(world: World, tenant: str, family: int) -> None:
    """With equal MACs and addresses in two tenants, a frame arrives unchanged at the one port of its own network."""
    for sender in PLACES:
        for receiver in PLACES.keys() - {sender}:
            one, other = world.port(tenant, sender), world.port(tenant, receiver)
            frame = udp(one, other, family)
            assert world.send(one, frame) == {world.at(other): [frame]}, (sender, receiver)


def test_network_of_a_tenant_reaches_no_other_network_of_that_tenant() -> None:
    """Two networks of one tenant with the same addresses are as far apart as two tenants."""
    lab = Lab.leaf_spine()
    for network in ("one", "two"):
        name = lab.network("red", network)
        lab.port(name, "x", at=(11, 3 if network == "one" else 4), mac="02:00:00:00:00:01", addresses=["10.0.0.11"])
        lab.port(name, "y", at=(12, 3 if network == "one" else 4), mac="02:00:00:00:00:02", addresses=["10.0.0.12"])
    world = World(lab)
    x, y = (lab.intent.ports[f"tenants/red/networks/one/ports/{p}"] for p in "xy")
    frame = packets.udp(x.mac, y.mac, "10.0.0.11", "10.0.0.12")
    assert world.send(x, frame) == {EndPoint(12, 3): [frame]}
    broadcast = packets.udp(x.mac, packets.BROADCAST, "10.0.0.11", "255.255.255.255")
    assert world.send(x, broadcast) == {EndPoint(12, 3): [broadcast]}


def test_remote_frames_cross_the_fabric_under_a_label_and_local_ones_do_not(world: World) -> None:
    """On every wire eth_dst is a locally administered label; between ports of one switch no wire is used."""
    a, b, c = (world.port("red", name) for name in "abc")
    world.send(a, udp(a, c))
    assert len(world.net.on_the_wire) == 2
    for _, frame in world.net.on_the_wire:
        assert fields(frame)["eth_dst"] >> 40 & 0b11 == 0b10
        assert fields(frame)["eth_src"] == 0x020000000001
    world.send(a, udp(a, b))
    assert world.net.on_the_wire == []


@pytest.mark.parametrize(
    ("reason", "forge"),
    [
        (Reason.SPOOFED_IPV4, lambda a, b, c: udp(replace(a, mac=b.mac), c)),
        (Reason.SPOOFED_IPV4, lambda a, b, c: udp(replace(a, addresses=b.addresses), c)),
        (Reason.SPOOFED_IPV6, lambda a, b, c: udp(replace(a, addresses=b.addresses), c, 1)),
        (Reason.SPOOFED_ARP, lambda a, b, c: packets.arp_request(a.mac, str(b.addresses[0]), str(c.addresses[0]))),
        (Reason.SPOOFED_ARP, lambda a, b, c: packets.arp(
            a.mac, packets.BROADCAST, 2, b.mac, str(a.addresses[0]), packets.NOBODY, str(a.addresses[0]))),
        (Reason.SPOOFED_ND, lambda a, b, c: packets.nd_solicit(
            a.mac, str(a.addresses[1]), str(c.addresses[1]), option=b.mac)),
        (Reason.SPOOFED_ND, lambda a, b, c: packets.nd_solicit(a.mac, str(b.addresses[1]), str(c.addresses[1]))),
        (Reason.SPOOFED_ND, lambda a, b, c: packets.nd_advertise(a.mac, str(a.addresses[1]), str(b.addresses[1]))),
        (Reason.SPOOFED_ND, lambda a, b, c: packets.nd_advertise(
            a.mac, str(a.addresses[1]), str(a.addresses[1]), option=b.mac)),
        (Reason.ROUTER_ADVERTISEMENT, lambda a, b, c: packets.icmpv6(
            a.mac, "33:33:00:00:00:01", str(a.addresses[1]), "ff02::1", 134, bytes(12))),
        (Reason.DHCP, lambda a, b, c: udp(a, c, sport=67, dport=68)),
        (Reason.DHCP, lambda a, b, c: udp(a, c, 1, sport=547, dport=546)),
        (Reason.TAGGED, lambda a, b, c: packets.ethernet(a.mac, c.mac, packets.IPV4, udp(a, c)[14:], vlan=7)),
        (Reason.WIRE_ON_EDGE, lambda a, b, c: packets.ethernet(a.mac, "01:80:c2:00:00:0e", packets.LLDP, bytes(46))),
        (Reason.ETHERTYPE, lambda a, b, c: packets.ethernet(a.mac, c.mac, 0x8847, bytes(46))),
        (Reason.UNKNOWN_DESTINATION, lambda a, b, c: udp(a, replace(c, mac="02:00:00:00:00:99"))),
        (Reason.UNKNOWN_ADDRESS, lambda a, b, c: packets.arp_request(a.mac, str(a.addresses[0]), "10.0.0.77")),
        (Reason.UNKNOWN_ADDRESS, lambda a, b, c: packets.nd_solicit(a.mac, str(a.addresses[1]), "fd00::77")),
        (Reason.OWN_ADDRESS, lambda a, b, c: packets.arp_request(a.mac, "0.0.0.0", str(a.addresses[0]))),
        (Reason.OWN_ADDRESS, lambda a, b, c: packets.arp_request(a.mac, str(a.addresses[0]), str(a.addresses[0]))),
        (Reason.OWN_ADDRESS, lambda a, b, c: packets.nd_solicit(a.mac, "::", str(a.addresses[1]), option=None)),
    ],
)  # fmt: skip
def test_forbidden_frame_reaches_nobody_and_is_counted_for_its_tenant(
    world: World, reason: Reason, forge: Callable[[Port, Port, Port], bytes]
) -> None:
    """Each sort of forged, foreign or unanswerable frame ends at its edge under the reason that names it."""
    a, b, c = (world.port("red", name) for name in "abc")
    assert world.send(a, forge(a, b, c)) == {}
    assert world.net.on_the_wire == []
    assert world.drops(11, reason, "red") == 1
    assert sum(world.drops(11, other, "red") for other in Reason if other not in tables.TENANT_UNKNOWN) == 1


def test_arp_for_every_known_address_is_answered_to_the_asker_alone(world: World) -> None:
    """Broadcast and unicast requests, for neighbours near and far and for the gateway."""
    a = world.port("red", "a")
    key = world.lab.intent.keys.network_key(a.network)
    known = {str(p.addresses[0]): int(p.mac.replace(":", ""), 16) for p in (world.port("red", n) for n in "bcd")}
    for address, mac in (known | {GATEWAYS[0]: 0x02005E << 24 | key}).items():
        for dst in (packets.BROADCAST, "02:00:00:00:00:02"):
            received = world.send(a, packets.arp_request(a.mac, str(a.addresses[0]), address, dst=dst))
            ((answer,),) = received.values()
            assert list(received) == [world.at(a)]
            assert answer == packets.arp(
                mac.to_bytes(6, "big").hex(":"), a.mac, 2,
                mac.to_bytes(6, "big").hex(":"), address, a.mac, str(a.addresses[0]),
            )  # fmt: skip


def test_neighbour_discovery_is_answered_for_addresses_gateways_and_link_local(world: World) -> None:
    """The advertisement is solicited, overrides, carries the right MAC; only a gateway claims to be a router."""
    a, c = world.port("red", "a"), world.port("red", "c")
    key = world.lab.intent.keys.network_key(a.network)
    far_link_local = str(IPv6Address(link_local(0x020000000003)))
    for target, mac, flags in (
        (str(c.addresses[1]), 0x020000000003, 0x60000000),
        (far_link_local, 0x020000000003, 0x60000000),
        (GATEWAYS[1], 0x02005E << 24 | key, 0xE0000000),
    ):
        for dst in ("", c.mac):
            received = world.send(a, packets.nd_solicit(a.mac, str(a.addresses[1]), target, dst=dst))
            ((answer,),) = received.values()
            assert list(received) == [world.at(a)]
            said = fields(answer)
            assert (said["icmpv6_type"], said["nd_tll"], said["eth_src"], said["nd_reserved"]) == (136, mac, mac, flags)
            assert said["ipv6_src"] == said["nd_target"] == int(IPv6Address(target))
            assert packets.checksums_hold(answer)


@pytest.mark.parametrize("family", [0, 1])
def test_gateway_answers_ping(world: World, family: int) -> None:
    """An echo to the gateway comes back with addresses turned round; one to elsewhere by way of it is dropped."""
    a = world.port("red", "a")
    gateway_mac = f"02:00:5e:{world.lab.intent.keys.network_key(a.network).to_bytes(3, 'big').hex(':')}"
    source = str(a.addresses[family])
    ((reply,),) = world.send(a, packets.icmp_echo(a.mac, gateway_mac, source, GATEWAYS[family])).values()
    expected = packets.icmp_echo(gateway_mac, a.mac, GATEWAYS[family], source)
    assert reply == packets.rewrite(expected, "icmpv6_type" if family else "icmpv4_type", 129 if family else 0)
    assert packets.checksums_hold(reply)
    elsewhere = ("192.0.2.1", "2001:db8::1")[family]
    assert world.send(a, packets.udp(a.mac, gateway_mac, source, elsewhere)) == {}
    assert world.drops(11, Reason.NO_ROUTE, "red") == 1


@pytest.mark.parametrize(
    ("mac", "family", "address"),
    [
        (packets.BROADCAST, 0, "255.255.255.255"),
        ("01:00:5e:7f:02:03", 0, "239.255.2.3"),
        ("33:33:00:00:00:fb", 1, "ff02::fb"),
    ],
)
def test_bum_reaches_every_other_member_once_with_its_mac(world: World, mac: str, family: int, address: str) -> None:
    """From every port, once to each other member of its network, near or far, the group MAC as it was sent."""
    for name in PLACES:
        sender = world.port("red", name)
        frame = packets.udp(sender.mac, mac, str(sender.addresses[family]), address)
        others = {world.at(world.port("red", other)): [frame] for other in PLACES.keys() - {name}}
        assert world.send(sender, frame) == others


def test_broadcast_reaches_more_ports_than_one_leaf_of_the_tree_holds() -> None:
    """130 members on one switch are three leaves; each gets one copy."""
    lab = Lab()
    lab.connect(11, ports=range(1, 140))
    lab.network("red")
    for port_no in range(1, 131):
        lab.port("red", f"p{port_no}", at=(11, port_no), bandwidth=CEILING)
    world = World(lab)
    sender = lab.intent.ports["tenants/red/networks/net/ports/p1"]
    frame = packets.udp(sender.mac, packets.BROADCAST, str(sender.addresses[0]), "255.255.255.255")
    assert world.send(sender, frame) == {EndPoint(11, n): [frame] for n in range(2, 131)}
    leaves = [group for group in world.net.switches[11].groups.values() if group.id >> 28 == tables.GroupKind.LEAF]
    assert sorted(len(group.buckets) for group in leaves) == [3, 63, 64]


def test_receiver_at_its_ceiling_takes_nothing_from_the_others() -> None:
    """What one receiver's meter drops of a broadcast, every other receiver still gets."""
    lab = make_lab()
    for name in "bc":
        port = lab.intent.ports[f"tenants/red/networks/net/ports/{name}"]
        lab.update(replace(port, bandwidth=CEILING))
    lab.set_tenant_bandwidth("red", CEILING)
    world = World(lab)
    a, b = world.port("red", "a"), world.port("red", "b")
    key = lab.intent.keys.port_key(b.name)
    assert key is not None
    world.net.switches[11].exhausted.add(tables.meter_id(key.slot, MeterKind.IN))
    frame = packets.udp(a.mac, packets.BROADCAST, str(a.addresses[0]), "255.255.255.255")
    assert world.send(a, frame) == {world.at(world.port("red", name)): [frame] for name in "cd"}


def test_ceilings_are_chained_meters_in_both_directions() -> None:
    """A frame passes the sender's, its tenant's, then at the other edge the receiver's and its tenant's meter."""
    lab = make_lab()
    for name in "ac":
        port = lab.intent.ports[f"tenants/red/networks/net/ports/{name}"]
        lab.update(replace(port, bandwidth=CEILING))
    lab.set_tenant_bandwidth("red", CEILING)
    world = World(lab)
    a, c = world.port("red", "a"), world.port("red", "c")
    world.send(a, udp(a, c))
    keys = lab.intent.keys
    for dpid, port, kind, rate in ((11, a, MeterKind.OUT, 20_000), (12, c, MeterKind.IN, 10_000)):
        key, tenant_slot = keys.port_key(port.name), keys.tenant_slot(dpid, "tenants/red")
        assert key is not None
        assert tenant_slot is not None
        used = {tables.meter_id(key.slot, kind), tables.meter_id(tenant_slot, kind)}
        assert set(world.net.switches[dpid].metered) == used
        for meter_id in used:
            assert world.net.switches[dpid].meters[meter_id] == Meter(meter_id, rate, rate // 4, "kbps")


@pytest.mark.parametrize(("shaped_kbps", "is_metered"), [(10_000, False), (9_000, True), (0, True)])
def test_ceiling_in_has_no_meter_where_queues_hold_it(shaped_kbps: int, *, is_metered: bool) -> None:
    """That one, and no other: else the meter would drop before the queue sees whose frames these are."""
    lab = make_lab()
    c = lab.intent.ports["tenants/red/networks/net/ports/c"]
    lab.update(replace(c, bandwidth=CEILING))
    at = lab.world.placement.at[c.name]
    lab.observe(QueuesFound(
        dpid=at.dpid, driver="tc", shaped=Map({at.port_no: shaped_kbps} if shaped_kbps else {})))
    world = World(lab)
    a = world.port("red", "a")
    assert world.send(a, udp(a, c)) == {at: [udp(a, c)]}
    assert bool(world.net.switches[at.dpid].metered) == is_metered


def test_network_ceilings_stand_between_those_of_port_and_tenant() -> None:
    """For ports with a ceiling of their own and for ports without, near and far; no other network passes its meters."""
    lab = make_lab()
    lab.update(replace(lab.intent.networks["tenants/red/networks/net"], bandwidth=CEILING))
    a = lab.intent.ports["tenants/red/networks/net/ports/a"]
    lab.update(replace(a, bandwidth=CEILING))
    lab.set_tenant_bandwidth("red", CEILING)
    lab.shares[11, "tenants/red/networks/net"] = Share(in_kbps=1_000)
    world = World(lab)
    ports = {name: world.port("red", name) for name in "abc"}
    slot = lab.intent.keys.network_slot(11, a.network)
    assert slot is not None
    out_id, in_id = (tables.meter_id(slot, kind) for kind in (MeterKind.OUT, MeterKind.IN))
    leaf = world.net.switches[11]
    assert leaf.meters[out_id].rate == CEILING.ceiling_out_kbps and leaf.meters[in_id].rate == 1_000
    for sender, receiver, met in (("a", "c", {out_id}), ("b", "a", {out_id, in_id}), ("c", "b", {in_id})):
        leaf.metered.clear()
        assert world.send(ports[sender], udp(ports[sender], ports[receiver])) != {}
        assert {m: n for m, n in leaf.metered.items() if m in (out_id, in_id)} == dict.fromkeys(met, 1)
        tables_hit = [flow.table for flow in leaf.hit]
        assert len(tables_hit) == len(set(tables_hit)), "each table once"
    leaf.metered.clear()
    blue = world.port("blue", "a"), world.port("blue", "b")
    assert world.send(blue[0], udp(*blue)) != {} and not leaf.metered.keys() & {out_id, in_id}


def test_pipe_is_metered_where_its_frames_come_in_by_direction() -> None:
    """Near and far; neither other pairs of these ports, nor the other tenant with the same addresses, pass its meters.

    A port of the same key on another edge is another port.
    """
    lab = make_lab()
    lab.pipe("red", "far", "a", "c", CEILING)
    lab.pipe("red", "near", "a", "b", CEILING)
    world = World(lab)
    keys = lab.intent.keys
    far, near = (keys.pipe_id(f"tenants/red/pipes/{name}") for name in ("far", "near"))
    a, b, c, d = (world.port("red", name) for name in "abcd")
    port_keys = [keys.port_key(port.name) for port in (a, c, d)]
    assert len({key.key24 for key in port_keys if key}) == 1, "the first port of each edge"
    for sender, receiver, where_met in (
        (a, c, {(11, far, MeterKind.OUT)}), (c, a, {(12, far, MeterKind.IN)}), (a, b, {(11, near, MeterKind.OUT)}),
        (b, a, {(11, near, MeterKind.IN)}), (a, d, set()), (b, c, set()), (c, d, set()),
    ):
        for switch in world.net.switches.values():
            switch.metered.clear()
        assert world.send(sender, udp(sender, receiver)) == {world.at(receiver): [udp(sender, receiver)]}
        wanted = {(dpid, tables.pipe_meter_id(pipe, kind)) for dpid, pipe, kind in where_met}
        assert {(s.dpid, meter) for s in world.net.switches.values() for meter in s.metered} == wanted
    meters = world.net.switches[11].meters
    assert meters[tables.pipe_meter_id(far, MeterKind.OUT)].rate == CEILING.ceiling_out_kbps
    assert meters[tables.pipe_meter_id(near, MeterKind.IN)].rate == CEILING.ceiling_in_kbps
    assert all(meter_id in tables.OWNED_METERS for meter_id in meters)
    blue_a, blue_c = world.port("blue", "a"), world.port("blue", "c")
    world.net.switches[11].metered.clear()
    assert world.send(blue_a, udp(blue_a, blue_c)) != {} and not world.net.switches[11].metered


def test_frames_of_a_pipe_with_a_guarantee_take_its_queue_on_every_port_where_flows_choose_queues() -> None:
    """On the fabric's ports rather than its tenant's, and on the port at its end; frames of other pairs do not.

    Nor do those to a port that has the same key, on another edge.
    """
    lab = make_lab()
    lab.pipe("red", "p", "a", "c", BandwidthPolicy(guarantee_out_kbps=100))
    for dpid in lab.fabric.switches:
        lab.observe(QueuesFound(dpid=dpid, driver="ovsdb"))
    world = World(lab)
    queue, tenant = (leaf_queue(lab.intent.keys.queue_id(name)) for name in ("tenants/red/pipes/p", "tenants/red"))
    a, b, c, d = (world.port("red", name) for name in "abcd")
    keys = [lab.intent.keys.port_key(port.name) for port in (c, d)]
    assert keys[0] and keys[1] and keys[0].key24 == keys[1].key24
    for sender, receiver, wanted in ((a, c, {queue}), (c, a, {queue}), (b, c, {tenant}), (a, d, {tenant})):
        for switch in world.net.switches.values():
            switch.queued.clear()
        assert world.send(sender, udp(sender, receiver)) == {world.at(receiver): [udp(sender, receiver)]}
        assert {number for switch in world.net.switches.values() for _, number in switch.queued} == wanted


def test_labelled_frames_of_a_tenant_with_a_guarantee_take_its_queue_where_flows_choose_queues() -> None:
    """Where they enter, on the way, and their broadcasts; elsewhere, and for those without a guarantee, none is chosen.
    """
    lab = make_lab()
    red = lab.intent.tenants["tenants/red"]
    port = lab.intent.ports["tenants/red/networks/net/ports/c"]
    lab.update(replace(port, bandwidth=BandwidthPolicy(guarantee_in_kbps=100)))
    for dpid in (1, 2, 11):
        lab.observe(QueuesFound(dpid=dpid, driver="ovsdb"))
    lab.observe(QueuesFound(dpid=12, driver="tc"))
    world = World(lab)
    for tenant, queue in (("red", leaf_queue(lab.intent.keys.queue_id(red.name))), ("blue", 0)):
        a, c = world.port(tenant, "a"), world.port(tenant, "c")
        for frame in (udp(a, c), packets.udp(a.mac, packets.BROADCAST, str(a.addresses[0]), "255.255.255.255")):
            for switch in world.net.switches.values():
                switch.queued.clear()
            assert world.send(a, frame) != {}
            fabric_ports = {(dpid, queue) for dpid in (1, 2, 11) for port_no, queue in world.net.switches[dpid].queued
                            if dpid != 11 or port_no < 3}
            assert {queue for _, queue in fabric_ports} == {queue} and len(fabric_ports) >= 2
            assert all(queue == 0 for _, queue in world.net.switches[12].queued)
    assert {dpid: sum(f.table == tables.QUEUE.number for f in world.net.switches[dpid].flows.values())
            for dpid in (11, 12, 13)} == {11: 2, 12: 1, 13: 1}, "elsewhere the table holds its miss alone"


def test_storm_of_one_port_does_not_use_up_the_answers_of_another(world: World) -> None:
    """Each port's queries pass a meter of its own; a neighbour's answers go on, and so does the stormer's data."""
    a, b = world.port("red", "a"), world.port("red", "b")
    key = world.lab.intent.keys.port_key(a.name)
    assert key is not None
    world.net.switches[11].exhausted.add(tables.meter_id(key.slot, MeterKind.SERVICE))
    assert world.send(a, packets.arp_request(a.mac, str(a.addresses[0]), GATEWAYS[0])) == {}
    assert len(world.send(b, packets.arp_request(b.mac, str(b.addresses[0]), GATEWAYS[0]))) == 1
    assert len(world.send(a, udp(a, b))) == 1


def test_macs_that_look_like_labels_reach_only_their_own_network() -> None:
    """A tenant whose MACs equal labels in use on the fabric talks to its own ports, and cannot steer a frame."""
    lab = make_lab()
    world = World(lab)
    a, c = world.port("red", "a"), world.port("red", "c")
    world.send(a, udp(a, c))
    label = world.net.on_the_wire[0][1][:6].hex(":")
    lab.network("evil")
    lab.port("evil", "x", at=(11, 7), mac=label, addresses=["10.0.0.11"])
    lab.port("evil", "y", at=(12, 7), mac=label[:-1] + ("0" if label[-1] != "0" else "1"), addresses=["10.0.0.12"])
    world = World(lab)
    x, y = world.port("evil", "x"), world.port("evil", "y")
    for one, other in ((x, y), (y, x)):
        frame = packets.udp(one.mac, other.mac, str(one.addresses[0]), str(other.addresses[0]))
        assert world.send(one, frame) == {world.at(other): [frame]}
    stray = packets.udp(y.mac, label, str(y.addresses[0]), "10.0.0.13")
    assert world.send(y, stray) == {world.at(x): [stray]}
    a = world.port("red", "a")
    assert world.send(a, udp(a, replace(c, mac=label))) == {}


def test_frame_for_an_edge_without_a_usable_label_is_dropped_as_no_path() -> None:
    """Unicast and the edge's copy of a broadcast are counted; other edges get theirs."""
    lab = make_lab()
    lab.unreachable.add((11, 12))
    world = World(lab)
    a, b, c, d = (world.port("red", name) for name in "abcd")
    assert world.send(a, udp(a, c)) == {}
    broadcast = packets.udp(a.mac, packets.BROADCAST, str(a.addresses[0]), "255.255.255.255")
    assert world.send(a, broadcast) == {world.at(b): [broadcast], world.at(d): [broadcast]}
    assert world.drops(11, Reason.NO_PATH, "red") == 2


def test_stale_label_reaches_nobody_and_is_counted(world: World) -> None:
    """A key that is gone at its edge ends there, and so does a label that no switch knows."""
    a, c = world.port("red", "a"), world.port("red", "c")
    world.send(a, udp(a, c))
    out, labelled = world.net.on_the_wire[-1]
    entered = world.net.wires[out]
    stale = packets.rewrite(labelled, "eth_dst", fields(labelled)["eth_dst"] ^ 0x3FF)
    assert world.net.inject(entered, stale) == []
    assert world.drops(12, Reason.STALE_KEY) == 1
    assert world.net.inject(entered, packets.rewrite(labelled, "eth_dst", 0x02EFF7000000)) == []
    assert world.drops(12, Reason.UNKNOWN_LABEL) == 1


def test_switch_without_meters_forwards_and_answers_unmetered() -> None:
    """No meter is programmed and no flow names one."""
    lab = make_lab(features=SwitchFeatures(max_meters=0))
    lab.set_tenant_bandwidth("red", CEILING)
    world = World(lab)
    a, c = world.port("red", "a"), world.port("red", "c")
    assert all(not switch.meters for switch in world.net.switches.values())
    assert len(world.send(a, udp(a, c))) == 1
    assert len(world.send(a, packets.arp_request(a.mac, str(a.addresses[0]), GATEWAYS[0]))) == 1


def test_switch_without_groups_forwards_by_the_first_hop_alone() -> None:
    """No failover group is programmed there, no flow names one, and frames pass."""
    without = World(make_lab(features=replace(FEATURES, max_groups=0)))
    assert _failover_groups(without) == 0 < _failover_groups(World(make_lab()))
    a, c = without.port("red", "a"), without.port("red", "c")
    assert len(without.send(a, udp(a, c))) == 1


def _failover_groups(world: World) -> int:
    groups = (group for switch in world.net.switches.values() for group in switch.groups.values())
    return sum(group.type == GROUP_FAST_FAILOVER for group in groups)


def test_port_without_ipv6_sends_none() -> None:
    """Its host's own IPv6 chatter is dropped, and the port costs no IPv6 flow."""
    lab = Lab.leaf_spine()
    lab.network("red", ipv6="")
    lab.port("red", "a", at=(11, 3))
    lab.port("red", "b", at=(11, 4))
    world = World(lab)
    a, b = world.port("red", "a"), world.port("red", "b")
    own = str(IPv6Address(link_local(int(a.mac.replace(":", ""), 16))))
    assert world.send(a, packets.udp(a.mac, b.mac, own, "fe80::1")) == {}
    assert world.drops(11, Reason.SPOOFED_IPV6, "red") == 1
