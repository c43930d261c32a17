"""The whole controller on real Open vSwitch: packets flow inside a network and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pliant.v1 import network_pb2, tenant_pb2

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
