"""Two tenants on one full link, after ElasticSwitch's many-to-one (SIGCOMM 2013), at a tenth of its scale.

        s1 ── x's sender ─┐                        ┌─ x's receiver
                          s11 ══ 100 Mbit/s ══ s3 ─┤
        s2 ── z's sender ─┘                        └─ z's receiver

X sends by one TCP connection and is guaranteed 45 of the link's 100 Mbit/s, Z as well.  Z does nothing, sends by some
TCP connections, or floods.  Three regimes on the same wire: nothing, a static ceiling of 45 Mbit/s for each (meters),
and guarantees (queues).  Rates are Ethernet frames at the receiver's interface.

The same again for X and Z as two networks of one tenant, and as ports of one network: siblings are kept apart like
strangers.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pliant.v1.fabric_pb2 import Link
from pliant.v1.network_pb2 import Port

from apps.lab.sandbox import Process
from bench.figures import Report
from bench.wire import add_wire
from tests.support.fabric import Fabric, Policy
from tests.support.pliantd import CONTROLLER, Pliantd
from tests.support.rig import Host, Rig

WIRE_KBPS = 100_000
CAPACITY_KBPS = 99_000
"""What Pliant is told that the wire carries: a little less, so that what waits, waits in its queues."""
GUARANTEE_KBPS = 45_000
IPERF_PORT = 5201
JOINING_S = 6
RAMP_S, MEASURED_S = 2.0, 8.0
"""TCP finds its rate, and a ceiling's burst goes by, before anything is counted."""
NOTHING, METERS, GUARANTEES = "no protection", "ceilings only (meters)", "guarantees (queues)"
POLICIES = {
    NOTHING: Policy(),
    METERS: Policy(ceiling_in_kbps=GUARANTEE_KBPS, ceiling_out_kbps=GUARANTEE_KBPS),
    GUARANTEES: Policy(guarantee_in_kbps=GUARANTEE_KBPS, guarantee_out_kbps=GUARANTEE_KBPS),
}
STRANGERS = ("x", "n"), ("z", "n")
SIBLINGS = {"two networks of one tenant": (("x", "n"), ("x", "z")), "ports of one network": (("x", "n"), ("x", "n"))}
IDLE = "Z idle"
LOADS: dict[str, tuple[str, ...]] = {
    IDLE: (),
    "Z 1 TCP": ("--parallel", "1"),
    "Z 5 TCP": ("--parallel", "5"),
    "Z 20 TCP": ("--parallel", "20"),
    "Z 200 Mbit/s UDP": ("--udp", "--bitrate", "200M", "--length", "1400"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Who sends to whom."""

    tenant: str
    sender: Host
    receiver: Host
    ports: tuple[str, str]


@contextmanager
def two_tenants(
    homes: Sequence[tuple[str, str]] = STRANGERS, *, second_wire: bool = False,
) -> Iterator[tuple[Fabric, Pair, Pair]]:
    """The fabric above, X and Z without any policy.

    Args:
        homes: the tenant and the network of each.
        second_wire: there is a leaf s4 on a wire of its own, like that of s3.
    """
    with ExitStack() as stack:
        rig = stack.enter_context(Rig())
        leaves = (1, 2, 3, 4) if second_wire else (1, 2, 3)
        for number in (*leaves, 11):
            rig.add_bridge(f"s{number}", number, CONTROLLER)
        rig.add_link("s1", 101, "s11", 1)
        rig.add_link("s2", 101, "s11", 2)
        for leaf in leaves[2:]:
            add_wire(rig, f"s{leaf}", 101, "s11", leaf, rate_kbps=WIRE_KBPS)
        pliantd = stack.enter_context(Pliantd(rig))
        pliantd.wait_for_links(2 * len(leaves))
        rig.enlarge_send_buffer()
        fabric = Fabric(rig, pliantd, leaves, (11,), {})
        for link in fabric.client.links.list():
            declared = Link(name=link.name, capacity_override_kbps=CAPACITY_KBPS)
            fabric.client.links.update(declared, ["capacity_override_kbps"])
        x, z = (_pair(fabric, "xz"[i], home, sender=1 + i, first=11 + 2 * i) for i, home in enumerate(homes))
        fabric.wait_in_sync()
        yield fabric, x, z


def _pair(fabric: Fabric, name: str, home: tuple[str, str], *, sender: int, first: int) -> Pair:
    """`first`: the number of its sender; its receiver has the next one."""
    tenant, network = home[0], fabric.create_network(home[0], network=home[1])
    hosts = [fabric.add_host(f"{name}{end}", leaf, number, number)
             for end, leaf, number in (("s", sender, first), ("r", 3, first + 1))]
    ports = fabric.create_ports(network, hosts)
    assert hosts[0].ping(hosts[1]).lost == 0
    return Pair(tenant=tenant, sender=hosts[0], receiver=hosts[1], ports=(ports[0].name, ports[1].name))


def set_policy(fabric: Fabric, pair: Pair, policy: Policy) -> None:
    """For both ports of a pair; returns when the switches confirmed it."""
    for name in pair.ports:
        fabric.client.ports.update(Port(name=name, bandwidth=policy), ["bandwidth"], wait=True)


@contextmanager
def traffic(pair: Pair, options: Sequence[str]) -> Iterator[None]:
    """iperf3 from one to the other while the context lasts; TCP by cubic."""
    with sending(pair.sender, pair.receiver, options):
        yield


@contextmanager
def sending(sender: Host, receiver: Host, options: Sequence[str], *, port: int = IPERF_PORT) -> Iterator[None]:
    """The same; `port`: the receiver's, of its own for each who sends to it at the same time."""
    congestion = () if "--udp" in options else ("--congestion", "cubic")
    serve = ["iperf3", "--server", "--one-off", "--bind", receiver.ip, "--port", str(port)]
    call = ["iperf3", "--client", receiver.ip, "--port", str(port), "--time", "1000", *congestion, *options]
    with ExitStack() as stack:
        for host, argv in ((receiver, serve), (sender, call)):
            process = host.popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(_end, process)
            if host is receiver:
                _wait_for_listener(host, port)
        yield


def _wait_for_listener(host: Host, port: int) -> None:
    deadline_s = time.monotonic() + 10
    while f":{port}" not in host.run("ss", "-Hltn"):
        assert time.monotonic() < deadline_s, f"iperf3 does not listen on {host.name}"


def _end(process: Process) -> None:
    process.kill()
    process.wait()


def received_bytes(host: Host) -> int:
    """Ethernet frames that came in, bytes."""
    (link,) = json.loads(host.run("ip", "-json", "-stats", "link", "show", "eth0"))
    return int(link["stats64"]["rx"]["bytes"])


def rates(hosts: Sequence[Host], duration_s: float) -> list[float]:
    """Mbit/s that each of them receives, from now on."""
    began = [(time.monotonic(), received_bytes(host)) for host in hosts]
    time.sleep(duration_s)  # what is measured is what arrives meanwhile
    ended = [(time.monotonic(), received_bytes(host)) for host in hosts]
    return [(size - size_0) * 8e-6 / (at - at_0) for (at_0, size_0), (at, size) in zip(began, ended, strict=True)]


def run(*, quick: bool) -> Iterator[Report]:
    report = Report(
        title="Many-to-one: X's rate (X's and Z's together), Mbit/s",
        columns=("", *(load for load in LOADS)),
        notes=["X: one TCP connection, guaranteed 45 of a 100 Mbit/s wire, of which Pliant was told 99",
               "aims: X at least 42.75 always; Z idle: at least 0.97 of no protection; together at least 0.97 of that",
               "ElasticSwitch at 10 x the rate, in these units: X 94 alone, 45 to 49 beside 1 to 300 VMs"],
    )
    joining = Report(
        title="Joining: X's rate in each second after it starts to send into Z's flood, Mbit/s",
        columns=("", *(f"second {second}" for second in range(1, JOINING_S + 1))),
        notes=["the same wire and the flood of 200 Mbit/s; aim: its guarantee from the second second on"],
    )
    loads = [IDLE, "Z 20 TCP"] if quick else list(LOADS)
    with two_tenants() as (fabric, x, z):
        for regime, policy in POLICIES.items():
            for pair in (x, z):
                set_policy(fabric, pair, policy)
            report.add(regime, *_row(x, z, loads))
            joining.add(regime, *(f"{rate:.1f}" for rate in _joining(x, z)))
    yield report
    yield joining
    yield _siblings(loads)


def _siblings(loads: Sequence[str]) -> Report:
    report = Report(
        title="X and Z in one tenant: X's rate (X's and Z's together), Mbit/s",
        columns=("", *(load for load in LOADS)),
        notes=["the same wire and guarantees as above, each of a port; same aims"],
    )
    for kinship, homes in SIBLINGS.items():
        with two_tenants(homes) as (fabric, x, z):
            for regime in (NOTHING, GUARANTEES):
                for pair in (x, z):
                    set_policy(fabric, pair, POLICIES[regime])
                report.add(f"{kinship}, {regime}", *_row(x, z, loads))
    return report


def _row(x: Pair, z: Pair, loads: Sequence[str]) -> list[str]:
    cells = dict.fromkeys(LOADS, "")
    for load in loads:
        got = _under(x, z, LOADS[load], load == IDLE)
        cells[load] = f"{got[0]:.1f} ({sum(got):.1f})"
    return list(cells.values())


def _under(x: Pair, z: Pair, load: Sequence[str], idle: bool) -> list[float]:
    with ExitStack() as stack:
        if not idle:
            stack.enter_context(traffic(z, load))
        stack.enter_context(traffic(x, ()))
        time.sleep(RAMP_S)  # see above
        return rates((x.receiver, z.receiver), MEASURED_S)


def _joining(x: Pair, z: Pair) -> list[float]:
    """X's rate, second by second from its first frame on."""
    with traffic(z, LOADS["Z 200 Mbit/s UDP"]):
        time.sleep(RAMP_S)  # until the flood fills what there is to fill
        with traffic(x, ()):
            return [rates((x.receiver,), 1.0)[0] for _ in range(JOINING_S)]
