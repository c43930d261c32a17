"""Shares of a tenant's ceiling on simulated switches: by what their meters say, late, never, or zeroed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from immutables import Map

from controller.fabric.graph import LinkLost
from controller.model.bandwidth import BandwidthPolicy, entry_kbps
from controller.pipeline import tables
from controller.pipeline.world import Share, World
from controller.qos.sharing import AWAY_S
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
        self.lab.update(replace(self.lab.intent.tenants[RED], bandwidth=BandwidthPolicy(ceiling_out_kbps=CEILING)))
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

    def program(self) -> None:
        """Every switch in reach holds what the world says."""
        for tenant, dpid in ((each, dpid) for each, at in self.world().placement.tenants.items() for dpid in at):
            if dpid not in self.away:
                kbps = self.shares.get((dpid, tenant), Share()).out_kbps or CEILING
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
                self.shares = self.shares.set(key, share) if share is not None else self.shares.delete(key)
            self.program()
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
    assert site.held == dict.fromkeys(EDGES, (CEILING - entry_kbps(CEILING)) // 3)
    site.offered[11] = 50_000
    site.period(20)
    assert site.held[11] >= 0.9 * CEILING
    site.offered = {11: 0, 12: 50_000, 13: 1_000}
    site.period(20)
    assert site.held[12] >= 0.85 * CEILING
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
    assert two.held[13] == pytest.approx(CEILING / 3, rel=0.06)
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
    assert opened[11] >= 0.88 * CEILING and sum(opened.values()) <= CEILING
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
