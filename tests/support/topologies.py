"""The fabric that discovery would find of a topology, without starting anything.

    fabric = fabric_of(FatTree(k=4))       switches, ports (numbers as Mininet assigns them), links in both directions
    graph = fabric.graph()                 the same as a networkx graph

Knows Mininet's Topo and the events of the fabric.
"""

from __future__ import annotations

from functools import reduce

from mininet.topo import Topo

from controller.fabric.declared import LinkSettings
from controller.fabric.graph import (
    EndPoint,
    Event,
    Fabric,
    LinkDeclared,
    LinkSeen,
    SwitchConnected,
    SwitchFeatures,
    SwitchPort,
)

_FEATURES = SwitchFeatures(max_meters=262_144, meter_pktps=True, max_groups=65_280)
_VETH_SPEED_KBPS = 10_000_000
"""what Open vSwitch says of Mininet's wires; a wire with a capacity is declared, as apps/lab does"""


def fabric_of(topo: Topo) -> Fabric:
    """Every switch connected, every link between switches seen, every capacity declared."""
    return reduce(lambda fabric, event: fabric.apply(event)[0], events_of(topo), Fabric())


def events_of(topo: Topo) -> list[Event]:
    """What discovery would report, in an order in which it might."""
    dpids = {name: dpid_of(topo, name) for name in topo.switches()}
    ports: dict[str, list[SwitchPort]] = {name: [] for name in dpids}
    links: list[Event] = []
    for _, _, info in topo.links(withInfo=True):
        ends = [(info["node1"], info["port1"]), (info["node2"], info["port2"])]
        for name, port_no in ends:
            if name in dpids:
                ports[name].append(_port(name, dpids[name], port_no))
        if all(name in dpids for name, _ in ends):
            one, other = (EndPoint(dpids[name], port_no) for name, port_no in ends)
            links += [LinkSeen(src=one, dst=other), LinkSeen(src=other, dst=one)]
            if capacity_mbps := info.get("capacity_mbps"):
                kbps = round(capacity_mbps * 1000)
                links += [LinkDeclared(src=end, settings=LinkSettings(capacity_kbps=kbps)) for end in (one, other)]
    connected = [
        SwitchConnected(dpid=dpid, features=_FEATURES, ports=tuple(sorted(ports[name], key=lambda port: port.port_no)))
        for name, dpid in dpids.items()
    ]
    return [*connected, *links]


def dpid_of(topo: Topo, switch: str) -> int:
    return int(topo.nodeInfo(switch)["dpid"], 16)


def host_ports(topo: Topo) -> dict[str, EndPoint]:
    """Host -> the switch port that it hangs on."""
    return {
        host: EndPoint(dpid_of(topo, switch), port_no)
        for host in topo.hosts()
        for switch, port_no in topo.ports[host].values()
    }


def _port(switch: str, dpid: int, port_no: int) -> SwitchPort:
    mac = f"02:00:{dpid >> 8 & 255:02x}:{dpid & 255:02x}:{port_no >> 8:02x}:{port_no & 255:02x}"
    return SwitchPort(port_no=port_no, name=f"{switch}-eth{port_no}", mac=mac, up=True, speed_kbps=_VETH_SPEED_KBPS)
