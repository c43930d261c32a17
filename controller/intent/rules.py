"""Whether an edit of asked state is allowed: references, overlaps, addresses, quotas, immutable fields, children.

Knows the snapshot and the object.  Every check is a look-up in an index, so its cost does not grow with the network.
Refuses to know the form of a request (northbound), what is assigned (edits.py), or observed state: whether a switch
port belongs to the fabric is asked by the service.
"""

from __future__ import annotations

from ipaddress import ip_network
from itertools import islice

from immutables import Map

from controller.intent.addresses import Cidr, gateway_mac, host_range, is_host
from controller.intent.routing import check_peering, check_routes, peer_gateway
from controller.intent.snapshot import KINDS, NO_PEERS, Resource, Snapshot, ends_of
from controller.model.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from controller.model.ids import check_kind, check_name, kind_of, network_of, parent_of, tenant_of
from controller.model.network import Address, Peering, Pipe, Port, Subnet

PREFIX_LENGTHS = {4: (8, 30), 6: (16, 126)}
"""IP version -> shortest and longest prefix of a subnet: room for a gateway and at least one port."""
RESERVED_RANGES: tuple[Cidr, ...] = tuple(
    ip_network(cidr)
    for cidr in (
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "::ffff:0:0/96", "fe80::/10", "ff00::/8",
    )
)
"""This-network, loopback, link-local, multicast and reserved addresses: no subnet can have them."""
MAX_CHILDREN_NAMED = 5


def check_create(snapshot: Snapshot, obj: Resource) -> None:
    """Raise what forbids to create the object; MAC, addresses and gateways left empty are not looked at."""
    kind = KINDS[type(obj)]
    check_name(obj.name, kind, f"{kind}.name")
    if snapshot.get(obj.name) is not None:
        raise AlreadyExists("ALREADY_EXISTS", f"{obj.name} exists; choose another id, or update it", subject=obj.name)
    parent = parent_of(obj.name)
    if parent and snapshot.get(parent) is None:
        raise _no_parent(kind, obj.name, "parent", parent)
    _check_quota(snapshot, kind, obj.name)
    match obj:
        case Subnet():
            _check_subnet(snapshot, obj)
        case Port():
            _check_port(snapshot, obj)
        case Peering():
            check_peering(snapshot, obj)
        case Pipe():
            _check_pipe(snapshot, obj)


def check_update(snapshot: Snapshot, before: Resource, after: Resource) -> None:
    """Raise what forbids to put `after` in the place of `before`, an object of the same name."""
    match before, after:
        case Subnet(), Subnet():
            for field in ("ipv4_cidr", "ipv6_cidr"):
                _check_unchanged(before, after, field)
            _check_subnet(snapshot, after)
        case Port(), Port():
            _check_unchanged(before, after, "subnet")
            _check_port(snapshot, after)
        case Peering(), Peering():
            for field in ("a", "b"):
                _check_unchanged(before, after, field)
            check_peering(snapshot, after)
        case Pipe(), Pipe():
            for field in ("a", "b"):
                _check_unchanged(before, after, field)


def check_delete(snapshot: Snapshot, obj: Resource) -> None:
    """Raise HAS_CHILDREN if anything is left below the object."""
    count = snapshot.count_children(obj.name)
    if count == 0:
        return
    named = sorted(islice(snapshot.children_of(obj.name), MAX_CHILDREN_NAMED))
    listed = ", ".join(named) + (", ..." if count > len(named) else "")
    raise FailedPrecondition(
        "HAS_CHILDREN",
        f"{KINDS[type(obj)]} {obj.name} still has {count} object{'s' if count > 1 else ''}: {listed}; "
        "delete them first, or pass force to delete them with it",
        subject=obj.name,
        metadata={"children": ",".join(named), "count": str(count)},
    )


def get_resource(snapshot: Snapshot, name: str) -> Resource:
    obj = snapshot.get(name)
    if obj is None:
        shown = name if len(name) <= 120 else name[:117] + "..."
        raise NotFound("NOT_FOUND", f"{shown} does not exist", subject=shown)
    return obj


# -- tenants and networks


def _check_quota(snapshot: Snapshot, kind: str, name: str) -> None:
    tenant = snapshot.tenants.get(tenant_of(name))
    if tenant is None or kind == "tenant":
        return
    quota: int = getattr(tenant.quota, f"{kind}s")
    count = snapshot.counts.get((tenant.name, kind), 0)
    if count >= quota:
        raise ResourceExhausted(
            "QUOTA_EXCEEDED",
            f"{tenant.name} has {count} {kind}s and its quota is {quota}, so {name} cannot be created; "
            f"delete a {kind}, or raise quota.{kind}s of the tenant",
            subject=tenant.name,
            metadata={"tenant": tenant.name, "kind": kind, "quota": str(quota), "in_use": str(count)},
        )


def _check_unchanged(
    before: Subnet | Port | Peering | Pipe, after: Subnet | Port | Peering | Pipe, field: str,
) -> None:
    old, new = getattr(before, field), getattr(after, field)
    if old != new:
        kind = KINDS[type(before)]
        raise InvalidArgument(
            "IMMUTABLE_FIELD",
            f"{field} of {kind} {before.name} is {old or 'unset'} and cannot be changed to {new or 'unset'}; "
            f"create another {kind}",
            subject=before.name,
            fields={f"{kind}.{field}": "cannot be changed after creation"},
        )


def _no_parent(kind: str, name: str, field: str, missing: str) -> NotFound:
    return NotFound(
        "PARENT_NOT_FOUND",
        f"{kind} {name} needs {missing}, which does not exist; create it first",
        subject=missing,
        fields={field: "does not exist"},
    )


# -- subnets


def _check_subnet(snapshot: Snapshot, subnet: Subnet) -> None:
    if subnet.ipv4_cidr is None and subnet.ipv6_cidr is None:
        raise InvalidArgument(
            "MISSING_FIELD",
            f"subnet {subnet} has no CIDR; set ipv4_cidr, ipv6_cidr, or both",
            subject=subnet.name,
            fields={"subnet.ipv4_cidr": "is required if ipv6_cidr is empty"},
        )
    families = (
        ("ipv4", subnet.ipv4_cidr, subnet.ipv4_gateway),
        ("ipv6", subnet.ipv6_cidr, subnet.ipv6_gateway),
    )
    for family, cidr, gateway in families:
        if cidr is not None:
            _check_cidr(snapshot, subnet, cidr, f"{family}_cidr")
        if gateway is not None:
            _check_gateway(snapshot, subnet, cidr, gateway, f"{family}_gateway")


def _check_cidr(snapshot: Snapshot, subnet: Subnet, cidr: Cidr, field: str) -> None:
    shortest, longest = PREFIX_LENGTHS[cidr.version]
    if not shortest <= cidr.prefixlen <= longest:
        why = f"has prefix length /{cidr.prefixlen}; use /{shortest} to /{longest}"
        raise _invalid("INVALID_CIDR", subnet, field, str(cidr), why)
    for reserved in RESERVED_RANGES:
        if cidr.version == reserved.version and cidr.overlaps(reserved):
            why = f"overlaps the reserved range {reserved}; use private or public unicast addresses"
            raise _invalid("INVALID_CIDR", subnet, field, str(cidr), why)
    other_name = snapshot.overlapping(subnet.network, cidr[0], cidr[-1])
    if other_name is None or other_name == subnet.name:
        check_routes(snapshot, subnet, cidr, field)
        return
    other = snapshot.subnets[other_name]
    other_cidr = other.ipv4_cidr if cidr.version == 4 else other.ipv6_cidr
    raise FailedPrecondition(
        "CIDR_OVERLAP",
        f"{cidr} of subnet {subnet} overlaps {other_cidr} of subnet {other}; choose another CIDR",
        subject=subnet.name,
        fields={f"subnet.{field}": f"overlaps {other_cidr} of {other}"},
        metadata={"cidr": str(cidr), "other": other.name, "other_cidr": str(other_cidr)},
    )


def _check_gateway(snapshot: Snapshot, subnet: Subnet, cidr: Cidr | None, gateway: Address, field: str) -> None:
    if cidr is None:
        why = f"has no IPv{gateway.version} CIDR to be in; set the CIDR too"
        raise _invalid("INVALID_ADDRESS", subnet, field, f"gateway {gateway}", why)
    _check_address(snapshot, subnet, cidr, gateway, field)


# -- ports


def _check_port(snapshot: Snapshot, port: Port) -> None:
    check_name(port.subnet, "subnet", "port.subnet")
    if network_of(port.subnet) != port.network:
        why = f"is in another network; use a subnet of {port.network}"
        raise _invalid("INVALID_FIELD", port, "subnet", f"subnet {port.subnet}", why)
    subnet = snapshot.subnets.get(port.subnet)
    if subnet is None:
        raise _no_parent("port", port.name, "port.subnet", port.subnet)
    for index, address in enumerate(port.addresses):
        field = f"addresses[{index}]"
        cidr = subnet.ipv4_cidr if address.version == 4 else subnet.ipv6_cidr
        if cidr is None:
            why = f"is IPv{address.version}, which subnet {subnet} does not have; use its family"
            raise _invalid("INVALID_ADDRESS", port, field, f"address {address}", why)
        if address in port.addresses[:index]:
            raise _invalid("INVALID_ADDRESS", port, field, f"address {address}", "is listed twice; list it once")
        _check_address(snapshot, port, cidr, address, field)
    _check_mac(snapshot, port)
    _check_attachment(snapshot, port)


def _check_mac(snapshot: Snapshot, port: Port) -> None:
    holder = snapshot.macs.get(port.network, Map()).get(port.mac)
    if holder is not None and holder != port.name:
        raise AlreadyExists(
            "MAC_IN_USE",
            f"MAC {port.mac} of port {port} is that of port {holder}; "
            "choose another, or leave it empty to get a free one",
            subject=port.name,
            fields={"port.mac_address": f"is that of {holder}"},
            metadata={"mac": port.mac, "holder": holder},
        )
    if port.mac == gateway_mac(snapshot.keys.network_key(port.network)):
        why = "is reserved for the gateways of its network; choose another"
        raise _invalid("INVALID_ADDRESS", port, "mac_address", f"MAC {port.mac}", why)
    if (peer := peer_gateway(snapshot, port)) is not None:
        why = f"is that of the gateways of network {peer}, which its network has a peering with; choose another"
        raise _invalid("INVALID_ADDRESS", port, "mac_address", f"MAC {port.mac}", why)


def _check_attachment(snapshot: Snapshot, port: Port) -> None:
    at = port.attachment
    if at is None:
        return
    if bool(at.interface) == bool(at.port_no):
        why = "must name its switch port either by interface or by number"
        raise _invalid("INVALID_FIELD", port, "attachment", "the attachment", why)
    holder = snapshot.attachments.get((at.dpid, at.interface or at.port_no))
    if holder is not None and holder != port.name:
        raise FailedPrecondition(
            "ATTACHMENT_IN_USE",
            f"port {port} cannot attach to {at}: port {holder} is attached there; detach or delete that one first",
            subject=port.name,
            fields={"port.attachment": f"{at} is taken by {holder}"},
            metadata={"attachment": str(at), "holder": holder},
        )


# -- pipes


def _check_pipe(snapshot: Snapshot, pipe: Pipe) -> None:
    for field, end in (("a", pipe.a), ("b", pipe.b)):
        kind = check_kind(end, ("port", "network"), f"pipe.{field}")
        if tenant_of(end) != pipe.tenant:
            raise _invalid("INVALID_FIELD", pipe, field, f"{kind} {end}", f"is of another tenant than {pipe.tenant}")
        if snapshot.get(end) is None:
            raise _no_parent("pipe", pipe.name, f"pipe.{field}", end)
    kind = kind_of(pipe.b)
    if pipe.a == pipe.b:
        raise _invalid("INVALID_FIELD", pipe, "b", f"{kind} {pipe.b}", f"is its other end, too; it joins two {kind}s")
    if kind != kind_of(pipe.a):
        why = f"and {pipe.a} are no pair; a pipe joins two ports of one network, or two networks"
        raise _invalid("INVALID_FIELD", pipe, "b", f"{kind} {pipe.b}", why)
    if pipe.joins_networks:
        _check_peered(snapshot, pipe)
    elif network_of(pipe.a) != network_of(pipe.b):
        why = (f"is in another network than {pipe.a}, and from there no frame tells which port it is of; make a pipe "
               "between the two networks")
        raise _invalid("INVALID_FIELD", pipe, "b", f"port {pipe.b}", why)
    other = snapshot.pipe_between.get(ends_of(pipe))
    if other is not None:
        raise AlreadyExists(
            "PIPE_EXISTS",
            f"pipe {pipe} cannot join {pipe.a} and {pipe.b}: {other} does; change that one",
            subject=pipe.name,
            metadata={"holder": other},
        )


def _check_peered(snapshot: Snapshot, pipe: Pipe) -> None:
    if pipe.b not in snapshot.peers.get(pipe.a, NO_PEERS):
        raise FailedPrecondition(
            "NOT_PEERED",
            f"pipe {pipe} cannot join {pipe.a} and {pipe.b}: nothing goes from one to the other without a peering; "
            "create one first",
            subject=pipe.name, fields={"pipe.b": f"has no peering with {pipe.a}"},
            metadata={"a": pipe.a, "b": pipe.b})


# -- addresses


def _check_address(snapshot: Snapshot, obj: Subnet | Port, cidr: Cidr, address: Address, field: str) -> None:
    """An address of a port, or a subnet's gateway: one that a host in the CIDR can have, and nobody else has."""
    thing = f"{'gateway' if isinstance(obj, Subnet) else 'address'} {address}"
    if not is_host(cidr, address):
        raise _invalid("INVALID_ADDRESS", obj, field, thing, _why_no_host(cidr, address))
    holder = snapshot.addresses.get(obj.network, Map()).get(address)
    if holder is None or holder == obj.name:
        return
    of = f"port {holder}" if holder in snapshot.ports else f"the gateway of subnet {holder}"
    kind = KINDS[type(obj)]
    raise AlreadyExists(
        "ADDRESS_IN_USE",
        f"{thing} of {kind} {obj} is that of {of}; choose another",
        subject=obj.name,
        fields={f"{kind}.{field}": f"{address} is that of {of}"},
        metadata={"address": str(address), "holder": holder},
    )


def _why_no_host(cidr: Cidr, address: Address) -> str:
    first, last = host_range(cidr)
    if address not in cidr:
        why = "is outside"
    elif address == cidr.network_address:
        why = "is the network address of"
    else:
        why = "is the broadcast address of"
    return f"{why} {cidr}; use {cidr[first]} to {cidr[last]}"


def _invalid(reason: str, obj: Subnet | Port | Pipe, field: str, thing: str, why: str) -> InvalidArgument:
    kind = KINDS[type(obj)]
    return InvalidArgument(
        reason, f"{thing} of {kind} {obj} {why}", subject=obj.name, fields={f"{kind}.{field}": why},
    )
