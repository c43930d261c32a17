"""Which way frames go from one switch to another: as it is programmed now, not as it would be best.

Read off the labels that the switches hold, so that it is what `tcpdump` would show; paths/ says what else there is.
"""

from __future__ import annotations

from dataclasses import dataclass

from immutables import Map

from controller.fabric.explicit import FIRST_LABEL, Steer, steer_labels
from controller.fabric.labels import LabelHop, edge_of, label16, label_number, number_in
from controller.fabric.ports import EndPoint
from controller.pipeline.world import World

_NO_HOPS: Map[int, LabelHop] = Map()
_NO_STEERS: Map[tuple[str, int], Steer] = Map()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One link of a way."""

    link: EndPoint
    """by src"""
    backup: tuple[EndPoint, ...] = ()
    """the links from here to the destination if this one fails, without the controller; none: the frame is lost"""
    failed_over: bool = False
    """this is the backup of the link that is meant, which is down"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way that frames take."""

    legs: tuple[Leg, ...]
    labels: tuple[int, ...]
    """those that go this way: each carries an equal share of the flows"""
    complete: bool
    """it arrives"""


def ways(world: World, src: int, dst: int, network: str = "") -> tuple[Way, ...]:
    """The ways from one dpid to another, of a network or else of all that have no path policy.

    None if frames between them are dropped where they start, or never arise.
    """
    found: dict[tuple[Leg, ...], list[int]] = {}
    for label in written(world, src, dst, network):
        legs = _legs(world, src, dst, label)
        found.setdefault(tuple(legs), []).append(label)
    return tuple(
        Way(legs=legs, labels=tuple(labels), complete=bool(legs) and _end(world, legs[-1].link) == dst)
        for legs, labels in found.items()
    )


def written(world: World, src: int, dst: int, network: str = "") -> tuple[int, ...]:
    """The labels that one dpid writes on frames toward another, each on an equal share of the connections."""
    choice, edge_id = world.choices.get((src, dst)), world.intent.keys.edge_id(dst)
    steer = world.steers.get(src, _NO_STEERS).get((network, dst))
    if edge_id is None:
        return ()
    if steer is not None:
        return steer_labels(edge_id, steer)
    if choice is None:
        return ()
    return tuple(label16(edge_id, label_number(choice.version, tree)) for tree in range(choice.n_trees))


def in_use(world: World) -> set[EndPoint]:
    """The ports that some label leads frames to, or would in a failure: whatever may still be under way."""
    held = ((dpid, hop) for (dpid, _), hops in world.labels.items() for hop in hops.values())
    explicit = ((dpid, hop) for dpid, hops in world.explicit.items() for hop in hops.values())
    return {
        EndPoint(dpid, port_no)
        for dpid, hop in (*held, *explicit) for port_no in (hop.port_no, hop.failover_port_no) if port_no
    }


def _legs(world: World, src: int, dst: int, label: int) -> list[Leg]:
    legs: list[Leg] = []
    at: int | None = src
    # On its label and on the backup, to which it may have turned round, a frame comes to each switch once.
    while at is not None and at != dst and len(legs) < 2 * len(world.fabric.switches):
        hop = _hop(world, at, dst, label)
        if hop is None:
            break
        leg = Leg(link=EndPoint(at, hop.port_no), backup=_backup(world, at, dst, hop, label))
        meant = world.fabric.links.get(leg.link)
        if hop.failover_port_no and (meant is None or not meant.up):
            label, leg = _other(label, hop), Leg(link=EndPoint(at, hop.failover_port_no), failed_over=True)
        legs.append(leg)
        at = _end(world, leg.link)
    return legs


def _backup(world: World, at: int, dst: int, hop: LabelHop, label: int) -> tuple[EndPoint, ...]:
    if not hop.failover_port_no:
        return ()
    links, label = [EndPoint(at, hop.failover_port_no)], _other(label, hop)
    while (here := _end(world, links[-1])) is not None and here != dst and len(links) < len(world.fabric.switches):
        onward = _hop(world, here, dst, label)
        if onward is None:
            break
        links.append(EndPoint(here, onward.port_no))
    return tuple(links)


def _other(label: int, hop: LabelHop) -> int:
    """The label that a frame goes on with where it fails over."""
    return hop.failover_number if label >= FIRST_LABEL else label16(edge_of(label), hop.failover_number)


def _hop(world: World, at: int, dst: int, label: int) -> LabelHop | None:
    if label >= FIRST_LABEL:
        return world.explicit.get(at, _NO_HOPS).get(label)
    return world.labels.get((at, dst), _NO_HOPS).get(number_in(label))


def _end(world: World, link: EndPoint) -> int | None:
    known = world.fabric.links.get(link)
    return known.dst.dpid if known else None
