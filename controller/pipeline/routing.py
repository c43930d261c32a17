"""The distributed router of a network: each edge where the network is present routes for the hosts that are there.

    fdb ── the gateway's MAC ──► route ── target ──► neighbour ── real MAC, port, edge ──► pipe, and on like any frame
                                   └── an echo for a gateway ──► services, answers

    route        (network, prefix of a subnet)    -> which network the address is of; TTL less one
    neighbour    (that network, address)          -> the port that has it

Nothing is learned or asked for: addresses are known with their ports.  A network of one subnet and without peers has no
routes, and costs none of this.

Whose MAC a routed frame has as its source:

    subnet to subnet       sender's ──────────────────────────────────────────────────────────────────► sender's
    network A to peer B    sender's ─ route ─► A's gateway's ─ fabric ─ unlabel_routed, or place ─► B's gateway's

So between subnets whatever tells a frame's class by its source still does, where it leaves the fabric, too.

On its way to a peer it has a key of B and is a frame of A, which the label's type says.  B's edge lets in what comes
from the gateway of a peer, and nothing else: a peering that went is over, whatever a switch out of reach still sends.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address

from controller.fabric.ports import SwitchFeatures
from controller.intent.addresses import Cidr, cidrs, gateway_mac
from controller.openflow import actions
from controller.openflow.match import MatchValue
from controller.pipeline import tables
from controller.pipeline.answers import answer_echoes
from controller.pipeline.base import IPV4, IPV6
from controller.pipeline.draft import Draft, apply, goto
from controller.pipeline.tables import NEIGHBOUR, ROUTE, Kind, Priority, where
from controller.pipeline.views import (
    BoundPort,
    LocalNetwork,
    find_bound_port,
    find_features,
    find_local_network,
    mac_int,
    present,
    routed_to,
    subnets_of,
)
from controller.pipeline.world import Fragment, World

_EMPTY = Fragment()


def compile_route(world: World, dpid: int, name: str) -> Fragment | None:
    features, network = find_features(world, dpid), find_local_network(world, dpid, name)
    if features is None or network is None:
        return None
    draft, targets = Draft(Kind.ROUTE, features), routed_to(world, name)
    for target in sorted({name, *targets}):
        answer_echoes(draft, network, subnets_of(world, target))
    for target in targets:
        target_key = world.intent.keys.network_key(target)
        found = [tables.TARGET.load(target_key), actions.dec_ttl()]
        if target != name:
            found += [tables.ROUTED.load(1), actions.set_field("eth_src", network.gateway_mac)]
            _let_in(draft, network, world.intent.keys.slice_of(name), mac_int(gateway_mac(target_key)))
        for subnet in subnets_of(world, target):
            for cidr in cidrs(subnet):
                to = where((tables.NETWORK, network.key), **_inside(cidr))
                draft.flow(ROUTE, Priority.NORMAL, to, apply(*found), goto(NEIGHBOUR))
    if any(target != name for target in targets):
        _arrive(draft, network)
    fragment = draft.fragment()
    return None if fragment == _EMPTY else fragment


def _let_in(draft: Draft, network: LocalNetwork, slice_: int, peer_mac: int) -> None:
    """A frame that a peer's router sent here through the fabric."""
    from_peer = where(eth_src=peer_mac, eth_dst=tables.key_of_slice(slice_))
    as_ours = apply(actions.set_field("eth_src", network.gateway_mac))
    draft.flow(tables.UNLABEL_ROUTED, Priority.NORMAL, from_peer, as_ours, goto(tables.UNLABEL))


def _arrive(draft: Draft, network: LocalNetwork) -> None:
    """A frame of a peer for a port of the same switch: from here on it is one of this network, for its meters, too."""
    here = where((tables.EDGE, 0), (tables.ROUTED, 1), (tables.TARGET, network.key))
    as_ours = tables.load_owner(network.tenant_id, network.key), actions.set_field("eth_src", network.gateway_mac)
    draft.flow(tables.PLACE, Priority.EXACT, here, apply(*as_ours), goto(tables.RX_PORT))


def _inside(cidr: Cidr) -> dict[str, MatchValue]:
    """The packet fields of whatever is sent to an address in it."""
    inside = int(cidr.network_address), int(cidr.netmask)
    return {"eth_type": IPV4, "ipv4_dst": inside} if cidr.version == 4 else {"eth_type": IPV6, "ipv6_dst": inside}


def compile_neighbour(world: World, dpid: int, name: str) -> Fragment | None:
    """The port, where a network that has a route to its network is present."""
    features, port = find_features(world, dpid), find_bound_port(world, name)
    if features is None or port is None:
        return None
    if not any(present(world, dpid, network) for network in routed_to(world, port.port.network)):
        return None
    edge_id = 0 if port.at.dpid == dpid else world.intent.keys.edge_id(port.at.dpid)
    fragment = _EMPTY if edge_id is None else _neighbour(features, port, edge_id)
    return None if fragment == _EMPTY else fragment


@lru_cache(maxsize=1024)  # as with peers: the same on every other switch, and asked for in a row
def _neighbour(features: SwitchFeatures, port: BoundPort, edge_id: int) -> Fragment:
    draft, target = Draft(Kind.NEIGHBOUR, features), (tables.TARGET, port.network_key)
    found = apply(
        actions.set_field("eth_dst", port.mac), tables.DESTINATION.load(port.key24), tables.EDGE.load(edge_id))
    for address in sorted(set(port.port.addresses), key=lambda a: (a.version, int(a))):
        to = ({"eth_type": IPV4, "ipv4_dst": int(address)} if isinstance(address, IPv4Address)
              else {"eth_type": IPV6, "ipv6_dst": int(address)})
        draft.flow(NEIGHBOUR, Priority.NORMAL, where(target, **to), found, goto(tables.PIPE))
    return draft.fragment()
