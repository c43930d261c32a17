"""A switch that holds all its flows reconnects: how long until pliantd knows that it is in sync, and what it writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from bench.figures import Report, median, milliseconds
from bench.ports import BATCH
from bench.stage import Stage, make_networks, port_message, stage
from tests.support.eventually import eventually

LEAVES = 2
_CONNECTED = re.compile(r"^(\S+) .*switch_connected .*switch=0{15}1 tables", re.MULTILINE)
_IN_SYNC = re.compile(r"^(\S+) .*switch_in_sync .*flows=(\d+) .*frames=(\d+) .*switch=0{15}1$", re.MULTILINE)


def run(*, quick: bool) -> Iterator[Report]:
    ports, rounds = (200, 3) if quick else (1_800, 7)
    with stage(leaves=LEAVES) as running:
        (network,) = make_networks(running, 1, 1)
        running.wire(ports)
        for start in range(0, ports, BATCH):
            messages = [port_message(network, index, running.place(index)) for index in range(start, start + BATCH)]
            running.pliantd.client.ports.batch_create(network, messages, wait=True)
        seen = [_reconnect(running) for _ in range(rounds)]
        flows = running.flow_count(1)
    report = Report(
        title=f"A switch with {flows:,} correct flows reconnects",
        columns=("from connected to in sync", "slowest", "frames written"),
        notes=[f"median of {rounds} reconnections, by pliantd's log; flows, groups and meters were read and compared"],
    )
    seconds = [each for each, _ in seen]
    report.add(milliseconds(median(seconds)), milliseconds(max(seconds)), str(sum(frames for _, frames in seen)))
    yield report


def _reconnect(running: Stage) -> tuple[float, int]:
    """Seconds and frames of one reconnection."""
    log = running.pliantd.log
    before = len(_IN_SYNC.findall(log()))
    running.leaf(1).appctl("bridge/reconnect", "leaf1")
    eventually(lambda: len(_IN_SYNC.findall(log())) > before, timeout_s=30, what="leaf1 is in sync again")
    connected, (in_sync, _, frames) = _CONNECTED.findall(log())[-1], _IN_SYNC.findall(log())[-1]
    return (datetime.fromisoformat(in_sync) - datetime.fromisoformat(connected)).total_seconds(), int(frames)
