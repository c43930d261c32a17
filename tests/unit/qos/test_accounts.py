"""What objects carried, added up: for everybody a counter counts for, through restarts, and never backward."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controller.model.bandwidth import Drops
from controller.model.usage import Traffic, Usage
from controller.qos.accounts import QUEUE_KIND, SHELF, Accounts, Records, SourceKey
from controller.qos.counters import NS_PER_S, Reading
from controller.qos.sums import Entry

TENANT, PORT = "tenants/a", "tenants/a/networks/n/ports/p"
RX, METER = SourceKey(11, "rx", 3), SourceKey(11, "meter", 4100)
SENT = Entry(PORT, "p1", "out"), Entry(TENANT, "t1", "out")
LOST = Entry(PORT, "p1", "out", "port", was_counted=True), Entry(TENANT, "t1", "out", "port", was_counted=True)


def reading(octets: int, at_s: float) -> Reading:
    return Reading(octets, octets // 100, round(at_s * NS_PER_S))


def looked_at(*looks: tuple[SourceKey, tuple[Entry, ...], int]) -> Accounts:
    """Accounts after a first look at zero, and then these, a second later each."""
    accounts = Accounts()
    for key, entries, _ in looks:
        accounts.look(key, reading(0, 0), entries, at_s=100.0)
    for second, (key, entries, octets) in enumerate(looks, start=1):
        accounts.look(key, reading(octets, second), entries, at_s=100.0 + second)
    return accounts


def restarted(records: Records) -> Accounts:
    accounts = Accounts()
    for key, record in records.items():
        if record is not None:
            accounts.restore(key, record)
    return accounts


def test_counter_counts_for_everybody_above() -> None:
    """A port's bytes are its tenant's; the rate is by the switch's clock."""
    accounts = looked_at((RX, SENT, 125_000))
    for name in (PORT, TENANT):
        assert accounts.usage(name).outward == Traffic(bytes=125_000, packets=1_250, kbps=1_000)
        assert accounts.usage(name).at_s == 101.0
        assert accounts.usage(name).inward == Traffic()


def test_what_a_meter_dropped_was_not_sent() -> None:
    """It is taken from what came in, and shown by what dropped it."""
    accounts = looked_at((METER, LOST, 25_000), (RX, SENT, 125_000))
    assert accounts.usage(TENANT).outward == Traffic(
        bytes=100_000, packets=1_000, dropped_bytes=25_000, dropped_packets=250, kbps=500 - 200)
    assert accounts.drops(TENANT, "out") == Drops(by_port=25_000)
    assert accounts.offered_kbps(TENANT, "out") == (500, 200)


def test_drops_that_are_seen_ahead_of_their_frames_take_nothing_back() -> None:
    """A sum that was shown never shrinks: what is dropped beyond it is taken from what comes next."""
    accounts = looked_at((RX, SENT, 1_000), (METER, LOST, 5_000))
    assert accounts.usage(PORT).outward.bytes == 1_000
    accounts.look(RX, reading(8_000, 9), SENT, 110.0)
    assert accounts.usage(PORT).outward.bytes == 1_000 + 7_000 - 5_000


def test_counter_that_is_new_on_its_switch_counts_from_zero() -> None:
    """The switch was looked at before and had no such meter: all that it dropped is its owner's."""
    accounts = Accounts()
    accounts.look(METER, reading(5_000, 2), LOST, 102.0, is_new=True)
    assert accounts.drops(PORT, "out") == Drops(by_port=5_000)


def test_counter_of_another_owner_begins_anew() -> None:
    """What came in while nobody knows whose the port was is nobody's."""
    accounts = looked_at((RX, SENT, 1_000))
    other = (Entry("tenants/b", "t2", "out"),)
    accounts.look(RX, reading(9_000, 5), other, 105.0)
    accounts.look(RX, reading(9_500, 6), other, 106.0)
    assert accounts.usage(TENANT).outward == Traffic(bytes=1_000, packets=10)
    assert accounts.usage("tenants/b").outward.bytes == 500


def test_deleted_objects_are_forgotten_and_their_namesakes_start_at_zero() -> None:
    """By uid: the port that took the name has carried nothing."""
    accounts = looked_at((RX, SENT, 1_000))
    accounts.changes()
    accounts.forget({TENANT: "t1", PORT: "p2"})
    assert accounts.usage(PORT) == Usage(name=PORT)
    assert accounts.changes() == {f"usage/{PORT}": None}
    accounts.look(RX, reading(1_500, 3), (Entry(PORT, "p2", "out"), SENT[1]), 104.0)
    accounts.look(RX, reading(1_700, 4), (Entry(PORT, "p2", "out"), SENT[1]), 105.0)
    assert accounts.usage(PORT).outward.bytes == 200
    assert accounts.usage(TENANT).outward.bytes == 1_200


def test_switch_out_of_reach_carries_nothing_known() -> None:
    """The sums stay, the rates go, and when it is back what it carried alone is counted."""
    accounts = looked_at((RX, SENT, 125_000))
    accounts.out_of_reach(11)
    assert accounts.usage(TENANT).outward == Traffic(bytes=125_000, packets=1_250)
    accounts.look(RX, reading(250_000, 11), SENT, 111.0)
    assert accounts.usage(TENANT).outward == Traffic(bytes=250_000, packets=2_500, kbps=100)


def test_meter_that_was_modified_tells_no_rate_for_one_look() -> None:
    """It forgot what it dropped, or some of it: what is carried is shown as before, and then as it is."""
    for shows_it in (True, False):
        accounts, rx, lost = looked_at((METER, LOST, 0), (RX, SENT, 0)), 0, 0
        for second in range(10, 100, 10):
            rx += 37_500_000
            lost += 12_500_000
            if second == 40:
                lost = 9_000_000 if shows_it else lost + 4_000_000  # 3 s before the look, and it is a stricter one
            elif second > 40:
                lost += 12_500_000
            accounts.look(METER, reading(lost, second), LOST, 100.0 + second, is_modified=second == 40)
            accounts.look(RX, reading(rx, second), SENT, 100.0 + second)
            if second > 10:
                assert accounts.usage(TENANT).outward.kbps == (20_000 if second <= 40 else 10_000), second
    accounts.out_of_reach(11)
    assert accounts.usage(TENANT).outward.kbps == 0


def test_restart_continues_and_counts_what_nobody_saw() -> None:
    """Kept before, carried meanwhile, read after: all of it counts.  Until then what was kept is shown, as of then."""
    before = looked_at((RX, SENT, 1_000))
    kept = before.usage(TENANT)
    after = restarted(before.changes())
    shown = replace(kept, outward=replace(kept.outward, kbps=0))
    assert kept.at_s and after.usage(TENANT) == after.news()[TENANT] == shown
    after.look(RX, reading(5_000, 60), SENT, 160.0)
    assert after.usage(TENANT) == shown, "not all that happened since is counted"
    after.caught_up(11)
    assert after.usage(TENANT).outward.bytes == 5_000 and after.usage(TENANT).at_s == 160.0
    assert after.usage(TENANT) == after.news()[TENANT]


def test_restart_over_two_switches_shows_what_was_kept_until_both_were_looked_at() -> None:
    """Half of what was carried since would be less than what was shown at that time."""
    before = looked_at((RX, SENT, 1_000))
    far = SourceKey(12, "rx", 7)
    for second, octets in ((0, 0), (5, 3_000)):
        before.look(far, reading(octets, second), SENT, 105.0 + second)
    after = restarted(before.changes())
    assert after.usage(TENANT).outward.bytes == 4_000 and after.usage(TENANT).at_s == 110.0
    after.look(RX, reading(1_500, 60), SENT, 160.0)
    after.caught_up(11)
    assert after.usage(TENANT).outward.bytes == 4_000 and after.usage(TENANT).at_s == 110.0
    after.look(far, reading(9_000, 60), SENT, 161.0)
    after.caught_up(12)
    assert after.usage(TENANT).outward.bytes == 10_500


def test_restart_does_not_wait_for_ever() -> None:
    """A switch that does not come back leaves its objects with what was kept."""
    after = restarted(looked_at((RX, SENT, 1_000)).changes())
    after.settle()
    assert after.usage(TENANT).outward.bytes == 1_000


def test_only_what_changed_is_kept() -> None:
    """An idle switch writes nothing; what could not be written is written the next time."""
    accounts = looked_at((RX, SENT, 1_000))
    changes = accounts.changes()
    assert set(changes) == {f"usage/{PORT}", f"usage/{TENANT}", "counters/000000000000000b/0"}
    accounts.look(RX, reading(1_000, 5), SENT, 105.0)
    assert accounts.changes() == {} and not accounts.has_begun
    accounts.not_kept(changes)
    assert accounts.changes().keys() == changes.keys()


def test_counters_that_are_gone_are_forgotten() -> None:
    """A port that left the switch: no rate, and no record."""
    accounts = looked_at((RX, SENT, 125_000))
    accounts.looked(11, {"rx"}, set())
    assert accounts.usage(PORT).outward == Traffic(bytes=125_000, packets=1_250)
    assert accounts.changes()["counters/000000000000000b/0"] is None


def test_counter_that_begins_has_few_others_written_with_it() -> None:
    """However many the switch has; and all of them are taken back."""
    accounts, records = Accounts(), dict[str, bytes | None]()
    for number in range(500):
        accounts.look(SourceKey(11, "rx", number), reading(0, number), SENT, 100.0)
    records |= accounts.changes()
    accounts.look(SourceKey(11, "rx", 500), reading(0, 500), SENT, 101.0)
    written = accounts.changes()
    assert sum(len(json.loads(record)) for key, record in written.items() if record and "counters" in key) <= SHELF
    after = restarted(records | written)
    assert [after.last(SourceKey(11, "rx", number)) for number in range(501)] == [
        reading(0, number) for number in range(501)]


def test_queue_that_is_made_anew_is_kept_ahead_of_what_is_shown() -> None:
    """As when ovs-vswitchd starts again; so what it drops from then on is not lost with a pliantd that is killed."""
    accounts, queue = Accounts(), SourceKey(11, f"{QUEUE_KIND} 3", 4)
    lost = (Entry(PORT, "uid", "out", "link", was_counted=True),)
    for dropped in (0, 70_000, 30_000):
        accounts.look(queue, reading(dropped, dropped // 1_000), lost, 100.0)
        if accounts.has_begun:
            kept = accounts.changes()
    shown = accounts.usage(PORT).outward.dropped_bytes
    after = restarted(kept)
    after.look(queue, reading(30_000, 40), lost, 110.0)
    assert after.usage(PORT).outward.dropped_bytes >= shown == 100_000
    accounts.look(METER, reading(9_000, 50), LOST, 100.0)
    accounts.changes()
    accounts.look(METER, reading(1_000, 60), LOST, 100.0)
    assert not accounts.has_begun, "meters begin anew twice a second where their ceiling is shared"


LOOKS = st.lists(st.one_of(
    st.tuples(st.just("rx"), st.integers(0, 10**6)), st.tuples(st.just("drop"), st.integers(0, 10**5)),
    st.tuples(st.just("restart"), st.booleans()), st.tuples(st.just("reset"), st.booleans())), max_size=40)  # fmt: skip


@given(LOOKS)
def test_sums_never_go_back(events: list[tuple[str, int]]) -> None:
    """Through resets of either counter and restarts with or without the last save: what is shown only grows."""
    accounts, kept = Accounts(), dict[str, bytes | None]()
    shown = {PORT: 0, TENANT: 0}
    stands = {RX: 0, METER: 0}
    accounts.look(METER, reading(0, 0), LOST, 100.0)
    accounts.look(RX, reading(0, 0), SENT, 100.0)
    assert accounts.has_begun, "to be kept ahead of what is shown"
    kept |= accounts.changes()
    for second, (what, value) in enumerate(events, start=1):
        if what == "restart":
            if value:
                kept |= accounts.changes()
            accounts = restarted(kept)
        elif what == "reset":
            stands[RX if value else METER] = 0
        else:
            stands[RX if what == "rx" else METER] += value
            # Meters drop of what came in, and are asked first.
            stands[RX] += value if what == "drop" else 0
        accounts.look(METER, reading(stands[METER], second), LOST, 100.0 + second)
        accounts.look(RX, reading(stands[RX], second), SENT, 100.0 + second)
        accounts.looked(11, {"rx", "meter"}, {RX, METER})
        accounts.caught_up(11)
        if accounts.has_begun:
            kept |= accounts.changes()
        for name in shown:
            now = accounts.usage(name).outward.bytes
            assert now >= shown[name]
            shown[name] = now
