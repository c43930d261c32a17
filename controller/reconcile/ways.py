"""Which way frames go from one switch to another: as it is programmed now, not as it would be best.

Read off the labels that the switches hold, so that it is what `tcpdump` would show; paths/ says what else there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.fabric.labels import LabelHop, label_number
from controller.fabric.ports import EndPoint
from controller.pipeline.world import World


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
    trees: tuple[int, ...]
    """the working trees that go this way: each carries an equal share of the flows"""
    complete: bool
    """it arrives"""


def ways(world: World, src: int, dst: int) -> tuple[Way, ...]:
    """The ways from one dpid to another; none if frames between them are dropped where they start, or never arise."""
    choice = world.choices.get((src, dst))
    if choice is None:
        return ()
    found: dict[tuple[Leg, ...], list[int]] = {}
    for tree in range(choice.n_trees):
        legs = _legs(world, src, dst, label_number(choice.version, tree))
        found.setdefault(tuple(legs), []).append(tree)
    return tuple(
        Way(legs=legs, trees=tuple(trees), complete=bool(legs) and _end(world, legs[-1].link) == dst)
        for legs, trees in found.items()
    )


def in_use(world: World) -> set[EndPoint]:
    """The ports that some label leads frames to, or would in a failure: whatever may still be under way."""
    return {
        EndPoint(dpid, port_no)
        for (dpid, _), hops in world.labels.items() for hop in hops.values()
        for port_no in (hop.port_no, hop.failover_port_no) if port_no
    }


def _legs(world: World, src: int, dst: int, number: int) -> list[Leg]:
    legs: list[Leg] = []
    at: int | None = src
    while at is not None and at != dst and len(legs) < len(world.fabric.switches):
        hop = _hops(world, at, dst).get(number)
        if hop is None:
            break
        leg = Leg(link=EndPoint(at, hop.port_no), backup=_backup(world, at, dst, hop))
        meant = world.fabric.links.get(leg.link)
        if hop.failover_port_no and (meant is None or not meant.up):
            number, leg = hop.failover_number, Leg(link=EndPoint(at, hop.failover_port_no), failed_over=True)
        legs.append(leg)
        at = _end(world, leg.link)
    return legs


def _backup(world: World, at: int, dst: int, hop: LabelHop) -> tuple[EndPoint, ...]:
    if not hop.failover_port_no:
        return ()
    links = [EndPoint(at, hop.failover_port_no)]
    while (here := _end(world, links[-1])) is not None and here != dst and len(links) < len(world.fabric.switches):
        onward = _hops(world, here, dst).get(hop.failover_number)
        if onward is None:
            break
        links.append(EndPoint(here, onward.port_no))
    return tuple(links)


def _hops(world: World, at: int, dst: int) -> Mapping[int, LabelHop]:
    return world.labels.get((at, dst), {})


def _end(world: World, link: EndPoint) -> int | None:
    known = world.fabric.links.get(link)
    return known.dst.dpid if known else None
