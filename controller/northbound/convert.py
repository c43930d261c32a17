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

from pliant.v1.common_pb2 import BandwidthPolicy as BandwidthMessage
from pliant.v1.common_pb2 import FailurePolicy, TrafficClass
from pliant.v1.network_pb2 import Attachment as AttachmentMessage
from pliant.v1.network_pb2 import Network as NetworkMessage
from pliant.v1.network_pb2 import Port as PortMessage
from pliant.v1.network_pb2 import Subnet as SubnetMessage
from pliant.v1.tenant_pb2 import Quota as QuotaMessage
from pliant.v1.tenant_pb2 import Tenant as TenantMessage

from controller.model.bandwidth import (
    DEFAULT_BURST_MS,
    MAX_BURST_MS,
    MAX_RATE_KBPS,
    MIN_RATE_KBPS,
    NO_POLICY,
    BandwidthPolicy,
)
from controller.model.errors import InvalidArgument, Unimplemented
from controller.model.ids import check_name, parse_dpid, parse_mac
from controller.model.network import Address, Attachment, Network, Port, Subnet
from controller.model.tenancy import Labels, Meta, Quota, Tenant

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
    if message.HasField("bandwidth"):
        raise _not_enforced({f"{prefix}.bandwidth": "a bandwidth policy on a network is not enforced by this version"})
    return Network(name=name, meta=_meta(message, meta, prefix))


def subnet(message: SubnetMessage, name: str, meta: Meta, prefix: str = "subnet") -> Subnet:
    ipv4_cidr = _cidr(message.ipv4_cidr, IPv4Network, f"{prefix}.ipv4_cidr")
    ipv6_cidr = _cidr(message.ipv6_cidr, IPv6Network, f"{prefix}.ipv6_cidr")
    if ipv4_cidr is None and ipv6_cidr is None:
        raise _missing(f"{prefix}.ipv4_cidr", "a subnet needs an ipv4_cidr, an ipv6_cidr, or both")
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
        raise _missing(f"{prefix}.subnet", "a port needs the name of its subnet")
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


def _meta(message: TenantMessage | NetworkMessage | SubnetMessage | PortMessage, meta: Meta, prefix: str) -> Meta:
    """`meta` with what the client says of itself in the message."""
    if len(message.display_name) > MAX_DISPLAY_NAME_CHARS:
        what = f"has {len(message.display_name)} characters; at most {MAX_DISPLAY_NAME_CHARS} are allowed"
        raise _invalid("INVALID_FIELD", f"{prefix}.display_name", what)
    if CONTROL.search(message.display_name):
        raise _invalid("INVALID_FIELD", f"{prefix}.display_name", "has control characters")
    return replace(meta, display_name=message.display_name, labels=_labels(message.labels, f"{prefix}.labels"))


def _labels(labels: Mapping[str, str], field: str) -> Labels:
    if len(labels) > MAX_LABELS:
        raise _invalid("INVALID_LABELS", field, f"has {len(labels)} labels; at most {MAX_LABELS} are allowed")
    for key, value in labels.items():
        if not LABEL_KEY.fullmatch(key):
            what = "must be 1 to 63 of letters, digits, '.', '_', '/' and '-', with a letter or digit at both ends"
            raise _invalid("INVALID_LABELS", field, f"key {_shown(key)} {what}")
        if len(value) > MAX_LABEL_VALUE_CHARS:
            what = f"has {len(value)} characters; at most {MAX_LABEL_VALUE_CHARS} are allowed"
            raise _invalid("INVALID_LABELS", field, f"value of {key} {what}")
        if CONTROL.search(value):
            raise _invalid("INVALID_LABELS", field, f"value of {key} has control characters")
    return tuple(sorted(labels.items()))


def _quota(message: QuotaMessage, field: str) -> Quota:
    given = {name: getattr(message, name) for name in ("networks", "subnets", "ports") if message.HasField(name)}
    for name, count in given.items():
        if count < 0:
            raise _invalid("INVALID_FIELD", f"{field}.{name}", f"is {count}; it must not be negative")
    return Quota(**given)


def _bandwidth(owner: TenantMessage | PortMessage, field: str) -> BandwidthPolicy:
    if not owner.HasField("bandwidth"):
        return NO_POLICY
    message = owner.bandwidth
    for name in ("ceiling_in_kbps", "ceiling_out_kbps", "guarantee_in_kbps", "guarantee_out_kbps"):
        _check_rate(getattr(message, name), f"{field}.{name}")
    if not 0 <= message.burst_ms <= MAX_BURST_MS:
        what = f"is {message.burst_ms}; use 1 to {MAX_BURST_MS} ms, or 0 for {DEFAULT_BURST_MS}"
        raise _invalid("INVALID_RATE", f"{field}.burst_ms", what)
    if message.weight < 0:
        raise _invalid("INVALID_RATE", f"{field}.weight", f"is {message.weight}; it must not be negative")
    if message.traffic_class not in TrafficClass.values():
        raise _invalid("INVALID_ENUM", f"{field}.traffic_class", f"{message.traffic_class} is not a known TrafficClass")
    if message.on_failure not in FailurePolicy.values():
        raise _invalid("INVALID_ENUM", f"{field}.on_failure", f"{message.on_failure} is not a known FailurePolicy")
    _check_enforced(message, field)
    return BandwidthPolicy(
        ceiling_in_kbps=message.ceiling_in_kbps,
        ceiling_out_kbps=message.ceiling_out_kbps,
        burst_ms=message.burst_ms or DEFAULT_BURST_MS,
    )


def _check_rate(rate_kbps: int, field: str) -> None:
    if rate_kbps and not MIN_RATE_KBPS <= rate_kbps <= MAX_RATE_KBPS:
        what = f"is {rate_kbps} kbit/s; use {MIN_RATE_KBPS} to {MAX_RATE_KBPS}, or 0 for none"
        raise _invalid("INVALID_RATE", field, what)


ENFORCED = frozenset({"ceiling_in_kbps", "ceiling_out_kbps", "burst_ms"})


def _check_enforced(message: BandwidthMessage, field: str) -> None:
    refused = [descriptor.name for descriptor, _ in message.ListFields() if descriptor.name not in ENFORCED]
    if refused:
        raise _not_enforced({f"{field}.{name}": "is not enforced by this version" for name in refused})


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
        raise _invalid("INVALID_CIDR", field, f"{_shown(text)} is not a CIDR like {example}")
    if not slash:
        raise _invalid("INVALID_CIDR", field, f"{_shown(text)} has no prefix length: write it like {example}")
    if ip_address(address) != cidr.network_address:
        raise _invalid("INVALID_CIDR", field, f"{_shown(text)} has host bits set: did you mean {cidr}?")
    return cidr


def _gateway(text: str, family: type[A], field: str) -> A | None:
    if not text:
        return None
    address = _address(text, field)
    if not isinstance(address, family):
        raise _invalid("INVALID_ADDRESS", field, f"{address} is of the wrong family")
    return address


def _addresses(texts: Iterable[str], field: str) -> tuple[Address, ...]:
    listed = list(texts)
    if len(listed) > MAX_ADDRESSES:
        raise _invalid("INVALID_ADDRESS", field, f"has {len(listed)} addresses; at most {MAX_ADDRESSES} are allowed")
    addresses = tuple(_address(text, f"{field}[{index}]") for index, text in enumerate(listed))
    for index, address in enumerate(addresses):
        if address in addresses[:index]:
            raise _invalid("INVALID_ADDRESS", f"{field}[{index}]", f"{address} is listed twice")
    return addresses


def _address(text: str, field: str) -> Address:
    """Canonical; refuses zones (fe80::1%eth0) and what no port can have as its own."""
    try:
        address = ip_address(text)
    except ValueError:
        raise _invalid("INVALID_ADDRESS", field, f"{_shown(text)} is not an IP address") from None
    if "%" in text:
        raise _invalid("INVALID_ADDRESS", field, f"{_shown(text)} must not have a zone")
    if address.is_multicast or address.is_unspecified or address.is_loopback or address == _BROADCAST:
        raise _invalid("INVALID_ADDRESS", field, f"{address} is not an address that a host can have")
    return address


_BROADCAST = IPv4Address("255.255.255.255")


def _attachment(message: AttachmentMessage, field: str) -> Attachment:
    if not message.switch:
        raise _missing(f"{field}.switch", "an attachment needs the datapath id of a switch")
    dpid = parse_dpid(message.switch.removeprefix("switches/"), f"{field}.switch")
    match message.WhichOneof("at"):
        case "interface":
            if not INTERFACE.fullmatch(message.interface):
                what = f"{_shown(message.interface)} is not an interface name: 1 to 15 visible characters, no '/'"
                raise _invalid("INVALID_FIELD", f"{field}.interface", what)
            return Attachment(dpid=dpid, interface=message.interface)
        case "port_number":
            if not 1 <= message.port_number <= MAX_PORT_NUMBER:
                what = f"{message.port_number} is not the number of a switch port"
                raise _invalid("INVALID_FIELD", f"{field}.port_number", what)
            return Attachment(dpid=dpid, port_no=message.port_number)
        case _:
            raise _missing(f"{field}.interface", "an attachment needs an interface or a port_number")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _invalid(reason: str, field: str, what: str) -> InvalidArgument:
    return InvalidArgument(reason, f"{field}: {what}", fields={field: what})


def _missing(field: str, message: str) -> InvalidArgument:
    return InvalidArgument("MISSING_FIELD", message, fields={field: "is required"})


def _not_enforced(fields: Mapping[str, str]) -> Unimplemented:
    names = ", ".join(fields)
    return Unimplemented("NOT_ENFORCED", f"not enforced by this version: {names}; leave it unset", fields=fields)
