"""Which frames show that a host is behind a port."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.fabric.hearing import shows_host

SRC = bytes.fromhex("0200000000aa")
LINK_LOCAL = bytes.fromhex("fe80000000000000000000fffe0000aa")


def ipv6(next_header: int, payload: bytes, source: bytes = LINK_LOCAL) -> bytes:
    header = bytes.fromhex("60000000") + len(payload).to_bytes(2) + bytes([next_header, 255])
    return bytes.fromhex("333300000001") + SRC + b"\x86\xdd" + header + source + bytes(16) + payload


def icmp(kind: int) -> bytes:
    return bytes([kind]) + bytes(23)


SILENT = {
    "lldp": bytes.fromhex("0180c200000e") + SRC + b"\x88\xcc" + bytes(50),
    "lldp to a unicast address": SRC + SRC + b"\x88\xcc" + bytes(50),
    "lacp": bytes.fromhex("0180c2000002") + SRC + b"\x88\x09" + bytes(50),
    "stp": bytes.fromhex("0180c2000000") + SRC + b"\x00\x26" + bytes(50),
    "router solicitation": ipv6(58, icmp(133)),
    "duplicate address detection": ipv6(58, icmp(135), source=bytes(16)),
    "mld": ipv6(0, bytes([58, 0]) + bytes(6) + icmp(131)),
    "mldv2": ipv6(0, bytes([58, 0]) + bytes(6) + icmp(143)),
    "bfd of open vswitch": bytes.fromhex("002320000001") + SRC + b"\x08\x00" + bytes(46),
    "nothing": b"",
}
TALKING = {
    "arp": b"\xff" * 6 + SRC + b"\x08\x06" + bytes(46),
    "ipv4": SRC + SRC + b"\x08\x00" + bytes(46),
    "neighbour solicitation with a source": ipv6(58, icmp(135)),
    "ping": ipv6(58, icmp(128)),
    "udp over ipv6": ipv6(17, bytes(8)),
    "hop-by-hop before udp": ipv6(0, bytes([17, 0]) + bytes(14)),
    "vlan": SRC + SRC + b"\x81\x00" + bytes(46),
}


@pytest.mark.parametrize("frame", SILENT.values(), ids=SILENT)
def test_frames_that_switches_send_by_themselves_show_no_host(frame: bytes) -> None:
    """Link-layer protocols and IPv6 autoconfiguration come from the veth of a switch as well."""
    assert not shows_host(frame)


@pytest.mark.parametrize("frame", TALKING.values(), ids=TALKING)
def test_everything_else_shows_a_host(frame: bytes) -> None:
    """Traffic proper comes from hosts only."""
    assert shows_host(frame)


@given(st.binary(max_size=100), st.integers(0, 100))
def test_any_bytes_are_judged_without_error(noise: bytes, cut: int) -> None:
    """Truncated and random frames raise nothing."""
    shows_host(noise)
    for frame in (*SILENT.values(), *TALKING.values()):
        shows_host(frame[:cut])
