"""One connection to an OVSDB server: JSON-RPC calls with deadlines, echoes both ways, and one reason why it ended.

Belongs to the I/O loop.  Knows no database: what a notification means is the owner's.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

from controller.southbound.ovsdb.framing import Framer, FramingError
from controller.southbound.ovsdb.remote import Remote
from controller.southbound.ovsdb.rows import MalformedError

READ_BYTES = 1 << 18
MAX_UNSENT_BYTES = 1 << 23
MAX_CALLS = 1_024


class Gone(Exception):
    """The connection ended, and with it whatever was asked; the message says why."""


class RefusedError(Exception):
    """The server refused what was asked; the message is the server's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    connect_s: float = 5.0
    answer_s: float = 10.0
    """A server that has not answered by then is given up."""
    probe_s: float = 5.0
    """One that said nothing for so long is sent an echo."""
    dead_s: float = 15.0
    """One that still said nothing after so long is given up."""


PATIENT = Patience()


class Connection:
    """Opened by `open`, ended by either side; `ended` completes with the reason."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: Patience,
        notified: Callable[[str, Any], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._writer = writer
        self._patience = patience
        self._notified = notified
        self._numbers = count(1)
        self._calls: dict[int, tuple[asyncio.Future[Any], Callable[[Any], None] | None]] = {}
        self._heard_s = self._loop.time()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self._tasks = [self._loop.create_task(self._read()), self._loop.create_task(self._probe())]

    @classmethod
    async def open(
        cls, remote: Remote, notified: Callable[[str, Any], None], *, tls: ssl.SSLContext | None = None,
        patience: Patience = PATIENT,
    ) -> Self:
        """Connect.  `notified` gets method and parameters of each notification, in the order of their arrival.

        OSError, TimeoutError among them, if there is no server.
        """
        async with asyncio.timeout(patience.connect_s):
            if remote.path:
                reader, writer = await asyncio.open_unix_connection(remote.path)
            else:
                context = tls if remote.tls else None
                reader, writer = await asyncio.open_connection(remote.host, remote.port, ssl=context)
        return cls(reader, writer, patience, notified)

    async def call(self, method: str, params: list[Any], *, arrived: Callable[[Any], None] | None = None) -> Any:
        """Ask, and wait for the answer.

        `arrived` gets the answer before anything that was sent after it is looked at.  Gone, or RefusedError.
        """
        if self.ended.done():
            raise Gone(self.ended.result())
        if len(self._calls) >= MAX_CALLS:
            raise RefusedError(f"{MAX_CALLS} calls wait for their answers")
        number = next(self._numbers)
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._calls[number] = answer, arrived
        self._send({"method": method, "params": params, "id": number})
        try:
            async with asyncio.timeout(self._patience.answer_s):
                return await answer
        except TimeoutError:
            self.end(f"{method} was not answered within {self._patience.answer_s:g} s")
            raise Gone(self.ended.result()) from None
        finally:
            self._calls.pop(number, None)

    def end(self, reason: str) -> None:
        """Close it, unless it ended before."""
        if self.ended.done():
            return
        self.ended.set_result(reason)
        for answer, _ in self._calls.values():
            if not answer.done():
                answer.set_exception(Gone(reason))
        for task in self._tasks:
            task.cancel()
        self._writer.transport.abort()

    def _send(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message, separators=(",", ":")).encode())
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.end("the server does not read")

    async def _read(self) -> None:
        framer = Framer()
        try:
            while data := await self._reader.read(READ_BYTES):
                self._heard_s = self._loop.time()
                for message in framer.feed(data):
                    self._take(message)
            self.end("closed by the server")
        except (FramingError, MalformedError) as error:
            self.end(f"malformed: {error}")
        except OSError as error:
            self.end(error.strerror or str(error) or type(error).__name__)

    def _take(self, message: dict[str, Any]) -> None:
        method, number = message.get("method"), message.get("id")
        if method == "echo":
            self._send({"id": number, "result": message.get("params"), "error": None})
        elif isinstance(method, str):
            self._notified(method, message.get("params"))
        elif isinstance(number, int) and number in self._calls:
            answer, arrived = self._calls.pop(number)
            if message.get("error") is not None:
                _complete(answer, RefusedError(str(message["error"])[:500]))
                return
            if arrived is not None:
                arrived(message.get("result"))
            _complete(answer, message.get("result"))

    async def _probe(self) -> None:
        while True:
            silent_s = self._loop.time() - self._heard_s
            if silent_s >= self._patience.dead_s:
                self.end(f"silent for {silent_s:.1f} s")
            elif silent_s >= self._patience.probe_s:
                self._send({"method": "echo", "params": [], "id": "probe"})
            await asyncio.sleep(self._patience.probe_s / 2)


def _complete(answer: asyncio.Future[Any], result: Any) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
