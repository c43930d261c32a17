"""The table that a demonstration fills in while it runs: what is claimed, what was wanted, what was measured.

Knows how to show rows.  Refuses to know how they are measured.  On a terminal the row under way shows what it is
doing; elsewhere each row is a line, printed when it is known.  A terminal with too few lines shows the last rows that
fit, and all of them at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text


@dataclass(slots=True, kw_only=True)
class Row:
    """One claim.  Without `measured` it does not hold."""

    claim: str
    wanted: str
    found: str = ""
    holds: bool | None = None

    def measured(self, found: object, *, holds: bool) -> None:
        """What was seen, and whether it is what was wanted."""
        self.found, self.holds = str(found), holds


class Board:
    """Context manager: the table is on the screen while it lasts."""

    def __init__(self, title: str, *, console: Console | None = None) -> None:
        self._title = title
        self._console = console or Console()
        self._redraws = self._console.is_terminal and not self._console.is_dumb_terminal
        self._rows: list[Row] = []
        self._doing = ""
        self._above = 0
        """How many rows have left the screen at its upper end."""
        self._ended = False
        self._spinner = Spinner("dots")
        self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=8)

    def __enter__(self) -> Self:
        if self._redraws:
            self._live.start()
        else:
            self._console.print(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._doing = ""
        if self._redraws:
            self._ended = True
            self._live.stop()

    @property
    def holds(self) -> bool:
        """True if there are rows, and every one holds."""
        return bool(self._rows) and all(row.holds for row in self._rows)

    def doing(self, what: str) -> None:
        """Say what is under way."""
        self._doing = what
        if not self._redraws:
            self._console.print(f"  ... {what}", highlight=False)

    def shows(self, what: str) -> None:
        """What a row under way sees at this moment; only where it can be overwritten by the next."""
        if self._redraws:
            self._doing = what

    @contextmanager
    def row(self, claim: str, *, wanted: str) -> Iterator[Row]:
        """Measure one claim inside the block.  An error inside becomes the row's result, and ends the demonstration."""
        row = Row(claim=claim, wanted=wanted)
        self._rows.append(row)
        self._doing = ""
        try:
            yield row
        except BaseException as error:
            said = "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
            row.measured(said.splitlines()[0], holds=False)
            raise
        finally:
            if row.holds is None:
                row.measured("not measured", holds=False)
            if not self._redraws:
                mark, found = "ok  " if row.holds else "FAIL", " ".join(row.found.split())
                self._console.print(f"  {mark} {claim}: {found} (wanted {wanted})", highlight=False, soft_wrap=True)

    def _render(self) -> Table:
        while not self._ended:
            table = self._table(self._rows[self._above :])
            shown = len(self._console.render_lines(table, pad=False))
            if shown < self._console.height or self._above + 1 >= len(self._rows):
                return table
            self._above += 1
        return self._table(self._rows)

    def _table(self, rows: Sequence[Row]) -> Table:
        table = Table(title=self._title, title_justify="left", caption_justify="left", expand=True)
        table.add_column("claim", ratio=4)
        table.add_column("wanted", ratio=2)
        table.add_column("measured", ratio=3)
        table.add_column("", width=2)
        for row in rows:
            mark = self._spinner if row.holds is None else Text("✔", "green") if row.holds else Text("✘", "bold red")
            table.add_row(row.claim, row.wanted, row.found, mark)
        table.caption = self._doing or None
        return table
