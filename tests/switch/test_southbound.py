"""The southbound against real Open vSwitch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apps.lab.openvswitch import RUN_DIR
from apps.pliantd.base import DEAD, MAIN, App, ofp_event, set_ev_cls
from controller.openflow import actions, instructions, match
from controller.openflow import messages as openflow
from controller.openflow.entries import Bucket, Group, Meter, flow
from controller.southbound.datapath import SwitchDatapath
from controller.southbound.runtime import Runtime
from tests.support.eventually import eventually
from tests.support.rig import Rig

DPID = 0x51
SOCKET = f"{RUN_DIR}/pliant-test.sock"


class Recorder(App):
    def __init__(self) -> None:
        super().__init__()
        self.states: list[str] = []
        self.packets: list[tuple[int, bytes]] = []

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN, DEAD])
    def state_changed(self, event: Any) -> None:
        self.states.append(event.state)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN)
    def packet_in(self, event: Any) -> None:
        assert event.msg.match["in_port"] == event.msg.packet.in_port
        self.packets.append((event.msg.packet.in_port, event.msg.data))


class Bench:
    """A runtime on a unix socket that the sandbox's switches reach."""

    def __init__(self, ovs: Rig) -> None:
        self.runtime = Runtime()
        self.app: Recorder = self.runtime.add(Recorder)
        self.runtime.start()
        # Open vSwitch connects to unix sockets in its own run directory only.
        self.runtime.listen(str(ovs.sandbox.path(SOCKET)))
        self.target = f"unix:{SOCKET}"

    def datapath(self, dpid: int = DPID) -> SwitchDatapath:
        found = eventually(lambda: self.runtime.datapaths().get(dpid), what="the switch connected")
        assert found is not None
        return found


@pytest.fixture
def bench(ovs: Rig) -> Iterator[Bench]:
    made = Bench(ovs)
    yield made
    made.runtime.stop()


def test_bridge_connects_and_is_described(ovs: Rig, bench: Bench) -> None:
    """Tables, meters, groups, software; ports by name, LOCAL left out."""
    ovs.add_bridge("s1", DPID, bench.target)
    ovs.add_host("h1", "s1", 1)
    datapath = bench.datapath()
    assert datapath.features.n_tables == 254
    assert datapath.features.max_meters > 200_000
    assert datapath.features.meter_pktps
    assert datapath.features.max_groups > 1_000_000
    assert "Nicira" in datapath.features.manufacturer
    eventually(lambda: [(p.port_no, p.name, p.up) for p in datapath.switch_ports()] == [(1, "s1-h1", True)])


def test_port_changes_are_followed(ovs: Rig, bench: Bench) -> None:
    """Down, up, gone."""
    ovs.add_bridge("s1", DPID, bench.target)
    datapath = bench.datapath()
    host = ovs.add_host("h1", "s1", 1)
    eventually(lambda: (port := datapath.switch_port(1)) is not None and port.up)
    for up in (False, True):
        ovs.set_link(host.interface, up=up)
        eventually(lambda up=up: (port := datapath.switch_port(1)) is not None and port.up is up)
    ovs.remove_host(host)
    eventually(lambda: datapath.switch_ports() == ())


def test_program_is_installed_confirmed_and_read_back(ovs: Rig, bench: Bench) -> None:
    """Ten thousand flows, a group and a meter come back equal; somebody else's flow is left out."""
    ovs.add_bridge("s1", DPID, bench.target)
    ovs.ofctl("add-flow", "s1", "table=9,priority=5,actions=drop")
    datapath = bench.datapath()
    meter, group = Meter(4096, 1000, 250), Group(5, 0, (Bucket(actions.output(1)),))
    apply = instructions.apply(actions.set_field("reg1", 7), actions.output(1))
    flows = [flow(1, 3, 9, match.match(metadata=n), apply) for n in range(10_000)]
    frames = [openflow.meter_mod(openflow.ADD, meter), openflow.group_mod(openflow.ADD, group)]
    assert datapath.submit(frames + [openflow.flow_add(one) for one in flows]).result(30) == []
    back = datapath.read_back().result(30)
    assert set(back.flows) == set(flows)
    assert back.groups == (group,)
    assert meter in back.meters


def test_refused_frames_are_named(ovs: Rig, bench: Bench) -> None:
    """Flows that use a group that is not there, among others."""
    ovs.add_bridge("s1", DPID, bench.target)
    good, bad = (instructions.apply(action) for action in (actions.output(1), actions.group(99)))
    flows = [flow(1, 3, 9, match.match(metadata=n), bad if n in (3, 7_000) else good) for n in range(7_500)]
    errors = bench.datapath().submit([openflow.flow_add(one) for one in flows]).result(30)
    assert [(error.index, error.text) for error in errors] == [
        (3, "BAD_ACTION/BAD_OUT_GROUP"), (7_000, "BAD_ACTION/BAD_OUT_GROUP")]


def test_punted_frames_come_whole_and_packet_outs_arrive(ovs: Rig, bench: Bench) -> None:
    """A frame of 1,294 bytes from one host, punted, is injected to the other."""
    ovs.add_bridge("s1", DPID, bench.target)
    one, two = (ovs.add_host(f"h{n}", "s1", n) for n in (1, 2))
    datapath = bench.datapath()
    punt = flow(1, 0, 5, match.match(eth_type=0x88B5), instructions.apply(actions.output(0xFFFFFFFD, 0xFFFF)))
    assert datapath.submit([openflow.flow_add(punt)]).result(5) == []
    frame = bytes.fromhex("0200000000aa0200000000bb88b5") + bytes(range(256)) * 5
    capture = two.capture()
    one.send_frame(frame)
    assert eventually(lambda: bench.app.packets) == [(1, frame)]
    assert datapath.send(openflow.packet_out(frame, actions.output(2)))
    eventually(lambda: "tx pkts=1" in ovs.ofctl("dump-ports", "s1", "2"))
    assert frame in capture.finish()


def test_crash_of_the_switch_is_seen_and_its_return_too(ovs: Rig, bench: Bench) -> None:
    """DEAD at once, MAIN again when it is back, and a read-back says that it lost everything."""
    ovs.add_bridge("s1", DPID, bench.target)
    first = bench.datapath()
    first.submit([openflow.flow_add(flow(1, 0, 5, b"", b""))]).result(5)
    ovs.stop_vswitchd()
    eventually(lambda: bench.app.states == ["main", "dead"], timeout_s=1)
    ovs.start_vswitchd()
    eventually(lambda: bench.app.states == ["main", "dead", "main"])
    assert bench.datapath() is not first
    assert bench.datapath().read_back().result(5).flows == ()


def test_second_bridge_with_a_live_datapath_id_is_refused(ovs: Rig, bench: Bench) -> None:
    """The first one keeps its connection; the second gets it when the first is gone."""
    ovs.add_bridge("s1", DPID, bench.target)
    first = bench.datapath()
    ovs.add_bridge("s2", DPID, bench.target)
    eventually(lambda: "false" in ovs.vsctl("--columns=is_connected", "list", "controller"), timeout_s=5)
    assert bench.datapath() is first
    assert first.submit([]).result(5) == []
    ovs.vsctl("del-br", "s1")
    eventually(lambda: bench.runtime.datapaths().get(DPID) not in (None, first), timeout_s=15)
