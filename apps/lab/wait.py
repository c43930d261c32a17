"""Waiting for a state, with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_S = 0.02


class NotReached(AssertionError):
    """The state did not come in time; the message says what was waited for and what was last seen."""


def eventually(
    check: Callable[[], T], timeout_s: float = 10.0, what: str = "the wanted state", *, pause_s: float = _PAUSE_S
) -> T:
    """Call `check` until it returns something true, and return that; NotReached with the last state otherwise.

    `check` may also assert: a failed assertion counts as not yet, and its message is the last state.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            state = check()
            if state:
                return state
            last = repr(state)
        except AssertionError as failed:
            last = str(failed)
        if time.monotonic() >= deadline_s:
            raise NotReached(f"{what}: not within {timeout_s:g} s; last seen: {last}")
        time.sleep(pause_s)
