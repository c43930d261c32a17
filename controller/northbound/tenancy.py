"""TenantService."""

from __future__ import annotations

from grpc.aio import ServicerContext
from pliant.v1 import tenant_pb2 as pb
from pliant.v1.common_pb2 import DeleteResponse
from pliant.v1.tenant_pb2_grpc import TenantServiceServicer

from controller.northbound.calls import Calls
from controller.northbound.resources import TENANT


class TenantServicer(TenantServiceServicer):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def CreateTenant(self, request: pb.CreateTenantRequest, context: ServicerContext) -> pb.Tenant:
        return await self._calls.create(TENANT, request)

    async def GetTenant(self, request: pb.GetTenantRequest, context: ServicerContext) -> pb.Tenant:
        return self._calls.get(TENANT, request)

    async def ListTenants(self, request: pb.ListTenantsRequest, context: ServicerContext) -> pb.ListTenantsResponse:
        tenants, token, revision = await self._calls.list(TENANT, request)
        return pb.ListTenantsResponse(tenants=tenants, next_page_token=token, revision=revision)

    async def UpdateTenant(self, request: pb.UpdateTenantRequest, context: ServicerContext) -> pb.Tenant:
        return await self._calls.update(TENANT, request)

    async def DeleteTenant(self, request: pb.DeleteTenantRequest, context: ServicerContext) -> DeleteResponse:
        return await self._calls.delete(TENANT, request)
