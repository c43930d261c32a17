"""Pipes: the traffic between two ports, by its two directions apart.  Ceilings as meters, guarantees as queues.  And of
pipes between networks the queues; their ceilings, which many edges have together, are in rates.py.

    out   from a to b    metered on a's switch, slot of the pipe, OUT
    in    from b to a    metered on b's switch, slot of the pipe, IN

    fdb ─► pipe ─► place        both ports of one switch or not, a frame passes table `pipe` once, where it comes in

Where flows choose queues, a pipe that has, or may have, a guarantee is told by the MAC of its one end and the key of
its other: on fabric ports, where there is a tree's label, and where the frame leaves for its port.  An explicit path's
label does not name the edge, so there its frames are its tenant's like others.  BUM is no pipe's.  A pipe between
networks is told by the MAC of the gateways of the one, from which frames come to the other, and the slice of
that: on fabric ports alone, for behind them the MAC is another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from controller.intent.addresses import gateway_mac
from controller.model.network import Pipe
from controller.model.queues import leaf_queue
from controller.openflow import actions
from controller.pipeline import tables
from controller.pipeline.draft import Draft, apply, goto
from controller.pipeline.rates import limit_pipe
from controller.pipeline.tables import DELIVER, FABRIC, QUEUE, Kind, MeterKind, Priority, where
from controller.pipeline.views import BoundPort, chooses_queues, find_bound_port, find_features, mac_int, rates_of
from controller.pipeline.world import Fragment, World

_EMPTY = Fragment()


class _Way(NamedTuple):
    """One direction."""

    source: BoundPort
    destination: BoundPort
    meter_id: int
    ceiling_kbps: int


def compile_pipe(world: World, dpid: int, name: str) -> Fragment | None:
    features, pipe = find_features(world, dpid), world.intent.pipes.get(name)
    if features is None or pipe is None:
        return None
    draft = Draft(Kind.PIPE, features)
    queues = pipe.bandwidth.may_guarantee and chooses_queues(world, dpid)
    if queues and pipe.joins_networks:
        _queue_between(draft, world, pipe)
    for way in _ways(world, name):
        if way.source.at.dpid == dpid:
            _limit(draft, world, pipe, way)
        if queues:
            _queue(draft, world, dpid, way, leaf_queue(world.intent.keys.queue_id(name)))
    fragment = draft.fragment()
    return None if fragment == _EMPTY else fragment


def _ways(world: World, name: str) -> Iterator[_Way]:
    """Both directions, between ports; none while an end is unbound."""
    pipe, pipe_id = world.intent.pipes[name], world.intent.keys.pipe_id(name)
    a, b, rates = find_bound_port(world, pipe.a), find_bound_port(world, pipe.b), rates_of(world, pipe)
    if a is not None and b is not None:
        yield _Way(a, b, tables.pipe_meter_id(pipe_id, MeterKind.OUT), rates.ceiling_out_kbps)
        yield _Way(b, a, tables.pipe_meter_id(pipe_id, MeterKind.IN), rates.ceiling_in_kbps)


def _limit(draft: Draft, world: World, pipe: Pipe, way: _Way) -> None:
    source, destination = way.source, way.destination
    # Keys of ports are unique on their edge alone.
    edge_id = 0 if destination.at.dpid == source.at.dpid else world.intent.keys.edge_id(destination.at.dpid)
    if edge_id is not None:
        passes = where(
            (tables.SOURCE, source.key24), (tables.DESTINATION, destination.key24), (tables.EDGE, edge_id))
        limit_pipe(draft, pipe, passes, way.meter_id, way.ceiling_kbps, pipe.bandwidth.burst_ms)


def _queue(draft: Draft, world: World, dpid: int, way: _Way, queue: int) -> None:
    mac, destination, choose = way.source.mac, way.destination, actions.set_queue(queue)
    if (edge_id := world.intent.keys.edge_id(destination.at.dpid)) is not None:
        labelled = where(eth_src=mac, eth_dst=tables.port_in_label(edge_id, destination.key24))
        draft.flow(QUEUE, Priority.EXACT, labelled, apply(choose), goto(FABRIC))
    if destination.at.dpid == dpid:
        arrives = where((tables.DESTINATION, destination.key24), eth_src=mac)
        draft.flow(DELIVER, Priority.EXACT, arrives, apply(choose, actions.output(destination.at.port_no)))


def _queue_between(draft: Draft, world: World, pipe: Pipe) -> None:
    keys = world.intent.keys
    choose = actions.set_queue(leaf_queue(keys.queue_id(pipe.name)))
    for source, target in ((pipe.a, pipe.b), (pipe.b, pipe.a)):
        mac, slice_ = mac_int(gateway_mac(keys.network_key(source))), keys.slice_of(target)
        labelled = where(eth_src=mac, eth_dst=tables.key_of_slice(slice_))
        draft.flow(QUEUE, Priority.EXACT, labelled, apply(choose), goto(FABRIC))
