"""Everybody to everybody over a leaf-spine, after ElasticSwitch (SIGCOMM 2013): two bottlenecks on each path.

         s11      s12             10 Mbit/s a wire: each leaf has 20 up and 20 down, and what one sends to another meets
        /  |  ╲ ╱  |  ╲           others twice, on the wire up with what its own leaf sends elsewhere, and on the wire
      s1   s2    s3               down with what the third leaf sends there
     x z   x z   x z

X's ports are guaranteed 8 Mbit/s out and in, which is 4 on each wire, for connections are spread over both trees.  X
sends by several TCP connections from each host to each other.  Then each host of Z, guaranteed 1, floods the two others
by UDP with twice what the wires carry, in as many streams.

A port's guarantee names no pairs.  What counts is what each of X's ports sends to the two others together, as it came
there, and what each receives.  What a port sends is kept by the wires up; whom it goes to is chance: of some ten
connections on such a wire seven may go to one of the others and three to the other.  Who gets few of both receives
less than 8, and no wire down to it is to blame: the others do not send it more.  So it is measured several times, with
other connections.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import permutations

from pliant.v1.network_pb2 import Port

from bench import flood
from bench.contention import IPERF_PORT, rates, sending
from bench.figures import Report
from bench.hops import wired
from tests.support.fabric import Fabric, Policy
from tests.support.rig import Host

LEAVES, SPINES = (1, 2, 3), (11, 12)
WIRE_KBPS, CAPACITY_KBPS = 10_000, 9_800
GUARANTEE_KBPS, OTHERS_KBPS = 8_000, 1_000
CONNECTIONS = 8
"""From each host to each other.  Which tree one takes is chance: of sixteen that leave a leaf some take each."""
TCP = ("--parallel", str(CONNECTIONS))
FLOOD_KBPS = 2 * len(SPINES) * WIRE_KBPS
RAMP_S, MEASURED_S = 4.0, 15.0
"""Forty-eight connections take a while to find their rates, and again once the flood is there."""
FRAME_BYTES, PAYLOAD_BYTES = 1_514, 1_448

Hosts = Mapping[int, Host]
"""one tenant's, by leaf"""


def run(*, quick: bool) -> Iterator[Report]:
    report = Report(
        title="Everybody to everybody, two bottlenecks on each path, Mbit/s",
        columns=("", "X, worst port out", "worst port in", "X in all", "Z in all", "both"),
        notes=[f"2 spines, 3 leaves, 10 Mbit/s a wire; {CONNECTIONS} connections from each host to each other",
               "X's ports guaranteed 8 out and in, of 20 that a leaf has; Z's 1",
               "aims: each port of X at least 0.95 of 8; both together at least 0.97 of what either carries alone",
               "ElasticSwitch, 1 Gbit/s links, divides guarantees among pairs; queues here keep ports' only"],
    )
    wires = [(leaf, spine) for leaf in LEAVES for spine in SPINES]
    measured_s = 4.0 if quick else MEASURED_S
    with wired(wires, rate_kbps=WIRE_KBPS, capacity_kbps=CAPACITY_KBPS) as fabric:
        (x, names), (z, others) = (_tenant(fabric, tenant, port_no) for port_no, tenant in enumerate("xz", 1))
        alone = [_add(report, "X alone", x, z, {"x"}, measured_s), _add(report, "Z alone", x, z, {"z"}, measured_s)]
        _settle(fabric, len(wires))
        _add(report, "no protection", x, z, {"x", "z"}, measured_s)
        _settle(fabric, len(wires))
        for ports, kbps in ((names, GUARANTEE_KBPS), (others, OTHERS_KBPS)):
            for name in ports:
                policy = Policy(guarantee_in_kbps=kbps, guarantee_out_kbps=kbps)
                fabric.client.ports.update(Port(name=name, bandwidth=policy), ["bandwidth"], wait=True)
        both = [_add(report, f"guaranteed 8{again}", x, z, {"x", "z"}, measured_s)
                for again in ("", ", other connections", ", others again")[:1 if quick else 3]]
        ratios = ", ".join(f"{each / max(alone):.3f}" for each in both)
        report.notes = [*report.notes, f"both, guaranteed, of what either carries alone: {ratios}"]
    yield report


def _settle(fabric: Fabric, wires: int) -> None:
    """Without queues a flood starves the probes, too, and links count as lost for a while."""
    fabric.pliantd.wait_for_links(2 * wires)
    fabric.wait_in_sync()


def _tenant(fabric: Fabric, tenant: str, port_no: int) -> tuple[Hosts, Sequence[str]]:
    """A host on each leaf; and the names of their ports."""
    network = fabric.create_network(tenant)
    hosts = {leaf: fabric.add_host(f"{tenant}{leaf}", leaf, port_no, 10 + leaf) for leaf in LEAVES}
    ports = fabric.create_ports(network, hosts.values())
    for one, other in permutations(hosts.values(), 2):
        assert one.ping(other, count=1).lost == 0
    return hosts, [port.name for port in ports]


def _add(report: Report, what: str, x: Hosts, z: Hosts, who: set[str], measured_s: float) -> float:
    """A row: what arrives while these send; returns the sum of both."""
    with ExitStack() as stack:
        for of_whom, start, hosts in (("x", _all_to_all, x), ("z", _flood, z)):
            if of_whom in who:
                stack.enter_context(start(hosts))
                time.sleep(RAMP_S)  # see there
        began_s, began = time.monotonic(), _delivered(x)
        of_z = sum(rates(list(z.values()), measured_s))
        ended_s, ended = time.monotonic(), _delivered(x)
    mbps = {pair: (size - began[pair]) * 8e-6 / (ended_s - began_s) for pair, size in ended.items()}
    out = [sum(rate for (sender, _), rate in mbps.items() if sender == leaf) for leaf in LEAVES]
    into = [sum(rate for (_, receiver), rate in mbps.items() if receiver == leaf) for leaf in LEAVES]
    both = sum(out) + of_z
    report.add(what, *(f"{rate:.1f}" for rate in (min(out), min(into), sum(out), of_z, both)))
    return both


@contextmanager
def _all_to_all(hosts: Hosts) -> Iterator[None]:
    with ExitStack() as stack:
        for one, other in permutations(hosts, 2):
            stack.enter_context(sending(hosts[one], hosts[other], TCP, port=IPERF_PORT + one))
        yield


@contextmanager
def _flood(hosts: Hosts) -> Iterator[None]:
    with ExitStack() as stack:
        for host in hosts.values():
            others = [other.ip for other in hosts.values() if other is not host]
            process = host.popen([sys.executable, flood.__file__, *others, "--sources", str(CONNECTIONS), "--kbps",
                                  str(FLOOD_KBPS)])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def _delivered(hosts: Hosts) -> dict[tuple[int, int], float]:
    """By sender and receiver: bytes that TCP delivered, as the frames they came in."""
    delivered = {}
    for one, other in permutations(hosts, 2):
        told = hosts[other].run("ss", "-Htin", "state", "connected", f"sport = :{IPERF_PORT + one}")
        payload = sum(int(size) for size in re.findall(r"bytes_received:(\d+)", told))
        delivered[one, other] = payload * FRAME_BYTES / PAYLOAD_BYTES
    return delivered
