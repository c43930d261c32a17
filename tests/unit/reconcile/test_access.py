"""Who is guaranteed what on the access port of a receiver, and which queues that makes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from immutables import Map

from controller.fabric.events import PortObserved
from controller.fabric.ports import EndPoint
from controller.intent.snapshot import Resource
from controller.model.bandwidth import NO_POLICY, BandwidthPolicy, TrafficClass
from controller.model.network import Network, Peering, Pipe, Subnet
from controller.model.queues import BEST_EFFORT, OfPair, OfSource, leaf_queue
from controller.model.tenancy import Tenant
from controller.reconcile.members import MAX_PORTS
from controller.reconcile.queueing import port_queues
from tests.sequences.states import port, tenant
from tests.support.admitted import Fabric, alone

RED, NET = "tenants/red", "tenants/red/networks/net"
HERE = EndPoint(12, 3)
"""where port d is"""


def sends(kbps: int, **how: object) -> BandwidthPolicy:
    return BandwidthPolicy(guarantee_out_kbps=kbps, **how)  # type: ignore[arg-type]


def fabric(*objects: Resource, ceiling_in_kbps: int = 10_000, policy: BandwidthPolicy = NO_POLICY) -> Fabric:
    """Port d, which receives, and these."""
    found = Fabric()
    receiver = port("red", "d", HERE, BandwidthPolicy(ceiling_in_kbps=ceiling_in_kbps))
    found.apply([*tenant("red", {}, policy).values(), receiver, *objects])
    found.settle()
    return found


def granted(found: Fabric, at: EndPoint = HERE) -> dict[str, int]:
    here = found.reconciler.view.grants.get(at, Map())
    return {name.rpartition("/")[2]: grant.guarantee_kbps for name, grant in here.items()}


def change(found: Fabric, *objects: Resource) -> None:
    found.apply(objects)
    found.settle()


def test_sender_keeps_its_guarantee_at_the_access_port_of_whom_it_sends_to() -> None:
    """By its MAC; the rate is the receiver's ceiling, and everybody else who sends there has the rest."""
    found = fabric(port("red", "a", (11, 3), sends(4_000)), port("red", "b", (11, 4)))
    assert granted(found) == {"a": 4_000, "d": 0}
    view = found.reconciler.view
    made = port_queues(view.world, HERE, view.grants[HERE])
    assert made is not None and made.is_ceiling and made.rate_kbps == 10_000
    rest, own = made.queues
    assert (own.number, own.whose) == (
        leaf_queue(found.intent.keys.queue_id(f"{NET}/ports/a")), (OfSource(0, 0x020000000061),))
    assert (own.guarantee_kbps, own.ceiling_kbps, own.parent) == (4_000, 10_000, 0)
    assert (rest.number, rest.guarantee_kbps) == (BEST_EFFORT, 6_000)


def test_senders_that_do_not_fit_have_the_same_share() -> None:
    """Of what is left after the pipes that end there; best effort has its 5 % in any case."""
    ports = port("red", "a", (11, 3), sends(4_000)), port("red", "b", (11, 4), sends(20_000)), port("red", "c", (13, 3))
    found = fabric(*ports)
    assert granted(found) == {"a": 2_814, "b": 6_685, "d": 0}
    change(found, Pipe(name=f"{RED}/pipes/p", a=f"{NET}/ports/c", b=f"{NET}/ports/d", bandwidth=sends(5_500)))
    assert granted(found) == {"p": 5_500, "a": 2_000, "b": 2_000, "d": 0}
    view = found.reconciler.view
    made = port_queues(view.world, HERE, view.grants[HERE])
    assert made is not None and made.is_ceiling
    assert {whose for queue in made.queues for whose in queue.whose} == {
        OfPair(0x020000000063, 0, 0), OfSource(0, 0x020000000061), OfSource(0, 0x020000000062)}


def test_nothing_is_done_where_frames_never_wait_or_nobody_contends() -> None:
    """No ceiling and a speed that nobody believes; nobody but one sender; too many of them."""
    senders = [port("red", name, (11, 3 + i), sends(1_000)) for i, name in enumerate("ab")]
    assert granted(fabric(*senders, ceiling_in_kbps=0)) == {}
    assert granted(fabric(senders[0])) == {}
    many = [replace(port("red", "a", (11, 3 + i), sends(1)), name=f"{NET}/ports/p{i}", addresses=(),
                    mac=f"02:00:00:00:01:{i:02x}") for i in range(MAX_PORTS)]
    found = fabric(*many)
    assert len(granted(found)) == MAX_PORTS + 1
    change(found, port("red", "b", (13, 3), sends(1)))
    assert granted(found) == {}


def test_peer_may_contend_where_there_is_no_third_port() -> None:
    """One sender and its receiver have nobody beside them until another network may reach them."""
    found, far = fabric(port("red", "a", (11, 3), sends(4_000))), f"{RED}/networks/far"
    assert granted(found) == {}
    peering = Peering(name=f"{RED}/peerings/p", a=NET, b=far)
    subnet = Subnet(name=f"{far}/subnets/sub", ipv4_cidr=IPv4Network("10.9.0.0/24"))
    change(found, Network(name=far), subnet, peering)
    found.check_grants()
    assert granted(found) == {"a": 4_000, "d": 0}
    found.apply((), [peering.name])
    found.settle()
    assert granted(found) == {}


def test_senders_that_are_too_many_for_queues_say_so_until_they_are_fewer() -> None:
    """On one switch, so that no link is crowded; whoever has no guarantee has nothing to say."""
    many = [replace(port("red", "a", (12, 5 + i), sends(1)), name=f"{NET}/ports/p{i}", addresses=(),
                    mac=f"02:00:00:00:01:{i:02x}") for i in range(MAX_PORTS)]
    found, concerned = fabric(*many), (NET, f"{NET}/ports/p0")
    assert not any("GUARANTEE_CROWDED" in found.reasons(name) for name in concerned)
    change(found, port("red", "b", (12, 4), sends(1)))
    assert all("GUARANTEE_CROWDED" in found.reasons(name) for name in (*concerned, f"{NET}/ports/b"))
    assert "GUARANTEE_CROWDED" not in found.reasons(f"{NET}/ports/d")
    found.check_grants()
    change(found, port("red", "b", (12, 4)))
    assert not any("GUARANTEE_CROWDED" in found.reasons(name) for name in (*concerned, f"{NET}/ports/b"))


def test_speed_that_is_true_is_a_rate_too() -> None:
    """A little less than that of the port, and never more than the ceiling, which may be above it."""
    found = fabric(port("red", "a", (11, 3), sends(4_000)), port("red", "b", (11, 4)), ceiling_in_kbps=0)
    at = found.reconciler.fabric.port(HERE)
    assert at is not None
    for speed_kbps, rate in ((1_000_000, 980_000), (10_000_000, None)):
        found.observe(PortObserved(dpid=12, port=replace(at, speed_kbps=speed_kbps)))
        found.settle()
        view = found.reconciler.view
        made = port_queues(view.world, HERE, view.grants.get(HERE, Map()))
        assert (made.rate_kbps if made else None) == rate
        assert made is None or not made.is_ceiling


@pytest.mark.parametrize("own", [NO_POLICY, BandwidthPolicy(guarantee_out_kbps=9_000, guarantee_in_kbps=9_000)])
def test_class_follows_the_tenant_if_that_has_a_guarantee(own: BandwidthPolicy) -> None:
    """Also when it comes to have one."""
    found = fabric(port("red", "a", (11, 3), sends(4_000, traffic_class=TrafficClass.BULK)), port("red", "b", (11, 4)))
    change(found, alone("red", own))
    grant = found.reconciler.view.grants[HERE][f"{NET}/ports/a"]
    assert grant.traffic_class is (TrafficClass.STANDARD if own != NO_POLICY else TrafficClass.BULK)


@pytest.mark.parametrize("whose", [RED, NET])
def test_port_keeps_its_meter_where_all_that_its_network_receives_has_a_ceiling(whose: str) -> None:
    """That is a meter too, before the queue: a flood to one port would take it from all.  Until it is gone."""
    found = fabric(port("red", "a", (11, 3), sends(4_000)), port("red", "b", (11, 4)))
    pipe = Pipe(name=f"{RED}/pipes/p", a=f"{NET}/ports/b", b=f"{NET}/ports/d", bandwidth=sends(1_000))
    change(found, pipe)
    assert granted(found) == {"a": 4_000, "p": 1_000, "d": 0}
    limited = found.intent.get(whose)
    assert isinstance(limited, Tenant | Network)
    change(found, replace(limited, bandwidth=BandwidthPolicy(ceiling_in_kbps=50_000)))
    assert granted(found) == {"p": 1_000}
    view = found.reconciler.view
    made = port_queues(view.world, HERE, view.grants[HERE])
    assert made is not None and not made.is_ceiling
    change(found, limited)
    assert granted(found) == {"a": 4_000, "p": 1_000, "d": 0}
    found.check_grants()


POLICIES = NO_POLICY, sends(3_000), sends(8_000), BandwidthPolicy(ceiling_in_kbps=10_000), BandwidthPolicy(
    guarantee_out_kbps=2_000, guarantee_in_kbps=1_000, ceiling_in_kbps=5_000, ceiling_out_kbps=5_000)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 6)), min_size=3, max_size=15))
def test_grants_follow_any_changes_as_if_worked_out_from_nothing(acts: list[tuple[int, int, int]]) -> None:
    """Ports come, go, move and change; also those that others send to, and what bounds them all."""
    found = fabric()
    for who, how, what in acts:
        name = "abcdef"[who]
        if what == 5:
            found.apply([alone("red", (NO_POLICY, BandwidthPolicy(ceiling_in_kbps=20_000))[how % 2])])
            found.settle()
        if what == 6 and f"{NET}/ports/{name}" in found.intent.ports:
            found.apply((), [f"{NET}/ports/{name}"])
        else:
            found.apply([port("red", name, (11 + what % 3, 5 + who), POLICIES[how])])
        found.settle()
        found.check_grants()
