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
    srcs, heads = topology.wiring.srcs, topology.wiring.heads
    costs, latencies_us = topology.costs, topology.latencies_us
    left = (topology.capacity_kbps if left_kbps is None else left_kbps).data  # which gives Python's own numbers
    ends, switches = [], [topology.wiring.dpids[src]]
    cost = latency_us = 0
    width_kbps = None
    for i in links:  # one plain loop: this is half the time that a path takes
        ends.append(srcs[i])
        switches.append(heads[i])
        cost += costs[i]
        latency_us += latencies_us[i]
        if width_kbps is None or left[i] < width_kbps:
            width_kbps = left[i]
    return Path(
        links=tuple(ends), switches=tuple(switches), cost=cost, latency_us=latency_us, width_kbps=width_kbps
    )  # fmt: skip
