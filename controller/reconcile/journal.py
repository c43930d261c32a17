"""What the last steps touched, for whoever keeps something about all objects and cannot walk over them each time.

    reconcile thread ── note ──► the last steps ── reader ──► what to look at again

It says what to look at again, never what became of it.  A view is out before its step is noted, so whoever asks first
and reads the view then misses nothing; whoever asks too seldom is told that anything may be different.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from threading import Lock

from controller.reconcile.touched import EVERYTHING, NOTHING, Touched, together

KEPT_STEPS = 1_000
Reader = Callable[[], Touched]
"""What was touched since the last call; everything at the first."""


class CatchUp:
    """Works in what was touched since the last call.  If that fails, the next call begins with everything."""

    def __init__(self, touched: Reader, work: Callable[[Touched], None]) -> None:
        self._touched = touched
        self._work = work
        self._behind = NOTHING

    def __call__(self) -> None:
        touched, self._behind = together([self._behind, self._touched()]), EVERYTHING
        if touched != NOTHING:
            self._work(touched)
        self._behind = NOTHING


class Journal:
    """`note` is the reconcile thread's; `reader`, and each reader, may be called from any."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._steps: deque[Touched] = deque(maxlen=KEPT_STEPS)
        self._n_noted = 0
        """ever"""

    def note(self, touched: Touched) -> None:
        if touched != NOTHING:
            with self._lock:
                self._steps.append(touched)
                self._n_noted += 1

    def reader(self) -> Reader:
        """One for each who reads."""
        n_read: int | None = None

        def take() -> Touched:
            nonlocal n_read
            with self._lock:
                before, n_read = n_read, self._n_noted
                if before is None or n_read - before > len(self._steps):
                    return EVERYTHING
                steps = list(islice(reversed(self._steps), n_read - before))
            return together(steps)

        return take
