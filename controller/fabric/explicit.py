"""Explicit paths: one way between two edges under a label of its own, for those that no tree serves.

    0xF000 | number << 1 | backup      number 0..2047, shared by all that want this very path

    working    A ══► S1 ══► E          every switch on it sends on through a failover group, where it has a backup
    backup     A ◄── S1 ──╳            a dead link sends frames back the way they came, to where the backup leaves,
               └──► S2 ──► E           and on by that; no groups there: a second failure drops

The forwarding of a number never changes under it: another path is another number.  So a path is used make-before-break
as a version of labels is (labels.py): installed, confirmed by every switch on it and on its backup, then written by the
switch that it begins at, the only one that ever writes it; and gone when that one has confirmed to write another.

Why no frame loops: the working path is simple; a frame changes to the backup number once and keeps it; back over the
working path it only comes nearer to the switch where the backup leaves, and from there the backup is simple, too.
Knows no switch, no policy and no program.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from controller.fabric.labels import LabelHop, label16, label_number
from controller.fabric.ports import EndPoint

FIRST_LABEL = 0xF000
N_NUMBERS = 2048


class Leg(NamedTuple):
    """One link of a route: a wire, in the direction of travel."""

    src: EndPoint
    dst: EndPoint


Legs = tuple[Leg, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A simple path between two different switches, and another one that shares no wire with it, or ()."""

    working: Legs
    backup: Legs = ()

    @property
    def src(self) -> int:
        return self.working[0].src.dpid

    @property
    def dst(self) -> int:
        return self.working[-1].dst.dpid

    @property
    def switches(self) -> frozenset[int]:
        """Whoever has to hold its labels."""
        return frozenset(end.dpid for leg in (*self.working, *self.backup) for end in leg)

    def __str__(self) -> str:
        return " > ".join(str(leg.src) for leg in self.working)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplicitPath:
    """A route as it is, or is being, installed under a number."""

    route: Route
    pending: frozenset[int]
    """switches that have not confirmed to hold its labels"""

    @property
    def is_ready(self) -> bool:
        """Its first switch may write it."""
        return not self.pending


class Steer(NamedTuple):
    """What a switch writes on a network's frames toward an edge, by equal shares of its connections.

    Neither trees nor numbers: the frames are dropped.
    """

    trees: tuple[int, ...] = ()
    version: int = 0
    """of these trees: the one that the switch writes on other frames toward that edge, too"""
    numbers: tuple[int, ...] = ()
    """explicit paths"""


DROPPED = Steer()


def explicit_label(number: int, *, backup: bool = False) -> int:
    """The label as frames carry it."""
    return FIRST_LABEL | number << 1 | backup


def steer_labels(edge_id: int, steer: Steer) -> tuple[int, ...]:
    """What it writes toward the edge with this id, as frames carry it."""
    trees = (label16(edge_id, label_number(steer.version, tree)) for tree in steer.trees)
    return (*trees, *map(explicit_label, steer.numbers))


def number_of(label: int) -> int:
    """The path that an explicit label, or its backup, belongs to."""
    return (label - FIRST_LABEL) >> 1


def route_hops(number: int, route: Route) -> dict[int, dict[int, LabelHop]]:
    """dpid -> {label: what to do with it}; a failover goes on with a whole label, not with one of an edge's numbers."""
    working, backup = explicit_label(number), explicit_label(number, backup=True)
    hops: dict[int, dict[int, LabelHop]] = {route.dst: {working: LabelHop(0)}}
    if not route.backup:
        return hops | {leg.src.dpid: {working: LabelHop(leg.src.port_no)} for leg in route.working}
    hops[route.dst][backup] = LabelHop(0)
    around = {leg.src.dpid: leg.src.port_no for leg in route.backup}
    for before, leg in zip((None, *route.working), route.working, strict=False):
        if leg.src.dpid not in around and before is not None:
            around[leg.src.dpid] = before.dst.port_no
    for dpid, port_no in around.items():
        hops.setdefault(dpid, {})[backup] = LabelHop(port_no)
    for leg in route.working:
        hops[leg.src.dpid][working] = LabelHop(leg.src.port_no, around[leg.src.dpid], backup)
    return hops


def free_number(taken: Iterable[int], after: int) -> int | None:
    """The free number that comes next in turn, so that each is reused as late as possible."""
    used = set(taken)
    turn = (n % N_NUMBERS for n in range(after + 1, after + 1 + N_NUMBERS))
    return next((number for number in turn if number not in used), None)
