"""Answers of switches to questions about their counters."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

import structlog

from controller.openflow.decode import DecodeError

log = structlog.get_logger()

Answer = Future[list[bytes]]
T = TypeVar("T")


def gather(answers: Sequence[Answer], then: Callable[[Sequence[Answer]], None]) -> None:
    """Call back with all of them when the last one is done, from whatever thread that happens in."""
    left = itertools.count(len(answers) - 1, -1)  # atomic, unlike a number that is decremented
    for answer in answers:
        answer.add_done_callback(lambda _: then(answers) if next(left) == 0 else None)


def read(dpid: int, answer: Answer, decode: Callable[[Sequence[bytes]], list[T]]) -> list[T] | None:
    """What the switch answered; None if it went away, knows no such counters, or makes no sense."""
    if answer.exception() is not None:
        return None
    try:
        return decode(answer.result())
    except DecodeError as error:
        log.info("counters_malformed", dpid=f"{dpid:016x}", error=str(error))
        return None
