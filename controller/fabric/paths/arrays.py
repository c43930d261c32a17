"""The topology as arrays of integers: switches and links by index, so that numpy, scipy and plain heaps can work on it.

Switches are numbered in the order of their dpids, links in that of their sources, so the same fabric always gives the
same numbers, and with them the same ties.  Parallel links are kept apart.  A link that is down or drained keeps its
number: its weight is infinite, and when it fails or returns everything but one array is shared with the topology
before.

Weight orders paths by cost first and hops second, in one number that float64 holds exactly: a path of up to 8,191
links of the greatest cost stays below 2**51.  Knows the graph; not tenants, labels or who reserved what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from controller.fabric.declared import MAX_COST, MAX_LATENCY_US
from controller.fabric.graph import Change, EndPoint, Fabric, Link

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

MAX_SWITCHES = 8192
WEIGHT_OF_COST = MAX_SWITCHES
"""weight of a link = WEIGHT_OF_COST x cost + 1"""
MAX_WEIGHT = WEIGHT_OF_COST * MAX_COST + 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Wiring:
    """What leads where; shared by all topologies that differ only in what their links are worth."""

    dpids: tuple[int, ...]
    """ascending; a switch's index is its place here"""
    srcs: tuple[EndPoint, ...]
    """ascending; a link's index is its place here"""
    dsts: tuple[EndPoint, ...]
    switch_index: Mapping[int, int]
    link_index: Mapping[EndPoint, int]
    tail: Ints
    """link -> the switch it leaves"""
    head: Ints
    """link -> the switch it enters"""

    @cached_property
    def out(self) -> list[list[tuple[int, int]]]:
        """switch -> its (link, head)s, by ascending link."""
        out: list[list[tuple[int, int]]] = [[] for _ in self.dpids]
        for link, (tail, head) in enumerate(zip(self.tail.tolist(), self.head.tolist(), strict=True)):
            out[tail].append((link, head))
        return out

    @cached_property
    def heads(self) -> list[int]:
        """link -> the dpid of the switch it enters."""
        return [dst.dpid for dst in self.dsts]

    @cached_property
    def reverse(self) -> list[int]:
        """link -> the other direction of its wire; -1 if only one is known."""
        index = self.link_index
        back = (index.get(dst, -1) for dst in self.dsts)
        return [i if i >= 0 and self.dsts[i] == src else -1 for i, src in zip(back, self.srcs, strict=True)]

    @cached_property
    def by_head(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Links sorted by (head, tail); where each pair of switches begins; its tail; where each head's pairs begin.

        The last is a CSR index pointer: the graph with its links turned round, parallel links as one.
        """
        order = np.lexsort((self.tail, self.head))
        tail, head = self.tail[order], self.head[order]
        new = np.ones(len(order), bool)
        new[1:] = (tail[1:] != tail[:-1]) | (head[1:] != head[:-1])
        first = np.flatnonzero(new)
        pointer = np.searchsorted(head[first], np.arange(len(self.dpids) + 1))
        return order, first, tail[first], pointer


@dataclass(frozen=True, kw_only=True, eq=False)
class Topology:
    """Switches and links with what they are worth.  Arrays are read-only.  Not slotted: it keeps what it derived."""

    wiring: Wiring
    up: Flags
    """whether paths may take it: it is up and not drained"""
    capacity_kbps: Ints
    cost: Ints
    latency_us: Ints
    """0 where it is not known"""
    zones: tuple[str, ...]
    """of each switch; empty where it has none"""

    @staticmethod
    def of(
        fabric: Fabric, *, latency_us: Mapping[EndPoint, int] | None = None, zones: Mapping[int, str] | None = None
    ) -> Topology:
        """The topology of a fabric.  Latencies (by src) and zones (by dpid) are those declared, unless given."""
        if latency_us is None:
            latency_us = {src: link.latency_us or 0 for src, link in fabric.links.items()}
        if zones is None:
            zones = {dpid: settings.zone for dpid, settings in fabric.declared_switches.items()}
        return build(fabric.switches, fabric.links.values(), latency_us, zones)

    @staticmethod
    def from_graph(graph: nx.Graph[int]) -> Topology:
        """The topology of any networkx graph of dpids; without directions each edge is a wire of two links.

        Nodes may carry zone; edges capacity_kbps, cost, latency_us, and src and dst.  Without src and dst, ports are
        numbered in the order of the edges.
        """
        links, latency_us = [], {}
        ports = dict.fromkeys(graph, 0)
        for a, b, given in sorted(graph.edges(data=True), key=lambda edge: edge[:2]):
            near, far = given.get("src"), given.get("dst")
            if near is None or far is None:
                ports[a], ports[b] = ports[a] + 1, ports[b] + 1
                near, far = EndPoint(a, ports[a]), EndPoint(b, ports[b])
            for src, dst in [(near, far)] if graph.is_directed() else [(near, far), (far, near)]:
                worth = given.get("capacity_kbps", 0), given.get("cost", 1)
                links.append(Link(src=src, dst=dst, capacity_kbps=worth[0], cost=worth[1]))
                latency_us[src] = given.get("latency_us", 0)
        return build(graph, links, latency_us, nx.get_node_attributes(graph, "zone"))

    def after(self, fabric: Fabric, change: Change) -> Topology:
        """The topology of the fabric that this change led to; the same object if the change is not about the graph."""
        index, dsts, places = self.wiring.link_index, self.wiring.dsts, self.wiring.switch_index
        now = {src: fabric.links.get(src) for src in change.links}
        known = all(link is None or (src in index and dsts[index[src]] == link.dst) for src, link in now.items())
        zoned = all(fabric.switch_settings(x).zone == self.zones[places[x]] for x in change.switches if x in places)
        if not known or not zoned or (change.topology and set(fabric.switches) != places.keys()):
            return Topology.of(fabric)
        return self.with_changes(link or self.link(src, up=False) for src, link in now.items() if link or src in index)

    def with_changes(self, links: Iterable[Link]) -> Topology:
        """With these links, all known ones, as they are now; shares with this topology whatever stays the same."""
        now = {self.wiring.link_index[link.src]: link for link in links}
        columns: dict[str, Any] = {}
        for name, value_of in _COLUMNS.items():
            column = getattr(self, name)
            changed = {i: value for i, link in now.items() if (value := value_of(link)) != column[i]}
            if changed:
                columns[name] = column.copy()
                columns[name][list(changed)] = list(changed.values())
                _read_only(columns[name])
        if not columns:
            return self
        topology = replace(self, **columns)
        _check(topology)
        return topology

    @cached_property
    def weights(self) -> list[float]:
        """`weight` as Python's own numbers, for what goes link by link."""
        numbers: list[float] = self.weight.tolist()
        return numbers

    @cached_property
    def costs(self) -> list[int]:
        """`cost` as Python's own numbers."""
        numbers: list[int] = self.cost.tolist()
        return numbers

    @cached_property
    def latencies_us(self) -> list[int]:
        """`latency_us` as Python's own numbers."""
        numbers: list[int] = self.latency_us.tolist()
        return numbers

    def link(self, src: EndPoint, *, up: bool) -> Link:
        """The link that leaves there, as it would be up or down."""
        i = self.wiring.link_index[src]
        capacity_kbps, cost, latency_us = int(self.capacity_kbps[i]), int(self.cost[i]), int(self.latency_us[i])
        dst = self.wiring.dsts[i]
        return Link(src=src, dst=dst, capacity_kbps=capacity_kbps, cost=cost, latency_us=latency_us, up=up)

    @property
    def n_switches(self) -> int:
        return len(self.wiring.dpids)

    @property
    def n_links(self) -> int:
        return len(self.wiring.srcs)

    @cached_property
    def weight(self) -> Floats:
        """link -> what it adds to a path; infinite if it is down."""
        return _read_only(np.where(self.up, self.cost * WEIGHT_OF_COST + 1.0, np.inf))


def build(
    dpids: Iterable[int], links: Iterable[Link], latency_us: Mapping[EndPoint, int], zones: Mapping[int, str]
) -> Topology:
    """The topology of these switches and links; ValueError says which value no path can be computed with."""
    ordered = sorted(links, key=lambda link: link.src)
    switches = tuple(sorted({*dpids, *(end.dpid for link in ordered for end in (link.src, link.dst))}))
    index = {dpid: i for i, dpid in enumerate(switches)}
    wiring = Wiring(
        dpids=switches,
        srcs=tuple(link.src for link in ordered),
        dsts=tuple(link.dst for link in ordered),
        switch_index=index,
        link_index={link.src: i for i, link in enumerate(ordered)},
        tail=_ints(index[link.src.dpid] for link in ordered),
        head=_ints(index[link.dst.dpid] for link in ordered),
    )
    topology = Topology(
        wiring=wiring,
        up=_read_only(np.fromiter((link.usable for link in ordered), bool)),
        capacity_kbps=_ints(link.capacity_kbps for link in ordered),
        cost=_ints(link.cost for link in ordered),
        latency_us=_ints(latency_us.get(link.src, 0) for link in ordered),
        zones=tuple(zones.get(dpid, "") for dpid in switches),
    )
    if len(wiring.link_index) != len(ordered):
        raise ValueError("two links leave by one port")
    _check(topology)
    return topology


_COLUMNS: dict[str, Callable[[Link], int]] = {
    "up": lambda link: link.usable,
    "capacity_kbps": lambda link: link.capacity_kbps,
    "cost": lambda link: link.cost,
    "latency_us": lambda link: link.latency_us or 0,
}
"""What may change of a link without another wiring."""


def _check(topology: Topology) -> None:
    wiring, cost, latency_us = topology.wiring, topology.cost, topology.latency_us
    if topology.n_switches > MAX_SWITCHES:
        raise ValueError(f"{topology.n_switches} switches, but paths are computed for at most {MAX_SWITCHES}")
    for bad, why in (
        (wiring.tail == wiring.head, "leads back to its own switch"),
        ((cost < 1) | (cost > MAX_COST), f"has a cost outside 1..{MAX_COST}"),
        ((latency_us < 0) | (latency_us > MAX_LATENCY_US), f"has a latency outside 0..{MAX_LATENCY_US} us"),
        (topology.capacity_kbps < 0, "has a negative capacity"),
    ):
        if bad.any():
            i = int(np.argmax(bad))
            raise ValueError(f"the link from {wiring.srcs[i]} to {wiring.dsts[i]} {why}")


def _ints(values: Iterable[int]) -> Ints:
    return _read_only(np.fromiter(values, np.int64))


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
