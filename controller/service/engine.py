"""The use cases: every change of intent goes through one writer thread, one transaction, one new generation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from controller.intent.snapshot import Resource, Snapshot
from controller.service.interfaces import FabricView, Status, StatusView, Store
from controller.service.watch import Commit, Subscription

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a use case did: the objects as they now stand, in the order asked, and the names that are gone.

    `generation` is the one to wait for.  `replayed`: this is the stored answer to an earlier call with the same request_id.
    """

    objects: tuple[Resource, ...] = ()
    deleted: tuple[str, ...] = ()
    generation: int
    replayed: bool = False


class Engine:
    def __init__(
        self, store: Store, *, clock: Callable[[], float], fabric: FabricView, status: StatusView,
        on_commit: Callable[[Commit], None], new_uid: Callable[[], str],
    ) -> None:
        raise NotImplementedError

    boot_id: str
    """Changes with every start; half of a watch token."""

    def create(
        self, obj: Resource, *, request_id: str = "", digest: bytes = b"", validate_only: bool = False,
    ) -> Future[Outcome]:
        raise NotImplementedError

    def create_many(
        self, objs: Sequence[Resource], *, request_id: str = "", digest: bytes = b"", validate_only: bool = False,
    ) -> Future[Outcome]:
        """All or none, in one generation."""
        raise NotImplementedError

    def update(
        self, name: str, edit: Callable[[Resource], Resource], *, etag: str = "", allow_missing: Resource | None = None,
        request_id: str = "", digest: bytes = b"", validate_only: bool = False,
    ) -> Future[Outcome]:
        """`edit` is called in the writer thread with the newest object.  `allow_missing` is created if there is none."""
        raise NotImplementedError

    def delete(
        self, name: str, *, etag: str = "", force: bool = False, allow_missing: bool = False,
        request_id: str = "", digest: bytes = b"", validate_only: bool = False,
    ) -> Future[Outcome]:
        raise NotImplementedError

    def apply(
        self, puts: Sequence[Resource], deletes: Sequence[str] = (), *, request_id: str = "", digest: bytes = b"",
        validate_only: bool = False,
    ) -> Future[Outcome]:
        raise NotImplementedError

    def snapshot(self) -> Snapshot:
        """The newest committed snapshot.  Never blocks."""
        raise NotImplementedError

    def snapshot_at(self, revision: int) -> Snapshot:
        """The snapshot of that generation, for paging.  OutOfRange REVISION_COMPACTED if it is gone.  May read the store: not for an event loop's thread."""
        raise NotImplementedError

    def status(self, name: str) -> Status:
        raise NotImplementedError

    def watch(
        self, prefix: str = "", *, start_revision: int = 0, boot_id: str = "", kinds: frozenset[str] = frozenset(),
        notify: Callable[[], None] = lambda: None,
    ) -> Subscription:
        """Subscribe to everything at or below `prefix` ("" = all), optionally only some kinds ("tenant", "network", "subnet", "port").

        start_revision 0: ADDED for all there is, SYNCED, then changes.  Otherwise changes after that revision, SYNCED, then on;
        statuses missed meanwhile (all of them if `boot_id` is another boot's) come before SYNCED.
        """
        raise NotImplementedError

    def status_changed(self, names: frozenset[str]) -> None:
        """Called by reconcile: tell watchers that the status of these objects may have changed."""
        raise NotImplementedError

    def close(self, timeout_s: float = 5.0) -> bool:
        """Finish what is in flight, refuse the rest, close the watches.  True if the writer ended in time."""
        raise NotImplementedError


def etag_of(obj: Resource) -> str:
    """An opaque string that changes whenever the object does."""
    return f"{obj.meta.generation:x}"
