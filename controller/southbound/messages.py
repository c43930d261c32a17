"""The message of a packet-in event, as os-ken applications expect it, without os-ken's costs."""

from __future__ import annotations

from functools import cached_property
from struct import Struct
from typing import Any

from controller.openflow.decode import PacketIn
from controller.southbound.framing import HEADER
from controller.southbound.osken import parser

_PACKET_IN = Struct("!8xIHBBQ")
_MATCH_AT = 24


class PacketInMessage(parser.OFPPacketIn):  # type: ignore[misc]  # os-ken is untyped
    """An OFPPacketIn whose costly parts are made only if somebody looks.

    `packet` is the decoded controller.openflow.decode.PacketIn, for our own applications; `match` is os-ken's OFPMatch.
    """

    def __init__(self, datapath: Any, frame: bytes, packet: PacketIn) -> None:
        self.datapath = datapath
        self.buf = frame
        self.version, self.msg_type, self.msg_len, self.xid = HEADER.unpack_from(frame)
        self.buffer_id, self.total_len, self.reason, self.table_id, self.cookie = _PACKET_IN.unpack_from(frame)
        self.packet = packet
        self.data = packet.data

    @cached_property
    def match(self) -> Any:
        return parser.OFPMatch.parser(self.buf, _MATCH_AT)
