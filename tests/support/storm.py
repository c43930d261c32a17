"""Many raw frames from one host, as fast as asked.

Runs as a script inside a host (standard library only): frames as lines of hex on stdin; `storm.py INTERFACE` sends
each once, `storm.py INTERFACE FRAMES_PER_S` sends them over and over until it is ended.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle

from tests.support.rig import Host


def send_frames(host: Host, frames: Iterable[bytes]) -> None:
    """Put each of these frames on the wire of a host once."""
    host.rig.sandbox.run(sys.executable, "-m", "tests.support.storm", "eth0", netns=host.name, stdin=_hex(frames))


@contextmanager
def storm(host: Host, frames: Iterable[bytes], *, frames_per_s: int) -> Iterator[None]:
    """Send these frames over and over for as long as the context lasts."""
    process = host.popen(
        [sys.executable, "-m", "tests.support.storm", "eth0", str(frames_per_s)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(_hex(frames))
    process.stdin.close()
    assert process.stdout.readline() == "sending\n"
    try:
        yield
    finally:
        assert process.poll() is None, "the storm ended by itself"
        process.kill()
        process.wait(10)


def _hex(frames: Iterable[bytes]) -> str:
    return "".join(f"{frame.hex()}\n" for frame in frames)


def _main() -> None:
    frames = [bytes.fromhex(line) for line in sys.stdin.read().split()]
    per_s = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((sys.argv[1], 0))
        print("sending", flush=True)
        start_s = time.monotonic()
        for number, frame in enumerate(cycle(frames) if per_s else frames):
            try:
                wire.send(frame)
            except OSError:
                continue  # the queue of our own host is full
            if per_s and number % 20 == 0:
                time.sleep(max(0.0, start_s + number / per_s - time.monotonic()))


if __name__ == "__main__":
    _main()
