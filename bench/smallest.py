"""A tenant that floods with the smallest frames there are, beside one that is guaranteed its bandwidth.

The fabric of contention.py.  X sends by one TCP connection, Z datagrams of 18 bytes: frames of 60.  Queues and
ceilings count bytes, and of bytes Z sends few: what it takes is the time of the processors that forward its frames.

What this shows depends on the machine.  Here user space forwards, one thread for all switches: some 48,000 frames a
second when nothing else runs.  Far below that a guarantee holds.  Near it and beyond, no queue helps: queues drop
nothing then, frames are late or lost before they get there.  What helps is a ceiling for Z so low that few of its
frames get beyond the first switch, where to drop one costs less than to carry it through three.  10 Mbit/s are 21,000
of these frames a second, 1 Mbit/s 2,100.  Pliant limits by number only what makes more work than its size says: frames
to all of a network, answers to ARP, DHCP and the like, and what goes to the controller.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack

from bench.contention import GUARANTEE_KBPS, Pair, set_policy, traffic, two_tenants
from bench.figures import Report
from tests.support.fabric import Policy
from tests.support.rig import Host

PAYLOAD_BYTES = 18
RAMP_S, MEASURED_S = 2.0, 5.0
GUARANTEED = Policy(guarantee_in_kbps=GUARANTEE_KBPS, guarantee_out_kbps=GUARANTEE_KBPS)
REGIMES = {
    "no policy": (Policy(), Policy()),
    "X guaranteed 45": (GUARANTEED, Policy()),
    "X guaranteed 45, Z at most 10": (GUARANTEED, Policy(ceiling_in_kbps=10_000, ceiling_out_kbps=10_000)),
    "X guaranteed 45, Z at most 1": (GUARANTEED, Policy(ceiling_in_kbps=1_000, ceiling_out_kbps=1_000)),
}
NONE, ALL = 0, -1
FLOODS = {"no flood": NONE, "10,000/s": 10_000, "20,000/s": 20_000, "40,000/s": 40_000, "all it can": ALL}


def run(*, quick: bool) -> Iterator[Report]:
    floods = {name: pps for name, pps in FLOODS.items() if not quick or pps in (NONE, 20_000)}
    report = Report(
        title="X's rate beside a flood of the smallest frames, Mbit/s (frames of it that were sent and came, 1,000/s)",
        columns=("", *floods),
        notes=["X: one TCP connection on a 100 Mbit/s wire; the flood: 60 bytes a frame, made on the same processors"],
    )
    with two_tenants() as (fabric, x, z):
        for regime, (for_x, for_z) in REGIMES.items():
            set_policy(fabric, x, for_x)
            set_policy(fabric, z, for_z)
            report.add(regime, *(_cell(x, z, pps) for pps in floods.values()))
    yield report


def _cell(x: Pair, z: Pair, pps: int) -> str:
    with ExitStack() as stack:
        if pps:
            bitrate = str(pps * PAYLOAD_BYTES * 8) if pps != ALL else "0"
            stack.enter_context(traffic(z, ("--udp", "--bitrate", bitrate, "--length", str(PAYLOAD_BYTES))))
        stack.enter_context(traffic(x, ()))
        time.sleep(RAMP_S)  # TCP finds its rate
        hosts = x.receiver, z.sender, z.receiver
        began_s, began = time.monotonic(), [_counters(host) for host in hosts]
        time.sleep(MEASURED_S)  # what is measured is what passes meanwhile
        elapsed_s, ended = time.monotonic() - began_s, [_counters(host) for host in hosts]
    mine, sent, came = ({key: (now[key] - was[key]) / elapsed_s for key in now}
                        for was, now in zip(began, ended, strict=True))
    rate = f"{mine['rx_bytes'] * 8e-6:.1f}"
    return f"{rate} ({sent['tx_packets'] / 1_000:.0f}, {came['rx_packets'] / 1_000:.1f})" if pps else rate


def _counters(host: Host) -> dict[str, int]:
    (link,) = json.loads(host.run("ip", "-json", "-stats", "link", "show", "eth0"))
    stats = link["stats64"]
    return {f"{way}_{what}": int(stats[way][what]) for way in ("rx", "tx") for what in ("bytes", "packets")}
