"""Wires cut and restored, control channels lost and back: what follows, and what must not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.eventually import eventually
from tests.support.fabric import Fabric, at, leaf_spine
from tests.support.rig import Host, Rig

TIMING = {"PLIANT_OPENFLOW__ECHO_PERIOD_S": "0.5", "PLIANT_OPENFLOW__DEAD_AFTER_S": "1.5"}
FAR = 3
"""the leaf whose control channel is cut"""


@pytest.fixture
def cuttable(ovs: Rig) -> Iterator[Fabric]:
    """The fabric, with a control channel to leaf 3 that can be cut."""
    with leaf_spine(ovs, relayed=[FAR], env=TIMING) as fabric:
        yield fabric


def two_hosts(fabric: Fabric, tenant: str = "red") -> tuple[str, Host, Host]:
    """A tenant's network, and hosts a and b of it on leaves 1 and 3."""
    network = fabric.create_network(tenant)
    a, b = fabric.add_host("a", 1, 1, 11), fabric.add_host("b", FAR, 1, 12)
    fabric.create_ports(network, (a, b))
    assert a.ping(b).lost == 0
    return network, a, b


def uplink(fabric: Fabric, leaf: int) -> str:
    """The interface through which most frames leave a leaf for its spines."""
    counted = {
        interface: int(re.findall(r"tx pkts=(\d+)", fabric.rig.ofctl("dump-ports", f"s{leaf}", interface))[0])
        for interface in (f"s{leaf}-s11-101", f"s{leaf}-s12-102")
    }
    return max(counted, key=lambda interface: counted[interface])


@pytest.mark.parametrize("end", ["leaf", "spine"])
def test_cut_link_moves_traffic_within_two_seconds(fabric: Fabric, end: str) -> None:
    """The uplink in use goes down, at either end: the other spine carries the traffic; restored, nothing is lost."""
    _, a, b = two_hosts(fabric)
    with a.probe(b, packets_per_s=1000) as probe:
        time.sleep(0.3)  # some hundred packets tell which uplink is used
        used = uplink(fabric, 1)
        spine = re.findall(r"s1-(s\d+)", used)[0]
        cut = used if end == "leaf" else f"{spine}-s1-1"
        fabric.rig.set_link(cut, up=False)
        eventually(lambda: sum(not link.up for link in fabric.client.links.list()) == 2, 2, "both directions down")
        eventually(lambda: a.ping(b, count=1).lost == 0, 2, "a reaches b again")
        result = probe.finish()
    assert result.longest_gap_ms < 2_000, result
    print(f"link cut at the {end}: longest gap {result.longest_gap_ms:.0f} ms, {result.lost} of {result.sent} lost")
    with a.probe(b, packets_per_s=1000) as probe:
        fabric.rig.set_link(cut, up=True)
        fabric.pliantd.wait_for_links(12)
        fabric.wait_in_sync()
        result = probe.finish()
    assert (result.lost, result.duplicates) == (0, 0), "a link that returns costs no packet"


@pytest.mark.parametrize("way", ["cut", "frozen"])
def test_lost_control_channel_changes_no_traffic(cuttable: Fabric, way: str) -> None:
    """A leaf out of reach goes on forwarding, no link is given up, and its return writes nothing."""
    _, a, b = two_hosts(cuttable)
    before = cuttable.flows()
    relay = cuttable.relays[FAR]
    with a.probe(b, packets_per_s=1000) as probe:
        (relay.cut if way == "cut" else relay.freeze)()
        cuttable.wait_connected(FAR, connected=False, timeout_s=5)
        # Longer than any link would live whose probes are no longer answered.
        hold(lambda: sum(link.up for link in cuttable.client.links.list()) == 12, duration_s=7.0)
        assert cuttable.flows() == before
        relay.restore()
        cuttable.wait_in_sync()
        result = probe.finish()
    assert (result.lost, result.duplicates) == (0, 0), result
    assert cuttable.flows() == before


def test_change_while_an_edge_is_away_reaches_it_on_return(cuttable: Fabric) -> None:
    """A wait ends before its deadline naming the switch that lags; the rest works; its return completes it."""
    network, a, b = two_hosts(cuttable)
    cuttable.relays[FAR].cut()
    cuttable.wait_connected(FAR, connected=False)
    c, d = cuttable.add_host("c", 2, 1, 13), cuttable.add_host("d", FAR, 2, 14)
    start_s = time.monotonic()
    near = cuttable.client.ports.create(cuttable.port(network, c), wait=True, wait_timeout_s=2)
    assert time.monotonic() - start_s < 5
    assert near.reconciling
    (lag,) = (condition for condition in near.conditions if condition.reason == "SWITCH_NOT_CONFIRMED")
    assert list(lag.switches) == [f"switches/{FAR:016x}"]
    assert a.ping(c).lost == 0
    far = cuttable.client.ports.create(cuttable.port(network, d), wait=True, wait_timeout_s=1)
    assert far.conditions[0].reason in ("INTERFACE_UNKNOWN", "SWITCH_NOT_CONFIRMED")
    cuttable.relays[FAR].restore()
    cuttable.wait_in_sync()
    eventually(lambda: not cuttable.client.ports.get(near.name).reconciling, what="c confirmed everywhere")
    for one in (a, b, c):
        assert one.ping(d, count=2).lost == 0


def test_wiped_switch_is_filled_again_on_its_return(cuttable: Fabric) -> None:
    """A leaf loses all its flows, groups and meters while it is out of reach: it gets them back, the others nothing."""
    _, a, b = two_hosts(cuttable)
    flows, groups = cuttable.flows(), cuttable.groups()
    cuttable.relays[FAR].cut()
    cuttable.wait_connected(FAR, connected=False)
    for what in ("del-flows", "del-groups", "del-meters"):
        cuttable.rig.ofctl(what, f"s{FAR}")
    assert a.ping(b, count=2).received == 0
    cuttable.relays[FAR].restore()
    cuttable.wait_in_sync()
    eventually(lambda: (cuttable.flows(), cuttable.groups()) == (flows, groups), what="all as before")
    assert a.ping(b).lost == 0


def test_edge_out_of_reach_delivers_nothing_of_the_first_tenant_to_the_second(cuttable: Fabric) -> None:
    """red's port on an edge out of reach is deleted, blue's created there, at the same switch port even.

    red itself is deleted and made anew, too.  When the edge returns, no frame of red reaches blue.
    """
    network, a, b = two_hosts(cuttable)
    e = cuttable.add_host("e", FAR, 5, 12)
    cuttable.relays[FAR].cut()
    cuttable.wait_connected(FAR, connected=False)
    cuttable.client.tenants.delete("tenants/red", force=True)
    blue = cuttable.create_network("blue")
    blue_a = cuttable.add_host("blue-a", 1, 9, 11)
    cuttable.client.ports.create(cuttable.port(blue, blue_a))
    for host, port_no in ((b, 1), (e, 5)):
        port = cuttable.port(blue, host)
        port.attachment.CopyFrom(at(FAR, port_no))
        if host is e:
            port.addresses[:] = ["10.0.0.15"]
            port.mac_address = "02:00:00:00:00:15"
        cuttable.client.ports.create(port)
    # red again, with a port at its old place on leaf 1, sends all the time to all that it ever knew.
    network = cuttable.create_network("red")
    cuttable.client.ports.create(cuttable.port(network, a))
    new_red = cuttable.add_host("new-red", FAR, 6, 12)
    cuttable.client.ports.create(cuttable.port(network, new_red))
    with b.capture() as at_b, e.capture() as at_e, a.probe(b, packets_per_s=500), blue_a.capture() as at_blue_a:
        cuttable.relays[FAR].restore()
        cuttable.wait_in_sync()
        eventually(lambda: a.ping(new_red, count=1).lost == 0, what="the new red works")
        heard = [frame for frames in (at_b.finish(), at_e.finish(), at_blue_a.finish()) for frame in frames]
    assert heard == []
    eventually(lambda: blue_a.ping(b, count=1).lost == 0, what="blue works")


def hold(check: Callable[[], bool], *, duration_s: float) -> None:
    """The state must last: asked over and over for this long."""
    end_s = time.monotonic() + duration_s
    while time.monotonic() < end_s:
        assert check()
        time.sleep(0.1)
