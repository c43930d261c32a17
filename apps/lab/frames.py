"""Raw Ethernet frames on a host's interface: send one that claims whatever it likes, or record all that arrive.

Runs as a script inside a host (standard library only); measure.py starts it.  Also builds the few frames the lab needs.
"""

from __future__ import annotations

import argparse
import ipaddress
import signal
import socket
import struct

_ETH_P_ALL = 3
_PACKET_OUTGOING = 4
_UDP = 17
_QUIET_S = 0.1


def udp_frame(
    *, src_mac: str, dst_mac: str, src_ip: str, dst_ip: str, port: int = 9, payload: bytes = b"pliant", ttl: int = 64
) -> bytes:
    """An IPv4 UDP datagram in an Ethernet frame, with right lengths and header checksum, for the given addresses."""
    udp = struct.pack("!HHHH", port, port, 8 + len(payload), 0) + payload  # 0: no UDP checksum
    source, target = ipaddress.IPv4Address(src_ip).packed, ipaddress.IPv4Address(dst_ip).packed
    bare = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, ttl, _UDP, 0, source, target)
    header = bare[:10] + struct.pack("!H", _checksum(bare)) + bare[12:]
    return mac_bytes(dst_mac) + mac_bytes(src_mac) + b"\x08\x00" + header + udp


def arp_frame(
    *, src_mac: str, src_ip: str, dst_ip: str, dst_mac: str = "ff:ff:ff:ff:ff:ff", reply: bool = False
) -> bytes:
    """An ARP request, or an answer nobody asked for, from the given addresses."""
    sender = mac_bytes(src_mac) + ipaddress.IPv4Address(src_ip).packed
    asked = (mac_bytes(dst_mac) if reply else bytes(6)) + ipaddress.IPv4Address(dst_ip).packed
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2 if reply else 1) + sender + asked
    return mac_bytes(dst_mac) + mac_bytes(src_mac) + b"\x08\x06" + arp


def mac_bytes(mac: str) -> bytes:
    """ "02:00:00:00:00:01" -> six bytes."""
    return bytes.fromhex(mac.replace(":", ""))


def _checksum(header: bytes) -> int:
    total: int = sum(word for (word,) in struct.iter_unpack("!H", header))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send(interface: str, frame: bytes, *, count: int) -> None:
    """Put the frame on the wire `count` times."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        for _ in range(count):
            wire.send(frame)


def record(interface: str) -> None:
    """Print each frame that arrives as a line of hex digits, until SIGTERM; those that wait at that moment count."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)) as wire:
        wire.bind((interface, _ETH_P_ALL))
        wire.settimeout(_QUIET_S)
        print("recording", flush=True)
        while True:
            try:
                frame, (_, _, kind, _, _) = wire.recvfrom(65536)
            except TimeoutError:
                if stop:
                    return
                continue
            if kind != _PACKET_OUTGOING:
                print(frame.hex(), flush=True)


def main() -> None:
    """`frames.py send INTERFACE HEX COUNT` or `frames.py record INTERFACE`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=("send", "record"))
    parser.add_argument("interface")
    parser.add_argument("frame", nargs="?", type=bytes.fromhex, default=b"")
    parser.add_argument("count", nargs="?", type=int, default=1)
    asked = parser.parse_args()
    if asked.role == "send":
        send(asked.interface, asked.frame, count=asked.count)
    else:
        record(asked.interface)


if __name__ == "__main__":
    main()
