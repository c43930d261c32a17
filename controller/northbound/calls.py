"""What every servicer does alike: mutate and perhaps wait, answer with status, list a page.

    request -> engine (writer thread) -> Outcome -> wait for the switches -> message with status

A waiter is a coroutine, never a thread.  Once a transaction is committed nothing here raises: a switch that is late
makes an answer that says `reconciling`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import structlog
from google.protobuf.message import Message
from pliant.v1.common_pb2 import DeleteResponse

from controller.intent.snapshot import Resource, Snapshot
from controller.model.errors import InvalidArgument, NotFound
from controller.model.ids import check_name
from controller.model.tenancy import Meta
from controller.northbound import masks, render
from controller.northbound.filters import parse_filter
from controller.northbound.interfaces import Bandwidth, Confirmations, Operator
from controller.northbound.pages import Pager, Position, after, check_page_size
from controller.northbound.resources import Kind
from controller.service.engine import Engine, Outcome

log = structlog.get_logger()

M = TypeVar("M", bound=Message)
NEW = Meta()
MAX_WAIT_S = 30.0
MAX_REQUEST_ID_CHARS = 128
LATE_S = 1.0
"""How much longer than asked a wait may take before it is given up here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What the servicers serve."""

    engine: Engine
    confirmations: Confirmations
    operator: Operator
    bandwidth: Bandwidth
    version: str
    started_s: float


class Mutation(Protocol):
    """A use case of the engine with everything but the options of the call filled in."""

    def __call__(self, *, request_id: str, digest: bytes, validate_only: bool) -> Future[Outcome]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A mutation's outcome, and what became of the wait for it."""

    outcome: Outcome
    lagging: tuple[int, ...] = ()
    late: bool = False
    """A wait was asked for and ended without confirmation."""


class Calls:
    """The generic part of the servicers, over one Backend."""

    def __init__(self, backend: Backend, pager: Pager) -> None:
        self.backend = backend
        self.engine = backend.engine
        self.pager = pager

    # -- mutations

    async def create(self, kind: Kind[M], request: Any) -> M:
        parent = kind.check_parent(request.parent) if kind.parent else ""
        name = kind.place(request, parent)
        obj = kind.to_model(getattr(request, kind.name), name, NEW, kind.name)
        settled = await self.mutate(request, lambda **options: self.engine.create(obj, **options))
        return cast(M, self.answer(settled)[0])

    async def update(self, kind: Kind[M], request: Any) -> M:
        wanted = getattr(request, kind.name)
        name = check_name(wanted.name, kind.name, f"{kind.name}.name")
        paths = masks.check_mask(request.update_mask, kind.descriptor)

        def edit(current: Resource) -> Resource:
            merged = masks.merge(render.message_of(current), wanted, paths, prefix=kind.name)
            return kind.to_model(merged, name, current.meta, kind.name)

        missing = None
        if request.allow_missing and self.engine.snapshot().get(name) is None:
            missing = kind.to_model(wanted, name, NEW, kind.name)
        settled = await self.mutate(
            request,
            lambda **options: self.engine.update(name, edit, etag=wanted.etag, allow_missing=missing, **options),
        )
        return cast(M, self.answer(settled)[0])

    async def delete(self, kind: Kind[Any], request: Any) -> DeleteResponse:
        name = check_name(request.name, kind.name)
        force = kind.name != "pipe" and request.force
        how = {"etag": request.etag, "force": force, "allow_missing": request.allow_missing}
        settled = await self.mutate(request, lambda **options: self.engine.delete(name, **how, **options))
        return DeleteResponse(
            revision=settled.outcome.generation,
            reconciling=settled.late,
            lagging_switches=map(render.switch_name, settled.lagging),
        )

    async def mutate(self, request: Any, mutation: Mutation) -> Settled:
        """Run it in the writer thread; with `wait` come back when the switches confirmed it, or the time is up."""
        timeout_s = _wait_timeout_s(request)
        # Shielded: a client that hangs up must not pull a transaction from under the writer.
        outcome = await asyncio.shield(asyncio.wrap_future(mutation(**_options(request))))
        if not request.wait or request.validate_only:
            return Settled(outcome=outcome)
        return await self._settle(outcome, timeout_s)

    async def _settle(self, outcome: Outcome, timeout_s: float) -> Settled:
        try:
            waiting = self.backend.confirmations.wait(outcome.generation, timeout_s)
            async with asyncio.timeout(timeout_s + LATE_S):
                lagging = await asyncio.shield(asyncio.wrap_future(waiting))
        except Exception:
            # Committed is committed: whatever broke here, the answer must not say that nothing was done.
            log.exception("wait_failed", generation=outcome.generation)
            return Settled(outcome=outcome, late=True)
        return Settled(outcome=outcome, lagging=tuple(lagging), late=bool(lagging))

    def answer(self, settled: Settled) -> list[Any]:
        """The outcome's objects as messages, in order."""
        messages = [self.describe(obj) for obj in settled.outcome.objects]
        for message in messages:
            message.reconciling = message.reconciling or settled.late
        return messages

    # -- reads

    def describe(self, obj: Resource) -> render.Message:
        return render.message_of(obj, self.engine.status(obj.name), self.backend.bandwidth.status(obj.name))

    def get(self, kind: Kind[M], request: Any) -> M:
        name = check_name(request.name, kind.name)
        obj = self.engine.snapshot().get(name)
        if obj is None:
            raise NotFound("NOT_FOUND", f"{name} does not exist", subject=name)
        return cast(M, self.describe(obj))

    async def list(self, kind: Kind[M], request: Any) -> tuple[list[M], str, int]:
        """One page: messages, the token of the next page, and the revision of the whole list."""
        parent = request.parent if kind.parent else ""
        accept = parse_filter(request.filter, kind.descriptor)
        size = check_page_size(request.page_size)
        bound = (kind.plural, parent, request.filter)
        position = self.pager.read(request.page_token, *bound)

        def read() -> tuple[list[Any], Snapshot]:
            snapshot = self._snapshot(position)
            names = after(kind.names(snapshot, parent), position)
            described = (self.describe(found(snapshot, name)) for name in names)
            return first(size + 1, described, accept), snapshot

        # A filter that accepts little looks at all there is: not in the event loop's thread.
        messages, snapshot = await asyncio.get_running_loop().run_in_executor(None, read)
        token = ""
        if len(messages) > size:
            messages.pop()
            token = self.pager.issue(Position(snapshot.generation, messages[-1].name), *bound)
        return messages, token, snapshot.generation

    def _snapshot(self, position: Position | None) -> Snapshot:
        return self.engine.snapshot() if position is None else self.engine.snapshot_at(position.revision)


def found(snapshot: Snapshot, name: str) -> Resource:
    obj = snapshot.get(name)
    assert obj is not None, f"{name} is in an index of the snapshot but not in the snapshot"
    return obj


def first(count: int, messages: Iterable[Any], accept: Callable[[Message], bool]) -> list[Any]:
    """Up to `count` messages that the filter accepts; no more are made than that takes."""
    accepted: list[Any] = []
    for message in messages:
        if accept(message):
            accepted.append(message)
            if len(accepted) == count:
                break
    return accepted


def _options(request: Any) -> dict[str, Any]:
    """The options of a call that the engine knows."""
    request_id: str = request.request_id
    if len(request_id) > MAX_REQUEST_ID_CHARS:
        what = f"has {len(request_id)} characters; at most {MAX_REQUEST_ID_CHARS} are allowed"
        raise InvalidArgument("INVALID_FIELD", f"request_id {what}", fields={"request_id": what})
    return {"request_id": request_id, "digest": digest_of(request), "validate_only": request.validate_only}


def digest_of(request: Message) -> bytes:
    """What a request_id stands for: the request, but for the id itself and how long to wait."""
    bare = type(request)()
    bare.CopyFrom(request)
    for field in ("request_id", "wait", "wait_timeout"):
        bare.ClearField(field)
    text = bare.DESCRIPTOR.full_name.encode() + b"\0" + bare.SerializeToString(deterministic=True)
    return hashlib.sha256(text).digest()


def _wait_timeout_s(request: Any) -> float:
    if not request.HasField("wait_timeout"):
        return MAX_WAIT_S
    timeout_s = request.wait_timeout.seconds + request.wait_timeout.nanos / 1e9
    if timeout_s < 0:
        raise InvalidArgument(
            "INVALID_FIELD", "wait_timeout is negative", fields={"wait_timeout": "must not be negative"}
        )
    return float(min(timeout_s, MAX_WAIT_S))
