"""How resources are printed: tables for people, documents for programs, names for shells.

Data goes to standard output, messages to standard error; colour only to a terminal, and not with NO_COLOR.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

FORMATS = ("table", "wide", "json", "yaml", "name")
_COLOURS = {"ACTIVE": "green", "PENDING": "yellow", "DEGRADED": "red", "ERROR": "red", "DOWN": "red"}
GAP = "   "

output_option = click.option(
    "-o", "--output", "format_", type=click.Choice(FORMATS), default="table", show_default=True,
    help="How to print: table or wide for people, json or yaml for programs, name for the shell.",
)


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and the text of a message under it.

    `wide` shows only with -o wide; `live`, too, and in a watch.
    """

    title: str
    cell: Callable[[Any], str]
    wide: bool = False
    live: bool = False


@dataclass(slots=True)
class Table:
    """Rows in columns that only ever get wider, so that rows which come later can be added below."""

    columns: Sequence[Column]
    widths: list[int] = field(default_factory=list)

    def lines(self, messages: Iterable[Any], *, head: bool = True) -> list[str]:
        rows = [[column.cell(message) or "-" for column in self.columns] for message in messages]
        if head:
            rows.insert(0, [column.title for column in self.columns])
        old = self.widths or [0] * len(self.columns)
        self.widths = [max(old[n], *(len(row[n]) for row in rows)) if rows else old[n] for n in range(len(old))]
        return [self._line(row) for row in rows]

    def _line(self, row: Sequence[str]) -> str:
        last = len(row) - 1
        return GAP.join(
            click.style(text, fg=_COLOURS.get(text)) + " " * (self.widths[n] - len(text) if n < last else 0)
            for n, text in enumerate(row)
        )


def use_colour(stream: str = "stdout") -> bool:
    """Whether that stream is a terminal whose user does not mind colour."""
    return getattr(sys, stream).isatty() and not os.environ.get("NO_COLOR")


def say(text: str) -> None:
    """A message to the user."""
    click.echo(text, err=True)


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line, color=use_colour())


def print_messages(messages: Sequence[Any], format_: str, *, one: bool = False) -> None:
    """Print messages, perhaps of several kinds.  `one`: JSON is the object itself and not a list."""
    from apps.cli import document, tables

    if format_ in ("table", "wide"):
        groups: dict[str, list[Any]] = {}
        for message in messages:
            groups.setdefault(message.DESCRIPTOR.name, []).append(message)
        for number, (title, group) in enumerate(groups.items()):
            if number:
                click.echo()
            print_lines(Table(tables.columns(title, wide=format_ == "wide")).lines(group))
    elif format_ == "name":
        print_lines(name_of(message) for message in messages)
    elif format_ == "yaml":
        print_yaml([document.document(message) for message in messages])
    else:
        documents: Any = [document.document(message) for message in messages]
        whole = documents[0] if one else {"apiVersion": document.API_VERSION, "kind": "List", "items": documents}
        click.echo(json.dumps(whole, indent=2))


def name_of(message: Any) -> str:
    """The resource name; of a drop count what it counts."""
    if message.DESCRIPTOR.name == "DropCount":
        return "/".join(filter(None, ("drops", message.switch.rpartition("/")[2], message.tenant, message.reason)))
    return str(message.name)


def print_yaml(documents: Sequence[dict[str, Any]]) -> None:
    """YAML documents, which `pliant apply` takes back."""
    import yaml

    click.echo(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True), nl=False)
