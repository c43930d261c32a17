"""Names and addresses: how a resource, a switch and a MAC are written.

Resource names (the only references between objects):

    tenants/{t}
    tenants/{t}/networks/{n}
    tenants/{t}/networks/{n}/subnets/{s}
    tenants/{t}/networks/{n}/ports/{p}
    tenants/{t}/peerings/{p}
    tenants/{t}/pipes/{p}
"""

from __future__ import annotations

import re

from controller.model.errors import InvalidArgument

ID_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MAC_PATTERN = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")

COLLECTIONS: dict[str, tuple[str, ...]] = {
    "tenant": ("tenants",),
    "network": ("tenants", "networks"),
    "subnet": ("tenants", "networks", "subnets"),
    "port": ("tenants", "networks", "ports"),
    "peering": ("tenants", "peerings"),
    "pipe": ("tenants", "pipes"),
}
"""Kind of a resource -> the collection ids of its name, outermost first.  What is referred to comes before what refers.
"""
_RANKS = {collections[-1]: rank for rank, collections in enumerate(COLLECTIONS.values())}


def check_id(value: str, field: str) -> str:
    """Return `value` if it is a valid id, else raise InvalidArgument naming `field`."""
    if not ID_PATTERN.fullmatch(value):
        shown = value if len(value) <= 70 else f"{value[:64]}... ({len(value)} characters)"
        raise InvalidArgument(
            "INVALID_ID",
            f"{field} {shown!r} is not a valid id: use 1 to 63 of a-z, 0-9 and '-', a letter or digit at both ends",
            fields={field: "must match " + ID_PATTERN.pattern},
        )
    return value


def kind_of(name: str, field: str = "name") -> str:
    """'tenants/a/networks/n' -> 'network'.  InvalidArgument naming `field` for what is no full resource name."""
    parts = name.split("/")
    collections = tuple(parts[::2])
    for kind, wanted in COLLECTIONS.items():
        if collections == wanted and len(parts) == 2 * len(wanted):
            for part in parts[1::2]:
                check_id(part, field)
            return kind
    shown = name if len(name) <= 120 else name[:117] + "..."
    raise InvalidArgument(
        "INVALID_NAME", f"{field} {shown!r} is not a resource name like tenants/a/networks/n",
        fields={field: "is not a resource name"})


def rank_of(name: str) -> int:
    """Sorts what is referred to before what refers to it: tenants ... ports, peerings, pipes; -1 for others."""
    return _RANKS.get("".join(name.split("/")[-2:-1]), -1)


def check_name(name: str, kind: str, field: str = "name") -> str:
    """Return `name` if it names a `kind`, else raise InvalidArgument naming `field`."""
    try:
        actual = kind_of(name)
    except InvalidArgument:
        actual = ""
    if actual != kind:
        pattern = "/".join(f"{c}/{{{c[:-1]}}}" for c in COLLECTIONS[kind])
        shown = name if len(name) <= 120 else name[:117] + "..."
        raise InvalidArgument("INVALID_NAME", f"{field} {shown!r} must look like {pattern}",
                              fields={field: f"must look like {pattern}"})
    return name


def check_kind(name: str, kinds: tuple[str, ...], field: str = "name") -> str:
    """Which of these kinds it names; InvalidArgument naming `field` if none of them."""
    kind = kind_of(name, field)
    if kind not in kinds:
        raise InvalidArgument("INVALID_NAME", f"{field} {name} is a {kind}; it must name a {' or a '.join(kinds)}",
                              fields={field: f"must name a {' or a '.join(kinds)}"})
    return kind


def parent_of(name: str) -> str:
    """'tenants/a/networks/n/ports/p' -> 'tenants/a/networks/n'; '' for a tenant."""
    return name.rsplit("/", 2)[0] if name.count("/") > 1 else ""


def tenant_of(name: str) -> str:
    """The tenant's name of any resource name below it (or the tenant itself)."""
    return "/".join(name.split("/", 2)[:2])


def network_of(name: str) -> str:
    """The network's name of a subnet or port name (or the network itself)."""
    return "/".join(name.split("/", 4)[:4])


def last_id(name: str) -> str:
    """'tenants/a/networks/n' -> 'n'."""
    return name.rsplit("/", 1)[-1]


def format_dpid(dpid: int) -> str:
    """A datapath id as everything in Pliant writes it: 16 lower-case hex digits."""
    return f"{dpid:016x}"


def parse_dpid(text: str, field: str = "switch") -> int:
    """16 hex digits (shorter is padded), optionally 0x-prefixed -> int; InvalidArgument otherwise, and for 0."""
    digits = text.lower().removeprefix("0x")
    if not re.fullmatch(r"[0-9a-f]{1,16}", digits) or int(digits, 16) == 0:
        shown = text if len(text) <= 40 else text[:37] + "..."
        raise InvalidArgument("INVALID_FIELD",
                              f"{field} {shown!r} is not a datapath id: write 1 to 16 hex digits, not zero",
                              fields={field: "must be 1 to 16 hex digits"})
    return int(digits, 16)


def parse_mac(text: str, field: str = "mac_address") -> str:
    """Any case, ':' separated -> canonical lower-case MAC.  Refuses multicast, broadcast and zero addresses."""
    mac = text.lower()
    if not _MAC_PATTERN.fullmatch(mac):
        raise InvalidArgument("INVALID_ADDRESS", f"{field} {text[:40]!r} is not a MAC address like 02:00:00:00:00:01",
                              fields={field: "must be six hex pairs separated by ':'"})
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise InvalidArgument("INVALID_ADDRESS", f"{field} {mac} is not a unicast address a port can have",
                              fields={field: "must be a unicast MAC address"})
    return mac
