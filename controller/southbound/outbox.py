"""What goes out to one switch: handed in by any thread, sent by the I/O thread, as fast as it is read.

Two lanes.  Submits and requests wait in the transactions' order and window; what is sent without confirmation
(packet-outs, os-ken messages) goes ahead of them, and is refused when the switch lags too far behind.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from controller.reconcile.datapath import Disconnected, FrameError
from controller.southbound import transactions
from controller.southbound.osken import OPENFLOW_1_3
from controller.southbound.transactions import Exchange, Request, Submit, Transactions

SEND_LIMIT_BYTES = 4 << 20
"""Unsent bytes from which on `send` refuses."""


class Outbox:
    """The writing half of a connection.  The first group of methods may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._choked = False
        self._written_bytes = self._drained_bytes = 0
        self._drained_s = loop.time()
        # Under the lock: the two lanes and what is promised about them.
        self._lock = threading.Lock()
        self.transactions = Transactions()
        self._sends: list[bytes] = []
        self._sends_bytes = 0
        self._flush_due = False
        self._last_words: Callable[[], None] | None = None
        self._closed = ""

    # -- any thread

    def submit(self, frames: Sequence[bytes]) -> Future[list[FrameError]]:
        frames = list(frames)
        submit = Submit()
        spans = transactions.spans(frames)
        with self._lock:
            xid = self.transactions.block(len(frames) + len(spans))
        chunks = []
        for span in spans:
            chunks.append(transactions.chunk(frames, span, xid, OPENFLOW_1_3, submit))
            xid = chunks[-1].last_xid + 1
        self._enqueue(chunks)
        return submit.future

    def ask(self, frame: bytes, read: Callable[[bytes], Sequence[Any]]) -> Future[list[Any]]:
        xid = self.next_xid()
        request = Request(transactions.stamped(frame, xid), xid, read)
        self._enqueue([request])
        return request.future

    def send(self, frame: bytes, then: Callable[[], None] | None = None) -> bool:
        """Send without confirmation; `then` is called after it went out, as the last.  False: gone, or lags too far."""
        with self._lock:
            if self._closed or self._choked or self._sends_bytes > SEND_LIMIT_BYTES:
                return False
            self._sends.append(frame)
            self._sends_bytes += len(frame)
            if then is not None:
                self._closed, self._last_words = "the connection is closing", then
            self._schedule_flush()
        return True

    def next_xid(self) -> int:
        with self._lock:
            return self.transactions.block(1)

    def soon(self, what: Callable[..., None], *args: Any) -> None:
        """Have something called on the I/O thread; nothing happens after the loop's end."""
        if self._is_on_loop():
            self._loop.call_soon(what, *args)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *args)

    def _is_on_loop(self) -> bool:
        """Then the loop needs no waking, which is a byte through a socket: the sessions, too, run on it."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _enqueue(self, exchanges: Sequence[Exchange]) -> None:
        with self._lock:
            if not self._closed:
                self.transactions.wait(exchanges)
                self._schedule_flush()
                return
        for exchange in exchanges:
            exchange.fail(Disconnected(self._closed))

    def _schedule_flush(self) -> None:
        """With the lock held."""
        if not self._flush_due:
            self._flush_due = True
            self.soon(self.flush)

    # -- I/O thread

    def attach(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=SEND_LIMIT_BYTES, low=SEND_LIMIT_BYTES // 2)

    def choke(self, *, on: bool) -> None:
        """The transport says that its buffer is full, or no longer."""
        self._choked = on

    def flush(self) -> None:
        with self._lock:
            out, self._sends, self._sends_bytes, self._flush_due = self._sends, [], 0, False
            out.extend(self.transactions.release(self._loop.time()))
            last_words, self._last_words = self._last_words, None
        if out:
            self.write(b"".join(out))
        if last_words is not None:
            last_words()

    def write(self, data: bytes) -> None:
        """Write at once, ahead of everything that waits."""
        if self._transport is not None and not self._transport.is_closing():
            self._written_bytes += len(data)
            self._transport.write(data)

    def stuck_s(self, now_s: float) -> float:
        """For how long the switch has not read a byte of those that wait for it."""
        unsent = self._transport.get_write_buffer_size() if self._transport is not None else 0
        drained = self._written_bytes - unsent
        if not unsent or drained > self._drained_bytes:
            self._drained_s = now_s
        self._drained_bytes = drained
        return now_s - self._drained_s

    def close(self, reason: str) -> None:
        """Take nothing more."""
        with self._lock:
            self._closed = reason

    def fail_all(self) -> None:
        """Tell everybody who waits for an answer that none will come.  After `close`."""
        with self._lock:
            unanswered = self.transactions.take_all()
        for exchange in unanswered:
            exchange.fail(Disconnected(self._closed))
