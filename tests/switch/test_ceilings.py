"""Ceilings of ports and tenants on real switches, measured at the receiver."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from pliant.v1 import network_pb2, tenant_pb2
from pliant.v1.common_pb2 import BandwidthOverride, BandwidthWindow
from pliant.v1.network_pb2 import Network
from pliant.v1.pipe_pb2 import Pipe

from apps.lab.measure import Rate
from tests.support.fabric import ACTIVE, Fabric, Policy
from tests.support.rig import Host

UDP_PAYLOAD = 1400 / 1442
TCP_PAYLOAD = 1448 / 1514
"""What remains of the frames that a meter counts."""
SLOW, FAST = 10_000, 20_000
NEARLY = 0.6
"""Of a ceiling over several edges one has a little less than all, and a moment ago it had a part of it."""


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
    """Two ports on one leaf send, and receive, nearly 10 Mbit/s together: the tenant's ports elsewhere are silent."""
    a, b, c, d = (red[name] for name in "abcd")
    tenant = limit_tenant(shared_fabric, ceiling_out_kbps=SLOW)
    assert list(tenant.conditions) == []
    a.udp_rate_to(c, offered_kbps=SLOW, duration_s=3)  # the leaf comes to have nearly all of it
    one, two = at_once(
        lambda: a.udp_rate_to(c, offered_kbps=SLOW, duration_s=4),
        lambda: b.udp_rate_to(d, offered_kbps=SLOW, duration_s=4))
    print(f"two ports under a tenant's 10 Mbit/s: {one / 1000:.2f} and {two / 1000:.2f} Mbit/s")
    assert NEARLY * SLOW * UDP_PAYLOAD <= one + two <= 1.1 * SLOW * UDP_PAYLOAD
    limit_tenant(shared_fabric, ceiling_in_kbps=SLOW)
    c.udp_rate_to(a, offered_kbps=SLOW, duration_s=3)
    one, two = at_once(
        lambda: c.udp_rate_to(a, offered_kbps=SLOW, duration_s=4),
        lambda: d.udp_rate_to(b, offered_kbps=SLOW, duration_s=4))
    assert NEARLY * SLOW * UDP_PAYLOAD <= one + two <= 1.1 * SLOW * UDP_PAYLOAD
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


def test_ceilings_of_a_network_and_of_pipes(shared_fabric: Fabric, red: dict[str, Host]) -> None:
    """A network's over two ports of an edge; a pipe's in the direction it is for, near and far, of no other pair."""
    a, b, c, d = (red[name] for name in "abcd")
    client, name = shared_fabric.client, "tenants/red/networks/n"
    client.networks.update(Network(name=name, bandwidth=Policy(ceiling_out_kbps=SLOW)), ["bandwidth"], wait=True)
    one, two = at_once(
        lambda: a.udp_rate_to(c, offered_kbps=SLOW, duration_s=4),
        lambda: b.udp_rate_to(d, offered_kbps=SLOW, duration_s=4))
    print(f"two ports under a network's 10 Mbit/s: {one / 1000:.2f} and {two / 1000:.2f} Mbit/s")
    assert NEARLY * SLOW * UDP_PAYLOAD <= one + two <= 1.1 * SLOW * UDP_PAYLOAD
    client.networks.update(Network(name=name), ["bandwidth"], wait=True)

    far = Pipe(name="tenants/red/pipes/far", a=f"{name}/ports/a", b=f"{name}/ports/c",
               bandwidth=Policy(ceiling_out_kbps=SLOW))
    near = Pipe(name="tenants/red/pipes/near", a=f"{name}/ports/a", b=f"{name}/ports/b",
                bandwidth=Policy(ceiling_in_kbps=SLOW))
    for pipe in (far, near):
        assert client.pipes.create(pipe, wait=True).state == ACTIVE
    out, into = at_once(
        lambda: a.udp_rate_to(c, offered_kbps=2 * SLOW, duration_s=4),
        lambda: b.udp_rate_to(a, offered_kbps=2 * SLOW, duration_s=4))
    print(f"pipes of 10 Mbit/s, to another edge and on the same: {out / 1000:.2f} and {into / 1000:.2f} Mbit/s")
    assert out == pytest.approx(SLOW * UDP_PAYLOAD, rel=0.1)
    assert into == pytest.approx(SLOW * UDP_PAYLOAD, rel=0.1)
    back, others = at_once(
        lambda: c.udp_rate_to(a, offered_kbps=2 * SLOW, duration_s=2),
        lambda: b.udp_rate_to(d, offered_kbps=2 * SLOW, duration_s=2))
    assert back > 1.5 * SLOW and others > 1.5 * SLOW
    for pipe in (far, near):
        client.pipes.delete(pipe.name, wait=True)


def test_schedule_changes_a_ceiling_on_time_and_a_neighbour_loses_nothing(
    shared_fabric: Fabric, red: dict[str, Host],
) -> None:
    """20 Mbit/s, for some seconds 10, and 20 again, though nobody asks for anything meanwhile.

    The neighbour is of another tenant that has the same addresses.
    """
    a, c = red["a"], red["c"]
    blue = shared_fabric.create_network("blue")
    twins = [shared_fabric.add_host(f"{host.name}-twin", int(host.bridge[1:]), 7, int(host.ip.rpartition(".")[2]))
             for host in (a, c)]
    shared_fabric.create_ports(blue, twins)
    begins_s = time.time() + 4.0
    window = BandwidthWindow(override=BandwidthOverride(ceiling_out_kbps=SLOW))
    window.interval.start_time.FromNanoseconds(int(begins_s * 1e9))
    window.interval.end_time.FromNanoseconds(int((begins_s + 4.0) * 1e9))
    port = network_pb2.Port(name="tenants/red/networks/n/ports/a",
                            bandwidth=Policy(ceiling_out_kbps=FAST, schedule=[window]))
    shared_fabric.client.ports.update(port, ["bandwidth"], wait=True)
    with a.probe(c, packets_per_s=2_600, size_bytes=1400) as heavy, twins[0].probe(twins[1]) as thin:
        starts_s = time.monotonic()
        opens_s = starts_s + begins_s - time.time()
        wait_until(opens_s + 7.0)
        stream, neighbour = heavy.finish(), thin.finish()
    before, inside, after = (
        stream.rate_kbps(since_s=max(starts_s + 0.5, opens_s + since_s), until_s=opens_s + until_s)
        for since_s, until_s in ((-2.0, -0.2), (0.8, 3.8), (4.8, 6.8)))
    print(f"window of a schedule: {before / 1000:.2f} -> {inside / 1000:.2f} -> {after / 1000:.2f} Mbit/s; "
          f"neighbour lost {neighbour.lost} of {neighbour.sent}")
    assert before == pytest.approx(FAST * UDP_PAYLOAD, rel=0.15)
    assert inside == pytest.approx(SLOW * UDP_PAYLOAD, rel=0.1)
    assert after == pytest.approx(FAST * UDP_PAYLOAD, rel=0.15)
    assert neighbour.sent > 5_000
    assert (neighbour.lost, neighbour.duplicates) == (0, 0)
    limit(shared_fabric, "a")


def wait_until(monotonic_s: float) -> None:
    """Let a measurement take its time."""
    time.sleep(max(0.0, monotonic_s - time.monotonic()))
