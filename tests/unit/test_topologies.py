"""The shape of every topology, as a graph: nothing is started here."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import networkx as nx
import pytest
from mininet.topo import Topo

from tests.support.topologies import dpid_of, fabric_of, host_ports
from topologies.dumbbell import Dumbbell
from topologies.fat_tree import FatTree
from topologies.leaf_spine import LeafSpine
from topologies.linear import Linear
from topologies.ring import Ring
from topologies.single import Single
from topologies.wan import Wan

SHAPES = [  # topology, switches, hosts, wires between switches
    (Single(hosts=3), 1, 3, 0),
    (Linear(switches=3, hosts=2), 3, 6, 2),
    (LeafSpine(), 5, 6, 6),
    (FatTree(k=2), 5, 2, 4),
    (FatTree(), 20, 16, 32),
    (FatTree(k=8, hosts=1), 80, 32, 256),
    (Ring(), 4, 4, 4),
    (Ring(switches=3, hosts=84), 3, 252, 3),
    (Dumbbell(), 2, 4, 1),
    (Dumbbell(hosts=127, mbps=10), 2, 254, 1),
    (Wan(), 12, 12, 19),
    (Wan(name="Abilene", hosts=3), 11, 33, 14),
    (Wan(name="sndlib/abilene"), 12, 12, 15),
    (Wan(name="polska"), 12, 12, 18),
    (Wan(name="geant2012"), 37, 37, 58),
    (Wan(name="brain", hosts=2), 161, 322, 166),
]
each_topology = pytest.mark.parametrize(("topo", "switches", "hosts", "wires"), SHAPES)
FAILURE_PROOF = [LeafSpine(), FatTree(), Ring(), Wan(), Wan(name="abilene"), Wan(name="polska")]


@each_topology
def test_topology_has_the_documented_size(topo: Topo, switches: int, hosts: int, wires: int) -> None:
    """So many switches, hosts and wires between switches; every host on one wire; all of it one network."""
    fabric = fabric_of(topo)
    assert (len(fabric.switches), len(topo.hosts()), len(fabric.links)) == (switches, hosts, 2 * wires)
    assert len(topo.links()) == hosts + wires
    assert nx.is_strongly_connected(fabric.graph())


@each_topology
def test_topology_names_fit_and_numbers_are_unique(topo: Topo, switches: int, hosts: int, wires: int) -> None:
    """Linux takes names of 15 characters; dpids, MACs and addresses are explicit and occur once."""
    nodes = [topo.nodeInfo(name) for name in topo.nodes()]
    for _, _, info in topo.links(withInfo=True):
        for name, port in ((info["node1"], info["port1"]), (info["node2"], info["port2"])):
            assert len(f"{name}-eth{port}") <= 15
    for key, count in (("dpid", switches), ("mac", hosts), ("ip", hosts)):
        values = Counter(info[key] for info in nodes if key in info)
        assert len(values) == sum(values.values()) == count
    assert len({info["ip"].partition("/")[2] for info in nodes if "ip" in info}) == 1


@each_topology
def test_topology_numbers_the_ports_of_a_switch_from_one(topo: Topo, switches: int, hosts: int, wires: int) -> None:
    """Ports are explicit and each has one wire; only the ends of a row (Linear) leave a number out."""
    ends = Counter(
        end
        for _, _, info in topo.links(withInfo=True)
        for end in ((info["node1"], info["port1"]), (info["node2"], info["port2"]))
    )
    assert set(ends.values()) == {1}
    for name in () if isinstance(topo, Linear) else topo.switches():
        numbers = sorted(port for node, port in ends if node == name)
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("topo", FAILURE_PROOF, ids=lambda topo: type(topo).__name__)
def test_topology_survives_every_single_wire_failure(topo: Topo) -> None:
    """These are the fabrics whose failover is promised: no wire is the only way to anywhere."""
    graph = fabric_of(topo).graph().to_undirected()
    assert nx.edge_connectivity(graph) >= 2


def test_fat_tree_has_full_bisection_and_equal_paths() -> None:
    """k=4: every switch has k ports in use, pods do not touch, and 4 shortest paths join edges of different pods."""
    topo = FatTree()
    graph = fabric_of(topo).graph()
    used = Counter(node for _, _, info in topo.links(withInfo=True) for node in (info["node1"], info["node2"]))
    assert {used[name] for name in topo.switches()} == {4}
    edge1, edge2, edge8 = 0x3001, 0x3002, 0x3008
    assert len(list(nx.all_shortest_paths(graph, edge1, edge8))) == 4
    assert len(list(nx.all_shortest_paths(graph, edge1, edge2))) == 2
    assert nx.diameter(graph) == 4
    assert [len(path) for path in nx.all_shortest_paths(graph, edge1, edge8)] == [5] * 4


def test_fat_tree_grows_to_the_sizes_of_the_benches() -> None:
    """k=24: 720 switches and 3,456 hosts, whose addresses then need a /16."""
    topo = FatTree(k=24)
    assert (len(topo.switches()), len(topo.hosts())) == (720, 3456)
    assert topo.nodeInfo("h3456")["ip"] == "10.0.13.128/16"
    assert FatTree(k=8, hosts=1).nodeInfo("h1")["ip"] == "10.0.0.1/24"


def test_ring_leads_to_the_right_by_port_two() -> None:
    """Following port 2 visits every switch once and comes back."""
    fabric = fabric_of(Ring(switches=5))
    right = {src.dpid: link.dst for src, link in fabric.links.items() if src.port_no == 2}
    assert {dpid: end.dpid for dpid, end in right.items()} == {1: 2, 2: 3, 3: 4, 4: 5, 5: 1}
    assert {end.port_no for end in right.values()} == {1}


def test_host_ports_are_where_mininet_plugs_hosts_in() -> None:
    """The third host of a fat-tree hangs on the first host port of the second edge switch."""
    assert host_ports(FatTree())["h3"] == (0x3002, 3)
    assert host_ports(Dumbbell())["h4"] == (2, 3)


def test_wan_b4_links_are_all_alike() -> None:
    """Capacities of B4 are not published: every link carries the rate that was asked for."""
    fabric = fabric_of(Wan(mbps=50))
    assert {link.capacity_kbps for link in fabric.links.values()} == {50_000}


def test_wan_scales_capacities_to_the_widest_link() -> None:
    """Abilene had one link of a quarter of the rate of the others: 5 Mbit/s beside 20, and never below 1."""
    fabric = fabric_of(Wan(name="abilene"))
    assert sorted(Counter(link.capacity_kbps for link in fabric.links.values()).items()) == [(5_000, 2), (20_000, 26)]
    slow = fabric_of(Wan(name="abilene", mbps=2))
    assert {link.capacity_kbps for link in slow.links.values()} == {1_000, 2_000}


def test_wan_names_its_sites() -> None:
    """Switches are numbered; what the site is called is with them."""
    topo = Wan(name="abilene")
    assert topo.nodeInfo("s1")["site"] == "Seattle"
    assert len({topo.nodeInfo(name)["site"] for name in topo.switches()}) == 11


@pytest.mark.parametrize(
    ("topo", "bw", "capacity_mbps"),
    [
        (Dumbbell(mbps=10), 10, 10),
        (Dumbbell(mbps=10, shape=0), None, 10),
        (Dumbbell(), None, None),
    ],
)
def test_wire_rate_can_be_left_to_the_controller(topo: Topo, bw: int | None, capacity_mbps: int | None) -> None:
    """shape=0 notes the capacity, and Mininet makes no queue for it; without mbps there is neither."""
    info = topo.linkInfo("left", "right")
    assert (info.get("bw"), info.get("capacity_mbps")) == (bw, capacity_mbps)
    assert dpid_of(topo, "right") == 2


@pytest.mark.parametrize(
    ("build", "arguments", "says"),
    [
        (FatTree, {"k": 5}, "k=5: must be even"),
        (FatTree, {"k": 34}, "k=34: must be a whole number from 2 to 32"),
        (FatTree, {"k": 4, "hosts": 3}, "hosts=3: must be a whole number from 1 to 2"),
        (Ring, {"switches": 2}, "switches=2: must be a whole number from 3 to 254"),
        (Dumbbell, {"mbps": 1.5}, "mbps=1.5: must be a whole number from 0 to 1000"),
        (Dumbbell, {"mbps": 2000}, "mbps=2000: must be a whole number from 0 to 1000"),
        (Dumbbell, {"shape": 2}, "shape=2: must be a whole number from 0 to 1"),
        (Wan, {"hosts": 0}, "hosts=0: must be a whole number from 1 to 100"),
        (Wan, {"name": "polsca"}, "name=polsca: no such network; there is polska"),
        (Wan, {"name": "../x"}, "name=../x: no such network"),
        (Wan, {"name": 7}, "name=7: no such network"),
    ],
)
def test_topology_refuses_senseless_parameters_by_name(
    build: Callable[..., Topo], arguments: Mapping[str, object], says: str
) -> None:
    """A wrong parameter is named, with what it may be."""
    with pytest.raises(ValueError, match=f"^{says}"):
        build(**arguments)


def test_wan_without_topohub_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain mn runs under a Python that lacks it: the built-in networks work, and others say what to do."""

    def without_topohub(name: str, *rest: Any, real: Callable[..., Any] = builtins.__import__) -> Any:
        if name == "topohub":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_topohub)
    assert len(Wan(name="abilene").switches()) == 11
    with pytest.raises(ValueError, match=r"pip install --target DIR topohub"):
        Wan(name="polska")


def test_topology_of_every_real_network_is_sound() -> None:
    """All networks that topohub has from SNDlib and the Topology Zoo become topologies with short names, connected."""
    import importlib.resources

    import topohub

    data = importlib.resources.files(topohub) / "data"
    names: Sequence[str] = sorted(
        f"{group}/{file.name.removesuffix('.json')}"
        for group in ("sndlib", "topozoo")
        for file in (data / group).iterdir()
        if file.name.endswith(".json")
    )
    assert len(names) > 200
    for name in names:
        topo = Wan(name=name)
        assert nx.is_connected(nx.Graph(topo.links())), name
        widest = max(max(topo.ports[switch]) for switch in topo.switches())
        assert len(f"s{len(topo.switches())}-eth{widest}") <= 15, name
