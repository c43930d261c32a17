"""Frames between the ports of a network: fdb, replication, unlabel, deliver.

Replication is a tree of groups, so that a port that comes or goes rewrites one small group:

    ALL(network) -+-> LOCAL(network) -+-> LEAF 0 --> at most 64 ports, each copy through its own meters
                  |                   +-> LEAF 1 --> ...
                  +-> a copy labelled for each other edge where the network is present; there it enters LOCAL
"""

from __future__ import annotations

from functools import lru_cache

from controller.fabric.ports import SwitchFeatures
from controller.openflow import actions
from controller.pipeline import tables
from controller.pipeline.answers import answer_for_gateways, answer_for_peer, serve_port
from controller.pipeline.base import IPV4, IPV6
from controller.pipeline.classify import classify_tenant_port
from controller.pipeline.draft import Draft, apply, goto, resubmit, through
from controller.pipeline.rates import limit_port
from controller.pipeline.security import secure_port
from controller.pipeline.tables import FDB, UNLABEL, UNLABEL_BUM, GroupKind, Kind, MeterKind, Priority, where
from controller.pipeline.views import (
    BoundPort,
    LocalNetwork,
    find_bound_port,
    find_features,
    find_local_network,
    leaf_keys,
    local_leaves,
    other_edges,
    present,
    subnets_of,
)
from controller.pipeline.world import Fragment, World

_GROUP_BIT = (1 << 40, 1 << 40)
"""eth_dst of broadcast and multicast."""
_BROADCAST = 0xFFFFFFFFFFFF
_IPV4_MULTICAST_MAC, _IPV4_MULTICAST_BITS = 0x01005E000000, 23
_IPV6_MULTICAST_MAC, _IPV6_MULTICAST_BITS = 0x333300000000, 32
_IPV4_MULTICAST = (0xE0000000, 0xF0000000)
_IPV6_MULTICAST = (0xFF << 120, 0xFF << 120)


def compile_port(world: World, dpid: int, name: str) -> Fragment | None:
    features, bound = find_features(world, dpid), find_bound_port(world, name)
    if features is None or bound is None or bound.at.dpid != dpid:
        return None
    draft = Draft(Kind.PORT, features)
    classify_tenant_port(draft, bound)
    secure_port(draft, bound)
    serve_port(draft, bound)
    limit_port(draft, world, bound)
    draft.flow(
        UNLABEL, Priority.NORMAL, where(eth_dst=tables.key_in_label(bound.key24)),
        apply(
            tables.DESTINATION.load(bound.key24),
            tables.load_owner(bound.tenant_id, bound.network_key),
            actions.set_field("eth_dst", bound.mac),
        ),
        goto(tables.RX_PORT),
    )
    here = where((tables.DESTINATION, bound.key24))
    draft.flow(tables.DELIVER, Priority.NORMAL, here, apply(actions.output(bound.at.port_no)))
    return draft.fragment()


def compile_peer(world: World, dpid: int, name: str) -> Fragment | None:
    features, peer = find_features(world, dpid), find_bound_port(world, name)
    if features is None or peer is None or not present(world, dpid, peer.port.network):
        return None
    edge_id = 0 if peer.at.dpid == dpid else world.intent.keys.edge_id(peer.at.dpid)
    if edge_id is None:
        return None
    return _peer(features, peer, edge_id)


@lru_cache(maxsize=1024)  # one port's is the same on every other switch, and the engine asks for these in a row
def _peer(features: SwitchFeatures, peer: BoundPort, edge_id: int) -> Fragment:
    draft = Draft(Kind.PEER, features)
    draft.flow(
        FDB, Priority.NORMAL, where((tables.NETWORK, peer.network_key), eth_dst=peer.mac),
        apply(tables.DESTINATION.load(peer.key24), tables.EDGE.load(edge_id)),
        goto(tables.PIPE),
    )
    answer_for_peer(draft, peer)
    return draft.fragment()


def compile_network(world: World, dpid: int, name: str) -> Fragment | None:
    features, network = find_features(world, dpid), find_local_network(world, dpid, name)
    if features is None or network is None:
        return None
    draft = Draft(Kind.NETWORK, features)
    local, everyone = tables.group_id(GroupKind.LOCAL, network.key), tables.group_id(GroupKind.ALL, network.key)
    leaves = (tables.group_id(GroupKind.LEAF, network.key, leaf) for leaf in local_leaves(world, dpid, name))
    draft.copy_to_all(local, [(actions.group(leaf),) for leaf in leaves])
    to_edge = (tables.EDGE.load(edge_id) for edge_id in other_edges(world, dpid, name))
    away = (tables.DESTINATION.load(network.key), resubmit(tables.PATH))
    draft.copy_to_all(everyone, [(actions.group(local),), *((edge, *away) for edge in to_edge)])

    here = (tables.NETWORK, network.key)
    meter = draft.meter(tables.meter_id(network.slot, MeterKind.BUM), tables.BUM_PPS, tables.BUM_BURST, "pktps")
    replicate = apply(tables.BUM.load(1), actions.group(everyone))
    draft.flow(FDB, Priority.FALLBACK, where(here, eth_dst=_GROUP_BIT), through(meter), replicate)
    draft.flow(FDB, Priority.NORMAL, where(here, eth_dst=network.gateway_mac), goto(tables.ROUTE))
    _unlabel_bum(draft, network, local)
    answer_for_gateways(draft, network, subnets_of(world, name))
    return draft.fragment()


def _unlabel_bum(draft: Draft, network: LocalNetwork, local: int) -> None:
    """The label took the place of the group MAC; the packet still says which one it was."""
    key = {"eth_dst": tables.key_in_label(network.key)}
    owner, replicate = tables.load_owner(network.tenant_id, network.key), actions.group(local)
    for match, mac, source, bits in (
        (where(**key, eth_type=IPV4, ipv4_dst=_IPV4_MULTICAST), _IPV4_MULTICAST_MAC, "ipv4_dst", _IPV4_MULTICAST_BITS),
        (where(**key, eth_type=IPV6, ipv6_dst=_IPV6_MULTICAST), _IPV6_MULTICAST_MAC, "ipv6_dst", _IPV6_MULTICAST_BITS),
    ):
        restore = (actions.set_field("eth_dst", mac), actions.move(source, "eth_dst", bits=bits))
        draft.flow(UNLABEL_BUM, Priority.NORMAL, match, apply(owner, *restore, replicate))
    broadcast = actions.set_field("eth_dst", _BROADCAST)
    draft.flow(UNLABEL_BUM, Priority.FALLBACK, where(**key), apply(owner, broadcast, replicate))


def compile_flood(world: World, dpid: int, name: str, leaf: int) -> Fragment | None:
    features, network = find_features(world, dpid), find_local_network(world, dpid, name)
    if features is None or network is None:
        return None
    keys = leaf_keys(world, dpid, name, leaf)
    if not keys:
        return None
    draft = Draft(Kind.FLOOD, features)
    copies = [(tables.DESTINATION.load(key), resubmit(tables.COPY)) for key in keys]
    draft.copy_to_all(tables.group_id(GroupKind.LEAF, network.key, leaf), copies)
    return draft.fragment()
