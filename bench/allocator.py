"""The allocator: everything from scratch, and again after one change and after many.  Pure numpy and Python, no switch.

Aggregates go from edge switch to edge switch of a fat-tree with k=8 (80 switches, 512 directed links of 10 Gbit/s) over
the working trees that the planner gives them; each has a port with a ceiling, 50 share the ceiling of a tenant.

    calm     one in fifty asks for all it can get, so most links could carry all that is asked of them
    storm    every second one does: no link is loose, and every change may reach everybody
"""

from __future__ import annotations

import random
import time
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from math import inf

from bench.figures import Report, median, milliseconds
from controller.fabric.graph import Fabric
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.plan import Planner
from controller.model.bandwidth import TrafficClass
from controller.qos.allocation import Aggregate, Allocator
from controller.reconcile.loads import Ground, crossing, tree_course
from tests.support.topologies import fabric_of
from topologies.fat_tree import FatTree

K = 8
LINK_KBPS = 10_000_000
PER_TENANT = 50
SINGLE_CHANGES, MANY = 25, 0.1
HUNGRY = {"calm": 0.02, "storm": 0.5}


def run(*, quick: bool = False) -> Iterator[Report]:
    """One row for each number of aggregates and each weather."""
    report = Report(
        title=f"Allocator, on a fat-tree with k={K}",
        columns=("aggregates", "", "put", "from scratch", "one change", "it moves", "ratio", f"{MANY:.0%} change"),
        notes=(
            "put: handing all of them over; one change: medians, of a demand that halves or doubles; it moves: how",
            "many get another rate by it; ratio: from scratch / one change; aim: much less than the loop's 500 ms",
            "design figures, for the water-filling alone: 2-5 ms, 20-86 ms, 100-900 ms for 1k, 10k, 50k from scratch",
        ),
    )
    fabric = fabric_of(FatTree(k=K))
    ways = _ways(fabric)
    for n in (100, 1_000) if quick else (1_000, 10_000, 50_000):
        for weather, hungry in HUNGRY.items():
            _measure(report, weather, _aggregates(ways, n, hungry), fabric)
    yield report


def _ways(fabric: Fabric) -> list[dict[Hashable, float]]:
    """For each pair of edge switches the links between them, with the share that crosses each."""
    ground, planner = Ground(fabric=fabric), Planner(Topology.of(fabric))
    ends = {end.dpid for link in fabric.links.values() for end in (link.src, link.dst)}
    edges = [dpid for dpid in sorted(ends) if len(fabric.switches[dpid].ports) > len(_wired(fabric, dpid))]
    plans = {dst: planner.toward(dst) for dst in edges}
    return [dict(crossing([tree_course(plans[dst], src, dst)], ground)) for src in edges for dst in edges if src != dst]


def _wired(fabric: Fabric, dpid: int) -> list[int]:
    return [src.port_no for src in fabric.links if src.dpid == dpid]


def _aggregates(ways: list[dict[Hashable, float]], n: int, hungry: float) -> dict[int, Aggregate]:
    chance = random.Random(n)
    load = LINK_KBPS * 128 / n  # what an aggregate of average demand may use and half the links stay free
    found = {}
    for key in range(n):
        resources: Mapping[Hashable, float] = {
            **chance.choice(ways), ("tenant", key // PER_TENANT): 1.0, ("port", key): 1.0,
        }
        found[key] = Aggregate(
            guarantee_kbps=load * chance.choice((0, 0.05, 0.2)),
            demand_kbps=inf if chance.random() < hungry else load * chance.uniform(0.01, 0.5),
            weight=chance.choice((1, 2, 5)), traffic_class=chance.choice(list(TrafficClass)), resources=resources,
        )
    return found


def _measure(report: Report, weather: str, aggregates: Mapping[int, Aggregate], fabric: Fabric) -> None:
    chance = random.Random(5)
    allocator: Allocator[int] = Allocator()
    for src in fabric.links:
        allocator.set_capacity(src, LINK_KBPS)
    load = LINK_KBPS * 128 / len(aggregates)
    for key in aggregates:
        allocator.set_capacity(("tenant", key // PER_TENANT), load * PER_TENANT / 2)
        allocator.set_capacity(("port", key), load * 10)
    start = time.perf_counter()
    for key, aggregate in aggregates.items():
        allocator.put(key, aggregate)
    put = time.perf_counter()
    allocator.solve()
    solved = time.perf_counter()
    ones, moves = [], []
    for key in chance.sample(sorted(aggregates), SINGLE_CHANGES):
        changed, begun = _turned(aggregates[key], chance), time.perf_counter()
        allocator.put(key, changed)
        moves.append(len(allocator.solve()))
        ones.append(time.perf_counter() - begun)
    several = {
        key: _turned(aggregates[key], chance)
        for key in chance.sample(sorted(aggregates), int(MANY * len(aggregates)))
    }
    begun = time.perf_counter()
    for key, changed in several.items():
        allocator.put(key, changed)
    allocator.solve()
    many = time.perf_counter() - begun
    report.add(
        f"{len(aggregates):,}", weather, milliseconds(put - start), milliseconds(solved - put),
        milliseconds(median(ones)), f"{median(moves):.0f}", f"{(solved - put) / median(ones):.0f}x", milliseconds(many),
    )


def _turned(aggregate: Aggregate, chance: random.Random) -> Aggregate:
    """With half or twice the demand; who wanted all wants what its guarantee is, and a little."""
    if aggregate.demand_kbps == inf:
        return replace(aggregate, demand_kbps=aggregate.guarantee_kbps + 1)
    return replace(aggregate, demand_kbps=aggregate.demand_kbps * chance.choice((0.5, 2)))
