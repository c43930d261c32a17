"""Request and response over UDP between two hosts: how long each answer took.  Runs as a script inside the hosts.

The client asks at a constant rate whatever became of the question before, as EyeQ's latency experiment does; an answer
that does not come counts as lost.  Standard library only.
"""

from __future__ import annotations

import argparse
import json
import selectors
import signal
import socket
import struct
import sys
import time

_PACKET = struct.Struct("!Qd")
_LATE_S = 2.0
"""What is waited for after the last question."""


def serve(port: int) -> None:
    """Answer every packet with itself, until killed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("", port))
        print("serving", flush=True)
        while True:
            packet, asker = server.recvfrom(2048)
            server.sendto(packet, asker)


def ask(target: str, port: int, *, per_s: int, duration_s: float) -> dict[str, object]:
    """Milliseconds that each answer took, in order of arrival, and how many questions there were."""
    took_ms: list[float] = []
    asked = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, selectors.DefaultSelector() as selector:
        client.connect((target, port))
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ)
        began_s = due_s = time.monotonic()
        while (now_s := time.monotonic()) < began_s + duration_s + _LATE_S:
            if now_s >= due_s and now_s < began_s + duration_s:
                client.send(_PACKET.pack(asked, now_s))
                asked += 1
                due_s = max(due_s + 1 / per_s, now_s - 10 / per_s)
            if now_s >= began_s + duration_s and len(took_ms) == asked:
                break
            for _ in selector.select(max(0.0, min(due_s - time.monotonic(), 0.05))):
                packet = client.recv(2048)
                took_ms.append((time.monotonic() - _PACKET.unpack(packet)[1]) * 1e3)
    return {"asked": asked, "took_ms": took_ms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=("serve", "ask"))
    parser.add_argument("--target", default="")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--per-s", type=int, default=500)
    parser.add_argument("--duration-s", type=float, default=10)
    asked = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if asked.role == "serve":
        serve(asked.port)
    json.dump(ask(asked.target, asked.port, per_s=asked.per_s, duration_s=asked.duration_s), sys.stdout)


if __name__ == "__main__":
    main()
