"""Manifests -> messages: YAML (or JSON) documents as document.py describes them, checked key by key.

Every problem is found and told with its line, not only the first.  Scalars are taken as they are written, so that
`switch: 0000000000000001` is no octal number and `mac_address: 02:00:00:00:00:01` no time of day.  What the server
checks (CIDRs, references, quotas) is left to the server.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from pliant.v1.network_pb2 import Network, Port, Subnet
from pliant.v1.peering_pb2 import Peering
from pliant.v1.pipe_pb2 import Pipe
from pliant.v1.tenant_pb2 import Tenant

from apps.cli.document import (
    API_VERSION,
    METADATA,
    PLACES,
    RATE_SUFFIX,
    FieldDescriptor,
    enum_prefix,
    enum_text,
    is_map,
    key_of,
    places,
    spec_fields,
)
from apps.cli.errors import INVALID, Failure
from apps.cli.kinds import Kind, Scope, kind_of
from apps.cli.rates import checked, parse_rate

Resource = Tenant | Network | Subnet | Port | Peering | Pipe
MESSAGES: dict[str, type[Resource]] = {
    "Tenant": Tenant, "Network": Network, "Subnet": Subnet, "Port": Port, "Peering": Peering, "Pipe": Pipe,
}
MAX_SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One object of a manifest, and where it stands."""

    kind: Kind
    message: Resource
    source: str
    """FILE:LINE"""


@dataclass(slots=True, kw_only=True)
class _Reader:
    file: str
    scope: Scope
    problems: list[str] = field(default_factory=list)

    # -- documents

    def items(self, root: yaml.Node) -> Iterator[Item]:
        top = self._mapping(root, "a document", ("apiVersion", "kind", "metadata", "spec", "status", "items"))
        version, kind = top.get("apiVersion"), top.get("kind")
        if version is None or version.value != API_VERSION:
            self._problem(version or root, f"apiVersion must be {API_VERSION}")
        title = kind.value if isinstance(kind, yaml.ScalarNode) else ""
        if title == "List" and isinstance(top.get("items"), yaml.SequenceNode):
            for node in top["items"].value:
                yield from self.items(node)
            return
        if title not in MESSAGES:
            what = f"kind {title[:40]!r} cannot be applied" if title else "kind is missing"
            self._problem(kind or root, f"{what}: {_hint(title, MESSAGES)}")
            return
        message = MESSAGES[title]()
        source = f"{self.file}:{root.start_mark.line + 1}"
        name = self._metadata(message, kind_of(title), top.get("metadata"), root)
        if spec := top.get("spec"):
            self._fill(message, spec, "spec", spec_fields(message.DESCRIPTOR))
        if isinstance(message, Port) and message.subnet and "/" not in message.subnet:
            message.subnet = f"{name.rpartition('/ports/')[0]}/subnets/{message.subnet}"
        if isinstance(message, Peering | Pipe):
            message.a, message.b = (_end(end, message.name) for end in (message.a, message.b))
        yield Item(kind=kind_of(title), message=message, source=source)

    def _metadata(self, message: Resource, kind: Kind, node: yaml.Node | None, root: yaml.Node) -> str:
        """Fill what metadata says into the message; returns the resource name."""
        needed = places(kind)
        known = [descriptor for descriptor in message.DESCRIPTOR.fields if descriptor.name in (*METADATA, "etag")]
        keys = self._mapping(node, "metadata", None) if node else {}
        defaults = {"tenant": self.scope.tenant, "network": self.scope.network}
        ids = []
        for key in (*needed, "name"):
            given = keys.pop(key, None)
            text = self._text(given, f"metadata.{key}") if given is not None else defaults.get(key, "")
            if not text:
                self._problem(node or root, f"metadata.{key} is missing: a {kind.name} needs it")
            elif "/" in text:
                self._problem(given or root, f"metadata.{key} must be an id, without '/'")
            ids.append(text)
        for key in set(PLACES) - set(needed):
            if extra := keys.pop(key, None):
                self._problem(extra, f"metadata.{key}: a {kind.name} is in no {key}")
        self._fill_keys(message, keys, "metadata", known, also=(*needed, "name"))
        message.name = "/".join(f"{place}/{id_}" for place, id_ in zip(kind.collections, ids, strict=True))
        return message.name

    # -- nodes

    def _fill(self, message: Message, node: yaml.Node, path: str, fields: Iterable[FieldDescriptor]) -> None:
        self._fill_keys(message, self._mapping(node, path, None), path, fields)

    def _fill_keys(
        self, message: Message, nodes: dict[str, yaml.Node], path: str, fields: Iterable[FieldDescriptor],
        also: tuple[str, ...] = (),
    ) -> None:
        by_key = {}
        for descriptor in fields:
            by_key[descriptor.name] = by_key[key_of(descriptor)] = descriptor
        for key, node in nodes.items():
            if key not in by_key:
                shown = {key_of(descriptor) for descriptor in by_key.values()}.union(also)
                self._problem(node, f"unknown key {key[:60]!r} in {path}: {_hint(key, shown)}")
                continue
            try:
                self._set(message, by_key[key], node, f"{path}.{key}")
            except (ValueError, TypeError) as error:
                self._problem(node, f"{path}.{key}: {error}")

    def _set(self, message: Message, descriptor: FieldDescriptor, node: yaml.Node, path: str) -> None:
        if node.tag == "tag:yaml.org,2002:null":
            return
        target = getattr(message, descriptor.name)
        if is_map(descriptor):
            value_field = descriptor.message_type.fields_by_name["value"]
            for key, inner in self._mapping(node, path, None).items():
                target[key] = self._value(value_field, inner, f"{path}.{key}")
        elif descriptor.is_repeated:
            if not isinstance(node, yaml.SequenceNode):
                raise ValueError("must be a list")
            for index, element in enumerate(node.value):
                where = f"{path}[{index}]"
                if descriptor.message_type is not None:
                    self._message(target.add(), element, where)
                else:
                    target.append(self._value(descriptor, element, where))
        elif descriptor.message_type is not None:
            target.SetInParent()
            self._message(target, node, path)
        else:
            other = message.WhichOneof(descriptor.containing_oneof.name) if descriptor.containing_oneof else None
            if other not in (None, descriptor.name):
                raise ValueError(f"goes not together with {other}: give one of the two")
            setattr(message, descriptor.name, self._value(descriptor, node, path))

    def _message(self, message: Message, node: yaml.Node, path: str) -> None:
        if isinstance(message, Timestamp | Duration):
            message.FromJsonString(self._text(node, path))
        else:
            self._fill(message, node, path, message.DESCRIPTOR.fields)

    def _value(self, descriptor: FieldDescriptor, node: yaml.Node, path: str) -> Any:
        text = self._text(node, path)
        if descriptor.enum_type is not None:
            return _enum(descriptor, text)
        if descriptor.type == descriptor.TYPE_STRING:
            return text
        if descriptor.type == descriptor.TYPE_BOOL:
            if text not in ("true", "false"):
                raise ValueError(f"{text[:40]!r} must be true or false")
            return text == "true"
        if re.fullmatch(r"[+-]?[0-9]+", text):
            return checked(int(text)) if descriptor.name.endswith(RATE_SUFFIX) else int(text)
        if descriptor.name.endswith(RATE_SUFFIX):
            return parse_rate(text)
        raise ValueError(f"{text[:40]!r} must be a whole number")

    def _text(self, node: yaml.Node, path: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self._problem(node, f"{path} must be a single value")
            return ""
        return str(node.value)

    def _mapping(self, node: yaml.Node, what: str, keys: Iterable[str] | None) -> dict[str, yaml.Node]:
        """The entries of a mapping; keys that are not known, or there twice, are problems."""
        if not isinstance(node, yaml.MappingNode):
            self._problem(node, f"{what} must be a mapping of keys to values")
            return {}
        found: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            if keys is not None and key not in keys:
                self._problem(key_node, f"unknown key {key[:60]!r} in {what}: {_hint(key, keys)}")
            elif key in found:
                self._problem(key_node, f"key {key[:60]!r} is there twice in {what}")
            else:
                found[key] = value
        return found

    def _problem(self, node: yaml.Node, what: str) -> None:
        self.problems.append(f"{self.file}:{node.start_mark.line + 1}: {what}")


def read_manifest(text: str, file: str, scope: Scope) -> list[Item]:
    """The objects of a file.  Failure names every problem; `scope` fills in a tenant or network that is not given."""
    reader = _Reader(file=file, scope=scope)
    items: list[Item] = []
    try:
        for root in yaml.compose_all(text, Loader=yaml.SafeLoader):
            if root is not None and root.tag != "tag:yaml.org,2002:null":
                items += reader.items(root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Failure(f"{file}:{line}: no valid YAML: {error.problem}", INVALID) from error
    except yaml.YAMLError as error:
        raise Failure(f"{file}: no valid YAML: {error}", INVALID) from error
    seen: dict[str, Item] = {}
    for item in items:
        earlier = seen.setdefault(item.message.name, item)
        if earlier is not item:
            reader.problems.append(f"{item.source}: {item.message.name} is already defined at {earlier.source}")
    if reader.problems:
        shown, more = reader.problems[:MAX_SHOWN_PROBLEMS], len(reader.problems) - MAX_SHOWN_PROBLEMS
        raise Failure("\n".join([*shown, *([f"and {more} more"] if more > 0 else [])]), INVALID)
    return items


def _end(text: str, joint: str) -> str:
    """NETWORK, or NETWORK/PORT, in the tenant of what joins it to another, as a whole name."""
    network, slash, port_id = text.partition("/")
    if not network or "/" in port_id:
        return text
    name = f"{joint.rsplit('/', 2)[0]}/networks/{network}"
    return f"{name}/ports/{port_id}" if slash else name


def _enum(descriptor: FieldDescriptor, text: str) -> int:
    enum = descriptor.enum_type
    assert enum is not None
    name = text.upper().removeprefix(enum_prefix(enum))
    for value in enum.values[1:]:
        if enum_text(enum, value.number) == name:
            return int(value.number)
    known = ", ".join(enum_text(enum, value.number) for value in enum.values[1:])
    raise ValueError(f"{text[:40]!r} must be one of {known}")


def _hint(word: str, known: Iterable[str]) -> str:
    """'did you mean x?', also for camelCase; else all that is known."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).lower()
    lowered = {key.lower(): key for key in known}
    near = difflib.get_close_matches(snake.removesuffix(RATE_SUFFIX), lowered, n=1)
    return f"did you mean {lowered[near[0]]!r}?" if near else "known are " + ", ".join(sorted(lowered.values()))
