"""The distributed router of a network: each edge where the network is present routes for the hosts that are there.

    fdb ── the gateway's MAC ──► route ── target ──► neighbour ── real MAC, port, edge ──► pipe, and on like any frame
                                   └── an echo for a gateway ──► services, answers

    route        (network, prefix of a subnet)    -> which network the address is of; TTL less one
    neighbour    (that network, address)          -> the port that has it

Nothing is learned or asked for: addresses are known with their ports.  A network of one subnet has no routes, and costs
none of this.  Between its own subnets a frame keeps its sender's MAC all the way, so whatever tells its class by that
still does, where it leaves the fabric, too.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address

from controller.fabric.ports import SwitchFeatures
from controller.intent.addresses import Cidr, cidrs
from controller.openflow import actions
from controller.openflow.match import MatchValue
from controller.pipeline import tables
from controller.pipeline.answers import answer_echoes
from controller.pipeline.base import IPV4, IPV6
from controller.pipeline.draft import Draft, apply, goto
from controller.pipeline.tables import NEIGHBOUR, ROUTE, Kind, Priority, where
from controller.pipeline.views import (
    BoundPort,
    find_bound_port,
    find_features,
    find_local_network,
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
        found = tables.TARGET.load(world.intent.keys.network_key(target))
        for subnet in subnets_of(world, target):
            for cidr in cidrs(subnet):
                draft.flow(ROUTE, Priority.NORMAL, where((tables.NETWORK, network.key), **_inside(cidr)),
                           apply(found, actions.dec_ttl()), goto(NEIGHBOUR))
    fragment = draft.fragment()
    return None if fragment == _EMPTY else fragment


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


@lru_cache(maxsize=1024)  # as with peers: the same on every other switch, and a batch of ports goes switch by switch
def _neighbour(features: SwitchFeatures, port: BoundPort, edge_id: int) -> Fragment:
    draft, target = Draft(Kind.NEIGHBOUR, features), (tables.TARGET, port.network_key)
    found = apply(
        actions.set_field("eth_dst", port.mac), tables.DESTINATION.load(port.key24), tables.EDGE.load(edge_id))
    for address in sorted(set(port.port.addresses), key=lambda a: (a.version, int(a))):
        to = ({"eth_type": IPV4, "ipv4_dst": int(address)} if isinstance(address, IPv4Address)
              else {"eth_type": IPV6, "ipv6_dst": int(address)})
        draft.flow(NEIGHBOUR, Priority.NORMAL, where(target, **to), found, goto(tables.PIPE))
    return draft.fragment()
