"""NetworkService: networks, subnets, ports."""

from __future__ import annotations

import asyncio

from grpc.aio import ServicerContext
from pliant.v1 import network_pb2 as pb
from pliant.v1.common_pb2 import DeleteResponse
from pliant.v1.network_pb2_grpc import NetworkServiceServicer

from controller.intent.snapshot import Resource
from controller.model.errors import InvalidArgument
from controller.northbound.calls import NEW, Calls
from controller.northbound.resources import NETWORK, PORT, SUBNET

MAX_BATCH = 1_000


class NetworkServicer(NetworkServiceServicer):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def CreateNetwork(self, request: pb.CreateNetworkRequest, context: ServicerContext) -> pb.Network:
        return await self._calls.create(NETWORK, request)

    async def GetNetwork(self, request: pb.GetNetworkRequest, context: ServicerContext) -> pb.Network:
        return self._calls.get(NETWORK, request)

    async def ListNetworks(self, request: pb.ListNetworksRequest, context: ServicerContext) -> pb.ListNetworksResponse:
        networks, token, revision = await self._calls.list(NETWORK, request)
        return pb.ListNetworksResponse(networks=networks, next_page_token=token, revision=revision)

    async def UpdateNetwork(self, request: pb.UpdateNetworkRequest, context: ServicerContext) -> pb.Network:
        return await self._calls.update(NETWORK, request)

    async def DeleteNetwork(self, request: pb.DeleteNetworkRequest, context: ServicerContext) -> DeleteResponse:
        return await self._calls.delete(NETWORK, request)

    async def CreateSubnet(self, request: pb.CreateSubnetRequest, context: ServicerContext) -> pb.Subnet:
        return await self._calls.create(SUBNET, request)

    async def GetSubnet(self, request: pb.GetSubnetRequest, context: ServicerContext) -> pb.Subnet:
        return self._calls.get(SUBNET, request)

    async def ListSubnets(self, request: pb.ListSubnetsRequest, context: ServicerContext) -> pb.ListSubnetsResponse:
        subnets, token, revision = await self._calls.list(SUBNET, request)
        return pb.ListSubnetsResponse(subnets=subnets, next_page_token=token, revision=revision)

    async def UpdateSubnet(self, request: pb.UpdateSubnetRequest, context: ServicerContext) -> pb.Subnet:
        return await self._calls.update(SUBNET, request)

    async def DeleteSubnet(self, request: pb.DeleteSubnetRequest, context: ServicerContext) -> DeleteResponse:
        return await self._calls.delete(SUBNET, request)

    async def CreatePort(self, request: pb.CreatePortRequest, context: ServicerContext) -> pb.Port:
        return await self._calls.create(PORT, request)

    async def GetPort(self, request: pb.GetPortRequest, context: ServicerContext) -> pb.Port:
        return self._calls.get(PORT, request)

    async def ListPorts(self, request: pb.ListPortsRequest, context: ServicerContext) -> pb.ListPortsResponse:
        ports, token, revision = await self._calls.list(PORT, request)
        return pb.ListPortsResponse(ports=ports, next_page_token=token, revision=revision)

    async def UpdatePort(self, request: pb.UpdatePortRequest, context: ServicerContext) -> pb.Port:
        return await self._calls.update(PORT, request)

    async def DeletePort(self, request: pb.DeletePortRequest, context: ServicerContext) -> DeleteResponse:
        return await self._calls.delete(PORT, request)

    async def BatchCreatePorts(
        self, request: pb.BatchCreatePortsRequest, context: ServicerContext
    ) -> pb.BatchCreatePortsResponse:
        # A thousand ports take the better part of 100 ms to check: not in the event loop's thread.
        ports = await asyncio.get_running_loop().run_in_executor(None, _batch, request)
        settled = await self._calls.mutate(
            request, lambda **options: self._calls.engine.create_many(ports, **options)
        )
        return pb.BatchCreatePortsResponse(ports=self._calls.answer(settled))


def _batch(request: pb.BatchCreatePortsRequest) -> list[Resource]:
    """The ports that a batch asks for."""
    parent = PORT.check_parent(request.parent)
    if not request.requests:
        raise InvalidArgument("EMPTY_REQUEST", "the batch holds no ports", fields={"requests": "is empty"})
    if len(request.requests) > MAX_BATCH:
        what = f"has {len(request.requests)} elements; at most {MAX_BATCH} are allowed"
        raise InvalidArgument("INVALID_FIELD", f"requests {what}", fields={"requests": what})
    ports = []
    for index, each in enumerate(request.requests):
        prefix = f"requests[{index}]."
        _check_element(each, parent, prefix)
        name = PORT.place(each, parent, prefix)
        ports.append(PORT.to_model(each.port, name, NEW, f"{prefix}port"))
    return ports


def _check_element(element: pb.CreatePortRequest, parent: str, prefix: str) -> None:
    if element.parent not in ("", parent):
        raise InvalidArgument(
            "INVALID_NAME",
            f"{prefix}parent is not the parent of the batch",
            fields={f"{prefix}parent": f"must be empty or {parent}"},
        )
    for field, _ in element.ListFields():
        if field.name not in ("parent", "port_id", "port"):
            raise InvalidArgument(
                "INVALID_FIELD",
                f"{prefix}{field.name} is set: set it once, for the batch",
                fields={f"{prefix}{field.name}": "must not be set in an element of a batch"},
            )
