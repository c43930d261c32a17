"""Keeps the links of the fabric under watch, as bfd.py decides, and reports the wires that died.

    fabric ──┐                   ┌─► one transaction per server, if anything is to be changed
             ├─► look at all ────┤
    rows ────┘                   └─► the dead wires, if they are others than before

Belongs to the I/O loop.  Whatever happened, all is looked at again: nothing that was missed stays missed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog

from controller.fabric.observed import Observed
from controller.fabric.ports import EndPoint
from controller.southbound.complaints import Complaints
from controller.southbound.ovsdb.bfd import Place, find_alive, find_beginning, find_dead, find_places, operations
from controller.southbound.ovsdb.connection import Gone, RefusedError
from controller.southbound.ovsdb.database import Database
from controller.southbound.ovsdb.doubts import DOUBT_S, Doubts

log = structlog.get_logger()

RETRY_S = 5.0
BEGIN_S = 5.0
"""Two ends that heard nothing of each other for so long keep nobody waiting."""
Operations = list[dict[str, Any]]


class Liveness:
    """Start it once the loop runs; it ends with the loop's tasks.  What the interfaces were told then stays."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, databases: Sequence[Database], complaints: Complaints, *,
        interval_ms: int, fabric: Callable[[], Observed], report: Callable[[frozenset[EndPoint]], None],
    ) -> None:
        self._loop = loop
        self._databases = databases
        self._complaints = complaints
        self._interval_ms = interval_ms
        self._fabric = fabric
        self._report = report
        self._dead: frozenset[EndPoint] = frozenset()
        self._doubts = Doubts()
        self._begun_s: dict[EndPoint, float] = {}
        """end that has never heard the other one -> since when it tries"""
        self._look_due = False
        self._writing: set[Database] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- any thread

    def start(self) -> None:
        self._loop.call_soon_threadsafe(self._start)

    def wake(self) -> None:
        """The fabric is another one."""
        if self._databases:
            with contextlib.suppress(RuntimeError):  # the loop is closed: Pliant stops
                self._loop.call_soon_threadsafe(self._changed)

    # -- the I/O loop

    def _start(self) -> None:
        for database in self._databases:
            database.follow(self._changed)
            self._spawn(database.run())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _changed(self) -> None:
        """Look soon; once for all that happens until then."""
        if not self._look_due:
            self._look_due = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._look_due = False
        places = find_places(self._databases)
        dead = find_dead(places)
        if dead != self._dead:
            self._dead = dead
            self._report(dead)
        fabric, now_s = self._fabric(), self._loop.time()
        for wire in self._doubts.follow(now_s, dead, find_alive(places), fabric):
            log.warning("bfd_doubted", wire=" - ".join(map(str, sorted(wire))), for_s=DOUBT_S)
            self._loop.call_later(DOUBT_S, self._changed)
        changes_by = operations(
            places, fabric, self._interval_ms, doubted=self._doubts.ends(now_s), busy=self._busy(places, fabric, now_s))
        for database, changes in changes_by.items():
            if database not in self._writing:
                self._writing.add(database)
                self._spawn(self._write(database, changes))

    def _busy(self, places: Mapping[EndPoint, Place], fabric: Observed, now_s: float) -> set[int]:
        """The switches where a watch is about to begin."""
        beginning = find_beginning(places)
        if beginning - self._begun_s.keys():
            self._loop.call_later(BEGIN_S, self._changed)
        self._begun_s = {at: self._begun_s.get(at, now_s) for at in beginning}
        young = (at for at, begun_s in self._begun_s.items() if now_s < begun_s + BEGIN_S)
        links = (fabric.link_at(at) for at in young)
        return {end.dpid for link in links if link is not None for end in (link.src, link.dst)}

    async def _write(self, database: Database, changes: Operations) -> None:
        """Change it, then look again: meanwhile something else may have become due."""
        try:
            await database.transact(*changes)
            log.info("bfd_set", remote=str(database.remote), interfaces=len(changes))
        except (Gone, RefusedError) as error:
            self._complaints.warn("bfd_not_set", str(database.remote), reason=str(error))
            await asyncio.sleep(RETRY_S)
        finally:
            self._writing.discard(database)
        self._changed()
