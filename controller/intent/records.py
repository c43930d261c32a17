"""Keys as the store keeps them: one small record for each number that somebody holds, and for what pools must remember.

    tenant/{tenant}   slice/{network}   edge/{dpid}   slot/{dpid}/{tenant or network}   port/{port}   pipe/{pipe}
    queue/{tenant, network, pipe or port}                              who holds what
    cursor/{pool}   resting/{pool}/{position in the queue}             what the pools must remember

Knows records, and which differ between two generations.  Refuses to know the store and how it spells them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from immutables import Map

from controller.intent.keys import EDGE, Keys, PortKey
from controller.intent.pools import (
    EDGES,
    INDEX_BITS,
    INDEX_MASK,
    PIPES,
    QUEUES,
    SLICES,
    TENANTS,
    PoolId,
    PoolLoader,
    Resting,
    ports_in,
    slots_on,
)
from controller.model.ids import network_of, tenant_of

Record = dict[str, int]
"""What the store keeps under one record id."""


def diff(old: Keys, new: Keys) -> dict[str, Record | None]:
    """Records to write (None: to delete) so that a store holding `old` holds `new`.  Costs the size of the change.

    `old` must be the keys `new` was made from, at most one generation back; ValueError otherwise.
    """
    if new is old:
        return {}
    if not new.since <= old.generation <= new.generation:
        raise ValueError(f"changes since generation {new.since} are known, not since {old.generation}")
    pairs = ((record_id, record_of(old, record_id), record_of(new, record_id)) for record_id in sorted(new.touched))
    return {record_id: after for record_id, before, after in pairs if before != after}


def record_of(keys: Keys, record_id: str) -> Record | None:
    """What the store should hold under that id; None if nothing."""
    kind, _, rest = record_id.partition("/")
    value: int | None
    match kind:
        case "port":
            key = keys.port_keys.get(rest)
            return None if key is None else {"dpid": key.dpid, "key24": key.key24, "slot": key.slot}
        case "resting":
            pool_name, _, position = rest.rpartition("/")
            resting = keys.pools.get(PoolId.parse(pool_name)).resting.get(int(position))
            return None if resting is None else {"value": resting.value, "generation": resting.generation}
        case "tenant":
            value = keys.tenant_ids.get(rest)
        case "slice":
            value = keys.slices.get(rest)
        case "pipe":
            value = keys.pipe_ids.get(rest)
        case "queue":
            value = keys.queue_ids.get(rest)
        case "edge":
            value = keys.edge_ids.get(int(rest, 16))
        case "slot":
            dpid, _, holder = rest.partition("/")
            value = keys.slots.get((int(dpid, 16), holder))
        case "cursor":
            cursor = keys.pools.get(PoolId.parse(rest)).cursor
            value = None if cursor < 0 else cursor
        case _:
            raise LookupError(record_id)
    return None if value is None else {"value": value}


def load_keys(records: Mapping[str, Mapping[str, int]], generation: int = 0) -> Keys:
    """The keys that wrote these records, as they stood at `generation`."""
    held: dict[str, dict[str, int]] = {kind: {} for kind in _POOLS}
    edge_ids: dict[int, int] = {}
    port_keys: dict[str, PortKey] = {}
    slots: dict[tuple[int, str], int] = {}
    counts: Counter[tuple[int, str]] = Counter()
    pools = PoolLoader()
    for record_id, record in records.items():
        kind, _, rest = record_id.partition("/")
        match kind:
            case "tenant" | "slice" | "pipe" | "queue":
                held[kind][rest] = record["value"]
                pools.take(_POOLS[kind], record["value"])
            case "edge":
                edge_ids[int(rest, 16)] = record["value"]
                pools.take(EDGES, record["value"])
            case "slot":
                dpid_text, _, holder = rest.partition("/")
                slots[int(dpid_text, 16), holder] = record["value"]
                pools.take(slots_on(int(dpid_text, 16)), record["value"])
            case "port":
                port_keys[rest] = key = PortKey(**record)
                pools.take(ports_in(key.key24 >> INDEX_BITS, key.dpid), key.key24 & INDEX_MASK)
                pools.take(slots_on(key.dpid), key.slot)
                counts.update((key.dpid, name) for name in (EDGE, tenant_of(rest), network_of(rest)))
            case "cursor":
                pools.point(PoolId.parse(rest), record["value"])
            case "resting":
                pool_name, _, position = rest.rpartition("/")
                pools.rest(PoolId.parse(pool_name), int(position), Resting(record["value"], record["generation"]))
            case _:
                raise LookupError(record_id)
    return Keys(
        pools=pools.result(), tenant_ids=Map(held["tenant"]), slices=Map(held["slice"]), edge_ids=Map(edge_ids),
        port_keys=Map(port_keys), slots=Map(slots), counts=Map(counts), pipe_ids=Map(held["pipe"]),
        queue_ids=Map(held["queue"]), generation=generation, since=generation,
    )


_POOLS = {"tenant": TENANTS, "slice": SLICES, "pipe": PIPES, "queue": QUEUES}
"""Kinds of records that name their holder and its one number."""
