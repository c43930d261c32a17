"""How far a start is: one line for each step, with a bar and a count on a terminal, and printed when done elsewhere.

Knows how to show counts.  Refuses to know what is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

Report = Callable[[str, int, int], None]
"""Called with a step, how many of it are done, and how many there are."""


def silent(_step: str, _done: int, _of: int) -> None:
    """Reports nothing."""


class Steps:
    """Context manager, and a Report."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._redraws = console.is_terminal and not console.is_dumb_terminal
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self._progress = Progress(*columns, console=console)
        self._tasks: dict[str, TaskID] = {}
        self._began_s: dict[str, float] = {}

    def __enter__(self) -> Self:
        if self._redraws:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._redraws:
            self._progress.stop()

    def __call__(self, step: str, done: int, of: int) -> None:
        """Show it; a step that is new becomes the next line."""
        if self._redraws:
            if step not in self._tasks:
                self._tasks[step] = self._progress.add_task(step, total=of)
            self._progress.update(self._tasks[step], completed=done)
            return
        began_s = self._began_s.setdefault(step, time.monotonic())
        if done >= of:
            self._console.print(f"  {step}: {done} of {of} ({time.monotonic() - began_s:.1f} s)", highlight=False)
