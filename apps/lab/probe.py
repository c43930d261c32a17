"""A packet stream of constant rate between two hosts, every packet numbered: how many were lost, and when.

Runs as a script inside the hosts (standard library only), one process each end; measure.py starts it and reads its
report. The sender never waits for the receiver.  After a stall it does not burst to catch up: late packets are simply
not sent, so that a busy machine cannot look like a lossy network.  Both ends read the machine's one monotonic clock.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import struct
import sys
import time

BUCKET_S = 0.1
"""Arrivals are counted per slice of this length."""
_HEADER = struct.Struct("!Q")
_QUIET_S = 0.5
_RECEIVE_BUFFER_BYTES = 4 << 20


class _Stop:
    """True once SIGTERM came."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, _signal: int, _frame: object) -> None:
        self.asked = True

    def __bool__(self) -> bool:
        return self.asked


def send(target: str, port: int, *, packets_per_s: int, size_bytes: int) -> dict[str, object]:
    """Send numbered packets until SIGTERM.  A full transmit queue of our own host counts as not sent."""
    stop = _Stop()
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    period_s = 1 / packets_per_s
    padding = bytes(max(0, size_bytes - _HEADER.size))
    number = 0
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        due_s = time.monotonic()
        print("sending", flush=True)
        while not stop:
            now_s = time.monotonic()
            if now_s < due_s:
                time.sleep(due_s - now_s)
                continue
            try:
                sender.sendto(_HEADER.pack(number) + padding, (target, port))
                number += 1
            except (BlockingIOError, ConnectionRefusedError):
                pass
            except OSError as error:
                return {"sent": number, "error": str(error)}
            due_s = max(due_s + period_s, now_s - 10 * period_s)
    return {"sent": number}


def receive(port: int, *, family: socket.AddressFamily = socket.AF_INET) -> dict[str, object]:
    """Count numbered packets until SIGTERM and half a second of silence."""
    stop = _Stop()
    buckets: dict[int, list[int]] = {}
    seen: set[int] = set()
    duplicates = reordered = 0
    highest = -1
    last_s: float | None = None
    longest_gap_s = 0.0
    with socket.socket(family, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        receiver.bind(("", port))
        receiver.settimeout(_QUIET_S)
        print("receiving", flush=True)
        while True:
            try:
                packet = receiver.recv(65536)
            except TimeoutError:
                if stop:
                    break
                continue
            now_s = time.monotonic()
            (number,) = _HEADER.unpack_from(packet)
            if number in seen:
                duplicates += 1
                continue
            seen.add(number)
            reordered += number < highest
            highest = max(highest, number)
            longest_gap_s = max(longest_gap_s, now_s - last_s) if last_s is not None else 0.0
            last_s = now_s
            bucket = buckets.setdefault(int(now_s / BUCKET_S), [0, 0])
            bucket[0] += 1
            bucket[1] += len(packet)
    return {
        "received": len(seen),
        "duplicates": duplicates,
        "reordered": reordered,
        "longest_gap_s": longest_gap_s,
        "buckets": {str(index): counts for index, counts in buckets.items()},
    }


def main() -> None:
    """One role.  Prints one line when it is at work, and its report as JSON at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=("send", "receive"))
    parser.add_argument("--target", default="")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--packets-per-s", type=int, default=1000)
    parser.add_argument("--size-bytes", type=int, default=64)
    parser.add_argument("--ipv6", action="store_true")
    asked = parser.parse_args()
    if asked.role == "send":
        report = send(asked.target, asked.port, packets_per_s=asked.packets_per_s, size_bytes=asked.size_bytes)
    else:
        report = receive(asked.port, family=socket.AF_INET6 if asked.ipv6 else socket.AF_INET)
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
