"""Watches: how a change in intent or status reaches whoever subscribed to a part of the resource tree.

Knows order, resumption and back pressure; knows no gRPC, no event loop and no thread of its own.  A subscription is pulled
(`take`); `notify` is called, from whatever thread, when there is something to pull.

What waits for a reader is never a copy of objects: the backlog is generated from a frozen snapshot or from history as it is
read, live changes wait as references to commits, status changes as a set of names.  So memory is bounded, a batch of ten
thousand objects counts as one commit, and a status that changed ten times is told once, as it is when it is read.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby, islice
from operator import attrgetter

from controller.intent.snapshot import Resource, Snapshot
from controller.model.errors import InvalidArgument, OutOfRange, PliantError, ResourceExhausted, Unavailable
from controller.service.codec import decode_resource
from controller.service.interfaces import Compacted, Record, Status, StatusView, Store

MAX_WAITING_COMMITS = 1_000
"""A reader this many commits behind is cut."""
BOOKMARK_EVERY = 100
"""Commits that do not concern a subscription before it is told where it stands, so that its resume position does not age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One acknowledged transaction: the snapshot before and after, and the names of the objects that differ."""

    previous: Snapshot
    snapshot: Snapshot
    changed: frozenset[str]
    generation: int


class EventKind(str, Enum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    STATUS = "STATUS"
    """Only the status of the object changed."""
    SYNCED = "SYNCED"
    """Everything up to `generation` has been told."""
    BOOKMARK = "BOOKMARK"
    """Nothing happened here up to `generation`; resume from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`resource` and `status` are None for DELETED, SYNCED and BOOKMARK.  (`generation`, boot id) is where to resume after this event."""

    kind: EventKind
    generation: int
    name: str = ""
    resource: Resource | None = None
    status: Status | None = None


class Subscription:
    """One reader's place in the stream.  `take` and `close` belong to the reader; the rest is the hub's."""

    def take(self, max_events: int = 256) -> list[Event]:
        """The next events, oldest first; [] if there are none now (`notify` will be called).

        Raises ResourceExhausted SLOW_WATCHER once the reader was cut, Unavailable SHUTTING_DOWN once the engine stopped and all was read.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Stop.  Idempotent."""
        raise NotImplementedError
