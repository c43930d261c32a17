"""Ports provisioned per second over 10 switches, end to end: from the first call until the last switch confirmed."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.figures import Report
from bench.stage import Stage, make_networks, port_message, stage

LEAVES = 10
NETWORKS = 10
BATCH = 200


def run(*, quick: bool) -> Iterator[Report]:
    count = 400 if quick else 4_000
    report = Report(
        title=f"Provisioning {count:,} ports in {NETWORKS} networks over {LEAVES} leaves, in batches of {BATCH}",
        columns=("client", "ports per second", "flow entries per second"),
        notes=["every network is on every leaf; entries: as the leaves hold them at the end"],
    )
    for wait, client in ((True, "waits for each batch"), (False, "waits for the last batch only")):
        with stage(leaves=LEAVES) as running:
            networks = make_networks(running, 1, NETWORKS)
            running.wire(count)
            before = _entries(running)
            seconds = _provision(running, networks, count, wait=wait)
            entries = _entries(running) - before
            report.add(client, f"{count / seconds:,.0f}", f"{entries / seconds:,.0f}")
    yield report


def _provision(running: Stage, networks: list[str], count: int, *, wait: bool) -> float:
    ports = running.pliantd.client.ports
    batches = range(0, count, BATCH)
    began_s = time.perf_counter()
    for number, start in enumerate(batches):
        network = networks[number % len(networks)]
        messages = [port_message(network, index, running.place(index)) for index in range(start, start + BATCH)]
        ports.batch_create(network, messages, wait=wait or start == batches[-1])
    return time.perf_counter() - began_s


def _entries(running: Stage) -> int:
    return sum(running.flow_count(leaf) for leaf in range(1, LEAVES + 1))
