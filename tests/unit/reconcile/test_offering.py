"""What is known of what tenants send where: soon where something is guaranteed, at little cost elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace

from controller.model.bandwidth import BandwidthPolicy, Interval, Rates, Window
from controller.reconcile.offering import CLOSE_S, KEEP_S, Offering
from controller.reconcile.opening import NOT_KNOWN, Offer, Offers
from tests.sequences.simulation import MemoryCache, Simulation
from tests.sequences.states import tenant
from tests.support.counting import CountingSwitch
from tests.support.worlds import Lab

RED, NETWORK = "tenants/red", "tenants/red/networks/net"
GUARANTEE = BandwidthPolicy(guarantee_out_kbps=10_000)


class Site:
    """Tenant red with a port on each of two leaves, and tenant blue on one of them."""

    def __init__(self, policy: BandwidthPolicy = GUARANTEE, cache: MemoryCache | None = None) -> None:
        self.lab = Lab.leaf_spine()
        for name in ("red", "blue"):
            self.lab.network(name)
        self.lab.set_tenant_bandwidth("red", policy)
        self.lab.port("red", "p11", at=(11, 3))
        self.lab.port("red", "p12", at=(12, 3), bandwidth=BandwidthPolicy(ceiling_out_kbps=5_000))
        self.lab.port("blue", "p11", at=(11, 4))
        self.switches = {dpid: CountingSwitch(dpid, (1, 2, 3, 4)) for dpid in (11, 12, 13)}
        self.now_s = 0.0
        self.known: Offers = NOT_KNOWN
        self.cache = cache or MemoryCache()
        self.offering = Offering(
            lambda: self.lab.world, lambda: self.switches, self.learn, self.cache,  # type: ignore[arg-type,return-value]
            clock=lambda: self.now_s, post=lambda deed: deed())
        self.offering.restore()

    def learn(self, offers: Offers) -> None:
        self.known = offers

    def pass_s(self, seconds: float, **sent_kbps: int) -> None:
        """`p11`, `p12`: what is sent there meanwhile, of which the other receives half."""
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            for port, dpid in (("p11", 11), ("p12", 12)):
                octets = sent_kbps.get(port, 0) * 125 // 10
                self.switches[dpid].carry(3, rx=octets)
                self.switches[23 - dpid].carry(3, tx=octets // 2)
            for switch in self.switches.values():
                switch.pass_s(0.1)
            self.offering.tick(self.now_s)


def test_guaranteed_sender_is_known_at_once() -> None:
    """Of each edge what is sent and received there, at most what ports' own ceilings let pass; of nobody on one edge.
    """
    site = Site()
    site.pass_s(2.0)
    site.pass_s(2 * CLOSE_S, p11=20_000, p12=60_000)
    out = site.known[11, RED].out_kbps
    assert out == site.known[11, NETWORK].out_kbps and 18_000 <= out <= 22_000
    assert site.known[12, RED].out_kbps == 5_000
    assert 9_000 <= site.known[12, RED].in_kbps <= 11_000
    assert {owner for _, owner in site.known} == {RED, NETWORK}


def test_pause_is_not_taken_for_the_end() -> None:
    """One look without a packet leaves most of what is known; silence that lasts leaves nothing."""
    site = Site()
    site.pass_s(3.0, p11=20_000)
    site.pass_s(CLOSE_S)
    assert site.known[11, RED].out_kbps >= 10_000
    site.pass_s(20.0)
    assert site.known[11, RED].out_kbps < 100


def test_few_questions_where_nothing_is_guaranteed() -> None:
    """Twice a second with a guarantee, every five seconds without; a switch that has nobody is not asked at all."""
    guaranteed, other = Site(), Site(BandwidthPolicy())
    for site in (guaranteed, other):
        site.pass_s(20.0)
    assert 30 <= len(guaranteed.switches[11].asked) <= 42
    assert 3 <= len(other.switches[11].asked) <= 6
    assert guaranteed.switches[13].asked == other.switches[13].asked == []


def test_slow_switch_is_asked_seldom() -> None:
    """Not before it has answered, nor before it has rested."""
    site = Site()
    site.switches[11].answers = False
    site.pass_s(5.0)
    assert len(site.switches[11].asked) == 1
    site.switches[11].tell()
    site.pass_s(20.0)
    assert len(site.switches[11].asked) == 1


def test_what_is_known_outlives_a_restart() -> None:
    """Without writing all the time; and what is no more is forgotten."""
    site = Site()
    site.pass_s(3.0, p11=20_000)
    site.pass_s(KEEP_S, p11=20_000)
    records = dict(site.cache.records)
    for second in range(40):
        site.pass_s(1.0, p11=20_000 + 1_000 * (second % 3))
    assert site.cache.records == records
    again = Site(cache=site.cache)
    assert again.known[11, RED].out_kbps == json.loads(records[f"offer/{11:016x}/{RED}"])[1] >= 15_000
    again.lab.unbind(f"{NETWORK}/ports/p12")
    again.pass_s(KEEP_S + 1)
    assert not again.cache.records


def test_window_opens_where_the_tenant_sends() -> None:
    """One of two edges sends: what its switch holds first is more than the guarantee, by what was known before."""
    window = Window(when=Interval(start_s=100.0, end_s=200.0),
                    rates=Rates(guarantee_out_kbps=10_000, ceiling_out_kbps=15_000))
    policy = replace(GUARANTEE, schedule=(window,))
    sim = Simulation()
    sim.apply(tenant("red", {"a": (11, 3), "b": (12, 3)}, policy).values())
    sim.settle()
    steps = sim.reconciler.ledger.epoch
    offers = {(11, RED): Offer(0, 40_000), (12, RED): Offer(20_000, 0)}
    sim.reconciler.engine.offers = offers
    sim.settle()
    assert sim.reconciler.ledger.epoch == steps, "to know more changes nothing"
    sim.pass_time(100.0)
    sim.settle()
    shares = sim.reconciler.engine.world.shares
    assert 10_000 <= shares[11, RED].out_kbps <= 15_000 - shares[12, RED].out_kbps
    assert [meter.rate for meter in sim.switches[11].meters.values() if meter.unit == "kbps"] == [
        shares[11, RED].out_kbps]
