"""The optimum that splits over paths are held against: flows that may divide anywhere, as one linear program."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import block_diag, csr_array, hstack, identity

from controller.fabric.paths.arrays import Topology


def least_flow_utilisation(topology: Topology, rates_kbps: Mapping[tuple[int, int], float]) -> float:
    """The least utilisation of the busiest link if the demands (src dpid, dst dpid) may take any paths at all."""
    n, m, index = topology.n_switches, topology.n_links, topology.wiring.switch_index
    wanted = np.zeros((n, n))  # [source, destination]
    for (src, dst), rate in rates_kbps.items():
        wanted[index[src], index[dst]] += rate
    sources = np.flatnonzero(wanted.sum(axis=1))
    scale = wanted.sum() / np.median(topology.capacity_kbps)
    ends = np.concatenate([topology.wiring.tail, topology.wiring.head])
    gain = np.repeat([-1.0, 1.0], m)
    incidence = csr_array((gain, (ends, np.tile(np.arange(m), 2))), shape=(n, m))
    keep = [np.delete(np.arange(n), source) for source in sources]
    conserved = block_diag([incidence[rows] for rows in keep], format="csr")
    arrives = np.concatenate([wanted[source, rows] for source, rows in zip(sources, keep, strict=True)])
    unit = np.median(topology.capacity_kbps)
    answer = linprog(
        np.append(np.zeros(m * len(sources)), 1.0),
        A_ub=hstack([*[identity(m)] * len(sources), csr_array(-topology.capacity_kbps.reshape(-1, 1) / unit * scale)]),
        b_ub=np.zeros(m),
        A_eq=hstack([conserved, csr_array((conserved.shape[0], 1))]),
        b_eq=arrives / unit,
        method="highs",
    )
    return float(answer.fun) * float(scale)
