"""Records of an older Pliant, whose slices were tenants', made those of today, whose slices are networks'.

    then    slice/{tenant}    network/{network}: the tenant's slice, index    port/{port}: the tenant's slice, index
    now     tenant/{tenant}   slice/{network}                                 port/{port}: the network's slice, index

Every number that frames carry between switches becomes one that was free, for a switch out of reach goes on writing the
old ones; the old slices rest, as if they had been freed in this generation.  Tenants keep their numbers, which from now
on never leave a switch.  Needed as long as there may be stores of schema 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from controller.intent.pools import INDEX_BITS, INDEX_MASK, SLICES, TENANTS, Exhausted, Pool
from controller.intent.records import Record, load_keys
from controller.model.ids import network_of

Records = Mapping[str, Record]


def renumbered(records: Records, generation: int) -> Records:
    """All records as they should be; the same mapping if they are.  Exhausted if there are too few numbers."""
    old_slices = {name: record for name, record in _of_kind(records, "slice").items() if "/networks/" not in name}
    if not old_slices:
        return records
    pool, slices = _slices_of_networks(records)
    kept = {
        record_id: record for record_id, record in records.items()
        if not record_id.startswith(("slice/", "network/", "port/", "cursor/slice-", "resting/slice-"))}
    of_tenants = {
        record_id.replace(str(SLICES), str(TENANTS)): record
        for record_id, record in records.items() if record_id.startswith((f"cursor/{SLICES}", f"resting/{SLICES}/"))}
    freed = {
        f"resting/{SLICES}/{position}": {"value": record["value"], "generation": generation}
        for position, record in enumerate(old_slices.values(), start=pool.tail)}
    return {
        **kept, **of_tenants, **freed, f"cursor/{SLICES}": {"value": pool.cursor},
        **{f"tenant/{name}": record for name, record in old_slices.items()},
        **{f"slice/{name}": {"value": value} for name, value in slices.items()},
        **_ports(_of_kind(records, "port"), slices),
    }


def _slices_of_networks(records: Records) -> tuple[Pool, dict[str, int]]:
    """A number that nobody had for each network, and the pool without these."""
    of_slices = ("slice/", f"cursor/{SLICES}", f"resting/{SLICES}/")
    pool = load_keys({name: record for name, record in records.items() if name.startswith(of_slices)}).pools.get(SLICES)
    slices: dict[str, int] = {}
    for network in sorted(_of_kind(records, "network")):
        pool, slices[network] = pool.allocate(floor=0)
    return pool, slices


def _ports(ports: Records, slices: Mapping[str, int]) -> Records:
    found: dict[str, Record] = {}
    on_edge: Counter[tuple[str, int]] = Counter()
    for port, record in sorted(ports.items()):
        network, dpid = network_of(port), record["dpid"]
        on_edge[network, dpid] += 1
        if on_edge[network, dpid] > INDEX_MASK:
            raise Exhausted(INDEX_MASK, 0)
        found[f"port/{port}"] = {**record, "key24": slices[network] << INDEX_BITS | on_edge[network, dpid]}
    return found


def _of_kind(records: Records, kind: str) -> Records:
    return {record_id.removeprefix(f"{kind}/"): record for record_id, record in records.items()
            if record_id.startswith(f"{kind}/")}
