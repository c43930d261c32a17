"""What the ports of all switches carry, asked once a second, and only while somebody wants to know.

    the first one follows: rounds start, on the I/O loop ─► ask each switch ─► rates ─► notify ─► a second later, again
    the last one leaves: no more questions, and what was known is forgotten, for it ages

A switch that is slow to answer is not asked again before it did, and holds nobody up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog
from immutables import Map

from controller.fabric.ports import EndPoint
from controller.openflow import decode, messages
from controller.openflow.decode import DecodeError, PortStat
from controller.reconcile.datapath import Datapath
from controller.reconcile.followers import Followers
from controller.reconcile.rates import Rate, rates

log = structlog.get_logger()

PERIOD_S = 1.0


class Usage:
    """`follow` and `rates` may be called from any thread."""

    def __init__(
        self, datapaths: Callable[[], Mapping[int, Datapath]], io_loop: asyncio.AbstractEventLoop,
        *, period_s: float = PERIOD_S,
    ) -> None:
        self._datapaths = datapaths
        self._io_loop = io_loop
        self._period_s = period_s
        self._followers = Followers()
        # Of the I/O loop alone:
        self._running = False
        self._asked: dict[int, asyncio.Future[list[bytes]]] = {}
        self._seen: dict[int, dict[int, PortStat]] = {}
        self.rates: Map[EndPoint, Rate] = Map()
        """what left each port lately; replaced as a whole"""

    def follow(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Keep `rates` fresh until the returned function is called; `notify` is called after each round."""
        leave = self._followers.join(notify)
        self._io_loop.call_soon_threadsafe(self._start)
        return leave

    # -- on the I/O loop

    def _start(self) -> None:
        if not self._running:
            self._running = True
            self._round(0)

    def _round(self, number: int) -> None:
        """Once a period: tell what came in, ask again."""
        if not self._followers:
            self._running = False
            self._seen.clear()
            self.rates = Map()
            return
        self._followers.tell()
        for dpid, datapath in self._datapaths().items():
            if dpid not in self._asked:
                answer = asyncio.wrap_future(datapath.request(messages.port_stats_request()), loop=self._io_loop)
                self._asked[dpid] = answer
                answer.add_done_callback(lambda done, dpid=dpid: self._answered(dpid, done))  # type: ignore[misc]
        # Two looks make a rate, so the first ones come soon.
        gap_s = self._period_s / 4 if number < 2 else self._period_s
        self._io_loop.call_later(gap_s, self._round, number + 1)

    def _answered(self, dpid: int, done: asyncio.Future[list[bytes]]) -> None:
        self._asked.pop(dpid, None)
        if done.cancelled() or done.exception() is not None:
            self._note(dpid, [])  # it went away, or knows no such counters
            return
        try:
            self._note(dpid, decode.port_stats(done.result()))
        except DecodeError as error:
            log.info("port_stats_malformed", dpid=dpid, error=str(error))
            self._note(dpid, [])

    def _note(self, dpid: int, stats: Sequence[PortStat]) -> None:
        fresh = rates(self._seen.get(dpid, {}), stats)
        self._seen[dpid] = {stat.port_no: stat for stat in stats}
        with self.rates.mutate() as changed:
            for at in [at for at in self.rates if at.dpid == dpid and at.port_no not in fresh]:
                del changed[at]
            for port_no, rate in fresh.items():
                changed[EndPoint(dpid, port_no)] = rate
            self.rates = changed.finish()
