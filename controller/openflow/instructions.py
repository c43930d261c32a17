"""Instructions as bytes, in the order in which a switch executes and Open vSwitch returns them."""

from __future__ import annotations

from struct import Struct

GOTO_TYPE, WRITE_METADATA_TYPE, APPLY_TYPE, METER_TYPE = 1, 2, 4, 6

_GOTO = Struct("!HHB3x")
_METADATA = Struct("!HH4xQQ")
_APPLY = Struct("!HH4x")
_METER = Struct("!HHI")
# type as it stands in the second byte -> place in the order of execution
_ORDER = {METER_TYPE: 0, APPLY_TYPE: 1, WRITE_METADATA_TYPE: 2, GOTO_TYPE: 3}


def apply(*actions: bytes) -> bytes:
    """Execute actions now.  Without any there is nothing to say, and OVS returns nothing."""
    body = b"".join(actions)
    return _APPLY.pack(APPLY_TYPE, 8 + len(body)) + body if body else b""


def goto(table: int) -> bytes:
    return _GOTO.pack(GOTO_TYPE, 8, table)


def meter(meter_id: int) -> bytes:
    return _METER.pack(METER_TYPE, 8, meter_id)


def write_metadata(value: int, mask: int = 0xFFFFFFFFFFFFFFFF) -> bytes:
    if value & ~mask:
        raise ValueError(f"metadata {value:#x} has bits outside its mask {mask:#x}")
    return _METADATA.pack(WRITE_METADATA_TYPE, 24, value, mask)


def join(*instructions: bytes) -> bytes:
    """Instructions in the order of execution, whatever the order of arguments; empty ones vanish."""
    present = sorted((part for part in instructions if part), key=_order)
    if len({_order(part) for part in present}) != len(present):
        raise ValueError("a flow has at most one instruction of each kind")
    return b"".join(present)


def _order(instruction: bytes) -> int:
    return _ORDER[instruction[1]]
