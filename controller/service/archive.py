"""Snapshots in a store: loaded, committed, and found again as they were.

    tenants/...        one object, as codec.encode writes it
    keys/{record id}   one of intent/records.py

Knows which keys of the store make a snapshot; refuses to know why a snapshot changes.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

from controller.intent.pools import Exhausted
from controller.intent.records import diff, load_keys
from controller.intent.renumber import renumbered
from controller.intent.snapshot import Snapshot
from controller.model.errors import OutOfRange, ResourceExhausted
from controller.service.codec import decode_resource, encode
from controller.service.interfaces import Answer, Compacted, Compare, Record, Store, StoreFailed, Write

KEYS = "keys/"
KEPT_SNAPSHOTS = 64
"""Snapshots share almost everything, so keeping the last ones costs little and spares a page of a list the store."""


class Archive:
    """`commit` is for the writer thread, everything else for any."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Snapshot] = OrderedDict()
        with _enough_numbers():
            _renumber(store)
            self.newest = _decode(store.list(""), store.revision())
            """The newest committed snapshot.  Replaced as a whole, so reading it needs no lock."""
            self._complete_keys()

    def commit(self, after: Snapshot, changed: Collection[str], answer: Answer | None) -> None:
        """Make `after` the newest snapshot, durably, or raise and leave everything as it is.

        The generation is in `after` already; the store must agree, as it must on every object that changes.
        """
        before = self.newest
        compares, writes = [], []
        for name in changed:
            was, becomes = before.get(name), after.get(name)
            compares.append(Compare(key=name, mod_revision=was.meta.generation if was else 0))
            writes.append(Write(key=name, value=encode(becomes) if becomes else None))
        for record_id, record in diff(before.keys, after.keys).items():
            writes.append(Write(key=KEYS + record_id, value=None if record is None else encode(record)))
        if self._store.revision() + 1 != after.generation:
            raise RuntimeError(f"the store is at revision {self._store.revision()}, not at {after.generation - 1}")
        self._store.txn(compares, writes, answer)
        self._keep(before)
        self.newest = after

    def at(self, generation: int) -> Snapshot:
        """The snapshot as it was.  OutOfRange REVISION_COMPACTED if it is no longer kept or has not been yet."""
        newest = self.newest
        if generation == newest.generation:
            return newest
        with self._lock:
            kept = self._kept.get(generation)
        if kept is not None:
            return kept
        if not 0 <= generation < newest.generation:
            raise OutOfRange("REVISION_COMPACTED", f"revision {generation} is not one of this store's; the newest is "
                             f"{newest.generation}: list again from the first page")
        try:
            snapshot = _decode(self._store.list("", at=generation), generation)
        except Compacted as error:
            raise OutOfRange("REVISION_COMPACTED", f"revision {generation} is gone, the oldest is {error.oldest}: "
                             "list again from the first page", metadata={"oldest": str(error.oldest)}) from error
        self._keep(snapshot)
        return snapshot

    def _complete_keys(self) -> None:
        """Number what an older version did not number, as a revision that changes no object."""
        keys, generation = self.newest.keys, self.newest.generation + 1
        for obj in self.newest.objects():
            keys = keys.sync(obj, obj, floor=0, generation=generation)
        if keys is not self.newest.keys:
            self.commit(self.newest.with_keys(keys).at_generation(generation), (), None)

    def _keep(self, snapshot: Snapshot) -> None:
        with self._lock:
            self._kept[snapshot.generation] = snapshot
            self._kept.move_to_end(snapshot.generation)
            if len(self._kept) > KEPT_SNAPSHOTS:
                self._kept.popitem(last=False)


@contextmanager
def _enough_numbers() -> Iterator[None]:
    """StoreFailed if an older Pliant had numbers for more than this one has."""
    try:
        yield
    except (Exhausted, ResourceExhausted) as error:
        raise StoreFailed(
            "the store is an older Pliant's and holds more tenants and networks (or ports of one network on one "
            f"switch) than this one has numbers for: open a backup of it with the older one, and delete some ({error})"
        ) from error


def _renumber(store: Store) -> None:
    """Write keys that an older version wrote as they are written today, in a revision that changes no object."""
    found = _keys_in(store.list(KEYS))
    wanted = renumbered(found, store.revision() + 1)
    writes = [
        Write(key=KEYS + record_id, value=encode(wanted[record_id]) if record_id in wanted else None)
        for record_id in sorted({**found, **wanted}) if found.get(record_id) != wanted.get(record_id)]
    if writes:
        store.txn((), writes)


def _decode(records: Sequence[Record], generation: int) -> Snapshot:
    objects = [
        decode_resource(record.key, record.value or b"") for record in records if not record.key.startswith(KEYS)]
    return Snapshot.rebuild(objects, load_keys(renumbered(_keys_in(records), generation), generation), generation)


def _keys_in(records: Iterable[Record]) -> dict[str, dict[str, int]]:
    return {record.key.removeprefix(KEYS): json.loads(record.value or b"") for record in records
            if record.key.startswith(KEYS)}
