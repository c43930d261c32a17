"""Whether a frame shows that a host is behind a port.  Knows the few kinds of frames that show nothing.

Both ends of a wire between switches speak by themselves on many systems: link-layer protocols to the bridge group
addresses (LLDP, LACP, STP), the BFD of Open vSwitch to its well-known address, and IPv6 autoconfiguration (router
solicitation, duplicate address detection, multicast listener reports).  Everything else comes from a host.  Constant
work: fixed offsets, no parsing of options.
"""

from __future__ import annotations

_BRIDGE_GROUP = bytes.fromhex("0180c20000")
_BFD = bytes.fromhex("002320000001")
"""A wire that is moved to another switch still carries the BFD of its old port."""
_LLDP, _SLOW_PROTOCOLS, _IPV6 = b"\x88\xcc", b"\x88\x09", b"\x86\xdd"
_HOP_BY_HOP, _ICMPV6 = 0, 58
_MLD_REPORT, _MLD_DONE, _ROUTER_SOLICITATION, _NEIGHBOUR_SOLICITATION, _MLD2_REPORT = 131, 132, 133, 135, 143
_UNSPECIFIED = bytes(16)


def shows_host(frame: bytes) -> bool:
    """True if only a host sends such frames; False also for what is too short to tell."""
    if len(frame) < 14 or frame[:5] == _BRIDGE_GROUP or frame[:6] == _BFD or frame[12:14] in (_LLDP, _SLOW_PROTOCOLS):
        return False
    return frame[12:14] != _IPV6 or not _is_autoconfiguration(frame[14:])


def _is_autoconfiguration(packet: bytes) -> bool:
    if len(packet) < 40:
        return True
    next_header, source, icmp_at = packet[6], packet[8:24], 40
    if next_header == _HOP_BY_HOP:  # MLD carries one option header of 8 bytes
        next_header, icmp_at = packet[40] if len(packet) > 40 else _ICMPV6, 48
    if next_header != _ICMPV6:
        return False
    if len(packet) <= icmp_at:
        return True
    icmp_type = packet[icmp_at]
    if icmp_type == _NEIGHBOUR_SOLICITATION:
        return source == _UNSPECIFIED
    return icmp_type in (_MLD_REPORT, _MLD_DONE, _ROUTER_SOLICITATION, _MLD2_REPORT)
