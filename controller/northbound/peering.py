"""PeeringService."""

from __future__ import annotations

from grpc.aio import ServicerContext
from pliant.v1 import peering_pb2 as pb
from pliant.v1.common_pb2 import DeleteResponse
from pliant.v1.peering_pb2_grpc import PeeringServiceServicer

from controller.northbound.calls import Calls
from controller.northbound.resources import PEERING


class PeeringServicer(PeeringServiceServicer):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def CreatePeering(self, request: pb.CreatePeeringRequest, context: ServicerContext) -> pb.Peering:
        return await self._calls.create(PEERING, request)

    async def GetPeering(self, request: pb.GetPeeringRequest, context: ServicerContext) -> pb.Peering:
        return self._calls.get(PEERING, request)

    async def ListPeerings(self, request: pb.ListPeeringsRequest, context: ServicerContext) -> pb.ListPeeringsResponse:
        peerings, token, revision = await self._calls.list(PEERING, request)
        return pb.ListPeeringsResponse(peerings=peerings, next_page_token=token, revision=revision)

    async def UpdatePeering(self, request: pb.UpdatePeeringRequest, context: ServicerContext) -> pb.Peering:
        return await self._calls.update(PEERING, request)

    async def DeletePeering(self, request: pb.DeletePeeringRequest, context: ServicerContext) -> DeleteResponse:
        return await self._calls.delete(PEERING, request)
