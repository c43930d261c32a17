"""Ceilings of ports and tenants on real switches, measured at the receiver."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from pliant.v1 import network_pb2, tenant_pb2

from apps.lab.measure import Rate
from tests.support.fabric import Fabric, Policy
from tests.support.rig import Host

UDP_PAYLOAD = 1400 / 1442
TCP_PAYLOAD = 1448 / 1514
"""What remains of the frames that a meter counts."""
SLOW, FAST = 10_000, 20_000


@pytest.fixture(scope="module")
def red(shared_fabric: Fabric) -> dict[str, Host]:
    """Hosts a and b on leaf 1, c on leaf 2, d on leaf 3, all of tenant red, without ceilings."""
    network = shared_fabric.create_network("red")
    places = {"a": (1, 1), "b": (1, 2), "c": (2, 1), "d": (3, 1)}
    hosts = {
        name: shared_fabric.add_host(name, leaf, port_no, 11 + i)
        for i, (name, (leaf, port_no)) in enumerate(places.items())
    }
    shared_fabric.create_ports(network, hosts.values())
    for host in hosts.values():
        for other in hosts.values():
            assert host is other or host.ping(other, count=1).lost == 0
    return hosts


def limit(fabric: Fabric, host: str, **policy: int) -> network_pb2.Port:
    """Give a port these ceilings and no others; returns when the switches have confirmed."""
    name = f"tenants/red/networks/n/ports/{host}"
    port = network_pb2.Port(name=name, bandwidth=Policy(**policy))
    return fabric.client.ports.update(port, ["bandwidth"], wait=True)


def limit_tenant(fabric: Fabric, **policy: int) -> tenant_pb2.Tenant:
    tenant = tenant_pb2.Tenant(name="tenants/red", bandwidth=Policy(**policy))
    return fabric.client.tenants.update(tenant, ["bandwidth"], wait=True)


def at_once(*measurements: Callable[[], Rate]) -> list[float]:
    """Measure several pairs of hosts at the same time; kbit/s each."""
    with ThreadPoolExecutor(len(measurements)) as pool:
        return [future.result().rate_kbps for future in [pool.submit(measure) for measure in measurements]]


def test_port_ceilings_out_and_in_hold_for_tcp_and_udp(shared_fabric: Fabric, red: dict[str, Host]) -> None:
    """10 Mbit/s out of one port, 20 into another, each met within 10 %; taken away, both are gone."""
    a, b, c, d = (red[name] for name in "abcd")
    limit(shared_fabric, "a", ceiling_out_kbps=SLOW)
    limit(shared_fabric, "d", ceiling_in_kbps=FAST)
    out, into = at_once(
        lambda: a.tcp_rate_to(c, duration_s=4), lambda: b.udp_rate_to(d, offered_kbps=2 * FAST, duration_s=4))
    print(f"TCP out {out / 1000:.2f} of 10 Mbit/s, UDP in {into / 1000:.2f} of 20 Mbit/s")
    assert out == pytest.approx(SLOW * TCP_PAYLOAD, rel=0.1)
    assert into == pytest.approx(FAST * UDP_PAYLOAD, rel=0.1)
    out, into = at_once(
        lambda: a.udp_rate_to(c, offered_kbps=2 * SLOW, duration_s=4), lambda: b.tcp_rate_to(d, duration_s=4))
    print(f"UDP out {out / 1000:.2f} of 10 Mbit/s, TCP in {into / 1000:.2f} of 20 Mbit/s")
    assert out == pytest.approx(SLOW * UDP_PAYLOAD, rel=0.1)
    assert into == pytest.approx(FAST * TCP_PAYLOAD, rel=0.1)
    # The other direction of either has no ceiling, and without a policy there is none at all.
    assert at_once(lambda: c.udp_rate_to(a, offered_kbps=30_000, duration_s=3))[0] > 25_000
    for name in "ad":
        assert not limit(shared_fabric, name).bandwidth.ceiling_out_kbps
    assert at_once(lambda: a.udp_rate_to(d, offered_kbps=40_000, duration_s=3))[0] > 35_000


def test_tenant_ceiling_is_shared_by_its_ports_on_an_edge(shared_fabric: Fabric, red: dict[str, Host]) -> None:
    """Two ports on one leaf send, and receive, 10 Mbit/s together, for the tenant's ports on other leaves are silent.
    """
    a, b, c, d = (red[name] for name in "abcd")
    tenant = limit_tenant(shared_fabric, ceiling_out_kbps=SLOW)
    assert list(tenant.conditions) == []
    a.udp_rate_to(c, offered_kbps=SLOW, duration_s=3)  # the leaf comes to have nearly all of it
    one, two = at_once(
        lambda: a.udp_rate_to(c, offered_kbps=SLOW, duration_s=4),
        lambda: b.udp_rate_to(d, offered_kbps=SLOW, duration_s=4))
    print(f"two ports under a tenant's 10 Mbit/s: {one / 1000:.2f} and {two / 1000:.2f} Mbit/s")
    assert one + two == pytest.approx(SLOW * UDP_PAYLOAD, rel=0.1)
    limit_tenant(shared_fabric, ceiling_in_kbps=SLOW)
    c.udp_rate_to(a, offered_kbps=SLOW, duration_s=3)
    one, two = at_once(
        lambda: c.udp_rate_to(a, offered_kbps=SLOW, duration_s=4),
        lambda: d.udp_rate_to(b, offered_kbps=SLOW, duration_s=4))
    assert one + two == pytest.approx(SLOW * UDP_PAYLOAD, rel=0.1)
    limit_tenant(shared_fabric)


def test_ceiling_changes_live_and_loses_nothing_below_it(shared_fabric: Fabric, red: dict[str, Host]) -> None:
    """10, then 20 Mbit/s, then none, while packets far below go on: none of them is lost, and the rate follows."""
    a, c = red["a"], red["c"]
    limit(shared_fabric, "a", ceiling_out_kbps=SLOW)
    with a.probe(c, packets_per_s=200) as thin:
        start_s = time.monotonic()
        for i in range(20):
            limit(shared_fabric, "a", ceiling_out_kbps=(FAST, SLOW, 0)[i % 3])
            wait_until(start_s + 0.05 * (i + 1))
        thin_stream = thin.finish()
    assert thin_stream.sent > 150
    assert (thin_stream.lost, thin_stream.duplicates) == (0, 0)

    limit(shared_fabric, "a", ceiling_out_kbps=SLOW)
    with a.probe(c, packets_per_s=2_600, size_bytes=1400) as heavy:
        # The bucket is empty after a second, and full of the new rate's burst right after the change.
        start_s = time.monotonic()
        wait_until(start_s + 3.0)
        limit(shared_fabric, "a", ceiling_out_kbps=FAST)
        changed_s = time.monotonic()
        wait_until(changed_s + 3.0)
        stream = heavy.finish()
    before = stream.rate_kbps(since_s=start_s + 1.0, until_s=start_s + 3.0)
    after = stream.rate_kbps(since_s=changed_s + 1.0, until_s=changed_s + 3.0)
    print(f"ceiling 10 -> 20 Mbit/s live: {before / 1000:.2f} -> {after / 1000:.2f} Mbit/s")
    assert before == pytest.approx(SLOW * UDP_PAYLOAD, rel=0.1)
    assert after == pytest.approx(FAST * UDP_PAYLOAD, rel=0.1)
    limit(shared_fabric, "a")


def wait_until(monotonic_s: float) -> None:
    """Let a measurement take its time."""
    time.sleep(max(0.0, monotonic_s - time.monotonic()))
