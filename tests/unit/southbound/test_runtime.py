"""The I/O loop, its listeners, its applications, and who may speak for a datapath id."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from os_ken.base.app_manager import OSKenApp
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.ofproto import ofproto_v1_0, ofproto_v1_3
from structlog.testing import capture_logs

from controller.openflow import messages as openflow
from controller.southbound import guard
from controller.southbound.runtime import Runtime
from tests.fakes.openflow_switch import FakeSwitch, Switches
from tests.support.eventually import eventually
from tests.unit.southbound.conftest import LOOPBACK, Recorder, Rig


class StockSwitch(OSKenApp):  # type: ignore[misc]
    """What os-ken's tutorials teach, knowing nothing of Pliant."""

    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION]  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heard: list[tuple[int, int, bytes]] = []

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def switch_features_handler(self, ev: Any) -> None:
        datapath = ev.msg.datapath
        ofproto, parser = datapath.ofproto, datapath.ofproto_parser
        actions = [parser.OFPActionOutput(ofproto.OFPP_CONTROLLER, ofproto.OFPCML_NO_BUFFER)]
        inst = [parser.OFPInstructionActions(ofproto.OFPIT_APPLY_ACTIONS, actions)]
        datapath.send_msg(parser.OFPFlowMod(datapath=datapath, priority=0, match=parser.OFPMatch(), instructions=inst))

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def packet_in_handler(self, ev: Any) -> None:
        msg = ev.msg
        self.heard.append((msg.datapath.id, msg.match["in_port"], msg.data))


class OnlyOne(OSKenApp):  # type: ignore[misc]
    OFP_VERSIONS = [ofproto_v1_0.OFP_VERSION]  # noqa: RUF012


class Hanging(Recorder):
    """Its handler never comes back."""

    release = threading.Event()

    def packet_in(self, event: Any) -> None:
        self.release.wait(60)

    packet_in = set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)(packet_in)


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    made = Runtime()
    yield made
    made.stop()


def test_stock_osken_app_loads_and_gets_its_events(runtime: Runtime, switches: Switches) -> None:
    """A tutorial's learning switch installs its table-miss flow and hears packet-ins with os-ken's own match."""
    app = runtime.add(StockSwitch)
    runtime.start()
    switch = switches.connect(FakeSwitch(5), LOOPBACK, runtime.listen(LOOPBACK))
    eventually(lambda: 5 in runtime.datapaths() and switch.flows)
    switches.call(switch.packet_in, 2, b"frame")
    assert eventually(lambda: app.heard) == [(5, 2, b"frame")]
    assert type(app).__name__ == "StockSwitch"


def test_app_without_openflow_1_3_is_refused_and_harms_no_other(runtime: Runtime, switches: Switches) -> None:
    """os-ken would drop 1.3 for the whole process."""
    with pytest.raises(ValueError, match=r"OpenFlow 1\.3"):
        runtime.add(OnlyOne)
    with pytest.raises(TypeError, match="OSKenApp"):
        runtime.add(dict)
    runtime.start()
    switches.connect(FakeSwitch(5), LOOPBACK, runtime.listen(LOOPBACK))
    eventually(lambda: 5 in runtime.datapaths())


def test_exception_in_a_handler_is_logged_counted_and_stops_nothing(rig: Rig) -> None:
    """The next event is handled as if nothing had happened."""
    switch = FakeSwitch(1)
    rig.up(switch)
    rig.app.fail_on = b"bad"
    with capture_logs() as logs:
        for data in (b"bad", b"good"):
            rig.switches.call(switch.packet_in, 1, data)
        assert eventually(lambda: rig.app.packets) == [(1, b"good")]
    assert rig.app.handler_errors == 1
    assert [entry["event"] for entry in logs] == ["handler_failed"]


def test_disconnect_is_seen_within_a_second(rig: Rig) -> None:
    """MAIN, then DEAD, in this order."""
    switch = FakeSwitch(1)
    rig.up(switch)
    began_s = time.monotonic()
    rig.switches.close(switch)
    assert eventually(lambda: rig.app.states[1:]) == [(1, "dead")]
    assert time.monotonic() - began_s < 1
    eventually(lambda: not rig.runtime.datapaths())


def test_packet_ins_beyond_the_bound_are_shed_and_counted(
    runtime: Runtime, switches: Switches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stuck application costs its own packet-ins; the switch's connection works on."""
    monkeypatch.setattr(guard, "MAX_PACKET_INS", 10)
    Hanging.release.clear()
    app = runtime.add(Hanging)
    runtime.start()
    switch = switches.connect(FakeSwitch(1), LOOPBACK, runtime.listen(LOOPBACK))
    eventually(lambda: 1 in runtime.datapaths())
    for _ in range(50):
        switches.call(switch.packet_in, 1, b"x")
    assert runtime.datapaths()[1].submit([]).result(5) == []
    assert eventually(lambda: app.packet_ins_shed) >= 39
    Hanging.release.set()


def test_switch_whose_events_pile_up_is_disconnected(
    runtime: Runtime, switches: Switches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Port changes are not shed, since nobody would tell them again: the reconnection does."""
    monkeypatch.setattr(guard, "MAX_EVENTS", 5)
    Hanging.release.clear()

    class Stuck(Hanging):
        @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
        def port_status(self, event: Any) -> None:
            self.release.wait(60)

    runtime.add(Stuck)
    runtime.start()
    switch = switches.connect(FakeSwitch(1), LOOPBACK, runtime.listen(LOOPBACK))
    datapath = eventually(lambda: runtime.datapaths().get(1))
    for number in range(20):
        switches.call(switch.set_port_up, 1, up=bool(number % 2))
    eventually(lambda: datapath.state == "dead")
    assert "faster" in datapath.end_reason
    Hanging.release.set()


def test_live_switch_is_not_evicted_by_another_with_its_datapath_id(hasty: Rig) -> None:
    """The second is refused and logged; the first notices nothing."""
    first, second = FakeSwitch(7), FakeSwitch(7)
    datapath = hasty.up(first)
    with capture_logs() as logs:
        hasty.connect(second)
        eventually(lambda: not second.connected)
        eventually(lambda: any("taken by a live switch" in str(entry.get("reason")) for entry in logs))
    assert hasty.runtime.datapaths()[7] is datapath
    assert first.connected
    assert hasty.app.states == [(7, "main")]


def test_dead_connection_is_replaced_by_a_new_one_with_its_datapath_id(rig: Rig) -> None:
    """A switch that comes back need not wait for its old connection to time out; DEAD comes before MAIN."""
    first, second = FakeSwitch(7), FakeSwitch(7)
    old = rig.up(first)
    first.answers = False
    rig.connect(second)
    eventually(lambda: rig.runtime.datapaths().get(7) not in (None, old), timeout_s=5)
    assert eventually(lambda: rig.app.states[2:]) == [(7, "main")]
    assert rig.app.states[1] == (7, "dead")
    assert "replaced" in old.end_reason


def test_unix_socket_is_served_and_removed(runtime: Runtime, switches: Switches, tmp_path: Path) -> None:
    """os-ken's own listener drops every connection there."""
    path = str(tmp_path / "of.sock")
    runtime.start()
    assert runtime.listen(path) == 0
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    switches.connect(FakeSwitch(3), path)
    eventually(lambda: 3 in runtime.datapaths())
    runtime.stop()
    assert not os.path.exists(path)


def test_port_0_takes_a_free_port_and_a_taken_port_is_an_error(runtime: Runtime) -> None:
    """os-ken takes 0 for its default port, and says nothing when it cannot bind."""
    runtime.start()
    first, second = runtime.listen(LOOPBACK, 0), runtime.listen(LOOPBACK, 0)
    assert 0 < first != second > 0
    with pytest.raises(OSError, match="in use"):
        runtime.listen(LOOPBACK, first)


def _certificate(directory: Path) -> Path:
    key, certificate, both = (directory / name for name in ("key.pem", "cert.pem", "both.pem"))
    what = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=pliant-test"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *what.split(), *names], check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both


def test_tls_switches_are_authenticated_and_others_refused(
    runtime: Runtime, switches: Switches, tmp_path: Path
) -> None:
    """Mutual TLS on the same loop; a plain client is refused with a log line and harms nobody."""
    pem = _certificate(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "cert.pem"))
    server.load_cert_chain(pem)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(tmp_path / "cert.pem"))
    client.load_cert_chain(pem)
    runtime.start()
    port = runtime.listen(LOOPBACK, 0, tls=server)
    with capture_logs() as logs, socket.create_connection((LOOPBACK, port)) as plain:
        plain.sendall(bytes.fromhex("0400000800000001"))
        eventually(lambda: any(entry["event"] == "tls_refused" for entry in logs), timeout_s=3)
    switch = switches.connect(FakeSwitch(3), LOOPBACK, port, client)
    eventually(lambda: 3 in runtime.datapaths())
    assert runtime.datapaths()[3].submit([openflow.flow_delete(0, 0)] * 2000).result(5) == []
    assert switch.received[14] == 2000


def test_two_hundred_switches_need_no_more_threads_than_one(rig: Rig) -> None:
    """All connect at once, all are served by the one I/O thread."""
    rig.up(FakeSwitch(1000))
    threads = threading.active_count()
    rig.switches.connect_all([FakeSwitch(dpid) for dpid in range(1, 201)], LOOPBACK, rig.port)
    eventually(lambda: len(rig.runtime.datapaths()) == 201, timeout_s=20)
    assert threading.active_count() == threads
    submits = [datapath.submit([openflow.flow_delete(0, 0)] * 10) for datapath in rig.runtime.datapaths().values()]
    assert all(submit.result(10) == [] for submit in submits)


def test_stop_ends_everything_and_another_runtime_can_follow(switches: Switches) -> None:
    """Sockets, threads and os-ken's process-wide registrations."""
    for _ in range(3):
        runtime = Runtime()
        app = runtime.add(Recorder)
        runtime.start()
        port = runtime.listen(LOOPBACK)
        switch = switches.connect(FakeSwitch(1), LOOPBACK, port)
        eventually(lambda r=runtime: 1 in r.datapaths())
        runtime.stop()
        eventually(lambda s=switch: not s.connected)
        assert app.states == [(1, "main"), (1, "dead")]
        assert not {thread.name for thread in threading.enumerate()} & {"of-io", "app-Recorder"}
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, port)).close()
        runtime.stop()


def test_stop_is_bounded_when_an_application_hangs(switches: Switches) -> None:
    """It is left behind and named in the log; the next runtime starts as usual."""
    Hanging.release.clear()
    runtime = Runtime()
    runtime.add(Hanging)
    runtime.start()
    switch = switches.connect(FakeSwitch(1), LOOPBACK, runtime.listen(LOOPBACK))
    eventually(lambda: 1 in runtime.datapaths())
    switches.call(switch.packet_in, 1, b"x")
    runtime.datapaths()[1].submit([]).result(5)
    began_s = time.monotonic()
    with capture_logs() as logs:
        runtime.stop(timeout_s=0.5)
    assert time.monotonic() - began_s < 2
    assert [entry["app"] for entry in logs if entry["event"] == "app_hangs"] == ["Hanging"]
    again = Runtime()
    again.add(Hanging)
    again.stop()
    Hanging.release.set()


def test_other_tasks_may_run_on_the_loop(rig: Rig) -> None:
    """The reconcile loop's sessions do."""
    import asyncio

    async def where() -> str:
        return threading.current_thread().name

    assert asyncio.run_coroutine_threadsafe(where(), rig.runtime.loop).result(5) == "of-io"
