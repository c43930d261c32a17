"""What follows for links when a switch knows that a wire is dead although its port is up (BFD tells, for one)."""

from __future__ import annotations

from collections.abc import Set

from controller.fabric.events import LinkLost, LinkSeen
from controller.fabric.observed import Observed
from controller.fabric.ports import EndPoint


def lost_with(fabric: Observed, dead: Set[EndPoint]) -> list[LinkLost]:
    """The links that are up and end on a dead wire.  In both directions: who hears nothing cannot tell who is heard."""
    sources = {*dead, *(fabric.into[at] for at in dead if at in fabric.into)}
    return [LinkLost(src=src) for src in sorted(sources) if src in fabric.links and fabric.links[src].seen]


def is_refuted(fabric: Observed, seen: LinkSeen, dead: Set[EndPoint]) -> bool:
    """A probe came through, but not enough else does.  Of another wire than the one that died it is the first news."""
    link = fabric.links.get(seen.src)
    return link is not None and link.dst == seen.dst and not dead.isdisjoint((seen.src, seen.dst))
