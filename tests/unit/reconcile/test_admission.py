"""Guarantees meet links: what is admitted and refused, what becomes of it in a failure, and that no order of events
promises anything twice.  Spines 1 and 2, leaves 11 to 13, every link 100 Mbit/s.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from controller.fabric.declared import LinkSettings, SwitchSettings
from controller.fabric.events import LinkDeclared, PortObserved, SwitchDeclared
from controller.fabric.ports import EndPoint, SwitchPort
from controller.intent.snapshot import Resource
from controller.model.bandwidth import (
    BandwidthPolicy,
    Interval,
    OnFailure,
    Rates,
    Recurring,
    TrafficClass,
    Window,
)
from controller.model.errors import PliantError, ResourceExhausted
from controller.model.network import Network, PathPolicy, Pipe
from controller.model.status import State
from tests.sequences.states import far_name, far_pipe, far_port, network_name, peered, port, port_name, tenant
from tests.support.admitted import FREE_KBPS, NOW_S, Fabric, alone, both, everywhere


@pytest.fixture
def fabric() -> Fabric:
    return Fabric()


def test_guarantee_is_granted_on_every_link_it_may_cross(fabric: Fabric) -> None:
    """A pool of 40 over two trees is 20 on each of the twelve links, and nothing elsewhere."""
    fabric.apply(everywhere("red", both(40_000)))
    fabric.settle()
    assert set(fabric.promised().values()) == {20_000}
    assert len(fabric.promised()) == 2 * len(fabric.wires)
    fabric.apply([alone("red", BandwidthPolicy())])
    fabric.settle()
    assert not fabric.promised()


def test_refusal_names_links_what_is_left_and_what_would_fit(fabric: Fabric) -> None:
    """In words for people and in numbers for programs; and what would fit does, to the last kbit/s."""
    fabric.apply(everywhere("red", both(100_000)))
    with pytest.raises(ResourceExhausted) as caught:
        fabric.apply(everywhere("blue", both(100_000)))
    error = caught.value
    assert error.reason == "GUARANTEE_DOES_NOT_FIT"
    assert error.subject == "tenants/blue"
    assert error.message == (
        "what tenants/blue asks for does not fit: no 50 Mbit/s left on link 0000000000000001:1 -> 000000000000000b:1, "
        "only 45 Mbit/s, and too little on 11 more; 90 Mbit/s would fit")
    assert error.metadata == {
        "links": "links/0000000000000001-1,links/0000000000000001-2,links/0000000000000001-3", "link_count": "12",
        "needed_kbps": "50000,50000,50000", "left_kbps": "45000,45000,45000",
        "largest_guarantee_in_kbps": "90000", "largest_guarantee_out_kbps": "90000"}
    assert "tenants/blue" not in fabric.intent.tenants
    with pytest.raises(ResourceExhausted):
        fabric.apply(everywhere("blue", both(90_001)))
    fabric.apply(everywhere("blue", both(90_000)))
    fabric.settle()
    assert set(fabric.promised().values()) == {FREE_KBPS}


def test_changes_between_two_views_count_at_once(fabric: Fabric) -> None:
    """Nothing is promised twice because the reconcile thread has not looked yet; what is given back counts, too."""
    fabric.apply(everywhere("red", both(180_000)))
    with pytest.raises(ResourceExhausted):
        fabric.apply(everywhere("blue", both(20_000)))
    fabric.apply([alone("red", both(100_000))])
    fabric.apply(everywhere("blue", both(80_000)))
    with pytest.raises(ResourceExhausted):
        fabric.apply(everywhere("green", both(20_000)))
    fabric.apply((), ["tenants/red"])
    fabric.apply(everywhere("green", both(100_000)))
    fabric.settle()
    assert set(fabric.promised().values()) == {90_000}


def test_port_that_comes_to_a_full_link_is_refused_where_its_tenant_is_guaranteed(fabric: Fabric) -> None:
    """A pool reaches wherever its tenant has ports; so a port that takes it to a full switch does not fit."""
    fabric.apply(tenant("red", {"a": (11, 3), "b": (12, 3)}, both(100_000)).values())
    fabric.apply(tenant("blue", {"a": (12, 4), "b": (13, 4)}, both(80_000)).values())
    fabric.apply(tenant("green", {"a": (13, 7), "b": (11, 7)}, both(50_000)).values())
    with pytest.raises(ResourceExhausted, match="lower guarantees of tenants/red first, or choose another place"):
        fabric.apply([port("red", "c", (13, 5))])
    fabric.apply([port("red", "c", (12, 5)), port("green", "c", (13, 6))])


def test_pipe_counts_on_its_path_on_top_of_its_tenant(fabric: Fabric) -> None:
    """And comes out of the tenant's pool."""
    fabric.apply(everywhere("red", both(60_000)))
    pipe = Pipe(name="tenants/red/pipes/p", a=port_name("red", "a"), b=port_name("red", "b"),
                bandwidth=BandwidthPolicy(guarantee_out_kbps=20_000))
    fabric.apply([pipe])
    fabric.settle()
    grants = fabric.reconciler.view.grants
    assert {name: each.guarantee_kbps for name, each in grants[EndPoint(11, 1)].items()} == {
        "tenants/red": 20_000, "tenants/red/pipes/p": 10_000}
    assert {name: each.guarantee_kbps for name, each in grants[EndPoint(12, 1)].items()} == {"tenants/red": 20_000}
    assert {name: each.guarantee_kbps for name, each in grants[EndPoint(12, 3)].items()} == {
        "tenants/red/pipes/p": 20_000}
    fabric.link_lost(fabric.wires[0])
    fabric.settle()
    assert fabric.reconciler.view.grants[EndPoint(11, 2)][pipe.name].guarantee_kbps == 20_000
    fabric.link_seen(fabric.wires[0])
    fabric.settle()
    with pytest.raises(PliantError):
        fabric.apply([Pipe(name=pipe.name, a=pipe.a, b=pipe.b, bandwidth=both(300_000))])


def test_pipe_between_networks_counts_on_every_way_from_one_to_the_other(fabric: Fabric) -> None:
    """As a pool for whichever ports use it: "net" is on leaf 11, "far" on 12 and 13, over two trees each."""
    pipe = far_pipe("red", BandwidthPolicy(guarantee_out_kbps=20_000, guarantee_in_kbps=8_000))
    fabric.apply([*tenant("red", {"a": (11, 3)}).values(), *peered("red", {"b": (12, 3), "c": (13, 3)}).values(), pipe])
    fabric.settle()
    out, back = 10_000, 4_000
    assert fabric.promised() == {
        EndPoint(11, 1): out, EndPoint(11, 2): out, EndPoint(1, 2): out, EndPoint(1, 3): out, EndPoint(2, 2): out,
        EndPoint(2, 3): out, EndPoint(12, 1): back, EndPoint(12, 2): back, EndPoint(13, 1): back,
        EndPoint(13, 2): back, EndPoint(1, 1): back, EndPoint(2, 1): back}
    assert {*fabric.reconciler.view.grants[EndPoint(11, 1)]} == {pipe.name}
    fabric.apply([], [f"{far_name('red')}/ports/c"])
    fabric.settle()
    assert fabric.promised().keys().isdisjoint({EndPoint(13, 1), EndPoint(1, 3)})
    fabric.apply([far_pipe("red", BandwidthPolicy())])
    fabric.settle()
    assert not fabric.promised()


def test_ceiling_of_a_pipe_one_way_is_none_of_the_other_way(fabric: Fabric) -> None:
    """The queues of a pipe hold both its ways: they lend up to both ceilings together, and without end if one has none.
    """
    fabric.apply([*tenant("red", {"a": (11, 3)}).values(), *peered("red", {"b": (12, 3)}).values()])
    for ceilings, lent in (((4_000, 30_000), 34_000), ((4_000, 0), 0), ((0, 30_000), 0), ((0, 0), 0)):
        rates = dict(zip(("ceiling_in_kbps", "ceiling_out_kbps"), ceilings, strict=True))
        fabric.apply([far_pipe("red", BandwidthPolicy(guarantee_out_kbps=10_000, **rates))])
        fabric.settle()
        (grant,) = fabric.reconciler.view.grants[EndPoint(11, 1)].values()
        assert grant.ceiling_kbps == lent, ceilings


def test_pool_of_a_tenant_is_for_what_its_networks_send_to_each_other_too(fabric: Fabric) -> None:
    """With the peering, and no longer without; as one pool, not as two."""
    fabric.apply([*tenant("red", {"a": (11, 3)}, both(40_000)).values(), *peered("red", {"b": (12, 3)}).values()])
    fabric.settle()
    between = {EndPoint(11, 1), EndPoint(11, 2), EndPoint(12, 1), EndPoint(12, 2), EndPoint(1, 1), EndPoint(1, 2),
               EndPoint(2, 1), EndPoint(2, 2)}
    assert fabric.promised() == dict.fromkeys(between, 20_000)
    fabric.apply([port("red", "c", (12, 4))])
    fabric.settle()
    assert fabric.promised() == dict.fromkeys(between, 20_000)
    fabric.apply([], [port_name("red", "c"), "tenants/red/peerings/far"])
    fabric.settle()
    assert not fabric.promised()
    fabric.apply([obj for obj in peered("red", {}).values() if "/peerings/" in obj.name])
    fabric.link_lost(fabric.wires[0])
    fabric.settle()
    assert fabric.promised()[EndPoint(11, 2)] == 40_000


def test_pipe_between_networks_that_does_not_fit_says_what_would(fabric: Fabric) -> None:
    """Also when a port takes one of them to a switch that is full."""
    fabric.apply([*tenant("red", {"a": (11, 3)}).values(), *peered("red", {"b": (12, 3)}).values()])
    fabric.apply(everywhere("blue", both(100_000)))
    with pytest.raises(ResourceExhausted, match="90 Mbit/s would fit") as caught:
        fabric.apply([far_pipe("red", BandwidthPolicy(guarantee_out_kbps=100_000))])
    assert caught.value.metadata["largest_guarantee_out_kbps"] == "90000"
    fabric.apply([far_pipe("red", BandwidthPolicy(guarantee_out_kbps=90_000))])
    fabric.apply(tenant("green", {"a": (13, 7), "b": (13, 8)}, both(50_000)).values())
    fabric.settle()
    assert not fabric.reasons("tenants/red/pipes/far")
    with pytest.raises(ResourceExhausted):
        fabric.apply([*tenant("green", {"c": (12, 7)}, both(50_000)).values(), far_port("red", "c", (13, 3))])


def test_pipe_between_networks_comes_out_of_the_pools_of_both(fabric: Fabric) -> None:
    """And of the tenant's, once as what the one sends and once as what the other does."""
    fabric.apply([*tenant("red", {"a": (11, 3), "b": (12, 4)}, both(30_000)).values(),
                  *peered("red", {"c": (12, 3)}).values()])
    fabric.apply([Network(name=far_name("red"), bandwidth=BandwidthPolicy(guarantee_in_kbps=15_000))])
    with pytest.raises(PliantError) as caught:
        fabric.apply([far_pipe("red", BandwidthPolicy(guarantee_out_kbps=16_000))])
    assert (caught.value.reason, caught.value.metadata["parent"]) == ("GUARANTEE_OVER_PARENT", far_name("red"))
    fabric.apply([far_pipe("red", BandwidthPolicy(guarantee_out_kbps=10_000))])
    fabric.settle()
    grants = fabric.reconciler.view.grants
    # "far" has 15 of the 30 that red receives, which includes the pipe's 10; 15 are left for whoever wants them.
    assert {name: each.guarantee_kbps for name, each in grants[EndPoint(11, 1)].items()} == {
        "tenants/red": 7_500, "tenants/red/pipes/far": 5_000}


def test_critical_pipe_between_networks_survives_any_link(fabric: Fabric) -> None:
    """What backup labels would load other links with is kept free; without another way the pipe says so."""
    fabric.apply([*tenant("red", {"a": (11, 3)}).values(), *peered("red", {"b": (12, 3)}).values()])
    fabric.apply([far_pipe("red", BandwidthPolicy(guarantee_out_kbps=20_000, traffic_class=TrafficClass.CRITICAL))])
    fabric.settle()
    assert fabric.promised()[EndPoint(11, 1)] == 20_000
    fabric.link_lost(fabric.wires[0])
    fabric.settle()
    assert "GUARANTEE_UNPROTECTED" in fabric.reasons("tenants/red/pipes/far")
    fabric.link_lost(fabric.wires[1])
    fabric.settle()
    assert "GUARANTEE_DEGRADED" in fabric.reasons("tenants/red/pipes/far")


def test_access_port_cannot_guarantee_more_than_its_speed(fabric: Fabric) -> None:
    """Where it says its speed; a little is left for its queues, and five percent for best effort."""
    fabric.apply(tenant("red", {}).values())
    slow = SwitchPort(port_no=3, name="s11-3", mac="0e:00:00:00:0b:03", up=True, speed_kbps=10_000)
    fabric.observe(PortObserved(dpid=11, port=slow))
    fabric.settle()
    with pytest.raises(ResourceExhausted, match=r"access port 000000000000000b:3.*9\.31 Mbit/s would fit"):
        fabric.apply([port("red", "a", (11, 3), both(10_000))])
    fabric.apply([port("red", "a", (11, 3), both(9_310)), port("red", "b", (11, 4), both(9_000_000))])


def test_windows_that_never_meet_share_a_link(fabric: Fabric) -> None:
    """Two guarantees of the whole link, one by day and one by night; with an hour in common they do not fit."""
    def at(hour: int, hours: int) -> BandwidthPolicy:
        when = Recurring(cron=f"0 {hour} * * *", duration_s=hours * 3600, time_zone="Europe/Berlin")
        rates = Rates(guarantee_in_kbps=150_000, guarantee_out_kbps=150_000)
        return both(10_000, schedule=(Window(when=when, rates=rates),))

    fabric.apply(everywhere("red", at(8, 10)))
    fabric.settle()
    with pytest.raises(ResourceExhausted, match="40 Mbit/s would fit"):
        fabric.apply(everywhere("blue", at(17, 10)))
    fabric.apply(everywhere("blue", at(18, 10)))
    for now_s, promised in ((NOW_S, 80_000), (NOW_S - 4 * 3600, 10_000), (NOW_S + 12 * 3600, 80_000)):  # 9, 5, 21 h
        fabric.pass_time(now_s)
        fabric.settle()
        assert set(fabric.promised().values()) == {promised}
    once = Window(when=Interval(start_s=NOW_S + 90 * 86_400, end_s=NOW_S + 91 * 86_400),
                  rates=Rates(guarantee_out_kbps=60_000, guarantee_in_kbps=60_000))
    with pytest.raises(ResourceExhausted):
        fabric.apply(everywhere("green", both(1_000, schedule=(once,))))


def test_window_that_asks_for_more_than_is_left_is_refused(fabric: Fabric) -> None:
    """A schedule that is added to a guarantee that holds already is measured as what it adds."""
    when = Recurring(cron="0 20 * * *", duration_s=3600, time_zone="Europe/Rome")

    def at_night(kbps: int) -> BandwidthPolicy:
        rates = Rates(guarantee_in_kbps=kbps, guarantee_out_kbps=kbps)
        return both(50_000, schedule=(Window(when=when, rates=rates),))

    fabric.apply([*everywhere("red", both(100_000)), *everywhere("blue", both(50_000))])
    fabric.settle()
    with pytest.raises(ResourceExhausted, match="only 45 Mbit/s"):
        fabric.apply([alone("blue", at_night(150_000))])
    fabric.apply([alone("blue", at_night(90_000))])
    with pytest.raises(ResourceExhausted):
        fabric.apply([alone("blue", at_night(91_000))])
    fabric.apply([alone("blue", at_night(80_000))])


@pytest.mark.parametrize(("on_failure", "kept"), [
    (OnFailure.DEGRADE_FAIR, {"tenants/red": 47_500, "tenants/blue": 47_500}),
    (OnFailure.KEEP, {"tenants/red": 90_000, "tenants/blue": 5_000}),
    (OnFailure.SHED, {"tenants/red": 5_000, "tenants/blue": 90_000}),
])
def test_failure_degrades_as_the_policy_says_and_recovers_by_itself(
    fabric: Fabric, on_failure: OnFailure, kept: dict[str, int],
) -> None:
    """With one of two spines gone the links of the other cannot carry both; who gives way, and who is told."""
    fabric.apply(everywhere("red", both(90_000, on_failure=on_failure)))
    fabric.apply(everywhere("blue", both(90_000)))
    fabric.settle()
    before = fabric.promised()
    assert not fabric.reconciler.view.degraded
    spine = [wire for wire in fabric.wires if wire[1].dpid == 1]
    for wire in spine:
        fabric.link_lost(wire)
    fabric.settle()
    grants = fabric.reconciler.view.grants
    assert {name: each.guarantee_kbps for name, each in grants[EndPoint(11, 2)].items()} == kept
    losers = {name for name, kbps in kept.items() if kbps < 90_000}
    assert set(fabric.reconciler.view.degraded) == losers
    for name in losers:
        assert fabric.reconciler.view.degraded[name].share == pytest.approx(kept[name] / 90_000)
        for each in (name, f"{name}/networks/net", f"{name}/networks/net/ports/a"):
            status = fabric.reconciler.view.status(each)
            assert "GUARANTEE_DEGRADED" in [condition.reason for condition in status.conditions]
            assert status.state is State.DEGRADED
    for wire in spine:
        fabric.link_seen(wire)
    fabric.settle()
    assert (fabric.promised(), dict(fabric.reconciler.view.degraded)) == (before, {})
    assert "GUARANTEE_DEGRADED" not in fabric.reasons("tenants/blue")


def test_nobody_takes_precedence_over_others_in_a_failure_unless_that_fits(fabric: Fabric) -> None:
    """CRITICAL comes before all others; so whoever becomes it while a spine is gone has to fit beside them."""
    fabric.apply(everywhere("red", both(90_000, on_failure=OnFailure.KEEP)))
    fabric.apply(everywhere("blue", both(90_000)))
    for wire in [wire for wire in fabric.wires if wire[1].dpid == 1]:
        fabric.link_lost(wire)
    fabric.settle()
    assert set(fabric.reconciler.view.degraded) == {"tenants/blue"}
    with pytest.raises(ResourceExhausted, match=r"no 90 Mbit/s left .* only 5 Mbit/s.*; 5 Mbit/s would fit"):
        fabric.apply([alone("blue", both(90_000, traffic_class=TrafficClass.CRITICAL))])
    fabric.apply([alone("blue", both(5_000, traffic_class=TrafficClass.CRITICAL))])
    fabric.settle()
    assert not fabric.reconciler.view.degraded


def alarms_of(fabric: Fabric) -> list[str]:
    """What is logged from now on."""
    alarms: list[str] = []
    granting = fabric.reconciler.engine.granting
    work = granting.work

    def listen(world: object) -> object:
        regrant = work(world)  # type: ignore[arg-type]
        alarms.extend(alarm.message for alarm in regrant.alarms)
        return regrant

    granting.work = listen  # type: ignore[method-assign, assignment]
    return alarms


def test_guarantee_without_a_path_is_degraded_to_nothing_and_recovers_by_itself(fabric: Fabric) -> None:
    """Leaf 13 is cut off: whoever is guaranteed something to or from it is told, once; nobody else is."""
    alarms = alarms_of(fabric)
    pipes = [Pipe(name=f"tenants/red/pipes/a{end}", a=port_name("red", "a"), b=port_name("red", end),
                  bandwidth=BandwidthPolicy(guarantee_out_kbps=5_000)) for end in "bc"]
    fabric.apply([*everywhere("red", both(40_000)), *pipes])
    fabric.apply([*everywhere("blue", BandwidthPolicy()), *everywhere("green", BandwidthPolicy())])
    fabric.apply([port("blue", "a", (11, 4), both(1_000))])
    fabric.settle()
    before = fabric.promised()
    assert not fabric.reconciler.view.degraded
    cut = [wire for wire in fabric.wires if wire[0].dpid == 13]
    for wire in cut:
        fabric.link_lost(wire)
    fabric.settle()
    told = {obj.name for obj in fabric.intent.objects() if "GUARANTEE_DEGRADED" in fabric.reasons(obj.name)}
    assert told == {
        "tenants/red", "tenants/red/pipes/ac", network_name("red"), *(port_name("red", each) for each in "abc"),
        "tenants/blue", network_name("blue"), *(port_name("blue", each) for each in "ac")}
    assert {fabric.reconciler.view.status(name).state for name in told} == {State.DEGRADED}
    text = next(c.message for c in fabric.reconciler.view.status("tenants/red/pipes/ac").conditions
                if c.reason == "GUARANTEE_DEGRADED")
    assert text == ("tenants/red/pipes/ac keeps 0% of its guarantee: there is no path from 000000000000000b to "
                    "000000000000000d; it recovers by itself when the fabric does")
    assert sorted(alarm.split()[0] for alarm in alarms) == ["tenants/blue", "tenants/red", "tenants/red/pipes/ac"]
    assert all("keeps 0% of its guarantee: there is no path" in alarm for alarm in alarms)
    fabric.check_grants()
    for wire in cut:
        fabric.link_seen(wire)
    fabric.settle()
    assert (fabric.promised(), dict(fabric.reconciler.view.degraded)) == (before, {})
    assert not any("GUARANTEE_DEGRADED" in fabric.reasons(obj.name) for obj in fabric.intent.objects())


def test_tenant_is_told_when_its_guarantee_does_not_reach_from_peer_to_peer(fabric: Fabric) -> None:
    """Each of two peers is on one switch, so all that its guarantee is for goes between them."""
    pool = BandwidthPolicy(guarantee_out_kbps=20_000, guarantee_in_kbps=20_000, traffic_class=TrafficClass.CRITICAL)
    fabric.apply([*tenant("red", {"a": (11, 3)}, pool).values(), *peered("red", {"b": (12, 3)}).values()])
    fabric.settle()
    assert not fabric.reasons("tenants/red")
    wires = [wire for wire in fabric.wires if wire[0].dpid == 12]
    for wire, reason in zip(wires, ("GUARANTEE_UNPROTECTED", "GUARANTEE_DEGRADED"), strict=True):
        fabric.link_lost(wire)
        fabric.settle()
        assert reason in fabric.reasons("tenants/red")
    for port_of_red in (port_name("red", "a"), f"{far_name('red')}/ports/b"):
        assert "GUARANTEE_DEGRADED" in fabric.reasons(port_of_red)
    fabric.apply([], ["tenants/red/peerings/far"])
    fabric.settle()
    assert not fabric.reasons("tenants/red")


def test_guarantee_that_is_nowhere_yet_is_not_degraded(fabric: Fabric) -> None:
    """A port on a switch that nobody knows, or that is not connected to it, is pending, and its tenant as before."""
    fabric.apply([*everywhere("red", both(40_000)), port("red", "d", (77, 3))])
    fabric.settle()
    assert fabric.reconciler.view.status("tenants/red").state is State.ACTIVE
    for wire in [wire for wire in fabric.wires if wire[0].dpid == 13]:
        fabric.link_lost(wire)
    fabric.apply([port("red", "c", None)])
    fabric.settle()
    assert not fabric.reconciler.view.degraded
    fabric.apply([port("red", "c", (13, 3))])
    fabric.settle()
    assert fabric.reconciler.view.degraded["tenants/red"].share == 0
    fabric.check_grants()


def test_degradation_is_reported_once(fabric: Fabric) -> None:
    """One alarm for each owner when it begins to get less."""
    alarms = alarms_of(fabric)
    fabric.apply([*everywhere("red", both(90_000)), *everywhere("blue", both(90_000))])
    fabric.settle()
    for wire in [wire for wire in fabric.wires if wire[1].dpid == 1]:
        fabric.link_lost(wire)
        fabric.settle()
    assert len(alarms) == 2
    assert all("keeps" in alarm and "of its guarantee" in alarm for alarm in alarms)


def test_critical_guarantee_is_reserved_for_any_single_failure(fabric: Fabric) -> None:
    """What each spine would have to carry alone is kept free on both, and refused where it is not there."""
    with pytest.raises(ResourceExhausted, match="95 Mbit/s would fit"):
        fabric.apply(everywhere("red", both(100_000, traffic_class=TrafficClass.CRITICAL)))
    fabric.apply(everywhere("red", both(90_000, traffic_class=TrafficClass.CRITICAL)))
    fabric.settle()
    assert max(fabric.promised().values()) == 90_000
    assert fabric.reasons("tenants/red") == []
    fabric.apply(everywhere("blue", both(10_000)))
    fabric.link_lost(fabric.wires[0])
    fabric.settle()
    assert fabric.promised()[EndPoint(11, 2)] == FREE_KBPS
    assert set(fabric.reconciler.view.degraded) == {"tenants/blue"}
    assert "GUARANTEE_UNPROTECTED" in fabric.reasons("tenants/red/networks/net")


def test_operator_cannot_take_away_what_is_guaranteed_unless_forced(fabric: Fabric) -> None:
    """Less capacity, or a drained spine, by declaration: refused, with whom it would hit; what happens is not asked."""
    fabric.apply(everywhere("red", both(160_000)))
    fabric.settle()
    link, spine = fabric.wires[0][0], fabric.wires[0][1].dpid
    for event in (LinkDeclared(src=link, settings=LinkSettings(capacity_kbps=50_000)),
                  SwitchDeclared(dpid=spine, settings=SwitchSettings(drained=True))):
        refusal = fabric.reconciler.refusal([event])
        assert refusal is not None
        assert refusal.reason == "WOULD_BREAK_GUARANTEES"
        assert refusal.metadata["owners"] == "tenants/red"
        assert "tenants/red would get less" in refusal.message
    assert fabric.reconciler.refusal([LinkDeclared(src=link, settings=LinkSettings(capacity_kbps=90_000))]) is None
    fabric.observe(LinkDeclared(src=link, settings=LinkSettings(capacity_kbps=50_000)))
    fabric.settle()
    assert fabric.promised()[link] == 47_500
    assert "tenants/red" in fabric.reconciler.view.degraded
    fabric.apply([alone("red", both(100_000))])  # less is never refused
    with pytest.raises(ResourceExhausted):
        fabric.apply([alone("red", both(100_001))])


def test_path_policy_counts_on_the_paths_it_leaves(fabric: Fabric) -> None:
    """A network that keeps to one tree needs all of its guarantee there."""
    fabric.apply(everywhere("red", both(60_000)))
    one_tree = Network(name=network_name("red"), path_policy=PathPolicy(trees=(0,)))
    fabric.apply([one_tree])
    fabric.settle()
    assert set(fabric.promised().values()) == {60_000}
    with pytest.raises(ResourceExhausted, match="95 Mbit/s would fit"):
        fabric.apply([alone("red", both(100_000))])
    fabric.apply([replace(one_tree, path_policy=PathPolicy())])
    fabric.settle()
    assert set(fabric.promised().values()) == {30_000}


def test_whoever_has_no_guarantee_costs_admission_nothing(fabric: Fabric) -> None:
    """No trial, no path, no memory of the change."""
    fabric.apply(everywhere("red", BandwidthPolicy(ceiling_in_kbps=5_000)))
    for index in range(20):
        fabric.apply([port("red", chr(100 + index), (11, 20 + index))])
    assert fabric.admission._running is None
    assert not fabric.admission._recent


def test_thousand_policy_changes_cost_what_they_change(fabric: Fabric) -> None:
    """One after the other in a fabric where many have guarantees: each is worked out alone, not all of them again."""
    def objects() -> Iterator[Resource]:
        for number in range(60):
            name = f"t{number}"
            yield from tenant(name, {}).values()
            yield port(name, "a", (11 + number % 3, 20 + number), both(100))

    fabric.gates = ()
    fabric.apply(objects())
    fabric.gates = (fabric.admission,)
    fabric.settle()
    started_s = time.process_time()
    for turn in range(100):
        number = turn % 60
        fabric.apply([port(f"t{number}", "a", (11 + number % 3, 20 + number), both(101 + turn))])
    assert time.process_time() - started_s < 5.0
