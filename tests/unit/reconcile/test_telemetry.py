"""What ports and objects carry: by the switch's clock, through resets and restarts, and at little cost."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.fabric.ports import EndPoint
from controller.model.bandwidth import BandwidthPolicy
from controller.model.usage import Traffic
from controller.openflow import decode, messages
from controller.openflow.decode import MeterStat, PortStat
from controller.pipeline import tables
from controller.pipeline.world import Share
from controller.reconcile import telemetry as telemetry_module
from controller.reconcile.datapath import Datapath
from controller.reconcile.journal import Journal, Reader
from controller.reconcile.looks import Looks
from controller.reconcile.rates import Rate, rates
from controller.reconcile.telemetry import Telemetry
from controller.reconcile.touched import EVERYTHING, Touched
from tests.sequences.simulation import MemoryCache
from tests.support import of_replies
from tests.support.counting import CountingSwitch
from tests.support.eventually import eventually
from tests.support.worlds import Lab

S = 1_000_000_000


def stat(port_no: int = 1, *, packets: int = 0, sent: int = 0, at_ns: int = 0) -> PortStat:
    return PortStat(port_no, 0, packets, 0, sent, at_ns)


def test_rate_is_by_the_switchs_own_clock() -> None:
    """A million bytes in two of its seconds are 4 Mbit/s, whenever the answers came."""
    before = {1: stat(packets=10, sent=500, at_ns=5 * S)}
    assert rates(before, [stat(packets=30, sent=1_000_500, at_ns=7 * S)]) == {1: Rate(kbps=4_000, packets_per_s=10)}


@pytest.mark.parametrize("now", [
    stat(packets=5, sent=10, at_ns=9 * S), stat(packets=50, sent=900, at_ns=S), stat(packets=50, sent=900, at_ns=5 * S),
    stat(2, packets=50, sent=900, at_ns=9 * S),
])  # fmt: skip
def test_no_rate_where_counters_start_over_or_time_stands(now: PortStat) -> None:
    """Counters or clock that went back, the same look twice, a port that is new: nothing is known until the next one.
    """
    assert rates({1: stat(packets=10, sent=500, at_ns=5 * S)}, [now]) == {}


@given(st.lists(st.builds(PortStat, *[st.integers(0, 2**32 - 1)], *[st.integers(0, 2**64 - 1)] * 4,
                          st.integers(0, 2**32 * S - 1)), max_size=5))  # fmt: skip
def test_counters_of_ports_are_read_back(stats: list[PortStat]) -> None:
    """Through the bytes of OpenFlow."""
    assert decode.port_stats([of_replies.port_stats(stats)]) == stats


def test_cut_counters_are_refused() -> None:
    """Half a port is none."""
    with pytest.raises(decode.DecodeError):
        decode.port_stats([of_replies.multipart(messages.PORT_STATS, [bytes(100)])])


def test_counters_of_meters_are_read_back() -> None:
    """Through the bytes of OpenFlow; what is cut, or has parts of bands, is refused."""
    stats = [MeterStat(4100, 7, 700, 2, 200, 3 * S), MeterStat(1, 0, 0, 0, 0, 5)]
    frame = of_replies.meter_stats(stats)
    assert decode.meter_stats([frame]) == stats
    body = frame[16:]
    for bad in (body[:-8], body[:30], body[:4] + (9_999).to_bytes(2, "big") + body[6:], body[:4] + b"\0\1" + body[6:]):
        with pytest.raises(decode.DecodeError):
            decode.meter_stats([of_replies.multipart(messages.METER_STATISTICS, [bad])])


class Site:
    """Telemetry of a leaf-spine's world with port p of tenant red on switch 11, port 3; time as the test says."""

    def __init__(self, cache: MemoryCache | None = None, *, start: bool = True) -> None:
        self.lab = Lab.leaf_spine()
        self.lab.network("red")
        self.port = self.lab.port("red", "p", at=(11, 3), bandwidth=BandwidthPolicy(ceiling_out_kbps=1_000)).name
        self.cache = cache or MemoryCache()
        self.switches = {11: CountingSwitch(11, range(1, 9)), 1: CountingSwitch(1, range(1, 9))}
        self.connected = dict(self.switches)
        self.wall_s = 1_000.0
        if start:
            self.start()

    def start(self, looks: Looks[Datapath] | None = None, touched: Reader = lambda: EVERYTHING) -> None:
        self.telemetry = Telemetry(
            lambda: self.lab.world, lambda: dict(self.connected), self.cache,  # type: ignore[arg-type]
            clock=time.monotonic, wall_clock=lambda: self.wall_s, touched=touched,
            looks=looks or Looks(period_s=0.02, followed_s=0.02))
        self.telemetry.start()

    def sent(self, name: str = "") -> Traffic:
        kind = "port" if name == "" else {2: "tenant", 4: "network"}[name.count("/") + 1]
        return next(u.outward for u in self.telemetry.usage(kind) if u.name == (name or self.port))

    def over_links(self) -> dict[str, int]:
        return {usage.name: usage.outward.bytes for usage in self.telemetry.usage("link")}

    def looks_twice(self) -> None:
        """Until two more looks at switch 11 were had."""
        switch = self.switches[11]
        asked = len(switch.asked)
        eventually(lambda: len(switch.asked) >= asked + 5, what="the switch is looked at")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(telemetry_module, "TICK_S", 0.02)
    monkeypatch.setattr(telemetry_module, "BEGUN_SAVE_S", 0.0)
    site = Site()
    yield site
    assert site.telemetry.stop()


def test_usage_of_a_port_and_of_all_above_it(site: Site) -> None:
    """What came in on its switch port, less what its meter dropped; and what was sent to it."""
    switch, slot = site.switches[11], site.lab.intent.keys.port_keys[site.port].slot
    meter = tables.meter_id(slot, tables.MeterKind.OUT)
    site.looks_twice()  # without the meter: it comes with its first drops
    switch.police(meter, 30_000, 10_000)
    switch.carry(3, rx=30_000, tx=7_000)
    site.looks_twice()
    eventually(lambda: site.sent().bytes == 20_000, what="counted")
    for name in ("tenants/red", "tenants/red/networks/net"):
        assert (site.sent(name).bytes, site.sent(name).dropped_bytes) == (20_000, 10_000)
    assert [u.inward.bytes for u in site.telemetry.usage("network", "tenants/red")] == [7_000]
    assert site.telemetry.usage("port", "tenants/blue") == []
    assert len(site.over_links()) == 12 and not any(site.over_links().values())
    switch.carry(1, tx=500)
    eventually(lambda: site.over_links()["links/000000000000000b-1"] == 500, what="the link's bytes")


def test_usage_continues_through_restarts(site: Site) -> None:
    """Of pliantd, which counts what was carried meanwhile; of the switch, whose clock begins anew while its ports go on
    counting; and of a port that is made anew.
    """
    switch = site.switches[11]
    site.looks_twice()
    switch.carry(3, rx=1_000)
    eventually(lambda: site.sent().bytes == 1_000, what="counted")
    assert site.telemetry.stop()
    switch.carry(3, rx=200)
    site.connected.clear()
    site.start()
    assert site.sent().bytes == 1_000, "what was kept is there before anybody was looked at"
    site.connected |= site.switches
    eventually(lambda: site.sent().bytes == 1_200, what="continued")
    switch.pass_s(1)
    switch.restart()
    switch.carry(3, rx=10)
    eventually(lambda: site.sent().bytes == 1_210, what="what the port goes on to count is added")
    switch.pass_s(1)
    site.looks_twice()
    switch.remake_port(3)
    switch.carry(3, rx=50)
    eventually(lambda: site.sent().bytes == 1_260, what="the new port's bytes are added")


def test_port_that_comes_is_looked_at_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with all others of its switch; what it carries from then on counts, as if all had been looked at."""
    monkeypatch.setattr(telemetry_module, "TICK_S", 0.02)
    site = Site(start=False)
    switch = site.switches[11] = site.connected[11] = CountingSwitch(11, range(1, 65))
    for number in range(20):
        site.lab.port("red", f"q{number}", at=(11, 20 + number))
    touched = Journal()
    site.start(Looks(period_s=1_000), touched=touched.reader())
    eventually(lambda: sum(map(switch.is_whole, switch.asked)) >= 2, what="all ports are looked at, soon once more")
    whole = sum(map(switch.is_whole, switch.asked))
    fresh = site.lab.port("red", "fresh", at=(11, 50)).name
    touched.note(Touched(names=frozenset({fresh})))
    eventually(lambda: messages.port_stats_request(50) in switch.asked, what="the new port is asked for")
    eventually(lambda: any(usage.at_s for usage in site.telemetry.usage("port", fresh)), what="its usage begins")
    assert sum(map(switch.is_whole, switch.asked)) == whole
    assert messages.port_stats_request(20) not in switch.asked
    assert site.telemetry.stop()


def test_deleted_objects_are_forgotten(site: Site) -> None:
    """Also in the store."""
    switch = site.switches[11]
    site.looks_twice()
    switch.carry(3, rx=1_000)
    eventually(lambda: site.sent().bytes == 1_000, what="counted")
    site.lab.delete(site.port)
    site.looks_twice()
    assert site.telemetry.usage("port") == []
    assert site.telemetry.stop()
    assert f"usage/{site.port}" not in site.cache.records and "usage/tenants/red" in site.cache.records
    site.start()


def test_followers_see_rates_that_are_fresh(site: Site) -> None:
    """By the switch's own clock; one that fails is told no more, and the others all the same."""
    failures, told = [], threading.Event()

    def fail() -> None:
        failures.append(1)
        raise RuntimeError("Event loop is closed")

    switch = site.switches[11]

    def a_second_more() -> None:
        switch.carry(1, tx=125_000)
        switch.pass_s(1)

    switch.before_look = a_second_more
    leave = site.telemetry.follow(told.set)
    site.telemetry.follow(fail)
    expected = Rate(kbps=1_000, packets_per_s=1_250)
    eventually(lambda: site.telemetry.rates.get(EndPoint(11, 1)) == expected, what="a rate")
    assert told.wait(5)
    assert len(failures) == 1
    leave()
    eventually(lambda: not site.telemetry.rates, what="forgotten, for they age")


def test_rate_stays_while_a_share_moves(site: Site) -> None:
    """Its meter forgets what it dropped, and what it dropped since looks like a little more."""
    switch, slot = site.switches[11], site.lab.intent.keys.tenant_slot(11, "tenants/red")
    assert slot is not None
    meter, looks, shown = tables.meter_id(slot, tables.MeterKind.OUT), itertools.count(), list[int]()

    def go_on() -> None:
        """A second: of 8 Mbit/s 3.2 are dropped."""
        switch.pass_s(1)
        switch.carry(3, rx=1_000_000)
        switch.police(meter, 1_000_000, 400_000)
        if (look := next(looks)) == 10:
            came, dropped = switch.meters[meter]
            switch.meters[meter] = came, dropped - 300_000  # which the next look tells
        elif look == 11:
            site.lab.shares[11, "tenants/red"] = Share(out_kbps=4_800)

    site.looks_twice()
    switch.before_look = go_on
    leave = site.telemetry.follow(lambda: shown.append(site.sent("tenants/red").kbps))
    eventually(lambda: shown.count(4_800) > 30, what="it goes on")
    leave()
    assert set(shown[shown.index(4_800):]) == {4_800}


def test_clock_on_the_wall_that_jumps_says_when_and_nothing_else(site: Site) -> None:
    """Forward by years and back by a day, somebody following: rates are by the switch's own clock, and sums go on."""
    switch, shown = site.switches[11], list[tuple[int, int]]()
    switch.before_look = lambda: (switch.pass_s(1), switch.carry(3, rx=125_000))[0]
    site.looks_twice()
    leave = site.telemetry.follow(lambda: shown.append((site.sent().kbps, site.sent().bytes)))
    for jump_s in (3e8, -86_400.0, -4e8, 0.25):
        site.wall_s = max(1.0, site.wall_s + jump_s)
        seen = len(shown)
        eventually(lambda seen=seen: len(shown) > seen + 5, what="it is looked at")  # type: ignore[misc]
        eventually(lambda: {usage.at_s for usage in site.telemetry.usage("port")} == {site.wall_s}, what="it says when")
    leave()
    assert {kbps for kbps, _ in shown[3:]} == {1_000}
    assert [octets for _, octets in shown] == sorted(octets for _, octets in shown)


def test_slow_switch_is_asked_once_and_one_that_goes_has_no_rate(site: Site) -> None:
    """Nobody waits for it, the others are asked on; a late answer counts like any other."""
    site.telemetry.follow(lambda: None)
    site.looks_twice()
    slow, other = site.switches[11], site.switches[1]
    slow.answers = False
    eventually(lambda: bool(slow.waiting), what="asked")
    asked, others = len(slow.asked), len(other.asked)
    eventually(lambda: len(other.asked) > others + 10, what="the other is asked on")
    assert len(slow.asked) in (asked, asked + 1), "no more than the two questions of one look"
    slow.carry(3, rx=1_000)
    slow.answers = True
    slow.tell()
    eventually(lambda: site.sent().bytes == 1_000, what="the late answer counts")
    del site.connected[11]
    eventually(lambda: not any(at.dpid == 11 for at in site.telemetry.rates), what="nothing is known of it")
    assert site.sent().bytes == 1_000


def test_switch_without_such_counters_or_sense_harms_nobody(site: Site) -> None:
    """Errors and malformed answers: its sums stand still."""
    site.looks_twice()
    switch = site.switches[11]
    switch.is_gone = True
    site.looks_twice()
    switch.is_gone = False
    switch.carry(3, rx=1_000)
    eventually(lambda: site.sent().bytes == 1_000, what="counted when it tells again")
