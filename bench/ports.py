"""CreatePort, from the call until every switch confirmed it by barrier: does it cost more when many ports are there?

Two fabrics run side by side, one with 10 ports and one with 5,000, and are measured in turn, round by round, so that
whatever else the machine does meets both.  After each round its ports are deleted: the number present stays what it is.

The switches share the machine and walk over all their ports after every flow-mod.  So each round also measures what
they take without pliantd, for the same number of switches and two flow-mods on each.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.figures import Report, median, milliseconds, quantile
from bench.stage import Stage, make_networks, port_message, stage

LEAVES = 10
TENANTS = 10
FEW = 10
BATCH = 200
OVN = {"100": "33 ms, 13/s, 475/s", "1,000": "0.3-0.5 s, 1/s, 147/s", "3,000": "1-4 s, 0.3/s, 30/s"}
"""OVN 23.03 on such a machine: wait, one by one, in batches of 200, by ports present."""
PARTS = ("commit", "compile", "apply")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    many: int = 5_000
    rounds: int = 5
    per_round: int = 40


@dataclass(slots=True)
class Site:
    """A fabric with its ports present, and what was measured on it."""

    stage: Stage
    networks: Sequence[str]
    present: int
    rounds: list[list[float]] = field(default_factory=list)
    """seconds of each call"""
    alone: list[float] = field(default_factory=list)
    """seconds that the switches take by themselves"""
    batches: list[float] = field(default_factory=list)
    """seconds of each batch"""
    parts: Counter[str] = field(default_factory=Counter)
    """seconds in all, by part"""

    @property
    def calls(self) -> list[float]:
        return [seconds for one in self.rounds for seconds in one]

    def fill(self) -> None:
        """Create the ports that are to be present, in batches."""
        each = self.present // len(self.networks)
        for number, network in enumerate(self.networks):
            mine = range(number * each, (number + 1) * each)
            for start in range(0, len(mine), BATCH):
                self._batch(network, mine[start:start + BATCH])
        self.stage.settle()

    def measure(self, count: int) -> None:
        """One round: so many ports one by one, then a batch; and away with them."""
        fresh = range(self.present, self.present + max(count, BATCH))
        client = self.stage.pliantd.client
        before = self.stage.spent_s()
        seconds = []
        for index in fresh[:count]:
            message = port_message(self.networks[index % len(self.networks)], index, self.stage.place(index))
            began_s = time.perf_counter()
            client.ports.create(message, wait=True)
            seconds.append(time.perf_counter() - began_s)
        self.rounds.append(seconds)
        self.alone += self.stage.switches_alone_s(20)
        after = self.stage.spent_s()
        self.parts.update({part: after[part] - before[part] for part in PARTS})
        client.apply([], deletes=[self._name(index) for index in fresh[:count]], wait=True)
        network = self.networks[0]
        began_s = time.perf_counter()
        self._batch(network, fresh)
        self.batches.append(time.perf_counter() - began_s)
        client.apply([], deletes=[f"{network}/ports/p{index}" for index in fresh], wait=True)

    def _name(self, index: int) -> str:
        return f"{self.networks[index % len(self.networks)]}/ports/p{index}"

    def _batch(self, network: str, indexes: Sequence[int]) -> None:
        ports = [port_message(network, index, self.stage.place(index)) for index in indexes]
        self.stage.pliantd.client.ports.batch_create(network, ports, wait=True)


def run(*, quick: bool) -> Iterator[Report]:
    scale = Scale(many=500, rounds=3, per_round=20) if quick else Scale()
    yield _compare("one network", 1, 1, scale)
    yield _compare(f"{scale.many // 10} networks of 10", TENANTS, scale.many // 10, scale)


def _compare(shape: str, tenants: int, networks: int, scale: Scale) -> Report:
    with ExitStack() as stack:
        small = _site(stack, 1, 1, FEW)
        large = _site(stack, min(tenants, networks), networks, scale.many)
        for _ in range(scale.rounds):
            for site in (small, large):
                site.measure(scale.per_round)
    net = [median(site.calls) - median(site.alone) for site in (small, large)]
    ratio = median([median(large_) / median(small_) for small_, large_ in zip(small.rounds, large.rounds, strict=True)])
    report = Report(
        title=f"CreatePort with wait, {LEAVES} leaves and 2 spines: {scale.many:,} ports present in {shape}",
        columns=("ports present", "p50", "p99", *PARTS, "rest", "OVS alone", "one by one", f"batch of {BATCH}"),
        notes=[
            f"p50 at {scale.many:,} is {ratio:.2f} times p50 at {FEW} (aim: at most 2; "
            f"median of {scale.rounds} interleaved rounds of {scale.per_round} calls)",
            f"p50 less what the switches take by themselves: {milliseconds(net[1])} and {milliseconds(net[0])}, "
            f"ratio {net[1] / net[0]:.2f}",
            "OVS alone: p50 of two flow-mods and a barrier on each of the leaves at once, without pliantd",
            "commit, compile, apply: means by pliantd's own account; rest: client, gRPC and hand-overs",
            *(f"OVN 23.03 at {present} ports: {said}" for present, said in OVN.items()),
        ],
    )
    for site in (small, large):
        _row(report, site)
    return report


def _site(stack: ExitStack, tenants: int, networks: int, present: int) -> Site:
    running = stack.enter_context(stage(leaves=LEAVES))
    site = Site(running, make_networks(running, tenants, networks), present)
    running.wire(present + BATCH)
    site.fill()
    return site


def _row(report: Report, site: Site) -> None:
    calls = site.calls
    mean = sum(calls) / len(calls)
    parts = [site.parts[part] / len(calls) for part in PARTS]
    report.add(
        f"{site.present:,}", milliseconds(median(calls)), milliseconds(quantile(calls, 0.99)),
        *map(milliseconds, parts), milliseconds(mean - sum(parts)), milliseconds(median(site.alone)),
        f"{1 / mean:.0f}/s", f"{BATCH / median(site.batches):,.0f}/s",
    )
