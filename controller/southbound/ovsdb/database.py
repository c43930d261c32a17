"""A copy of one server's database that keeps itself up to date, and the way to change it.

    unreachable ──connect──► get_schema ──► monitor_cond (dump) ──► live: update2 ...
        ▲                                                             │
        └──────────── wait, longer each time ◄────── ended ◄──────────┘

Belongs to the I/O loop.  Knows no bridge and no link.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from controller.southbound.complaints import Complaints
from controller.southbound.ovsdb.connection import PATIENT, Connection, Gone, Patience, RefusedError
from controller.southbound.ovsdb.remote import Remote
from controller.southbound.ovsdb.rows import Copy, MalformedError, Row, Schema, Uuid, read_schema
from controller.southbound.ovsdb.tables import DATABASE, TABLES

log = structlog.get_logger()

FIRST_RETRY_S = 0.25
LAST_RETRY_S = 8.0
_MONITOR = "pliant"


class Database:
    """Run it as a task; read `rows` on the same loop."""

    def __init__(
        self, remote: Remote, complaints: Complaints, *, tls: ssl.SSLContext | None = None,
        patience: Patience = PATIENT,
    ) -> None:
        self.remote = remote
        self._followers: list[Callable[[], None]] = []
        self._complaints = complaints
        self._tls = tls
        self._patience = patience
        self._connection: Connection | None = None
        self._copy = Copy({})

    def follow(self, changed: Callable[[], None]) -> None:
        """Call this whenever rows are others than before, also when they are known no longer."""
        self._followers.append(changed)

    @property
    def live(self) -> bool:
        """Connected, and the copy is whole."""
        return bool(self._copy.tables)

    def rows(self, table: str) -> Mapping[Uuid, Row]:
        """What the table holds; nothing while the server is out of reach."""
        return self._copy.tables.get(table, {})

    async def transact(self, *operations: Mapping[str, Any]) -> list[Any]:
        """All of these, or none; the results one by one.  Gone, or RefusedError with the server's words."""
        if self._connection is None or not self.live:
            raise Gone(f"{self.remote} is out of reach")
        results = await self._connection.call("transact", [DATABASE, *operations])
        if not isinstance(results, list):
            raise RefusedError(f"no results: {results!r:.80}")
        for result in results:
            if isinstance(result, dict) and result.get("error"):
                raise RefusedError(f"{result['error']}: {result.get('details', '')}"[:500])
        return results

    async def run(self) -> None:
        """Connect, keep the copy, connect again; until cancelled."""
        wait_s = FIRST_RETRY_S
        clock = asyncio.get_running_loop().time
        while True:
            begun_s = clock()
            try:
                reason = await self._follow()
            except (OSError, UnicodeError, Gone, RefusedError, MalformedError) as error:
                # TimeoutError and ssl.SSLError are OSErrors; a host name that cannot be one is a UnicodeError.
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            if self.live:
                self._forget()
            if clock() - begun_s > LAST_RETRY_S:
                wait_s = FIRST_RETRY_S
            self._complaints.warn("ovsdb_unreachable", str(self.remote), reason=reason)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LAST_RETRY_S)

    def _forget(self) -> None:
        self._copy = Copy({})
        self._tell()

    def _tell(self) -> None:
        for changed in self._followers:
            changed()

    async def _follow(self) -> str:
        """One connection, from its beginning to the reason of its end."""
        connection = await Connection.open(self.remote, self._notified, tls=self._tls, patience=self._patience)
        self._connection = connection
        try:
            schema = read_schema(await connection.call("get_schema", [DATABASE]), TABLES)
            asked = {table: [{"columns": list(columns)}] for table, columns in schema.items()}
            await connection.call(
                "monitor_cond", [DATABASE, _MONITOR, asked], arrived=lambda dump: self._load(schema, dump))
            return await connection.ended
        finally:
            self._connection = None
            connection.end("Pliant stops")

    def _load(self, schema: Schema, dump: object) -> None:
        copy = Copy(schema)
        copy.update(dump)
        self._copy = copy
        log.info("ovsdb_connected", remote=str(self.remote), bridges=len(self.rows("Bridge")))
        self._tell()

    def _notified(self, method: str, params: Any) -> None:
        match method, params:
            case "update2", [str(monitor), updates] if monitor == _MONITOR:
                if not self.live:
                    raise MalformedError("an update before the rows")
                self._copy.update(updates)
                self._tell()
