"""Measurements between hosts: reachability, loss, rates.

Knows the tools (ping, arping, iperf3, our own probe) and how to read what they say.  Refuses to know where hosts come
from: a Mininet host and a host of the tests' rig both start a command with `popen(argv)`.  Every claim that the demo
or a test makes about forwarding is one of these values.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from apps.lab import frames, probe

_IPERF_READY_S = 5.0


class MeasureError(Exception):
    """A tool did not measure; the message holds its command and what it said."""


class Host(Protocol):
    """Where a command can be started."""

    @property
    def name(self) -> str: ...

    def popen(self, argv: Sequence[str], **kwargs: Any) -> subprocess.Popen[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """What a run of pings met.  rtts_ms holds the answered ones in order."""

    sent: int
    received: int
    rtts_ms: tuple[float, ...] = ()

    @property
    def lost(self) -> int:
        return self.sent - self.received

    def __str__(self) -> str:
        return f"{self.received} of {self.sent} answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arping:
    """Who answered ARP requests for an address."""

    sent: int
    macs: tuple[str, ...]
    rtts_ms: tuple[float, ...] = ()

    @property
    def received(self) -> int:
        return len(self.macs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What arrived at the receiver: payload, without headers."""

    rate_kbps: float
    duration_s: float

    def __str__(self) -> str:
        return f"{self.rate_kbps / 1000:.2f} Mbit/s"


def start_ping(host: Host, target: str, *, count: int, interval_s: float = 0.2, size_bytes: int = 56) -> Pinging:
    """Begin pinging; `finish` waits for the end.  For several at once, or a change made meanwhile."""
    tool = ["ping", "-n", "-c", str(count), "-i", f"{interval_s:g}", "-s", str(size_bytes), "-W", "1", target]
    return Pinging(process=_start(host, tool), count=count, interval_s=interval_s)


def ping(host: Host, target: str, *, count: int = 3, interval_s: float = 0.2, size_bytes: int = 56) -> Ping:
    """Ping an IPv4 or IPv6 address; a missing answer is a result, not an error."""
    return start_ping(host, target, count=count, interval_s=interval_s, size_bytes=size_bytes).finish()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinging:
    """A ping under way."""

    process: subprocess.Popen[str]
    count: int
    interval_s: float

    def finish(self) -> Ping:
        """Wait for the last answer (or its absence) and count."""
        output = _finish(self.process, timeout_s=self.count * (self.interval_s + 1) + 5, ok=(0, 1))
        return parse_ping(output, count=self.count)


def parse_ping(output: str, *, count: int) -> Ping:
    """Read iputils' output.  An address without a route says so and sends nothing: that counts as all lost."""
    summary = re.search(r"(\d+) packets transmitted, (\d+) received", output)
    rtts = tuple(float(found) for found in re.findall(r"time=([\d.]+) ms(?! \(DUP)", output))
    return Ping(sent=int(summary[1]) if summary else count, received=int(summary[2]) if summary else 0, rtts_ms=rtts)


def arping(host: Host, target: str, *, interface: str = "eth0", count: int = 3, interval_s: float = 0.2) -> Arping:
    """Ask for an IPv4 address by ARP, and report who answered and how fast."""
    most_s = math.ceil(count * interval_s) + 1  # it ends then, however many are still to be sent
    tool = ["arping", "-i", interface, "-c", str(count), "-W", f"{interval_s:g}", "-w", str(most_s), target]
    output = _finish(_start(host, tool), timeout_s=count * (interval_s + 1) + 5, ok=(0, 1))
    answers = re.findall(r"from ([0-9a-f:]{17}) .*time=([\d.]+) (usec|msec|sec)", output)
    scale = {"usec": 1e-3, "msec": 1.0, "sec": 1e3}
    return Arping(
        sent=count,
        macs=tuple(mac for mac, _, _ in answers),
        rtts_ms=tuple(float(time) * scale[unit] for _, time, unit in answers),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What became of a stream of numbered packets.  arrivals: slice of the monotonic clock -> (packets, payload
    bytes)."""

    sent: int
    received: int
    duplicates: int
    reordered: int
    """arrived after one that was sent later"""
    longest_gap_ms: float
    arrivals: dict[int, tuple[int, int]]

    @property
    def lost(self) -> int:
        return self.sent - self.received

    def rate_kbps(self, *, since_s: float, until_s: float) -> float:
        """Payload rate at the receiver between two readings of time.monotonic(), in whole slices."""
        first, end = math.ceil(since_s / probe.BUCKET_S), math.floor(until_s / probe.BUCKET_S)
        arrived_bytes = sum(self.arrivals.get(index, (0, 0))[1] for index in range(first, end))
        return arrived_bytes * 8 / 1000 / ((end - first) * probe.BUCKET_S)

    def __str__(self) -> str:
        return f"{self.lost} of {self.sent} lost, longest gap {self.longest_gap_ms:.0f} ms"


class Probe:
    """A stream of numbered packets under way from one host to another."""

    def __init__(
        self,
        sender: Host,
        receiver: Host,
        target: str,
        *,
        packets_per_s: int = 1000,
        size_bytes: int = 64,
        port: int = 7007,
    ) -> None:
        """Start it; returns when both ends are at work.  Close it, or use it as a context manager."""
        shape = ["--packets-per-s", str(packets_per_s), "--size-bytes", str(size_bytes)]
        family = ["--ipv6"] if ":" in target else []
        self._receiver = _start_script(receiver, probe.__file__, "receive", "--port", str(port), *family)
        try:
            self._sender = _start_script(
                sender, probe.__file__, "send", "--port", str(port), "--target", target, *shape
            )
        except MeasureError:
            self._receiver.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for process in (self._sender, self._receiver):
            if process.poll() is None:
                process.kill()
                process.wait()

    def finish(self) -> Stream:
        """End the stream and count.  What is still on its way is waited for."""
        self._sender.terminate()
        sent = json.loads(_finish(self._sender, timeout_s=10))
        self._receiver.terminate()
        received = json.loads(_finish(self._receiver, timeout_s=10))
        if "error" in sent:
            raise MeasureError(f"the probe stopped sending after {sent['sent']} packets: {sent['error']}")
        return Stream(
            sent=sent["sent"],
            received=received["received"],
            duplicates=received["duplicates"],
            reordered=received["reordered"],
            longest_gap_ms=received["longest_gap_s"] * 1000,
            arrivals={int(index): (count, size) for index, (count, size) in received["buckets"].items()},
        )


class Capture:
    """The frames that arrive at a host's interface, from construction to `finish`."""

    def __init__(self, host: Host, *, interface: str = "eth0") -> None:
        """Returns when the recording has begun."""
        self._process = _start_script(host, frames.__file__, "record", interface)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def finish(self) -> list[bytes]:
        """End the recording: all frames, in order of arrival."""
        self._process.terminate()
        return [bytes.fromhex(line) for line in _finish(self._process, timeout_s=10).split()]


def send_frame(host: Host, frame: bytes, *, interface: str = "eth0", count: int = 1) -> None:
    """Put a raw Ethernet frame on the wire of a host, whatever addresses it claims."""
    _finish(
        _start(host, [sys.executable, frames.__file__, "send", interface, frame.hex(), str(count)]), timeout_s=30
    )


def tcp_rate(client: Host, server: Host, server_ip: str, *, duration_s: int = 5) -> Rate:
    """Send TCP from client to server by iperf3.  Cubic is named because a machine's default may be another."""
    return _iperf(client, server, server_ip, ["--congestion", "cubic"], duration_s=duration_s)


def udp_rate(client: Host, server: Host, server_ip: str, *, offered_kbps: int, duration_s: int = 5) -> Rate:
    """Send UDP at a constant rate from client to server by iperf3."""
    options = ["--udp", "--bitrate", f"{offered_kbps}K", "--length", "1400"]
    return _iperf(client, server, server_ip, options, duration_s=duration_s)


def _iperf(client: Host, server: Host, server_ip: str, options: Sequence[str], *, duration_s: int) -> Rate:
    """Counted at the receiver without the first second: it holds the burst that a ceiling allows, and slow start."""
    serving = _start(server, ["iperf3", "--server", "--json", "--bind", server_ip])
    call = ["iperf3", "--client", server_ip, "--json", "--get-server-output", "--time", str(duration_s), *options]
    deadline_s = time.monotonic() + _IPERF_READY_S
    try:
        while True:
            calling = _start(client, [*call, "--connect-timeout", "2000"])
            said = _finish(calling, timeout_s=duration_s + 20, ok=(0, 1))
            # iperf3 3.12 sometimes ends with status 0 although it could not connect; its report tells.
            if calling.returncode == 0 and "server_output_json" in (report := json.loads(said)):
                break
            # A server that says nothing when it is ready can only be asked again.
            if "refused" not in said or time.monotonic() > deadline_s:
                raise MeasureError(f"iperf3 from {client.name} to {server.name}: {said}")
    finally:
        serving.kill()
        serving.wait()
    # The server's last interval is a stub of milliseconds.
    sums = [second["sum"] for second in report["server_output_json"]["intervals"][1:] if second["sum"]["seconds"] > 0.5]
    if not sums:
        raise MeasureError(f"iperf3 from {client.name} to {server.name}: nothing arrived after the first second")
    measured_s = sum(second["seconds"] for second in sums)
    return Rate(rate_kbps=sum(second["bytes"] for second in sums) * 8 / 1000 / measured_s, duration_s=measured_s)


def _start(host: Host, argv: Sequence[str]) -> subprocess.Popen[str]:
    return host.popen(
        list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _start_script(host: Host, script: str, *argv: str) -> subprocess.Popen[str]:
    """Start one of the lab's own scripts on a host, and wait for the word that says it is at work."""
    process = _start(host, [sys.executable, script, *argv])
    assert process.stdout is not None
    word = process.stdout.readline()
    if word.strip() not in ("sending", "receiving", "recording"):
        raise MeasureError(f"{script} did not start on {host.name}: {word}{process.stdout.read()}")
    return process


def _finish(process: subprocess.Popen[str], *, timeout_s: float, ok: Sequence[int] = (0,)) -> str:
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        raise MeasureError(f"{process.args!r}: not done after {timeout_s:g} s\n{output}") from None
    if process.returncode not in ok:
        raise MeasureError(f"{process.args!r}: exit status {process.returncode}\n{output}")
    return output
