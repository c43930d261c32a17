"""Whether two networks may be routed to each other: whose peering it is, and that every address leads to one place.

What a network's ports reach is its own subnets and those of its peers, so no two of these may overlap:

    a ══ b ══ c      b reaches a and c, which therefore must not overlap either;
                     a does not reach c (peerings are not transitive)

Knows the snapshot and the object.  A check costs one look-up for each subnet that comes in and each network that would
be reached; nothing is paid without a peering.  Refuses to know how frames get there (pipeline).
"""

from __future__ import annotations

from collections.abc import Iterator

from immutables import Map

from controller.intent.addresses import Cidr, cidrs, gateway_mac
from controller.intent.snapshot import NO_NAMES, NO_PEERS, Snapshot
from controller.model.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from controller.model.ids import check_name, tenant_of
from controller.model.network import Peering, Port, Subnet


def check_peering(snapshot: Snapshot, peering: Peering) -> None:
    """Raise what forbids the peering, which need not be in the snapshot."""
    for field, end in (("a", peering.a), ("b", peering.b)):
        check_name(end, "network", f"peering.{field}")
        if tenant_of(end) != peering.tenant:
            raise _invalid(peering, field, f"network {end}", f"is of another tenant than {peering.tenant}")
        if end not in snapshot.networks:
            raise NotFound(
                "PARENT_NOT_FOUND", f"peering {peering} needs {end}, which does not exist; create it first",
                subject=end, fields={f"peering.{field}": "does not exist"})
    if peering.a == peering.b:
        why = "is its other side, too; a network reaches itself anyway"
        raise _invalid(peering, "b", f"network {peering.b}", why)
    holder = snapshot.peers.get(peering.a, NO_PEERS).get(peering.b, peering.name)
    if holder != peering.name:
        raise AlreadyExists(
            "PEERING_EXISTS", f"peering {peering} cannot join {peering.a} and {peering.b}: {holder} does already",
            subject=peering.name, metadata={"holder": holder})
    for near, far in ((peering.a, peering.b), (peering.b, peering.a)):
        _check_disjoint(snapshot, peering, near, far)
        _check_macs(snapshot, peering, near, far)


def check_routes(snapshot: Snapshot, subnet: Subnet, cidr: Cidr, field: str) -> None:
    """Raise if the CIDR, coming to the subnet's network, would make an address ambiguous to someone who reaches it."""
    for peer, peering in snapshot.peers.get(subnet.network, NO_PEERS).items():
        for network, through in ((peer, peering), *snapshot.peers.get(peer, NO_PEERS).items()):
            if network == subnet.network:
                continue
            if (other := snapshot.overlapping(network, cidr[0], cidr[-1])) is None:
                continue
            joined = f"peering {peering}" if network == peer else f"peerings {peering} and {through}"
            verb = "joins" if network == peer else "join"
            raise FailedPrecondition(
                "CIDR_OVERLAP",
                f"{cidr} of subnet {subnet} overlaps subnet {other}, and {joined} {verb} their networks; "
                "choose another CIDR, or delete the peering first",
                subject=subnet.name, fields={f"subnet.{field}": f"overlaps {other}"},
                metadata={"cidr": str(cidr), "other": other, "peering": peering})


def peer_gateway(snapshot: Snapshot, port: Port) -> str | None:
    """The peer of the port's network whose gateways have the port's MAC: frames from there come with it."""
    for peer in snapshot.peers_of(port.network):
        if port.mac == gateway_mac(snapshot.keys.network_key(peer)):
            return peer
    return None


def _check_disjoint(snapshot: Snapshot, peering: Peering, near: str, far: str) -> None:
    """`near` would reach `far` beside itself and the peers it has."""
    for name in snapshot.subnets_by_network.get(far, NO_NAMES):
        for cidr in cidrs(snapshot.subnets[name]):
            for network, through in _reached(snapshot, near, far):
                if (other := snapshot.overlapping(network, cidr[0], cidr[-1])) is None:
                    continue
                known = f", which {near} reaches by peering {through}" if through else ""
                raise FailedPrecondition(
                    "CIDR_OVERLAP",
                    f"peering {peering} cannot join {peering.a} and {peering.b}: {cidr} of subnet {name} overlaps "
                    f"subnet {other}{known}, so an address there would lead to two places; number one of them anew",
                    subject=peering.name, metadata={"cidr": str(cidr), "subnet": name, "other": other})


def _reached(snapshot: Snapshot, near: str, far: str) -> Iterator[tuple[str, str]]:
    """The network itself, and its peers with the peerings to them, but for `far`."""
    yield near, ""
    for peer, through in snapshot.peers.get(near, NO_PEERS).items():
        if peer != far:
            yield peer, through


def _check_macs(snapshot: Snapshot, peering: Peering, near: str, far: str) -> None:
    mac = gateway_mac(snapshot.keys.network_key(far))
    holder = snapshot.macs.get(near, Map()).get(mac)
    if holder is not None:
        raise AlreadyExists(
            "MAC_IN_USE",
            f"peering {peering} cannot join {peering.a} and {peering.b}: port {holder} has MAC {mac}, which is that of "
            f"the gateways of {far}; give the port another",
            subject=peering.name, metadata={"mac": mac, "holder": holder})


def _invalid(peering: Peering, field: str, thing: str, why: str) -> InvalidArgument:
    return InvalidArgument("INVALID_FIELD", f"{thing} of peering {peering} {why}", subject=peering.name,
                           fields={f"peering.{field}": why})
