"""A netlink socket to the kernel's traffic control: questions, and orders in batches.

The kernel works an order off while it is being sent, so a batch is one system call for some hundred orders and nobody
waits for an answer to each.  For one thread.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

from controller.southbound.queues import messages
from controller.southbound.queues.messages import (
    DONE,
    DUMP_INTERRUPTED,
    ERROR,
    Message,
    refusal,
    split,
    stamp,
)

BATCH_BYTES = 1 << 16
ANSWER_TIMEOUT_S = 5.0
DUMP_TRIES = 5
_READ_BYTES = 1 << 18
_BUFFER_BYTES = 1 << 21
_RECEIVE_BUFFER_FORCE = 33
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
T = TypeVar("T")


class KernelRefused(Exception):
    """The kernel would not; the message is its own."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text or os.strerror(number).lower())
        self.number = number


class Refusal(NamedTuple):
    """One order of a batch that the kernel would not follow."""

    position: int
    error: KernelRefused


class Netlink:
    """Close it when it is of no use any more."""

    def __init__(self, family: int = socket.NETLINK_ROUTE) -> None:
        """OSError if there is none to be had."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._socket.settimeout(ANSWER_TIMEOUT_S)
        self._socket.bind((0, 0))
        for option in (_CAP_ACK, _EXT_ACK):
            with suppress(OSError):  # an old kernel refuses in fewer words
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
        # A batch of which each order is refused has that many answers, and a machine's default holds few.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        with suppress(PermissionError):
            self._socket.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, _BUFFER_BYTES)
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def ask(self, question: bytes, read: Callable[[bytes], T]) -> list[T]:
        """All that the kernel answers.  KernelRefused, MalformedError, OSError."""
        for _ in range(DUMP_TRIES):
            answers, whole = self._ask(question)
            if whole:
                return [read(answer.body) for answer in answers]
        raise KernelRefused(errno.EAGAIN, "what was asked for changed faster than it could be read")

    def order(self, orders: Sequence[bytes]) -> list[Refusal]:
        """Give these orders, one after the other; what the kernel refused of them.  OSError, MalformedError."""
        refused: list[Refusal] = []
        at = 0
        while at < len(orders):
            end, size = at, 0
            while end < len(orders) and (end == at or size + len(orders[end]) <= BATCH_BYTES):
                size += len(orders[end])
                end += 1
            refused += self._order(orders, at, end)
            at = end
        return refused

    def _order(self, orders: Sequence[bytes], begin: int, end: int) -> list[Refusal]:
        first = self._sequence + 1
        self._sequence += end - begin
        batch = b"".join(
            stamp(orders[n], first + n - begin, acknowledge=n == end - 1) for n in range(begin, end))
        self._socket.send(batch)
        refused: list[Refusal] = []
        while True:
            for message in split(self._socket.recv(_READ_BYTES)):
                if message.kind != ERROR or not first <= message.sequence <= self._sequence:
                    continue
                number, text = refusal(message)
                if number:
                    position = begin + message.sequence - first
                    refused.append(Refusal(position, KernelRefused(number, text)))
                if message.sequence == self._sequence:  # the last one is answered in any case
                    return refused

    def _ask(self, question: bytes) -> tuple[list[Message], bool]:
        """The answers, and whether nothing changed while they were given."""
        self._sequence += 1
        is_dump = messages.is_dump(question)
        self._socket.send(stamp(question, self._sequence, acknowledge=False))
        answers: list[Message] = []
        whole = True
        while True:
            for message in split(self._socket.recv(_READ_BYTES)):
                if message.sequence != self._sequence:
                    continue  # of a question that was given up
                whole &= not message.flags & DUMP_INTERRUPTED
                if message.kind == DONE:
                    return answers, whole
                if message.kind == ERROR:
                    number, text = refusal(message)
                    raise KernelRefused(number, text)
                answers.append(message)
                if not is_dump:
                    return answers, whole
