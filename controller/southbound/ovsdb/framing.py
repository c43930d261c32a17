"""From a byte stream to JSON-RPC messages.  Pure; refuses to know what a message means.

OVSDB puts one JSON object after the other, with nothing between them.  Their ends are found by counting braces outside
of strings, once for each byte however the stream is cut, so nobody can make us scan or hold more than was sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MAX_MESSAGE_BYTES = 1 << 25
"""Far above the dump of a server with ten thousand interfaces, which is a single message."""
MAX_DEPTH = 64
_SPACE = b" \t\r\n"
_OUTSIDE = re.compile(rb'[^{}"]*+(?:"(?:[^"\\]++|\\.)*+"[^{}"]*+)*+([{}"])', re.DOTALL)
"""Up to the next brace, over whole strings; a quote is matched only if its string ends in no byte that is here."""
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+("|\\)?', re.DOTALL)


class FramingError(Exception):
    """The peer's bytes are no JSON-RPC, or more than we hold; the message says why."""


class Framer:
    """Cuts what arrives into messages.  Holds at most one incomplete message."""

    def __init__(self, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held = bytearray()
        self._depth = 0
        self._in_string = False
        self._escaped = False
        """the last byte was a backslash inside of a string"""

    @property
    def held_bytes(self) -> int:
        return len(self._held)

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Yield every message that `data` completes; FramingError on the first that cannot be one."""
        start = 0
        for end in self._ends(data):
            text = bytes(self._held) + data[start:end]
            self._held.clear()
            start = end
            yield self._message(text)
        self._held += data[start:] if self._depth else b""
        if len(self._held) > self._max_bytes:
            raise FramingError(f"a message of more than {self._max_bytes} bytes")

    def _ends(self, data: bytes) -> Iterator[int]:
        """Where messages end."""
        at = 0
        while at < len(data):
            if self._in_string:
                at = self._pass_string(data, at)
                continue
            if not self._depth:
                at = self._pass_space(data, at)
            found = _OUTSIDE.match(data, at)
            if found is None:
                return
            at = found.end()
            if found[1] == b'"':
                self._in_string = True
            elif found[1] == b"{":
                self._depth += 1
                if self._depth > MAX_DEPTH:
                    raise FramingError(f"objects nested more than {MAX_DEPTH} deep")
            else:
                self._depth -= 1
                if not self._depth:
                    yield at

    def _pass_space(self, data: bytes, at: int) -> int:
        """Where the next message begins; what comes before is not looked at again."""
        while at < len(data) and data[at] in _SPACE:
            at += 1
        if at < len(data) and data[at] != ord("{"):
            raise FramingError(f"something else than a JSON object: {data[at:at + 20]!r}")
        return at

    def _pass_string(self, data: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        found = _INSIDE.match(data, at)
        assert found is not None, "the pattern matches nothing, too"
        self._in_string = found[1] != b'"'
        self._escaped = found[1] == b"\\"
        return found.end()

    def _message(self, text: bytes) -> dict[str, Any]:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FramingError(f"no JSON: {error}") from error
        assert isinstance(message, dict), "it begins with a brace"
        return message
