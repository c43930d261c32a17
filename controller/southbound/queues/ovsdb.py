"""Queues by rows of an OVSDB server, which Open vSwitch turns into classes of the kernel's.

For switches whose kernel forwards: their program puts each frame into its queue (set_queue).  The server says yes to
rows that the kernel refuses; so the switch is asked for the counters of the queues, and has those that it counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import structlog
from immutables import Map

from controller.fabric.ports import EndPoint, SwitchPort
from controller.model.queues import PortQueues, QueueCount
from controller.openflow.decode import DecodeError
from controller.openflow.queue_stats import QueueStat, queue_stats, queue_stats_request
from controller.reconcile.datapath import Datapath, Disconnected
from controller.reconcile.queue_driver import Brought
from controller.southbound.ovsdb.connection import Gone, RefusedError
from controller.southbound.ovsdb.database import Database
from controller.southbound.queues.rows import (
    ForeignError,
    Operation,
    datapath_types,
    find_ports,
    flattened,
    leftovers,
    operations,
)

log = structlog.get_logger()

APPLIED_WITHIN_S = 5.0
"""How long a switch may take from the row to the queue."""
LOOK_S = 0.1
SETTLED_AFTER_S = 10.0
"""A database that was not reached for so long is done without."""
T = TypeVar("T")


class OvsdbQueues:
    """Coroutines may be called on any loop; the databases belong to the I/O loop."""

    name = "ovsdb"

    def __init__(
        self, io_loop: asyncio.AbstractEventLoop, databases: Sequence[Database],
        datapath: Callable[[int], Datapath | None],
    ) -> None:
        self._io_loop = io_loop
        self._databases = databases
        self._datapath = datapath
        self._changed: Callable[[], None] = lambda: None
        self._unmet = set(databases)
        self.types: Map[int, str] = Map()
        """dpid -> "system" or "netdev", as it was known last; replaced as a whole"""
        self.is_settled = not databases
        """Each database was reached once, or takes too long."""

    def start(self, changed: Callable[[], None]) -> None:
        """From any thread.  `changed` is called, on the I/O loop, when the types of datapaths are known otherwise."""
        self._changed = changed
        self._io_loop.call_soon_threadsafe(self._start)

    def expect(self, n_families: int) -> bool:
        """Open vSwitch decides how long queues are."""
        return False

    async def bring(self, dpid: int, wanted: Mapping[SwitchPort, PortQueues | None]) -> Brought:
        """Make the queues of these ports so, and remove rows of ours that nothing refers to."""
        flat = {port: flattened(queues) if queues else None for port, queues in wanted.items()}
        return await self._ask(self._bring(dpid, flat))

    async def count(self, dpid: int, port: SwitchPort) -> Mapping[int, QueueCount]:
        """What each queue of a port counted; nothing if the switch does not say."""
        try:
            stats = await self._ask(self._stats(dpid, port.port_no))
        except (Disconnected, DecodeError):
            return {}
        return {stat.queue_id: QueueCount(stat.tx_bytes, stat.tx_packets, stat.tx_errors) for stat in stats}

    async def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._io_loop))

    # -- the I/O loop

    def _start(self) -> None:
        for database in self._databases:
            database.follow(self._look)
        self._io_loop.call_later(SETTLED_AFTER_S, self._settle)

    def _look(self) -> None:
        """Rows are others than before.  What a server out of reach said of its bridges holds on."""
        types = self.types.update(datapath_types(self._databases))
        self._unmet -= {database for database in self._databases if database.live}
        if types != self.types:
            self.types = types
            self._changed()
        if not self._unmet:
            self._settle()

    def _settle(self) -> None:
        if not self.is_settled:
            self.is_settled = True
            self._changed()

    async def _bring(self, dpid: int, wanted: Mapping[SwitchPort, PortQueues | None]) -> Brought:
        faults: dict[int, str] = {}
        written = 0
        places = find_ports(self._databases)
        for port, queues in wanted.items():
            place = places.get(EndPoint(dpid, port.port_no))
            if place is None:
                if queues:
                    faults[port.port_no] = f"no database in reach knows {port.name}"
                continue
            try:
                written += await _write(place.database, operations(place, queues))
            except (Gone, RefusedError, ForeignError) as error:
                faults[port.port_no] = str(error)
        for database in {place.database for at, place in places.items() if at.dpid == dpid}:
            try:
                written += await _write(database, leftovers(database))
            except (Gone, RefusedError) as error:
                log.info("queue_rows_left", remote=str(database.remote), reason=str(error))
        made = {port: queues for port, queues in wanted.items() if queues and port.port_no not in faults}
        for port, queues in made.items():
            if why := await self._why_not_made(dpid, port, queues):
                faults[port.port_no] = why
        return Brought(faults, written)

    async def _why_not_made(self, dpid: int, port: SwitchPort, queues: PortQueues) -> str:
        """"" once the switch counts what goes through each of them."""
        wanted = {queue.number for queue in queues.queues}
        end_s = self._io_loop.time() + APPLIED_WITHIN_S
        while True:
            try:
                counted = {stat.queue_id for stat in await self._stats(dpid, port.port_no)}
            except (Disconnected, DecodeError) as error:
                return f"the switch does not say what queues {port.name} has: {error}"
            if wanted <= counted:
                return ""
            if self._io_loop.time() >= end_s:
                return (f"the switch took the rows of {port.name}'s queues, but its kernel made {len(counted)} of "
                        f"{len(wanted)}: see ovs-vswitchd's log")
            await asyncio.sleep(LOOK_S)

    async def _stats(self, dpid: int, port_no: int) -> list[QueueStat]:
        datapath = self._datapath(dpid)
        if datapath is None:
            raise Disconnected("it is not connected")
        replies = await asyncio.wrap_future(datapath.request(queue_stats_request(port_no)), loop=self._io_loop)
        return queue_stats(replies)


async def _write(database: Database, changes: Sequence[Operation]) -> int:
    if changes:
        await database.transact(*changes)
    return len(changes)
