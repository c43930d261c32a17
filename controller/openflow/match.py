"""Matches as canonical OXM bytes: one match has one encoding, the one that Open vSwitch returns.

Canonical means: fields in OVS's order, no bit of a value outside its mask, no mask that covers the whole field
(it is an exact match) or nothing of it (it is no match).  Prerequisites (eth_type before ipv4_src) are the caller's.
"""

from __future__ import annotations

from struct import Struct

from controller.openflow.fields import FIELDS, RANK, header, to_bytes

Value = int | bytes
MatchValue = Value | tuple[Value, Value]

_HEADER = Struct("!I")
_PLAIN = {name: _HEADER.pack(header(FIELDS[name].oxm, FIELDS[name].width_bytes)) for name in RANK}
_MASKED = {name: _HEADER.pack(header(FIELDS[name].oxm, 2 * FIELDS[name].width_bytes, 1)) for name in RANK}


def match(**fields: MatchValue) -> bytes:
    """match(in_port=7, ipv4_src=(0x0a000000, 0xffffff00)) -> OXM bytes.

    A value is an int or bytes of the field's width, a tuple is (value, mask).  ValueError for an unknown field, a
    value that does not fit, or a value with bits outside its mask.
    """
    try:
        names = sorted(fields, key=RANK.__getitem__)
    except KeyError as unknown:
        raise ValueError(f"no field {unknown} to match on") from None
    parts: list[bytes] = []
    for name in names:
        value = fields[name]
        if isinstance(value, tuple):
            parts.append(_masked(name, *value))
        else:
            parts += (_PLAIN[name], to_bytes(FIELDS[name], value))
    return b"".join(parts)


def _masked(name: str, value: Value, mask: Value) -> bytes:
    field = FIELDS[name]
    value_bytes, mask_bytes = to_bytes(field, value), to_bytes(field, mask)
    bits = int.from_bytes(mask_bytes, "big")
    if int.from_bytes(value_bytes, "big") & ~bits:
        raise ValueError(f"{name}: value {value_bytes.hex()} has bits outside its mask {mask_bytes.hex()}")
    if not bits:
        return b""
    if bits == (1 << field.bits) - 1:
        return _PLAIN[name] + value_bytes
    return _MASKED[name] + value_bytes + mask_bytes
