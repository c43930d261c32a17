"""The tail of a small request and its response beside another tenant's flood, after EyeQ (NSDI 2013).

The fabric of contention.py.  X asks 500 times a second and is guaranteed a little; Z floods the same wire by UDP at 1.2
times its rate.  What counts is the ratio to the bare network in the same run: 2 cores forward everything in software.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

from bench import echo
from bench.contention import GUARANTEE_KBPS, Pair, set_policy, traffic, two_tenants
from bench.figures import Report, quantile
from tests.support.fabric import Policy

FLOOD = ("--udp", "--bitrate", "120M", "--length", "1400")
"""Fills the wire, and leaves the two cores some time to carry it."""
PER_S, PORT = 500, 7300
X_KBPS = 10_000
QUANTILES = (0.5, 0.99, 0.999)


def run(*, quick: bool) -> Iterator[Report]:
    duration_s = 5 if quick else 30
    report = Report(
        title=f"A request and its response, {PER_S} a second for {duration_s} s, ms",
        columns=("", "p50", "p99", "p99.9", "lost", "p99.9 over the bare network"),
        notes=["aim: with protection at most 3 times the bare network",
               "EyeQ, 10 Gbit/s in hardware: p99.9 0.666 ms bare, 1,100 beside UDP, 0.750 protected: 1.1 times"],
    )
    with two_tenants() as (fabric, x, z):
        bare = measure(x, duration_s)
        report.add("bare network", *_cells(*bare, bare[0]))
        with traffic(z, FLOOD):
            report.add("beside a flood, no protection", *_cells(*measure(x, duration_s), bare[0]))
        set_policy(fabric, x, Policy(guarantee_in_kbps=X_KBPS, guarantee_out_kbps=X_KBPS))
        set_policy(fabric, z, Policy(guarantee_in_kbps=GUARANTEE_KBPS, guarantee_out_kbps=GUARANTEE_KBPS))
        with traffic(z, FLOOD):
            report.add("beside a flood, X guaranteed 10 Mbit/s", *_cells(*measure(x, duration_s), bare[0]))
    yield report


def measure(pair: Pair, duration_s: float) -> tuple[list[float], int]:
    """Milliseconds of each answer, and how many did not come."""
    with ExitStack() as stack:
        serving = pair.receiver.popen(
            [sys.executable, echo.__file__, "serve", "--port", str(PORT)], stdout=subprocess.PIPE, text=True)
        stack.callback(serving.wait)
        stack.callback(serving.kill)
        assert serving.stdout is not None
        assert serving.stdout.readline().strip() == "serving"
        said = pair.sender.run(
            sys.executable, echo.__file__, "ask", "--target", pair.receiver.ip, "--port", str(PORT), "--per-s",
            str(PER_S), "--duration-s", str(duration_s), timeout_s=duration_s + 30)
    answers = json.loads(said)
    return answers["took_ms"], answers["asked"] - len(answers["took_ms"])


def _cells(took_ms: list[float], lost: int, bare_ms: list[float]) -> list[str]:
    cells = [f"{quantile(took_ms, share):.2f}" if took_ms else "-" for share in QUANTILES]
    ratio = quantile(took_ms, QUANTILES[-1]) / quantile(bare_ms, QUANTILES[-1]) if took_ms else float("inf")
    return [*cells, str(lost), f"{ratio:.1f}"]
