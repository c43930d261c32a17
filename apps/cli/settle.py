"""Waiting for the switches, with progress.

A change is sent with a request_id, so asking again is free of effect and answers how far the switches are: no thread,
no stream, and the answer is the server's own account of the very change.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from apps.cli.errors import UNAVAILABLE, Failure
from apps.cli.kinds import last_id
from apps.cli.output import say

if TYPE_CHECKING:
    from pliant import Client

A = TypeVar("A")
FIRST_SLICE_S, LONGEST_SLICE_S = 0.3, 5.0
MAX_NAMED = 3


def settle(
    client: Client, change: Callable[..., A], *, wait: bool, timeout_s: float, validate_only: bool = False
) -> A:
    """Make the change; with `wait` come back when the switches confirmed it.

    `change` takes the options of pliant.Client's mutations.  Failure (7) when the time is up: the change stands.
    """
    how: dict[str, Any] = {"request_id": uuid.uuid4().hex, "validate_only": validate_only}
    if not wait or validate_only:
        return change(**how)
    deadline_s, slice_s = time.monotonic() + timeout_s, FIRST_SLICE_S
    with Progress() as progress:
        while True:
            left_s = max(deadline_s - time.monotonic(), 0.0)
            answer = change(**how, wait=True, wait_timeout_s=min(slice_s, left_s))
            if not _reconciling(answer):
                return answer
            lagging = _lagging(answer)
            if time.monotonic() >= deadline_s:
                raise _late(lagging, timeout_s)
            progress.show(lagging, total=client.server_info().switch_count)
            slice_s = min(2 * slice_s, LONGEST_SLICE_S)


def _reconciling(answer: Any) -> bool:
    return bool(answer.reconciling)


def _lagging(answer: Any) -> Sequence[str]:
    """The switches that have not confirmed: of several objects the server says it, of one its conditions do."""
    if hasattr(answer, "lagging_switches"):
        return sorted(answer.lagging_switches)
    late = (each for each in answer.conditions if each.reason == "SWITCH_NOT_CONFIRMED")
    return sorted({name for condition in late for name in condition.switches})


def _named(switches: Sequence[str]) -> str:
    shown = ", ".join(last_id(name) for name in switches[:MAX_NAMED])
    return shown + (f" and {len(switches) - MAX_NAMED} more" if len(switches) > MAX_NAMED else "")


def _late(lagging: Sequence[str], timeout_s: float) -> Failure:
    whose = f" by {_named(lagging)}" if lagging else ""
    return Failure(
        f"the change is made, but was not confirmed{whose} within {timeout_s:g} s", UNAVAILABLE,
        advice="pliant get switches shows who is out of reach; they get it as soon as they are back",
    )


class Progress:
    """One line on standard error that is rewritten on a terminal, and printed anew when it changes elsewhere."""

    def __init__(self) -> None:
        self._shown = ""
        self._terminal = sys.stderr.isatty()

    def show(self, lagging: Sequence[str], *, total: int) -> None:
        total = max(total, len(lagging))
        text = f"waiting for switches {total - len(lagging)}/{total}" + (f" ({_named(lagging)})" if lagging else "")
        if text == self._shown:
            return
        self._shown = text
        if self._terminal:
            click.echo(f"\r\x1b[K{text}", err=True, nl=False)
        else:
            say(text)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and self._terminal:
            click.echo("\r\x1b[K", err=True, nl=False)
