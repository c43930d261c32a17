"""The use cases: every change of intent goes through one writer thread, one transaction, one new generation.

    caller ──► queue ──► writer:  edit (pure) ─► attachments ─► transaction (objects, keys, answer) ─► publish ─► future
                                      ▲                             │ fails: nothing changed
                                      └──── newest snapshot ◄───────┘

Knows order, durability, etags and request ids.  What an edit may do is intent's business (edits.py, rules.py), what the
store's bytes mean codec.py's.  Readers take the newest snapshot and never wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypedDict, Unpack

import structlog
from prometheus_client import Histogram

from controller.intent import edits
from controller.intent.edits import Applied
from controller.intent.snapshot import Resource, Snapshot
from controller.model.errors import (
    REASONS,
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    Internal,
    NotFound,
    PliantError,
    Unavailable,
)
from controller.model.network import Port
from controller.model.status import Status
from controller.service.archive import Archive
from controller.service.interfaces import FabricView, Gate, StatusView, Store, StoreFailed
from controller.service.requests import KEPT_S, Outcome, keep, replay
from controller.service.watch import Commit, Hub, Scope, Subscription, stopping

__all__ = ["Commit", "Engine", "Outcome", "etag_of"]

KEPT_REVISIONS = 10_000
COMPACT_EVERY = 1_000
"""Revisions between two compactions."""

COMMIT_SECONDS = Histogram(
    "pliant_commit_seconds", "Time of one use case in the writer thread: edit, checks, transaction.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
log = structlog.get_logger()


class Marks(TypedDict):
    """What the pure edits cannot know by themselves."""

    floor: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The circumstances of one edit."""

    now_s: float
    marks: Marks


Edit = Callable[[Snapshot, Moment], Applied]
"""A use case's pure part: from the newest snapshot to the one it wants, or an error."""


class How(TypedDict, total=False):
    """Keywords that every mutation takes."""

    request_id: str
    """The same id again returns the first outcome, whatever happened since.  "" = none."""
    digest: bytes
    """Of the request: the same id with another digest is refused."""
    validate_only: bool
    """Do everything but the commit."""


class Engine:
    """Every method may be called from any thread.  Mutations return at once; their futures fail with a PliantError."""

    def __init__(
        self, store: Store, *, clock: Callable[[], float], fabric: FabricView, status: StatusView,
        on_commit: Callable[[Commit], None], new_uid: Callable[[], str], gates: Sequence[Gate] = (),
    ) -> None:
        """Load the newest snapshot.  StoreFailed if the store cannot be read, or not understood.

        `clock` tells wall time in seconds.  `on_commit` is called in the writer thread, in order, before the caller
        hears of the commit; it must not block.
        """
        self._store = store
        self._clock = clock
        self._fabric = fabric
        self._status = status
        self._on_commit = on_commit
        self._new_uid = new_uid
        self._gates = gates
        self.boot_id = new_uid()
        """Changes with every start; half of a watch token."""
        self._archive = Archive(store)
        self._hub = Hub(store, status=status, newest=self.snapshot, boot_id=self.boot_id)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._gate = threading.Lock()
        self._last: Future[None] | None = None
        """The writer's last task, once no more are accepted."""
        self._abandoned = False
        self._writer.submit(self._compact)

    # -- changes

    def create(self, obj: Resource, **how: Unpack[How]) -> Future[Outcome]:
        def perform(snapshot: Snapshot, now: Moment) -> Applied:
            return self._create(snapshot, obj, now)

        return self._submit(perform, how)

    def create_many(self, objs: Sequence[Resource], *, path: str = "requests", **how: Unpack[How]) -> Future[Outcome]:
        """All or none, in one generation.  An error names the element as `path`[index]."""

        def perform(snapshot: Snapshot, now: Moment) -> Applied:
            for index, obj in enumerate(objs):
                if snapshot.get(obj.name) is not None:
                    raise AlreadyExists(
                        "ALREADY_EXISTS", f"{path}[{index}] ({obj.name}): it exists; choose another id, or update it",
                        subject=obj.name, metadata={"index": str(index), "object": obj.name},
                    )
            return edits.apply(snapshot, objs, now_s=now.now_s, new_uid=self._new_uid, path=path, **now.marks)

        return self._submit(perform, how)

    def update(
        self, name: str, edit: Callable[[Resource], Resource], *, etag: str = "", allow_missing: Resource | None = None,
        **how: Unpack[How],
    ) -> Future[Outcome]:
        """`edit` gets the newest object, in the writer thread.  `allow_missing` is created if there is none."""

        def perform(snapshot: Snapshot, now: Moment) -> Applied:
            current = snapshot.get(name)
            if current is None and allow_missing is not None:
                return self._create(snapshot, allow_missing, now)
            snapshot, after = edits.update(snapshot, edit(_matching(current, name, etag)), **now.marks)
            return Applied(snapshot=snapshot, objects=(after,))

        return self._submit(perform, how)

    def delete(
        self, name: str, *, etag: str = "", force: bool = False, allow_missing: bool = False, **how: Unpack[How],
    ) -> Future[Outcome]:
        """`force` deletes all that is below it too; `allow_missing` takes a name that leads to nothing for done."""

        def perform(snapshot: Snapshot, now: Moment) -> Applied:
            current = snapshot.get(name)
            if current is None and allow_missing:
                return Applied(snapshot=snapshot)
            _matching(current, name, etag)
            snapshot, gone = edits.delete(snapshot, name, force=force, **now.marks)
            return Applied(snapshot=snapshot, deleted=gone)

        return self._submit(perform, how)

    def apply(
        self, puts: Sequence[Resource], deletes: Sequence[str] = (), *, etags: Mapping[str, str] | None = None,
        force: bool = False, **how: Unpack[How],
    ) -> Future[Outcome]:
        """Make all of `puts` exist as given and all of `deletes` gone, in any order, in one generation, or nothing.

        An object named in `etags` must exist and still have that etag.
        """

        def perform(snapshot: Snapshot, now: Moment) -> Applied:
            for name, etag in (etags or {}).items():
                _matching(snapshot.get(name), name, etag)
            return edits.apply(
                snapshot, puts, deletes, now_s=now.now_s, new_uid=self._new_uid, force=force, **now.marks,
            )

        return self._submit(perform, how)

    # -- reads

    def preview(self, obj: Resource) -> Resource:
        """The object, complete, as a commit would make it now: refused for whatever that refuses, except by a gate."""
        snapshot, name = self.snapshot(), obj.name
        now = Marks(floor=self._status.floor(), generation=snapshot.generation + 1)
        if snapshot.get(name) is None:
            _, after = edits.create(snapshot, obj, now_s=self._clock(), uid=self._new_uid(), **now)
        else:
            _, after = edits.update(snapshot, obj, **now)
        self._check_attachment(snapshot, after)
        return after

    def snapshot(self) -> Snapshot:
        """The newest committed snapshot.  Never blocks."""
        return self._archive.newest

    def snapshot_at(self, revision: int) -> Snapshot:
        """The snapshot of that generation, for paging; OutOfRange REVISION_COMPACTED if it is gone.

        Reads the store unless it is one of the last few: not for an event loop's thread.
        """
        return self._archive.at(revision)

    def status(self, name: str) -> Status:
        return self._status.status(name)

    def watch(
        self, prefix: str = "", *, start_revision: int = 0, boot_id: str = "", kinds: frozenset[str] = frozenset(),
        notify: Callable[[], None] = lambda: None,
    ) -> Subscription:
        """Subscribe to everything at or below `prefix` ("" = all), optionally only some kinds ("tenant" ... "port").

        start_revision 0: ADDED for all there is, SYNCED, then what changes.  Otherwise: what changed after that
        revision, STATUS for what moved meanwhile (all there is, if `boot_id` is another boot's), SYNCED, and so on.
        OutOfRange REVISION_COMPACTED if that revision is too old.  Reads the store unless start_revision is 0.
        """
        scope = Scope(prefix=prefix, kinds=kinds)
        return self._hub.subscribe(scope, start_revision=start_revision, boot_id=boot_id, notify=notify)

    def status_changed(self, names: Collection[str]) -> None:
        """Called by reconcile: the status of these objects may have changed."""
        self._hub.status_changed(names)

    # -- the end

    def close(self, timeout_s: float = 5.0) -> bool:
        """Refuse new calls, finish those accepted, end the watches.  True if the writer is done.

        When the time is up the calls still queued fail with SHUTTING_DOWN; the one at work is left to finish.
        """
        with self._gate:
            if self._last is None:
                self._last = self._writer.submit(lambda: None)
                self._writer.shutdown(wait=False)
        self._abandoned = not wait((self._last,), timeout_s).done
        self._hub.close()
        return not self._abandoned

    # -- the writer

    def _submit(self, edit: Edit, how: How) -> Future[Outcome]:
        with self._gate:
            if self._last is None:
                return self._writer.submit(self._perform, edit, how)
        refused: Future[Outcome] = Future()
        refused.set_exception(stopping())
        return refused

    def _perform(self, edit: Edit, how: How) -> Outcome:
        """One use case, from start to end; whatever happens, it happens to this one only."""
        if self._abandoned:
            raise stopping()
        try:
            with COMMIT_SECONDS.time():
                return self._transact(edit, **how)
        except PliantError:
            raise
        except StoreFailed as error:
            log.error("store_failed", error=str(error))
            raise Unavailable("STORE_FAILED", f"nothing was changed: {error}") from error
        except Exception as error:
            log.exception("use_case_failed")
            raise Internal(
                "INTERNAL", f"nothing was changed: the controller met a defect ({type(error).__name__}); see its log",
            ) from error

    def _create(self, snapshot: Snapshot, obj: Resource, now: Moment) -> Applied:
        snapshot, complete = edits.create(snapshot, obj, now_s=now.now_s, uid=self._new_uid(), **now.marks)
        return Applied(snapshot=snapshot, objects=(complete,))

    def _transact(
        self, edit: Edit, *, request_id: str = "", digest: bytes = b"", validate_only: bool = False,
    ) -> Outcome:
        if validate_only:
            request_id = ""  # nothing is done, so there is nothing to remember
        if request_id and (answer := self._store.answer(request_id)):
            return replay(answer, digest)
        before, now_s = self.snapshot(), self._clock()
        next_generation = before.generation + 1
        applied = edit(before, Moment(now_s=now_s, marks=Marks(floor=self._status.floor(), generation=next_generation)))
        changed_objects = [obj for obj in applied.objects if obj.meta.generation == next_generation]
        for obj in changed_objects:
            self._check_attachment(before, obj)
        changed = frozenset(applied.deleted).union(obj.name for obj in changed_objects)
        for gate in self._gates:
            gate.check(before, applied.snapshot, changed)
        generation = next_generation if changed and not validate_only else before.generation
        outcome = Outcome(objects=applied.objects, deleted=applied.deleted, generation=generation)
        if validate_only:
            return outcome
        answer = keep(request_id, digest, outcome, now_s) if request_id else None
        if changed:
            self._archive.commit(applied.snapshot, changed, answer)
            self._publish(Commit(previous=before, snapshot=applied.snapshot, changed=changed, generation=generation))
        elif answer:
            self._store.txn((), (), answer)
        return outcome

    def _check_attachment(self, before: Snapshot, obj: Resource) -> None:
        """Refuse a new attachment that the fabric knows to be impossible; what it does not know yet may come true."""
        if not isinstance(obj, Port) or obj.attachment is None:
            return
        was = before.ports.get(obj.name)
        if was is not None and was.attachment == obj.attachment:
            return
        reason = self._fabric.attachable(obj.attachment, obj.name)
        if reason is not None:
            raise FailedPrecondition(
                reason, f"{obj.name} cannot attach to {obj.attachment}: {REASONS[reason]}  Choose another switch port.",
                subject=obj.name, metadata={"attachment": str(obj.attachment)},
            )

    def _publish(self, commit: Commit) -> None:
        """The commit is acknowledged: whatever a listener does with it cannot undo it, or fail the caller."""
        for listener in (self._on_commit, self._hub.publish):
            try:
                listener(commit)
            except Exception:
                log.exception("commit_listener_failed", generation=commit.generation)
        if commit.generation % COMPACT_EVERY == 0:
            self._compact()

    def _compact(self) -> None:
        """Old history and old answers cost space, nothing else: a failure is logged and the next time will do."""
        try:
            self._store.compact(KEPT_REVISIONS, self._clock() - KEPT_S)
        except StoreFailed as error:
            log.error("compaction_failed", error=str(error))


def etag_of(obj: Resource) -> str:
    """An opaque string that changes whenever the object does."""
    return f"{obj.meta.generation:x}"


def _matching(current: Resource | None, name: str, etag: str) -> Resource:
    """The object, if it is there and is the one the caller read."""
    if current is None:
        raise NotFound("NOT_FOUND", f"{name} does not exist", subject=name)
    if etag and etag != etag_of(current):
        raise Aborted(
            "ETAG_MISMATCH", f"{name} changed since it was read: read it again and repeat the change", subject=name,
            metadata={"etag": etag_of(current)},
        )
    return current
