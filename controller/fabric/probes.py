"""The probe frame: LLDP that proves who sent it, and when.

    dst 01:80:c2:00:00:0e | src | 88cc | chassis id: dpid (8 bytes) | port id: port_no (4) | ttl
    | private TLV: key id (4), nonce (8), time (8), signature (16) | end

The signature (HMAC-SHA256, first 16 bytes) covers everything between the Ethernet header and itself.  Fixed layout:
reading one is constant work, whatever came in.  Knows nothing of which probes are awaited.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from hmac import digest as hmac_digest

from controller.fabric.ports import EndPoint

LLDP_DST = bytes.fromhex("0180c200000e")
_HEADER = struct.Struct("!6s6sH")
_BODY = struct.Struct("!HB8s HBI HH H4s 4s8sQ")
_SIGNATURE_SIZE = 16
_SIGNED = slice(_HEADER.size, _HEADER.size + _BODY.size)
_SIGNATURE = slice(_SIGNED.stop, _SIGNED.stop + _SIGNATURE_SIZE)
_FRAME_SIZE = _SIGNATURE.stop + 2

_CHASSIS = 1 << 9 | 9
_PORT = 2 << 9 | 5
_TTL = 3 << 9 | 2
_PRIVATE = 127 << 9 | 40
_LOCALLY_ASSIGNED = 7
_TTL_S = 120
_OURS = b"\x02Pl\x01"
"""A locally administered OUI and the subtype of the private TLV."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a probe says.  Believe it only if `authentic`."""

    src: EndPoint
    nonce: bytes
    sent_s: float
    key_id: bytes
    authentic: bool


def key_id(key: bytes) -> bytes:
    """Four bytes that name a key and say nothing about it."""
    return blake2b(key, digest_size=4, person=b"pliant-lldp").digest()


def write_probe(key: bytes, src: EndPoint, mac: str, nonce: bytes, now: float) -> bytes:
    """The frame that port sends; `nonce` is 8 random bytes, `now` in seconds of any clock."""
    body = _BODY.pack(
        *(_CHASSIS, _LOCALLY_ASSIGNED, src.dpid.to_bytes(8)),
        *(_PORT, _LOCALLY_ASSIGNED, src.port_no),
        *(_TTL, _TTL_S),
        *(_PRIVATE, _OURS, key_id(key), nonce, int(now * 1_000_000)),
    )
    header = _HEADER.pack(LLDP_DST, bytes.fromhex(mac.replace(":", "")), 0x88CC)
    return header + body + _sign(key, body) + b"\0\0"


def read_probe(key: bytes, frame: bytes) -> Probe | None:
    """The probe, authentic or not; None for any other frame, LLDP of a host included."""
    if len(frame) < _FRAME_SIZE:
        return None
    body = frame[_SIGNED]
    fields = _BODY.unpack(body)
    chassis, chassis_type, dpid, port, port_type, port_no, ttl, _, private, ours, key_name, nonce, time_us = fields
    layout = (frame[12:14], chassis, chassis_type, port, port_type, ttl, private, ours)
    if layout != (b"\x88\xcc", _CHASSIS, _LOCALLY_ASSIGNED, _PORT, _LOCALLY_ASSIGNED, _TTL, _PRIVATE, _OURS):
        return None
    return Probe(
        src=EndPoint(int.from_bytes(dpid), port_no),
        nonce=nonce,
        sent_s=time_us / 1_000_000,
        key_id=key_name,
        authentic=compare_digest(frame[_SIGNATURE], _sign(key, body)),
    )


def _sign(key: bytes, body: bytes) -> bytes:
    return hmac_digest(key, body, "sha256")[:_SIGNATURE_SIZE]
