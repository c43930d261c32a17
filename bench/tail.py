"""The tail of a small request and its response beside another tenant's flood, after EyeQ (NSDI 2013).

The fabric of contention.py.  X asks 500 times a second and is guaranteed a little; Z floods the same wire by UDP at 1.2
times its rate.  What counts is the ratio to the bare network in the same run.

The processors that forward X's frames forward the flood as well, in software, and make it.  What that alone does to X
shows beside a flood that goes through as many switches and queues, and over a wire of the same kind, but not X's:

        s2 ── z's sender ── s11 ══ 100 Mbit/s ══ s4 ── z's other receiver

It goes in rounds, each of which meets all of it, for what else the machine does changes from minute to minute.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from bench import echo
from bench.contention import GUARANTEE_KBPS, Pair, set_policy, traffic, two_tenants
from bench.figures import Report, median, quantile
from tests.support.fabric import Fabric, Policy

FLOOD = ("--udp", "--bitrate", "120M", "--length", "1400")
"""Fills the wire, and leaves the two cores some time to carry it."""
PER_S, PORT = 500, 7300
X_KBPS = 10_000
QUANTILES = (0.5, 0.99, 0.999)
BARE, UNPROTECTED = "bare network", "beside a flood, no protection"
ELSEWHERE, GUARANTEED = "a flood on another wire", "beside a flood, X guaranteed 10 Mbit/s"

Answers = tuple[list[float], int]
"""Milliseconds of each answer, and how many did not come."""


def run(*, quick: bool) -> Iterator[Report]:
    duration_s, rounds = (5, 1) if quick else (10, 5)
    report = Report(
        title=f"A request and its response, {PER_S} a second for {rounds} times {duration_s} s, ms",
        columns=("", "p50", "p99", "p99.9", "lost", "p50, p99, p99.9 over the bare network"),
        notes=["of all rounds together; ratios: medians of the rounds'; aim: with protection at most 3",
               "the flood on another wire: what it costs that the same processors carry it",
               "EyeQ, 10 Gbit/s in hardware: p99.9 0.666 ms bare, 1,100 beside UDP, 0.750 protected: 1.1 times"],
    )
    answers = {name: list[Answers]() for name in (BARE, UNPROTECTED, ELSEWHERE, GUARANTEED)}
    with two_tenants(second_wire=True) as (fabric, x, z):
        elsewhere = _second_receiver(fabric, z)
        for _ in range(rounds):
            _guarantee(fabric, x, z, elsewhere, x_kbps=0, z_kbps=0)
            answers[BARE].append(measure(x, duration_s))
            with traffic(z, FLOOD):
                answers[UNPROTECTED].append(measure(x, duration_s))
            fabric.pliantd.wait_for_links(8)  # without queues a flood starves the probes, too
            _guarantee(fabric, x, z, elsewhere, x_kbps=X_KBPS, z_kbps=GUARANTEE_KBPS)
            for name, flooded in ((ELSEWHERE, elsewhere), (GUARANTEED, z)):
                with traffic(flooded, FLOOD):
                    answers[name].append(measure(x, duration_s))
    for name, measured in answers.items():
        report.add(name, *_cells(measured, answers[BARE]))
    yield report


def _second_receiver(fabric: Fabric, z: Pair) -> Pair:
    """Z's sender, and who receives at the far end of the second wire."""
    host = fabric.add_host("zo", 4, 15, 15)
    (port,) = fabric.create_ports(z.ports[0].partition("/ports/")[0], [host])
    assert z.sender.ping(host).lost == 0
    return Pair(tenant=z.tenant, sender=z.sender, receiver=host, ports=(z.ports[0], port.name))


def _guarantee(fabric: Fabric, x: Pair, z: Pair, elsewhere: Pair, *, x_kbps: int, z_kbps: int) -> None:
    for pair, kbps in ((x, x_kbps), (z, z_kbps), (elsewhere, z_kbps)):
        set_policy(fabric, pair, Policy(guarantee_in_kbps=kbps, guarantee_out_kbps=kbps))


def measure(pair: Pair, duration_s: float) -> Answers:
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


def _cells(measured: Sequence[Answers], bare: Sequence[Answers]) -> list[str]:
    took_ms = [each for of_round, _ in measured for each in of_round]
    cells = [f"{quantile(took_ms, share):.2f}" if took_ms else "-" for share in QUANTILES]
    ratios = [median([quantile(mine, share) / quantile(others, share) if mine else float("inf")
                      for (mine, _), (others, _) in zip(measured, bare, strict=True)]) for share in QUANTILES]
    return [*cells, str(sum(lost for _, lost in measured)), ", ".join(f"{ratio:.1f}" for ratio in ratios)]
