"""Model objects as JSON bytes, the form in which they are stored and answered.

Knows the model's types only.  A stored object outlives the version that wrote it, so keys that this version does not
know are ignored and fields that the writer did not know take their defaults: every field added to the model needs one.
Defaults are written out, so that changing a default later does not change what was stored.
"""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from cattrs import Converter

from controller.intent.snapshot import KINDS, Resource
from controller.model.ids import kind_of
from controller.model.network import Address
from controller.service.interfaces import StoreFailed

_TYPES = {kind: cls for cls, kind in KINDS.items()}


class Undecodable(StoreFailed):
    """Stored bytes are not what their key says; the message names the key."""


def _make_converter() -> Converter:
    converter = Converter()
    for text_type in (IPv4Address, IPv6Address, IPv4Network, IPv6Network):
        converter.register_unstructure_hook(text_type, str)
        converter.register_structure_hook(text_type, lambda text, cls: cls(text))
    converter.register_unstructure_hook(Address, str)
    converter.register_structure_hook(Address, lambda text, _: ip_address(text))
    return converter


_converter = _make_converter()


def encode(value: object) -> bytes:
    """Compact JSON with sorted keys: equal values give equal bytes."""
    return json.dumps(_converter.unstructure(value), separators=(",", ":"), sort_keys=True).encode()


def decode_resource(name: str, value: bytes) -> Resource:
    """The object that `encode` wrote; its type follows from its name.  Undecodable if the bytes are anything else."""
    try:
        resource = structure_resource(json.loads(value), name)
        if resource.name != name:
            raise ValueError(f"it is {resource.name}")
    except Exception as error:  # cattrs raises groups of whatever its hooks raise
        raise Undecodable(f"the stored value of {name} cannot be read: {error!r}") from error
    return resource


def structure_resource(data: dict[str, Any], name: str) -> Resource:
    return _converter.structure(data, _TYPES[kind_of(name)])
