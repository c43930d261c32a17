"""One connection: what is sent, answered, refused, read back; how it ends."""

from __future__ import annotations

import contextlib
import socket
import time
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from controller.fabric.ports import SwitchFeatures
from controller.openflow import actions, instructions, match
from controller.openflow import messages as openflow
from controller.openflow.entries import Bucket, Flow, Group, Meter, flow
from controller.reconcile.datapath import Datapath, Disconnected
from controller.southbound import outbox
from controller.southbound.osken import ofproto, parser
from tests.fakes.openflow_switch import LOCAL, FakePort, FakeSwitch, FlowEntry, FlowKey
from tests.support.eventually import eventually
from tests.unit.southbound.conftest import LOOPBACK, Rig


def _flows(count: int) -> list[Flow]:
    apply = instructions.apply(actions.output(1))
    return [flow(1, 3, n % 0x10000, match.match(in_port=n + 1), apply) for n in range(count)]


def _read_to_the_end(peer: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := peer.recv(1000):
            received += part
    return received


def _failure(future: Future[Any]) -> BaseException | None:
    return future.exception(5)


def test_connection_is_a_datapath_of_the_reconcile_loop(rig: Rig) -> None:
    """By its type too."""
    datapath: Datapath = rig.up(FakeSwitch(0x11))
    assert datapath.dpid == 0x11
    assert str(datapath) == f"<switch {0x11:016x} at 127.0.0.1>"


def test_handshake_learns_features_and_ports(rig: Rig) -> None:
    """Tables, meters, groups, names; ports without LOCAL, in order, with state and speed, but not that which a tap of a
    virtual machine says.
    """
    ports = {n: FakePort(n) for n in (7, 3)}
    ports |= {LOCAL: FakePort(LOCAL, "br0"), 9: FakePort(9, "eth9", up=False, speed_kbps=100_000)}
    ports |= {11: FakePort(11, "vnet0", speed_kbps=10_000)}
    datapath = rig.up(FakeSwitch(1, ports=ports, n_tables=200, max_meters=99))
    assert datapath.features == SwitchFeatures(
        n_tables=200, max_meters=99, meter_pktps=True, max_groups=0xFFFFFF00, manufacturer="Pliant", software="fake")
    assert [(p.port_no, p.name, p.up, p.speed_kbps) for p in datapath.switch_ports()] == [
        (3, "p3", True, 10_000_000), (7, "p7", True, 10_000_000), (9, "eth9", False, 100_000),
        (11, "vnet0", True, 0)]


def test_handshake_takes_port_descriptions_in_several_parts(rig: Rig) -> None:
    """A switch with two thousand ports needs more than one message."""
    datapath = rig.up(FakeSwitch(1, ports={n: FakePort(n) for n in range(1, 2001)}))
    assert len(datapath.switch_ports()) == 2000


def test_switch_without_meters_connects_and_the_log_says_so(rig: Rig) -> None:
    """max_meters 0, and a read-back does not ask for meters."""
    with capture_logs() as logs:
        datapath = rig.up(FakeSwitch(1, max_meters=None))
    assert datapath.features.max_meters == 0
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["switch_without_meters"]
    assert datapath.read_back().result(5).meters == ()


def test_switch_that_does_not_tell_its_ports_is_refused(rig: Rig) -> None:
    """It would be of no use, so it does not wait for the handshake's deadline."""
    switch = FakeSwitch(1, refuse=lambda frame: (1, 2) if frame[9] == openflow.PORT_DESC else None)
    with capture_logs() as logs:
        rig.connect(switch)
        eventually(lambda: any("BAD_REQUEST/BAD_MULTIPART" in str(entry.get("reason")) for entry in logs), timeout_s=20)
    eventually(lambda: not switch.connected, timeout_s=20)


def test_ports_are_kept_current(rig: Rig) -> None:
    """Added, changed and removed ports show in the datapath before the application hears of them."""
    switch = FakeSwitch(1)
    datapath = rig.up(switch)
    rig.switches.call(switch.set_port, FakePort(5, "new"))
    rig.switches.call(switch.set_port_up, 1, up=False)
    rig.switches.call(switch.remove_port, 2)
    assert eventually(lambda: rig.app.port_changes == [5, 1, 2])
    assert [(p.port_no, p.up) for p in datapath.switch_ports()] == [(1, False), (5, True)]
    assert datapath.switch_port(5) is not None
    assert datapath.switch_port(2) is None


def test_submit_installs_and_is_confirmed(rig: Rig) -> None:
    """When the future completes, the switch holds the flows."""
    switch, flows = FakeSwitch(1), _flows(10)
    assert rig.up(switch).submit([openflow.flow_add(one) for one in flows]).result(5) == []
    assert set(switch.flows) == {FlowKey(*one.key) for one in flows}


def test_empty_submit_is_a_barrier(rig: Rig) -> None:
    """It completes when everything before it is confirmed."""
    switch = FakeSwitch(1)
    datapath = rig.up(switch)
    assert datapath.submit([]).result(5) == []
    assert switch.received[openflow.BARRIER_TYPE] == 1


def test_errors_name_their_frames_among_ten_thousand(rig: Rig) -> None:
    """Three refused of 10,000, over chunks that are confirmed separately."""
    switch, flows, bad = FakeSwitch(1), _flows(10_000), {17, 5_000, 9_999}
    refused = {openflow.flow_add(flows[n])[8:] for n in bad}
    switch.refuse = lambda frame: (5, 1) if frame[8:] in refused else None
    errors = rig.up(switch).submit([openflow.flow_add(one) for one in flows]).result(20)
    assert [(error.index, error.text) for error in errors] == [(n, "FLOW_MOD_FAILED/TABLE_FULL") for n in sorted(bad)]
    assert len(switch.flows) == 9_997


def test_submits_take_effect_in_the_order_of_the_calls(rig: Rig) -> None:
    """A small submit does not overtake a large one, and a read-back sees both."""
    switch, flows = FakeSwitch(1), _flows(12_000)
    datapath = rig.up(switch)
    large = datapath.submit([openflow.flow_add(one) for one in flows])
    small = datapath.submit([openflow.flow_delete_strict(flows[-1].key)])
    back = datapath.read_back().result(20)
    assert large.done()
    assert small.done()
    assert set(back.flows) == set(flows[:-1])


def test_read_back_returns_what_was_written_and_only_ours(rig: Rig) -> None:
    """Flows of other owners are left out; groups and meters come back equal."""
    switch, flows = FakeSwitch(1), _flows(3_000)
    group = Group(5, 0, (Bucket(actions.output(1)), Bucket(actions.output(2))))
    meter = Meter(4096, 1000, 250)
    switch.flows[FlowKey(0, 1, b"")] = FlowEntry(0x77, 0, b"")
    datapath = rig.up(switch)
    frames = [openflow.meter_mod(openflow.ADD, meter), openflow.group_mod(openflow.ADD, group)]
    assert datapath.submit(frames + [openflow.flow_add(one) for one in flows]).result(5) == []
    back = datapath.read_back().result(5)
    assert (set(back.flows), back.groups, back.meters) == (set(flows), (group,), (meter,))


def test_read_back_in_parts_is_the_same_and_lets_writes_through(rig: Rig) -> None:
    """What is submitted after the reading began is confirmed before it ends; every flow is in exactly one part."""
    switch, flows = FakeSwitch(1), _flows(3_000)
    datapath = rig.up(switch)
    datapath.submit([openflow.flow_add(one) for one in flows]).result(5)
    late = datapath.read_back(16)
    small = datapath.submit([])
    order: list[str] = []
    small.add_done_callback(lambda _: order.append("write"))
    late.add_done_callback(lambda _: order.append("read"))
    held = late.result(5).flows
    assert (len(held), set(held)) == (len(flows), set(flows))
    assert order == ["write", "read"]


def test_read_back_that_is_refused_ends_the_connection(rig: Rig) -> None:
    """A switch that cannot be read cannot be kept in line."""
    switch = FakeSwitch(1)
    datapath = rig.up(switch)
    switch.refuse = lambda frame: (1, 5)
    assert isinstance(_failure(datapath.read_back()), Disconnected)
    eventually(lambda: not switch.connected)


def test_request_returns_all_parts(rig: Rig) -> None:
    """As raw replies, in order."""
    switch = FakeSwitch(1, reply_bytes=200)
    datapath = rig.up(switch)
    datapath.submit([openflow.flow_add(one) for one in _flows(20)]).result(5)
    replies = datapath.request(openflow.flow_stats_request()).result(5)
    assert len(replies) > 5
    assert all(reply[1] == openflow.REPLY_TYPE for reply in replies)


def test_switch_that_answers_twice_is_heard_once(rig: Rig) -> None:
    """The second answer is to nobody's question, and not to the next one."""
    switch = FakeSwitch(1)
    datapath = rig.up(switch)
    answer = switch._answer
    switch._answer = lambda kind, xid, frame: [*answer(kind, xid, frame)] * 2  # type: ignore[method-assign]
    datapath.submit([openflow.flow_add(one) for one in _flows(3)]).result(5)
    for question in (openflow.desc_request(), openflow.flow_stats_request(), openflow.desc_request()):
        replies = datapath.request(question).result(5)
        assert [reply[8:10] for reply in replies] == [question[8:10]]
    assert datapath.state == "main"


def test_malformed_replies_end_the_connection_and_fail_the_request(rig: Rig) -> None:
    """A flow of length zero in a dump would make os-ken loop for ever."""
    switch = FakeSwitch(1)
    datapath = rig.up(switch)
    switch._parts = lambda kind, body: iter([bytes(64)])  # type: ignore[method-assign]
    with capture_logs() as logs:
        assert isinstance(_failure(datapath.read_back()), Disconnected)
        eventually(lambda: any(entry["event"] == "switch_malformed" for entry in logs))


def test_lost_connection_fails_what_is_unanswered(rig: Rig) -> None:
    """Submits, requests and read-backs under way, and those that come later."""
    switch = FakeSwitch(1)
    datapath = rig.up(switch)
    switch.answers = False
    waiting: list[Future[Any]] = [datapath.submit([]), datapath.read_back(), datapath.request(openflow.desc_request())]
    rig.switches.close(switch)
    eventually(lambda: datapath.state == "dead")
    waiting += [datapath.submit([]), datapath.read_back(), datapath.request(openflow.desc_request())]
    assert all(isinstance(_failure(future), Disconnected) for future in waiting)
    assert datapath.send(openflow.barrier()) is False


def test_any_osken_message_can_be_sent(rig: Rig) -> None:
    """send_msg takes os-ken's own message classes, and its answers come as os-ken's events."""
    switch = FakeSwitch(1)
    datapath = rig.up(switch)
    mod = parser.OFPFlowMod(datapath, match=parser.OFPMatch(in_port=9), instructions=[], out_port=ofproto.OFPP_ANY,
                            out_group=ofproto.OFPG_ANY)
    assert datapath.send_msg(mod)
    datapath.send_barrier()
    eventually(lambda: len(switch.flows) == 1)


def test_packet_out_reaches_the_switch(rig: Rig) -> None:
    """send() needs no answer."""
    switch = FakeSwitch(1)
    frame = openflow.packet_out(b"x" * 60, actions.output(1))
    assert rig.up(switch).send(frame)
    assert eventually(lambda: switch.packet_outs) == [frame]


def test_switch_that_does_not_read_holds_back_its_own_writers_only(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """send() refuses instead of filling the memory; another switch is written to as before."""
    monkeypatch.setattr(outbox, "SEND_LIMIT_BYTES", 1 << 16)
    deaf = FakeSwitch(1)
    datapath, other = rig.up(deaf), rig.up(FakeSwitch(2))
    rig.switches.call(deaf.stop_reading)
    big = openflow.packet_out(bytes(60_000), actions.output(1))
    eventually(lambda: not datapath.send(big), timeout_s=20)
    assert other.submit([openflow.flow_add(one) for one in _flows(10)]).result(5) == []
    assert other.send(big)


def test_switch_that_does_not_read_is_given_up(hasty: Rig) -> None:
    """After the dead interval, even if it still talks."""
    deaf = FakeSwitch(1)
    datapath = hasty.up(deaf)
    hasty.switches.call(deaf.stop_reading)
    frame = openflow.packet_out(bytes(60_000), actions.output(1))
    deadline_s = time.monotonic() + 10
    while datapath.state == "main" and time.monotonic() < deadline_s:
        hasty.switches.call(deaf.say, bytes.fromhex("0402000800000001"))
        datapath.send(frame)
    assert "read" in datapath.end_reason


def test_silent_switch_is_given_up(hasty: Rig) -> None:
    """It is asked by echo first; no answer within the dead interval ends it."""
    switch = FakeSwitch(1)
    datapath = hasty.up(switch)
    switch.answers = False
    eventually(lambda: datapath.state == "dead", timeout_s=3)
    assert switch.received[2] >= 1
    assert "nothing heard" in datapath.end_reason


def test_quiet_switch_that_answers_echoes_stays(hasty: Rig) -> None:
    """Silence alone is no fault."""
    switch = FakeSwitch(1)
    datapath = hasty.up(switch)
    eventually(lambda: switch.received[2] >= 8, timeout_s=5)
    assert datapath.state == "main"


@pytest.mark.parametrize("ignores", [20, 18], ids=["barrier", "counters"])
def test_switch_that_never_answers_a_question_is_given_up(hasty: Rig, ignores: int) -> None:
    """Echoes are answered, the question is not: whoever waits for it gets Disconnected, not nothing."""
    switch = FakeSwitch(1)
    datapath = hasty.up(switch)
    answer = switch._answer
    switch._answer = lambda kind, xid, frame: () if kind == ignores else answer(kind, xid, frame)  # type: ignore[method-assign]
    asked: Future[Any] = datapath.submit([]) if ignores == 20 else datapath.request(openflow.port_stats_request())
    assert isinstance(_failure(asked), Disconnected)
    assert "no answer" in datapath.end_reason


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not OpenFlow"),
        (bytes.fromhex("0400001000000001" "0001000000000000"), "element"),
        (bytes.fromhex("0400000000000001"), "length 0"),
        (bytes.fromhex("0400ffff00000001"), "at most"),
        (bytes.fromhex("0100000800000001"), "OpenFlow 1.3"),
        (bytes.fromhex("0600001000000001" "0001000800000040"), "OpenFlow 1.3"),
        (bytes.fromhex("0400000800000001" "0406002000000001") + bytes(24), "datapath id is 0"),
        (bytes.fromhex("0400000800000001" "0114000800000001"), "version byte 1"),
    ],
)
def test_bad_peers_are_refused_with_a_reason_and_harm_nobody(rig: Rig, sent: bytes, reason: str) -> None:
    """Their connection ends at once, a good switch's goes on."""
    good = rig.up(FakeSwitch(9))
    with capture_logs() as logs, socket.create_connection((LOOPBACK, rig.port)) as peer:
        peer.settimeout(5)
        peer.sendall(sent)
        received = _read_to_the_end(peer)
        said = eventually(lambda: [entry for entry in logs if entry["log_level"] == "warning"])
    assert reason in said[0]["reason"]
    assert said[0]["peer"] == LOOPBACK
    if reason == "OpenFlow 1.3":
        assert b"OpenFlow 1.3 is required" in received
    assert good.submit([]).result(5) == []


def test_half_open_connections_end_at_the_handshake_deadline(hasty: Rig) -> None:
    """Those that say nothing, and those that stop after their HELLO."""
    with capture_logs() as logs:
        mute, greeting = (socket.create_connection((LOOPBACK, hasty.port)) for _ in range(2))
        greeting.sendall(bytes.fromhex("0400000800000001"))
        for peer in (mute, greeting):
            peer.settimeout(5)
            _read_to_the_end(peer)
            peer.close()
        eventually(lambda: len([e for e in logs if e["event"] == "switch_refused"]) == 2)
    assert {entry["state"] for entry in logs} <= {"handshake", "config"}


def test_ports_of_a_flooding_switch_are_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch that invents port after port is ended, not remembered."""
    monkeypatch.setattr("controller.southbound.datapath.MAX_PORTS", 50)
    switch = FakeSwitch(1)
    datapath = rig.up(switch)
    for number in range(3, 60):
        rig.switches.call(switch.set_port, FakePort(number))
    eventually(lambda: datapath.state == "dead")
    assert "ports" in datapath.end_reason


def test_flows_changed_behind_our_back_are_seen(rig: Rig) -> None:
    """A read-back is what the switch holds, not what was sent."""
    switch, (one,) = FakeSwitch(1), _flows(1)
    datapath = rig.up(switch)
    datapath.submit([openflow.flow_add(one)]).result(5)
    key = FlowKey(*one.key)
    switch.flows[key] = replace(switch.flows[key], instructions=b"")
    (held,) = datapath.read_back().result(5).flows
    assert held.key == one.key
    assert held.instructions == b""
