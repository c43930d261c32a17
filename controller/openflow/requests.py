"""The other side of messages.py: what a controller says, decoded.  For switches that exist in memory only."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from controller.openflow import messages as msg
from controller.openflow.decode import body, decode_buckets, decode_meter
from controller.openflow.entries import Flow, Group, Meter
from controller.openflow.parts import DecodeError


@dataclass(frozen=True, slots=True)
class FlowMod:
    command: int
    flow: Flow
    cookie_mask: int


@dataclass(frozen=True, slots=True)
class GroupMod:
    command: int
    group: Group


@dataclass(frozen=True, slots=True)
class MeterMod:
    """For a delete, only the meter's id means something."""

    command: int
    meter: Meter


@dataclass(frozen=True, slots=True)
class PacketOut:
    in_port: int
    actions: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """A multipart request: what is asked for, and the bytes that narrow it down."""

    kind: int
    body: bytes


@dataclass(frozen=True, slots=True)
class FlowRequest:
    table: int
    cookie: int
    cookie_mask: int


_FLOW_REQUEST = Struct("!B3x4x4x4xQQ")
_FLOW_MOD = Struct("!QQBB4xH12xH2xHH")
_GROUP_MOD = Struct("!HBxI")
_PACKET_OUT = Struct("!4xIH6x")
_U16 = Struct("!H")


def flow_mod(frame: bytes) -> FlowMod:
    raw = body(frame, msg.FLOW_MOD_TYPE, 48)
    cookie, cookie_mask, table, command, priority, flags, match_type, match_length = _FLOW_MOD.unpack_from(raw)
    instructions_at = 40 + (match_length + 7 & ~7)
    if match_type != 1 or match_length < 4 or instructions_at > len(raw):
        raise DecodeError(f"flow-mod with a match of type {match_type} and length {match_length}")
    match, instructions = raw[44 : 40 + match_length], raw[instructions_at:]
    return FlowMod(command, Flow(table, priority, match, instructions, cookie, flags), cookie_mask)


def group_mod(frame: bytes) -> GroupMod:
    raw = body(frame, msg.GROUP_MOD_TYPE, 8)
    command, group_type, group_id = _GROUP_MOD.unpack_from(raw)
    return GroupMod(command, Group(group_id, group_type, decode_buckets(raw[8:])))


def meter_mod(frame: bytes) -> MeterMod:
    raw = body(frame, msg.METER_MOD_TYPE, 8)
    return MeterMod(_U16.unpack_from(raw)[0], decode_meter(raw))


def packet_out(frame: bytes) -> PacketOut:
    raw = body(frame, msg.PACKET_OUT_TYPE, 16)
    in_port, length = _PACKET_OUT.unpack_from(raw)
    if 16 + length > len(raw):
        raise DecodeError("the actions of a packet-out are longer than the message")
    return PacketOut(in_port, raw[16 : 16 + length], raw[16 + length :])


def request(frame: bytes) -> Request:
    raw = body(frame, msg.REQUEST_TYPE, 8)
    return Request(_U16.unpack_from(raw)[0], raw[8:])


def flow_request(asked: Request) -> FlowRequest:
    if asked.kind != msg.FLOW_STATS or len(asked.body) < 32:
        raise DecodeError("not a request for flows")
    return FlowRequest(*_FLOW_REQUEST.unpack_from(asked.body))
