"""A path as a value, and why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.fabric.graph import EndPoint
from controller.fabric.paths.arrays import Ints, Topology
from controller.model.ids import format_dpid


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A way through the fabric that meets no switch twice."""

    links: tuple[EndPoint, ...]
    """by src, in the order of travel; none if a switch's path leads to itself"""
    switches: tuple[int, ...]
    """one more than links"""
    cost: int
    latency_us: int
    width_kbps: int | None
    """the least that is left on any of its links; None without links"""

    def __str__(self) -> str:
        return " > ".join(format_dpid(dpid) for dpid in self.switches)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPath:
    """There is no such path.  `constraints` cannot be met together, but could be without any one of them."""

    reason: str
    """UNKNOWN, DISCONNECTED, SEARCH_LIMIT, or the last of the constraints"""
    message: str
    constraints: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def path_of(topology: Topology, src: int, links: Sequence[int], left_kbps: Ints | None = None) -> Path:
    """The path from a switch (by index) over these links (by index)."""
    wiring = topology.wiring
    left = (topology.capacity_kbps if left_kbps is None else left_kbps).data
    cost, latency_us = topology.cost.data, topology.latency_us.data  # which give Python's own numbers, and faster
    return Path(
        links=tuple([wiring.srcs[i] for i in links]),
        switches=(wiring.dpids[src], *[wiring.dsts[i].dpid for i in links]),
        cost=sum([cost[i] for i in links]),
        latency_us=sum([latency_us[i] for i in links]),
        width_kbps=min([left[i] for i in links], default=None),
    )
