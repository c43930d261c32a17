"""Links that die while nobody is in charge: the switches get around them by themselves, and pliantd tidies up after."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from apps.lab.measure import Stream
from tests.support.eventually import eventually
from tests.support.fabric import Fabric, leaf_spine
from tests.support.pliantd import CONTROLLER, Pliantd
from tests.support.rig import Host, Rig

GAP_MS = 300
"""What a failover may take on a busy machine; bench/failover.py says what it does take."""
HOLD_DOWN_S = 1.0
ENV = {"PLIANT_FABRIC__HOLD_DOWN_S": f"{HOLD_DOWN_S}"}
BEFORE_S, AFTER_S = 0.3, 1.0
FLAPPING_S, CHANGES = 10.0, 100
COUNTED = ("ofproto_recv_openflow", "ofproto_packet_out")


@pytest.fixture(params=["leaf_spine", "ring"])
def wired(request: pytest.FixtureRequest, ovs: Rig) -> Iterator[Fabric]:
    with (leaf_spine(ovs, env=ENV) if request.param == "leaf_spine" else ring(ovs, 5)) as fabric:
        yield fabric


@contextmanager
def ring(rig: Rig, n: int) -> Iterator[Fabric]:
    """So many switches in a circle: port 101 leads to the next one, 102 to the one before."""
    numbers = range(1, n + 1)
    for number in numbers:
        rig.add_bridge(f"s{number}", number, CONTROLLER)
    for number in numbers:
        rig.add_link(f"s{number}", 101, f"s{number % n + 1}", 102)
    with Pliantd(rig, env=ENV) as pliantd:
        pliantd.wait_for_links(2 * n)
        yield Fabric(rig, pliantd, numbers, (), {})


def two_hosts(fabric: Fabric) -> tuple[Host, Host]:
    """Two hosts of one network, on switches 1 and 3, that were heard."""
    network = fabric.create_network("red")
    a, b = fabric.add_host("a", 1, 1, 11), fabric.add_host("b", 3, 1, 12)
    fabric.create_ports(network, (a, b))
    fabric.wait_in_sync()
    assert a.ping(b).lost == 0
    return a, b


def busiest(fabric: Fabric, bridge: str) -> str:
    """The interface through which the switch has sent most of all to another switch."""
    counted: dict[str, int] = {}
    for interface in fabric.rig.vsctl("list-ports", bridge).split():
        if re.fullmatch(r"s\d+-s\d+-\d+", interface):
            stats = fabric.rig.ofctl("dump-ports", bridge, interface)
            counted[interface] = int(re.findall(r"tx pkts=(\d+)", stats)[0])
    return max(counted, key=lambda interface: counted[interface])


def on_the_way(fabric: Fabric, *, hop: int) -> str:
    """The interface that a probe just sent leaves its first switch by, or the one after that."""
    interface = busiest(fabric, "s1")
    return interface if hop == 1 else busiest(fabric, interface.split("-")[1])


def cut(fabric: Fabric, a: Host, b: Host, *, hop: int) -> tuple[str, Stream]:
    """Cut the wire under a stream of numbered packets; the interface, and what became of the stream."""
    with a.probe(b) as probe:
        time.sleep(BEFORE_S)
        interface = on_the_way(fabric, hop=hop)
        fabric.rig.set_link(interface, up=False)
        time.sleep(AFTER_S)
        return interface, probe.finish()


@pytest.mark.parametrize("hop", [1, 2])
def test_switches_get_around_a_dead_link_while_pliantd_is_gone_and_pliantd_tidies_up(wired: Fabric, hop: int) -> None:
    """At the sender's switch and at the next one, which sends the frames back where they came from.

    pliantd back again moves traffic to the best paths left, and back when the link has returned: nothing lost.
    """
    a, b = two_hosts(wired)
    healthy = wired.flows()
    wired.pliantd.kill()
    interface, result = cut(wired, a, b, hop=hop)
    assert result.longest_gap_ms < GAP_MS, result
    assert result.duplicates == 0
    print(f"{interface} cut with pliantd killed: {result}")
    with a.probe(b) as probe:
        wired.pliantd.start()
        wired.wait_in_sync()
        down = 2
        eventually(lambda: sum(not link.up for link in wired.client.links.list()) == down, 20, "the link known as dead")
        eventually(lambda: wired.flows() != healthy, 10, "other paths")
        wired.wait_in_sync()
        result = probe.finish()
    assert (result.lost, result.duplicates) == (0, 0), f"moving to the best paths left: {result}"
    with a.probe(b) as probe:
        wired.rig.set_link(interface, up=True)
        eventually(lambda: all(link.up for link in wired.client.links.list()), 20, "the link used again")
        wired.wait_in_sync()
        eventually(lambda: paths(wired.flows()) == paths(healthy), 20, "the best paths again")
        result = probe.finish()
    assert (result.lost, result.duplicates) == (0, 0), f"moving back: {result}"


def paths(flows: dict[str, list[str]]) -> int:
    """How many labels there are: all of one version when nothing is under way."""
    return sum(flow.count("table=2,") for each in flows.values() for flow in each)


def test_flapping_link_is_used_once_at_most_and_then_avoided_until_it_is_quiet(ovs: Rig) -> None:
    """100 changes in 10 seconds are the work of a few, and traffic meets at most the first of them.

    Dead for a while the link has been quiet, so it may be used as soon as it is back; after that it never is.
    """
    with leaf_spine(ovs, env=ENV) as fabric:
        a, b = two_hosts(fabric)
        healthy = written(fabric)
        with a.probe(b) as probe:
            time.sleep(BEFORE_S)
            interface = on_the_way(fabric, hop=1)
            fabric.rig.set_link(interface, up=False)
            eventually(lambda: sum(not link.up for link in fabric.client.links.list()) == 2, 10, "the link is avoided")
            time.sleep(AFTER_S)
            fabric.wait_in_sync()
            probe.finish()
        once = written(fabric) - healthy
        with a.probe(b) as probe:
            end_s = time.monotonic() + FLAPPING_S
            for change in range(CHANGES):
                fabric.rig.set_link(interface, up=change % 2 == 0)
                time.sleep(max(0.0, (end_s - time.monotonic()) / (CHANGES - change)))
            result = probe.finish()
        changes = (written(fabric) - healthy) / once
        print(f"flapping: {result}; the work of {changes:.1f} changes of paths, {once} messages each")
        assert result.lost < GAP_MS, f"more than one failover while the link flapped: {result}"
        assert result.duplicates == 0
        assert changes <= 4, f"so many times the work of one change: {changes:.1f}"
        fabric.rig.set_link(interface, up=True)
        eventually(lambda: all(link.up for link in fabric.client.links.list()), 60, "the link is used again")
        fabric.wait_in_sync()


def written(fabric: Fabric) -> int:
    """Messages that the switches got from pliantd, but for the probes that they are to send."""
    count = [int(fabric.rig.appctl("coverage/read-counter", name)) for name in COUNTED]
    return count[0] - count[1]
