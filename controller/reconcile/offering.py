"""What tenants and networks that are on several edges send and receive on each.  Runs on the telemetry thread.

    ports of an edge ── every 5 s; every 0.5 s where somebody has a guarantee ──► rates ──► reconcile loop, and store

A ceiling may come to hold at any moment, by a policy or by a schedule, and its first shares follow what is known then
(opening.py).  A guarantee is to be kept also in that moment, hence the closer look.  It only reads the counters of
ports, of no switch more often than `Looks` allows, and of all of them in a small part of the time.  What is known is
kept, for a window may have opened by the time that pliantd is back from a restart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import structlog
from immutables import Map

from controller.model.bandwidth import Rates
from controller.model.ids import tenant_of
from controller.openflow import decode, messages
from controller.openflow.decode import PortStat
from controller.pipeline.views import rates_of
from controller.pipeline.world import World
from controller.qos.counters import Reading, growth
from controller.qos.demand import FALL
from controller.reconcile.answers import Answer, gather, read
from controller.reconcile.datapath import Datapath
from controller.reconcile.journal import CatchUp, Reader
from controller.reconcile.keeper import Cache
from controller.reconcile.looks import PERIOD_S, SHARE, Looks
from controller.reconcile.opening import Offer, Offers
from controller.reconcile.spread import Spread
from controller.reconcile.touched import EVERYTHING, Touched
from controller.service.interfaces import StoreFailed

log = structlog.get_logger()

CLOSE_S = 0.5
KEEP_S = 10.0
LITTLE_KBPS = 500
"""No reason to write to the disk."""
Key = tuple[int, str]
"""(dpid, tenant or network)"""


class Offering:
    """Belongs to the telemetry thread, but for `restore`; `post` has something called there."""

    def __init__(
        self, world: Callable[[], World], datapaths: Callable[[], Mapping[int, Datapath]],
        set_offers: Callable[[Offers], None], cache: Cache, *, clock: Callable[[], float],
        post: Callable[[Callable[[], None]], None], touched: Reader = lambda: EVERYTHING,
    ) -> None:
        """Args: touched: what may be otherwise in the world than at the last call."""
        self._world = world
        self._catch_up = CatchUp(touched, self._follow)
        self._datapaths = datapaths
        self._set_offers = set_offers
        self._cache = cache
        self._clock = clock
        self._post = post
        self._spread = Spread()
        self._looks: tuple[Looks[Datapath], Looks[Datapath]] = Looks(period_s=PERIOD_S), Looks(period_s=CLOSE_S)
        self._stats: dict[int, dict[int, PortStat]] = {}
        self._offers: Map[Key, Offer] = Map()
        self._kept: dict[str, bytes] = {}
        self._keep_s = 0.0
        self._rests_until_s = 0.0

    def restore(self) -> None:
        """Tell the loop, before it loads, what was known before the restart."""
        self._kept = {key: record for key, record in self._cache.cached().items() if key.startswith("offer/")}
        self._offers = Map({_key(key): Offer(*json.loads(record)) for key, record in self._kept.items()})
        self._set_offers(self._offers)

    def tick(self, now_s: float) -> None:
        """Called ten times a second."""
        self._catch_up()
        if now_s >= self._rests_until_s:
            self._ask(now_s)
        if now_s >= self._keep_s:
            self._keep_s = now_s + KEEP_S
            self._keep()

    def _ask(self, now_s: float) -> None:
        datapaths = self._datapaths()
        for dpid in self._stats.keys() - datapaths.keys():
            del self._stats[dpid]  # it goes on as it did, as far as anybody knows
        wide, close = self._spread.owners.keys(), self._spread.guaranteed.keys()
        for looks, wanted in zip(self._looks, (wide - close, close), strict=True):
            within = {dpid: datapaths[dpid] for dpid in wanted if dpid in datapaths}
            for dpid in looks.due(now_s, within, followed=False):
                gather([within[dpid].request(messages.port_stats_request())],
                       lambda answers, looks=looks, datapath=within[dpid]: self._post(  # type: ignore[misc]
                           partial(self._answered, looks, datapath, answers)))

    def _follow(self, touched: Touched) -> None:
        """Whom to look at, and where."""
        for key in self._spread.follow(self._world(), touched):
            if key in self._offers:
                self._offers = self._offers.delete(key)
        if touched.everything:  # there are also those kept from before a restart
            self._offers = Map({(dpid, owner): offer for (dpid, owner), offer in self._offers.items()
                                if dpid in self._spread.edges.get(owner, ())})

    def _answered(self, looks: Looks[Datapath], datapath: Datapath, answers: Sequence[Answer]) -> None:
        began_s, dpid = self._clock(), datapath.dpid
        stats = read(dpid, answers[0], decode.port_stats)
        if looks.answered(began_s, dpid, datapath) and stats is not None:
            self._note(dpid, stats)
        took_s = self._clock() - began_s
        self._rests_until_s = max(self._rests_until_s, began_s) + took_s * (1 / SHARE - 1)

    def _note(self, dpid: int, stats: Sequence[PortStat]) -> None:
        before, self._stats[dpid] = self._stats.get(dpid, {}), {stat.port_no: stat for stat in stats}
        world, found = self._world(), dict[str, Offer]()
        for network in world.placement.networks_at.get(dpid, ()):
            owners = [owner for owner in (network, tenant_of(network)) if dpid in self._spread.edges.get(owner, ())]
            for name in world.placement.presence[network][dpid] if owners else ():
                port, port_no = world.intent.ports.get(name), world.placement.at[name].port_no
                now, old = self._stats[dpid].get(port_no), before.get(port_no)
                if port is None or now is None or old is None:
                    continue
                if (offer := _offer(old, now, rates_of(world, port))) is not None:
                    for owner in owners:
                        known = found.get(owner, Offer())
                        found[owner] = Offer(known.in_kbps + offer.in_kbps, known.out_kbps + offer.out_kbps)
        for owner, offer in found.items():
            known = self._offers.get((dpid, owner), Offer())
            # A pause is not taken for the end.
            self._offers = self._offers.set((dpid, owner), Offer(
                max(offer.in_kbps, FALL * known.in_kbps), max(offer.out_kbps, FALL * known.out_kbps)))
        if found:
            self._set_offers(self._offers)

    def _keep(self) -> None:
        """What is other than what was kept, by more than chance."""
        records: dict[str, bytes | None] = dict.fromkeys(key for key in self._kept if _key(key) not in self._offers)
        for key, offer in self._offers.items():
            kept = self._kept.get(name := f"offer/{key[0]:016x}/{key[1]}")
            if kept is None or any(abs(now - was) > max(LITTLE_KBPS, was / 4)
                                   for now, was in zip(offer, json.loads(kept), strict=True)):
                records[name] = json.dumps([round(kbps) for kbps in offer]).encode()
        if not records:
            return
        try:
            self._cache.save_cache(records)
        except StoreFailed as error:
            log.error("offers_not_kept", error=str(error))
            return
        self._kept = {key: record for key, record in (self._kept | records).items() if record is not None}


def _offer(before: PortStat, now: PortStat, rates: Rates) -> Offer | None:
    """None: nobody knows, for the counters were zeroed, or it is the same look.

    What a port sends is counted ahead of its own ceiling, and what it receives behind that.
    """
    came, went = (
        growth(Reading(*was, before.duration_ns), Reading(*stat, now.duration_ns), outlives_its_clock=True)
        for was, stat in (
            ((before.rx_bytes, before.rx_packets), (now.rx_bytes, now.rx_packets)),
            ((before.tx_bytes, before.tx_packets), (now.tx_bytes, now.tx_packets))))
    if not (came.duration_ns and went.duration_ns):
        return None
    return Offer(went.kbps, min(came.kbps, rates.ceiling_out_kbps or came.kbps))


def _key(record: str) -> Key:
    _, dpid, owner = record.split("/", 2)
    return int(dpid, 16), owner
