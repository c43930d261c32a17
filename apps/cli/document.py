"""A message as a document: what -o yaml and -o json print, and `pliant apply` takes back.

    apiVersion: pliant/v1
    kind: Port
    metadata: {tenant: red, network: net1, name: web-1, labels: {app: web}}     which object, and the client's marks
    spec: {subnet: s1, bandwidth: {ceiling_out: 10 Mbit/s}, ...}                what is asked
    status: {state: ACTIVE, uid: ..., ...}                                      what the server says; apply ignores it

Keys are the field names of the contract; a rate in `x_kbps` is written as text under `x`.  The fields, and which of
them are the server's, are read from the contract, so that a new field needs nothing here.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from google.api import field_behavior_pb2  # type: ignore[import-untyped]
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from apps.cli.kinds import Kind, kind_of, last_id
from apps.cli.rates import format_rate

Descriptor: TypeAlias = Any
FieldDescriptor: TypeAlias = Any
EnumDescriptor: TypeAlias = Any
"""Of protobuf, whose own types say that the descriptors of a message are one of two unrelated classes."""

API_VERSION = "pliant/v1"
METADATA = ("labels", "display_name")
"""Fields that metadata holds under their own names; the name itself is split into tenant, network and name."""
RATE_SUFFIX = "_kbps"
PLACES = ("tenant", "network")


def spec_fields(descriptor: Descriptor) -> list[FieldDescriptor]:
    """The fields of a resource that say what is asked of it."""
    rest = ("name", "etag", *METADATA)
    return [field for field in descriptor.fields if not is_servers(field) and field.name not in rest]


def is_servers(field: FieldDescriptor) -> bool:
    """Whether only the server sets it."""
    return field_behavior_pb2.OUTPUT_ONLY in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


def key_of(field: FieldDescriptor) -> str:
    """Under which key a document has the field."""
    return str(field.name).removesuffix(RATE_SUFFIX)


def places(kind: Kind) -> tuple[str, ...]:
    """What of tenant and network the metadata of that kind needs besides its name."""
    return PLACES[: len(kind.collections) - 1] if kind.owned else ()


def document(message: Message) -> dict[str, Any]:
    """The whole message."""
    kind = kind_of(message.DESCRIPTOR.name)
    head: dict[str, Any] = {"apiVersion": API_VERSION, "kind": kind.title}
    if not kind.collections:
        return head | _plain(message, unset=True)
    parts: list[str] = message.name.split("/")  # type: ignore[attr-defined]
    metadata: dict[str, Any] = dict(zip((*places(kind), "name"), parts[1::2], strict=True))
    spec, status = {}, {}
    ours = {field.name for field in spec_fields(message.DESCRIPTOR)}
    for field in message.DESCRIPTOR.fields:
        if field.name == "name":
            continue
        value = getattr(message, field.name)
        if field.name in ours:
            if _is_set(message, field):
                spec[key_of(field)] = _value(field, value)
        elif field.name in METADATA:
            if value:
                metadata[field.name] = _value(field, value)
        else:
            status[key_of(field)] = _value(field, value, unset=True)
    if "subnet" in spec:
        spec["subnet"] = last_id(spec["subnet"])
    if kind.name in ("peering", "pipe"):
        spec |= {end: end_of(spec[end]) for end in ("a", "b") if end in spec}
    return head | {"metadata": metadata} | ({"spec": spec} if spec else {}) | {"status": status}


def end_of(name: str) -> str:
    """NETWORK, or NETWORK/PORT, of what joins two of them: the tenant is its own."""
    return "/".join(name.split("/")[3::2])


def _plain(message: Message, *, unset: bool = False) -> dict[str, Any]:
    """The fields of a message; with `unset` also the scalars that have their zero value."""
    return {
        key_of(field): _value(field, getattr(message, field.name), unset=unset)
        for field in message.DESCRIPTOR.fields
        if _is_set(message, field) or (unset and field.message_type is None and field.containing_oneof is None)
    }


def _is_set(message: Message, field: FieldDescriptor) -> bool:
    if field.has_presence:
        return message.HasField(field.name)
    return bool(getattr(message, field.name))


def _value(field: FieldDescriptor, value: Any, *, unset: bool = False) -> Any:
    if is_map(field):
        inner = field.message_type.fields_by_name["value"]
        return {key: _scalar(inner, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_scalar(field, element, unset=unset) for element in value]
    return _scalar(field, value, unset=unset)


def _scalar(field: FieldDescriptor, value: Any, *, unset: bool = False) -> Any:
    if isinstance(value, Timestamp | Duration):
        return value.ToJsonString()
    if isinstance(value, Message):
        return _plain(value, unset=unset)
    if field.enum_type is not None:
        return enum_text(field.enum_type, value)
    if field.name.endswith(RATE_SUFFIX):
        return format_rate(value) if value else "none"
    return value


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def enum_prefix(enum: EnumDescriptor) -> str:
    """'STATE_' of State."""
    return str(enum.values_by_number[0].name).removesuffix("UNSPECIFIED")


def enum_text(enum: EnumDescriptor, number: int) -> str:
    """'ACTIVE' of STATE_ACTIVE."""
    known = enum.values_by_number.get(number)
    return str(known.name).removeprefix(enum_prefix(enum)) if known is not None else str(number)
