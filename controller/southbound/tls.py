"""The door of a TLS listener: a handshake with a deadline, and a log line for everybody who fails it.

asyncio's own TLS servers drop a failed handshake without a word.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from controller.southbound.complaints import Complaints

HANDSHAKE_S = 5.0


class TlsDoor(asyncio.Protocol):
    """Takes an accepted connection through the handshake, then hands it to the protocol behind the door."""

    def __init__(self, context: ssl.SSLContext, behind: Callable[[], asyncio.Protocol], complaints: Complaints) -> None:
        self._context = context
        self._behind = behind
        self._complaints = complaints
        self._early: list[bytes] = []
        self._passage: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self._passage = asyncio.get_running_loop().create_task(self._pass(transport))

    def data_received(self, data: bytes) -> None:
        # The peer's first message may come in one segment with the end of its handshake.
        self._early.append(data)

    async def _pass(self, plain: asyncio.Transport) -> None:
        peername = plain.get_extra_info("peername") or "unix"
        try:
            secured = await asyncio.get_running_loop().start_tls(
                plain, self, self._context, server_side=True, ssl_handshake_timeout=HANDSHAKE_S)
        except OSError as error:  # SSLError and ConnectionError are; so is the deadline's
            peer = str(peername[0]) if isinstance(peername, tuple) else peername
            self._complaints.warn("tls_refused", peer, reason=str(error) or type(error).__name__)
            plain.abort()
            return
        if secured is None or secured.is_closing():
            return
        protocol = self._behind()
        secured.set_protocol(protocol)
        protocol.connection_made(secured)
        for data in self._early:
            protocol.data_received(data)
        self._early.clear()
