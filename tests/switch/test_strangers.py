"""Whoever else speaks to the OpenFlow port of a running controller hurts nobody, and is named in the log."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.fakes.openflow_switch import FakeSwitch, Switches
from tests.support.eventually import eventually
from tests.support.fabric import ACTIVE, Fabric, at, leaf_spine
from tests.support.rig import Rig

pytestmark = pytest.mark.ovs

SOCKET = "/run/pliant-openflow.sock"
HANDSHAKE_S = 2.0


@pytest.fixture(scope="module")
def open_fabric() -> Iterator[Fabric]:
    """Two leaves and a spine with hosts a and b of red; the OpenFlow port can also be reached from outside."""
    env = {"PLIANT_OPENFLOW__UNIX": SOCKET, "PLIANT_OPENFLOW__HANDSHAKE_TIMEOUT_S": f"{HANDSHAKE_S}"}
    with Rig() as rig, leaf_spine(rig, leaves=(1, 2), spines=(11,), env=env) as fabric:
        network = fabric.create_network("red")
        fabric.create_ports(network, (fabric.add_host("a", 1, 1, 11), fabric.add_host("b", 2, 1, 12)))
        yield fabric


@pytest.fixture
def undisturbed(open_fabric: Fabric) -> Iterator[Fabric]:
    """Whatever the test does: traffic flows, no flow is touched and no real switch loses its connection meanwhile."""
    flows, log = open_fabric.flows(), open_fabric.pliantd.log()
    a, b = (open_fabric.rig.hosts[name] for name in "ab")
    with a.probe(b, packets_per_s=500) as probe:
        yield open_fabric
        result = probe.finish()
    assert (result.lost, result.duplicates) == (0, 0), result
    assert open_fabric.flows() == flows
    said = [line for line in open_fabric.pliantd.log().removeprefix(log).splitlines() if "switch_disconnected" in line]
    assert not [line for line in said for number in (1, 2, 11) if f"{number:016x}" in line]


def address(fabric: Fabric) -> str:
    return str(fabric.rig.sandbox.path(SOCKET))


def speak(fabric: Fabric, data: bytes) -> socket.socket:
    """A connection that says this and then nothing."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(address(fabric))
    connection.sendall(data)
    return connection


def closed(connection: socket.socket) -> bool:
    """True once the controller has ended the connection; what it said before is read away."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        return True
    return True


def wait_for_log(fabric: Fabric, since: str, *words: str) -> None:
    """Until a new line of the log holds all these words."""

    def told() -> bool:
        lines = fabric.pliantd.log().removeprefix(since).splitlines()
        assert any(all(word in line for word in words) for line in lines), lines
        return True

    eventually(told, what=f"a log line with {words}")


def test_second_switch_with_a_live_datapath_id_is_refused(undisturbed: Fabric) -> None:
    """The real switch answers, so the newcomer is sent away, and the log says which datapath it was."""
    log = undisturbed.pliantd.log()
    with Switches() as switches:
        twin = switches.connect(FakeSwitch(0x1), address(undisturbed))
        eventually(lambda: not twin.connected, what="the twin was sent away")
        assert twin.flows == {}
    wait_for_log(undisturbed, log, f"{1:016x}", "warning")


GARBAGE: dict[str, Callable[[], bytes]] = {
    "random": lambda: os.urandom(65_536),
    "http": lambda: b"GET / HTTP/1.1\r\nHost: pliant\r\n\r\n",
    "old version": lambda: bytes.fromhex("0100000800000001"),
    "length zero": lambda: bytes.fromhex("0400000800000001" "0405000000000002"),
    "features cut short": lambda: bytes.fromhex("0400000800000001" "0406000800000002"),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_ends_its_own_connection_only(undisturbed: Fabric, what: str) -> None:
    """Closed, with a reason in the log."""
    log = undisturbed.pliantd.log()
    try:
        with speak(undisturbed, GARBAGE[what]()) as connection:
            assert closed(connection)
    except BrokenPipeError:
        pass  # closed before all was sent
    wait_for_log(undisturbed, log, "warning")


def test_half_open_connections_end_after_the_handshake_deadline(undisturbed: Fabric) -> None:
    """Fifty that say nothing, and fifty that stop after HELLO."""
    log = undisturbed.pliantd.log()
    with ExitStack() as stack:
        silent = [stack.enter_context(speak(undisturbed, hello)) for hello in (b"", b"\4\0\0\x08\0\0\0\1") * 50]
        assert all(closed(connection) for connection in silent)
    wait_for_log(undisturbed, log, "warning")


def test_switch_without_meters_joins_and_says_what_it_cannot(undisturbed: Fabric) -> None:
    """A ceiling there is not enforced, and the port says so; ports elsewhere keep theirs."""
    network = "tenants/red/networks/n"
    with Switches() as switches:
        plain = switches.connect(FakeSwitch(0x77, max_meters=None), address(undisturbed))
        undisturbed.wait_connected(0x77, connected=True)
        b = undisturbed.rig.hosts["b"]
        port = undisturbed.port(network, b)
        port.name, port.mac_address, port.addresses[:] = f"{network}/ports/m", "", []
        port.attachment.CopyFrom(at(0x77, 1))
        port.bandwidth.ceiling_out_kbps = 10_000
        created = undisturbed.client.ports.create(port, wait=True, wait_timeout_s=5)
        reasons = [condition.reason for condition in created.conditions]
        assert "NO_METERS" in reasons, created
        assert created.state == ACTIVE or "NO_PATH" in reasons, created
        eventually(lambda: plain.flows, what="flows on the plain switch")
        assert plain.meters == {}
        undisturbed.client.ports.delete(port.name, wait=True)
    undisturbed.wait_connected(0x77, connected=False)
    undisturbed.client.switches.delete(f"switches/{0x77:016x}")


def test_switch_that_refuses_everything_says_so_at_its_ports_only(undisturbed: Fabric) -> None:
    """FLOW_REFUSED names the switch; the ports of others stay as they are."""
    network = "tenants/red/networks/n"
    with Switches() as switches:
        switch = FakeSwitch(0x78)
        switch.refuse = lambda frame: (5, 1) if frame[1] == 14 else None
        switches.connect(switch, address(undisturbed))
        undisturbed.wait_connected(0x78, connected=True)
        port = undisturbed.port(network, undisturbed.rig.hosts["b"])
        port.name, port.mac_address, port.addresses[:] = f"{network}/ports/r", "", []
        port.attachment.CopyFrom(at(0x78, 1))
        undisturbed.client.ports.create(port, wait=True, wait_timeout_s=5)
        eventually(lambda: "FLOW_REFUSED" in [
            condition.reason for condition in undisturbed.client.ports.get(port.name).conditions], what="FLOW_REFUSED")
        undisturbed.client.ports.delete(port.name)
    undisturbed.wait_connected(0x78, connected=False)
    undisturbed.client.switches.delete(f"switches/{0x78:016x}")
