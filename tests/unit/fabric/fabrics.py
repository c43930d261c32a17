"""Builds fabrics for the tests of this folder: by events only, as the real one is built."""

from __future__ import annotations

from collections.abc import Iterable

from controller.fabric.graph import (
    Change,
    EndPoint,
    Event,
    Fabric,
    LinkSeen,
    PortRole,
    SwitchConnected,
    SwitchFeatures,
    SwitchPort,
)


def switch_port(
    port_no: int, *, dpid: int = 1, up: bool = True, speed_kbps: int = 10_000_000, name: str = ""
) -> SwitchPort:
    name = name or f"s{dpid}-eth{port_no}"
    mac = f"02:00:00:00:{dpid % 256:02x}:{port_no:02x}"
    return SwitchPort(port_no=port_no, name=name, mac=mac, up=up, speed_kbps=speed_kbps)


def connected(dpid: int, ports: Iterable[int | SwitchPort] = (1, 2, 3)) -> SwitchConnected:
    listed = tuple(p if isinstance(p, SwitchPort) else switch_port(p, dpid=dpid) for p in ports)
    return SwitchConnected(dpid=dpid, features=SwitchFeatures(), ports=listed)


def applied(fabric: Fabric, *events: Event) -> tuple[Fabric, Change]:
    """The fabric after all events, and everything they changed."""
    total = Change()
    for event in events:
        fabric, change = fabric.apply(event)
        total |= change
    return fabric, total


def after(fabric: Fabric, *events: Event) -> Fabric:
    return applied(fabric, *events)[0]


def wire(a: EndPoint, b: EndPoint) -> tuple[LinkSeen, LinkSeen]:
    return LinkSeen(src=a, dst=b), LinkSeen(src=b, dst=a)


def fabric_of(wires: Iterable[tuple[int, int]], *, default_role: PortRole = PortRole.AUTO) -> Fabric:
    """A fabric with these wires between switches; ports numbered from 1 in the order given, 100 is for a host."""
    used: dict[int, int] = {}
    joined = []
    for pair in wires:
        ends = []
        for dpid in pair:
            used[dpid] = used.get(dpid, 0) + 1
            ends.append(EndPoint(dpid, used[dpid]))
        joined.append((ends[0], ends[1]))
    fabric = Fabric(default_role=default_role)
    for dpid, n_ports in sorted(used.items()):
        fabric = after(fabric, connected(dpid, [*range(1, n_ports + 1), 100]))
    for a, b in joined:
        fabric = after(fabric, *wire(a, b))
    return fabric


def leaf_spine(spines: int, leaves: int) -> Fabric:
    """Spines are dpids 1.., leaves 101..; every leaf has one wire to every spine."""
    return fabric_of((1 + s, 101 + leaf) for leaf in range(leaves) for s in range(spines))
