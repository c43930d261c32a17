"""The telemetry thread: looks at the counters of all switches and keeps account of what every object carried.

    tick ─► ask who is due (looks.py) ─► answers, handed over by the I/O loop ─► inbox ─► accounts ─► followers
                                                                                             └─► store, every 10 s

The only thread that owns the accounts.  What others read is replaced as a whole.  Meters are asked ahead of ports, so
that what was dropped is never newer than what came in.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial

import structlog
from immutables import Map

from controller.fabric.ports import EndPoint
from controller.model.usage import Usage
from controller.openflow import decode, messages
from controller.openflow.decode import MeterStat, PortStat
from controller.pipeline.world import Share, World
from controller.qos.accounts import Accounts, SourceKey
from controller.qos.counters import Reading
from controller.qos.sums import Entry
from controller.reconcile.answers import Answer, gather, read
from controller.reconcile.datapath import Datapath
from controller.reconcile.followers import Followers
from controller.reconcile.journal import CatchUp, Reader
from controller.reconcile.keeper import Cache
from controller.reconcile.looks import Looks
from controller.reconcile.owners import Owners, OwnersBook, exists, link_name
from controller.reconcile.rates import Rate, rates
from controller.reconcile.touched import EVERYTHING, Touched
from controller.service.interfaces import StoreFailed

log = structlog.get_logger()

TICK_S = 0.1
SAVE_S = 10.0
BEGUN_SAVE_S = 1.0
"""What a counter stood at when it began is kept sooner, and ahead of showing anything of it."""
PEEK_COST = 4
"""To ask for a port by itself costs as much as so many of those that come with all the others."""
SETTLE_S = 10.0
"""How long after a start a switch may take to come back before sums are shown without what it counted meanwhile."""
Counter = tuple[SourceKey, tuple[Entry, ...] | None, Reading]


class Telemetry:
    """`follow`, `usage` and `rates` may be called from any thread; between `start` and `stop` nothing else is."""

    def __init__(
        self, world: Callable[[], World], datapaths: Callable[[], Mapping[int, Datapath]], cache: Cache, *,
        clock: Callable[[], float], wall_clock: Callable[[], float], touched: Reader = lambda: EVERYTHING,
        looks: Looks[Datapath] | None = None,
    ) -> None:
        """Args: touched: what may be otherwise in the world than at the last call."""
        self._world = world
        self._datapaths = datapaths
        self._cache = cache
        self._clock = clock
        self._wall_clock = wall_clock
        self._followers = Followers()
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        # Of the thread alone:
        self._ticks: list[Callable[[float], None]] = [self._tick]
        self._looks: Looks[Datapath] = looks or Looks()
        self.accounts = Accounts()
        self.looks_had = 0
        self._connected: set[int] = set()
        self._seen: dict[int, dict[int, PortStat]] = {}
        self._meters: dict[int, set[int]] = {}
        """those that a switch had at the last look of this connection"""
        self._shares: dict[int, Map[tuple[int, str], Share]] = {}
        """those in force then: with another one a meter begins anew"""
        self._catch_up = CatchUp(touched, self._notice)
        self._owners = OwnersBook()
        self._known_at: Map[str, EndPoint] = Map()
        """where ports are bound, as far as it was noticed"""
        self._fresh: defaultdict[int, set[int]] = defaultdict(set)
        """switch ports that came to be somebody's and were not looked at since"""
        self._peeked_at: set[int] = set()
        """switches that were asked about some, and did not answer yet"""
        self._news = False
        self._saved_s = self._settles_s = 0.0
        # Of everybody, replaced as a whole:
        self.rates: Map[EndPoint, Rate] = Map()
        """what left each port lately, while somebody follows"""
        self._usage: Map[str, Usage] = Map()

    # -- any thread

    def post(self, deed: Callable[[], None]) -> None:
        """Have it called on the thread."""
        self._inbox.put(deed)

    def also(self, tick: Callable[[float], None]) -> None:
        """Have this called at every tick, with the time.  Before `start`."""
        self._ticks.append(tick)

    def start(self) -> None:
        """Continue the sums that were kept."""
        for key, value in self._cache.cached().items():
            try:
                self.accounts.restore(key, value)
            except (ValueError, KeyError, TypeError) as error:
                log.error("usage_unreadable", record=key, error=repr(error))
        self._settles_s = self._clock() + SETTLE_S
        self._publish()
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Keep what was counted; True if the thread ended in time."""
        self._inbox.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def follow(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Look every second and notify after each look, until the returned function is called."""
        is_first = not self._followers
        leave = self._followers.join(notify)
        if is_first:
            self._inbox.put(self._look_afresh)
        return leave

    def usage(self, kind: str, parent: str = "") -> Sequence[Usage]:
        """Of all "tenant", "network", "port", "pipe" or "link" at or below `parent`, as of the last look."""
        world, known = self._world(), self._usage
        if kind == "link":
            names = [link_name(src) for src in world.fabric.links] if not parent else []
        else:
            collection = f"{kind}s"
            above = f"{parent}/" if parent else ""
            names = [obj.name for obj in world.intent.objects()
                     if obj.name.rsplit("/", 2)[-2] == collection and f"{obj.name}/".startswith(above)]
        return [known.get(name) or Usage(name=name) for name in names]

    # -- the thread

    def _run(self) -> None:
        next_tick_s = self._clock()
        while True:
            try:
                message = self._inbox.get(timeout=max(0.0, next_tick_s - self._clock()))
                if message is None:
                    self._safely(self._save)
                    return
                self._safely(message)
            except queue.Empty:
                pass
            if (now_s := self._clock()) >= next_tick_s:
                next_tick_s = max(next_tick_s + TICK_S, now_s)
                for tick in self._ticks:
                    self._safely(partial(tick, now_s))

    def _safely(self, deed: Callable[[], None]) -> None:
        """One bad answer must not end all counting."""
        try:
            deed()
        except Exception:
            log.exception("telemetry_failed")

    def _tick(self, now_s: float) -> None:
        self._catch_up()
        datapaths = self._datapaths()
        for dpid in self._connected - datapaths.keys():
            self._out_of_reach(dpid)
        self._connected = set(datapaths)
        if self._settles_s and now_s >= self._settles_s:
            self._settles_s = 0.0
            self.accounts.settle()
            self._news = True
        if now_s >= (self._saved_s + BEGUN_SAVE_S if self.accounts.has_begun else self._saved_s + SAVE_S):
            self._save()
        if self._news and not self.accounts.has_begun:
            self._publish()
            self._followers.tell()
        if not self._followers and self._seen:
            self._seen.clear()  # by the time somebody follows it is old
            self.rates = Map()
        for dpid in self._looks.due(now_s, datapaths, followed=bool(self._followers)):
            self._ask(datapaths[dpid])
        self._peek(datapaths)

    def _notice(self, touched: Touched) -> None:
        """What changed in the world: objects that went, ports that came."""
        world = self._world()
        self._owners.follow(world, touched)
        switches, among = world.fabric.switches, [*touched.names, *map(link_name, touched.links)]
        self.accounts.forget(exists(world), None if touched.everything else among)
        for dpid in self.accounts.switches() if touched.everything else touched.switches:
            if dpid not in switches:
                self.accounts.forget_switch(dpid)
        known_at, self._known_at = self._known_at, world.placement.at
        ports = self._known_at if touched.everything else touched.names
        for port in ports:
            if (at := self._known_at.get(port)) is not None and known_at.get(port) != at:
                self._fresh[at.dpid].add(at.port_no)

    def _look_afresh(self) -> None:
        """Somebody begins to follow."""
        self._looks.hurry_all(looks=2)
        self._tick(self._clock())

    def _out_of_reach(self, dpid: int) -> None:
        self.accounts.out_of_reach(dpid)
        self.rates = Map({at: rate for at, rate in self.rates.items() if at.dpid != dpid})
        self._seen.pop(dpid, None)
        self._meters.pop(dpid, None)
        self._shares.pop(dpid, None)
        self._news = True

    # -- a look

    def _ask(self, datapath: Datapath) -> None:
        frames = [messages.port_stats_request()]
        if datapath.features.max_meters:
            frames.insert(0, messages.meter_stats_request())
        gather([datapath.request(frame) for frame in frames],
               lambda answers: self._inbox.put(partial(self._answered, datapath, answers)))

    def _peek(self, datapaths: Mapping[int, Datapath]) -> None:
        """Look at ports that came, and at no others: what they carry from now on counts."""
        for dpid in self._fresh.keys() - self._peeked_at:
            ports, datapath = self._fresh.pop(dpid), datapaths.get(dpid)
            if datapath is None:
                continue  # it is looked at when it is back
            if PEEK_COST * len(ports) > len(self._owners.on(dpid).rx):
                self._looks.hurry({dpid})
                continue
            self._peeked_at.add(dpid)
            gather([datapath.request(messages.port_stats_request(port_no)) for port_no in ports],
                   lambda answers, datapath=datapath: self._inbox.put(  # type: ignore[misc]
                       partial(self._peeked, datapath, answers)))

    def _peeked(self, datapath: Datapath, answers: Sequence[Answer]) -> None:
        dpid = datapath.dpid
        self._peeked_at.discard(dpid)
        if self._datapaths().get(dpid) is not datapath:
            return
        self._catch_up()
        owners, at_s = self._owners.on(dpid), self._wall_clock()
        for answer in answers:
            for key, entries, reading in _of_ports(dpid, read(dpid, answer, decode.port_stats) or (), owners):
                if entries:
                    self.accounts.look(key, reading, entries, at_s)
        self._news = True

    def _answered(self, datapath: Datapath, answers: Sequence[Answer]) -> None:
        dpid = datapath.dpid
        if not self._looks.answered(self._clock(), dpid, datapath):
            return
        self._news = True
        self.looks_had += 1
        stats = read(dpid, answers[-1], decode.port_stats)
        if stats is None:
            self._out_of_reach(dpid)
            return
        self._catch_up()
        owners, at_s = self._owners.on(dpid), self._wall_clock()
        for answer in answers[:-1]:
            if (meter_stats := read(dpid, answer, decode.meter_stats)) is not None:
                self._note_meters(dpid, meter_stats, owners, at_s)
        self._note_ports(dpid, stats, owners, at_s)
        self._note_rates(dpid, stats)

    def _note_meters(self, dpid: int, stats: Sequence[MeterStat], owners: Owners, at_s: float) -> None:
        dropped = ((SourceKey(dpid, "meter", stat.id), owners.meters.get(stat.id),
                    Reading(stat.dropped_bytes, stat.dropped_packets, stat.duration_ns)) for stat in stats)
        came = ((SourceKey(dpid, "through", stat.id), owners.passes.get(stat.id),
                 Reading(stat.bytes, stat.packets, stat.duration_ns)) for stat in stats)
        counters = itertools.chain(dropped, came)
        shares = self._world().shares
        before, self._shares[dpid] = self._shares.get(dpid, shares), shares
        moved = {one for one, entries in owners.meters.items()
                 if entries and before.get(key := (dpid, entries[0].name)) != shares.get(key)
                 } if before is not shares else set()
        self._note(dpid, {"meter", "through"}, counters, at_s, known=self._meters.get(dpid), modified=moved)
        self._meters[dpid] = {stat.id for stat in stats}

    def _note_ports(self, dpid: int, stats: Sequence[PortStat], owners: Owners, at_s: float) -> None:
        self._note(dpid, {"rx", "tx"}, _of_ports(dpid, stats, owners), at_s)
        self.accounts.caught_up(dpid)

    def _note(
        self, dpid: int, kinds: Set[str], counters: Iterable[Counter], at_s: float, *, known: Set[int] | None = None,
        modified: Set[int] = frozenset(),
    ) -> None:
        """Enter what all counters of these kinds stand at, those left out that are nobody's.

        `known`: not new.  `modified`: maybe begun anew.
        """
        seen = set()
        for key, entries, reading in counters:
            if entries:
                seen.add(key)
                is_new = known is not None and key.number not in known
                self.accounts.look(
                    key, reading, entries, at_s, is_new=is_new, is_modified=key.number in modified)
        self.accounts.looked(dpid, kinds, seen)

    def _note_rates(self, dpid: int, stats: Sequence[PortStat]) -> None:
        if not self._followers:
            return
        fresh = rates(self._seen.get(dpid, {}), stats)
        self._seen[dpid] = {stat.port_no: stat for stat in stats}
        with self.rates.mutate() as changed:
            for at in [at for at in self.rates if at.dpid == dpid and at.port_no not in fresh]:
                del changed[at]
            for port_no, rate in fresh.items():
                changed[EndPoint(dpid, port_no)] = rate
            self.rates = changed.finish()

    # -- what others see, and what is kept

    def _publish(self) -> None:
        self._news = False
        usage = self._usage.mutate()
        for name, now in self.accounts.news().items():
            if now is None:
                usage.pop(name, None)
            else:
                usage[name] = now
        self._usage = usage.finish()

    def _save(self) -> None:
        self._saved_s = self._clock()
        changes = self.accounts.changes()
        if not changes:
            return
        try:
            self._cache.save_cache(changes)
        except StoreFailed as error:
            self.accounts.not_kept(changes)
            log.error("usage_not_kept", error=str(error))


def _of_ports(dpid: int, stats: Iterable[PortStat], owners: Owners) -> Iterator[Counter]:
    for stat in stats:
        yield (SourceKey(dpid, "rx", stat.port_no), owners.rx.get(stat.port_no),
               Reading(stat.rx_bytes, stat.rx_packets, stat.duration_ns))
        yield (SourceKey(dpid, "tx", stat.port_no), owners.tx.get(stat.port_no),
               Reading(stat.tx_bytes, stat.tx_packets, stat.duration_ns))
