"""The parts of a flow, decoded: matches, actions and instructions as small values.

For whoever has to look inside: FakeSwitch, text, explain.  Comparing flows needs none of this.
Every length is checked against the bytes there are; what cannot be so raises DecodeError, what is only unknown
(a foreign action, a field we do not use) is kept as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct

from controller.openflow import actions as act
from controller.openflow import instructions as ins
from controller.openflow.fields import BY_NUMBER


class DecodeError(ValueError):
    """The bytes are not what OpenFlow allows there."""


@dataclass(frozen=True, slots=True)
class Output:
    port_no: int
    max_len: int = 0


@dataclass(frozen=True, slots=True)
class ToGroup:
    group_id: int


@dataclass(frozen=True, slots=True)
class SetQueue:
    queue: int


@dataclass(frozen=True, slots=True)
class SetField:
    field: str
    value: int


@dataclass(frozen=True, slots=True)
class Load:
    field: str
    value: int
    first_bit: int
    bits: int


@dataclass(frozen=True, slots=True)
class Move:
    src: str
    dst: str
    src_bit: int
    dst_bit: int
    bits: int


@dataclass(frozen=True, slots=True)
class Spread:
    """A hash of the connection, modulo `n`, into some bits of a field."""

    field: str
    n: int
    first_bit: int
    bits: int


@dataclass(frozen=True, slots=True)
class Resubmit:
    table: int


@dataclass(frozen=True, slots=True)
class DecTtl:
    pass


@dataclass(frozen=True, slots=True)
class Punt:
    """Output to the controller through a meter (NXAST_CONTROLLER2)."""

    max_len: int
    meter_id: int


@dataclass(frozen=True, slots=True)
class OutputTruncated:
    port_no: int
    max_len: int


@dataclass(frozen=True, slots=True)
class Clone:
    """Actions on a copy of the packet."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class UnknownAction:
    raw: bytes


Action = (
    Output
    | ToGroup
    | SetQueue
    | SetField
    | Load
    | Move
    | Spread
    | Resubmit
    | DecTtl
    | Punt
    | OutputTruncated
    | Clone
    | UnknownAction
)
Match = dict[str, int | tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Instructions:
    """What a flow does, in the order of execution: meter, actions, metadata (value, mask), goto."""

    meter: int | None = None
    actions: tuple[Action, ...] = ()
    metadata: tuple[int, int] | None = None
    goto: int | None = None
    unknown: tuple[bytes, ...] = ()


MAX_NESTING = 8
"""Of clones in clones.  A frame has room for thousands, which no stack would bear."""

_OXM_HEADER = Struct("!HBB")
_TYPE_LENGTH = Struct("!HH")
_U32 = Struct("!I")
_EXPERIMENTER = Struct("!IH")
_LOAD = Struct("!HIQ")
_MOVE = Struct("!HHHII")
_RESUBMIT = Struct("!HB3x")
_MULTIPATH = Struct("!HH2xHHI2xHI")
_TRUNC = Struct("!HI")
_METADATA = Struct("!QQ")


def decode_match(oxm: bytes) -> Match:
    """OXM bytes (without the match header and padding) -> {field: value, or (value, mask)}."""
    result: Match = {}
    offset, end = 0, len(oxm)
    while offset < end:
        if end - offset < 4:
            raise DecodeError(f"{end - offset} stray bytes after the last field of a match")
        oxm_class, number_and_mask, length = _OXM_HEADER.unpack_from(oxm, offset)
        body = oxm[offset + 4 : offset + 4 + length]
        offset += 4 + length
        if offset > end:
            raise DecodeError("a match field is longer than its match")
        name, value = _oxm_value(oxm_class, number_and_mask >> 1, number_and_mask & 1, body)
        if name in result:
            raise DecodeError(f"match field {name} stands twice")
        result[name] = value
    return result


def _oxm_value(oxm_class: int, number: int, masked: int, body: bytes) -> tuple[str, int | tuple[int, int]]:
    field = BY_NUMBER.get((oxm_class, number))
    width = len(body) >> masked
    if masked and len(body) % 2:
        raise DecodeError("value and mask of a match field differ in length")
    if field is None:
        name = f"oxm_{oxm_class:#x}_{number}"
    elif width != (field.width_bytes if field.oxm == (oxm_class, number) else field.subfield_bytes):
        raise DecodeError(f"match field {field.name} has {width} bytes")
    else:
        name = field.name
    value = int.from_bytes(body[:width], "big")
    return name, (value, int.from_bytes(body[width:], "big")) if masked else value


def elements(data: bytes, what: str, *, minimum: int = 8) -> Iterator[tuple[int, bytes]]:
    """Split a list of (type, length, body) structures, each a multiple of 8 bytes long -> (type, whole structure)."""
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < 4:
            raise DecodeError(f"{end - offset} stray bytes after the last {what}")
        kind, length = _TYPE_LENGTH.unpack_from(data, offset)
        if length < minimum or length % 8 or offset + length > end:
            raise DecodeError(f"{what} {kind} has length {length} with {end - offset} bytes left")
        yield kind, data[offset : offset + length]
        offset += length


def decode_actions(data: bytes, *, nesting: int = 0) -> tuple[Action, ...]:
    if nesting > MAX_NESTING:
        raise DecodeError(f"actions nested more than {MAX_NESTING} deep")
    return tuple(_action(kind, raw, nesting) for kind, raw in elements(data, "action"))


def _action(kind: int, raw: bytes, nesting: int) -> Action:
    if kind == act.OUTPUT_TYPE and len(raw) == 16:
        return Output(_u32(raw, 4), int.from_bytes(raw[8:10], "big"))
    if kind == act.GROUP_TYPE and len(raw) == 8:
        return ToGroup(_u32(raw, 4))
    if kind == act.SET_QUEUE_TYPE and len(raw) == 8:
        return SetQueue(_u32(raw, 4))
    if kind == act.DEC_TTL_TYPE and len(raw) == 8:
        return DecTtl()
    if kind == act.SET_FIELD_TYPE:
        return _set_field(raw)
    if kind == act.EXPERIMENTER_TYPE and len(raw) >= 16:
        vendor, subtype = _EXPERIMENTER.unpack_from(raw, 4)
        decoder = _NICIRA_DECODERS.get((subtype, len(raw)))
        if vendor == act.NICIRA and decoder is not None:
            return decoder(raw)
        if vendor == act.NICIRA and subtype == act.CONTROLLER_SUBTYPE:
            return _punt(raw)
        if vendor == act.NICIRA and subtype == act.CLONE_SUBTYPE:
            return Clone(decode_actions(raw[16:], nesting=nesting + 1))
    return UnknownAction(raw)


def _u32(raw: bytes, offset: int) -> int:
    return int.from_bytes(raw[offset : offset + 4], "big")


def _set_field(raw: bytes) -> Action:
    length = raw[7]
    if 8 + length > len(raw):
        raise DecodeError("the value of a set_field is longer than the action")
    ((name, value),) = decode_match(raw[4 : 8 + length]).items()
    if name.startswith("oxm_") or isinstance(value, tuple):
        return UnknownAction(raw)
    return SetField(name, value)


def _subfield(header: int) -> str | None:
    field = BY_NUMBER.get((header >> 16, header >> 9 & 0x7F))
    return field.name if field else None


def _load(raw: bytes) -> Action:
    place, header, value = _LOAD.unpack_from(raw, 10)
    name = _subfield(header)
    return Load(name, value, place >> 6, (place & 0x3F) + 1) if name else UnknownAction(raw)


def _move(raw: bytes) -> Action:
    bits, src_bit, dst_bit, src_header, dst_header = _MOVE.unpack_from(raw, 10)
    src, dst = _subfield(src_header), _subfield(dst_header)
    return Move(src, dst, src_bit, dst_bit, bits) if src and dst else UnknownAction(raw)


def _spread(raw: bytes) -> Action:
    hash_fields, basis, algorithm, last, arg, place, header = _MULTIPATH.unpack_from(raw, 10)
    name = _subfield(header)
    if name is None or (hash_fields, basis, algorithm, arg) != (act.SYMMETRIC_L3L4_UDP, 0, act.MODULO_N, 0):
        return UnknownAction(raw)
    return Spread(name, last + 1, place >> 6, (place & 0x3F) + 1)


def _resubmit(raw: bytes) -> Action:
    port, table = _RESUBMIT.unpack_from(raw, 10)
    return Resubmit(table) if port == act.RESUBMIT_SAME_PORT else UnknownAction(raw)


def _output_truncated(raw: bytes) -> Action:
    return OutputTruncated(*_TRUNC.unpack_from(raw, 10))


def _punt(raw: bytes) -> Action:
    max_len, meter_id, offset = act.NO_BUFFER, None, 16
    while offset < len(raw):
        # Each is padded to 8 bytes; whether its length counts the padding differs from sender to sender.
        kind, length = _TYPE_LENGTH.unpack_from(raw, offset)
        if kind == act.PROPERTY_MAX_LEN and length in (6, 8):
            max_len = int.from_bytes(raw[offset + 4 : offset + 6], "big")
        elif kind == act.PROPERTY_METER and length == 8:
            meter_id = _u32(raw, offset + 4)
        else:
            return UnknownAction(raw)
        offset += 8
    return UnknownAction(raw) if meter_id is None else Punt(max_len, meter_id)


_NICIRA_DECODERS: dict[tuple[int, int], Callable[[bytes], Action]] = {
    (act.LOAD_SUBTYPE, 24): _load,
    (act.MOVE_SUBTYPE, 24): _move,
    (act.MULTIPATH_SUBTYPE, 32): _spread,
    (act.RESUBMIT_SUBTYPE, 16): _resubmit,
    (act.OUTPUT_TRUNC_SUBTYPE, 16): _output_truncated,
}


def decode_instructions(data: bytes) -> Instructions:
    meter = metadata = goto = None
    actions: tuple[Action, ...] = ()
    unknown: list[bytes] = []
    seen: set[int] = set()
    for kind, raw in elements(data, "instruction"):
        if kind in seen:
            raise DecodeError(f"instruction {kind} stands twice")
        seen.add(kind)
        if kind == ins.APPLY_TYPE:
            actions = decode_actions(raw[8:])
        elif kind == ins.GOTO_TYPE and len(raw) == 8:
            goto = raw[4]
        elif kind == ins.METER_TYPE and len(raw) == 8:
            meter = _u32(raw, 4)
        elif kind == ins.WRITE_METADATA_TYPE and len(raw) == 24:
            metadata = _METADATA.unpack_from(raw, 8)
        else:
            unknown.append(raw)
    return Instructions(meter, actions, metadata, goto, tuple(unknown))
