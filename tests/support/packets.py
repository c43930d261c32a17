"""Frames of IPv6 for real hosts to send; those of IPv4 and ARP are the lab's (apps/lab/frames.py)."""

from __future__ import annotations

import ipaddress
import struct

from apps.lab.frames import mac_bytes

_UDP, _ICMPV6 = 17, 58
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOURCE_LINK_LAYER, _TARGET_LINK_LAYER = 1, 2


def udp6_frame(*, src_mac: str, dst_mac: str, src_ip: str, dst_ip: str, payload: bytes = b"pliant") -> bytes:
    """An IPv6 UDP datagram in an Ethernet frame."""
    udp = struct.pack("!HHHH", 9, 9, 8 + len(payload), 0) + payload
    return _frame(src_mac, dst_mac, src_ip, dst_ip, _UDP, udp, checksum_at=6)


def nd_solicitation(*, src_mac: str, dst_mac: str, src_ip: str, target: str, link_layer: str) -> bytes:
    """Who has `target`?  Asked by src_ip, at link_layer."""
    option = struct.pack("!BB6s", _SOURCE_LINK_LAYER, 1, mac_bytes(link_layer))
    body = struct.pack("!BBHI16s", _SOLICITATION, 0, 0, 0, _packed(target)) + option
    return _frame(src_mac, dst_mac, src_ip, "ff02::1", _ICMPV6, body, checksum_at=2)


def nd_advertisement(*, src_mac: str, dst_mac: str, src_ip: str, dst_ip: str, target: str, link_layer: str) -> bytes:
    """`target` is at link_layer, says src_ip."""
    option = struct.pack("!BB6s", _TARGET_LINK_LAYER, 1, mac_bytes(link_layer))
    body = struct.pack("!BBHI16s", _ADVERTISEMENT, 0, 0, 0x60000000, _packed(target)) + option
    return _frame(src_mac, dst_mac, src_ip, dst_ip, _ICMPV6, body, checksum_at=2)


def _frame(
    src_mac: str, dst_mac: str, src_ip: str, dst_ip: str, protocol: int, body: bytes, *, checksum_at: int
) -> bytes:
    source, destination = _packed(src_ip), _packed(dst_ip)
    pseudo = source + destination + struct.pack("!II", len(body), protocol)
    checksum = struct.pack("!H", _checksum(pseudo + body) or 0xFFFF)
    body = body[:checksum_at] + checksum + body[checksum_at + 2:]
    header = struct.pack("!IHBB", 6 << 28, len(body), protocol, 255) + source + destination
    return mac_bytes(dst_mac) + mac_bytes(src_mac) + b"\x86\xdd" + header + body


def _packed(address: str) -> bytes:
    return ipaddress.IPv6Address(address).packed


def _checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total: int = sum(word for (word,) in struct.iter_unpack("!H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
