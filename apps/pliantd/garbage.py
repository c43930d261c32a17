"""Keeps Python's garbage collector from stopping the controller for half a second at a time.

A full collection looks at every object there is.  With 5,000 ports these are millions, nearly all of them parts of the
world and the programs: immutable, without cycles, and freed by their reference counts when the last one lets go.  So
what survived a full collection is put aside (frozen), and the next one looks only at what is new.  What becomes garbage
among the frozen (a cycle that lived that long, such as a connection's) is found when all is looked at again, rarely.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping

FULL = 2
THAW_EVERY_S = 3_600.0


class Aside:
    """A callback of the collector: after each full collection, freeze; once in a while, before one, thaw."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, thaw_every_s: float = THAW_EVERY_S) -> None:
        self._clock = clock
        self._thaw_every_s = thaw_every_s
        self._next_thaw_s = clock() + thaw_every_s

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        if info["generation"] != FULL:
            return
        if phase == "stop":
            gc.freeze()
        elif self._clock() >= self._next_thaw_s:
            self._next_thaw_s = self._clock() + self._thaw_every_s
            gc.unfreeze()


def set_aside() -> None:
    """Once, when what was stored is loaded."""
    gc.callbacks.append(Aside())
    gc.collect()
