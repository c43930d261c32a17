"""What the allocator carries over four paths of each demand where the optimum carries just all of it (after SWAN).

The demands of the SNDlib networks grow together until flows that may go anywhere (a linear program) carry them with the
busiest link full, and then the allocator shares out the links, weighted max-min with the demands as weights:

    shortest   each demand is one aggregate on its shortest path
    itself     each demand is an aggregate on each of the four paths that the engine chooses, with the demand as a
               resource that they share: the allocator alone decides how to split
    split      each demand is one aggregate, split over its four paths as the path engine says

Topology and demands are bench/demands.py's, and what is said there of capacities holds here too.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

from bench.demands import MOST, Rates, networks
from bench.figures import Report, median, milliseconds
from controller.fabric.paths.alternatives import alternatives
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.shortest import all_pairs
from controller.fabric.paths.utilisation import Demand, chosen_paths, least_utilisation
from controller.qos.allocation import Aggregate, Allocator
from tests.support.flows import least_flow_utilisation

K = 4
Aggregates = dict[tuple[int, int], Aggregate]
"""(demand, path) -> ...; all paths together are path 0"""


def run(*, quick: bool = False) -> Iterator[Report]:
    """One row for each network, and the medians."""
    report = Report(
        title="Share of the demand that is carried where the optimum carries all",
        columns=("SNDlib", "demands", "shortest", f"k={K}, itself", f"k={K}, split", "worst demand", "time"),
        notes=(
            "worst demand: the smallest share that any demand gets, with the splits; time: to split and to allot",
            "SWAN (SIGCOMM'13, their WAN): 98 % of the optimum, about 60 % without traffic engineering",
        ),
    )
    shares: list[tuple[float, ...]] = []
    for name, graph, wanted in networks(most=20 if quick else MOST):
        topology = Topology.from_graph(graph)
        routes = all_pairs(topology)
        best = least_flow_utilisation(topology, wanted)
        rates: Rates = {pair: kbps / best for pair, kbps in wanted.items()}
        chosen = chosen_paths(routes, rates, K)
        one = [Demand(rate_kbps=kbps, paths=alternatives(routes, *pair, 1)) for pair, kbps in rates.items()]
        carried = [
            _carried(topology, one, _split(one, [(1.0,)] * len(one))),
            _carried(topology, chosen, _on_each(chosen)),
        ]
        start = time.perf_counter()
        of_each = _carried(topology, chosen, _split(chosen, least_utilisation(topology, chosen).shares))
        took = time.perf_counter() - start
        total = sum(rates.values())
        shares.append(tuple(sum(each.values()) / total for each in (*carried, of_each)))
        worst = min(of_each[i, 0] / demand.rate_kbps for i, demand in enumerate(chosen))
        cells = (f"{share:.3f}" for share in shares[-1])
        report.add(name, str(len(rates)), *cells, f"{worst:.3f}", milliseconds(took))
    report.add("median", "", *(f"{median(column):.3f}" for column in zip(*shares, strict=True)), "", "")
    yield report


def _split(demands: Sequence[Demand], splits: Sequence[Sequence[float]]) -> Aggregates:
    """One aggregate for each demand, split over its paths."""
    found = {}
    for i, (demand, shares) in enumerate(zip(demands, splits, strict=True)):
        crossed: dict[Hashable, float] = defaultdict(float)
        for path, share in zip(demand.paths, shares, strict=True):
            for link in path.links:
                crossed[link] += share
        found[i, 0] = Aggregate(demand_kbps=demand.rate_kbps, weight=demand.rate_kbps, resources=dict(crossed))
    return found


def _on_each(demands: Sequence[Demand]) -> Aggregates:
    """One aggregate for each path, and the demand as one more resource of all its paths."""
    return {
        (i, j): Aggregate(weight=demand.rate_kbps, resources={**dict.fromkeys(path.links, 1.0), ("demand", i): 1.0})
        for i, demand in enumerate(demands) for j, path in enumerate(demand.paths)
    }


def _carried(topology: Topology, demands: Sequence[Demand], aggregates: Aggregates) -> dict[tuple[int, int], float]:
    allocator: Allocator[tuple[int, int]] = Allocator()
    for src, kbps in zip(topology.wiring.srcs, topology.capacity_kbps.tolist(), strict=True):
        allocator.set_capacity(src, kbps)
    for i, demand in enumerate(demands):
        allocator.set_capacity(("demand", i), demand.rate_kbps)
    for key, aggregate in aggregates.items():
        allocator.put(key, aggregate)
    return {key: allotment.rate_kbps for key, allotment in allocator.solve().items()}
