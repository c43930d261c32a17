"""An OVSDB server in memory, as polite or as rude as a test wants it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from controller.southbound.ovsdb.framing import Framer
from controller.southbound.ovsdb.remote import Remote
from controller.southbound.ovsdb.tables import TABLES

SET = {"key": "string", "min": 0, "max": "unlimited"}
MAP = {**SET, "value": "string"}
UUIDS = {**SET, "key": "uuid"}
_TYPES: dict[str, Any] = {
    "name": "string", "type": "string", "datapath_type": "string", "datapath_id": {"key": "string", "min": 0},
    "ofport": {"key": "integer", "min": 0}, "ports": UUIDS, "interfaces": UUIDS, "qos": {"key": "uuid", "min": 0},
    "queues": {"key": "integer", "value": "uuid", "min": 0, "max": "unlimited"},
}
SCHEMA = {"tables": {
    table: {"columns": {name: {"type": _TYPES.get(name, MAP)} for name in names}} for table, names in TABLES.items()}}


class Server:
    """Answers each method with what `answers` holds; without one, not at all."""

    def __init__(self, path: Path) -> None:
        self.remote = Remote.parse(f"unix:{path}")
        self.answers: dict[str, Any] = {"get_schema": SCHEMA, "monitor_cond": {}, "transact": [{"count": 1}]}
        self.errors: dict[str, Any] = {}
        self.heard: list[dict[str, Any]] = []
        self.connections = 0
        self.after_dump = b""
        """sent in one piece with the dump"""
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.remote.path)

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """On a port of the loopback instead."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.remote = Remote.parse(f"ssl:127.0.0.1:{self._server.sockets[0].getsockname()[1]}")

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        Path(self.remote.path).unlink()
        self.hang_up()

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    def say(self, data: bytes) -> None:
        """To everybody."""
        for writer in self._writers:
            writer.write(data)

    def update(self, updates: Any) -> None:
        self.say(update(updates))

    def asked(self, method: str) -> list[Any]:
        """The parameters of each call of a method."""
        return [message["params"] for message in self.heard if message.get("method") == method]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        framer = Framer()
        while data := await reader.read(65_536):
            for message in framer.feed(data):
                self.heard.append(message)
                writer.write(b"".join(self._answer(message)))

    def _answer(self, message: dict[str, Any]) -> Iterable[bytes]:
        method = message.get("method")
        if method == "echo":
            yield json.dumps({"id": message["id"], "result": message["params"], "error": None}).encode()
        elif method in self.errors:
            yield json.dumps({"id": message["id"], "result": None, "error": self.errors[method]}).encode()
        elif method in self.answers:
            yield json.dumps({"id": message["id"], "result": self.answers[method], "error": None}).encode()
        if method == "monitor_cond":
            yield self.after_dump


def update(updates: Any) -> bytes:
    """A notification of the monitor."""
    return json.dumps({"id": None, "method": "update2", "params": ["pliant", updates]}).encode()
