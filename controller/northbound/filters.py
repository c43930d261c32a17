"""The small filter of List calls, a subset of AIP-160: terms joined by AND.

    labels.env = "prod" AND state = ACTIVE AND subnet != tenants/a/networks/n/subnets/s

A term compares a field, by its path in the resource, with a value as text.  Of a repeated field any element may match;
an enum value is written with or without its prefix; "" matches a text or label that is not set.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from controller.model.errors import InvalidArgument

Filter = Callable[[Message], bool]
MAX_FILTER_CHARS = 1_000
_TERM = re.compile(
    r"""\s*(?P<path>[a-z_]+(?:\.[\w./-]+)?)\s*(?P<operator>!?=)\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[\w.:/-]+))\s*"""
)
_AND = re.compile(r"AND(?=\s)")


@dataclass(frozen=True, slots=True)
class _Term:
    fields: tuple[FieldDescriptor, ...]
    key: str | None
    """Of a map, the key looked at."""
    equal: bool
    value: str

    def holds(self, message: Message) -> bool:
        for field in self.fields[:-1]:
            message = getattr(message, field.name)
        field, value = self.fields[-1], getattr(message, self.fields[-1].name)
        if self.key is not None:
            field = _value_field(field)
            texts = [_text(field, value[self.key]) if self.key in value else ""]
        elif field.is_repeated:
            texts = [_text(field, element) for element in value]
        else:
            texts = [_text(field, value)]
        return (self.value in texts) is self.equal


def parse_filter(text: str, resource: Descriptor) -> Filter:
    """A predicate over messages of that type; "" accepts all.  INVALID_FILTER if it cannot be understood."""
    if not text.strip():
        return lambda _: True
    if len(text) > MAX_FILTER_CHARS:
        raise _refused(f"the filter has {len(text)} characters", f"at most {MAX_FILTER_CHARS} characters")
    terms, position = [], 0
    while True:
        match = _TERM.match(text, position)
        if match is None:
            raise _refused(f"cannot understand the filter from {text[position : position + 40]!r} on", _HINT)
        terms.append(_term(match, resource))
        position = match.end()
        if position == len(text):
            return lambda message: all(term.holds(message) for term in terms)
        joint = _AND.match(text, position)
        if joint is None:
            raise _refused(f"expected AND in the filter at {text[position : position + 40]!r}", _HINT)
        position = joint.end()


_HINT = 'write terms like: labels.env = "prod" AND state = ACTIVE'


def _term(match: re.Match[str], resource: Descriptor) -> _Term:
    path: str = match["path"]
    fields: list[FieldDescriptor] = []
    message: Descriptor | None = resource
    rest: str | None = path
    while rest is not None:
        name, dot, rest_text = rest.partition(".")
        field = message.fields_by_name.get(name) if message is not None else None
        if field is None:
            raise _refused(f"{resource.name} has no field {path[:60]!r}", f"no such field: {path[:60]}")
        fields.append(field)
        rest = rest_text if dot else None
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            if rest is None:
                raise _refused(f"{path!r} needs a key", f"write {path}.KEY = VALUE")
            return _Term(tuple(fields), rest, match["operator"] == "=", _value(match, _value_field(field)))
        if field.is_repeated:
            message = None
    if fields[-1].message_type is not None:
        raise _refused(f"{path!r} holds more than one value", f"name a field inside {path}")
    return _Term(tuple(fields), None, match["operator"] == "=", _value(match, fields[-1]))


def _value(match: re.Match[str], field: FieldDescriptor) -> str:
    written: str = match["bare"] if match["quoted"] is None else match["quoted"]
    return _enum_name(field.enum_type, written) if field.enum_type is not None else written


def _value_field(map_field: FieldDescriptor) -> FieldDescriptor:
    entry = map_field.message_type
    assert entry is not None, "only maps have keys"
    return entry.fields_by_name["value"]


def _text(field: FieldDescriptor, value: Any) -> str:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else str(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _enum_name(enum: EnumDescriptor, written: str) -> str:
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    name = written.upper()
    for candidate in (name, prefix + name):
        if candidate in enum.values_by_name:
            return candidate
    known = ", ".join(value.name.removeprefix(prefix) for value in enum.values[1:])
    raise _refused(f"{written[:40]!r} is not a {enum.name}", f"use one of {known}")


def _refused(message: str, violation: str) -> InvalidArgument:
    return InvalidArgument("INVALID_FILTER", message, fields={"filter": violation})
