"""What one more port costs does not depend on how many there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from controller.intent.snapshot import Resource
from controller.model.bandwidth import BandwidthPolicy
from controller.model.network import Attachment, Network, Port, Subnet
from controller.model.tenancy import Quota, Tenant
from controller.pipeline.world import FragmentKey
from controller.reconcile import engine as engine_module
from tests.sequences.simulation import Simulation
from tests.sequences.states import port_name, tenant

SPINE, EDGES = 1, range(11, 21)
SWITCH_PORTS = range(1, 600)
LAST_PLACE = 5_600
BATCH = 1_000


@dataclass
class Cost:
    fragments: int
    frames: int


def ports(network: str, first: int, places: range) -> list[Resource]:
    """Ports, numbered from `first` in their network, at these places; places go round the edges."""
    return [
        Port(
            name=f"{network}/ports/p{i}", subnet=f"{network}/subnets/sub",
            mac=f"02:00:00:00:{i >> 8:02x}:{i & 255:02x}",
            addresses=(IPv4Address(0x0A000100 + i),),
            attachment=Attachment(dpid=EDGES[at % len(EDGES)], port_no=12 + at // len(EDGES)),
        )
        for i, at in enumerate(places, start=first)
    ]


def network_name(i: int) -> str:
    return f"tenants/t{i % 10}/networks/n{i}"


def networks(n: int) -> list[Resource]:
    """In ten tenants, or fewer."""
    quota = Quota(networks=n, ports=10_000)
    objects: list[Resource] = [Tenant(name=f"tenants/t{i}", quota=quota) for i in range(min(n, 10))]
    for i in range(n):
        name = network_name(i)
        objects += [Network(name=name), Subnet(name=f"{name}/subnets/sub", ipv4_cidr=IPv4Network("10.0.0.0/16"))]
    return objects


def cost_of_one_more(monkeypatch: pytest.MonkeyPatch, *, n_networks: int, n_ports: int) -> Cost:
    """Of a port in network n0, of `n_networks` with `n_ports` each, everything confirmed before and after."""
    sim = Simulation(spines=(SPINE,), leaves=EDGES, ports=SWITCH_PORTS)
    objects = networks(n_networks)
    for i in range(n_networks):
        # The first network is on every edge; each of the others on one.
        row, edge = divmod(i - 1, len(EDGES))
        start = (row + 1) * n_ports * len(EDGES) + edge
        spread = range(n_ports) if i == 0 else range(start, start + n_ports * len(EDGES), len(EDGES))
        objects += ports(network_name(i), 0, spread)
    for start in range(0, len(objects), BATCH):
        sim.apply(objects[start : start + BATCH])
    sim.reconcile()
    # The switches take it at once: what they hold is not the question here.
    for dpid in sim.switches:
        sim.switches[dpid].apply = lambda frames: None  # type: ignore[method-assign]
    sim.settle()
    compiled: list[FragmentKey] = []
    compile_fragment = engine_module.compile_fragment
    monkeypatch.setattr(
        engine_module, "compile_fragment", lambda world, key: (compiled.append(key), compile_fragment(world, key))[1])
    sim.frames = 0
    sim.apply(ports(network_name(0), n_ports, range(LAST_PLACE, LAST_PLACE + 1)))
    sim.settle()
    monkeypatch.undo()
    assert sim.reconciler.view.floor == sim.intent.generation
    return Cost(len(compiled), sim.frames)


def test_one_more_port_costs_the_same_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fragments compiled and frames sent: equal in a network of 10, of 5,000, and beside 500 networks of 10."""
    small = cost_of_one_more(monkeypatch, n_networks=1, n_ports=10)
    large = cost_of_one_more(monkeypatch, n_networks=1, n_ports=5_000)
    many = cost_of_one_more(monkeypatch, n_networks=500, n_ports=10)
    assert small == large == many


def test_policy_of_a_port_costs_its_meters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of its network and nothing of its peers is compiled again."""
    sim = Simulation()
    sim.apply(tenant("red", {"a": (11, 3), "b": (12, 3), "c": (13, 3)}).values())
    sim.settle()
    compiled: list[FragmentKey] = []
    compile_fragment = engine_module.compile_fragment
    monkeypatch.setattr(
        engine_module, "compile_fragment", lambda world, key: (compiled.append(key), compile_fragment(world, key))[1])
    name = port_name("red", "a")
    sim.apply([replace(sim.intent.ports[name], bandwidth=BandwidthPolicy(ceiling_out_kbps=5_000))])
    sim.settle()
    assert compiled == [FragmentKey("port", 11, (name,))]
    assert [meter.rate for meter in sim.switches[11].meters.values() if meter.unit == "kbps"] == [5_000]
