"""Which queues each switch port is to have: grants and the world in, PortQueues out.  Pure.

    grants of a port ──► queues of each tenant and pipe ──► the rest of the rate is best effort's, 5 % at least

Ports inside the fabric tell tenants, and who is who in them, by the label (tenant_queues.py).  On an access port the
label is gone and all frames are one port's: whoever sends to it has queues there, by its MAC.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from immutables import Map

from controller.fabric.graph import UNKNOWN_SPEED_KBPS
from controller.fabric.observed import Observed
from controller.fabric.ports import EndPoint
from controller.intent.addresses import gateway_mac
from controller.model.network import Pipe
from controller.model.queues import BEST_EFFORT, EXPLICIT, Grant, OfPair, OfSource, PortQueues, Queue, Whose
from controller.pipeline.views import mac_int
from controller.pipeline.world import World
from controller.reconcile.grants import OBSERVED_SHARE, Grants, capacity_kbps
from controller.reconcile.tenant_queues import WEIGHT, Node, queues_of, tenant_node

BEST_EFFORT_SHARE = 0.05
"""What best effort has of each port whatever is promised."""


def rate_kbps(fabric: Observed, at: EndPoint) -> int:
    """What leaves this port at most once it has queues: the capacity as declared, else a little below its speed."""
    return capacity_kbps(fabric, at) or int(OBSERVED_SHARE * UNKNOWN_SPEED_KBPS)


def port_queues(world: World, at: EndPoint, grants: Mapping[str, Grant]) -> PortQueues | None:
    """The queues of one port; None: it needs none.  Guarantees that leave best effort too little are cut in proportion.
    """
    rate, ceiling_kbps = rate_kbps(world.fabric, at), _ceiling_kbps(world, at, grants)
    is_ceiling = 0 < ceiling_kbps <= rate
    rate = ceiling_kbps if is_ceiling else rate
    nodes = [(node, grant) for owner, grant in grants.items() if grant.guarantee_kbps > 0
             for node in _nodes(world, at, owner, grant)]
    if not nodes:
        return None
    promised = sum(node.kbps for node, _ in nodes)
    most = rate - max(1, int(BEST_EFFORT_SHARE * rate))
    share, rest, queues = min(1.0, most / promised), rate, list[Queue]()
    for node, grant in nodes:
        kbps = int(share * node.kbps)
        most_kbps = max(kbps, min(grant.ceiling_kbps or rate, rate))
        queues += queues_of(world, node, kbps=kbps, ceiling_kbps=most_kbps, weight=WEIGHT * node.weight)
        rest -= kbps
    queues.append(
        Queue(number=BEST_EFFORT, whose=(), guarantee_kbps=rest, ceiling_kbps=rate, weight=WEIGHT))
    return PortQueues(
        rate_kbps=rate, is_ceiling=is_ceiling, queues=tuple(sorted(queues, key=lambda queue: queue.number)))


def _ceiling_kbps(world: World, at: EndPoint, grants: Mapping[str, Grant]) -> int:
    """The ceiling of the port that an access port is for; 0 if it has none."""
    return next((grant.ceiling_kbps for owner, grant in grants.items() if world.placement.at.get(owner) == at), 0)


def _nodes(world: World, at: EndPoint, owner: str, grant: Grant) -> list[Node]:
    """The owner with all its parts; nothing if it has no queue here."""
    is_inside = at in world.fabric.links
    if owner in world.intent.tenants:
        return [tenant_node(world, owner, grant)] if is_inside else []
    if is_inside and owner in world.intent.ports:
        return []  # it became a link a moment ago
    whose = tuple(_whose(world, at, owner, is_inside=is_inside))
    node = Node(name=owner, kbps=grant.guarantee_kbps, weight=max(1, grant.weight), traffic_class=grant.traffic_class,
                whose=whose)
    return [node] if whose else []


def _whose(world: World, at: EndPoint, owner: str, *, is_inside: bool) -> Iterable[Whose]:
    """The frames of a pipe, or on an access port those of a port that sends; nothing of who went a moment ago."""
    if (pipe := world.intent.pipes.get(owner)) is not None:
        return _inside(world, pipe) if is_inside else _at_its_end(world, pipe, at)
    mac = _mac(world, owner)
    return [OfSource(0, mac)] if mac and owner in world.intent.keys.queue_ids else []


def _inside(world: World, pipe: Pipe) -> Iterable[OfPair | OfSource]:
    """Frames of a pipe with a label, that of a tree or of an explicit path: from either end to the other."""
    keys = world.intent.keys
    if pipe.joins_networks:
        for source, target in ((pipe.a, pipe.b), (pipe.b, pipe.a)):
            mac = mac_int(gateway_mac(keys.network_key(source)))  # of all frames from there, for they are routed
            yield OfSource(keys.slice_of(target), mac)
        return
    for source, destination in ((pipe.a, pipe.b), (pipe.b, pipe.a)):
        key, mac = keys.port_key(destination), _mac(world, source)
        edge_id = keys.edge_id(key.dpid) if key is not None else None
        if key is not None and edge_id is not None and mac:
            yield OfPair(mac, key.key24, edge_id)
            yield OfPair(mac, key.key24, EXPLICIT)


def _at_its_end(world: World, pipe: Pipe, at: EndPoint) -> Iterable[OfPair]:
    """Frames of a pipe that leave the network here."""
    for source, destination in ((pipe.a, pipe.b), (pipe.b, pipe.a)):
        if world.placement.at.get(destination) == at and (mac := _mac(world, source)):
            yield OfPair(mac, 0, 0)


def _mac(world: World, port: str) -> int:
    found = world.intent.ports.get(port)
    return int(found.mac.replace(":", ""), 16) if found else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A port's queues, and all that they follow from."""

    granted: Map[str, Grant]
    causes: tuple[object, ...]
    queues: PortQueues | None


class Plans:
    """The queues of all ports.  An update costs what changed, but for a look at each port that has grants.

    A link that is down grants nothing, but its queues stay as long as their owners: probes may have been lost where
    frames still pass, and without queues a flood keeps all further probes from showing that.
    """

    def __init__(self) -> None:
        self._plans: dict[EndPoint, _Plan] = {}

    def update(self, world: World, grants: Grants) -> dict[EndPoint, PortQueues | None]:
        """The ports whose queues are to be others than after the last update."""
        changed: dict[EndPoint, PortQueues | None] = {}
        kept: dict[EndPoint, Map[str, Grant]] = {}
        for at in [at for at in self._plans if at not in grants]:
            link = world.fabric.links.get(at)
            if link is not None and not link.up:
                kept[at] = _existing(world, self._plans[at].granted)
            elif self._plans.pop(at).queues is not None:
                changed[at] = None
        for at, granted in itertools.chain(grants.items(), kept.items()):
            before, causes = self._plans.get(at), _causes(world, at, granted)
            if before is not None and all(map(_is_same, before.causes, causes)):
                continue
            queues = port_queues(world, at, granted)
            self._plans[at] = _Plan(granted=granted, causes=causes, queues=queues)
            if queues != (before.queues if before else None):
                changed[at] = queues
        return changed


def _existing(world: World, granted: Map[str, Grant]) -> Map[str, Grant]:
    """Of these owners those that are not deleted; the same value if that is all."""
    gone = [owner for owner in granted if world.intent.get(owner) is None]
    return functools.reduce(Map.delete, gone, granted)


def _causes(world: World, at: EndPoint, granted: Map[str, Grant]) -> tuple[object, ...]:
    intent = world.intent
    keys = intent.keys
    pipes: tuple[object, ...] = (None,) * 5
    if any(owner in intent.pipes for owner in granted):
        pipes = intent.pipes, intent.ports, keys.port_keys, keys.edge_ids, world.placement.at
    networks = [intent.networks_by_tenant.get(owner) for owner in granted]
    peerings: list[object] = [owner in intent.peerings_by_tenant and intent.peers for owner in granted]
    if any(peerings):
        peerings.append(intent.pipes)
    return granted, world.fabric.links.get(at), rate_kbps(world.fabric, at), *pipes, *networks, *peerings


def _is_same(one: object, other: object) -> bool:
    """Maps by identity: they share what did not change, and to compare them costs their size."""
    return one is other or (not isinstance(one, Map) and one == other)
