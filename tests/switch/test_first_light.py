"""The whole controller on real Open vSwitch: packets flow inside a network and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pliant.v1 import network_pb2, tenant_pb2

from tests.support.eventually import eventually
from tests.support.pliantd import CONTROLLER, Pliantd
from tests.support.rig import Rig

LEAVES, SPINES = (1, 2, 3), (11, 12)


@pytest.fixture
def fabric(ovs: Rig) -> Iterator[Pliantd]:
    """Two spines, three leaves, and pliantd that knows all their links."""
    for number in (*SPINES, *LEAVES):
        ovs.add_bridge(f"s{number}", number, CONTROLLER)
    for leaf in LEAVES:
        for i, spine in enumerate(SPINES):
            ovs.add_link(f"s{leaf}", 101 + i, f"s{spine}", leaf)
    with Pliantd(ovs) as pliantd:
        pliantd.wait_for_links(2 * len(LEAVES) * len(SPINES))
        yield pliantd


def _network(pliantd: Pliantd, tenant: str) -> str:
    pliantd.client.apply([
        tenant_pb2.Tenant(name=f"tenants/{tenant}"),
        network_pb2.Network(name=f"tenants/{tenant}/networks/n"),
        network_pb2.Subnet(name=f"tenants/{tenant}/networks/n/subnets/s", ipv4_cidr="10.0.0.0/24"),
    ])
    return f"tenants/{tenant}/networks/n"


def _port(network: str, name: str, switch: int, port_no: int, mac: str, ip: str) -> network_pb2.Port:
    return network_pb2.Port(
        name=f"{network}/ports/{name}", subnet=f"{network}/subnets/s", mac_address=mac, addresses=[ip],
        attachment=network_pb2.Attachment(switch=f"{switch:016x}", port_number=port_no))


def test_two_tenants_with_equal_addresses_reach_only_themselves(fabric: Pliantd) -> None:
    """Across leaves and on one leaf, hosts of a network reach each other and its gateway; nobody reaches the other tenant."""
    rig = fabric.rig
    hosts = {}
    for t, tenant in enumerate(("red", "blue")):
        network = _network(fabric, tenant)
        ports = []
        for i, leaf in enumerate(LEAVES):
            mac, ip = f"02:00:00:00:00:{i + 1:02x}", f"10.0.0.{i + 11}"
            name = f"{tenant[0]}{i + 1}"
            hosts[name] = rig.add_host(name, f"s{leaf}", 1 + t, mac=mac, ip=f"{ip}/24")
            ports.append(_port(network, name, leaf, 1 + t, mac, ip))
        created = fabric.client.ports.batch_create(network, ports, wait=True)
        assert [p.state for p in created] == [created[0].state] * 3
    for tenant in "rb":
        for a, b in ((1, 2), (1, 3), (2, 3)):
            assert hosts[f"{tenant}{a}"].ping(hosts[f"{tenant}{b}"]).lost == 0
        assert hosts[f"{tenant}1"].ping("10.0.0.1").lost == 0


def test_restart_under_traffic_loses_nothing_and_writes_nothing(fabric: Pliantd) -> None:
    """pliantd killed and started again while 1,000 packets per second flow: none is lost, and no flow is written."""
    rig = fabric.rig
    network = _network(fabric, "red")
    macs = ("02:00:00:00:00:01", "02:00:00:00:00:02")
    a = rig.add_host("a", "s1", 1, mac=macs[0], ip="10.0.0.11/24")
    b = rig.add_host("b", "s3", 1, mac=macs[1], ip="10.0.0.12/24")
    fabric.client.ports.batch_create(
        network, [_port(network, "a", 1, 1, macs[0], "10.0.0.11"), _port(network, "b", 3, 1, macs[1], "10.0.0.12")], wait=True)
    assert a.ping(b).lost == 0
    before = {f"s{n}": rig.flows(f"s{n}") for n in (*SPINES, *LEAVES)}
    probe = a.probe(b, packets_per_s=1000)
    fabric.kill()
    fabric.start()

    def in_sync() -> bool:
        info = fabric.client.server_info()
        assert info.switches_in_sync == len(SPINES) + len(LEAVES), info
        return True

    eventually(in_sync, timeout_s=20, what="all switches in sync")
    result = probe.finish()
    assert result.lost == 0, result
    assert {name: rig.flows(name) for name in before} == before
