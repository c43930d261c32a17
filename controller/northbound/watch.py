"""WatchService: one subscription of the engine, as a stream.

The subscription bounds what waits for a slow reader; here only as much is taken as HTTP/2 flow control lets go out.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import suppress

from grpc.aio import ServicerContext
from pliant.v1 import watch_pb2 as pb
from pliant.v1.watch_pb2_grpc import WatchServiceServicer

from controller.model.errors import InvalidArgument
from controller.model.ids import kind_of
from controller.northbound import render
from controller.northbound.calls import Calls
from controller.northbound.fabric_watch import KINDS as KINDS_OF_FABRIC
from controller.northbound.fabric_watch import FabricWatch
from controller.northbound.resources import KINDS
from controller.service.watch import Event, EventKind, Subscription

BATCH = 64
"""Events made at once: about a millisecond of the event loop."""

_TYPES = {
    EventKind.ADDED: pb.EVENT_TYPE_ADDED,
    EventKind.MODIFIED: pb.EVENT_TYPE_MODIFIED,
    EventKind.STATUS: pb.EVENT_TYPE_MODIFIED,
    EventKind.DELETED: pb.EVENT_TYPE_DELETED,
    EventKind.SYNCED: pb.EVENT_TYPE_SYNCED,
    EventKind.BOOKMARK: pb.EVENT_TYPE_BOOKMARK,
}


class WatchServicer(WatchServiceServicer):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._engine = calls.engine
        self._operator = calls.backend.operator

    async def Watch(self, request: pb.WatchRequest, context: ServicerContext) -> AsyncIterator[pb.WatchResponse]:
        loop, wake = asyncio.get_running_loop(), asyncio.Event()

        def notify() -> None:
            loop.call_soon_threadsafe(wake.set)

        revision, boot_id = _start(request)
        prefix = request.parent
        if prefix:
            kind_of(prefix, "parent")
        kinds = _kinds(request)
        if prefix and kinds & KINDS_OF_FABRIC:
            what = "switches and links are under no tenant"
            raise InvalidArgument("INVALID_FIELD", f"parent: {what}", fields={"parent": what})

        def subscribe() -> Subscription:
            return self._engine.watch(
                prefix,
                start_revision=revision,
                boot_id=boot_id,
                kinds=kinds,
                notify=notify,
            )

        # It reads history from the store.
        subscribing = loop.run_in_executor(None, subscribe)
        try:
            subscription = await asyncio.shield(subscribing)
        except asyncio.CancelledError:
            subscribing.add_done_callback(_close_unread)
            raise
        fabric = FabricWatch(self._operator, kinds, usage=request.usage, notify=notify)
        token = request.resume_token
        try:
            while True:
                wake.clear()
                for message in fabric.take():
                    message.resume_token = token
                    yield message
                events = subscription.take(BATCH)
                for event in events:
                    message = self._message(event)
                    token = message.resume_token
                    yield message
                if not events:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(wake.wait(), fabric.look_again_s)
        finally:
            fabric.close()
            subscription.close()


    def _message(self, event: Event) -> pb.WatchResponse:
        message = pb.WatchResponse(
            type=_TYPES[event.kind],
            revision=event.generation,
            resume_token=make_token(event.generation, self._engine.boot_id),
        )
        if event.resource is not None:
            bandwidth = self._calls.backend.bandwidth.status(event.name)
            described = render.message_of(event.resource, event.status, bandwidth)
            message.resource.CopyFrom(render.resource_of(described))
        elif event.name:
            getattr(message.resource, kind_of(event.name)).name = event.name
        return message


def _close_unread(subscribing: asyncio.Future[Subscription]) -> None:
    """The client went while it subscribed: nobody will read what there is now."""
    if not subscribing.cancelled() and subscribing.exception() is None:
        subscribing.result().close()


def make_token(revision: int, boot_id: str) -> str:
    return base64.urlsafe_b64encode(f"{revision}.{boot_id}".encode()).decode()


def read_token(token: str) -> tuple[int, str]:
    """(revision, boot id).  It needs no signature: a watch shows the same whatever the token says."""
    try:
        text = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
        revision, _, boot_id = text.partition(".")
        return int(revision), boot_id
    except (binascii.Error, ValueError):
        raise InvalidArgument(
            "INVALID_FIELD", "resume_token is none that a watch gave", fields={"resume_token": "is malformed"}
        ) from None


def _start(request: pb.WatchRequest) -> tuple[int, str]:
    return read_token(request.resume_token) if request.resume_token else (request.start_revision, "")


def _kinds(request: pb.WatchRequest) -> frozenset[str]:
    for index, kind in enumerate(request.kinds):
        if kind not in pb.Kind.values() or kind == pb.KIND_UNSPECIFIED:
            field = f"kinds[{index}]"
            raise InvalidArgument("INVALID_ENUM", f"{field}: {kind} is not a Kind", fields={field: "is not a Kind"})
    names = frozenset(pb.Kind.Name(kind).removeprefix("KIND_").lower() for kind in request.kinds)
    assert names <= KINDS.keys() | KINDS_OF_FABRIC
    return names
