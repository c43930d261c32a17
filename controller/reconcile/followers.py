"""Whoever wants to be told: called from any thread, told from any other."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import structlog

log = structlog.get_logger()

Notify = Callable[[], None]


class Followers:
    """What they are told must not block.  One that cannot be told (its event loop is closed) costs the others nothing.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._followers: dict[object, Notify] = {}

    def __bool__(self) -> bool:
        return bool(self._followers)

    def join(self, notify: Notify) -> Callable[[], None]:
        """Tell it from now on, until the returned function is called."""
        token = object()
        with self._lock:
            self._followers[token] = notify
        return lambda: self._leave(token)

    def tell(self) -> None:
        with self._lock:
            followers = list(self._followers.items())
        for token, notify in followers:
            try:
                notify()
            except Exception:
                log.exception("follower_lost")
                self._leave(token)

    def _leave(self, token: object) -> None:
        with self._lock:
            self._followers.pop(token, None)
