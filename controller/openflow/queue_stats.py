"""The counters of a port's queues: the question, and what a switch answers."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from controller.openflow import messages as msg
from controller.openflow.decode import DecodeError, body

QUEUE_STATS = 5
ALL_QUEUES = 0xFFFFFFFF
_REQUEST = Struct("!II")
_KIND = Struct("!H6x")
_STATS = Struct("!IIQQQII")


class QueueStat(NamedTuple):
    """One queue of one port.  `tx_errors`: frames that it dropped."""

    port_no: int
    queue_id: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    duration_ns: int


def queue_stats_request(port_no: int, queue_id: int = ALL_QUEUES) -> bytes:
    """Ask for the counters of a port's queue, or of all of them."""
    head = msg.MULTIPART.pack(msg.VERSION, msg.REQUEST_TYPE, 24, 0, QUEUE_STATS, 0)
    return head + _REQUEST.pack(port_no, queue_id)


def queue_stats(replies: Sequence[bytes]) -> list[QueueStat]:
    """From all replies to one request.  DecodeError."""
    result: list[QueueStat] = []
    for frame in replies:
        raw = body(frame, msg.REPLY_TYPE, _KIND.size)
        (kind,) = _KIND.unpack_from(raw)
        if kind != QUEUE_STATS or (len(raw) - _KIND.size) % _STATS.size:
            raise DecodeError(f"{len(raw)} bytes of kind {kind} are no counters of queues")
        for port_no, queue_id, octets, packets, errors, seconds, nanoseconds in _STATS.iter_unpack(raw[_KIND.size:]):
            duration_ns = seconds * 1_000_000_000 + nanoseconds
            result.append(QueueStat(port_no, queue_id, octets, packets, errors, duration_ns))
    return result
