"""docs/api.md: the reference of the contract, out of the descriptors and the comments of the .proto files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

_Place: TypeAlias = tuple[int, ...]
_SYNTAX = (12,)
"""The place of the first statement, above which a file says what it is about."""
_SHARED = ("request_id", "validate_only", "wait", "wait_timeout")
_HEAD = """# Reference of pliant.v1

Generated from `proto/pliant/v1/` by `make proto`; edit it there.  How to use it is in [the gRPC API](grpc.md).

Fields marked † are set by the server, those marked * are required, and those marked ‡ cannot be changed.  Requests that
change something also have `request_id`, `validate_only`, `wait` and `wait_timeout`
([what they do](grpc.md#what-every-change-has-in-common)).
"""


def render_reference(image: bytes) -> str:
    """Markdown of a FileDescriptorSet with source info."""
    files = [file for file in FileDescriptorSet.FromString(image).file if file.package == "pliant.v1"]
    return "\n".join([_HEAD, *(line for file in files for line in _file(file))])


def _file(file: FileDescriptorProto) -> Iterator[str]:
    said = {tuple(place.path): _flat(place.leading_comments) for place in file.source_code_info.location}
    yield f"## {Path(file.name).name}\n"
    yield f"{said.get(_SYNTAX, '')}\n"
    for s, service in enumerate(file.service):
        yield f"### {service.name}\n"
        yield "| method | request | answer | |\n|---|---|---|---|"
        for m, method in enumerate(service.method):
            answer = ("stream of " if method.server_streaming else "") + _short(method.output_type)
            yield f"| `{method.name}` | {_short(method.input_type)} | {answer} | {said.get((6, s, 2, m), '')} |"
        yield ""
    for number, enum in enumerate(file.enum_type):
        yield from _enum(enum, (5, number), said)
    for number, message in enumerate(file.message_type):
        yield from _message(message, (4, number), said)


def _message(message: DescriptorProto, place: _Place, said: dict[_Place, str], within: str = "") -> Iterator[str]:
    name = within + message.name
    if message.options.map_entry:
        return
    yield f"### {name}\n"
    if said.get(place):
        yield f"{said[place]}\n"
    shown = [(number, field) for number, field in enumerate(message.field) if field.name not in _SHARED]
    if shown:
        yield "| field | type | |\n|---|---|---|"
    maps = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
    for number, field in shown:
        yield f"| `{field.name}`{_marks(field)} | {_type(field, maps)} | {said.get((*place, 2, number), '')} |"
    yield ""
    for number, nested in enumerate(message.nested_type):
        yield from _message(nested, (*place, 3, number), said, f"{name}.")


def _enum(enum: EnumDescriptorProto, place: _Place, said: dict[_Place, str]) -> Iterator[str]:
    yield f"### {enum.name}\n"
    if said.get(place):
        yield f"{said[place]}\n"
    yield "| value | number | |\n|---|---|---|"
    for number, value in enumerate(enum.value):
        yield f"| `{value.name}` | {value.number} | {said.get((*place, 2, number), '')} |"
    yield ""


def _marks(field: FieldDescriptorProto) -> str:
    behaviours = field.options.Extensions[field_behavior_pb2.field_behavior]
    marks = {field_behavior_pb2.OUTPUT_ONLY: "†", field_behavior_pb2.REQUIRED: "*", field_behavior_pb2.IMMUTABLE: "‡"}
    return "".join(mark for behaviour, mark in marks.items() if behaviour in behaviours)


def _type(field: FieldDescriptorProto, maps: dict[str, DescriptorProto]) -> str:
    own = _short(field.type_name) if field.type_name else FieldDescriptorProto.Type.Name(field.type)[5:].lower()
    if entry := maps.get(own.rpartition(".")[2]):
        return f"map of {_type(entry.field[0], {})} to {_type(entry.field[1], {})}"
    return f"list of {own}" if field.label == FieldDescriptorProto.LABEL_REPEATED else own


def _short(name: str) -> str:
    return name.removeprefix(".pliant.v1.").removeprefix(".google.protobuf.")


def _flat(comment: str) -> str:
    return " ".join(comment.split()).replace("|", "\\|")
