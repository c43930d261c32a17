"""Page tokens: where a List goes on, signed so that only this server's own tokens are believed.

A token binds the request (method, parent, filter) and the revision that every page is of.  It is opaque to clients; it
survives a restart because its key is derived from the server's token file.

    base64url( HMAC-SHA256[:16] over (request digest | payload) | payload )     payload = revision (8 bytes) | last name
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from controller.model.errors import InvalidArgument

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
_MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page starts: after the name `last` of revision `revision`.  The first page has no Position."""

    revision: int
    last: str


def check_page_size(page_size: int) -> int:
    """The page size to use; 0 is the default.  InvalidArgument INVALID_PAGE_SIZE outside 0..MAX_PAGE_SIZE."""
    if not 0 <= page_size <= MAX_PAGE_SIZE:
        raise InvalidArgument(
            "INVALID_PAGE_SIZE",
            f"page_size {page_size} is not between 0 and {MAX_PAGE_SIZE}",
            fields={"page_size": f"must be 0 (for {DEFAULT_PAGE_SIZE}) to {MAX_PAGE_SIZE}"},
        )
    return page_size or DEFAULT_PAGE_SIZE


class Pager:
    """Issues and reads page tokens with one secret."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"pliant page token\0" + secret.encode()).digest()

    def issue(self, position: Position, *request: str) -> str:
        payload = position.revision.to_bytes(8, "big") + position.last.encode()
        return base64.urlsafe_b64encode(self._mac(payload, request) + payload).decode()

    def read(self, token: str, *request: str) -> Position | None:
        """The position of a token issued for this very request; None for no token; else INVALID_PAGE_TOKEN."""
        if not token:
            return None
        try:
            raw = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _refused() from None
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload, request)):
            raise _refused()
        return Position(int.from_bytes(payload[:8], "big"), payload[8:].decode())

    def _mac(self, payload: bytes, request: Sequence[str]) -> bytes:
        bound = hashlib.sha256("\0".join(request).encode()).digest()
        return hmac.digest(self._key, bound + payload, "sha256")[:_MAC_BYTES]


def after(names: Sequence[str], position: Position | None) -> Sequence[str]:
    """The part of the sorted names behind the position."""
    return names[bisect_right(names, position.last) :] if position is not None else names


def _refused() -> InvalidArgument:
    return InvalidArgument(
        "INVALID_PAGE_TOKEN",
        "the page token was not issued by this server for this request: start again without one, and do not change "
        "parent or filter between pages",
        fields={"page_token": "not issued for this request"},
    )
