"""A conversation with the kernel by one of pyroute2's sockets: questions, and orders in batches.

The kernel works an order off while it is being sent, so a batch is one system call for some hundred orders and nobody
waits for an answer to each: what is refused is told, and of the last one also that it is done.  Pyroute2's own
conversations (IPRoute) need a thread without a running event loop, and in a batch an answer to each order.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from pyroute2 import IPRSocket
from pyroute2.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLMSG_DONE, nlmsg
from pyroute2.netlink.exceptions import NetlinkError

from controller.southbound.queues.answers import ANSWERS

BATCH_ORDERS = 200
"""Were each of them refused, the socket would still hold all answers."""
ANSWER_TIMEOUT_S = 5.0
DUMP_TRIES = 5
MAX_NAME_BYTES = 15
_SIOCGIFINDEX, _IFREQ_BYTES = 0x8933, 40
_NO_DEVICE = frozenset({errno.ENODEV, errno.ENXIO, errno.EINVAL})
T = TypeVar("T")


class KernelRefused(Exception):
    """The kernel would not; the message is its own."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


class Refusal(NamedTuple):
    """One order of a batch that the kernel would not follow."""

    position: int
    error: KernelRefused


class Netlink:
    """Close it when it is of no use any more.  For one thread, which may run an event loop."""

    def __init__(self, family: int = socket.NETLINK_ROUTE) -> None:
        """OSError if there is none to be had."""
        kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._socket = IPRSocket(fileno=kernel.detach(), ext_ack=True)
        self._socket.socket.settimeout(ANSWER_TIMEOUT_S)
        self._socket.register_policy(ANSWERS[family])
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def ask(self, question: nlmsg, read: Callable[[nlmsg], T]) -> list[T]:
        """All that the kernel answers.  KernelRefused, MalformedError, OSError."""
        for _ in range(DUMP_TRIES):
            answers, is_whole = self._ask(question, read)
            if is_whole:
                return answers
        raise KernelRefused(errno.EAGAIN, "what was asked for changed faster than it could be read")

    def has_device(self, name: str) -> bool:
        """Whether a device has this name.  A hundred times cheaper than to `ask`, for most switch ports are none."""
        encoded = name.encode()
        if not 0 < len(encoded) <= MAX_NAME_BYTES:
            return False
        try:
            fcntl.ioctl(self._socket.fileno(), _SIOCGIFINDEX, encoded.ljust(_IFREQ_BYTES, b"\0"))
        except OSError as error:
            if error.errno in _NO_DEVICE:
                return False
            raise
        return True

    def order(self, orders: Sequence[nlmsg]) -> list[Refusal]:
        """Give these orders, one after the other; what the kernel refused of them.  OSError."""
        first = self._sequence + 1
        for end in {*range(BATCH_ORDERS, len(orders), BATCH_ORDERS), len(orders)} - {0}:
            orders[end - 1]["header"]["flags"] |= NLM_F_ACK  # the last one of a batch is answered in any case
        # All is made ready before the first is sent: what is half done is soon done.
        encoded = [self._encode(order) for order in orders]
        refused: list[Refusal] = []
        for begin in range(0, len(encoded), BATCH_ORDERS):
            refused += self._order(encoded[begin:begin + BATCH_ORDERS], begin, first + begin)
        return refused

    def _order(self, orders: Sequence[bytes], begin: int, first: int) -> list[Refusal]:
        last = first + len(orders) - 1
        self._socket.send(b"".join(orders))
        refused: list[Refusal] = []
        while True:
            for answer in self._socket.get():
                number = answer["header"]["sequence_number"]
                if not first <= number <= last:
                    continue  # of a question that was given up
                if error := _refusal(answer):
                    refused.append(Refusal(begin + number - first, error))
                if number == last:
                    return refused

    def _ask(self, question: nlmsg, read: Callable[[nlmsg], T]) -> tuple[list[T], bool]:
        """The answers, and whether nothing changed while they were given."""
        self._socket.send(self._encode(question))
        is_dump = question["header"]["flags"] & NLM_F_DUMP == NLM_F_DUMP
        answers: list[T] = []
        is_whole = True
        while True:
            for answer in self._socket.get():
                header = answer["header"]
                if header["sequence_number"] != self._sequence:
                    continue
                is_whole &= not header["flags"] & NLM_F_DUMP_INTR
                if error := _refusal(answer):
                    raise error
                if header["type"] == NLMSG_DONE:
                    return answers, is_whole
                answers.append(read(answer))
                if not is_dump:
                    return answers, is_whole

    def _encode(self, message: nlmsg) -> bytes:
        self._sequence += 1
        message["header"]["sequence_number"] = self._sequence
        message.reset()
        message.encode()
        return bytes(message.data)


def _refusal(answer: Any) -> KernelRefused | None:
    """OSError if answers were lost."""
    error = answer["header"]["error"]
    if isinstance(error, NetlinkError):
        number, text = error.args
        return KernelRefused(number, text if text != os.strerror(number) else text.lower())
    if error is not None:
        raise error
    return None
