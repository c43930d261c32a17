"""ApplyService: many objects, one transaction."""

from __future__ import annotations

import asyncio

from grpc.aio import ServicerContext
from pliant.v1 import apply_pb2 as pb
from pliant.v1.apply_pb2_grpc import ApplyServiceServicer

from controller.intent.snapshot import Resource
from controller.model.errors import InvalidArgument
from controller.model.ids import check_name, kind_of
from controller.northbound import render
from controller.northbound.calls import NEW, Calls
from controller.northbound.resources import KINDS

MAX_OBJECTS = 10_000


class ApplyServicer(ApplyServiceServicer):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def Apply(self, request: pb.ApplyRequest, context: ServicerContext) -> pb.ApplyResponse:
        loop = asyncio.get_running_loop()
        puts, etags = await loop.run_in_executor(None, _objects, request)
        settled = await self._calls.mutate(
            request,
            lambda **options: self._calls.engine.apply(
                puts, list(request.deletes), etags=etags, force=request.force, **options
            ),
        )
        messages = await loop.run_in_executor(None, self._calls.answer, settled)
        return pb.ApplyResponse(
            resources=[render.resource_of(message) for message in messages],
            revision=settled.outcome.generation,
            reconciling=settled.late,
            lagging_switches=[render.switch_name(dpid) for dpid in settled.lagging],
        )


def _objects(request: pb.ApplyRequest) -> tuple[list[Resource], dict[str, str]]:
    """The objects to put, and the etags that some of them must still have."""
    count = len(request.resources) + len(request.deletes)
    if count == 0:
        raise InvalidArgument("EMPTY_REQUEST", "there is nothing to apply", fields={"resources": "is empty"})
    if count > MAX_OBJECTS:
        what = f"has {count} objects; at most {MAX_OBJECTS} are allowed"
        raise InvalidArgument("INVALID_FIELD", f"the request {what}", fields={"resources": what})
    puts, etags = [], {}
    for index, resource in enumerate(request.resources):
        field = resource.WhichOneof("kind")
        if field is None:
            where = f"resources[{index}]"
            raise InvalidArgument("MISSING_FIELD", f"{where} is empty", fields={where: "must hold a resource"})
        message, prefix = getattr(resource, field), f"resources[{index}].{field}"
        name = check_name(message.name, field, f"{prefix}.name")
        puts.append(KINDS[field].to_model(message, name, NEW, prefix))
        if message.etag:
            etags[name] = message.etag
    for index, name in enumerate(request.deletes):
        kind_of(name, f"deletes[{index}]")
    return puts, etags
