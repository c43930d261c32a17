"""The kinds of resources, and how people name them.

    pliant get ports web-1 -t red -n net1       kind and ids; -t and -n say where
    pliant get port/web-1 -t red -n net1        the same
    pliant get tenants/red/networks/net1/ports/web-1      the full resource name, from -o name
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`collections` are those of its resource name, outermost first; empty for what has no name."""

    name: str
    plural: str
    short: str
    title: str
    """As manifests write it, and the name of its message."""
    collections: tuple[str, ...]
    verbs: str

    @property
    def owned(self) -> bool:
        """Whether it is a tenant's, and so can be created and applied."""
        return self.collections[:1] == ("tenants",)


KINDS = (
    Kind(name="tenant", plural="tenants", short="tn", title="Tenant", collections=("tenants",),
         verbs="get,describe,wait,create,set,delete,apply"),
    Kind(name="network", plural="networks", short="net", title="Network", collections=("tenants", "networks"),
         verbs="get,describe,wait,create,set,delete,apply"),
    Kind(name="subnet", plural="subnets", short="sub", title="Subnet", collections=("tenants", "networks", "subnets"),
         verbs="get,describe,wait,create,set,delete,apply"),
    Kind(name="port", plural="ports", short="po", title="Port", collections=("tenants", "networks", "ports"),
         verbs="get,describe,wait,create,set,delete,apply"),
    Kind(name="peering", plural="peerings", short="pe", title="Peering", collections=("tenants", "peerings"),
         verbs="get,describe,wait,create,set,delete,apply"),
    Kind(name="pipe", plural="pipes", short="pi", title="Pipe", collections=("tenants", "pipes"),
         verbs="get,describe,wait,create,set,delete,apply"),
    Kind(name="switch", plural="switches", short="sw", title="Switch", collections=("switches",),
         verbs="get,describe,set,delete,drain"),
    Kind(name="link", plural="links", short="ln", title="Link", collections=("links",),
         verbs="get,describe,set,drain"),
    Kind(name="drop", plural="drops", short="dr", title="DropCount", collections=(), verbs="get"),
)
OWNED = tuple(kind for kind in KINDS if kind.owned)
_BY_WORD = {word.lower(): kind for kind in KINDS for word in (kind.name, kind.plural, kind.short)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What -t and -n say."""

    tenant: str = ""
    network: str = ""

    def parent(self, kind: Kind) -> str:
        """The parent to list a tenant's resources under; "-" stands for every tenant or network that is not said."""
        ids = (self.tenant or "-", self.network or "-")
        return "/".join(f"{collection}/{id_}" for collection, id_ in zip(kind.collections[:-1], ids, strict=False))


def find_kind(word: str, among: Iterable[Kind] = KINDS) -> Kind:
    """By name, plural or short name.  UsageError with the nearest one if there is none."""
    kinds = tuple(among)
    kind = _BY_WORD.get(word.lower())
    if kind in kinds:
        return kind
    near = difflib.get_close_matches(word.lower(), [each.plural for each in kinds], n=1, cutoff=0.5)
    known = ", ".join(each.plural for each in kinds)
    hint = f"did you mean {near[0]!r}?" if near and kind is None else f"known here are {known}"
    raise click.UsageError(f"there is no kind {word[:60]!r}; {hint}" if kind is None else f"{kind.plural}: {hint}")


def find_targets(arguments: Sequence[str], scope: Scope, among: Iterable[Kind] = KINDS) -> list[tuple[Kind, str]]:
    """(kind, resource name) of each; the name is "" where all of a kind are meant."""
    kinds = tuple(among)
    first, *rest = arguments
    if "/" not in first:
        words = [kind.name for kind in OWNED] if first == "all" else first.split(",")
        chosen = [find_kind(word, kinds) for word in words]
        if rest and len(chosen) > 1:
            raise click.UsageError("names need exactly one kind before them")
        return [(chosen[0], full_name(chosen[0], id_, scope)) for id_ in rest] or [(kind, "") for kind in chosen]
    targets = []
    for argument in arguments:
        word, slash, id_ = argument.rpartition("/")
        if not slash or not id_:
            raise click.UsageError(f"{argument!r} is not of the form KIND/NAME, like those before it")
        kind = find_kind(word.rpartition("/")[2], kinds)
        targets.append((kind, full_name(kind, argument if "/" in word else id_, scope)))
    return targets


def full_name(kind: Kind, text: str, scope: Scope) -> str:
    """The resource name of what an id means here.  UsageError if -t or -n is needed to know."""
    if not kind.collections:
        raise click.UsageError(f"{kind.plural} have no names: they are only listed")
    parts = text.split("/")
    if len(parts) > 1:
        if tuple(parts[::2]) != kind.collections or len(parts) % 2:
            pattern = "/".join(f"{collection}/..." for collection in kind.collections)
            raise click.UsageError(f"{text!r} does not name a {kind.name}: that looks like {pattern}")
        return text
    if kind.name == "switch":
        text = pad_dpid(text)
    if kind.name == "link":
        dpid, dash, port_no = text.rpartition("-")
        text = f"{pad_dpid(dpid)}{dash}{port_no}"
    if "tenants" in kind.collections[:-1] and not scope.tenant:
        raise click.UsageError(f"which tenant is {kind.name} {text!r} of?  Say it with -t TENANT")
    if "networks" in kind.collections[:-1] and not scope.network:
        raise click.UsageError(f"which network is {kind.name} {text!r} of?  Say it with -n NETWORK")
    ids = (scope.tenant, scope.network)[: len(kind.collections) - 1]
    return "/".join(f"{collection}/{id_}" for collection, id_ in zip(kind.collections, (*ids, text), strict=True))


def pad_dpid(text: str) -> str:
    """A datapath id with all its 16 hex digits; what is none is left to the server to refuse."""
    digits = text.lower().removeprefix("0x")
    return digits.zfill(16) if re.fullmatch(r"[0-9a-f]{1,16}", digits) else text


def last_id(name: str) -> str:
    """'tenants/a/networks/n' -> 'n'."""
    return name.rpartition("/")[2]


def kind_of(message_title: str) -> Kind:
    """The kind whose message is called that."""
    return next(kind for kind in KINDS if kind.title == message_title)
