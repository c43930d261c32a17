"""A tenant's ceiling over ports on several switches, and what the API tells of traffic, on real switches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
from pliant.v1 import watch_pb2

from apps.lab.measure import Stream
from tests.support.eventually import eventually
from tests.support.fabric import Fabric, Policy
from tests.support.rig import Host

CEILING_KBPS, BURST_MS = 20_000, 100
PACKETS_PER_S, PAYLOAD, FRAME = 2_200, 1_400, 1_442
"""25 Mbit/s of frames: each sender alone could fill the ceiling."""
TURNS = {"a": (0.0, 10.0), "c": (5.0, 15.0), "d": (10.0, 20.0), "b": (15.0, 20.0)}
"""when each of them sends: demand moves from leaf 1 to 2, to 3, and back to 1"""
TO = {"a": "c", "b": "c", "c": "d", "d": "a"}


@pytest.fixture(scope="module")
def red(shared_fabric: Fabric) -> Iterator[dict[str, Host]]:
    """Hosts a and b on leaf 1, c on leaf 2, d on leaf 3, all of tenant red, whose ceiling they share."""
    places = {"a": (1, 1), "b": (1, 2), "c": (2, 1), "d": (3, 1)}
    network = shared_fabric.create_network(
        "red", policy=Policy(ceiling_out_kbps=CEILING_KBPS, burst_ms=BURST_MS))
    hosts = {name: shared_fabric.add_host(name, leaf, port_no, 11 + i)
             for i, (name, (leaf, port_no)) in enumerate(places.items())}
    shared_fabric.create_ports(network, hosts.values())
    yield hosts
    shared_fabric.client.apply([], deletes=["tenants/red"], force=True)


def run(hosts: Mapping[str, Host], turns: Mapping[str, tuple[float, float]]) -> tuple[float, list[Stream]]:
    """Let each send in its turn; returns when it began, and what arrived."""
    with ExitStack() as stack:
        began_s = time.monotonic()
        events = sorted((at_s, name, is_start) for name, (start_s, end_s) in turns.items()
                        for at_s, is_start in ((start_s, True), (end_s, False)))
        running, streams = {}, []
        for at_s, name, is_start in events:
            time.sleep(max(0.0, began_s + at_s - time.monotonic()))
            if is_start:
                running[name] = stack.enter_context(hosts[name].probe(
                    hosts[TO[name]], packets_per_s=PACKETS_PER_S, size_bytes=PAYLOAD))
            else:
                streams.append(running[name].finish())
        return began_s, streams


def test_ceiling_over_three_switches_with_moving_demand(red: dict[str, Host]) -> None:
    """Never more than 1.05 of it in any window of three seconds, and 0.85 of it used, while demand moves around."""
    began_s, streams = run(red, TURNS)

    def rate(since_s: float, until_s: float) -> float:
        return sum(stream.rate_kbps(since_s=began_s + since_s, until_s=began_s + until_s)
                   for stream in streams) * FRAME / PAYLOAD

    windows = [rate(start_s / 2, start_s / 2 + 3) for start_s in range(2, 34)]
    used = rate(1, 20)
    print(f"of {CEILING_KBPS}: {used:.0f} used, {min(windows):.0f} to {max(windows):.0f} in windows of 3 s; by s "
          + " ".join(f"{rate(second, second + 1):.0f}" for second in range(20)))
    assert max(windows) <= 1.05 * CEILING_KBPS
    assert used >= 0.85 * CEILING_KBPS


def test_status_and_usage_say_what_happens(shared_fabric: Fabric, red: dict[str, Host]) -> None:
    """Held back by the tenant's ceiling, with room on all links; what is counted agrees with what arrives."""
    client, port = shared_fabric.client, "tenants/red/networks/n/ports/c"
    before = {usage.name: usage for usage in client.usage(watch_pb2.KIND_PORT)}
    with red["a"].probe(red["c"], packets_per_s=PACKETS_PER_S, size_bytes=PAYLOAD) as probe:

        def told() -> bool:
            sent = client.tenants.get("tenants/red").bandwidth_status.outward
            assert sent.bottleneck == "tenants/red", sent
            assert 0.9 * CEILING_KBPS <= sent.delivered_kbps <= 1.1 * CEILING_KBPS, sent
            assert sent.dropped.tenant_bytes > 0 and sent.spare_kbps > CEILING_KBPS, sent
            return True

        eventually(told, 20, "the tenant's ceiling is named")
        arrived = probe.finish()

    def counted() -> bool:
        more = {usage.name: usage for usage in client.usage(watch_pb2.KIND_PORT)}[port]
        assert arrived.received <= more.inward.packets - before[port].inward.packets <= arrived.received + 100
        return True

    eventually(counted, 20, "all that arrived is counted")
