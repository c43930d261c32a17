"""Moves the shares of ceilings that hold over several edge switches, by demand.  Runs on the telemetry thread.

    every 0.5 s   ask the meters that hold shares ─► demands ─► one allocation of all ceilings ─► sharing.py
                                                                                                    │
                  confirmed by barrier ◄── switches ◄── reconcile loop ◄── kept in the store ◄── shares to tell

A share is kept before it is told, so after a restart nobody is told anything that, beside what others may still hold,
is more than the ceiling.  Each change of a meter zeroes its counters: a look that spans one tells no rate, but whether
anything was dropped since.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import get_args

import structlog

from controller.intent.keys import Keys
from controller.model.bandwidth import Rates, entry_kbps
from controller.openflow import decode, messages
from controller.openflow.decode import MeterStat
from controller.pipeline import tables
from controller.pipeline.tables import MeterKind
from controller.pipeline.world import AS_IT_IS, Share, World
from controller.qos.allocation import Aggregate, Allocator
from controller.qos.counters import Reading, growth
from controller.qos.sharing import PERIOD_S, Sharing
from controller.qos.sums import Way
from controller.reconcile.answers import Answer, gather, read
from controller.reconcile.datapath import Datapath
from controller.reconcile.keeper import Cache
from controller.reconcile.metrics import SHARES_TOLD
from controller.reconcile.opening import burst_of, ceiling_of, limited_at, promised_at
from controller.reconcile.status import Waiter
from controller.service.interfaces import StoreFailed

log = structlog.get_logger()

LOOK_S = 0.1
"""How long after the questions the answers are used; one that comes later counts the next time."""
CONFIRM_S = 2.0
FEW_METERS = 8
"""Up to so many are asked for one by one, else all that a switch has."""
WAYS: tuple[Way, ...] = get_args(Way)
KINDS: dict[Way, MeterKind] = {"in": MeterKind.IN, "out": MeterKind.OUT}
Key = tuple[int, str]
"""(dpid, tenant, network, or pipe between networks)"""
SetShares = Callable[[Mapping[Key, Share | None], float], Waiter]


@dataclass(slots=True)
class _Owner:
    """A tenant, network, or pipe whose ceiling is shared.  Of a pipe each direction has edges of its own."""

    ways: dict[Way, Sharing] = field(default_factory=dict)
    guarantee: dict[Way, int] = field(default_factory=dict)
    promised: dict[Way, dict[int, float]] = field(default_factory=dict)
    """dpid -> what ports there are guaranteed"""

    @property
    def leaving(self) -> set[int]:
        return {dpid for sharing in self.ways.values() for dpid in sharing.leaving}

    @property
    def is_whole(self) -> bool:
        """There is nobody left to share with, and whoever is left may have all of it."""
        return not self.leaving and not any(
            len(sharing.edges) > 1 or sharing.unconfirmed() or sharing.told_kbps(dpid) < sharing.ceiling_kbps
            for sharing in self.ways.values() for dpid in sharing.edges)

    def share(self, dpid: int) -> Share:
        """What the edge was told, in the directions that are shared there; 0: the whole.  Where nothing of it is any
        more, something is left behind in case that it comes back.
        """
        told = {way: _told(sharing, dpid) for way, sharing in self.ways.items()}
        return Share(in_kbps=told.get("in", AS_IT_IS), out_kbps=told.get("out", AS_IT_IS))


@dataclass(slots=True)
class _Meter:
    """The last look at one meter."""

    asked_s: float
    came: Reading
    dropped: Reading


class Elastic:
    """Belongs to the telemetry thread, but for `restore`; `post` has something called there."""

    def __init__(
        self, world: Callable[[], World], datapaths: Callable[[], Mapping[int, Datapath]], set_shares: SetShares,
        cache: Cache, *, clock: Callable[[], float], post: Callable[[Callable[[], None]], None],
    ) -> None:
        self._world = world
        self._datapaths = datapaths
        self._set_shares = set_shares
        self._cache = cache
        self._clock = clock
        self._post = post
        self._owners: dict[str, _Owner] = {}
        self._kept: dict[Key, Share] = {}
        """what was told last, or before a restart"""
        self._allocator: Allocator[tuple[str, Way, int]] = Allocator()
        self._seen: tuple[object, ...] = ()
        self._meters: dict[tuple[int, int], _Meter] = {}
        self._modified_s: dict[Key, float] = {}
        """when a share was last told, or confirmed"""
        self._asked: set[int] = set()
        self._under_way: dict[Key, Share] = {}
        self._next_s = 0.0
        self._aim_s: float | None = None

    def restore(self) -> None:
        """Tell the loop, before it starts, what every edge was told before the restart."""
        for key, record in self._cache.cached().items():
            kind, _, subject = key.partition("/")
            if kind == "share":
                dpid, _, owner = subject.partition("/")
                self._kept[int(dpid, 16), owner] = Share(*json.loads(record))
        if self._kept:
            self._set_shares(dict(self._kept), CONFIRM_S)

    def tick(self, now_s: float) -> None:
        """Called ten times a second."""
        if self._aim_s is not None and now_s >= self._aim_s:
            self._aim_s = None
            self._aim(now_s)
        if now_s >= self._next_s:
            self._next_s = now_s + PERIOD_S
            self._aim_s = now_s + LOOK_S
            self._ask(now_s)

    # -- questions

    def _ask(self, now_s: float) -> None:
        """The meters that hold shares, of every switch that answered the last time."""
        datapaths = self._datapaths()
        for dpid, meters in self._wanted_meters().items():
            datapath = datapaths.get(dpid)
            if datapath is None or dpid in self._asked:
                continue
            frames = [messages.meter_stats_request(one) for one in meters] if len(meters) <= FEW_METERS else [
                messages.meter_stats_request()]
            self._asked.add(dpid)
            gather([datapath.request(frame) for frame in frames],
                   lambda answers, dpid=dpid, meters=meters: self._post(  # type: ignore[misc]
                       partial(self._answered, dpid, meters, now_s, answers)))

    def _wanted_meters(self) -> dict[int, dict[int, tuple[str, Way]]]:
        keys = self._world().intent.keys
        wanted: dict[int, dict[int, tuple[str, Way]]] = {}
        for name, owner in self._owners.items():
            for way, sharing in owner.ways.items():
                for dpid in sharing.edges:
                    if (meter_id := _meter_id(keys, dpid, name, KINDS[way])) is not None:
                        wanted.setdefault(dpid, {})[meter_id] = name, way
        return wanted

    def _answered(
        self, dpid: int, meters: Mapping[int, tuple[str, Way]], asked_s: float, answers: Sequence[Answer]
    ) -> None:
        self._asked.discard(dpid)
        for answer in answers:
            for stat in read(dpid, answer, decode.meter_stats) or ():
                if stat.id in meters:
                    self._look(dpid, *meters[stat.id], stat, asked_s)

    def _look(self, dpid: int, name: str, way: Way, stat: MeterStat, asked_s: float) -> None:
        now = _Meter(asked_s, Reading(stat.bytes, stat.packets, stat.duration_ns),
                     Reading(stat.dropped_bytes, stat.dropped_packets, stat.duration_ns))
        before, self._meters[dpid, stat.id] = self._meters.get((dpid, stat.id)), now
        owner = self._owners.get(name)
        if before is None or owner is None or way not in owner.ways or dpid not in owner.ways[way].edges:
            return
        came, dropped = growth(before.came, now.came), growth(before.dropped, now.dropped)
        sharing = owner.ways[way]
        if self._modified_s.get((dpid, name), -1.0) >= before.asked_s:
            if dropped.bytes:
                sharing.look(dpid, sharing.told_kbps(dpid), 1.0)
        elif came.duration_ns:
            sharing.look(dpid, came.kbps, dropped.kbps)

    # -- decisions

    def _aim(self, now_s: float) -> None:
        world, reachable = self._world(), self._datapaths().keys()
        self._follow(world)
        switches = world.fabric.switches
        linked = {src.dpid for src, link in world.fabric.links.items() if link.up}
        for name, owner in self._owners.items():
            places = dict(zip(WAYS, limited_at(world, name), strict=True))
            for way, sharing in owner.ways.items():
                weights = {dpid: n for dpid, n in places[way].items() if switches[dpid].features.max_meters}
                for dpid in set(sharing.edges) - weights.keys():
                    self._allocator.put((name, way, dpid), None)
                sharing.place(now_s, weights, reachable, linked)
                sharing.promise(owner.guarantee[way], owner.promised[way])
                self._allocator.set_capacity((name, way), sharing.total_kbps)
                for dpid in sharing.edges:
                    self._allocator.put((name, way, dpid), _aggregate(name, way, sharing, dpid))
        self._allocator.solve()
        for name, owner in self._owners.items():
            for way, sharing in owner.ways.items():
                sharing.aim(now_s, {
                    dpid: self._allocator.allotment((name, way, dpid)).rate_kbps for dpid in sharing.edges})
        self._tell(self._owners, now_s)

    def _follow(self, world: World) -> None:
        """Whose ceilings are shared now."""
        seen = (world.intent, world.rates, world.placement, world.shares)
        if all(now is before for now, before in zip(seen, self._seen, strict=False)) and self._seen:
            return
        self._seen = seen
        limited = {name: rates for name in _owners(world) if (rates := ceiling_of(world, name)) is not None}
        for name in [name for name in self._owners if name not in limited or self._owners[name].is_whole]:
            self._drop(name)
        for name, rates in limited.items():
            places = limited_at(world, name)
            if name in self._owners or max(map(len, places)) > 1:
                held = {way: {dpid: _of(way, world.shares.get((dpid, name), Share())) for dpid in here}
                        for way, here in zip(WAYS, places, strict=True)}
                owner, promised = self._owners.setdefault(name, _Owner()), promised_at(world, name)
                owner.guarantee = {"in": rates.guarantee_in_kbps, "out": rates.guarantee_out_kbps}
                owner.promised = {way: {dpid: both[nth] for dpid, both in promised.items()}
                                  for nth, way in enumerate(WAYS)}
                self._set_ceilings(name, owner, rates, held, burst_of(world, name))
        stray = dict.fromkeys(key for key in (*world.shares, *self._kept) if key[1] not in self._owners)
        if stray and self._keep(stray):
            self._set_shares(stray, CONFIRM_S)

    def _set_ceilings(
        self, name: str, owner: _Owner, rates: Rates, held: Mapping[Way, Mapping[int, int]], burst_ms: int,
    ) -> None:
        """`held`: what each edge was told, here or by the loop, which divides a ceiling in the step in which it became
        this; 0: the whole.
        """
        is_told = any(key[1] == name for key in self._under_way)
        for way in WAYS:
            kbps = _of(way, Share(rates.ceiling_in_kbps, rates.ceiling_out_kbps))
            told = {dpid: share or kbps for dpid, share in held[way].items()}
            if not kbps:
                if (gone := owner.ways.pop(way, None)) is not None:
                    self._withdraw(name, way, gone)
            elif (sharing := owner.ways.get(way)) is None:
                owner.ways[way] = Sharing(kbps, told, burst_ms=burst_ms)
            else:
                is_lower = kbps < sharing.ceiling_kbps
                sharing.set_ceiling(kbps, burst_ms)
                if is_lower or not is_told:
                    sharing.told_by_others(self._clock(), told)
                else:
                    self._seen = ()  # what is under way is not in this world yet

    def _drop(self, name: str) -> None:
        for way, sharing in self._owners.pop(name).ways.items():
            self._withdraw(name, way, sharing)

    def _withdraw(self, name: str, way: Way, sharing: Sharing) -> None:
        for dpid in sharing.edges:
            self._allocator.put((name, way, dpid), None)
        self._allocator.set_capacity((name, way), None)

    # -- what follows

    def _tell(self, names: Iterable[str], now_s: float) -> None:
        """Have the switches hold what is to be told now, and again what they did not confirm."""
        changes: dict[Key, Share | None] = {}
        for name in names:
            owner = self._owners[name]
            told = {dpid for sharing in owner.ways.values() for dpid in (*sharing.step(now_s), *sharing.unconfirmed())}
            changes |= {(dpid, name): owner.share(dpid) for dpid in told | owner.leaving}
        changes = {key: share for key, share in changes.items() if self._under_way.get(key) != share}
        if not changes or not self._keep(changes):
            return
        for key, share in changes.items():
            assert share is not None
            self._modified_s[key] = now_s
            self._under_way[key] = share
            SHARES_TOLD.inc()
            self._set_shares({key: share}, CONFIRM_S).add_done_callback(
                lambda waiter, key=key, share=share: self._post(  # type: ignore[misc]
                    partial(self._confirmed, key, share, waiter)))

    def _confirmed(self, key: Key, share: Share, waiter: Waiter) -> None:
        if self._under_way.get(key) == share:
            del self._under_way[key]
        dpid, name = key
        owner = self._owners.get(name)
        if waiter.result() or owner is None:
            return  # not in time: it is told again
        self._modified_s[key] = now_s = self._clock()
        for way, sharing in owner.ways.items():
            if (kbps := _of(way, share)) == AS_IT_IS:
                continue
            if dpid in sharing.edges:
                sharing.confirm(dpid, kbps or sharing.ceiling_kbps)
            else:
                sharing.left(dpid)
        self._tell([name], now_s)

    def _keep(self, changes: Mapping[Key, Share | None]) -> bool:
        """Whether it is durable; nothing is told that a restart would not know."""
        changes = {key: None if share is None else share.after(self._kept.get(key, Share()))
                   for key, share in changes.items()}
        try:
            self._cache.save_cache({
                f"share/{dpid:016x}/{name}": None if share is None else json.dumps(share).encode()
                for (dpid, name), share in changes.items()})
        except StoreFailed as error:
            log.error("shares_not_kept", error=str(error))
            return False
        for key, share in changes.items():
            if share is None:
                self._kept.pop(key, None)
            else:
                self._kept[key] = share
        return True


def _owners(world: World) -> Iterator[str]:
    """All that can have a ceiling over several edges, pipes once or twice."""
    yield from world.placement.tenants
    for network in world.placement.presence:
        yield from (network, *world.intent.pipes_by_end.get(network, ()))


def _meter_id(keys: Keys, dpid: int, name: str, kind: MeterKind) -> int | None:
    if (pipe_id := keys.pipe_ids.get(name)) is not None:
        return tables.pipe_meter_id(pipe_id, kind)
    slot = keys.tenant_slot(dpid, name) or keys.network_slot(dpid, name)
    return None if slot is None else tables.meter_id(slot, kind)


def _told(sharing: Sharing, dpid: int) -> int:
    if dpid in sharing.leaving:
        return entry_kbps(sharing.ceiling_kbps)
    if dpid not in sharing.edges:
        return AS_IT_IS
    told_kbps = sharing.told_kbps(dpid)
    return 0 if told_kbps >= sharing.ceiling_kbps else told_kbps


def _of(way: Way, share: Share) -> int:
    return share.in_kbps if way == "in" else share.out_kbps


def _aggregate(name: str, way: Way, sharing: Sharing, dpid: int) -> Aggregate:
    asked = sharing.request(dpid)
    return Aggregate(
        guarantee_kbps=asked.guarantee_kbps, demand_kbps=asked.demand_kbps, weight=asked.weight,
        resources={(name, way): 1.0})
