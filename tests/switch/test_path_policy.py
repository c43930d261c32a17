"""Path policies on real switches: who crosses which spine, by the switches' counters, and what a change costs.

One fabric for all but the last.  Spine 11 is of zone east, spine 12 of zone west; red and blue have the same addresses.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pliant
import pytest
from google.protobuf.duration_pb2 import Duration
from pliant.v1 import fabric_pb2 as pb
from pliant.v1 import network_pb2

from tests.support.eventually import eventually
from tests.support.fabric import Fabric, leaf_spine
from tests.support.rig import Host, Rig

EAST, WEST, THIRD = 11, 12, 13
NEAR, FAR = 1, 3
RED, BLUE = "tenants/red/networks/n", "tenants/blue/networks/n"
CONNECTIONS, BURST = 4, 800
Hosts = dict[str, tuple[Host, Host]]


@pytest.fixture(scope="module")
def hosts(shared_fabric: Fabric) -> Hosts:
    """Of each network one on the first leaf and one on the last."""
    fabric, hosts = shared_fabric, {}
    for spine, zone in ((EAST, "east"), (WEST, "west")):
        fabric.client.switches.update(pb.Switch(name=f"switches/{spine:016x}", zone=zone), ["zone"])
    for port_no, tenant in enumerate(("red", "blue"), start=1):
        network = fabric.create_network(tenant)
        pair = tuple(fabric.add_host(f"{tenant[0]}{leaf}", leaf, port_no, 10 + leaf) for leaf in (NEAR, FAR))
        fabric.create_ports(network, pair)
        hosts[network] = (pair[0], pair[1])
    return hosts


def set_policy(fabric: Fabric, network: str, **policy: object) -> network_pb2.Network:
    """Returns when the switches have confirmed it."""
    asked = network_pb2.Network(name=network, path_policy=network_pb2.PathPolicy(**policy))  # type: ignore[arg-type]
    return fabric.client.networks.update(asked, ["path_policy"], wait=True)


def carried(fabric: Fabric, spine: int) -> int:
    """Frames that came to the spine, probes for its links among them."""
    return sum(map(int, re.findall(r"rx pkts=(\d+)", fabric.rig.ofctl("dump-ports", f"s{spine}"))))


@contextmanager
def crossing(fabric: Fabric, *spines: int) -> Iterator[None]:
    """What goes on inside, BURST frames at least, crosses these spines and no other."""
    before = {spine: carried(fabric, spine) for spine in (EAST, WEST)}
    yield
    crossed = {spine: carried(fabric, spine) - count for spine, count in before.items()}
    assert {spine for spine, count in crossed.items() if count >= BURST / 2} == set(spines), crossed


def burst(pair: tuple[Host, Host]) -> int:
    """Frames from several connections, so many that by chance alone they would use every path; how many were lost."""
    lost = 0
    for _ in range(CONNECTIONS):
        with pair[0].probe(pair[1], packets_per_s=1000) as probe:
            time.sleep(0.25)
            lost += probe.finish().lost
    return lost


def explicit_flows(fabric: Fabric, spine: int) -> int:
    return sum("dl_dst=02:f" in flow for flow in fabric.rig.flows(f"s{spine}"))


def reasons(fabric: Fabric, network: str) -> list[str]:
    return [condition.reason for condition in fabric.client.networks.get(network).conditions]


def spines_of(fabric: Fabric, network: str) -> set[str]:
    """Where the API says that the network's frames go."""
    answer = fabric.client.paths(f"switches/{NEAR:016x}", f"switches/{FAR:016x}", network=network)
    return {hop.destination_switch for path in answer.current for hop in path.hops[:-1]}


def test_networks_cross_only_the_spine_that_their_policy_leaves(shared_fabric: Fabric, hosts: Hosts) -> None:
    """Red keeps out of the west and blue out of the east, though their addresses are the same; each hears its own."""
    fabric = shared_fabric
    set_policy(fabric, RED, avoid_zones=["west"])
    set_policy(fabric, BLUE, avoid_zones=["east"])
    for network, spine in ((RED, EAST), (BLUE, WEST)):
        assert reasons(fabric, network) == []
        assert spines_of(fabric, network) == {f"switches/{spine:016x}"}
        one, other = hosts[network]
        with crossing(fabric, spine):
            assert one.ping(other).lost == other.ping(one).lost == burst(hosts[network]) == 0


def test_changing_the_policy_under_traffic_loses_nothing(shared_fabric: Fabric, hosts: Hosts) -> None:
    """From one spine to the other, to any, to one tree and back, 1,000 numbered packets per second all the while."""
    fabric, (one, other) = shared_fabric, hosts[RED]
    set_policy(fabric, RED, avoid_zones=["west"])
    with one.probe(other, packets_per_s=1000) as probe:
        time.sleep(0.3)
        for policy in ({"avoid_zones": ["east"]}, {}, {"avoid_zones": ["west"]}, {"trees": [1]}, {"spread": 2},
                       {"avoid_zones": ["east"]}):
            set_policy(fabric, RED, **policy)
            time.sleep(0.2)
        result = probe.finish()
    print(f"six changes of policy: {result.sent} sent, {result.lost} lost, {result.duplicates} doubled, "
          f"{result.reordered} reordered")
    assert (result.lost, result.duplicates) == (0, 0), result
    with crossing(fabric, WEST):
        assert burst(hosts[RED]) == 0


def test_policy_that_nothing_satisfies_is_refused_and_leaves_all_as_it_was(
    shared_fabric: Fabric, hosts: Hosts,
) -> None:
    """Both zones, a zone of no switch, and a bound below what any path takes."""
    fabric, (one, other) = shared_fabric, hosts[RED]
    set_policy(fabric, RED, avoid_zones=["west"])
    before = fabric.flows()
    for link in fabric.client.links.list():
        fabric.client.links.update(pb.Link(name=link.name, latency_us=1_550), ["latency_us"])

    def refusal(ask: Callable[[], object]) -> pliant.ApiError:
        with pytest.raises(pliant.ApiError) as refused:
            ask()
        return refused.value

    both = refusal(lambda: set_policy(fabric, RED, avoid_zones=["east", "west"]))
    assert both.reason == "PATH_POLICY_UNSATISFIABLE"
    assert "avoids zones east, west" in str(both)
    late = refusal(lambda: set_policy(fabric, RED, max_latency=Duration(nanos=2_000_000)))
    assert late.reason == "PATH_POLICY_UNSATISFIABLE"
    assert "takes at most 2000 us; the fastest takes 3100 us" in str(late)
    assert refusal(lambda: set_policy(fabric, RED, avoid_zones=["nowhere"])).reason == "INVALID_FIELD"
    fabric.wait_in_sync()
    assert fabric.flows() == before
    assert one.ping(other).lost == 0


def test_frames_are_dropped_rather_than_sent_through_the_zone(shared_fabric: Fabric, hosts: Hosts) -> None:
    """The permitted spine loses its link: red is cut off and says so, by itself and with pliantd back after a kill;
    blue and red's other way do not notice, and the link's return is enough.
    """
    fabric, (one, other) = shared_fabric, hosts[RED]
    set_policy(fabric, RED, avoid_zones=["west"])
    set_policy(fabric, BLUE)
    assert one.ping(other).lost == 0
    eventually(lambda: (explicit_flows(fabric, EAST), explicit_flows(fabric, WEST)) == (2, 0), 20, "one path each way")
    fabric.pliantd.kill()
    flows = fabric.flows()
    fabric.pliantd.start()
    fabric.wait_in_sync()
    assert fabric.flows() == flows, "a restart finds all as it left it"
    dropped = fabric.drops("red", "NO_PATH")
    fabric.rig.set_link(f"s{FAR}-s{EAST}-101", up=False)
    west = carried(fabric, WEST)
    assert burst(hosts[RED]) > 0
    assert carried(fabric, WEST) - west < BURST / 2
    eventually(lambda: "PATH_POLICY_VIOLATED" in reasons(fabric, RED), 10, "red says that its policy is violated")
    fabric.wait_in_sync()
    with crossing(fabric):
        assert burst(hosts[RED]) >= BURST / 2
    eventually(lambda: fabric.drops("red", "NO_PATH") > dropped, 10, "the drops are counted")
    message = next(c.message for c in fabric.client.networks.get(RED).conditions if c.reason == "PATH_POLICY_VIOLATED")
    assert "avoids zone west" in message and "dropped" in message
    blue_one, blue_other = hosts[BLUE]
    assert blue_one.ping(blue_other).lost == 0
    assert reasons(fabric, BLUE) == []
    fabric.rig.set_link(f"s{FAR}-s{EAST}-101", up=True)
    eventually(lambda: reasons(fabric, RED) == [], 30, "red has its path again")
    fabric.wait_in_sync()
    with crossing(fabric, EAST):
        assert burst(hosts[RED]) == 0


def test_explicit_paths_get_around_a_dead_link_while_pliantd_is_gone(ovs: Rig) -> None:
    """Of three spines two are permitted: one sends back what it cannot deliver, and that goes over the other."""
    with leaf_spine(ovs, leaves=(NEAR, FAR), spines=(EAST, WEST, THIRD)) as fabric:
        fabric.client.switches.update(pb.Switch(name=f"switches/{THIRD:016x}", zone="south"), ["zone"])
        network = fabric.create_network("red")
        pair = fabric.add_host("r1", NEAR, 1, 11), fabric.add_host("r3", FAR, 1, 13)
        fabric.create_ports(network, pair)
        set_policy(fabric, network, avoid_zones=["south"])
        fabric.wait_in_sync()
        assert explicit_flows(fabric, EAST) > 0
        assert explicit_flows(fabric, THIRD) == 0
        fabric.pliantd.kill()
        before = carried(fabric, THIRD)
        fabric.rig.set_link(f"s{FAR}-s{EAST}-101", up=False)
        eventually(lambda: burst(pair) == 0, 30, "frames get around the dead link")
        assert carried(fabric, THIRD) - before < BURST / 2
