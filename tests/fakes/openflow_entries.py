"""What a switch in memory holds, and the bytes of it that it tells: entries as they were written, and ports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

_FLOW_STATS = Struct("!HBxIIHHHH4xQQQHH")
_PORT = Struct("!I4x6s2x16sIIIIIIII")


class FlowKey(NamedTuple):
    table: int
    priority: int
    match: bytes
    """OXM bytes without header and padding"""


@dataclass(frozen=True, slots=True)
class FlowEntry:
    cookie: int
    flags: int
    instructions: bytes


@dataclass(frozen=True, slots=True)
class FakePort:
    port_no: int
    name: str = ""
    mac: str = ""
    up: bool = True
    speed_kbps: int = 10_000_000

    def pack(self) -> bytes:
        mac = bytes.fromhex(self.mac.replace(":", "")) if self.mac else b"\x02\xff" + self.port_no.to_bytes(4, "big")
        name = (self.name or f"p{self.port_no}").encode()
        return _PORT.pack(self.port_no, mac, name, 0, 0 if self.up else 1, 0, 0, 0, 0, self.speed_kbps, 0)


def flow_stats(key: FlowKey, entry: FlowEntry) -> bytes:
    match_bytes = (4 + len(key.match) + 7) // 8 * 8
    head = _FLOW_STATS.pack(48 + match_bytes + len(entry.instructions), key.table, 1, 0, key.priority, 0, 0,
                            entry.flags, entry.cookie, 0, 0, 1, 4 + len(key.match))  # fmt: skip
    return head + key.match + bytes(match_bytes - 4 - len(key.match)) + entry.instructions


def oxms(match: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(match):
        end = start + 4 + match[start + 3]
        yield match[start:end]
        start = end


def references(instructions: bytes) -> list[tuple[str, int]]:
    """The groups and meters that instructions use."""
    found, start = [], 0
    while start < len(instructions):
        kind, length = Struct("!HH").unpack_from(instructions, start)
        if kind == 6:
            found.append(("meter", int.from_bytes(instructions[start + 4:start + 8], "big")))
        elif kind in (3, 4):
            at = start + 8
            while at < start + length:
                action, action_bytes = Struct("!HH").unpack_from(instructions, at)
                if action == 22:
                    found.append(("group", int.from_bytes(instructions[at + 4:at + 8], "big")))
                at += max(8, action_bytes)
        start += max(8, length)
    return found
