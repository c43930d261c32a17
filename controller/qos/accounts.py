"""What each object carried and lost, added up from the counters of all switches.  Pure; knows names and numbers only.

    counter of a switch ── look ──► growth ──► every object that it counts for
      port 7 rx                       +4,000     port a, its network, its tenant: sent
      meter of port a                 +1,000     the same: dropped by the port, and so not sent

Sums never go backward.  A counter that counts for somebody else than before begins anew: what it grew by meanwhile is
nobody's.  `changes` gives what a store has to keep, `restore` takes it back: what was carried while nobody looked is
then counted at the next look, for sums and readings are kept together.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple, get_args

from controller.model.bandwidth import Drops
from controller.model.usage import Usage
from controller.qos.counters import NO_GROWTH, Growth, Reading, growth
from controller.qos.sums import CAUSES, Entry, Sum, Way

PORT_KINDS = frozenset({"rx", "tx"})
"""of the counters of a switch's ports"""
QUEUE_KIND = "queue"
"""before a port's number: of the counters of its queues, which are looked at by a clock of ours"""
Records = dict[str, bytes | None]
"""None: to be deleted"""


SHELF = 32
"""numbers of a switch's counters whose readings are one record: so much is written when one of them begins"""
_Shelf = tuple[int, int]
"""(dpid, which of its records)"""


class SourceKey(NamedTuple):
    """A counter of a switch."""

    dpid: int
    kind: str
    number: int


@dataclass(slots=True)
class _Source:
    last: Reading
    entries: tuple[Entry, ...] | None
    """None: as it was kept, not looked at since"""
    tag: str
    """stands for the entries"""
    kbps: int = 0
    is_unsure: bool = False
    """It began anew since the look before, nobody knows when: it is as fast as it was, as far as anybody knows."""


@dataclass(slots=True)
class _Account:
    uid: str
    sums: dict[Way, Sum] = field(default_factory=lambda: {"in": Sum(), "out": Sum()})
    at_s: float = 0.0
    dpids: set[int] = field(default_factory=set)
    """the switches that counted for it"""


@dataclass(slots=True)
class _Unseen:
    """What was kept of somebody, until all switches that counted for it were looked at again."""

    dpids: set[int]
    kept: Usage


class Accounts:
    """Belongs to one thread."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._sources: dict[SourceKey, _Source] = {}
        self._by_switch: defaultdict[int, set[SourceKey]] = defaultdict(set)
        self._unseen: dict[str, _Unseen] = {}
        """of what was kept: the switches that have not been looked at since, so that sums may be behind"""
        self._fresh: set[str] = set()
        """of whom `news` has something to tell"""
        self._touched: set[str] = set()
        self._shelves: defaultdict[_Shelf, set[SourceKey]] = defaultdict(set)
        """the counters of each record"""
        self._touched_shelves: set[_Shelf] = set()
        """whose records are to be kept"""
        self.has_begun = False
        """A counter began, or anew if it is no meter's: what it stands at is kept ahead of showing what it grows by."""

    # -- looks

    def look(
        self, key: SourceKey, reading: Reading, entries: tuple[Entry, ...], at_s: float, *, is_new: bool = False,
        is_modified: bool = False,
    ) -> Growth:
        """A counter was read; returns what it grew by for these entries.

        `is_new`: the switch was looked at before and did not have it, so all it shows is theirs.  `is_modified`: it may
        have begun anew, even if it does not show: what it counts has no rate.
        """
        source = self._sources.get(key)
        if source is None and is_new:
            source = self._begin(key, None, Reading(0, 0, 0), entries, at_s)
        if source is None or not _is_same(source, entries):
            self._begin(key, source, reading, entries, at_s)
            return NO_GROWTH
        source.entries = entries
        grown = growth(source.last, reading, outlives_its_clock=_outlives_its_clock(key.kind))
        went_back = any(now < before for now, before in zip(reading, source.last, strict=True))
        if went_back or reading[:2] != source.last[:2]:
            self._touched_shelves.add(_shelf_of(key))
        # A meter begins anew whenever its rate changes, which is no reason to write to the disk each time.
        self.has_begun |= went_back and (
            key.kind.startswith(QUEUE_KIND) or any(entry.dropped_by is None for entry in entries))
        source.last = reading
        if went_back or is_modified or grown.duration_ns:
            self._doubt(source, is_unsure=(went_back or is_modified) and not source.is_unsure)
        kbps = source.kbps if source.is_unsure or not grown.duration_ns else grown.kbps
        for entry in entries:
            self._count(entry, key.dpid, grown, kbps - source.kbps, at_s)
        source.kbps = kbps
        return grown

    def looked(self, dpid: int, kinds: Set[str], seen: Set[SourceKey]) -> None:
        """All counters of these kinds on the switch were read: those not seen are gone."""
        for key in [key for key in self._by_switch[dpid] if key.kind in kinds and key not in seen]:
            self._drop_source(key)

    def caught_up(self, dpid: int) -> None:
        """All counters of what is carried were read on this switch."""
        for name in [name for name, unseen in self._unseen.items() if dpid in unseen.dpids]:
            self._unseen[name].dpids.discard(dpid)
            if not self._unseen[name].dpids:
                del self._unseen[name]
                self._fresh.add(name)

    def out_of_reach(self, dpid: int) -> None:
        """Nobody knows what the switch carries now; its counters are continued when it is back."""
        for key in self._by_switch.get(dpid, ()):
            self._set_rate(self._sources[key], 0)

    def settle(self) -> None:
        """Wait no longer for switches to tell what happened before the restart."""
        self._fresh |= self._unseen.keys()
        self._unseen.clear()

    def forget(self, exists: Mapping[str, str], among: Iterable[str] | None = None) -> None:
        """Of objects that are no more (name -> uid of those that are), forget all.  `among`: only these may be."""
        names = list(self._accounts) if among is None else among
        for name in names:
            if name not in self._accounts or exists.get(name) == self._accounts[name].uid:
                continue
            del self._accounts[name]
            self._unseen.pop(name, None)
            self._touched.add(name)
            self._fresh.add(name)

    def switches(self) -> set[int]:
        """Those with counters."""
        return {dpid for dpid, keys in self._by_switch.items() if keys}

    def forget_switch(self, dpid: int) -> None:
        """Its counters mean nothing any more."""
        for key in list(self._by_switch.get(dpid, ())):
            self._drop_source(key)

    # -- answers

    def news(self) -> dict[str, Usage | None]:
        """The usage of all whose numbers changed since the last call; None: the object is no more."""
        fresh, self._fresh = self._fresh, set()
        return {name: self.usage(name) if name in self._accounts else None for name in fresh}

    def last(self, key: SourceKey) -> Reading | None:
        """What the counter stood at when it was looked at last, before a restart too."""
        source = self._sources.get(key)
        return source.last if source is not None else None

    def usage(self, name: str) -> Usage:
        """Zero, and at no time, for whoever was never looked at.

        After a restart what was kept, as of when it was looked at then, until all that happened since is counted: so
        whoever is shown more was shown something newer.
        """
        account = self._accounts.get(name)
        if account is None:
            return Usage(name=name)
        if (unseen := self._unseen.get(name)) is not None:
            return unseen.kept
        return _usage(name, account)

    def drops(self, name: str, way: Way) -> Drops:
        account = self._accounts.get(name)
        dropped = account.sums[way].dropped if account else {}
        return Drops(**{f"by_{cause}": dropped.get(cause, 0) for cause in CAUSES})

    def offered_kbps(self, name: str, way: Way) -> tuple[int, int]:
        """What it sent or was sent lately, and how much of it was dropped by any of its ceilings."""
        account = self._accounts.get(name)
        if account is None:
            return 0, 0
        total = account.sums[way]
        return max(0, total.kbps) + max(0, total.dropped_kbps), max(0, total.dropped_kbps)

    def own_dropped_kbps(self, name: str, way: Way) -> int:
        """What its own ceiling dropped lately, on all switches."""
        account = self._accounts.get(name)
        return max(0, account.sums[way].own_dropped_kbps) if account is not None else 0

    # -- what outlives a restart

    def changes(self) -> Records:
        """The records of what changed since the last call."""
        records = {f"usage/{name}": self._account_record(name) for name in self._touched}
        records |= {f"counters/{dpid:016x}/{number}": self._shelf_record((dpid, number))
                    for dpid, number in self._touched_shelves}
        self._touched, self._touched_shelves, self.has_begun = set(), set(), False
        return {key: None if record is None else json.dumps(record, separators=(",", ":")).encode()
                for key, record in records.items()}

    def not_kept(self, records: Iterable[str]) -> None:
        """These could not be kept: they are among the next changes again."""
        for key in records:
            kind, _, subject = key.partition("/")
            if kind == "usage":
                self._touched.add(subject)
            else:
                self._touched_shelves.add(_read_shelf(subject))

    def restore(self, key: str, record: bytes) -> None:
        """Take back what was kept, unless the record is of another kind.

        ValueError, KeyError or TypeError if it is none that `changes` made.
        """
        kind, _, subject = key.partition("/")
        if kind == "usage":
            account = _account_of(json.loads(record))
            self._accounts[subject] = account
            self._fresh.add(subject)
            if account.dpids:
                self._unseen[subject] = _Unseen(set(account.dpids), _usage(subject, account))
        elif kind == "counters":
            dpid, _ = _read_shelf(subject)
            for source_kind, number, octets, packets, duration_ns, tag in json.loads(record):
                source_key = SourceKey(dpid, source_kind, number)
                self._sources[source_key] = _Source(Reading(octets, packets, duration_ns), None, tag)
                self._put_away(source_key)

    # -- inside

    def _begin(
        self, key: SourceKey, before: _Source | None, reading: Reading, entries: tuple[Entry, ...], at_s: float
    ) -> _Source:
        if before is not None:
            self._set_rate(before, 0)
        source = self._sources[key] = _Source(reading, entries, _tag(entries))
        self.has_begun = True
        self._put_away(key)
        self._touched_shelves.add(_shelf_of(key))
        for entry in entries:
            self._count(entry, key.dpid, NO_GROWTH, 0, at_s)
        return source

    def _drop_source(self, key: SourceKey) -> None:
        self._set_rate(self._sources.pop(key), 0)
        self._by_switch[key.dpid].discard(key)
        self._shelves[_shelf_of(key)].discard(key)
        self._touched_shelves.add(_shelf_of(key))

    def _put_away(self, key: SourceKey) -> None:
        self._by_switch[key.dpid].add(key)
        self._shelves[_shelf_of(key)].add(key)

    def _doubt(self, source: _Source, *, is_unsure: bool) -> None:
        """What was carried is shown as it was, until this tells how much of it is dropped; but for one look only."""
        if source.is_unsure == is_unsure:
            return
        source.is_unsure = is_unsure
        for entry in source.entries or ():
            account = self._accounts.get(entry.name)
            if entry.was_counted and account is not None and account.uid == entry.uid:
                account.sums[entry.way].doubt(is_unsure=is_unsure)

    def _set_rate(self, source: _Source, kbps: int) -> None:
        self._doubt(source, is_unsure=False)
        for entry in source.entries or ():
            account = self._accounts.get(entry.name)
            if account is not None and account.uid == entry.uid:
                account.sums[entry.way].speed(entry, kbps - source.kbps)
                self._fresh.add(entry.name)
        source.kbps = kbps

    def _count(self, entry: Entry, dpid: int, grown: Growth, more_kbps: int, at_s: float) -> None:
        account = self._accounts.get(entry.name)
        if account is None or account.uid != entry.uid:
            account = self._accounts[entry.name] = _Account(entry.uid)
            self._unseen.pop(entry.name, None)
        account.at_s = at_s
        self._fresh.add(entry.name)
        account.dpids.add(dpid)
        total = account.sums[entry.way]
        total.speed(entry, more_kbps)
        if entry.dropped_by is None:
            total.carry(grown.bytes, grown.packets)
        else:
            total.drop(entry.dropped_by, grown.bytes, grown.packets)
            if entry.was_counted:
                total.owe(grown.bytes, grown.packets)
        if grown.bytes or grown.packets:
            self._touched.add(entry.name)

    def _account_record(self, name: str) -> Any:
        account = self._accounts.get(name)
        if account is None:
            return None
        sums = {
            way: [s.octets, s.packets, s.owed_octets, s.owed_packets, s.dropped_packets, s.dropped]
            for way, s in account.sums.items()
        }
        return {"uid": account.uid, "at_s": account.at_s, "dpids": sorted(account.dpids), **sums}

    def _shelf_record(self, shelf: _Shelf) -> Any:
        return [[key.kind, key.number, *self._sources[key].last, self._sources[key].tag]
                for key in sorted(self._shelves.get(shelf, ()))] or None


def _shelf_of(key: SourceKey) -> _Shelf:
    return key.dpid, key.number // SHELF


def _read_shelf(subject: str) -> _Shelf:
    dpid, _, number = subject.partition("/")
    return int(dpid, 16), int(number)


def _outlives_its_clock(kind: str) -> bool:
    return kind in PORT_KINDS or kind.startswith(QUEUE_KIND)


def _is_same(source: _Source, entries: tuple[Entry, ...]) -> bool:
    return source.entries == entries if source.entries is not None else source.tag == _tag(entries)


def _tag(entries: Iterable[Entry]) -> str:
    return blake2b(repr(tuple(entries)).encode(), digest_size=8).hexdigest()


def _usage(name: str, account: _Account) -> Usage:
    return Usage(name=name, inward=account.sums["in"].traffic(), outward=account.sums["out"].traffic(),
                 at_s=account.at_s)


def _account_of(record: Any) -> _Account:
    account = _Account(record["uid"], at_s=record["at_s"], dpids=set(record["dpids"]))
    for way in get_args(Way):
        octets, packets, owed_octets, owed_packets, dropped_packets, dropped = record[way]
        account.sums[way] = Sum(octets, packets, owed_octets, owed_packets, dict(dropped), dropped_packets)
    return account
