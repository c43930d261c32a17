"""Messages -> model: the shape of what a client sends, field by field, with the path of what is wrong.

Everything that can be said of one object without looking at another is said here; overlaps, references and quotas are
intent's.  This is plain code and not protovalidate: one place to read, the domain's own reasons and messages, and no
CEL interpreter on the way of every request.

`prefix` is where the message stands in the request ("port", "requests[3].port"), so that violations can be found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeVar

from pliant.v1.network_pb2 import Attachment as AttachmentMessage
from pliant.v1.network_pb2 import Network as NetworkMessage
from pliant.v1.network_pb2 import Port as PortMessage
from pliant.v1.network_pb2 import Subnet as SubnetMessage
from pliant.v1.peering_pb2 import Peering as PeeringMessage
from pliant.v1.pipe_pb2 import Pipe as PipeMessage
from pliant.v1.tenant_pb2 import Quota as QuotaMessage
from pliant.v1.tenant_pb2 import Tenant as TenantMessage

from controller.model.bandwidth import NO_POLICY, BandwidthPolicy
from controller.model.ids import check_kind, check_name, parse_dpid, parse_mac
from controller.model.network import ANY_PATH, Address, Attachment, Network, Peering, Pipe, Port, Subnet
from controller.model.tenancy import Labels, Meta, Quota, Tenant
from controller.northbound import policies
from controller.northbound.violations import invalid, missing, shown

MAX_DISPLAY_NAME_CHARS = 200
MAX_LABELS = 64
MAX_LABEL_VALUE_CHARS = 256
MAX_ADDRESSES = 64
MAX_PORT_NUMBER = 0xFFFFFEFF
"""OpenFlow's last number of a real port is OFPP_MAX, 0xffffff00, itself excluded."""
LABEL_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What a terminal would obey instead of showing it: one tenant's text is read by others."""
INTERFACE = re.compile(r"[!-.0-~]{1,15}")
"""Linux: at most 15 visible characters, and no '/'."""

N = TypeVar("N", IPv4Network, IPv6Network)
A = TypeVar("A", IPv4Address, IPv6Address)


def tenant(message: TenantMessage, name: str, meta: Meta, prefix: str = "tenant") -> Tenant:
    return Tenant(
        name=name,
        meta=_meta(message, meta, prefix),
        quota=_quota(message.quota, f"{prefix}.quota"),
        bandwidth=_bandwidth(message, f"{prefix}.bandwidth"),
    )


def network(message: NetworkMessage, name: str, meta: Meta, prefix: str = "network") -> Network:
    field = f"{prefix}.path_policy"
    return Network(
        name=name,
        meta=_meta(message, meta, prefix),
        bandwidth=_bandwidth(message, f"{prefix}.bandwidth"),
        path_policy=policies.path_policy(message.path_policy, field) if message.HasField("path_policy") else ANY_PATH,
    )


def subnet(message: SubnetMessage, name: str, meta: Meta, prefix: str = "subnet") -> Subnet:
    ipv4_cidr = _cidr(message.ipv4_cidr, IPv4Network, f"{prefix}.ipv4_cidr")
    ipv6_cidr = _cidr(message.ipv6_cidr, IPv6Network, f"{prefix}.ipv6_cidr")
    if ipv4_cidr is None and ipv6_cidr is None:
        raise missing(f"{prefix}.ipv4_cidr", "a subnet needs an ipv4_cidr, an ipv6_cidr, or both")
    return Subnet(
        name=name,
        meta=_meta(message, meta, prefix),
        ipv4_cidr=ipv4_cidr,
        ipv6_cidr=ipv6_cidr,
        ipv4_gateway=_gateway(message.ipv4_gateway, IPv4Address, f"{prefix}.ipv4_gateway"),
        ipv6_gateway=_gateway(message.ipv6_gateway, IPv6Address, f"{prefix}.ipv6_gateway"),
    )


def port(message: PortMessage, name: str, meta: Meta, prefix: str = "port") -> Port:
    if not message.subnet:
        raise missing(f"{prefix}.subnet", "a port needs the name of its subnet")
    field = f"{prefix}.mac_address"
    return Port(
        name=name,
        subnet=check_name(message.subnet, "subnet", f"{prefix}.subnet"),
        mac=parse_mac(message.mac_address, field) if message.mac_address else "",
        addresses=_addresses(message.addresses, f"{prefix}.addresses"),
        meta=_meta(message, meta, prefix),
        attachment=_attachment(message.attachment, f"{prefix}.attachment") if message.HasField("attachment") else None,
        bandwidth=_bandwidth(message, f"{prefix}.bandwidth"),
    )


def peering(message: PeeringMessage, name: str, meta: Meta, prefix: str = "peering") -> Peering:
    for field, side in (("a", message.a), ("b", message.b)):
        if not side:
            raise missing(f"{prefix}.{field}", "a peering needs the names of two networks, a and b")
        check_name(side, "network", f"{prefix}.{field}")
    return Peering(name=name, a=message.a, b=message.b, meta=_meta(message, meta, prefix))


def pipe(message: PipeMessage, name: str, meta: Meta, prefix: str = "pipe") -> Pipe:
    for field, end in (("a", message.a), ("b", message.b)):
        if not end:
            raise missing(f"{prefix}.{field}", "a pipe needs the names of two ports or two networks, a and b")
        check_kind(end, ("port", "network"), f"{prefix}.{field}")
    return Pipe(
        name=name,
        a=message.a,
        b=message.b,
        meta=_meta(message, meta, prefix),
        bandwidth=_bandwidth(message, f"{prefix}.bandwidth"),
    )


def _meta(
    message: TenantMessage | NetworkMessage | SubnetMessage | PortMessage | PeeringMessage | PipeMessage, meta: Meta,
    prefix: str,
) -> Meta:
    """`meta` with what the client says of itself in the message."""
    if len(message.display_name) > MAX_DISPLAY_NAME_CHARS:
        what = f"has {len(message.display_name)} characters; at most {MAX_DISPLAY_NAME_CHARS} are allowed"
        raise invalid("INVALID_FIELD", f"{prefix}.display_name", what)
    if CONTROL.search(message.display_name):
        raise invalid("INVALID_FIELD", f"{prefix}.display_name", "has control characters")
    return replace(meta, display_name=message.display_name, labels=_labels(message.labels, f"{prefix}.labels"))


def _labels(labels: Mapping[str, str], field: str) -> Labels:
    if len(labels) > MAX_LABELS:
        raise invalid("INVALID_LABELS", field, f"has {len(labels)} labels; at most {MAX_LABELS} are allowed")
    for key, value in labels.items():
        if not LABEL_KEY.fullmatch(key):
            what = "must be 1 to 63 of letters, digits, '.', '_', '/' and '-', with a letter or digit at both ends"
            raise invalid("INVALID_LABELS", field, f"key {shown(key)} {what}")
        if len(value) > MAX_LABEL_VALUE_CHARS:
            what = f"has {len(value)} characters; at most {MAX_LABEL_VALUE_CHARS} are allowed"
            raise invalid("INVALID_LABELS", field, f"value of {key} {what}")
        if CONTROL.search(value):
            raise invalid("INVALID_LABELS", field, f"value of {key} has control characters")
    return tuple(sorted(labels.items()))


def _quota(message: QuotaMessage, field: str) -> Quota:
    given = {
        name: getattr(message, name)
        for name in ("networks", "subnets", "ports", "pipes", "peerings") if message.HasField(name)
    }
    for name, count in given.items():
        if count < 0:
            raise invalid("INVALID_FIELD", f"{field}.{name}", f"is {count}; it must not be negative")
    return Quota(**given)


def _bandwidth(owner: TenantMessage | NetworkMessage | PortMessage | PipeMessage, field: str) -> BandwidthPolicy:
    return policies.bandwidth(owner.bandwidth, field) if owner.HasField("bandwidth") else NO_POLICY


def _cidr(text: str, family: type[N], field: str) -> N | None:
    if not text:
        return None
    address, slash, length = text.partition("/")
    try:
        cidr = family(text, strict=False)
    except ValueError:
        cidr = None
    example = "10.0.0.0/24" if family is IPv4Network else "fd00:1::/64"
    # ipaddress also reads netmasks, zones and /024.
    if cidr is None or "%" in text or (slash and length != str(cidr.prefixlen)):
        raise invalid("INVALID_CIDR", field, f"{shown(text)} is not a CIDR like {example}")
    if not slash:
        raise invalid("INVALID_CIDR", field, f"{shown(text)} has no prefix length: write it like {example}")
    if ip_address(address) != cidr.network_address:
        raise invalid("INVALID_CIDR", field, f"{shown(text)} has host bits set: did you mean {cidr}?")
    return cidr


def _gateway(text: str, family: type[A], field: str) -> A | None:
    if not text:
        return None
    address = _address(text, field)
    if not isinstance(address, family):
        raise invalid("INVALID_ADDRESS", field, f"{address} is of the wrong family")
    return address


def _addresses(texts: Iterable[str], field: str) -> tuple[Address, ...]:
    listed = list(texts)
    if len(listed) > MAX_ADDRESSES:
        raise invalid("INVALID_ADDRESS", field, f"has {len(listed)} addresses; at most {MAX_ADDRESSES} are allowed")
    addresses = tuple(_address(text, f"{field}[{index}]") for index, text in enumerate(listed))
    for index, address in enumerate(addresses):
        if address in addresses[:index]:
            raise invalid("INVALID_ADDRESS", f"{field}[{index}]", f"{address} is listed twice")
    return addresses


def _address(text: str, field: str) -> Address:
    """Canonical; refuses zones (fe80::1%eth0) and what no port can have as its own."""
    try:
        address = ip_address(text)
    except ValueError:
        raise invalid("INVALID_ADDRESS", field, f"{shown(text)} is not an IP address") from None
    if "%" in text:
        raise invalid("INVALID_ADDRESS", field, f"{shown(text)} must not have a zone")
    if address.is_multicast or address.is_unspecified or address.is_loopback or address == _BROADCAST:
        raise invalid("INVALID_ADDRESS", field, f"{address} is not an address that a host can have")
    return address


_BROADCAST = IPv4Address("255.255.255.255")


def _attachment(message: AttachmentMessage, field: str) -> Attachment:
    if not message.switch:
        raise missing(f"{field}.switch", "an attachment needs the datapath id of a switch")
    dpid = parse_dpid(message.switch.removeprefix("switches/"), f"{field}.switch")
    match message.WhichOneof("at"):
        case "interface":
            if not INTERFACE.fullmatch(message.interface):
                what = f"{shown(message.interface)} is not an interface name: 1 to 15 visible characters, no '/'"
                raise invalid("INVALID_FIELD", f"{field}.interface", what)
            return Attachment(dpid=dpid, interface=message.interface)
        case "port_number":
            if not 1 <= message.port_number <= MAX_PORT_NUMBER:
                what = f"{message.port_number} is not the number of a switch port"
                raise invalid("INVALID_FIELD", f"{field}.port_number", what)
            return Attachment(dpid=dpid, port_no=message.port_number)
        case _:
            raise missing(f"{field}.interface", "an attachment needs an interface or a port_number")
