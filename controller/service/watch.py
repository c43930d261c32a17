"""Watches: how a change in intent or status reaches whoever subscribed to a part of the resource tree.

Knows order, resumption and back pressure; knows no gRPC, no event loop and no thread of its own.  A subscription is
pulled (`take`); `notify` is called, from whatever thread, when there is something to pull.

What waits for a reader is never a copy of objects: the backlog is generated from a frozen snapshot or from history as
it is read, live changes wait as references to commits, status changes as a set of names.  So memory is bounded, a batch
of ten thousand objects counts as one commit, and a status that changed ten times is told once, as it then is.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from operator import attrgetter

import structlog

from controller.intent.snapshot import Resource, Snapshot
from controller.model.errors import InvalidArgument, OutOfRange, PliantError, ResourceExhausted, Unavailable
from controller.model.ids import rank_of
from controller.model.status import Status
from controller.service.codec import decode_resource
from controller.service.interfaces import Compacted, Record, StatusView, Store

log = structlog.get_logger()

MAX_WAITING_COMMITS = 1_000
"""A reader this many commits behind is cut."""
ROOT = "tenants/"
"""Every object's key in the store starts with this."""
BOOKMARK_EVERY = 100
"""Commits that do not concern a subscription before it is told where it stands: its resume position must not age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One acknowledged transaction: the snapshot before and after, and the names of the objects that differ."""

    previous: Snapshot
    snapshot: Snapshot
    changed: frozenset[str]
    generation: int


class EventKind(StrEnum):
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
    """`resource` and `status` are None for DELETED, SYNCED and BOOKMARK.

    (`generation`, boot id) is where to resume after this event; 0: from the beginning.
    """

    kind: EventKind
    generation: int
    name: str = ""
    resource: Resource | None = None
    status: Status | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a subscription is about: everything at or below `prefix` ("" = all), of these kinds (none given = all)."""

    prefix: str = ""
    kinds: frozenset[str] = frozenset()

    def holds(self, name: str) -> bool:
        if self.prefix and name != self.prefix and not name.startswith(self.prefix + "/"):
            return False
        return not self.kinds or name.rsplit("/", 2)[-2].removesuffix("s") in self.kinds


Change = tuple[str, Resource | None, bool]
"""Name, the object as it became (None: deleted), whether it was there before."""


def _rank(change: Change) -> tuple[int, str]:
    """Sorts what is referred to before what refers to it."""
    return rank_of(change[0]), change[0]


class Subscription:
    """One reader's place in the stream.  `take` and `close` belong to the reader (one thread), the rest to the hub.

        backlog ──► commits ──► names with a new status ──► bookmark        take() drains them in this order
    """

    def __init__(
        self, scope: Scope, *, since: int, status: Callable[[str], Status], newest: Callable[[], Snapshot],
        notify: Callable[[], None], on_close: Callable[[Subscription], None],
    ) -> None:
        self.scope = scope
        self.since = since
        """Commits up to this generation are the backlog's; later ones are offered."""
        self._status = status
        self._newest = newest
        self._notify = notify
        self._on_close = on_close
        self._lock = threading.Lock()
        self._commits: deque[Commit] = deque()
        self._stale: dict[str, None] = {}
        self._quiet_commits = 0
        self._bookmark = 0
        self._idle = False
        self._error: PliantError | None = None
        self._told = since
        self._current: Iterator[Event] = iter(())

    def take(self, max_events: int = 256) -> list[Event]:
        """The next events, oldest first.  [] means none now: wait for `notify`, then take again.

        Raises ResourceExhausted SLOW_WATCHER once the reader was cut, Unavailable SHUTTING_DOWN once the engine stopped
        and all was read.
        """
        events: list[Event] = []
        while len(events) < max_events:
            event = next(self._current, None)
            if event is not None:
                events.append(event)
                continue
            source = self._next_source(idle=not events)
            if source is None:
                break
            self._current = source
        return events

    def close(self) -> None:
        """Stop.  Idempotent."""
        self._on_close(self)

    def begin(self, backlog: Iterator[Event], *, told: int) -> None:
        """What to tell first, to a reader that knows everything up to `told`.  Called once, before the reader takes."""
        self._current = backlog
        self._told = told

    def everything(self, snapshot: Snapshot) -> Iterator[Event]:
        """All there is, then SYNCED.  The resume position stays 0 until then: half of a list is no list."""
        resources = [resource for resource in snapshot.objects() if self.scope.holds(resource.name)]
        for resource in resources:
            yield self._about(EventKind.ADDED, resource)
        yield self._synced(snapshot.generation)

    def replay(self, records: Iterable[Record], moved: Iterable[str], generation: int) -> Iterator[Event]:
        """Changes from history, then the statuses that changed meanwhile, then SYNCED."""
        for revision, changes in groupby(records, attrgetter("mod_revision")):
            yield from self._of_changes(
                revision,
                [
                    (record.key, None if record.value is None else decode_resource(record.key, record.value),
                     record.create_revision < revision)
                    for record in changes
                ],
            )
        yield from self._of_statuses(moved)
        yield self._synced(generation)

    def offer_commit(self, commit: Commit) -> None:
        if commit.generation <= self.since:
            return
        concerned = any(map(self.scope.holds, commit.changed))
        with self._lock:
            if self._error:
                return
            if concerned:
                self._commits.append(commit)
                self._quiet_commits = 0
                if len(self._commits) > MAX_WAITING_COMMITS:
                    self._cut()
            else:
                self._quiet_commits += 1
                if self._quiet_commits < BOOKMARK_EVERY:
                    return
                self._quiet_commits, self._bookmark = 0, commit.generation
            wake, self._idle = self._idle, False
        if wake:
            self._wake()

    def offer_status(self, names: Collection[str]) -> None:
        mine = [name for name in names if self.scope.holds(name)]
        with self._lock:
            if self._error or not mine:
                return
            self._stale.update(dict.fromkeys(mine))
            wake, self._idle = self._idle, False
        if wake:
            self._wake()

    def end(self, error: PliantError) -> None:
        """Let the reader finish what waits, then meet the error."""
        with self._lock:
            self._error = self._error or error
            wake, self._idle = self._idle, False
        if wake:
            self._wake()

    def _wake(self) -> None:
        """A reader that cannot be notified (its event loop is closed) must cost the other readers nothing."""
        try:
            self._notify()
        except Exception:
            log.exception("watch_reader_lost", prefix=self.scope.prefix)
            self.close()

    def _cut(self) -> None:
        """Drop what waits and leave the error to the reader.  The caller holds the lock."""
        self._commits.clear()
        self._stale.clear()
        self._error = ResourceExhausted(
            "SLOW_WATCHER", f"the watch fell {MAX_WAITING_COMMITS} commits behind and was cut: "
            "resume from the last revision that was read", subject=self.scope.prefix,
        )

    def _next_source(self, *, idle: bool) -> Iterator[Event] | None:
        with self._lock:
            if self._commits:
                return self._of_commit(self._commits.popleft())
            if self._stale:
                names, self._stale = self._stale, {}
                return self._of_statuses(names)
            if self._bookmark > self._told:
                self._told = self._bookmark
                return iter((Event(kind=EventKind.BOOKMARK, generation=self._told),))
            if idle and self._error:
                raise self._error
            self._idle = idle
            return None

    def _of_commit(self, commit: Commit) -> Iterator[Event]:
        before, after = commit.previous, commit.snapshot
        names = filter(self.scope.holds, commit.changed)
        changes = [(name, after.get(name), before.get(name) is not None) for name in names]
        return self._of_changes(commit.generation, changes)

    def _of_changes(self, generation: int, changes: Sequence[Change]) -> Iterator[Event]:
        """Deleted children before their parents, then parents before their children.

        Only the last event of a generation moves the resume position: a reader that lost its connection within a
        generation must get all of it again.
        """
        ranked = sorted(changes, key=_rank)
        gone = [change for change in reversed(ranked) if change[1] is None]
        ordered = [*gone, *(change for change in ranked if change[1] is not None)]
        for position, (name, resource, known) in enumerate(ordered, start=1):
            if position == len(ordered):
                self._told = generation
            if resource is None:
                yield Event(kind=EventKind.DELETED, generation=self._told, name=name)
            else:
                yield self._about(EventKind.MODIFIED if known else EventKind.ADDED, resource)

    def _of_statuses(self, names: Iterable[str]) -> Iterator[Event]:
        for name in sorted(names):
            resource = self._newest().get(name)
            if resource is not None:
                yield self._about(EventKind.STATUS, resource)

    def _about(self, kind: EventKind, resource: Resource) -> Event:
        """The status is read when the event is: however often it changed meanwhile, the reader gets the newest."""
        status = self._status(resource.name)
        return Event(kind=kind, generation=self._told, name=resource.name, resource=resource, status=status)

    def _synced(self, generation: int) -> Event:
        self._told = generation
        return Event(kind=EventKind.SYNCED, generation=generation)


class Hub:
    """All subscriptions.  The writer thread calls `publish`, reconcile `status_changed`, anyone `subscribe`."""

    def __init__(self, store: Store, *, status: StatusView, newest: Callable[[], Snapshot], boot_id: str) -> None:
        self._store = store
        self._status = status
        self._newest = newest
        self._boot_id = boot_id
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()
        self._status_moved_at: dict[str, int] = {}
        """name -> the newest generation when its status last changed: what a reader that resumes has missed"""
        self._closed = False

    def subscribe(self, scope: Scope, *, start_revision: int, boot_id: str, notify: Callable[[], None]) -> Subscription:
        """See Engine.watch."""
        with self._lock:
            if self._closed:
                raise stopping()
            # Under the lock that `publish` takes: a commit is in this snapshot or will be offered, never neither.
            snapshot = self._newest()
            subscription = Subscription(
                scope, since=snapshot.generation, status=self._status.status, newest=self._newest, notify=notify,
                on_close=self._forget,
            )
            self._subscriptions.add(subscription)
        try:
            if start_revision == 0:
                subscription.begin(subscription.everything(snapshot), told=0)
            else:
                records = self._history(scope, start_revision, snapshot.generation)
                moved = self._statuses_missed(scope, start_revision, boot_id, snapshot)
                subscription.begin(subscription.replay(records, moved, snapshot.generation), told=start_revision)
        except BaseException:
            subscription.close()
            raise
        return subscription

    def publish(self, commit: Commit) -> None:
        with self._lock:
            subscriptions = list(self._subscriptions)
            for name in commit.changed:
                if commit.snapshot.get(name) is None:
                    self._status_moved_at.pop(name, None)
        for subscription in subscriptions:
            subscription.offer_commit(commit)

    def status_changed(self, names: Collection[str]) -> None:
        with self._lock:
            snapshot = self._newest()
            for name in names:
                if snapshot.get(name) is not None:
                    self._status_moved_at[name] = snapshot.generation
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.offer_status(names)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            subscriptions, self._subscriptions = self._subscriptions, set()
        for subscription in subscriptions:
            subscription.end(stopping())

    def _forget(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions.discard(subscription)

    def _history(self, scope: Scope, after: int, until: int) -> list[Record]:
        if after < 0:
            raise InvalidArgument("INVALID_FIELD", f"start_revision {after} is negative: use one received",
                                  fields={"start_revision": "must not be negative"})
        if after > until:
            raise OutOfRange("REVISION_COMPACTED", f"revision {after} has not been yet, the newest is {until}: it is "
                             "from another store; list again and watch from there")
        try:
            records = self._store.history(scope.prefix or ROOT, after)
        except Compacted as error:
            raise OutOfRange("REVISION_COMPACTED", f"changes before revision {error.oldest} are no longer kept: list "
                             "again and watch from there", metadata={"oldest": str(error.oldest)}) from error
        return [record for record in records if record.mod_revision <= until and scope.holds(record.key)]

    def _statuses_missed(self, scope: Scope, since: int, boot_id: str, snapshot: Snapshot) -> list[str]:
        """What changed is known for this boot only; after another one everything is told again."""
        if boot_id != self._boot_id:
            return [resource.name for resource in snapshot.objects() if scope.holds(resource.name)]
        with self._lock:
            moved = list(self._status_moved_at.items())
        return [name for name, at in moved if at >= since and scope.holds(name)]


def stopping() -> Unavailable:
    return Unavailable("SHUTTING_DOWN", "the controller is stopping: try again when it is back")
