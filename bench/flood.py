"""Datagrams at a constant rate to some targets, from many source ports.  Runs as a script inside a host.

Beside iperf3 because it asks nobody: what iperf3 agrees upon with its other end over TCP before it floods does not get
through when others flood already.  Nobody has to listen.  Standard library only.
"""

from __future__ import annotations

import argparse
import itertools
import socket
import time
from collections.abc import Sequence

_PORT = 9  # discard
_HEADERS_BYTES = 42
_MOST_LATE_S = 0.05
"""What could not be sent within it is not made up for."""


def flood(targets: Sequence[str], *, sources: int, kbps: int, size_bytes: int) -> None:
    """Until killed.

    Args:
        sources: how many source ports; each sends to each target.
        kbps: in frames, to all targets together.
        size_bytes: payload.
    """
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(sources)]
    streams = itertools.cycle([(source, (target, _PORT)) for source in sockets for target in targets])
    payload, gap_s = bytes(size_bytes), (size_bytes + _HEADERS_BYTES) * 8 / (kbps * 1_000)
    due_s = time.monotonic()
    while True:
        now_s = time.monotonic()
        due_s = max(due_s, now_s - _MOST_LATE_S)
        while due_s <= now_s:
            source, target = next(streams)
            source.sendto(payload, target)
            due_s += gap_s
        time.sleep(max(0.001, due_s - now_s))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="+")
    parser.add_argument("--sources", type=int, default=1)
    parser.add_argument("--kbps", type=int, required=True)
    parser.add_argument("--size", type=int, default=1_400)
    asked = parser.parse_args()
    flood(asked.targets, sources=asked.sources, kbps=asked.kbps, size_bytes=asked.size)


if __name__ == "__main__":
    main()
