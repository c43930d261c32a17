"""The queues of one tenant on a link: its grant, and the parts in it, become a tree.  Pure.

    tenant            one queue, if nobody below it has a part of its own; else
     ├ network        the same for each with a part of its own (a tenant's only network is the tenant itself)
     │   ├ port       by the MAC of the sender, or by the receiver's key
     │   └ rest       by the network's slice
     └ rest           by the slices of the other networks; and what networks with parts are sent by their peers

Knows names and numbers; how much anybody gets was decided before (members.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from controller.intent.addresses import gateway_mac
from controller.intent.snapshot import NO_NAMES
from controller.model.bandwidth import TrafficClass
from controller.model.ids import network_of
from controller.model.queues import (
    Grant,
    NetworkGrant,
    OfDestination,
    OfSlice,
    OfSource,
    PortGrant,
    Queue,
    Whose,
    inner_queue,
    leaf_queue,
)
from controller.pipeline.views import mac_int
from controller.pipeline.world import World

WEIGHT = 1_000
"""A weight of 1, so that it can be divided among the parts of whoever has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An owner, and the parts of others in what it has."""

    name: str
    kbps: int
    weight: int
    traffic_class: TrafficClass
    whose: tuple[Whose, ...]
    """of frames that are no part's"""
    parts: Sequence[Node] = ()


def tenant_node(world: World, tenant: str, grant: Grant) -> Node:
    """The tenant with all its parts."""
    names = world.intent.networks_by_tenant.get(tenant, NO_NAMES)
    networks = [_network_node(world, name, each) for name, each in grant.networks.items() if name in names]
    rest: tuple[Whose, ...] = tuple(
        dict.fromkeys(OfSlice(_slice(world, name)) for name in sorted(names) if name not in grant.networks))
    rest += tuple(_from_peers(world, (node.name for node in networks)))
    node = Node(name=tenant, kbps=grant.guarantee_kbps, weight=max(1, grant.weight),
                traffic_class=grant.traffic_class, whose=rest, parts=networks)
    if len(networks) == 1 and not rest:
        return replace(node, whose=networks[0].whose, parts=networks[0].parts)
    return node


def _from_peers(world: World, networks: Iterable[str]) -> Iterator[OfSource]:
    """What comes to these networks from their peers, but for what has a pipe: it is no part of what they have."""
    intent = world.intent
    for network in networks:
        for peer in sorted(intent.peers_of(network)):
            pipe = intent.pipes.get(intent.pipe_between.get((min(network, peer), max(network, peer)), ""))
            if pipe is None or not pipe.bandwidth.may_guarantee:
                yield OfSource(_slice(world, network), mac_int(gateway_mac(intent.keys.network_key(peer))))


def queues_of(world: World, node: Node, *, kbps: int, ceiling_kbps: int, weight: int, parent: int = 0) -> list[Queue]:
    """The queues of a node that has so much, instead of what it was granted, and this weight for all its parts."""
    number = world.intent.keys.queue_id(node.name)
    leaf = Queue(
        number=leaf_queue(number), whose=node.whose, guarantee_kbps=kbps, ceiling_kbps=ceiling_kbps,
        weight=max(1, weight), traffic_class=node.traffic_class, parent=parent)
    if not node.parts:
        return [leaf]
    inner = replace(leaf, number=inner_queue(number), whose=())
    share = min(1.0, kbps / max(1, sum(part.kbps for part in node.parts), node.kbps))
    has = [int(share * part.kbps) for part in node.parts]
    left = max(0, kbps - sum(has))
    weights = [part.weight for part in node.parts]
    weights += [max(left, min(weights))] * bool(node.whose)  # whoever has no guarantee is not to starve beside siblings
    turns = [weight * each // sum(weights) for each in weights]
    found = [inner]
    for part, part_kbps, turn in zip(node.parts, has, turns, strict=False):
        found += queues_of(
            world, part, kbps=part_kbps, ceiling_kbps=ceiling_kbps, weight=turn, parent=inner.number)
    if node.whose:
        found.append(replace(leaf, guarantee_kbps=left, weight=max(1, turns[-1]), parent=inner.number))
    return found


def _network_node(world: World, network: str, grant: NetworkGrant) -> Node:
    ports = [_port_node(world, name, each, by_source=grant.by_source)
             for name, each in grant.ports.items() if name in world.intent.keys.queue_ids]
    return Node(name=network, kbps=grant.guarantee_kbps, weight=max(1, grant.weight), traffic_class=grant.traffic_class,
                whose=(OfSlice(_slice(world, network)),), parts=ports)


def _port_node(world: World, port: str, grant: PortGrant, *, by_source: bool) -> Node:
    return Node(name=port, kbps=grant.guarantee_kbps, weight=max(1, grant.weight), traffic_class=grant.traffic_class,
                whose=tuple(_whose(world, port, grant, by_source=by_source)))


def _whose(world: World, port: str, grant: PortGrant, *, by_source: bool) -> Iterator[Whose]:
    keys = world.intent.keys
    if grant.sends:
        mac = int(world.intent.ports[port].mac.replace(":", ""), 16)
        yield OfSource(_slice(world, network_of(port)), mac, second=not by_source)
    key = keys.port_key(port) if grant.receives else None
    edge_id = keys.edge_id(key.dpid) if key is not None else None
    if key is not None and edge_id is not None:
        yield OfDestination(edge_id, key.key24)


def _slice(world: World, network: str) -> int:
    return world.intent.keys.slice_of(network)
