"""pliantd killed and started again: the switches do not notice, and nothing acknowledged is lost."""

from __future__ import annotations

import threading

import pliant
import pytest

from tests.support.eventually import eventually
from tests.support.fabric import ACTIVE, Fabric, age_s, leaf_spine
from tests.support.rig import Host, Rig


def two_hosts(fabric: Fabric) -> tuple[str, Host, Host]:
    """red's network, and hosts a and b of it on leaves 1 and 3."""
    network = fabric.create_network("red")
    a, b = fabric.add_host("a", 1, 1, 11), fabric.add_host("b", 3, 1, 12)
    fabric.create_ports(network, (a, b))
    assert a.ping(b).lost == 0
    return network, a, b


def test_restart_under_traffic_loses_nothing_and_writes_nothing(fabric: Fabric) -> None:
    """Killed and started twice while 1,000 packets per second flow: none is lost.

    No flow, group or meter is written: each is as it was, only older.
    """
    rig = fabric.rig
    _, a, b = two_hosts(fabric)
    before, groups = fabric.flows(), fabric.groups()
    ages = {name: min(age_s(rig.ofctl("dump-flows", name))) for name in fabric.switches}
    with a.probe(b, packets_per_s=1000) as probe:
        for _ in range(2):
            fabric.pliantd.kill()
            fabric.pliantd.start()
            fabric.wait_in_sync()
        result = probe.finish()
    assert result.sent > 1_000
    assert (result.lost, result.duplicates) == (0, 0), result
    assert fabric.flows() == before
    assert fabric.groups() == groups
    # An ADD over an equal flow would change nothing but its age and counters.
    for name, age in ages.items():
        assert min(age_s(rig.ofctl("dump-flows", name))) > age + 1.0
    assert "drift_found" not in fabric.pliantd.log()


def test_kill_amid_a_burst_of_calls_keeps_every_acknowledged_port(fabric: Fabric) -> None:
    """Four clients create ports as fast as they can when pliantd is killed: each that was told yes has its port."""
    network, a, b = two_hosts(fabric)
    acknowledged: list[str] = []
    clients = [pliant.Client(f"unix:{fabric.pliantd.socket}", token="", timeout_s=0.5) for _ in range(4)]

    def create(worker: int, client: pliant.Client) -> None:
        for number in range(1_000):
            name = f"{network}/ports/w{worker}-{number}"
            try:
                client.ports.create(pliant.v1.network_pb2.Port(name=name, subnet=f"{network}/subnets/s"))
            except pliant.ApiError:
                return
            acknowledged.append(name)

    workers = [threading.Thread(target=create, args=(n, client)) for n, client in enumerate(clients)]
    for worker in workers:
        worker.start()
    eventually(lambda: len(acknowledged) > 60, what="60 acknowledged ports")
    fabric.pliantd.kill()
    for worker in workers:
        worker.join(10)
    for client in clients:
        client.close()
    fabric.pliantd.start()
    fabric.wait_in_sync()
    present = {port.name: port for port in fabric.client.ports.list(network)}
    assert set(acknowledged) <= set(present)
    assert len({port.mac_address for port in present.values()}) == len(present)
    assert len({address for port in present.values() for address in port.addresses}) == len(present)
    assert a.ping(b).lost == 0


def test_kill_amid_changes_of_attached_ports_converges(fabric: Fabric) -> None:
    """Killed while ports of real hosts come and go: after the start each host that has a port reaches the others."""
    network, a, b = two_hosts(fabric)
    hosts = [fabric.add_host(f"h{i}", 1 + i % 3, 10 + i, 20 + i) for i in range(6)]
    for round_no in range(2):
        # No waiting: whatever the switches have of this when the kill comes, they have.
        for host in hosts[:3] if round_no else hosts:
            if round_no:
                fabric.client.ports.delete(f"{network}/ports/{host.name}")
            else:
                fabric.client.ports.create(fabric.port(network, host))
        fabric.pliantd.kill()
        fabric.pliantd.start()
        fabric.wait_in_sync()
    eventually(lambda: {port.state for port in fabric.client.ports.list(network)} == {ACTIVE}, what="all active")
    for host in hosts[3:]:
        assert a.ping(host, count=2).lost == 0
    for host in hosts[:3]:
        assert a.ping(host, count=2).received == 0
    assert b.ping(hosts[3]).lost == 0


@pytest.mark.ovs
def test_start_with_switches_away_keeps_what_they_hold() -> None:
    """pliantd starts while one leaf cannot be reached: the leaf goes on forwarding, and its return writes nothing."""
    with Rig() as rig, leaf_spine(rig, relayed=[3]) as fabric:
        _, a, b = two_hosts(fabric)
        before = fabric.flows()
        with a.probe(b, packets_per_s=1000) as probe:
            fabric.relays[3].cut()
            fabric.pliantd.kill()
            fabric.pliantd.start()
            eventually(lambda: fabric.client.server_info().switches_connected == 4, 15, "four switches connected")
            assert not fabric.client.switches.get(f"switches/{3:016x}").connected
            fabric.relays[3].restore()
            fabric.wait_in_sync(timeout_s=30)
            result = probe.finish()
        assert (result.lost, result.duplicates) == (0, 0), result
        assert fabric.flows() == before
