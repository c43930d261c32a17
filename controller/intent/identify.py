"""Names for numbers: the way back from keys to who holds them.  For people who look at switches; costs what there is.

Knows the numbers of one snapshot: what was given to somebody else meanwhile is that one's.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

from controller.intent.pools import INDEX_BITS
from controller.intent.snapshot import NO_NAMES, Snapshot

Holder = TypeVar("Holder", bound=Hashable)


def find_network(snapshot: Snapshot, key24: int) -> str | None:
    """The network that a key is of, be it its own or a port's."""
    return _holder(snapshot.keys.slices, key24 >> INDEX_BITS)


def find_edge(snapshot: Snapshot, edge_id: int) -> int | None:
    """The dpid of an edge."""
    return _holder(snapshot.keys.edge_ids, edge_id)


def find_port(snapshot: Snapshot, dpid: int, key24: int) -> str | None:
    """The port that has this key on a switch."""
    keys, network = snapshot.keys, find_network(snapshot, key24) or ""
    for port in snapshot.ports_by_network.get(network, NO_NAMES):
        key = keys.port_key(port)
        if key is not None and (key.dpid, key.key24) == (dpid, key24):
            return port
    return None


def find_queue_owner(snapshot: Snapshot, queue_id: int) -> str | None:
    """The tenant, network, port or pipe."""
    return _holder(snapshot.keys.queue_ids, queue_id)


def _holder(held: Mapping[Holder, int], number: int) -> Holder | None:
    return next((holder for holder, value in held.items() if value == number), None)
