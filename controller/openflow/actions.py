"""Actions as bytes, in the form in which Open vSwitch returns them."""

from __future__ import annotations

from struct import Struct

from controller.openflow.fields import FIELDS, Field, header, to_bytes

IN_PORT = 0xFFFFFFF8
TABLE = 0xFFFFFFF9
"""In a packet-out: submit to the first table."""
CONTROLLER = 0xFFFFFFFD
LOCAL = 0xFFFFFFFE
NO_BUFFER = 0xFFFF
"""As max_len: send the whole packet."""

OUTPUT_TYPE, SET_QUEUE_TYPE, GROUP_TYPE, DEC_TTL_TYPE, SET_FIELD_TYPE, EXPERIMENTER_TYPE = 0, 21, 22, 24, 25, 0xFFFF
NICIRA = 0x00002320
MOVE_SUBTYPE, LOAD_SUBTYPE, MULTIPATH_SUBTYPE, RESUBMIT_SUBTYPE, CONTROLLER_SUBTYPE = 6, 7, 10, 14, 37
OUTPUT_TRUNC_SUBTYPE, CLONE_SUBTYPE = 39, 42
PROPERTY_MAX_LEN, PROPERTY_METER = 0, 5
RESUBMIT_SAME_PORT = 0xFFF8
SYMMETRIC_L3L4_UDP = 3
"""Hash over addresses and TCP, UDP or SCTP ports, the same in both directions of a connection."""
MODULO_N = 0

_OUTPUT = Struct("!HHIH6x")
_NUMBER = Struct("!HHI")
_SET_FIELD = Struct("!HHI")
_DEC_TTL = Struct("!HH4x").pack(DEC_TTL_TYPE, 8)
_MOVE = Struct("!HHIHHHHII")
_LOAD = Struct("!HHIHHIQ")
_RESUBMIT = Struct("!HHIHHB3x")
_MULTIPATH = Struct("!HHIHHH2xHHI2xHI")
_NICIRA_HEAD = Struct("!HHIH6x")
_OUTPUT_TRUNC = Struct("!HHIHHI")
_PROPERTY_16 = Struct("!HHH2x")
_PROPERTY_32 = Struct("!HHI")


def output(port_no: int, max_len: int = 0) -> bytes:
    return _OUTPUT.pack(OUTPUT_TYPE, 16, port_no, max_len)


def in_port() -> bytes:
    """Back to where the packet came from (a plain output to that port is skipped)."""
    return output(IN_PORT)


def controller(max_len: int = NO_BUFFER, *, meter_id: int | None = None) -> bytes:
    """Punt the packet's first `max_len` bytes, at most as fast as the meter allows."""
    if meter_id is None:
        return output(CONTROLLER, max_len)
    # OVS leaves the default length out when it returns the action, and counts the padding of the other one.
    properties = _PROPERTY_32.pack(PROPERTY_METER, 8, meter_id)
    if max_len != NO_BUFFER:
        properties = _PROPERTY_16.pack(PROPERTY_MAX_LEN, 8, max_len) + properties
    return _NICIRA_HEAD.pack(EXPERIMENTER_TYPE, 16 + len(properties), NICIRA, CONTROLLER_SUBTYPE) + properties


def group(group_id: int) -> bytes:
    return _NUMBER.pack(GROUP_TYPE, 8, group_id)


def set_queue(queue: int) -> bytes:
    return _NUMBER.pack(SET_QUEUE_TYPE, 8, queue)


def set_field(name: str, value: int | bytes) -> bytes:
    """Overwrite a whole field.  For a part of one use `load`."""
    field = _field(name)
    size = (8 + field.width_bytes + 7) & ~7
    head = _SET_FIELD.pack(SET_FIELD_TYPE, size, header(field.oxm, field.width_bytes))
    return (head + to_bytes(field, value)).ljust(size, b"\0")


def load(name: str, value: int, first_bit: int = 0, bits: int | None = None) -> bytes:
    """Write `value` into `bits` bits of a field (default: all above `first_bit`), at most 64."""
    field = _field(name)
    bits = field.subfield_bits - first_bit if bits is None else bits
    _check_range(field, first_bit, bits)
    if bits > 64 or value < 0 or value >> bits:
        raise ValueError(f"{name}: {value:#x} cannot be loaded into {bits} bits")
    place = first_bit << 6 | bits - 1
    return _LOAD.pack(EXPERIMENTER_TYPE, 24, NICIRA, LOAD_SUBTYPE, place, _subfield(field), value)


def move(src: str, dst: str, *, src_bit: int = 0, dst_bit: int = 0, bits: int | None = None) -> bytes:
    """Copy `bits` bits (default: as many as the source has above `src_bit`) from field to field."""
    source, target = _field(src), _field(dst)
    bits = source.subfield_bits - src_bit if bits is None else bits
    _check_range(source, src_bit, bits)
    _check_range(target, dst_bit, bits)
    headers = _subfield(source), _subfield(target)
    return _MOVE.pack(EXPERIMENTER_TYPE, 24, NICIRA, MOVE_SUBTYPE, bits, src_bit, dst_bit, *headers)


def spread(name: str, n: int, first_bit: int = 0, bits: int | None = None) -> bytes:
    """Write 0..n-1 into `bits` bits of a field, by a hash of the connection: the same for all its packets."""
    field = _field(name)
    bits = field.subfield_bits - first_bit if bits is None else bits
    _check_range(field, first_bit, bits)
    if not 1 <= n <= 1 << bits:
        raise ValueError(f"{name}: {bits} bits cannot hold 0..{n - 1}")
    place = first_bit << 6 | bits - 1
    return _MULTIPATH.pack(
        EXPERIMENTER_TYPE, 32, NICIRA, MULTIPATH_SUBTYPE, SYMMETRIC_L3L4_UDP, 0, MODULO_N, n - 1, 0, place,
        _subfield(field))


def resubmit(table: int) -> bytes:
    """Look the packet up in `table`, forward or backward, then go on with the next action."""
    return _RESUBMIT.pack(EXPERIMENTER_TYPE, 16, NICIRA, RESUBMIT_SUBTYPE, RESUBMIT_SAME_PORT, table)


def clone(*inner: bytes) -> bytes:
    """Do `inner` to a copy of the packet: whatever changes in it, the packet goes on as it was."""
    body = b"".join(inner)
    return _NICIRA_HEAD.pack(EXPERIMENTER_TYPE, 16 + len(body), NICIRA, CLONE_SUBTYPE) + body


def output_truncated(port_no: int, max_len: int) -> bytes:
    """Send the packet's first `max_len` bytes (at least 14); skipped if there is no such port."""
    return _OUTPUT_TRUNC.pack(EXPERIMENTER_TYPE, 16, NICIRA, OUTPUT_TRUNC_SUBTYPE, port_no, max_len)


def dec_ttl() -> bytes:
    return _DEC_TTL


def drop() -> bytes:
    """No action: the packet ends here."""
    return b""


def _field(name: str) -> Field:
    try:
        return FIELDS[name]
    except KeyError:
        raise ValueError(f"no field {name!r}") from None


def _subfield(field: Field) -> int:
    return header(field.subfield, field.subfield_bytes)


def _check_range(field: Field, first_bit: int, bits: int) -> None:
    if first_bit < 0 or bits < 1 or first_bit + bits > field.subfield_bits:
        raise ValueError(f"{field.name} has no bits {first_bit}..{first_bit + bits - 1}")
