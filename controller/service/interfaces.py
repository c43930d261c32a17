"""What the use cases need from the outside: a store, and views of the observed fabric and of the status of objects.

Protocols live with their user; controller/store and controller/reconcile implement them, controller/build.py joins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.fabric.graph import Fabric
from controller.intent.snapshot import Snapshot
from controller.model.network import Attachment
from controller.model.status import Condition, State, Status

__all__ = [
    "Answer", "Compacted", "Compare", "CompareFailed", "Condition", "FabricView", "Gate", "Record", "State", "Status",
    "StatusView", "Store", "StoreFailed", "Write",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One key of the store as it stood at a revision.  `value` None is a deletion."""

    key: str
    value: bytes | None
    create_revision: int
    mod_revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """A condition of a transaction: the key's mod_revision must equal this (0: the key must not exist)."""

    key: str
    mod_revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write of a transaction.  `value` None deletes the key."""

    key: str
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The stored answer to a request_id: the `digest` of its request, and the response as the service encoded it."""

    request_id: str
    digest: bytes
    response: bytes
    answered_s: float


class CompareFailed(Exception):
    """A transaction's condition did not hold; nothing was written."""


class Compacted(Exception):
    """The history asked for is gone; `oldest` is the first revision that can still be listed or resumed from."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"history starts after revision {oldest}")
        self.oldest = oldest


class StoreFailed(Exception):
    """The engine under the store refused or broke: says what, which file, what to do.  Nothing was written."""


class Store(Protocol):
    """etcd's model on whatever engine: one revision counter, atomic transactions, history.  Thread-safe."""

    def revision(self) -> int: ...

    def txn(self, compares: Sequence[Compare], writes: Sequence[Write], answer: Answer | None = None) -> int:
        """Apply all writes (and keep the answer) at one new revision, durably, and return that.

        CompareFailed, and nothing is written, if a condition does not hold.  A key is written at most once.  Without
        writes no revision is taken: the answer is kept and the current revision returned.
        """
        ...

    def list(self, prefix: str, at: int | None = None) -> Sequence[Record]:
        """All keys under the prefix, sorted, as of revision `at` (default: now).

        Compacted if `at` is too old, ValueError if it has not been yet.
        """
        ...

    def history(self, prefix: str, after: int) -> Sequence[Record]:
        """Every change under the prefix with mod_revision > `after`, by revision, then key.  Errors as `list`."""
        ...

    def answer(self, request_id: str) -> Answer | None: ...

    def compact(self, keep_revisions: int, answers_before_s: float) -> None:
        """Forget history older than `keep_revisions` revisions and answers older than the given time."""
        ...

    def cached(self) -> Mapping[str, bytes]:
        """Observed state as it was last saved.  It has no revision and is never mixed with intent."""
        ...

    def save_cache(self, items: Mapping[str, bytes | None]) -> None: ...

    def close(self) -> None: ...


class StatusView(Protocol):
    """Implemented by reconcile; every method is thread-safe and cheap."""

    def status(self, name: str) -> Status: ...

    def floor(self) -> int:
        """The lowest generation that every known switch has confirmed: ids freed at or before it may be used again."""
        ...


class FabricView(Protocol):
    """Implemented by reconcile; thread-safe: returns the newest frozen value."""

    def fabric(self) -> Fabric: ...

    def attachable(self, attachment: Attachment, port: str) -> str | None:
        """None if nothing known speaks against attaching this port (by name) there, else the reason.

        "ATTACHMENT_IS_FABRIC", or "ATTACHMENT_IN_USE": the same switch port under its other spelling.
        """
        ...


class Gate(Protocol):
    """Says no to a change of intent for what is observed: no capacity, no path.  Asked in the writer thread, one change
    after the other, so nobody else is admitted between the question and the commit.
    """

    def check(self, before: Snapshot, after: Snapshot, changed: frozenset[str]) -> None:
        """Raises a PliantError that says why not.  Changes nothing; `changed` names what differs."""
        ...
