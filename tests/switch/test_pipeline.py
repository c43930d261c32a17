"""The compiled pipeline on real Open vSwitch: every flow is taken, and frames take the path that FakeSwitch says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv6Address

from controller.fabric.graph import PortRole, QueuesFound
from controller.model.bandwidth import BandwidthPolicy
from controller.model.network import Peering, Port
from controller.openflow import actions, messages, text
from controller.openflow.entries import Flow
from controller.pipeline.views import link_local
from tests.fakes import packets
from tests.fakes.data_plane import FakeSwitch
from tests.support.of_client import OpenFlowClient
from tests.support.rig import Rig
from tests.support.worlds import LEAF_PORTS, SPINES, Lab, Programs, compile_all, program_switch

LEAF = 11
CEILING = BandwidthPolicy(ceiling_in_kbps=10_000, ceiling_out_kbps=20_000)


def _lab() -> Lab:
    # One spine, for the switch in memory does not spread connections by the same hash.
    lab = Lab.leaf_spine(default_role=PortRole.AUTO, spines=SPINES[:1])
    for tenant in ("red", "blue"):
        lab.network(tenant)
    for i, (leaf, port_no) in enumerate(((11, 3), (11, 4), (12, 3), (13, 3))):
        lab.port("red", f"r{i}", at=(leaf, port_no), mac=f"02:00:00:00:00:0{i}", bandwidth=CEILING)
        lab.port("blue", f"b{i}", at=(leaf, port_no + 2), mac=f"02:00:00:00:00:0{i}")
    lab.set_tenant_bandwidth("red", CEILING)
    lab.update(replace(lab.intent.networks["tenants/red/networks/net"], bandwidth=CEILING))
    for i, (a, b) in enumerate((("r0", "r1"), ("r3", "r0"))):
        lab.pipe("red", f"p{i}", a, b, replace(CEILING, guarantee_out_kbps=1_000))
    lab.observe(QueuesFound(dpid=LEAF, driver="ovsdb"))
    lab.subnet("tenants/red/networks/net", "two", "10.2.0.0/24", "fd02::/64")
    peer = lab.network("red", "peer", ipv4="10.3.0.0/24", ipv6="fd03::/64")
    lab.port(peer, "near", at=(LEAF, 7), mac="02:00:00:00:03:01")
    lab.port(peer, "far", at=(12, 7), mac="02:00:00:00:03:02")
    lab.create(Peering(name="tenants/red/peerings/p", a="tenants/red/networks/net", b=peer))
    return lab


def _frames(a: Port, b: Port, far: Port) -> Iterator[bytes]:
    """One frame of each sort that the pipeline tells apart, sent by `a`."""
    (a4, a6), (b4, b6), (f4, f6) = (tuple(map(str, port.addresses)) for port in (a, b, far))
    gateway4, gateway6 = "10.0.0.1", "fd00::1"
    yield packets.udp(a.mac, b.mac, a4, b4)
    yield packets.udp(a.mac, far.mac, a6, f6)
    yield packets.udp(a.mac, far.mac, "10.0.0.99", f4)
    yield packets.udp(b.mac, far.mac, a4, f4)
    yield packets.udp(a.mac, "02:00:00:00:0f:0f", a4, "10.0.0.200")
    yield packets.udp(a.mac, packets.BROADCAST, a4, "255.255.255.255")
    yield packets.udp(a.mac, "01:00:5e:01:02:03", a4, "239.1.2.3")
    yield packets.udp(a.mac, "33:33:00:00:00:fb", a6, "ff02::fb")
    yield packets.udp(a.mac, packets.BROADCAST, "0.0.0.0", "255.255.255.255", sport=68, dport=67)
    yield packets.arp_request(a.mac, a4, b4)
    yield packets.arp_request(a.mac, a4, f4, dst=far.mac)
    yield packets.arp_request(a.mac, a4, gateway4)
    yield packets.arp_request(a.mac, a4, a4)
    yield packets.arp_request(a.mac, "0.0.0.0", a4)
    yield packets.arp_request(a.mac, a4, "10.0.0.250")
    yield packets.arp_request(a.mac, b4, f4)
    yield packets.nd_solicit(a.mac, a6, b6)
    yield packets.nd_solicit(a.mac, a6, gateway6)
    yield packets.nd_solicit(a.mac, "::", a6, option=None)
    yield packets.nd_solicit(a.mac, a6, b6, option=b.mac)
    yield packets.nd_solicit(a.mac, a6, "fd00::dead")
    yield packets.nd_advertise(a.mac, a6, a6)
    yield packets.nd_advertise(a.mac, a6, b6)
    yield packets.icmpv6(a.mac, "33:33:00:00:00:01", a6, "ff02::1", 134, bytes(12))
    yield packets.icmpv6(a.mac, "33:33:00:00:00:16", "::", "ff02::16", 143)
    yield packets.ethernet(a.mac, "01:80:c2:00:00:0e", packets.LLDP, bytes(46))
    yield packets.ethernet(a.mac, b.mac, 0x88B5, bytes(46))
    yield packets.ethernet(a.mac, b.mac, packets.IPV4, packets.udp(a.mac, b.mac, a4, b4)[14:], vlan=5)


def _echoes(a: Port, gateway_mac: str) -> Iterator[bytes]:
    a4, a6 = map(str, a.addresses)
    yield packets.icmp_echo(a.mac, gateway_mac, a4, "10.0.0.1")
    yield packets.icmp_echo(a.mac, gateway_mac, a6, "fd00::1")
    yield packets.icmp_echo(a.mac, gateway_mac, a4, "10.9.9.9")
    yield packets.icmp_echo(a.mac, gateway_mac, a4, "10.3.0.1")


def _routed(a: Port, gateway_mac: str, peers: list[Port], neighbour: Port) -> Iterator[bytes]:
    """By way of the gateway: to peers near and far, within the network, and what no router passes on."""
    a4, a6 = map(str, a.addresses)
    for receiver in (*peers, neighbour):
        yield packets.udp(a.mac, gateway_mac, a4, str(receiver.addresses[0]))
        yield packets.icmp_echo(a.mac, gateway_mac, a6, str(receiver.addresses[1]))
    late = packets.udp(a.mac, gateway_mac, a4, str(peers[1].addresses[0]))
    yield packets.rewrite(late, "ip_ttl", 1)
    yield packets.rewrite(late, "ip_ttl", 0)
    yield packets.rewrite(packets.udp(a.mac, gateway_mac, a6, str(peers[1].addresses[1])), "ip_ttl", 1)
    yield packets.udp(a.mac, gateway_mac, a4, "10.2.0.77")
    yield packets.udp(a.mac, gateway_mac, a4, "10.4.0.77")
    yield packets.udp(a.mac, gateway_mac, str(IPv6Address(link_local(int(a.mac.replace(":", ""), 16)))), "fd03::2")


def _provision(client: OpenFlowClient, programs: Programs, dpid: int) -> list[Flow]:
    """Program the switch; returns its flows.  AssertionError names what it refused."""
    own = [fragment for key, fragment in programs.items() if key.dpid == dpid]
    flows = [flow for fragment in own for flow in fragment.flows]
    frames = [messages.meter_mod(messages.ADD, meter) for fragment in own for meter in fragment.meters]
    groups = sorted((group for fragment in own for group in fragment.groups), key=lambda group: group.id)
    frames += [messages.group_mod(messages.ADD, group) for group in groups]
    first_flow = len(frames)
    frames += map(messages.flow_add, flows)
    refused = client.submit(frames)
    assert not refused, [
        (error, text.flow_text(flows[error.xid - first_flow]) if error.xid >= first_flow else frames[error.xid].hex())
        for error in refused
    ]
    return flows


def _bridge(ovs: Rig) -> OpenFlowClient:
    ovs.add_bridge("leaf", LEAF)
    for port_no in LEAF_PORTS:
        ovs.vsctl(
            "add-port", "leaf", f"p{port_no}", "--",
            "set", "interface", f"p{port_no}", "type=internal", f"ofport_request={port_no}",
        )
        ovs.sandbox.run("ip", "link", "set", f"p{port_no}", "up")  # a failover group skips ports that are down
    return OpenFlowClient(ovs.sandbox.path("/run/openvswitch/leaf.mgmt"))


def _traced(ovs: Rig, frame: bytes, in_port: int) -> tuple[list[int], str]:
    """Cookies of the flows that ofproto/trace says the frame hits, in order, and the datapath actions."""
    said = ovs.appctl("ofproto/trace", "leaf", f"in_port={in_port}", frame.hex())
    actions_said = re.search(r"^Datapath actions: (.*)$", said, re.MULTILINE)
    assert actions_said, said
    return [int(cookie, 16) for cookie in re.findall(r"cookie (0x[0-9a-f]+)", said)], actions_said[1]


def _where(flow: Flow) -> str:
    return f"{flow.table}: {text.flow_text(flow)}"


def test_switch_takes_every_flow_and_forwards_as_the_fake_does(ovs: Rig) -> None:
    """Frames of every sort, from a tenant port and from the fabric, hit the same flows in the same order."""
    lab = _lab()
    programs = compile_all(lab.world)
    ports = {name.rsplit("/", 1)[1]: port for name, port in lab.intent.ports.items()}
    gateway_mac = _gateway_mac(lab, ports["r0"])
    with _bridge(ovs) as client:
        by_cookie = {flow.cookie: flow for flow in _provision(client, programs, LEAF)}
        fake = program_switch(FakeSwitch(LEAF, LEAF_PORTS), programs)
        sent = [(3, f) for f in _frames(ports["r0"], ports["r1"], ports["r2"])]
        sent += [(3, f) for f in _echoes(ports["r0"], gateway_mac)]
        sent += [(3, f) for f in _routed(ports["r0"], gateway_mac, [ports["near"], ports["far"]], ports["r2"])]
        sent += [(port_no, f) for port_no in (8, actions.LOCAL) for f in (sent[0][1], sent[5][1])]
        sent += [(1, frame) for frame in _from_the_fabric(lab, ports["r2"], ports["far"], ports["r0"])]
        for in_port, frame in sent:
            delivered = fake.forward(frame, in_port)
            cookies, done = _traced(ovs, frame, in_port)
            assert [_where(by_cookie[c]) for c in cookies] == [_where(flow) for flow in fake.hit], packets.read(frame)
            dropped = not delivered and not fake.punts
            fake.punts.clear()
            assert (re.sub(r"meter\(\d+\),?|drop", "", done) == "") == dropped, (done, packets.read(frame))


def _gateway_mac(lab: Lab, port: Port) -> str:
    return f"02:00:5e:{lab.intent.keys.network_key(port.network).to_bytes(3, 'big').hex(':')}"


def _from_the_fabric(lab: Lab, sender: Port, peer: Port, receiver: Port) -> list[bytes]:
    """Labelled frames as they reach the leaf from another edge: unicast, broadcast, both kinds of multicast, routed."""
    network = lab.fake_network()
    (s4, s6), (r4, _) = (tuple(map(str, port.addresses)) for port in (sender, receiver))
    frames = []
    for frame in (
        packets.udp(sender.mac, receiver.mac, s4, r4),
        packets.udp(sender.mac, packets.BROADCAST, s4, "255.255.255.255"),
        packets.udp(sender.mac, "01:00:5e:01:02:03", s4, "239.1.2.3"),
        packets.udp(sender.mac, "33:33:00:00:00:fb", s6, "ff02::fb"),
    ):
        network.inject(lab.placement.at[sender.name], frame)
        frames += [crossed for out, crossed in network.on_the_wire if network.wires[out].dpid == LEAF]
    routed = packets.udp(peer.mac, _gateway_mac(lab, peer), str(peer.addresses[0]), r4)
    network.inject(lab.placement.at[peer.name], routed)
    frames += [crossed for out, crossed in network.on_the_wire if network.wires[out].dpid == LEAF]
    assert len(frames) == 5
    forged = packets.rewrite(frames[-1], "eth_src", packets.read(frames[-1])["eth_src"] ^ 0xFF)
    stale = packets.rewrite(frames[0], "eth_dst", packets.read(frames[0])["eth_dst"] ^ 0xFF)
    unknown = packets.rewrite(frames[0], "eth_dst", 0x020FF0000000)
    return [*frames, stale, unknown, forged]


def test_copies_of_a_broadcast_are_metered_each_by_itself(ovs: Rig) -> None:
    """OVS makes a clone for each receiver with a ceiling, so the next one gets what a meter drops for the first."""
    lab = Lab.leaf_spine(spines=SPINES[:1])  # one path: the fake does not spread connections by the same hash
    lab.network("red")
    for i in range(3):
        lab.port("red", f"r{i}", at=(LEAF, 3 + i), bandwidth=CEILING)
    sender = lab.intent.ports["tenants/red/networks/net/ports/r0"]
    with _bridge(ovs) as client:
        _provision(client, compile_all(lab.world), LEAF)
        frame = packets.udp(sender.mac, packets.BROADCAST, str(sender.addresses[0]), "255.255.255.255")
        _, done = _traced(ovs, frame, 3)
        assert re.search(r"clone\(meter\(\d+\),\d+\),meter\(\d+\),\d+$", done), done


def test_answers_on_the_wire_are_valid(ovs: Rig) -> None:
    """A host's own stack takes the answers: it resolves and pings its gateway over IPv4 and IPv6."""
    lab = Lab.leaf_spine(spines=SPINES[:1])  # one path: the fake does not spread connections by the same hash
    lab.network("red")
    port = lab.port("red", "r0", at=(LEAF, 3))
    v4, v6 = map(str, port.addresses)
    ovs.add_bridge("leaf", LEAF)
    host = ovs.add_host("h1", "leaf", 3, mac=port.mac, ip=f"{v4}/24", ipv6=f"{v6}/64")
    with OpenFlowClient(ovs.sandbox.path("/run/openvswitch/leaf.mgmt")) as client:
        _provision(client, compile_all(lab.world), LEAF)
        for gateway in ("10.0.0.1", "fd00::1"):
            assert host.ping(gateway, count=3).received == 3, gateway
