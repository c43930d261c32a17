"""A blocking OpenFlow client for tests: connects to a bridge's management socket and talks raw frames.

Independent of the southbound on purpose: it shows what the switch itself says.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from controller.openflow import decode, messages

_HELLO = bytes.fromhex("0400000800000000")
_ECHO_REQUEST, _ECHO_REPLY = 2, 3
_MORE = 1


class OpenFlowClient:
    """One connection to a switch.  Context manager."""

    def __init__(self, path: Path, *, timeout_s: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        self._socket.connect(str(path))
        self._stream = self._socket.makefile("rb")
        self._socket.sendall(_HELLO)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._socket.close()

    def submit(self, frames: Iterable[bytes]) -> list[decode.ErrorMessage]:
        """Send frames and a barrier -> what was refused; the xid of an error is the frame's index."""
        numbered = [_stamped(frame, xid) for xid, frame in enumerate(frames)]
        self._socket.sendall(b"".join([*numbered, _stamped(messages.barrier(), len(numbered))]))
        errors: list[decode.ErrorMessage] = []
        while True:
            frame = self._read()
            if frame[1] == messages.ERROR_TYPE:
                errors.append(decode.error(frame))
            elif frame[1] == messages.BARRIER_REPLY_TYPE:
                return errors

    def request(self, frame: bytes) -> list[bytes]:
        """Send one multipart request -> all its replies.  AssertionError if the switch refuses."""
        self._socket.sendall(_stamped(frame, 1))
        replies: list[bytes] = []
        while True:
            reply = self._read()
            assert reply[1] != messages.ERROR_TYPE, decode.error(reply)
            if reply[1] == messages.REPLY_TYPE:
                replies.append(reply)
                if not reply[11] & _MORE:
                    return replies

    def _read(self) -> bytes:
        """The next frame that is not an echo request."""
        while True:
            head = self._stream.read(8)
            if len(head) < 8:
                raise ConnectionError("the switch closed the connection")
            frame = head + self._stream.read(int.from_bytes(head[2:4], "big") - 8)
            if frame[1] != _ECHO_REQUEST:
                return frame
            self._socket.sendall(frame[:1] + bytes([_ECHO_REPLY]) + frame[2:])


def _stamped(frame: bytes, xid: int) -> bytes:
    return frame[:4] + xid.to_bytes(4, "big") + frame[8:]
