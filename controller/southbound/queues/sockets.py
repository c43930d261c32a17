"""How much may wait in the socket that a userspace switch sends all its ports' frames through.

Open vSwitch sends by one packet socket that belongs to no device.  What waits in a queue still counts for the socket;
when that is full, frames of all ports are dropped.  Its size is net.core.wmem_default at the time the daemon started.
The kernel tells it to everybody (`ss -0 -m` shows the same).
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from struct import Struct, error
from typing import NamedTuple

from controller.southbound.queues.messages import DUMP, HEADER, REQUEST, MalformedError, attributes

NETLINK_SOCK_DIAG = 4
DEFAULT_BYTES = 212_992
"""What Linux gives a socket unless it is told otherwise."""
FRAME_BYTES = 2_304
"""What a full Ethernet frame takes of it."""
_BY_FAMILY = 20
_SHOW_INFO, _SHOW_MEMORY = 0x01, 0x10
_INFO, _MEMORY = 0, 6
_ASK = Struct("=BxHII8x")
_HEAD = Struct("=BBHI8x")
_U32 = Struct("=I")
_MEMORY_COUNTS = Struct("=IIII")


class PacketSocket(NamedTuple):
    """`device` 0: it is bound to none."""

    protocol: int
    device: int
    send_bytes: int


def get_packet_sockets() -> bytes:
    body = _ASK.pack(socket.AF_PACKET, 0, 0, _SHOW_INFO | _SHOW_MEMORY)
    return HEADER.pack(HEADER.size + len(body), _BY_FAMILY, REQUEST | DUMP, 0, 0) + body


def read_packet_socket(body: bytes) -> PacketSocket:
    try:
        _, _, protocol, _ = _HEAD.unpack_from(body)
        found = dict(attributes(body[_HEAD.size:]))
        (device,) = _U32.unpack_from(found[_INFO])
        send_bytes = _MEMORY_COUNTS.unpack_from(found[_MEMORY])[3]
    except (error, KeyError) as what:
        raise MalformedError(f"no packet socket: {what}") from what
    return PacketSocket(protocol, device, send_bytes)


def frames_at_once(sockets: Iterable[PacketSocket]) -> int:
    """Full frames that may wait in all queues together: of the sockets that a switch may send through the smallest."""
    senders = [each.send_bytes for each in sockets if not each.protocol and not each.device]
    return min(senders, default=DEFAULT_BYTES) // FRAME_BYTES
