"""What was asked of one switch and is not answered yet.  Pure bookkeeping of xids: no socket, no clock, no thread.

A submit is cut into chunks.  Each chunk takes a block of consecutive xids, one per frame and the last for its barrier,
so an error's xid is the frame's index, and the barrier's reply says that every error before it has arrived:

    xid   100   101   102   103        104   105   106
          frame frame frame barrier    frame frame barrier
          `------- chunk 0 -------'    `--- chunk 1 ---'

Only so many unconfirmed bytes are on the way at a time; the rest waits here, in order, so that a slow switch holds back
its own writers and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from struct import Struct
from typing import Any

from controller.reconcile.datapath import FrameError
from controller.southbound.framing import BARRIER_REQUEST, HEADER, HEADER_BYTES

CHUNK_FRAMES = 5_000
CHUNK_BYTES = 1 << 20
WINDOW_BYTES = 2 << 20
_LAST_XID = 0xFFFFFFFF
_put_xid = Struct("!I").pack_into


class Refused(Exception):
    """The switch answered a request with an OpenFlow error."""

    def __init__(self, error_type: int, code: int, text: str) -> None:
        super().__init__(f"the switch refused the request: {text}")
        self.type, self.code, self.text = error_type, code, text


class Exchange:
    """Bytes for the switch and the xids that its answers will carry.  The last xid is the one whose answer ends it."""

    __slots__ = ("data", "first_xid", "heard_s", "last_xid", "size_bytes")

    def __init__(self, data: bytes, first_xid: int, last_xid: int) -> None:
        self.data, self.first_xid, self.last_xid = data, first_xid, last_xid
        self.size_bytes = len(data)
        self.heard_s = 0.0
        """When it was sent, or last answered in part."""

    def fail(self, error: Exception) -> None:
        raise NotImplementedError


class Submit:
    """The promise of one submit over all its chunks."""

    __slots__ = ("chunks_left", "errors", "future")

    def __init__(self) -> None:
        self.chunks_left = 0
        self.errors: list[FrameError] = []
        self.future: Future[list[FrameError]] = promise()


class Chunk(Exchange):
    """Some consecutive frames of a submit, closed by a barrier."""

    __slots__ = ("base", "submit")

    def __init__(self, data: bytes, first_xid: int, last_xid: int, base: int, submit: Submit) -> None:
        super().__init__(data, first_xid, last_xid)
        self.base, self.submit = base, submit

    def refuse(self, xid: int, error_type: int, code: int, text: str) -> None:
        self.submit.errors.append(FrameError(self.base + xid - self.first_xid, error_type, code, text))

    def confirm(self) -> None:
        self.submit.chunks_left -= 1
        if not self.submit.chunks_left:
            self.submit.future.set_result(sorted(self.submit.errors, key=lambda error: error.index))

    def fail(self, error: Exception) -> None:
        if not self.submit.future.done():
            self.submit.future.set_exception(error)


class Request(Exchange):
    """One multipart request.  Each reply goes through `read` as it arrives: a long dump is never decoded in one go."""

    __slots__ = ("future", "parts", "read")

    def __init__(self, data: bytes, xid: int, read: Callable[[bytes], Sequence[Any]]) -> None:
        super().__init__(data, xid, xid)
        self.read = read
        self.parts: list[Any] = []
        self.future: Future[list[Any]] = promise()

    def fail(self, error: Exception) -> None:
        self.future.set_exception(error)


def promise() -> Future[Any]:
    """A future that its holder cannot cancel: what was sent was sent."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


def stamped(frame: bytes, xid: int) -> bytes:
    """The frame with this xid."""
    data = bytearray(frame)
    _put_xid(data, 4, xid)
    return bytes(data)


def spans(frames: Sequence[bytes]) -> list[slice]:
    """Cut a submit into runs of frames that are chunks; an empty submit is one bare barrier."""
    cuts, start, size = [], 0, 0
    for index, frame in enumerate(frames):
        if index > start and (index - start >= CHUNK_FRAMES or size + len(frame) > CHUNK_BYTES):
            cuts.append(slice(start, index))
            start, size = index, 0
        size += len(frame)
    cuts.append(slice(start, len(frames)))
    return cuts


def chunk(frames: Sequence[bytes], span: slice, first_xid: int, version: int, submit: Submit) -> Chunk:
    """The chunk of the frames in `span`, with xids from `first_xid` on."""
    data = bytearray(b"".join(frames[span]))
    offset, xid = 0, first_xid
    for frame in frames[span]:
        _put_xid(data, offset + 4, xid)
        offset += len(frame)
        xid += 1
    data += HEADER.pack(version, BARRIER_REQUEST, HEADER_BYTES, xid)
    submit.chunks_left += 1
    return Chunk(bytes(data), first_xid, xid, span.start, submit)


class Transactions:
    """All exchanges of one connection.

    `block` and `wait` may be called from any thread if the caller holds a lock; the rest belongs to the I/O thread.
    """

    def __init__(self, window_bytes: int = WINDOW_BYTES, next_xid: int = 1) -> None:
        self.window_bytes = window_bytes
        self.unconfirmed_bytes = 0
        self._next_xid = next_xid
        self._waiting: deque[Exchange] = deque()
        self._sent: dict[int, Exchange] = {}

    def block(self, count: int) -> int:
        """The first of `count` consecutive unused xids.  A block never wraps, and xid 0 is nobody's."""
        if self._next_xid + count - 1 > _LAST_XID:
            self._next_xid = 1
        first = self._next_xid
        self._next_xid += count
        return first

    def wait(self, exchanges: Sequence[Exchange]) -> None:
        self._waiting.extend(exchanges)

    def release(self, now_s: float) -> Iterator[bytes]:
        """The bytes that may go out now, in the order in which they were asked for."""
        while self._waiting and (not self._sent or self.unconfirmed_bytes < self.window_bytes):
            exchange = self._waiting.popleft()
            exchange.heard_s = now_s
            self._sent[exchange.last_xid] = exchange
            self.unconfirmed_bytes += exchange.size_bytes
            data, exchange.data = exchange.data, b""
            yield data

    def unanswered_since_s(self) -> float | None:
        """When the exchange that has waited longest was sent or answered in part; None if nothing is unanswered."""
        return min((exchange.heard_s for exchange in self._sent.values()), default=None)

    def barrier(self, xid: int) -> bool:
        """A barrier reply came; whether it was ours."""
        chunk = self._sent.get(xid)
        if not isinstance(chunk, Chunk):
            return False
        self._close(chunk)
        chunk.confirm()
        return True

    def reply(self, xid: int, frame: bytes, now_s: float, *, more: bool) -> bool:
        """A multipart reply came; whether anybody asked for it.  Raises what the reader raises."""
        request = self._sent.get(xid)
        if not isinstance(request, Request):
            return False
        request.parts.extend(request.read(frame))
        request.heard_s = now_s
        if not more:
            self._close(request)
            request.future.set_result(request.parts)
        return True

    def error(self, xid: int, error_type: int, code: int, text: str) -> bool:
        """An error came; whether it answers something of ours."""
        exchange = self._sent.get(xid)
        if isinstance(exchange, Request):
            self._close(exchange)
            exchange.fail(Refused(error_type, code, text))
            return True
        for exchange in self._sent.values():  # a switch answers in order, so nearly always it is the first
            if isinstance(exchange, Chunk) and exchange.first_xid <= xid < exchange.last_xid:
                exchange.refuse(xid, error_type, code, text)
                return True
        return False

    def _close(self, exchange: Exchange) -> None:
        del self._sent[exchange.last_xid]
        self.unconfirmed_bytes -= exchange.size_bytes

    def take_all(self) -> list[Exchange]:
        """Everything unanswered, for the end of the connection."""
        exchanges = [*self._sent.values(), *self._waiting]
        self._sent.clear()
        self._waiting.clear()
        self.unconfirmed_bytes = 0
        return exchanges
