"""From a world to the program of its switches, one fragment at a time.  Same world and key, same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from controller.model.ids import tenant_of
from controller.pipeline.base import compile_switch
from controller.pipeline.classify import compile_switch_port
from controller.pipeline.drops import compile_tenant
from controller.pipeline.pipes import compile_pipe
from controller.pipeline.queueing import compile_queue
from controller.pipeline.rates import compile_ceiling
from controller.pipeline.routing import compile_neighbour, compile_route
from controller.pipeline.switching import compile_flood, compile_network, compile_peer, compile_port
from controller.pipeline.tables import Kind
from controller.pipeline.transit import compile_explicit, compile_label, compile_reach, compile_steer
from controller.pipeline.views import chooses_queues, local_leaves, routed_to
from controller.pipeline.world import Fragment, FragmentKey, World

_COMPILERS: dict[Kind, Callable[..., Fragment | None]] = {
    Kind.SWITCH: compile_switch,
    Kind.SWITCH_PORT: compile_switch_port,
    Kind.LABEL: compile_label,
    Kind.REACH: compile_reach,
    Kind.TENANT: compile_tenant,
    Kind.NETWORK: compile_network,
    Kind.FLOOD: compile_flood,
    Kind.PORT: compile_port,
    Kind.PEER: compile_peer,
    Kind.EXPLICIT: compile_explicit,
    Kind.STEER: compile_steer,
    Kind.QUEUE: compile_queue,
    Kind.PIPE: compile_pipe,
    Kind.CEILING: compile_ceiling,
    Kind.ROUTE: compile_route,
    Kind.NEIGHBOUR: compile_neighbour,
}


def fragment_key(kind: Kind, dpid: int, *subject: Any) -> FragmentKey:
    return FragmentKey(kind.name.lower(), dpid, subject)


def compile_fragment(world: World, key: FragmentKey) -> Fragment | None:
    """The fragment as this world wants it; None: it does not exist in this world."""
    return _COMPILERS[Kind[key.kind.upper()]](world, key.dpid, *key.subject)


def all_fragments(world: World) -> list[FragmentKey]:
    """The keys of every fragment that exists, sorted; from scratch."""
    candidates = (key for dpid in world.fabric.switches for key in fragments_on(world, dpid))
    return sorted(key for key in candidates if compile_fragment(world, key) is not None)


def fragments_on(world: World, dpid: int) -> Iterator[FragmentKey]:
    """The keys of every fragment that may exist on the switch, each once, in no order."""
    switch = world.fabric.switches.get(dpid)
    if switch is None:
        return
    yield fragment_key(Kind.SWITCH, dpid)
    for port_no in switch.ports:
        yield fragment_key(Kind.SWITCH_PORT, dpid, port_no)
    for edge in world.intent.keys.edges():
        for number in world.labels.get((dpid, edge), ()):
            yield fragment_key(Kind.LABEL, dpid, edge, number)
        yield fragment_key(Kind.REACH, dpid, edge)
    for label in world.explicit.get(dpid, ()):
        yield fragment_key(Kind.EXPLICIT, dpid, label)
    for network, edge in world.steers.get(dpid, ()):
        yield fragment_key(Kind.STEER, dpid, network, edge)
    for tenant in world.guaranteed:
        for network in world.intent.networks_by_tenant.get(tenant, ()):
            yield fragment_key(Kind.QUEUE, dpid, network)
    yield from _of_tenants(world, dpid)
    for pipe in _pipes(world, dpid):
        yield fragment_key(Kind.PIPE, dpid, pipe)


def _pipes(world: World, dpid: int) -> set[str]:
    """With an end here; and where flows choose queues, all that have a guarantee."""
    networks = world.placement.networks_at.get(dpid, ())
    ports = (port for network in networks for port in world.placement.presence[network][dpid])
    found = {pipe for port in ports for pipe in world.intent.pipes_by_end.get(port, ())}
    if chooses_queues(world, dpid):
        found.update(name for names in world.guaranteed.values() for name in names if name in world.intent.pipes)
    return found


def _of_tenants(world: World, dpid: int) -> Iterator[FragmentKey]:
    tenants: set[str] = set()
    targets: set[str] = set()
    joining: set[str] = set()
    for network in world.placement.networks_at.get(dpid, ()):
        tenants.add(tenant_of(network))
        targets.update(routed_to(world, network))
        joining.update(world.intent.pipes_by_end.get(network, ()))
        yield fragment_key(Kind.NETWORK, dpid, network)
        yield fragment_key(Kind.ROUTE, dpid, network)
        yield fragment_key(Kind.CEILING, dpid, network)
        for leaf in local_leaves(world, dpid, network):
            yield fragment_key(Kind.FLOOD, dpid, network, leaf)
        for port in world.placement.presence[network][dpid]:
            yield fragment_key(Kind.PORT, dpid, port)
        for port in world.placement.members[network]:
            yield fragment_key(Kind.PEER, dpid, port)
    for target in targets:
        for port in world.placement.members.get(target, ()):
            yield fragment_key(Kind.NEIGHBOUR, dpid, port)
    for pipe in joining:
        yield fragment_key(Kind.CEILING, dpid, pipe)
    for tenant in tenants:
        yield fragment_key(Kind.TENANT, dpid, tenant)
        yield fragment_key(Kind.CEILING, dpid, tenant)
