"""What an object gets of its bandwidth, from what was measured: allotted, delivered, held back by what, and spare."""

from __future__ import annotations

import itertools
from dataclasses import replace

from immutables import Map

from controller.fabric.declared import LinkSettings
from controller.fabric.events import LinkDeclared
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.plan import Planner
from controller.fabric.ports import EndPoint
from controller.model.bandwidth import BandwidthPolicy, Drops
from controller.model.usage import Quote
from controller.qos.accounts import Accounts, SourceKey
from controller.qos.counters import NS_PER_S, Reading
from controller.qos.sums import Cause, Entry, Way
from controller.reconcile.assess import Assessor, Statuses
from controller.reconcile.bandwidth import TURN_S, Bandwidth
from controller.reconcile.grants import Degraded, Granted
from controller.reconcile.owners import link_name
from controller.reconcile.status import View
from controller.reconcile.telemetry import Telemetry
from tests.sequences.simulation import MemoryCache
from tests.support.worlds import Lab

RED, NET = "tenants/red", "tenants/red/networks/net"
A, B = f"{NET}/ports/a", f"{NET}/ports/b"
LINK_KBPS = 100_000


class Site:
    """Ports a on leaf 11 and b on leaf 12 of tenant red, over two spines; all links declared."""

    def __init__(self, *, tenant: BandwidthPolicy | None = None, port: BandwidthPolicy | None = None) -> None:
        lab = Lab.leaf_spine(leaves=(11, 12))
        lab.network("red")
        lab.update(replace(lab.intent.tenants[RED], bandwidth=tenant or BandwidthPolicy()))
        lab.port("red", "a", at=(11, 3), bandwidth=port or BandwidthPolicy())
        lab.port("red", "b", at=(12, 3))
        for src in list(lab.fabric.links):
            lab.observe(LinkDeclared(src=src, settings=LinkSettings(capacity_kbps=LINK_KBPS)))
        self.lab, self.accounts, self.count = lab, Accounts(), 0

    def view(self, granted: Granted | None = None) -> View:
        planner = Planner(Topology.of(self.lab.fabric))
        plans = Map({edge: planner.toward(edge) for edge in (11, 12)})
        return View(world=self.lab.world, plans=plans, granted=granted or Granted())

    def rate(self, name: str, way: Way, kbps: int, cause: Cause | None = None) -> None:
        """One second of so much, as if a counter of it told it."""
        self.count += 1
        obj = self.lab.intent.get(name)
        entry = Entry(name, obj.meta.uid if obj else "", way, cause, cause is not None and way == "out")
        key = SourceKey(11, "test", self.count)
        self.accounts.look(key, Reading(0, 0, 0), (entry,), 100.0)
        self.accounts.look(key, Reading(kbps * 125, kbps, NS_PER_S), (entry,), 101.0)

    def sends(self, kbps: int) -> None:
        """Port a to port b."""
        for name in (A, NET, RED):
            self.rate(name, "out", kbps)
        for name in (B, NET, RED):
            self.rate(name, "in", kbps)

    def statuses(self, granted: Granted | None = None) -> Statuses:
        return Assessor().assess(self.view(granted), self.accounts, 101.0)


def test_nothing_holds_back_who_sends_little() -> None:
    """It may have what its links have left; they are named by nobody."""
    site = Site()
    site.sends(5_000)
    site.rate(link_name(EndPoint(11, 1)), "out", 30_000)
    statuses = site.statuses()
    sent = statuses[A].outward
    assert (sent.bottleneck, sent.delivered_kbps, sent.demand_kbps) == ("", 5_000, 6_000)
    assert sent.allotted_kbps > 100_000, "two uplinks, half of it over each"
    assert sent.spare_kbps == LINK_KBPS - 30_000
    assert statuses[A].since_s == 101.0
    assert statuses[B].inward.delivered_kbps == statuses[RED].inward.delivered_kbps == 5_000
    assert statuses[B].outward.demand_kbps > 0 == statuses[B].outward.delivered_kbps


def test_tenant_ceiling_is_named_as_what_holds_back() -> None:
    """By what it drops; the port shows it, too, and is taken to get no more than its part."""
    site = Site(tenant=BandwidthPolicy(ceiling_out_kbps=10_000))
    site.sends(15_000)
    site.rate(RED, "out", 5_000, "tenant")
    statuses = site.statuses()
    for name in (A, NET, RED):
        sent = statuses[name].outward
        assert sent.bottleneck == RED
        assert sent.delivered_kbps <= 10_000 and 9_000 <= sent.allotted_kbps <= 10_000
        assert sent.spare_kbps == LINK_KBPS
    assert statuses[RED].outward.dropped == Drops(by_tenant=5_000 * 125)
    assert statuses[RED].outward.ceiling_kbps == 10_000


def test_silent_port_may_have_its_guarantee_though_all_of_it_is_lent() -> None:
    """Another of its network fills its links; it is allotted what is its own as soon as it wants it, after failures."""
    site = Site(port=BandwidthPolicy(guarantee_out_kbps=40_000))
    site.lab.port("red", "c", at=(11, 4))
    site.rate(f"{NET}/ports/c", "out", 2 * LINK_KBPS)
    site.rate(B, "in", 2 * LINK_KBPS)
    assert site.statuses()[A].outward.allotted_kbps == 40_000
    half = Degraded(share=0.5, links=(), why="a link is down")
    assert site.statuses(Granted(degraded=Map({A: half})))[A].outward.allotted_kbps == 20_000


def test_port_ceiling_is_named_as_what_holds_back() -> None:
    """The port's own name."""
    site = Site(port=BandwidthPolicy(ceiling_out_kbps=2_000))
    site.sends(3_000)
    site.rate(A, "out", 1_000, "port")
    sent = site.statuses()[A].outward
    assert (sent.bottleneck, sent.allotted_kbps, sent.demand_kbps, sent.delivered_kbps) == (A, 2_000, 2_000, 2_000)


def test_no_more_is_delivered_than_the_ceiling_that_holds_it_back() -> None:
    """Though its meter was changed during the look, and forgot what it had dropped before."""
    site = Site(tenant=BandwidthPolicy(ceiling_out_kbps=10_000))
    site.sends(35_000)
    site.rate(RED, "out", 1_000, "tenant")
    sent = site.statuses()[RED].outward
    assert (sent.bottleneck, sent.delivered_kbps) == (RED, 10_000)


def test_full_link_is_named_as_what_holds_back() -> None:
    """Of those that its frames cross."""
    site = Site()
    site.sends(95_000)
    for port_no in (1, 2):
        site.rate(link_name(EndPoint(11, port_no)), "out", 98_000)
    sent = site.statuses()[A].outward
    assert sent.bottleneck in {link_name(EndPoint(11, 1)), link_name(EndPoint(11, 2)), ""}
    assert sent.spare_kbps == 2_000


def test_pipe_without_a_ceiling_is_held_back_by_the_link_whose_queues_drop() -> None:
    """What gets through is allotted, and its guarantee at least; nothing is said of a ceiling that there is not."""
    site = Site()
    pipe = site.lab.pipe("red", "p", "a", "b", BandwidthPolicy(guarantee_out_kbps=10_000)).name
    site.rate(pipe, "out", 40_000)
    site.rate(pipe, "out", 8_000, "link")
    site.rate(link_name(EndPoint(11, 1)), "out", 60_000)
    site.rate(link_name(EndPoint(11, 2)), "out", 99_000)
    sent = site.statuses()[pipe].outward
    assert (sent.bottleneck, sent.spare_kbps) == (link_name(EndPoint(11, 2)), 1_000)
    assert sent.allotted_kbps == sent.delivered_kbps == 32_000
    assert sent.fulfilment == 1


def test_pipe_may_have_what_its_links_have_left() -> None:
    """Beside what it has, or its guarantee if that is more; also the way in which it is guaranteed nothing."""
    site = Site()
    pipe = site.lab.pipe("red", "p", "a", "b", BandwidthPolicy(guarantee_out_kbps=30_000)).name
    site.rate(pipe, "out", 5_000)
    for port_no in (1, 2):
        site.rate(link_name(EndPoint(11, port_no)), "out", 90_000)
    status = site.statuses()[pipe]
    assert (status.outward.bottleneck, status.outward.allotted_kbps) == ("", 30_000), "5 and twice 10 are less"
    assert (status.inward.allotted_kbps, status.inward.spare_kbps) == (2 * LINK_KBPS, LINK_KBPS)


def test_own_ceiling_and_the_receivers_hold_a_pipe_back() -> None:
    """Its own by what its meter drops; the receiver's by what its queue drops though no link is full."""
    site = Site()
    pipe = site.lab.pipe("red", "p", "a", "b", BandwidthPolicy(ceiling_out_kbps=4_000))
    site.rate(pipe.name, "out", 5_000)
    site.rate(pipe.name, "out", 1_000, "pipe")
    sent = site.statuses()[pipe.name].outward
    assert (sent.bottleneck, sent.allotted_kbps, sent.demand_kbps) == (pipe.name, 4_000, 4_000)
    site = Site()
    site.lab.update(replace(site.lab.intent.ports[B], bandwidth=BandwidthPolicy(ceiling_in_kbps=4_000)))
    site.lab.pipe("red", "p", "a", "b", BandwidthPolicy(guarantee_out_kbps=3_000))
    site.rate(pipe.name, "out", 5_000)
    site.rate(pipe.name, "out", 1_000, "link")
    assert site.statuses()[pipe.name].outward.bottleneck == B


def test_link_that_is_full_is_named_and_not_one_that_frames_might_have_taken() -> None:
    """All that two ports send goes over one of two uplinks, as it may with few connections; half of it is taken to go
    over each, and so both are taken to be full.
    """
    for port_no in (1, 2):
        site, full = Site(), link_name(EndPoint(11, port_no))
        site.lab.port("red", "c", at=(11, 4))
        site.sends(50_000)
        site.rate(f"{NET}/ports/c", "out", 48_000)
        site.rate(full, "out", 98_000)
        assert site.statuses()[A].outward.bottleneck == full


def test_silent_port_beside_a_full_link_is_held_back_by_nobody() -> None:
    """What it could not have now, if it wanted it, is no limit that it has come to."""
    for offered, is_held_back in ((0, False), (9, True)):
        site = Site()
        site.lab.port("red", "c", at=(11, 4), bandwidth=BandwidthPolicy(guarantee_out_kbps=90_000))
        site.rate(f"{NET}/ports/c", "out", 2 * LINK_KBPS)
        site.rate(B, "in", 2 * LINK_KBPS)
        for port_no in (1, 2):
            site.rate(link_name(EndPoint(11, port_no)), "out", LINK_KBPS)
        site.rate(A, "out", offered)
        assert (site.statuses()[A].outward.bottleneck != "") == is_held_back


def test_links_toward_peers_count_as_those_inside_the_network() -> None:
    """A port whose network is nowhere else sends to a peer's ports: what is left is what is left on these links."""
    site, far = Site(), f"{RED}/networks/far"
    site.lab.delete(B)
    site.lab.network("red", "far", ipv4="10.1.0.0/24", ipv6="fd01::/64")
    site.lab.port(far, "c", at=(12, 4))
    site.lab.join("red", "x", BandwidthPolicy())
    site.rate(A, "out", 95_000)
    for port_no in (1, 2):
        site.rate(link_name(EndPoint(11, port_no)), "out", 98_000)
    statuses = site.statuses()
    assert statuses[A].outward.spare_kbps == 2_000
    assert statuses[f"{far}/ports/c"].inward.spare_kbps == 2_000


def test_pipe_between_networks_is_held_back_by_its_ceiling_or_by_a_full_link() -> None:
    """What its queues drop is no ceiling's: the fullest of the links between the two networks is named."""
    site = Site()
    site.lab.network("red", "far", ipv4="10.1.0.0/24", ipv6="fd01::/64")
    site.lab.port(f"{RED}/networks/far", "c", at=(12, 4))
    pipe = site.lab.join("red", "x", BandwidthPolicy(guarantee_out_kbps=5_000)).name
    site.rate(link_name(EndPoint(11, 1)), "out", 30_000)
    site.rate(link_name(EndPoint(11, 2)), "out", 98_000)
    site.rate(pipe, "out", 9_000)
    site.rate(pipe, "out", 1_000, "link")
    sent = site.statuses()[pipe].outward
    assert (sent.bottleneck, sent.dropped.by_link > 0) == (link_name(EndPoint(11, 2)), True)
    site.rate(pipe, "out", 500, "pipe")
    assert site.statuses()[pipe].outward.bottleneck == pipe


def test_guarantee_in_force_is_after_failures() -> None:
    """Degraded to a half: that is what it says, and what fulfilment is measured by."""
    site = Site(port=BandwidthPolicy(guarantee_out_kbps=20_000))
    site.sends(30_000)
    assert site.statuses()[A].outward.guarantee_kbps == 20_000
    sent = site.statuses(Granted(degraded=Map({A: Degraded(share=0.5, links=(), why="")})))[A].outward
    assert sent.guarantee_kbps == 10_000
    assert sent.fulfilment == 1.0


def test_ports_that_are_gone_are_assessed_no_more() -> None:
    """The same assessor, before and after."""
    site, assessor = Site(tenant=BandwidthPolicy(ceiling_out_kbps=10_000)), Assessor()
    site.sends(5_000)
    assert A in assessor.assess(site.view(), site.accounts, 101.0)
    site.lab.delete(A)
    site.lab.delete(B)
    assert assessor.assess(site.view(), site.accounts, 102.0) == Map()


def test_statuses_follow_looks_and_what_is_in_force() -> None:
    """A ceiling that is new shows without waiting for the next look; before the first nothing does."""
    site = Site()
    telemetry = Telemetry(
        lambda: site.lab.world, dict, MemoryCache(), clock=lambda: 0.0, wall_clock=lambda: 0.0)
    view = site.view()
    bandwidth = Bandwidth(telemetry, lambda: view, _no_quote, clock=lambda: 0.0, wall_clock=lambda: 100.0)
    bandwidth.tick(1.0)
    assert bandwidth.status(RED) is None
    telemetry.looks_had = 1
    bandwidth.tick(2.0)
    first = bandwidth.status(RED)
    assert first is not None and first.outward.ceiling_kbps == 0
    bandwidth.tick(4.0)
    assert bandwidth.status(RED) is first, "nothing is new"
    site.lab.update(replace(site.lab.intent.tenants[RED], bandwidth=BandwidthPolicy(ceiling_out_kbps=7_000)))
    view = site.view()
    bandwidth.tick(6.0)
    then = bandwidth.status(RED)
    assert then is not None and then.outward.ceiling_kbps == 7_000


def test_many_ports_are_assessed_a_little_in_each_tick() -> None:
    """Until that is done the statuses of before are told, all of one time; then those that a walk in one go finds."""
    site = Site(tenant=BandwidthPolicy(ceiling_out_kbps=10_000))
    site.sends(15_000)
    for number in range(100):
        site.lab.port("red", f"p{number}", at=(11 + number % 2, 10 + number))
    telemetry = Telemetry(
        lambda: site.lab.world, dict, MemoryCache(), clock=lambda: 0.0, wall_clock=lambda: 0.0)
    telemetry.accounts, telemetry.looks_had = site.accounts, 1
    view, reads = site.view(), itertools.count()
    bandwidth = Bandwidth(
        telemetry, lambda: view, _no_quote, clock=lambda: next(reads) * TURN_S / 3, wall_clock=lambda: 100.0)
    ticks = 0
    while bandwidth.status(RED) is None:
        bandwidth.tick(2.0 + ticks)
        ticks += 1
    assert ticks > 5
    whole = Assessor().assess(view, site.accounts, 100.0)
    assert len(whole) == 104
    assert all(bandwidth.status(name) == status for name, status in whole.items())


def _no_quote(obj: object) -> Quote:
    raise AssertionError(f"nobody asks for a quote of {obj}")
