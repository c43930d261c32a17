"""What a switch can hold: flows, groups and meters, as plain comparable values.

Matches, instructions and actions are canonical bytes (see match.py), so two entries are equal exactly when
the switch would hold the same thing.  Nothing here knows what an entry is for.

Every flow of ours is marked in its cookie, which the switch stores and returns:

    63      56 55      48 47                                 0
    +---------+----------+------------------------------------+
    |  'P'    |   kind   |  fingerprint of the flow's bytes   |
    +---------+----------+------------------------------------+

The first byte scopes dumps and deletes to us, the kind names the piece of program the flow belongs to, and
the fingerprint shows that somebody changed a flow behind our back (`ovs-ofctl mod-flows` keeps the cookie).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from typing import Literal, NamedTuple

ANY = 0xFFFFFFFF
"""Any port, any group: no restriction."""

COOKIE_OWNER = 0x50 << 56
COOKIE_OWNER_MASK = 0xFF << 56
_FINGERPRINT_MASK = (1 << 48) - 1

GROUP_ALL, GROUP_SELECT, GROUP_INDIRECT, GROUP_FAST_FAILOVER = range(4)

MeterUnit = Literal["kbps", "pktps"]

_FLOW_HEAD = Struct("!BHH")


class FlowKey(NamedTuple):
    """What identifies a flow on a switch: an add with the same key replaces it."""

    table: int
    priority: int
    match: bytes


@dataclass(frozen=True, slots=True)
class Flow:
    """One entry of a flow table.  Build it with `flow`, which makes the cookie."""

    table: int
    priority: int
    match: bytes
    instructions: bytes
    cookie: int
    flags: int = 0

    @property
    def key(self) -> FlowKey:
        return FlowKey(self.table, self.priority, self.match)


@dataclass(frozen=True, slots=True)
class Bucket:
    """One alternative, or copy, of a group.  What it watches decides whether a fast-failover bucket is alive."""

    actions: bytes
    weight: int = 0
    watch_port: int = ANY
    watch_group: int = ANY


@dataclass(frozen=True, slots=True)
class Group:
    id: int
    type: int
    buckets: tuple[Bucket, ...] = ()


@dataclass(frozen=True, slots=True)
class Meter:
    """A policer with one drop band.  `rate` is kbit/s or packets/s, `burst` kbit or packets, by `unit`."""

    id: int
    rate: int
    burst: int
    unit: MeterUnit = "kbps"


def flow(kind: int, table: int, priority: int, match: bytes, instructions: bytes) -> Flow:
    """The flow with our mark: owner, `kind` (0..255) and fingerprint in its cookie."""
    fingerprint = fingerprint_of(table, priority, match, instructions)
    return Flow(table, priority, match, instructions, COOKIE_OWNER | kind << 48 | fingerprint)


def fingerprint_of(table: int, priority: int, match: bytes, instructions: bytes) -> int:
    """48 bits that change with anything the flow matches or does."""
    content = _FLOW_HEAD.pack(table, priority, len(match)) + match + instructions
    return int.from_bytes(blake2b(content, digest_size=6).digest(), "big")


def is_ours(cookie: int) -> bool:
    return cookie & COOKIE_OWNER_MASK == COOKIE_OWNER


def kind_of(cookie: int) -> int:
    """The kind byte of a cookie of ours."""
    return cookie >> 48 & 0xFF


def is_intact(entry: Flow) -> bool:
    """Whether the fingerprint in the cookie still fits the flow: false when somebody rewrote its actions."""
    fingerprint = fingerprint_of(entry.table, entry.priority, entry.match, entry.instructions)
    return entry.cookie & _FINGERPRINT_MASK == fingerprint
