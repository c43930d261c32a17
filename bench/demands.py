"""How much of what a network could carry its paths do carry, on the SNDlib networks with their demands (topohub).

The demands grow together until the busiest link is full; the share is that, over what flows that may go anywhere reach.
k=4: the four paths that the engine chooses for each demand (`chosen_paths`), with all demands known; beside it the four
shortest ones, which are chosen without.  What a choice costs is all the rounds of pricing.
topohub has no capacities, for SNDlib's are to be designed, so all links carry alike; the published figures beside it
stand on other data (16 networks with capacities) and are there for the order of magnitude.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import networkx as nx
import numpy as np
import topohub

from bench.figures import Report, median
from controller.fabric.paths.alternatives import alternatives
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.shortest import Routes, all_pairs
from controller.fabric.paths.utilisation import Demand, chosen_paths, least_utilisation
from tests.support.flows import least_flow_utilisation

FEWEST, MOST = 10, 65
K = 4
CAPACITY_KBPS = 10_000_000

Rates = dict[tuple[int, int], float]


def run(*, quick: bool = False) -> Iterator[Report]:
    """One row for each network, and the medians."""
    report = Report(
        title="Share of the optimal demand that is carried",
        columns=(
            "SNDlib", "switches", "links", "demands", "shortest", "ECMP", f"{K} shortest", f"k={K}", "choice", "LP",
        ),
        notes=("design figures, on other capacities: 0.60 shortest path, 0.59 ECMP, 1.000 k=4 (medians)",),
    )
    shares: list[tuple[float, ...]] = []
    for name, graph, rates in networks(most=20 if quick else MOST):
        topology = Topology.from_graph(graph)
        routes = all_pairs(topology)
        best = least_flow_utilisation(topology, rates)
        many = [(rate, alternatives(routes, *pair, K)) for pair, rate in rates.items()]
        one = least_utilisation(topology, [Demand(rate_kbps=rate, paths=paths[:1]) for rate, paths in many])
        start = time.perf_counter()
        four = least_utilisation(topology, [Demand(rate_kbps=rate, paths=paths) for rate, paths in many])
        solved = time.perf_counter()
        demands = chosen_paths(routes, rates, K)
        found = time.perf_counter()
        chosen = least_utilisation(topology, demands)
        used = one.utilisation, equal_cost_utilisation(routes, rates), four.utilisation, chosen.utilisation
        shares.append(tuple(best / each for each in used))
        sizes = map(str, (topology.n_switches, topology.n_links, len(rates)))
        times = f"{(found - solved) * 1e3:.0f} ms", f"{(solved - start) * 1e3:.0f} ms"
        report.add(name, *sizes, *(f"{share:.3f}" for share in shares[-1]), *times)
    report.add("median", "", "", "", *(f"{median(column):.3f}" for column in zip(*shares, strict=True)), "", "")
    for column, which, aim in ((3, f"k={K} carries", " (aim: three quarters)"), (2, f"the {K} shortest carry", "")):
        good = sum(row[column] >= 0.99 for row in shares)
        report.notes = (*report.notes, f"{which} at least 0.99 on {good} of {len(shares)}{aim}")
    yield report


def networks(most: int = MOST) -> Iterator[tuple[str, nx.Graph[int], Rates]]:
    """The connected SNDlib networks of that size that come with demands."""
    names = sorted(file.name.removesuffix(".json") for file in (files(topohub) / "data" / "sndlib").iterdir())
    for name in names:
        data: Mapping[str, Any] = topohub.get(f"sndlib/{name}")
        if not FEWEST <= len(data["nodes"]) <= most or not data["graph"].get("demands"):
            continue
        graph: nx.Graph[int] = nx.Graph((edge["source"], edge["target"]) for edge in data["edges"])
        nx.set_edge_attributes(graph, CAPACITY_KBPS, "capacity_kbps")
        rates: Rates = {}
        for src, toward in data["graph"]["demands"].items():
            for dst, rate in toward.items():
                if rate > 0 and int(src) != int(dst):
                    rates[int(src), int(dst)] = float(rate)
        if rates and nx.is_connected(graph):
            yield name, graph, rates


def equal_cost_utilisation(routes: Routes, rates: Rates) -> float:
    """Of the busiest link, if each switch spreads what it sends on over all its equal-cost next hops alike."""
    topology, index = routes.topology, routes.topology.wiring.switch_index
    load = np.zeros(topology.n_links)
    for dst in sorted({dst for _, dst in rates}):
        waiting = np.zeros(topology.n_switches)
        for (src, to), rate in rates.items():
            if to == dst:
                waiting[index[src]] += rate
        best = routes.on_best_paths(dst)
        for at in np.argsort(-routes.distance[:, index[dst]], kind="stable").tolist():
            onward = [(x, head) for x, head in topology.wiring.out[at] if best[x]]
            for x, head in onward:
                load[x] += waiting[at] / len(onward)
                waiting[head] += waiting[at] / len(onward)
    return float((load / topology.capacity_kbps).max())
