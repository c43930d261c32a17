"""The match fields Pliant uses: numbers, widths, and the order in which Open vSwitch returns them.

Open vSwitch names a field in two ways.  Matches and set_field use the OpenFlow 1.3 header (`oxm`); load and move
come back with the older Nicira header where the field has one (`subfield`), whatever was sent.
"""

from __future__ import annotations

from dataclasses import dataclass

_OXM, _NXM, _NX, _ERICSSON = 0x8000, 0x0000, 0x0001, 0x1000


@dataclass(frozen=True, slots=True)
class Field:
    """One field.  `oxm` and `subfield` are (class, number), each with its width; load and move see `subfield_bits`."""

    name: str
    oxm: tuple[int, int]
    width_bytes: int
    bits: int
    subfield: tuple[int, int]
    subfield_bytes: int
    subfield_bits: int
    ofctl: str
    """How ovs-ofctl spells it."""


def header(oxm: tuple[int, int], length: int, masked: int = 0) -> int:
    """The 32-bit OXM header of a value of `length` bytes (both halves when masked)."""
    return oxm[0] << 16 | oxm[1] << 9 | masked << 8 | length


def _field(
    name: str,
    oxm: tuple[int, int],
    width_bytes: int,
    nxm: tuple[int, int] | None = None,
    *,
    bits: int = 0,
    nxm_bytes: int = 0,
    subfield_bits: int = 0,
    ofctl: str = "",
) -> Field:
    bits, nxm_bytes = bits or 8 * width_bytes, nxm_bytes or width_bytes
    subfield_bits = subfield_bits or min(bits, 8 * nxm_bytes)
    return Field(name, oxm, width_bytes, bits, nxm or oxm, nxm_bytes, subfield_bits, ofctl or name)


# The order of this table is the order in which OVS 3.1 returns a match (nx_put_raw): keep it.
_MATCHABLE = (
    _field("conj_id", (_NX, 37), 4),
    _field("in_port", (_OXM, 0), 4, (_NXM, 0), nxm_bytes=2),
    _field("eth_src", (_OXM, 4), 6, (_NXM, 2)),
    _field("eth_dst", (_OXM, 3), 6, (_NXM, 1)),
    _field("eth_type", (_OXM, 5), 2, (_NXM, 3)),
    _field("vlan_vid", (_OXM, 6), 2, bits=13, subfield_bits=12),
    _field("vlan_pcp", (_OXM, 7), 1, bits=3),
    _field("ipv4_src", (_OXM, 11), 4, (_NXM, 7), ofctl="ip_src"),
    _field("ipv4_dst", (_OXM, 12), 4, (_NXM, 8), ofctl="ip_dst"),
    _field("ipv6_src", (_OXM, 26), 16, (_NX, 19)),
    _field("ipv6_dst", (_OXM, 27), 16, (_NX, 20)),
    _field("ip_frag", (_NX, 26), 1, bits=2),
    _field("ip_dscp", (_OXM, 8), 1, bits=6),
    _field("ip_ecn", (_OXM, 9), 1, (_NX, 28), bits=2, ofctl="nw_ecn"),
    _field("ip_ttl", (_NX, 29), 1, ofctl="nw_ttl"),
    _field("ipv6_label", (_OXM, 28), 4, (_NX, 27), bits=20),
    _field("ip_proto", (_OXM, 10), 1, (_NXM, 6), ofctl="nw_proto"),
    _field("tcp_src", (_OXM, 13), 2, (_NXM, 9)),
    _field("tcp_dst", (_OXM, 14), 2, (_NXM, 10)),
    _field("udp_src", (_OXM, 15), 2, (_NXM, 11)),
    _field("udp_dst", (_OXM, 16), 2, (_NXM, 12)),
    _field("icmpv4_type", (_OXM, 19), 1, (_NXM, 13), ofctl="icmp_type"),
    _field("icmpv4_code", (_OXM, 20), 1, (_NXM, 14), ofctl="icmp_code"),
    _field("icmpv6_type", (_OXM, 29), 1, (_NX, 21)),
    _field("icmpv6_code", (_OXM, 30), 1, (_NX, 22)),
    _field("nd_reserved", (_ERICSSON, 1), 4),
    _field("nd_target", (_OXM, 31), 16, (_NX, 23)),
    _field("nd_options_type", (_ERICSSON, 2), 1),
    _field("nd_sll", (_OXM, 32), 6, (_NX, 24)),
    _field("nd_tll", (_OXM, 33), 6, (_NX, 25)),
    _field("arp_op", (_OXM, 21), 2, (_NXM, 15)),
    _field("arp_spa", (_OXM, 22), 4, (_NXM, 16)),
    _field("arp_tpa", (_OXM, 23), 4, (_NXM, 17)),
    _field("arp_sha", (_OXM, 24), 6, (_NX, 17)),
    _field("arp_tha", (_OXM, 25), 6, (_NX, 18)),
    _field("tunnel_id", (_OXM, 38), 8, (_NX, 16), ofctl="tun_id"),
    _field("tun_src", (_NX, 31), 4),
    _field("tun_dst", (_NX, 32), 4),
    *(_field(f"reg{i}", (_NX, i), 4) for i in range(16)),
    _field("pkt_mark", (_NX, 33), 4),
    _field("ct_state", (_NX, 105), 4),
    _field("ct_zone", (_NX, 106), 2),
    _field("ct_mark", (_NX, 107), 4),
    _field("ct_label", (_NX, 108), 16),
    _field("metadata", (_OXM, 2), 8),
)
# Four registers seen as one.  OVS returns a match on one as matches on its registers, so we never match on it.
_SETTABLE_ONLY = tuple(_field(f"xxreg{i}", (_NX, 111 + i), 16) for i in range(4))

FIELDS: dict[str, Field] = {field.name: field for field in (*_MATCHABLE, *_SETTABLE_ONLY)}
RANK: dict[str, int] = {field.name: rank for rank, field in enumerate(_MATCHABLE)}
"""Matchable field -> its place in a canonical match."""
BY_NUMBER: dict[tuple[int, int], Field] = {
    number: field for field in FIELDS.values() for number in {field.oxm, field.subfield}
}
"""(class, number) of either kind -> field."""


def to_bytes(field: Field, value: int | bytes) -> bytes:
    """The value in the field's width.  ValueError if it does not fit."""
    if isinstance(value, bytes):
        if len(value) != field.width_bytes:
            raise ValueError(f"{field.name} takes {field.width_bytes} bytes, not {len(value)}")
        number = int.from_bytes(value, "big")
    else:
        number = value
    if number < 0 or number >> field.bits:
        raise ValueError(f"{field.name} takes {field.bits} bits, {number:#x} does not fit")
    return number.to_bytes(field.width_bytes, "big")
