"""Keeps what was observed and derived in the store's cache, so that a restart recognises what it finds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Protocol

from controller.fabric import cache
from controller.fabric.graph import Fabric
from controller.fabric.labels import EdgeLabels
from controller.fabric.observed import Change
from controller.fabric.ports import PortRole
from controller.reconcile import steering_records
from controller.reconcile.steering import Kept


class Cache(Protocol):
    """The part of a store that holds what was observed."""

    def cached(self) -> Mapping[str, bytes]: ...

    def save_cache(self, items: Mapping[str, bytes | None]) -> None: ...


class Keeper:
    """Writes only records that differ from what is kept.  Used by one thread."""

    def __init__(self, store: Cache) -> None:
        self._store = store
        self._kept: dict[str, bytes] = dict(store.cached())

    def restore(self, default_role: PortRole) -> tuple[Fabric, dict[int, EdgeLabels]]:
        """The fabric and labels as they were last kept.  ValueError if a record cannot be read."""
        return cache.restore({key: json.loads(value) for key, value in self._kept.items()}, default_role)

    def restore_steering(self) -> Kept:
        """The explicit paths, and what networks take instead of all trees, as it was last kept."""
        return steering_records.restore({key: json.loads(value) for key, value in self._kept.items()})

    def keep(self, fabric: Fabric, change: Change, labels: Mapping[int, EdgeLabels], steering: Kept) -> None:
        """Returns when it is durable.  `labels`: of the edges that changed; no versions: it is an edge no more."""
        records = cache.fabric_records(fabric, change) | steering_records.records(steering)
        for edge, edge_labels in labels.items():
            records |= cache.label_records(edge, edge_labels)
        changed: dict[str, bytes | None] = {}
        for key, record in records.items():
            value = None if record is None else json.dumps(record, separators=(",", ":")).encode()
            if self._kept.get(key) == value:
                continue
            changed[key] = value
        if not changed:
            return
        self._store.save_cache(changed)
        for key, value in changed.items():
            if value is None:
                del self._kept[key]
            else:
                self._kept[key] = value
