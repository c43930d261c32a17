"""Shares of a tenant's ceiling on simulated switches: by what their meters say, late, never, or zeroed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from immutables import Map

from controller.fabric.graph import LinkLost
from controller.model.bandwidth import BandwidthPolicy
from controller.pipeline import tables
from controller.pipeline.world import Share, World
from controller.qos.sharing import AWAY_S, shared_kbps
from controller.reconcile.elastic import Elastic, Key
from controller.reconcile.opening import NOT_KNOWN, Offer, Offers, opening_shares
from controller.reconcile.status import Waiter
from controller.service.interfaces import StoreFailed
from tests.sequences.simulation import MemoryCache
from tests.support.counting import CountingSwitch
from tests.support.worlds import Lab

RED = "tenants/red"
CEILING = 30_000
EDGES = (11, 12, 13)


class Site:
    """Tenant red with a port on each leaf; meters drop what is offered beyond what they hold."""

    def __init__(
        self, cache: MemoryCache | None = None, *, edges: tuple[int, ...] = EDGES, offers: Offers = NOT_KNOWN,
    ) -> None:
        self.lab = Lab.leaf_spine()
        self.lab.network("red")
        self.ceiling = CEILING
        self.lab.set_tenant_bandwidth("red", BandwidthPolicy(ceiling_out_kbps=CEILING))
        for leaf in edges:
            self.lab.port("red", f"p{leaf}", at=(leaf, 3))
        self.cache = cache or MemoryCache()
        self.shares: Map[Key, Share] = Map()
        self.now_s = 0.0
        self.offers = offers
        self.switches = {dpid: CountingSwitch(dpid) for dpid in EDGES}
        self.away: set[int] = set()
        self.offered = dict.fromkeys(EDGES, 0)
        self.held: dict[int, int] = {}
        """what each switch's meter really holds"""
        self.pending: list[tuple[Mapping[Key, Share | None], Waiter]] = []
        self.told = 0
        self.highest = 0
        self.join(World(intent=self.lab.intent, fabric=self.lab.fabric))
        self.start()

    def start(self) -> None:
        self.elastic = Elastic(
            self.world, lambda: {d: s for d, s in self.switches.items() if d not in self.away},  # type: ignore[misc]
            self.set_shares, self.cache, clock=lambda: self.now_s, post=lambda deed: deed())

    def world(self) -> World:
        return replace(self.lab.world, shares=self.shares)

    def join(self, before: World) -> None:
        self.shares = self.shares.update(opening_shares(before, self.world(), [RED], self.offers))
        self.program()

    def limit(self, ceiling_kbps: int) -> None:
        """Another ceiling, with what follows from it in the same step of the loop."""
        before, self.ceiling = self.world(), ceiling_kbps
        self.lab.set_tenant_bandwidth("red", BandwidthPolicy(ceiling_out_kbps=ceiling_kbps))
        self.highest = 0
        self.join(before)

    def program(self) -> None:
        """Every switch in reach holds what the world says."""
        for tenant, dpid in ((each, dpid) for each, at in self.world().placement.tenants.items() for dpid in at):
            if dpid not in self.away:
                kbps = self.shares.get((dpid, tenant), Share()).out_kbps or self.ceiling
                if self.held.get(dpid) != kbps:
                    self.held[dpid] = kbps
                    self.switches[dpid].meters.clear()  # a meter that is modified begins at zero
        self.highest = max(self.highest, sum(self.held.values()))

    def set_shares(self, changed: Mapping[Key, Share | None], timeout_s: float) -> Waiter:
        self.told += len(changed)
        waiter = Waiter()
        self.pending.append((changed, waiter))
        return waiter

    def confirm(self) -> None:
        """What was told, is held, and what follows from that; a switch that is away confirms nothing in time."""
        while self.pending:
            changed, waiter = self.pending.pop(0)
            for key, share in changed.items():
                self.shares = self.shares.delete(key) if share is None else self.shares.set(
                    key, share.after(self.shares.get(key, Share())))
            self.join(self.world())
            waiter.set_result(tuple(dpid for dpid, _ in changed if dpid in self.away))

    def period(self, count: int = 1) -> None:
        """Half a second, five ticks, all told is held."""
        for _ in range(5 * count):
            self.now_s += 0.1
            for dpid, offered in self.offered.items():
                slot = self.lab.intent.keys.tenant_slot(dpid, RED)
                if slot is not None and dpid in self.held:
                    came, passed = offered * 125 // 10, self.held[dpid] * 125 // 10
                    meter = tables.meter_id(slot, tables.MeterKind.OUT)
                    self.switches[dpid].police(meter, came, max(0, came - passed))
                    self.switches[dpid].pass_s(0.1)
            self.elastic.tick(self.now_s)
            self.confirm()


@pytest.fixture
def site() -> Site:
    return Site()


def test_shares_follow_what_meters_drop(site: Site) -> None:
    """From equal parts to who wants it, and over to the next, never above the ceiling on the way."""
    assert site.held == dict.fromkeys(EDGES, shared_kbps(CEILING, 3, 0) // 3)
    site.offered[11] = 50_000
    site.period(20)
    assert site.held[11] >= 0.9 * CEILING
    site.offered = {11: 0, 12: 50_000, 13: 1_000}
    site.period(20)
    assert site.held[12] >= 0.84 * CEILING
    assert site.highest <= CEILING


def test_steady_demand_is_not_told_of(site: Site) -> None:
    """Once it is settled nobody is told anything, and nothing is written."""
    site.offered = {11: 50_000, 12: 50_000, 13: 50_000}
    site.period(20)
    told, records = site.told, dict(site.cache.records)
    site.period(50)
    assert site.told == told
    assert site.cache.records == records


def test_edge_alone_is_told_no_share(site: Site) -> None:
    """No share, no record, no question; and again when the others are gone."""
    alone = Site(edges=(11,))
    alone.offered[11] = 50_000
    alone.period(10)
    assert (alone.held, alone.told, alone.switches[11].asked) == ({11: CEILING}, 0, [])
    for leaf in (12, 13):
        site.lab.delete(f"{RED}/networks/net/ports/p{leaf}")
        del site.held[leaf]
    site.period(10)
    assert site.held == {11: CEILING}
    assert not site.shares and not site.cache.records


def test_edge_that_joins_never_lifts_the_sum(site: Site) -> None:
    """It holds next to nothing, until the others gave way."""
    two = Site(edges=(11, 12))
    two.offered = dict.fromkeys(EDGES, 50_000)
    two.period(20)
    before = two.world()
    two.lab.port("red", "p13", at=(13, 3))
    two.join(before)
    two.period(20)
    assert two.held[13] == pytest.approx(CEILING / 3, rel=0.1)
    assert two.highest <= CEILING


def test_restart_begins_with_what_was_told(site: Site) -> None:
    """The loop is told before it starts; no switch ever holds more than it did, unless another gave way."""
    site.offered[11] = 50_000
    site.period(20)
    held = dict(site.held)
    again = Site(site.cache)
    again.held, again.highest = dict(held), 0
    again.elastic.restore()
    again.confirm()
    assert again.held == held
    again.offered = {11: 0, 12: 50_000, 13: 0}
    again.period(20)
    assert again.held[12] >= 0.85 * CEILING
    assert again.highest <= CEILING


def test_ceiling_that_opens_where_it_is_wanted_stays_there() -> None:
    """What was known when it opened is what meters say: no share is moved, and a restart begins with them."""
    offers = {(11, RED): Offer(0, 50_000), (12, RED): Offer(0, 0), (13, RED): Offer(0, 2_000)}
    site = Site(offers=offers)
    opened = dict(site.held)
    assert opened[11] >= 0.85 * CEILING and sum(opened.values()) <= CEILING
    site.offered = {11: 50_000, 12: 0, 13: 2_000}
    site.period(2)
    again = Site(site.cache)
    again.elastic.restore()
    again.confirm()
    assert again.held == opened
    site.period(20)
    assert site.held == pytest.approx(opened, rel=0.25) and site.held[11] >= 0.9 * opened[11]
    assert site.highest <= CEILING


def test_two_edges_follow_demand_within_two_seconds() -> None:
    """Whoever looks: of a ceiling that opened in equal parts the only sender soon has nearly all."""
    site = Site(edges=(11, 12))
    assert site.held[11] < 0.5 * CEILING
    site.offered[11] = 50_000
    site.period(4)
    assert site.held[11] >= 0.8 * CEILING


def test_switch_that_never_answers_keeps_its_share(site: Site) -> None:
    """It is asked once; nobody grows at its cost, and nobody is held up by it."""
    site.offered = dict.fromkeys(EDGES, 50_000)
    site.period(10)
    site.switches[13].answers = False
    site.period(10)
    asked = len(site.switches[13].asked)
    site.period(10)
    assert len(site.switches[13].asked) == asked
    assert site.held[13] == pytest.approx(CEILING / 3, rel=0.1)
    site.switches[13].answers = True
    site.switches[13].tell()
    site.period(10)
    assert len(site.switches[13].asked) > asked


def test_switch_that_answers_late_is_believed_late(site: Site) -> None:
    """What it says is of when it was asked, or of no time if its share moved since; it has its share in the end."""
    late = site.switches[13]
    late.answers = False
    site.offered = {11: 50_000, 12: 0, 13: 0}
    site.period(20)
    site.offered = {11: 50_000, 12: 0, 13: 50_000}
    for _ in range(10):
        site.period(3)
        late.tell()
        assert site.highest <= CEILING
    assert site.held[13] == pytest.approx(CEILING / 2, rel=0.1)


def test_hours_that_nobody_looked_move_nothing(site: Site) -> None:
    """The machine slept: what is known is of before, and nobody is taken to be gone for it."""
    site.offered = dict.fromkeys(EDGES, 50_000)
    site.period(20)
    held, told = dict(site.held), site.told
    site.now_s += 10_000.0
    site.period(10)
    assert (site.held, site.told) == (held, told)


def test_switch_out_of_reach_keeps_its_share_until_its_links_are_down_too(site: Site) -> None:
    """With a link it may go on forwarding; without, it is gone.  Back again it is told little, and shows what it wants.
    """
    site.offered = dict.fromkeys(EDGES, 50_000)
    site.period(20)
    site.away = {13}
    site.period(2 * int(AWAY_S / 0.5))
    assert site.highest <= CEILING
    with_links = site.lab.fabric
    for src in with_links.links:
        if 13 in (src.dpid, with_links.links[src].dst.dpid):
            site.lab.observe(LinkLost(src=src))
    held = site.held.pop(13)  # gone
    site.period(20)
    assert site.held[11] + site.held[12] >= 0.95 * CEILING
    site.away, site.highest = set(), 0
    site.held[13] = held
    site.program()
    site.period(20)
    assert site.held[13] == pytest.approx(CEILING / 3, rel=0.06)
    assert site.highest <= CEILING


def test_lower_ceiling_holds_from_the_first_step(site: Site) -> None:
    """Also beside what was told and is on its way; then shares go on from there, and a higher one is used."""
    site.offered = {11: 50_000, 12: 9_000, 13: 0}
    site.period(20)
    site.limit(10_000)
    assert sum(site.held.values()) <= 10_000
    site.period(4)
    assert site.highest <= 10_000
    site.offered = {11: 0, 12: 0, 13: 50_000}
    site.period(20)
    assert site.held[13] >= 8_400 and site.highest <= 10_000
    site.limit(20_000)
    site.period(20)
    assert site.held[13] >= 16_500 and site.highest <= 20_000


def test_lower_ceiling_counts_with_what_a_switch_out_of_reach_may_hold(site: Site) -> None:
    """It was told nothing of it: the others get nothing but little."""
    site.offered = dict.fromkeys(EDGES, 50_000)
    site.period(20)
    site.away = {13}
    held = site.held[13]
    site.limit(8_000)
    site.period(10)
    assert site.held[13] == held and site.held[11] + site.held[12] <= 200
    site.away = set()
    site.join(site.world())
    site.period(20)
    site.highest = 0
    site.period(20)
    assert site.highest <= 8_000
    assert min(site.held.values()) >= 2_000


def test_ceiling_that_goes_takes_the_shares_along(site: Site) -> None:
    """Nothing is left in the store, or in the world."""
    site.offered[11] = 50_000
    site.period(10)
    assert site.shares and site.cache.records
    site.lab.update(replace(site.lab.intent.tenants[RED], bandwidth=BandwidthPolicy()))
    site.period(3)
    assert not site.shares and not site.cache.records


def test_what_cannot_be_kept_is_not_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart would not know of it; when the disk has room again it goes on."""
    def full(records: Mapping[str, bytes | None]) -> None:
        raise StoreFailed("disk full")

    site.offered[11] = 50_000
    monkeypatch.setattr(site.cache, "save_cache", full)
    site.period(5)
    assert site.told == 0
    monkeypatch.undo()
    site.period(20)
    assert site.held[11] >= 0.9 * CEILING
    assert site.highest <= CEILING


OUT, IN = tables.MeterKind.OUT, tables.MeterKind.IN
PIPE_CEILINGS = {OUT: 20_000, IN: 10_000}


class Joined:
    """A pipe between network "net", on leaves 11 and 12, and "far", on 12 and 13.  Whatever is told is held at once."""

    def __init__(self) -> None:
        self.lab, self.name = Lab.leaf_spine(), f"{RED}/pipes/x"
        self.lab.network("red")
        self.lab.network("red", "far", ipv4="10.1.0.0/24", ipv6="fd01::/64")
        for leaf in (11, 12):
            self.lab.port("red", f"p{leaf}", at=(leaf, 3))
        for leaf in (12, 13):
            self.lab.port(f"{RED}/networks/far", f"q{leaf}", at=(leaf, 4))
        before = self.lab.world
        policy = BandwidthPolicy(ceiling_out_kbps=PIPE_CEILINGS[OUT], ceiling_in_kbps=PIPE_CEILINGS[IN])
        self.lab.join("red", "x", policy)
        self.shares: Map[Key, Share] = Map(opening_shares(before, self.lab.world, [self.name], NOT_KNOWN))
        self.places = {OUT: (11, 12), IN: (12, 13)}
        self.switches = {dpid: CountingSwitch(dpid) for dpid in EDGES}
        self.pending: list[tuple[Mapping[Key, Share | None], Waiter]] = []
        self.now_s = 0.0
        self.elastic = Elastic(
            lambda: replace(self.lab.world, shares=self.shares), lambda: self.switches,  # type: ignore[arg-type,return-value]
            self.set_shares, MemoryCache(), clock=lambda: self.now_s, post=lambda deed: deed())

    def set_shares(self, changed: Mapping[Key, Share | None], timeout_s: float) -> Waiter:
        self.pending.append((changed, Waiter()))
        return self.pending[-1][1]

    def held(self, dpid: int, kind: tables.MeterKind) -> int:
        share = self.shares.get((dpid, self.name), Share())
        return (share.out_kbps if kind is OUT else share.in_kbps) or PIPE_CEILINGS[kind]

    def run(self, offered: Mapping[tuple[int, tables.MeterKind], int]) -> None:
        """Ten seconds; never is more in force than the ceilings."""
        pipe_id = self.lab.intent.keys.pipe_id(self.name)
        for _ in range(100):
            self.now_s += 0.1
            for switch in self.switches.values():
                switch.pass_s(0.1)
            for kind, edges in self.places.items():
                for dpid in edges:
                    came, passed = offered.get((dpid, kind), 0) * 125 // 10, self.held(dpid, kind) * 125 // 10
                    meter_id = tables.pipe_meter_id(pipe_id, kind)
                    self.switches[dpid].police(meter_id, came, max(0, came - passed))
            self.elastic.tick(self.now_s)
            while self.pending:
                self.hold(*self.pending.pop(0))

    def hold(self, changed: Mapping[Key, Share | None], waiter: Waiter) -> None:
        for key, share in changed.items():
            if self.shares.get(key) != share:
                self.switches[key[0]].meters.clear()  # a meter that is modified begins at zero
            self.shares = self.shares.set(key, share) if share is not None else self.shares.delete(key)
        for kind, edges in self.places.items():
            assert sum(self.held(dpid, kind) for dpid in edges) <= PIPE_CEILINGS[kind]
        waiter.set_result(())


def test_shares_of_a_pipe_between_networks_move_where_each_of_them_is() -> None:
    """Out among the edges of its one network, in among those of its other; an edge that the one left goes on with its
    part of the other's.
    """
    joined = Joined()
    joined.run({(11, OUT): 50_000, (12, IN): 50_000})
    assert joined.held(11, OUT) >= 18_000 and joined.held(12, IN) >= 8_500
    joined.run({(12, OUT): 50_000, (13, IN): 50_000})
    assert joined.held(12, OUT) >= 17_000 and joined.held(13, IN) >= 8_500
    joined.lab.unbind(f"{RED}/networks/net/ports/p12")
    joined.places[OUT] = (11,)
    joined.run({(11, OUT): 50_000, (12, IN): 50_000})
    assert joined.held(11, OUT) == PIPE_CEILINGS[OUT]
    assert joined.held(12, IN) >= 8_500
