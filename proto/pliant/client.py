"""pliant.Client: the contract as Python calls.  Thin: messages go in and come out, nothing is cached.

What it adds to the stubs: it finds the controller and its token, gives every mutation a request_id so that a call
cut off by a restart can be sent again, turns pages into iterators, goes on with a watch where it broke, and raises
ApiError.  A Client may be shared by threads.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType, TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from pliant.connection import Connection
from pliant.discovery import find_target, find_token
from pliant.streams import Stream, Watch
from pliant.v1 import (
    apply_pb2,
    apply_pb2_grpc,
    bandwidth_pb2,
    bandwidth_pb2_grpc,
    fabric_pb2,
    fabric_pb2_grpc,
    network_pb2,
    network_pb2_grpc,
    peering_pb2,
    peering_pb2_grpc,
    pipe_pb2,
    pipe_pb2_grpc,
    tenant_pb2,
    tenant_pb2_grpc,
    watch_pb2,
)
from pliant.v1.apply_pb2 import ApplyResponse, Resource
from pliant.v1.bandwidth_pb2 import QuoteBandwidthResponse, Usage, WatchUsageResponse
from pliant.v1.common_pb2 import DeleteResponse
from pliant.v1.fabric_pb2 import DropCount, IdentifyResponse, Link, ListPathsResponse, ServerInfo, Switch
from pliant.v1.network_pb2 import Network, Port, Subnet
from pliant.v1.peering_pb2 import Peering
from pliant.v1.pipe_pb2 import Pipe
from pliant.v1.tenant_pb2 import Tenant

Owned = Tenant | Network | Subnet | Port | Peering | Pipe
"""What a tenant, or its tenant's operator, creates."""
R = TypeVar("R", bound=Message)
DEFAULT_TIMEOUT_S = 60.0
def _options(
    request_id: str, validate_only: bool, wait: bool, wait_timeout_s: float | None
) -> dict[str, Any]:
    options: dict[str, Any] = {"validate_only": validate_only, "wait": wait}
    options["request_id"] = request_id or uuid.uuid4().hex
    if wait_timeout_s is not None:
        options["wait_timeout"] = Duration(nanos=0)
        options["wait_timeout"].FromMilliseconds(round(wait_timeout_s * 1_000))
    return options


def _resource(message: Owned) -> Resource:
    fields: dict[str, Any] = {type(message).__name__.lower(): message}
    return Resource(**fields)


class _Readable(Generic[R]):
    """Get and List of one kind of resource."""

    def __init__(self, connection: Connection, stub: Any, messages: ModuleType, kind: str, plural: str) -> None:
        self._connection, self._stub, self._messages = connection, stub, messages
        self._kind, self._plural = kind, plural

    def _call(self, verb: str, noun: str, **fields: Any) -> Any:
        request = getattr(self._messages, f"{verb}{noun}Request")(**fields)
        return self._connection.call(getattr(self._stub, f"{verb}{noun}"), request)

    def get(self, name: str) -> R:
        return cast(R, self._call("Get", self._kind, name=name))

    def _pages(self, **fields: Any) -> Iterator[R]:
        token = ""
        while True:
            page = self._call("List", self._plural.capitalize(), page_token=token, **fields)
            yield from getattr(page, self._plural)
            token = page.next_page_token
            if not token:
                return


class Collection(_Readable[R]):
    """Everything that can be done with one kind of a tenant's resources."""

    def create(
        self,
        resource: R,
        *,
        parent: str = "",
        request_id: str = "",
        validate_only: bool = False,
        wait: bool = False,
        wait_timeout_s: float | None = None,
    ) -> R:
        """Create it under its name.  Without a name the server makes one, under `parent`."""
        fields = self._placed(resource, parent) | _options(request_id, validate_only, wait, wait_timeout_s)
        return cast(R, self._call("Create", self._kind, **fields))

    def _placed(self, resource: R, parent: str) -> dict[str, Any]:
        """parent, id and resource of a create request."""
        name: str = getattr(resource, "name", "")
        above, _, own_id = name.rpartition(f"{self._plural}/")
        parent = parent or above.rstrip("/")
        kind = self._kind.lower()
        fields: dict[str, Any] = {kind: resource, f"{kind}_id": own_id or name}
        return fields | ({"parent": parent} if parent else {})

    def list(self, parent: str = "", *, filter: str = "", page_size: int = 0) -> Iterator[R]:
        """Every one under `parent` (of tenants there is none), all of one revision, read page by page."""
        fields: dict[str, Any] = {"filter": filter, "page_size": page_size}
        return self._pages(**fields, **({"parent": parent} if parent else {}))

    def update(
        self,
        resource: R,
        update_mask: Sequence[str],
        *,
        allow_missing: bool = False,
        request_id: str = "",
        validate_only: bool = False,
        wait: bool = False,
        wait_timeout_s: float | None = None,
    ) -> R:
        """Set the fields that the mask names to what they are in `resource`; its etag, if any, must be current."""
        fields = {self._kind.lower(): resource, "update_mask": FieldMask(paths=update_mask)}
        options = _options(request_id, validate_only, wait, wait_timeout_s)
        return cast(R, self._call("Update", self._kind, allow_missing=allow_missing, **fields, **options))

    def delete(
        self,
        name: str,
        *,
        etag: str = "",
        force: bool = False,
        allow_missing: bool = False,
        request_id: str = "",
        validate_only: bool = False,
        wait: bool = False,
        wait_timeout_s: float | None = None,
    ) -> DeleteResponse:
        """Delete it; with `force` what it contains as well."""
        fields: dict[str, Any] = {"name": name, "etag": etag, "allow_missing": allow_missing}
        if force:
            fields["force"] = True
        options = _options(request_id, validate_only, wait, wait_timeout_s)
        return cast(DeleteResponse, self._call("Delete", self._kind, **fields, **options))


class Ports(Collection[Port]):
    def batch_create(
        self,
        parent: str,
        ports: Iterable[Port],
        *,
        request_id: str = "",
        validate_only: bool = False,
        wait: bool = False,
        wait_timeout_s: float | None = None,
    ) -> Sequence[Port]:
        """Create all of them in one network, or none."""
        requests = [network_pb2.CreatePortRequest(**self._placed(port, parent)) for port in ports]
        options = _options(request_id, validate_only, wait, wait_timeout_s)
        answer = self._call("BatchCreate", "Ports", parent=parent, requests=requests, **options)
        return cast(Sequence[Port], answer.ports)


class _Observed(_Readable[R]):
    """Switches and links: the fabric makes them, the operator says a thing or two of them."""

    def list(self, *, filter: str = "", page_size: int = 0) -> Iterator[R]:
        return self._pages(filter=filter, page_size=page_size)

    def update(
        self, resource: R, update_mask: Sequence[str], *, force: bool = False, allow_missing: bool = False
    ) -> R:
        """Say something of it; `force` drains it even if tenants lose paths, `allow_missing` before it was seen."""
        fields: dict[str, Any] = {self._kind.lower(): resource, "update_mask": FieldMask(paths=update_mask)}
        return cast(R, self._call("Update", self._kind, force=force, allow_missing=allow_missing, **fields))


class Switches(_Observed[Switch]):
    def delete(self, name: str, *, allow_missing: bool = False) -> None:
        """Forget a switch that is not connected."""
        self._call("Delete", "Switch", name=name, allow_missing=allow_missing)


class Links(_Observed[Link]):
    def list(self, *, filter: str = "", page_size: int = 0, usage: bool = False) -> Iterator[Link]:
        """All links; with `usage` and what they carry, which may take two seconds to know."""
        return self._pages(filter=filter, page_size=page_size, usage=usage)


class Client:
    """A connection to a controller.

    target       a gRPC target ("127.0.0.1:50051", "unix:/run/pliant.sock"); found by pliant.discovery if not given
    token        the bearer token; found by pliant.discovery if not given
    credentials  TLS, needed for a controller that does not listen on this machine
    timeout_s    how long any one call may take, its retries included
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        token: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self.target = target or find_target()
        self._connection = Connection(
            self.target, find_token() if token is None else token, credentials, timeout_s
        )
        connection, channel = self._connection, self._connection.channel
        tenants = tenant_pb2_grpc.TenantServiceStub(channel)
        networks = network_pb2_grpc.NetworkServiceStub(channel)
        self._fabric = fabric_pb2_grpc.FabricServiceStub(channel)
        self._usage = bandwidth_pb2_grpc.UsageServiceStub(channel)
        self._quote = bandwidth_pb2_grpc.QuoteServiceStub(channel)
        self._apply = apply_pb2_grpc.ApplyServiceStub(channel)
        self.tenants = Collection[Tenant](connection, tenants, tenant_pb2, "Tenant", "tenants")
        self.networks = Collection[Network](connection, networks, network_pb2, "Network", "networks")
        self.subnets = Collection[Subnet](connection, networks, network_pb2, "Subnet", "subnets")
        self.ports = Ports(connection, networks, network_pb2, "Port", "ports")
        peerings = peering_pb2_grpc.PeeringServiceStub(channel)
        self.peerings = Collection[Peering](connection, peerings, peering_pb2, "Peering", "peerings")
        pipes = pipe_pb2_grpc.PipeServiceStub(channel)
        self.pipes = Collection[Pipe](connection, pipes, pipe_pb2, "Pipe", "pipes")
        self.switches = Switches(connection, self._fabric, fabric_pb2, "Switch", "switches")
        self.links = Links(connection, self._fabric, fabric_pb2, "Link", "links")

    def apply(
        self,
        resources: Iterable[Owned],
        *,
        deletes: Iterable[str] = (),
        force: bool = False,
        request_id: str = "",
        validate_only: bool = False,
        wait: bool = False,
        wait_timeout_s: float | None = None,
    ) -> ApplyResponse:
        """Make every resource exist as given and every name of `deletes` gone, in one transaction."""
        request = apply_pb2.ApplyRequest(
            resources=[_resource(each) for each in resources],
            deletes=deletes,
            force=force,
            **_options(request_id, validate_only, wait, wait_timeout_s),
        )
        return cast(ApplyResponse, self._connection.call(self._apply.Apply, request))

    def watch(
        self,
        parent: str = "",
        *,
        start_revision: int = 0,
        resume_token: str = "",
        kinds: Iterable[watch_pb2.Kind.ValueType] = (),
        usage: bool = False,
    ) -> Watch:
        """What is and what changes under `parent`: ADDED..., SYNCED, then live (see watch.proto).

        `usage`: of links, if they are among the kinds, also what they carry.
        """
        request = watch_pb2.WatchRequest(
            parent=parent, start_revision=start_revision, resume_token=resume_token, kinds=kinds, usage=usage
        )
        return Watch(self._connection, request)

    def usage(self, kind: watch_pb2.Kind.ValueType, parent: str = "", *, page_size: int = 0) -> Iterator[Usage]:
        """What every tenant, network, port, pipe or link at or below `parent` carried, as of the last look."""
        token = ""
        while True:
            request = bandwidth_pb2.ListUsageRequest(kind=kind, parent=parent, page_size=page_size, page_token=token)
            page = self._connection.call(self._usage.ListUsage, request)
            yield from page.usages
            token = page.next_page_token
            if not token:
                return

    def watch_usage(self, kind: watch_pb2.Kind.ValueType, parent: str = "") -> Stream[WatchUsageResponse]:
        """All of them, then after each look those that changed.  After a cut it begins with all of them again."""
        request = bandwidth_pb2.WatchUsageRequest(kind=kind, parent=parent)
        return Stream(self._connection, self._usage.WatchUsage, request)

    def quote(self, resource: Owned) -> QuoteBandwidthResponse:
        """Whether the guarantee in `resource` would be admitted now, and what would; nothing is changed."""
        request = bandwidth_pb2.QuoteBandwidthRequest(resource=_resource(resource))
        return cast(QuoteBandwidthResponse, self._connection.call(self._quote.QuoteBandwidth, request))

    def drops(self, *, switch: str = "", tenant: str = "") -> Sequence[DropCount]:
        """How many packets the switches dropped, by tenant and reason."""
        request = fabric_pb2.ListDropsRequest(switch=switch, tenant=tenant)
        answer = self._connection.call(self._fabric.ListDrops, request)
        return cast(Sequence[DropCount], answer.drops)

    def identify(self, *, label: str = "", queue: int = 0) -> IdentifyResponse:
        """Whose a label is (a MAC address), and whose a queue: the names behind their numbers."""
        request = fabric_pb2.IdentifyRequest(label=label, queue=queue)
        return cast(IdentifyResponse, self._connection.call(self._fabric.Identify, request))

    def paths(
        self, source: str, destination: str, *, network: str = "", alternatives: int = 0
    ) -> ListPathsResponse:
        """How frames go from one switch or port to another (resource names), and the best paths there are.

        Of a network, which may have a path policy; between two ports of one it is theirs.
        """
        request = fabric_pb2.ListPathsRequest(
            source=source, destination=destination, network=network, alternative_count=alternatives
        )
        return cast(ListPathsResponse, self._connection.call(self._fabric.ListPaths, request))

    def topology(self, format: fabric_pb2.TopologyFormat.ValueType = fabric_pb2.TOPOLOGY_FORMAT_NODE_LINK_JSON) -> str:
        """All switches and links as one document."""
        request = fabric_pb2.GetTopologyRequest(format=format)
        return str(self._connection.call(self._fabric.GetTopology, request).document)

    def server_info(self) -> ServerInfo:
        request = fabric_pb2.GetServerInfoRequest()
        return cast(ServerInfo, self._connection.call(self._fabric.GetServerInfo, request))

    def close(self) -> None:
        self._connection.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
