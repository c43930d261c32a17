"""Guarantees over several hops with a bottleneck at each, and through the loss of a link.

    a line       s1 ══ s2 ══ s3 ══ s4       X from s1 to s4; floods of two other tenants, s1 to s3 and s2 to s4, so that
                                            the three wires are contended by one, two and one of them
    a ring       s1 ══ s2                   X from s1 to s2; a flood beside it, and one from s4 to s3, which is the way
                 ║      ║                   that X has to take when the wire between s1 and s2 is cut
                 s4 ══ s3

Every wire carries 20 Mbit/s; X sends by one TCP connection and is guaranteed 8.  Rates are Ethernet frames at the
receiver's interface.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from pliant.v1 import common_pb2
from pliant.v1.fabric_pb2 import Link

from bench.contention import Pair, rates, set_policy, traffic
from bench.figures import Report
from bench.wire import add_wire
from tests.support.fabric import Fabric, Policy
from tests.support.pliantd import CONTROLLER, Pliantd
from tests.support.rig import Rig

WIRE_KBPS, CAPACITY_KBPS, GUARANTEE_KBPS = 20_000, 19_600, 8_000
FLOOD = ("--udp", "--bitrate", "30M", "--length", "1400")
BEST_EFFORT, GUARANTEED = "no protection", "guaranteed 8"
RAMP_S, MEASURED_S, AFTER_S = 2.0, 6.0, 5
LINE = ((1, 2), (2, 3), (3, 4))
RING = (*LINE, (4, 1))


@contextmanager
def fabric_of(
    wires: Sequence[tuple[int, int]], pairs: Mapping[str, tuple[int, int]],
) -> Iterator[tuple[Fabric, dict[str, Pair]]]:
    """Switches on wires, and for each tenant a host on one that sends to a host on another."""
    with wired(wires, rate_kbps=WIRE_KBPS, capacity_kbps=CAPACITY_KBPS) as fabric:
        made = {tenant: _pair(fabric, tenant, ends, number) for number, (tenant, ends) in enumerate(pairs.items(), 1)}
        fabric.wait_in_sync()
        yield fabric, made


@contextmanager
def wired(wires: Sequence[tuple[int, int]], *, rate_kbps: int, capacity_kbps: int) -> Iterator[Fabric]:
    """Switches on wires of a rate, and pliantd, which is told their capacity."""
    switches = sorted({number for wire in wires for number in wire})
    with ExitStack() as stack:
        rig = stack.enter_context(Rig())
        for number in switches:
            rig.add_bridge(f"s{number}", number, CONTROLLER)
        for one, other in wires:
            add_wire(rig, f"s{one}", 100 + other, f"s{other}", 100 + one, rate_kbps=rate_kbps)
        pliantd = stack.enter_context(Pliantd(rig))
        pliantd.wait_for_links(2 * len(wires))
        rig.enlarge_send_buffer()
        fabric = Fabric(rig, pliantd, switches, (), {})
        for link in fabric.client.links.list():
            declared = Link(name=link.name, capacity_override_kbps=capacity_kbps)
            fabric.client.links.update(declared, ["capacity_override_kbps"])
        yield fabric


def _pair(fabric: Fabric, tenant: str, ends: tuple[int, int], port_no: int) -> Pair:
    network = fabric.create_network(tenant)
    hosts = [fabric.add_host(f"{tenant}{end}", switch, port_no, number)
             for end, switch, number in zip("sr", ends, (11, 12), strict=True)]
    ports = fabric.create_ports(network, hosts)
    assert hosts[0].ping(hosts[1]).lost == 0
    return Pair(tenant=tenant, sender=hosts[0], receiver=hosts[1], ports=(ports[0].name, ports[1].name))


def run(*, quick: bool) -> Iterator[Report]:
    yield from _line()
    if not quick:
        yield from _ring()


def _line() -> Iterator[Report]:
    report = Report(
        title="Three hops, three bottlenecks: rates beside two floods, Mbit/s", columns=("", "X", "flood 1", "flood 2"),
        notes=["X guaranteed 8 of each 20 Mbit/s wire, the floods nothing; aim: X at least 0.95 of 8"],
    )
    with fabric_of(LINE, {"x": (1, 4), "y": (1, 3), "z": (2, 4)}) as (fabric, pairs):
        for regime in (BEST_EFFORT, GUARANTEED):
            fabric.pliantd.wait_for_links(2 * len(LINE))  # without queues a flood starves the probes, too
            _protect(fabric, pairs["x"], regime)
            with ExitStack() as stack:
                for tenant in ("y", "z"):
                    stack.enter_context(traffic(pairs[tenant], FLOOD))
                stack.enter_context(traffic(pairs["x"], ()))
                time.sleep(RAMP_S)  # TCP finds its rate
                got = rates([pairs[tenant].receiver for tenant in ("x", "y", "z")], MEASURED_S)
                report.add(regime, *(f"{rate:.1f}" for rate in got))
    yield report


def _ring() -> Iterator[Report]:
    report = Report(
        title="A wire on X's path is cut beside two floods: X's rate, Mbit/s",
        columns=("", "before", *(f"second {n} after" for n in range(1, AFTER_S + 1))),
        notes=["X guaranteed 8 of 20 Mbit/s, class CRITICAL: admitted for the loss of any one link"],
    )
    with fabric_of(RING, {"x": (1, 2), "y": (1, 2), "z": (4, 3)}) as (fabric, pairs):
        for regime in (BEST_EFFORT, GUARANTEED):
            _protect(fabric, pairs["x"], regime)
            with ExitStack() as stack:
                for tenant in ("y", "z"):
                    stack.enter_context(traffic(pairs[tenant], FLOOD))
                stack.enter_context(traffic(pairs["x"], ()))
                time.sleep(RAMP_S)  # TCP finds its rate
                (before,) = rates((pairs["x"].receiver,), MEASURED_S)
                fabric.rig.set_link("s1-s2-102", up=False)
                fabric.rig.set_link("s2-s1-101", up=False)
                after = [rates((pairs["x"].receiver,), 1.0)[0] for _ in range(AFTER_S)]
            fabric.rig.set_link("s1-s2-102", up=True)
            fabric.rig.set_link("s2-s1-101", up=True)
            fabric.pliantd.wait_for_links(2 * len(RING))
            fabric.wait_in_sync()
            report.add(regime, f"{before:.1f}", *(f"{rate:.1f}" for rate in after))
    yield report


def _protect(fabric: Fabric, pair: Pair, regime: str) -> None:
    if regime == GUARANTEED:
        critical = common_pb2.TRAFFIC_CLASS_CRITICAL
        set_policy(fabric, pair, Policy(
            guarantee_in_kbps=GUARANTEE_KBPS, guarantee_out_kbps=GUARANTEE_KBPS, traffic_class=critical))
