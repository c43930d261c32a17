"""The kinds of a tenant's resources, as data: what the generic use of one needs to know of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from pliant.v1.network_pb2 import Network, Port, Subnet
from pliant.v1.peering_pb2 import Peering
from pliant.v1.pipe_pb2 import Pipe
from pliant.v1.tenant_pb2 import Tenant

from controller.intent.snapshot import Resource, Snapshot
from controller.model.errors import InvalidArgument, NotFound
from controller.model.ids import check_id, check_name
from controller.model.tenancy import Meta
from controller.northbound import convert

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[M]):
    """`name` is also the field that holds it in requests and envelopes; `parent` is "" for tenants."""

    name: str
    plural: str
    message: type[M]
    parent: str
    to_model: Callable[[Any, str, Meta, str], Resource]
    all: Callable[[Snapshot], Collection[str]]
    children: Callable[[Snapshot, str], Collection[str]]

    @property
    def descriptor(self) -> Descriptor:
        return cast(Descriptor, self.message.DESCRIPTOR)

    def place(self, request: Any, parent: str, prefix: str = "") -> str:
        """The name of what a Create request creates: the client's id, or one made here."""
        own_id = getattr(request, f"{self.name}_id")
        own_id = check_id(own_id, f"{prefix}{self.name}_id") if own_id else f"{self.name}-{secrets.token_hex(5)}"
        name = f"{parent}/{self.plural}/{own_id}" if parent else f"{self.plural}/{own_id}"
        given = getattr(request, self.name).name
        if given and given != name:
            raise InvalidArgument(
                "INVALID_NAME",
                f"{self.name}.name says otherwise than parent and {self.name}_id: leave it empty",
                fields={f"{prefix}{self.name}.name": f"must be empty or {name}"},
            )
        return name

    def check_parent(self, parent: str, field: str = "parent") -> str:
        return check_name(parent, self.parent, field)

    def names(self, snapshot: Snapshot, parent: str) -> list[str]:
        """Sorted names under the parent, of which any id may be "-" for all.  NotFound if there is no such parent."""
        if not self.parent:
            return sorted(self.all(snapshot))
        if "/-" in parent:
            pattern = parent.split("/")
            self.check_parent("/".join("x" if part == "-" else part for part in pattern))
            return sorted(name for name in self.all(snapshot) if _matches(name.split("/"), pattern))
        if snapshot.get(self.check_parent(parent)) is None:
            raise NotFound("PARENT_NOT_FOUND", f"{parent} does not exist", subject=parent)
        return sorted(self.children(snapshot, parent))


def _matches(parts: list[str], pattern: list[str]) -> bool:
    return all(wanted in ("-", part) for part, wanted in zip(parts, pattern, strict=False))


TENANT = Kind(
    name="tenant",
    plural="tenants",
    message=Tenant,
    parent="",
    to_model=convert.tenant,
    all=lambda snapshot: snapshot.tenants,
    children=lambda snapshot, _: snapshot.tenants,
)
NETWORK = Kind(
    name="network",
    plural="networks",
    message=Network,
    parent="tenant",
    to_model=convert.network,
    all=lambda snapshot: snapshot.networks,
    children=lambda snapshot, parent: snapshot.networks_by_tenant.get(parent, {}),
)
SUBNET = Kind(
    name="subnet",
    plural="subnets",
    message=Subnet,
    parent="network",
    to_model=convert.subnet,
    all=lambda snapshot: snapshot.subnets,
    children=lambda snapshot, parent: snapshot.subnets_by_network.get(parent, {}),
)
PORT = Kind(
    name="port",
    plural="ports",
    message=Port,
    parent="network",
    to_model=convert.port,
    all=lambda snapshot: snapshot.ports,
    children=lambda snapshot, parent: snapshot.ports_by_network.get(parent, {}),
)
PEERING = Kind(
    name="peering",
    plural="peerings",
    message=Peering,
    parent="tenant",
    to_model=convert.peering,
    all=lambda snapshot: snapshot.peerings,
    children=lambda snapshot, parent: snapshot.peerings_by_tenant.get(parent, {}),
)
PIPE = Kind(
    name="pipe",
    plural="pipes",
    message=Pipe,
    parent="tenant",
    to_model=convert.pipe,
    all=lambda snapshot: snapshot.pipes,
    children=lambda snapshot, parent: snapshot.pipes_by_tenant.get(parent, {}),
)
KINDS: dict[str, Kind[Any]] = {kind.name: kind for kind in (TENANT, NETWORK, SUBNET, PORT, PEERING, PIPE)}
