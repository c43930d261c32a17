"""From a byte stream to whole OpenFlow frames.  Pure; knows lengths and versions, refuses to know what a message means.

A header is judged as soon as its eight bytes are there, so whoever speaks something else (HTTP, another version, noise)
is found out at once and can make us hold no more than one frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

HEADER = Struct("!BBHI")
"""version, type, length, xid"""
HEADER_BYTES = HEADER.size
_BITMAP = Struct("!HHI")
_ELEMENT = Struct("!HH")

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FEATURES_REQUEST, FEATURES_REPLY = 0, 1, 2, 3, 5, 6
SET_CONFIG, PACKET_IN, FLOW_REMOVED, PORT_STATUS = 9, 10, 11, 12
MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY, ROLE_REPLY = 18, 19, 20, 21, 25

MAX_HELLO_BYTES = 1024
VERSIONS = range(1, 16)
"""First bytes that an OpenFlow HELLO may have; anything printable is some other protocol."""

_LEAST_BYTES = {
    ERROR: 12,
    FEATURES_REPLY: 32,
    PACKET_IN: 34,
    FLOW_REMOVED: 56,
    PORT_STATUS: 80,
    MULTIPART_REPLY: 16,
    ROLE_REPLY: 24,
}


class FramingError(Exception):
    """The peer's bytes are no OpenFlow, or not the version that was agreed on; the message says why."""


class Framer:
    """Cuts what arrives into frames.  Holds at most one incomplete frame."""

    def __init__(self) -> None:
        self.version: int | None = None
        """The version agreed on; None until the peer's HELLO."""
        self._rest = b""

    @property
    def held_bytes(self) -> int:
        return len(self._rest)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield every frame that `data` completes; FramingError on the first that cannot be one.

        Lazy on purpose: the version may be set between two frames of one read.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        start, end = 0, len(data)
        while end - start >= HEADER_BYTES:
            version, kind, length, _ = HEADER.unpack_from(data, start)
            self._judge(version, kind, length)
            if end - start < length:
                break
            frame = data[start:start + length]
            start += length
            yield frame
        if start < end:
            self._rest = data[start:]

    def _judge(self, version: int, kind: int, length: int) -> None:
        if self.version is None:
            if version not in VERSIONS or kind not in (HELLO, ERROR, ECHO_REQUEST):
                raise FramingError(f"not OpenFlow: version {version}, type {kind} where a HELLO was expected")
            if length > MAX_HELLO_BYTES:
                raise FramingError(f"a HELLO of {length} bytes; at most {MAX_HELLO_BYTES} are accepted")
        elif version != self.version and kind != HELLO:
            raise FramingError(f"a message of version byte {version} after {self.version} was agreed on")
        if length < _LEAST_BYTES.get(kind, HEADER_BYTES):
            raise FramingError(f"length {length} in the header of a message of type {kind}")


def hello(version: int) -> bytes:
    """A HELLO that offers `version`, in the header only and with transaction 0.

    No bitmap, because `mn --controller remote` asks by telnet whether we listen, in a shell whose output it reads byte
    for byte: a 1 in our greeting (the bitmap's type; a transaction) makes it wait for ever.  A peer without this
    version says so all the same.
    """
    return HEADER.pack(version, HELLO, HEADER_BYTES, 0)


def hello_failed(version: int, xid: int, why: bytes) -> bytes:
    """The error that tells a peer that no version suits both."""
    return HEADER.pack(version, ERROR, 12 + len(why), xid) + bytes(4) + why


def offered_versions(frame: bytes) -> frozenset[int]:
    """The versions that a peer's HELLO offers: its bitmap, else every version up to that of the header."""
    start = HEADER_BYTES
    while len(frame) - start >= _ELEMENT.size:
        kind, length = _ELEMENT.unpack_from(frame, start)
        if length < _ELEMENT.size or start + length > len(frame):
            raise FramingError(f"a HELLO element of length {length}")
        if kind == 1 and length >= _BITMAP.size:
            bits = _BITMAP.unpack_from(frame, start)[2]
            return frozenset(version for version in range(32) if bits >> version & 1)
        start += (length + 7) // 8 * 8
    return frozenset(range(1, frame[0] + 1))
