"""What a switch says: frames -> values.

Nothing a peer sends is trusted: every length is checked against the bytes there are, every loop advances, and the
only exception is DecodeError.  Matches and instructions of flows stay bytes (they are canonical, comparing needs no
more); decode_match and decode_instructions look inside.

Multipart functions take all the raw replies to one request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from controller.openflow import messages as msg
from controller.openflow.entries import Bucket, Flow, Group, Meter, MeterUnit
from controller.openflow.parts import (
    DecodeError,
    Match,
    decode_actions,
    decode_instructions,
    decode_match,
    elements,
)

__all__ = [
    "PORT_ADDED",
    "PORT_DELETED",
    "PORT_MODIFIED",
    "DecodeError",
    "Description",
    "ErrorMessage",
    "FlowStat",
    "Head",
    "MeterFeatures",
    "MeterStat",
    "PacketIn",
    "PortDesc",
    "PortStat",
    "PortStatus",
    "body",
    "decode_actions",
    "decode_buckets",
    "decode_instructions",
    "decode_match",
    "decode_meter",
    "description",
    "error",
    "flow_stats",
    "group_desc",
    "head",
    "max_groups",
    "meter_config",
    "meter_features",
    "meter_stats",
    "packet_in",
    "port_desc",
    "port_stats",
    "port_status",
]


class Head(NamedTuple):
    version: int
    type: int
    length: int
    xid: int


class FlowStat(NamedTuple):
    """One flow of a dump."""

    table: int
    priority: int
    match: bytes
    cookie: int
    instructions: bytes
    flags: int
    packets: int
    bytes: int
    duration_ns: int

    @property
    def flow(self) -> Flow:
        return Flow(self.table, self.priority, self.match, self.instructions, self.cookie, self.flags)


@dataclass(frozen=True, slots=True)
class MeterFeatures:
    max_meters: int
    kbps: bool
    pktps: bool
    burst: bool
    stats: bool
    max_bands: int


@dataclass(frozen=True, slots=True)
class PortDesc:
    """A switch port.  `up` when neither the operator nor the wire says down; `speed_kbps` is the current speed."""

    port_no: int
    name: str
    mac: str
    up: bool
    speed_kbps: int


class PortStat(NamedTuple):
    """The counters of a port.  `duration_ns`: how long the port is there, by the switch's clock."""

    port_no: int
    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int
    duration_ns: int


class MeterStat(NamedTuple):
    """The counters of a meter.  What its band dropped is part of what came in."""

    id: int
    packets: int
    bytes: int
    dropped_packets: int
    dropped_bytes: int
    duration_ns: int


@dataclass(frozen=True, slots=True)
class PortStatus:
    reason: int
    port: PortDesc


PORT_ADDED, PORT_DELETED, PORT_MODIFIED = range(3)


@dataclass(frozen=True, slots=True)
class PacketIn:
    """A punted packet.  `fields` is the metadata that came with it: in_port, registers, tunnel."""

    reason: int
    table: int
    cookie: int
    in_port: int
    fields: Match
    data: bytes


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """A refusal.  `data` is at least the first 64 bytes of what was refused."""

    xid: int
    type: int
    code: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Description:
    manufacturer: str
    hardware: str
    software: str
    serial: str
    datapath: str


_HEAD = Struct("!BBHI")
_KIND = Struct("!H")
_LENGTH = Struct("!H")
_FLOW_STATS = Struct("!HBxIIHHHH4xQQQHH")
_GROUP_DESC = Struct("!HBxI")
_METER = Struct("!2xHI")
_METER_STATS = Struct("!IH6xIQQII")
_BAND_STATS = Struct("!QQ")
_METER_FEATURES = Struct("!IIIBB2x")
_GROUP_FEATURES = Struct("!II4I4I")
_PORT = Struct("!I4x6s2x16sIIIIIIII")
_PORT_STATS = Struct("!I4x4Q64xII")
_PACKET_IN = Struct("!IHBBQHH")
_ERROR = Struct("!HH")
_DESCRIPTION = Struct("!256s256s256s32s256s")
_DROP_BAND = 1
_CONFIG_DOWN, _LINK_DOWN = 1, 1


def head(frame: bytes) -> Head:
    if len(frame) < 8:
        raise DecodeError(f"{len(frame)} bytes are no OpenFlow message")
    result = Head._make(_HEAD.unpack_from(frame))
    if result.length != len(frame):
        raise DecodeError(f"a message of {len(frame)} bytes says that it has {result.length}")
    return result


def body(frame: bytes, kind: int, minimum: int) -> bytes:
    """What follows the header of a message of this type, at least `minimum` bytes."""
    if head(frame).type != kind:
        raise DecodeError(f"message type {frame[1]} where {kind} was expected")
    if len(frame) < 8 + minimum:
        raise DecodeError(f"a message of type {kind} has {len(frame)} bytes only")
    return frame[8:]


def flow_stats(replies: Sequence[bytes]) -> list[FlowStat]:
    """The flows of a dump."""
    result: list[FlowStat] = []
    unpack, make = _FLOW_STATS.unpack_from, FlowStat._make
    for raw in _stats(replies, msg.FLOW_STATS, minimum=56):
        (
            length, table, seconds, nanoseconds, priority, _idle, _hard, flags,
            cookie, packets, octets, match_type, match_length,
        ) = unpack(raw)  # fmt: skip
        instructions_at = 48 + (match_length + 7 & ~7)
        if match_type != 1 or match_length < 4 or instructions_at > length:
            raise DecodeError(f"flow match of type {match_type} and length {match_length}")
        result.append(
            make((
                table, priority, raw[52 : 48 + match_length], cookie, raw[instructions_at:], flags,
                packets, octets, seconds * 1_000_000_000 + nanoseconds,
            ))
        )  # fmt: skip
    return result


def group_desc(replies: Sequence[bytes]) -> list[Group]:
    result: list[Group] = []
    for raw in _stats(replies, msg.GROUP_DESC, minimum=8):
        _, group_type, group_id = _GROUP_DESC.unpack_from(raw)
        result.append(Group(group_id, group_type, decode_buckets(raw[8:])))
    return result


def decode_buckets(data: bytes) -> tuple[Bucket, ...]:
    result: list[Bucket] = []
    for raw in _structures(data, minimum=16):
        _, weight, watch_port, watch_group = msg.BUCKET.unpack_from(raw)
        result.append(Bucket(raw[16:], weight, watch_port, watch_group))
    return tuple(result)


def meter_config(replies: Sequence[bytes]) -> list[Meter]:
    return [decode_meter(raw) for raw in _stats(replies, msg.METER_CONFIG, minimum=8)]


def decode_meter(raw: bytes) -> Meter:
    """Two bytes that mean nothing here, flags, id and bands: the common part of a meter-mod and a description.

    A meter that is not of the shape we program reads as rate 0, so it equals none of ours.
    """
    flags, meter_id = _METER.unpack_from(raw)
    bands = list(elements(raw[8:], "meter band", minimum=12))
    unit: MeterUnit = "pktps" if flags & msg.METER_PKTPS else "kbps"
    if flags == msg.METER_FLAGS[unit] and len(bands) == 1 and len(bands[0][1]) == msg.BAND.size:
        kind, _, rate, burst = msg.BAND.unpack(bands[0][1])
        if kind == _DROP_BAND:
            return Meter(meter_id, rate, burst, unit)
    return Meter(meter_id, 0, 0, unit)


def meter_stats(replies: Sequence[bytes]) -> list[MeterStat]:
    result: list[MeterStat] = []
    for raw in _bodies(replies, msg.METER_STATISTICS):
        offset = 0
        while offset < len(raw):
            stat, length = _meter_stat(raw, offset)
            result.append(stat)
            offset += length
    return result


def _meter_stat(raw: bytes, offset: int) -> tuple[MeterStat, int]:
    """The counters that begin there, and how many bytes they take."""
    left = len(raw) - offset
    if left < _METER_STATS.size:
        raise DecodeError(f"{left} bytes are no counters of a meter")
    meter_id, length, _flows, packets, octets, seconds, nanoseconds = _METER_STATS.unpack_from(raw, offset)
    bands = length - _METER_STATS.size
    if length > left or bands < 0 or bands % _BAND_STATS.size:
        raise DecodeError(f"the counters of a meter have length {length} with {left} bytes left")
    dropped = [_BAND_STATS.unpack_from(raw, at)
               for at in range(offset + _METER_STATS.size, offset + length, _BAND_STATS.size)]
    stat = MeterStat(
        meter_id, packets, octets, sum(band[0] for band in dropped), sum(band[1] for band in dropped),
        seconds * 1_000_000_000 + nanoseconds)
    return stat, length


def meter_features(replies: Sequence[bytes]) -> MeterFeatures:
    max_meters, _bands, capabilities, max_bands, _colour = _METER_FEATURES.unpack_from(
        _single(replies, msg.METER_FEATURES, _METER_FEATURES.size)
    )
    kbps, pktps, burst, stats = (
        bool(capabilities & bit) for bit in (msg.METER_KBPS, msg.METER_PKTPS, msg.METER_BURST, msg.METER_STATS)
    )
    return MeterFeatures(max_meters, kbps, pktps, burst, stats, max_bands)


def max_groups(replies: Sequence[bytes]) -> tuple[int, int, int, int]:
    """How many groups the switch can hold, by type (all, select, indirect, fast failover)."""
    features = _GROUP_FEATURES.unpack_from(_single(replies, msg.GROUP_FEATURES, _GROUP_FEATURES.size))
    return features[2], features[3], features[4], features[5]


def description(replies: Sequence[bytes]) -> Description:
    raw = _single(replies, msg.DESC, _DESCRIPTION.size)
    return Description(*(_text(part) for part in _DESCRIPTION.unpack_from(raw)))


def port_desc(replies: Sequence[bytes]) -> list[PortDesc]:
    result: list[PortDesc] = []
    for raw in _bodies(replies, msg.PORT_DESC):
        if len(raw) % _PORT.size:
            raise DecodeError(f"{len(raw)} bytes are no whole number of ports")
        result += (_port(raw, offset) for offset in range(0, len(raw), _PORT.size))
    return result


def port_stats(replies: Sequence[bytes]) -> list[PortStat]:
    result: list[PortStat] = []
    for raw in _bodies(replies, msg.PORT_STATS):
        if len(raw) % _PORT_STATS.size:
            raise DecodeError(f"{len(raw)} bytes are no whole number of ports' counters")
        for port_no, rx_packets, tx_packets, rx_bytes, tx_bytes, seconds, nanoseconds in _PORT_STATS.iter_unpack(raw):
            duration_ns = seconds * 1_000_000_000 + nanoseconds
            result.append(PortStat(port_no, rx_packets, tx_packets, rx_bytes, tx_bytes, duration_ns))
    return result


def port_status(frame: bytes) -> PortStatus:
    raw = body(frame, msg.PORT_STATUS_TYPE, 8 + _PORT.size)
    return PortStatus(raw[0], _port(raw, 8))


def packet_in(frame: bytes) -> PacketIn:
    raw = body(frame, msg.PACKET_IN_TYPE, _PACKET_IN.size)
    _buffer, _total, reason, table, cookie, match_type, match_length = _PACKET_IN.unpack_from(raw)
    data_at = 16 + (match_length + 7 & ~7) + 2
    if match_type != 1 or match_length < 4 or data_at > len(raw):
        raise DecodeError(f"packet-in with a match of type {match_type} and length {match_length}")
    fields = decode_match(raw[20 : 16 + match_length])
    in_port = fields.get("in_port")
    if not isinstance(in_port, int):
        raise DecodeError("packet-in without an in_port")
    return PacketIn(reason, table, cookie, in_port, fields, raw[data_at:])


def error(frame: bytes) -> ErrorMessage:
    raw = body(frame, msg.ERROR_TYPE, _ERROR.size)
    error_type, code = _ERROR.unpack_from(raw)
    return ErrorMessage(head(frame).xid, error_type, code, raw[4:])


def _port(raw: bytes, offset: int) -> PortDesc:
    port_no, mac, name, config, state, *_features, current_kbps, _max = _PORT.unpack_from(raw, offset)
    up = not config & _CONFIG_DOWN and not state & _LINK_DOWN
    return PortDesc(port_no, _text(name), mac.hex(":"), up, current_kbps)


def _text(padded: bytes) -> str:
    return padded.split(b"\0", 1)[0].decode("utf-8", "replace")


def _bodies(replies: Sequence[bytes], kind: int) -> Iterator[bytes]:
    for frame in replies:
        raw = body(frame, msg.REPLY_TYPE, 8)
        if _KIND.unpack_from(raw)[0] != kind:
            raise DecodeError(f"multipart reply of kind {_KIND.unpack_from(raw)[0]} where {kind} was expected")
        yield raw[8:]


def _single(replies: Sequence[bytes], kind: int, minimum: int) -> bytes:
    bodies = list(_bodies(replies, kind))
    if len(bodies) != 1 or len(bodies[0]) < minimum:
        raise DecodeError(f"multipart reply of kind {kind} is not one body of at least {minimum} bytes")
    return bodies[0]


def _stats(replies: Sequence[bytes], kind: int, *, minimum: int) -> Iterator[bytes]:
    for raw in _bodies(replies, kind):
        yield from _structures(raw, minimum=minimum)


def _structures(data: bytes, *, minimum: int) -> Iterator[bytes]:
    """Split a list of structures that begin with their own length."""
    offset, end = 0, len(data)
    while offset < end:
        length = _LENGTH.unpack_from(data, offset)[0] if end - offset >= 2 else 0
        if length < minimum or offset + length > end:
            raise DecodeError(f"a structure has length {length} with {end - offset} bytes left")
        yield data[offset : offset + length]
        offset += length
