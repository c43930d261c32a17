"""The first parts of a ceiling that comes to hold on several edges at once: by what is known of what each sends.

    what everybody holds    a little, so that whoever begins to send is noticed
    what is guaranteed      there, to its ports, as far as it is wanted
    what else is wanted     by the number of ports, nobody more than it wants
    what is left            by guarantee, else by the number of ports

So whoever sends alone has nearly all of it from the first moment.  These are the rules by which sharing.py moves shares
later, so where demand is known there is nothing to move.  Pure.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

from controller.model.bandwidth import DEFAULT_BURST_MS
from controller.qos.demand import HEADROOM
from controller.qos.sharing import floor_kbps, idle_kbps, shared_kbps

K = TypeVar("K", bound=Hashable)


class Want(NamedTuple):
    """Of one edge."""

    demand_kbps: float | None
    """None: nobody knows"""
    guarantee_kbps: int = 0
    """what ports there are guaranteed"""
    weight: float = 1.0
    """ports there"""


def first_parts(
    ceiling_kbps: int, guarantee_kbps: float, wants: Mapping[K, Want], *, burst_ms: int = DEFAULT_BURST_MS,
) -> dict[K, int]:
    """At least 1 kbit/s each; together at most the ceiling, if that has so many kbit/s.

    `guarantee_kbps`: of all together.  `burst_ms`: of each share.
    """
    promised = {edge: float(want.guarantee_kbps) for edge, want in wants.items()}
    guarantee = min(float(ceiling_kbps), max(guarantee_kbps, sum(promised.values())))
    floor, idle = (least(ceiling_kbps, len(wants), guarantee) for least in (floor_kbps, idle_kbps))
    total = shared_kbps(ceiling_kbps, len(wants), guarantee, burst_ms)
    weights = {edge: want.weight for edge, want in wants.items()}
    by_guarantee = promised if any(promised.values()) else weights
    share = total / (sum(by_guarantee.values()) or 1.0)
    wanted = {edge: min(float(ceiling_kbps), by_guarantee[edge] * share if want.demand_kbps is None
                        else max(idle, HEADROOM * want.demand_kbps)) for edge, want in wants.items()}
    parts = dict.fromkeys(wants, float(floor))
    left = float(total - floor * len(wants))
    first = {edge: min(wanted[edge], promised[edge]) - floor for edge in wants}
    second = {edge: wanted[edge] - max(floor, min(wanted[edge], promised[edge])) for edge in wants}
    for lacks, by in ((first, first), (second, weights), (dict.fromkeys(wants, float(ceiling_kbps)), by_guarantee)):
        for edge, kbps in _fill(left, lacks, by).items():
            parts[edge] += kbps
            left -= kbps
    return {edge: max(1, int(kbps)) for edge, kbps in parts.items()}


def _fill(kbps: float, lacks: Mapping[K, float], weights: Mapping[K, float]) -> dict[K, float]:
    """Weighted max-min: nobody more than it lacks, and whoever has less than that has as much by weight as any other.
    """
    given = {}
    lacking = [edge for edge, lack in lacks.items() if lack > 0 and weights[edge] > 0]
    weight = sum(weights[edge] for edge in lacking)
    for edge in sorted(lacking, key=lambda edge: lacks[edge] / weights[edge]):
        given[edge] = min(lacks[edge], max(0.0, kbps) * weights[edge] / max(weight, weights[edge]))
        kbps -= given[edge]
        weight -= weights[edge]
    return given
