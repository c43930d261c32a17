"""PipeService."""

from __future__ import annotations

from grpc.aio import ServicerContext
from pliant.v1 import pipe_pb2 as pb
from pliant.v1.common_pb2 import DeleteResponse
from pliant.v1.pipe_pb2_grpc import PipeServiceServicer

from controller.northbound.calls import Calls
from controller.northbound.resources import PIPE


class PipeServicer(PipeServiceServicer):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def CreatePipe(self, request: pb.CreatePipeRequest, context: ServicerContext) -> pb.Pipe:
        return await self._calls.create(PIPE, request)

    async def GetPipe(self, request: pb.GetPipeRequest, context: ServicerContext) -> pb.Pipe:
        return self._calls.get(PIPE, request)

    async def ListPipes(self, request: pb.ListPipesRequest, context: ServicerContext) -> pb.ListPipesResponse:
        pipes, token, revision = await self._calls.list(PIPE, request)
        return pb.ListPipesResponse(pipes=pipes, next_page_token=token, revision=revision)

    async def UpdatePipe(self, request: pb.UpdatePipeRequest, context: ServicerContext) -> pb.Pipe:
        return await self._calls.update(PIPE, request)

    async def DeletePipe(self, request: pb.DeletePipeRequest, context: ServicerContext) -> DeleteResponse:
        return await self._calls.delete(PIPE, request)
