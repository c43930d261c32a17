"""Where ports attach on real switches: what is not there yet, what moves, what is refused, who may not be a switch."""

from __future__ import annotations

from itertools import count

import pliant
import pytest
from pliant.v1 import network_pb2

from apps.lab.frames import mac_bytes, udp_frame
from tests.support.eventually import eventually
from tests.support.fabric import ACTIVE, PENDING, Fabric, at
from tests.support.rig import Host
from tests.support.storm import send_frames

LINKS = 12
LLDP, LLDP_GROUP = b"\x88\xcc", "01:80:c2:00:00:0e"
_numbers = count(20)


@pytest.fixture(scope="module")
def red(shared_fabric: Fabric) -> str:
    """red's network, with host a on leaf 1."""
    network = shared_fabric.create_network("red")
    shared_fabric.create_ports(network, [shared_fabric.add_host("a", 1, 1, 11)])
    return network


def new_host(fabric: Fabric, name: str, leaf: int) -> Host:
    number = next(_numbers)
    return fabric.add_host(name, leaf, number, number)


def wait_for_state(fabric: Fabric, name: str, state: int, reason: str = "") -> network_pb2.Port:
    """Until the port is in this state, and for this reason if one is given."""

    def reached() -> network_pb2.Port | None:
        port = fabric.client.ports.get(name)
        assert port.state == state, port
        assert not reason or reason in [condition.reason for condition in port.conditions], port
        return port

    port = eventually(reached, what=f"{name} in state {state} {reason}")
    assert port is not None
    return port


def test_port_waits_for_its_interface_and_becomes_active_by_itself(shared_fabric: Fabric, red: str) -> None:
    """An attachment to an interface that is not there yet is PENDING and says why; the interface comes: ACTIVE."""
    a = shared_fabric.rig.hosts["a"]
    port = network_pb2.Port(
        name=f"{red}/ports/late", subnet=f"{red}/subnets/s", mac_address="02:00:00:00:01:01", addresses=["10.0.0.90"],
        attachment=at(2, "s2-late"))
    created = shared_fabric.client.ports.create(port, wait=True)
    assert (created.state, created.reconciling) == (PENDING, False)
    (condition,) = created.conditions
    assert condition.reason == "INTERFACE_UNKNOWN"
    assert "s2-late" in condition.message
    rig = shared_fabric.rig
    late = rig.add_host("late", "s2", 90, mac="02:00:00:00:01:01", ip="10.0.0.90/24")
    wait_for_state(shared_fabric, port.name, ACTIVE)
    assert a.ping(late).lost == 0
    # Deleted and added again, with another number even.
    rig.vsctl("del-port", "s2", late.interface)
    wait_for_state(shared_fabric, port.name, PENDING, "INTERFACE_UNKNOWN")
    rig.vsctl("add-port", "s2", late.interface, "--", "set", "interface", late.interface, "ofport_request=91")
    wait_for_state(shared_fabric, port.name, ACTIVE)
    assert a.ping(late).lost == 0
    unknown = network_pb2.Port(name=f"{red}/ports/nowhere", subnet=f"{red}/subnets/s", attachment=at(0x99, "eth9"))
    assert shared_fabric.client.ports.create(unknown, wait=True).conditions[0].reason == "SWITCH_UNKNOWN"


def test_port_moves_to_another_switch(shared_fabric: Fabric, red: str) -> None:
    """The attachment is updated: frames go to the new place, and the old one is nobody's."""
    a = shared_fabric.rig.hosts["a"]
    old = new_host(shared_fabric, "old", 2)
    new = shared_fabric.rig.add_host("new", "s3", 70, mac=old.mac, ip=f"{old.ip}/24")
    (port,) = shared_fabric.create_ports(red, [old])
    assert a.ping(old).lost == 0
    port.attachment.CopyFrom(at(3, 70))
    moved = shared_fabric.client.ports.update(port, ["attachment"], wait=True)
    assert moved.state == ACTIVE
    with old.capture() as capture:
        assert a.ping(new).lost == 0
        assert [frame for frame in capture.finish() if frame[12:14] != LLDP] == []
    assert old.ping(a.ip, count=2).received == 0
    moved.attachment.CopyFrom(at(1, 1))
    with pytest.raises(pliant.ApiError) as refused:
        shared_fabric.client.ports.update(moved, ["attachment"])
    assert refused.value.reason == "ATTACHMENT_IN_USE"


@pytest.mark.parametrize("where", ["s1-s11-101", 101])
def test_attaching_to_a_fabric_port_is_refused(shared_fabric: Fabric, red: str, where: int | str) -> None:
    """By name and by number; nothing is created."""
    port = network_pb2.Port(name=f"{red}/ports/uplink", subnet=f"{red}/subnets/s", attachment=at(1, where))
    with pytest.raises(pliant.ApiError) as refused:
        shared_fabric.client.ports.create(port)
    assert refused.value.reason == "ATTACHMENT_IS_FABRIC"
    assert port.name not in [other.name for other in shared_fabric.client.ports.list(red)]


def test_same_switch_port_by_name_and_by_number_is_refused(shared_fabric: Fabric, red: str) -> None:
    """Whichever spelling came first, the second port is told that the place is taken."""
    for first, second in ((1, "s1-a"), ("s1-a", 1)):
        port = network_pb2.Port(name=f"{red}/ports/a", attachment=at(1, first))
        shared_fabric.client.ports.update(port, ["attachment"], wait=True)
        twice = network_pb2.Port(name=f"{red}/ports/twice", subnet=f"{red}/subnets/s", attachment=at(1, second))
        with pytest.raises(pliant.ApiError) as refused:
            shared_fabric.client.ports.create(twice)
        assert refused.value.reason == "ATTACHMENT_IN_USE"


def lldp_frames(frames: list[bytes]) -> list[bytes]:
    return [frame for frame in frames if frame[12:14] == LLDP]


def test_forged_and_replayed_probes_of_hosts_make_no_link(shared_fabric: Fabric, red: str) -> None:
    """From a tenant port they are dropped and counted; from a free port where a host was heard they say nothing."""
    bound, heard = new_host(shared_fabric, "bound", 2), new_host(shared_fabric, "heard", 3)
    forged = mac_bytes(LLDP_GROUP) + mac_bytes(bound.mac) + LLDP + bytes.fromhex(
        "02070400000000000b" "040507000000ff" "06020078" "0000").ljust(60, b"\0")
    with heard.capture() as capture:
        before = frames_to(shared_fabric, heard)
        eventually(lambda: frames_to(shared_fabric, heard) > before, what="a probe")
        hello = udp_frame(src_mac=heard.mac, dst_mac="ff:ff:ff:ff:ff:ff", src_ip=heard.ip, dst_ip="10.0.0.255")

        def told() -> bool:
            heard.send_frame(hello)
            return role(shared_fabric, 3, heard.port_no) == "PORT_ROLE_EDGE"

        eventually(told, what="the host was heard")
        probes = lldp_frames(capture.finish())
    assert probes, "a free port is probed"
    shared_fabric.create_ports(red, [bound])
    before = shared_fabric.drops("red", "WIRE_ON_EDGE")
    for frame in (forged, *probes):
        for host in (bound, heard):
            host.send_frame(frame, count=3)
    eventually(lambda: shared_fabric.drops("red", "WIRE_ON_EDGE") >= before + 6, what="counted drops")
    links = [link.name for link in shared_fabric.client.links.list()]
    assert len(links) == LINKS, links
    assert role(shared_fabric, 3, heard.port_no) == "PORT_ROLE_EDGE"


def test_changed_probe_at_a_free_port_makes_no_link(shared_fabric: Fabric, red: str) -> None:
    """A probe that was caught, and is sent by another free port with any byte changed or cut short, is no wire."""
    one, other = new_host(shared_fabric, "one", 2), new_host(shared_fabric, "other", 3)
    eventually(lambda: role(shared_fabric, 3, other.port_no) == "PORT_ROLE_AUTO", what="the port is known")
    with one.capture() as capture:
        before = frames_to(shared_fabric, one)
        eventually(lambda: frames_to(shared_fabric, one) >= before + 2, what="two probes")
        probes = lldp_frames(capture.finish())
    log = shared_fabric.pliantd.log()
    probe, end = probes[-1], probes[-1].rindex(b"\0\0")
    # As many as the port's LLDP meter lets through at once.
    changed = [probe[:i] + bytes([probe[i] ^ 1]) + probe[i + 1:] for i in range(14, end, (end - 14) // 12)]
    send_frames(other, [*changed, probe[:40], probe[:14], probe[:end]])
    eventually(lambda: "fabric_alarm" in shared_fabric.pliantd.log().removeprefix(log), what="an alarm")
    assert len(list(shared_fabric.client.links.list())) == LINKS


def frames_to(fabric: Fabric, host: Host) -> int:
    """How many frames the switch has sent to this host."""
    return int(fabric.rig.ofctl("dump-ports", host.bridge, host.interface).partition("tx pkts=")[2].partition(",")[0])


def role(fabric: Fabric, leaf: int, port_no: int) -> str:
    """What the controller takes a switch port for."""
    ports = fabric.client.switches.get(f"switches/{leaf:016x}").switch_ports
    roles = [pliant.v1.fabric_pb2.PortRole.Name(port.role) for port in ports if port.port_number == port_no]
    return roles[0] if roles else ""
