"""Update masks: which fields of a resource a request sets, and which it must not touch.

What may be set is read from the contract itself (google.api.field_behavior): OUTPUT_ONLY and IDENTIFIER fields cannot
be named in a mask; IMMUTABLE ones may be named but not changed.  "*" stands for every field that may be set.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeVar, cast

from google.api import field_behavior_pb2  # type: ignore[import-untyped]
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from controller.model.errors import InvalidArgument

M = TypeVar("M", bound=Message)
Path = tuple[str, ...]
NEVER_SET = frozenset({"etag"})
"""A precondition, not a value: it has no behaviour of its own in AIP-203."""
MAX_PATHS = 100


@cache
def _behaviors(field: FieldDescriptor) -> frozenset[int]:
    return frozenset(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def _is_settable(field: FieldDescriptor) -> bool:
    fixed = {field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER}
    return not _behaviors(field) & fixed and field.name not in NEVER_SET


def _is_immutable(field: FieldDescriptor) -> bool:
    return field_behavior_pb2.IMMUTABLE in _behaviors(field)


def check_mask(mask: FieldMask, resource: Descriptor) -> tuple[Path, ...]:
    """The mask's paths, split; InvalidArgument INVALID_UPDATE_MASK if it is empty or names what cannot be updated."""
    if not mask.paths:
        raise _refused("the update mask is empty", "name the fields to update, or '*' for all of them")
    if len(mask.paths) > MAX_PATHS:
        raise _refused(f"the update mask has {len(mask.paths)} paths", f"at most {MAX_PATHS} paths")
    if list(mask.paths) == ["*"]:
        return tuple((field.name,) for field in resource.fields if _is_settable(field))
    return tuple(_check_path(path, resource) for path in mask.paths)


def _check_path(path: str, resource: Descriptor) -> Path:
    names = tuple(path.split("."))
    message: Descriptor | None = resource
    for depth, name in enumerate(names):
        field = message.fields_by_name.get(name) if message is not None else None
        shown = path if len(path) <= 60 else f"{path[:57]}..."
        if field is None:
            raise _refused(f"{shown!r} is not a field of {resource.name}", f"no such field: {shown}")
        if depth == 0 and not _is_settable(field):
            raise _refused(f"{shown!r} of {resource.name} is not for clients to set", f"cannot be updated: {shown}")
        message = None if field.is_repeated else field.message_type
    return names


def merge(current: M, wanted: M, paths: Sequence[Path], *, prefix: str) -> M:
    """A copy of `current` with the fields of `paths` as `wanted` has them; a field absent there is cleared.

    InvalidArgument IMMUTABLE_FIELD if that changes a field that is fixed at creation.  `prefix` is the resource's field
    in the request, for violations.  A "*" from a client that left an immutable field empty leaves it as it is.
    """
    merged = type(current)()
    merged.CopyFrom(current)
    for path in paths:
        field = cast(FieldDescriptor, current.DESCRIPTOR.fields_by_name[path[0]])
        if _is_immutable(field):
            _check_unchanged(field, current, wanted, prefix)
        else:
            _copy_field(merged, wanted, path)
    return merged


def _check_unchanged(field: FieldDescriptor, current: Message, wanted: Message, prefix: str) -> None:
    value = getattr(wanted, field.name)
    if value and value != getattr(current, field.name):
        raise InvalidArgument(
            "IMMUTABLE_FIELD",
            f"{field.name} cannot be changed after creation; delete the {prefix} and create it anew",
            fields={f"{prefix}.{field.name}": "cannot be changed after creation"},
        )


def _copy_field(target: Message, source: Message, path: Path) -> None:
    for name in path[:-1]:
        source = getattr(source, name)
        target = getattr(target, name)
    field = target.DESCRIPTOR.fields_by_name[path[-1]]
    absent = field.has_presence and not source.HasField(field.name)
    if absent or field.is_repeated or field.message_type is not None:
        target.ClearField(field.name)
    if absent:
        return
    if field.is_repeated or field.message_type is not None:
        # Only this one field of the source: MergeFrom then copies maps, lists and messages alike.
        only = type(source)()
        only.CopyFrom(source)
        for other in source.DESCRIPTOR.fields:
            if other.name != field.name:
                only.ClearField(other.name)
        target.MergeFrom(only)
    else:
        setattr(target, field.name, getattr(source, field.name))


def _refused(message: str, violation: str) -> InvalidArgument:
    return InvalidArgument("INVALID_UPDATE_MASK", message, fields={"update_mask": violation})
