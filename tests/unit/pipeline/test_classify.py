"""Frames of switch ports that no tenant port is bound to."""

from __future__ import annotations

from controller.fabric.graph import EndPoint, PortRole
from controller.openflow.actions import LOCAL
from controller.pipeline import tables
from controller.pipeline.tables import Reason
from tests.fakes import packets
from tests.fakes.data_plane import FakeSwitch
from tests.support.worlds import Lab

PROBE = packets.ethernet("02:00:00:00:00:01", "01:80:c2:00:00:0e", packets.LLDP, bytes(46))
FRAME = packets.udp("02:00:00:00:00:01", "02:00:00:00:00:02", "10.0.0.1", "10.0.0.2")


def _leaf(role: PortRole) -> FakeSwitch:
    return Lab.leaf_spine(default_role=role).fake_network().switches[11]


def test_auto_port_punts_probes_and_the_frame_that_shows_a_host() -> None:
    """Both under meters of that port; frames that switches send as well show nothing, and nothing is forwarded."""
    leaf = _leaf(PortRole.AUTO)
    silent = (
        packets.ethernet("02:00:00:00:00:01", "01:80:c2:00:00:02", 0x8809, bytes(46)),
        packets.icmpv6("02:00:00:00:00:01", "33:33:00:00:00:16", "::", "ff02::16", 143),
    )
    for frame in silent:
        assert leaf.forward(frame, 5) == []
        assert leaf.punts == []
    for frame in (PROBE, FRAME):
        assert leaf.forward(frame, 5) == []
    assert [(punt.in_port, len(punt.data)) for punt in leaf.punts] == [(5, len(PROBE)), (5, min(64, len(FRAME)))]
    assert set(leaf.metered) == {tables.lldp_meter_id(5), tables.hearing_meter_id(5)}
    assert leaf.meters[tables.hearing_meter_id(5)].rate == 1


def test_edge_port_without_a_tenant_port_is_dead() -> None:
    """Neither probes nor anything else is punted or forwarded; all is counted."""
    leaf = _leaf(PortRole.EDGE)
    for frame in (PROBE, FRAME):
        assert leaf.forward(frame, 5) == []
    assert leaf.punts == []
    assert leaf.count(tables.DROP.number, reg1=(int(Reason.UNBOUND_PORT), 0xFFFF)) == 2


def test_fabric_port_punts_probes_and_takes_nothing_but_labels() -> None:
    """A tenant's frame that comes in on a fabric port has no label, so it goes nowhere."""
    leaf = _leaf(PortRole.EDGE)
    assert leaf.forward(PROBE, 1) == []
    assert [punt.in_port for punt in leaf.punts] == [1]
    assert leaf.forward(packets.rewrite(FRAME, "eth_dst", 0x080000000002), 1) == []
    assert leaf.count(tables.DROP.number, reg1=(int(Reason.UNKNOWN_LABEL), 0xFFFF)) == 1


def test_local_port_of_the_bridge_is_nobody() -> None:
    """The switch's own interface is no way into a tenant's network."""
    leaf = _leaf(PortRole.AUTO)
    assert leaf.forward(FRAME, LOCAL) == []
    assert leaf.punts == []
    assert leaf.count(tables.DROP.number, reg1=(int(Reason.LOCAL_PORT), 0xFFFF)) == 1


def test_bound_port_is_classified_by_its_tenant_port_alone() -> None:
    """Binding moves the switch port from one fragment to the other, and unbinding back."""
    lab = Lab.leaf_spine(default_role=PortRole.AUTO)
    lab.network("red")
    port = lab.port("red", "a", at=(11, 3), bind=False)
    before = lab.programs()
    assert not any(str(port.name) in map(str, key.subject) for key in before)
    lab.bind(port.name, EndPoint(11, 3))
    bound = lab.programs()
    assert {key.kind for key in before.keys() - bound.keys()} == {"switch_port"}
    assert {key.kind for key in bound.keys() - before.keys()} == {"port", "peer", "network", "route", "flood", "tenant"}
    lab.unbind(port.name)
    after = lab.programs()
    assert {key.kind for key in after.keys() ^ before.keys()} == set()
