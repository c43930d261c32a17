"""Pipes between two networks: metered where frames come in, by direction, and told apart from others on links."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.fabric.graph import QueuesFound
from controller.model.bandwidth import BandwidthPolicy
from controller.model.network import Port
from controller.model.queues import leaf_queue
from controller.openflow import actions
from controller.openflow.entries import Meter
from controller.pipeline import tables
from controller.pipeline.tables import MeterKind
from controller.pipeline.world import Share
from tests.fakes import packets
from tests.support.worlds import Lab

RED = "tenants/red"
PIPE = f"{RED}/pipes/x"
POLICY = BandwidthPolicy(ceiling_in_kbps=10_000, ceiling_out_kbps=20_000, guarantee_out_kbps=1_000)
PLACES = {"a": ("net", 11, 3), "b": ("net", 12, 3), "c": ("far", 11, 4), "d": ("far", 12, 4), "e": ("other", 12, 5)}
OUT, IN = MeterKind.OUT, MeterKind.IN


@pytest.fixture
def lab() -> Lab:
    """Networks net, far and other, each two peers; the pipe is between net and far."""
    made = Lab.leaf_spine()
    for number, name in enumerate(("net", "far", "other")):
        made.network("red", name, ipv4=f"10.{number}.0.0/24", ipv6=f"fd0{number}::/64")
    for number, (name, (network, leaf, port_no)) in enumerate(PLACES.items(), start=1):
        subnet = ("net", "far", "other").index(network)
        made.port(f"{RED}/networks/{network}", name, at=(leaf, port_no), mac=f"02:00:00:00:00:0{number}",
                  addresses=(f"10.{subnet}.0.1{number}", f"fd0{subnet}::1{number}"))
    made.join("red", "x", POLICY)
    made.join("red", "y", BandwidthPolicy(), b="other")
    made.join("red", "z", BandwidthPolicy(), a="far", b="other")
    return made


def port(lab: Lab, name: str) -> Port:
    return lab.intent.ports[f"{RED}/networks/{PLACES[name][0]}/ports/{name}"]


def gateway_mac(lab: Lab, network: str) -> str:
    return f"02:00:5e:{lab.intent.keys.network_key(network).to_bytes(3, 'big').hex(':')}"


def frame(lab: Lab, sender: Port, receiver: Port, family: int = 0) -> bytes:
    """As the sender's host sends it."""
    to = receiver.mac if sender.network == receiver.network else gateway_mac(lab, sender.network)
    return packets.udp(sender.mac, to, str(sender.addresses[family]), str(receiver.addresses[family]), data=b"x")


@pytest.mark.parametrize("family", [0, 1])
def test_pipe_between_networks_is_metered_where_its_frames_come_in_by_direction(lab: Lab, family: int) -> None:
    """Near and far, whichever ports use it; nothing inside a network, and nothing to another peer."""
    net, pipe_id = lab.fake_network(), lab.intent.keys.pipe_id(PIPE)
    for sender, receiver, met in (
        ("a", "d", {(11, OUT)}), ("a", "c", {(11, OUT)}), ("b", "c", {(12, OUT)}), ("d", "a", {(12, IN)}),
        ("c", "a", {(11, IN)}), ("a", "b", set()), ("c", "d", set()), ("a", "e", set()), ("d", "e", set()),
        ("e", "a", set()),
    ):
        for switch in net.switches.values():
            switch.metered.clear()
        one, other = port(lab, sender), port(lab, receiver)
        received = net.inject(lab.placement.at[one.name], frame(lab, one, other, family))
        assert [at for at, _ in received] == [lab.placement.at[other.name]], (sender, receiver)
        wanted = {(dpid, tables.pipe_meter_id(pipe_id, kind)) for dpid, kind in met}
        assert {(s.dpid, meter) for s in net.switches.values() for meter in s.metered} == wanted, (sender, receiver)


def test_each_edge_holds_its_share_where_its_network_is(lab: Lab) -> None:
    """Of a ceiling out where frames of the first network come in, of the other way where those of the second do."""
    lab.unbind(port(lab, "d").name)
    lab.shares = {(11, PIPE): Share(in_kbps=0, out_kbps=15_000), (12, PIPE): Share(out_kbps=4_000)}
    pipe_id = lab.intent.keys.pipe_id(PIPE)
    held = {(key.dpid, meter.id): meter for key, fragment in lab.programs().items() for meter in fragment.meters
            if meter.unit == "kbps"}
    out, into = (tables.pipe_meter_id(pipe_id, kind) for kind in (OUT, IN))
    assert held == {
        (11, out): Meter(out, 15_000, 3_750, "kbps"), (11, into): Meter(into, 10_000, 2_500, "kbps"),
        (12, out): Meter(out, 4_000, 1_000, "kbps")}


def test_pipe_with_a_guarantee_alone_is_counted_by_a_meter_that_drops_nothing(lab: Lab) -> None:
    """In both directions, for what comes back is seen as well; without a guarantee there is no meter."""
    lab.update(replace(lab.intent.pipes[PIPE], bandwidth=BandwidthPolicy(guarantee_out_kbps=1_000)))
    lab.port("tenants/red/networks/net", "f", at=(11, 6))
    lab.pipe("red", "ports", "a", "f", BandwidthPolicy(guarantee_in_kbps=1_000))
    lab.pipe("red", "none", "a", "b", BandwidthPolicy())
    pipe_ids = {lab.intent.keys.pipe_id(f"{RED}/pipes/{name}") for name in ("x", "ports")}
    rates = {meter.id: meter.rate for fragment in lab.programs().values() for meter in fragment.meters
             if meter.unit == "kbps"}
    assert rates == {tables.pipe_meter_id(each, kind): tables.COUNTING_KBPS for each in pipe_ids for kind in (OUT, IN)}


def test_flows_choose_the_pipes_queue_by_whose_gateway_sent_into_which_slice(lab: Lab) -> None:
    """On links, both ways, where the switch cannot tell by itself; gone with the guarantee."""
    lab.observe(QueuesFound(dpid=1, driver="ovsdb"))
    keys, programs = lab.intent.keys, lab.programs()
    queue = actions.set_queue(leaf_queue(keys.queue_id(PIPE)))
    flows = [flow for fragment in programs.values() for flow in fragment.flows
             if flow.table == tables.QUEUE.number and queue in flow.instructions]
    near, far = f"{RED}/networks/net", f"{RED}/networks/far"
    assert {flow.match for flow in flows} == {
        tables.where(eth_src=int(gateway_mac(lab, source).replace(":", ""), 16),
                     eth_dst=tables.key_of_slice(keys.slice_of(target)))
        for source, target in ((near, far), (far, near))}
    lab.update(replace(lab.intent.pipes[PIPE], bandwidth=BandwidthPolicy(ceiling_out_kbps=5_000)))
    assert not any(queue in flow.instructions for fragment in lab.programs().values() for flow in fragment.flows)


def test_link_takes_pipe_frames_as_they_are_told(lab: Lab) -> None:
    """What crosses a link has the gateway's MAC of the network that sent it, and a key of the other's slice."""
    a, d = port(lab, "a"), port(lab, "d")
    net = lab.fake_network()
    net.inject(lab.placement.at[a.name], frame(lab, a, d))
    seen = [data for _, data in net.on_the_wire]
    assert len(seen) == 2
    for data in seen:
        read = packets.read(data)
        assert read["eth_src"] == int(gateway_mac(lab, a.network).replace(":", ""), 16)
        value, mask = tables.key_of_slice(lab.intent.keys.slice_of(d.network))
        assert read["eth_dst"] & mask == value
