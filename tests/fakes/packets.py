"""Frames: built, read and rewritten field by field, under the names that matches use.  No more than tests need.

    ping = icmp_echo(src, dst, "10.0.0.1", "10.0.0.2")      MACs and addresses are text, as people write them
    read(ping)["ipv4_dst"]                                  every field of a frame, as OVS would extract it
    rewrite(ping, "eth_dst", 0x020000000002)                the frame with one field changed, checksums mended
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from struct import pack

IPV4, ARP, VLAN, IPV6, LLDP = 0x0800, 0x0806, 0x8100, 0x86DD, 0x88CC
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
BROADCAST = "ff:ff:ff:ff:ff:ff"
NOBODY = "00:00:00:00:00:00"
_SOLICIT, _ADVERTISE = 135, 136
_SOURCE_OPTION, _TARGET_OPTION = 1, 2

Place = tuple[int, int]
"""(first byte, bytes) of a field in a frame."""


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(src: str, dst: str, eth_type: int, payload: bytes, *, vlan: int | None = None) -> bytes:
    tag = b"" if vlan is None else pack("!HH", VLAN, vlan)
    return mac(dst) + mac(src) + tag + pack("!H", eth_type) + payload


def arp(src: str, dst: str, op: int, sha: str, spa: str, tha: str, tpa: str) -> bytes:
    body = pack("!HHBBH", 1, IPV4, 6, 4, op) + mac(sha) + _address(spa) + mac(tha) + _address(tpa)
    return ethernet(src, dst, ARP, body)


def arp_request(src: str, spa: str, tpa: str, *, dst: str = BROADCAST) -> bytes:
    return arp(src, dst, 1, src, spa, NOBODY, tpa)


def ipv4(src: str, dst: str, ip_src: str, ip_dst: str, proto: int, payload: bytes, *, ttl: int = 64) -> bytes:
    head = pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, ttl, proto, 0)
    return _mend(ethernet(src, dst, IPV4, head + _address(ip_src) + _address(ip_dst) + payload))


def ipv6(src: str, dst: str, ip_src: str, ip_dst: str, proto: int, payload: bytes, *, hops: int = 64) -> bytes:
    head = pack("!IHBB", 6 << 28, len(payload), proto, hops)
    return _mend(ethernet(src, dst, IPV6, head + _address(ip_src) + _address(ip_dst) + payload))


def udp(
    src: str, dst: str, ip_src: str, ip_dst: str, *, sport: int = 1000, dport: int = 2000, data: bytes = b"",
) -> bytes:
    """Over IPv4 or IPv6, whichever the addresses are."""
    payload = pack("!HHHH", sport, dport, 8 + len(data), 0) + data
    return (ipv6 if ":" in ip_src else ipv4)(src, dst, ip_src, ip_dst, UDP, payload)


def icmp_echo(src: str, dst: str, ip_src: str, ip_dst: str, *, data: bytes = b"pliant") -> bytes:
    if ":" in ip_src:
        return ipv6(src, dst, ip_src, ip_dst, ICMPV6, pack("!BBHHH", 128, 0, 0, 7, 1) + data)
    return ipv4(src, dst, ip_src, ip_dst, ICMP, pack("!BBHHH", 8, 0, 0, 7, 1) + data)


def nd_solicit(src: str, ip_src: str, target: str, *, dst: str = "", option: str | None = "") -> bytes:
    """`option` is the source link-layer address; "" is the sender's, None leaves it out."""
    tail = b"" if option is None else pack("!BB", _SOURCE_OPTION, 1) + mac(option or src)
    group = int(IPv6Address(target)) & 0xFFFFFF
    ip_dst = str(IPv6Address(0xFF0200000000000000000001FF000000 | group))
    payload = pack("!BBHI", _SOLICIT, 0, 0, 0) + _address(target) + tail
    return ipv6(src, dst or f"33:33:ff:{group.to_bytes(3, 'big').hex(':')}", ip_src, ip_dst, ICMPV6, payload, hops=255)


def nd_advertise(src: str, ip_src: str, target: str, *, option: str = "") -> bytes:
    payload = pack("!BBHI", _ADVERTISE, 0, 0, 0x20000000) + _address(target)
    payload += pack("!BB", _TARGET_OPTION, 1) + mac(option or src)
    return ipv6(src, "33:33:00:00:00:01", ip_src, "ff02::1", ICMPV6, payload, hops=255)


def icmpv6(src: str, dst: str, ip_src: str, ip_dst: str, kind: int, body: bytes = bytes(4)) -> bytes:
    """Any other ICMPv6 message."""
    return ipv6(src, dst, ip_src, ip_dst, ICMPV6, pack("!BBH", kind, 0, 0) + body, hops=255)


def read(frame: bytes) -> dict[str, int]:
    """Every field that the frame has."""
    fields = {name: int.from_bytes(frame[at : at + size], "big") for name, (at, size) in _places(frame).items()}
    if "vlan_vid" in fields:
        fields["vlan_vid"] = fields["vlan_vid"] & 0x0FFF | 0x1000
    return fields


def rewrite(frame: bytes, name: str, value: int) -> bytes:
    """The frame with one field changed; the same frame if it has no such field."""
    place = _places(frame).get(name)
    if place is None:
        return frame
    at, size = place
    return _mend(frame[:at] + value.to_bytes(size, "big") + frame[at + size :])


def checksums_hold(frame: bytes) -> bool:
    return _mend(frame) == frame


def _address(text: str) -> bytes:
    return (IPv6Address(text) if ":" in text else IPv4Address(text)).packed


def _places(frame: bytes) -> dict[str, Place]:
    places: dict[str, Place] = {"eth_dst": (0, 6), "eth_src": (6, 6)}
    at = 12
    if frame[12:14] == pack("!H", VLAN):
        places["vlan_vid"] = (14, 2)
        at = 16
    places["eth_type"] = (at, 2)
    eth_type, at = int.from_bytes(frame[at : at + 2], "big"), at + 2
    if eth_type == ARP and len(frame) >= at + 28:
        places |= {"arp_op": (at + 6, 2), "arp_sha": (at + 8, 6), "arp_spa": (at + 14, 4)}
        places |= {"arp_tha": (at + 18, 6), "arp_tpa": (at + 24, 4)}
    elif eth_type == IPV4 and len(frame) >= at + 20:
        places |= {"ip_ttl": (at + 8, 1), "ip_proto": (at + 9, 1), "ipv4_src": (at + 12, 4), "ipv4_dst": (at + 16, 4)}
        places |= _transport(frame, frame[at + 9], at + 4 * (frame[at] & 0xF))
    elif eth_type == IPV6 and len(frame) >= at + 40:
        places |= {"ip_proto": (at + 6, 1), "ip_ttl": (at + 7, 1), "ipv6_src": (at + 8, 16), "ipv6_dst": (at + 24, 16)}
        places |= _transport(frame, frame[at + 6], at + 40)
    return places


def _transport(frame: bytes, proto: int, at: int) -> dict[str, Place]:
    if proto == UDP:
        return {"udp_src": (at, 2), "udp_dst": (at + 2, 2)}
    if proto == TCP:
        return {"tcp_src": (at, 2), "tcp_dst": (at + 2, 2)}
    if proto == ICMP:
        return {"icmpv4_type": (at, 1), "icmpv4_code": (at + 1, 1)}
    if proto != ICMPV6:
        return {}
    places: dict[str, Place] = {"icmpv6_type": (at, 1), "icmpv6_code": (at + 1, 1)}
    if frame[at] in (_SOLICIT, _ADVERTISE) and len(frame) >= at + 24:
        places |= {"nd_reserved": (at + 4, 4), "nd_target": (at + 8, 16)}
        option = at + 24
        if len(frame) >= option + 8:
            places["nd_options_type"] = (option, 1)
            link_layer = {_SOURCE_OPTION: "nd_sll", _TARGET_OPTION: "nd_tll"}.get(frame[option])
            if link_layer:
                places[link_layer] = (option + 2, 6)
    return places


def _mend(frame: bytes) -> bytes:
    """All checksums as they should be."""
    eth_type = int.from_bytes(frame[12:14], "big")
    if eth_type == IPV4:
        size = 4 * (frame[14] & 0xF)
        frame = _sum_into(frame, 24, frame[14 : 14 + size])
        proto, at, pseudo = frame[23], 14 + size, frame[26:34]
    elif eth_type == IPV6:
        proto, at, pseudo = frame[20], 54, frame[22:54]
    else:
        return frame
    offset = {ICMP: 2, ICMPV6: 2, UDP: 6, TCP: 16}.get(proto)
    if offset is None or len(frame) < at + offset + 2:
        return frame
    body = frame[at:]
    covered = body if proto == ICMP else body + pseudo + pack("!II", len(body), proto)
    if len(body) % 2 and proto != ICMP:
        covered = body + b"\0" + pseudo + pack("!II", len(body), proto)
    return _sum_into(frame, at + offset, covered, at_in_covered=offset)


def _sum_into(frame: bytes, at: int, covered: bytes, *, at_in_covered: int = 10) -> bytes:
    """Write the internet checksum of `covered` (which holds the checksum field itself) into the frame."""
    blank = covered[:at_in_covered] + b"\0\0" + covered[at_in_covered + 2 :]
    blank += b"\0" * (len(blank) % 2)
    total = sum(int.from_bytes(blank[i : i + 2], "big") for i in range(0, len(blank), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return frame[:at] + pack("!H", ~total & 0xFFFF) + frame[at + 2 :]
