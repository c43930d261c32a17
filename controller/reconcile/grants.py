"""What each owner (a tenant, or a pipe) is granted on each switch port, and who gets less than was promised."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from immutables import Map

from controller.fabric.graph import Fabric
from controller.fabric.observed import Observed
from controller.fabric.ports import EndPoint
from controller.model.ids import format_dpid
from controller.model.queues import Grant
from controller.reconcile.book import NO_BOOK, Book, Ingress, Resource
from controller.reconcile.owners import link_name

Grants = Map[EndPoint, Map[str, Grant]]
"""switch port -> {owner: what it is guaranteed of what leaves there}; nothing where nobody is guaranteed anything"""
Places = Map[str, Map[EndPoint, None]]
"""owner -> the switch ports where it is granted something"""
OBSERVED_SHARE = 0.98
"""Of a speed that a port reports: a queue is ours only where the port behind it is faster."""
MAX_NAMED = 3
"""links in one message"""


class Apart(NamedTuple):
    """Two edge switches of a network, between which nothing arrives."""

    network: str
    src: int
    dst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """An owner whose guarantee does not fit any more, or has no path."""

    share: float
    """the least, of all links, of its guarantee there that it keeps; 0 to 1, and 0 if something has no path"""
    links: tuple[EndPoint, ...]
    """where it keeps less than all, worst first"""
    apart: tuple[Apart, ...] = ()
    """between which of its edges it keeps nothing, for there is no path"""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """All of it at one moment."""

    grants: Grants = Map()
    places: Places = Map()
    """the same the other way round"""
    degraded: Map[str, Degraded] = Map()
    """owner (a tenant, pipe, or port) -> how much of its guarantee is left, and where"""
    bare: Map[str, tuple[EndPoint, ...]] = Map()
    """protected owner -> where there is no room for what it would need if another link failed"""
    crowded: Map[str, tuple[EndPoint, ...]] = Map()
    """network -> links that too many of its guaranteed ports cross for each to have a part of its own"""
    crowded_ends: frozenset[str] = frozenset()
    """networks of which too many ports are guaranteed to send for each to have a queue at the port of who receives"""
    book: Book = NO_BOOK
    """what is promised, with the most of any window of each schedule: what admission measures against"""


NOT_GRANTED = Granted()


def places_of(grants: Grants) -> Places:
    """Worked out from nothing."""
    places: Places = Map()
    for at, granted in grants.items():
        places = moved_at(places, at, Map(), granted)
    return places


def moved_at(places: Places, at: EndPoint, before: Map[str, Grant], after: Map[str, Grant]) -> Places:
    """The places, now that these are granted something there."""
    for owner in [owner for owner in before if owner not in after]:
        left = places[owner].delete(at)
        places = places.set(owner, left) if left else places.delete(owner)
    for owner in [owner for owner in after if owner not in before]:
        places = places.set(owner, places.get(owner, Map()).set(at, None))
    return places


def capacity_kbps(fabric: Observed, resource: Resource) -> int | None:
    """What a link or access port carries; None if nobody knows.

    Where the capacity is not declared, queues are made a little slower than the port (OBSERVED_SHARE).
    """
    if not isinstance(resource, Ingress) and (link := fabric.links.get(resource)) is not None:
        return link.declared_capacity_kbps or int(OBSERVED_SHARE * link.capacity_kbps)
    port = fabric.port(place_of(resource))
    return int(OBSERVED_SHARE * port.speed_kbps) or None if port is not None else None


def place_of(resource: Resource) -> EndPoint:
    """The switch port that it is about."""
    return resource.at if isinstance(resource, Ingress) else resource


def named(fabric: Fabric, resource: Resource) -> str:
    """A link or access port as messages write it."""
    if isinstance(resource, Ingress):
        return f"access port {resource}"
    link = fabric.links.get(resource)
    return f"access port {resource}" if link is None else f"link {link}"


def resource_name(resource: Resource) -> str:
    """The API's name of a link; of an access port that of the link that would leave there."""
    return link_name(place_of(resource))


def list_named(fabric: Fabric, resources: Collection[Resource]) -> str:
    """Some of them, and how many more there are."""
    shown = ", ".join(named(fabric, resource) for resource in list(resources)[:MAX_NAMED])
    return shown + (f" and {len(resources) - MAX_NAMED} more" if len(resources) > MAX_NAMED else "")


def list_apart(apart: Collection[Apart]) -> str:
    """'from 000000000000000b to 000000000000000c and between 2 more pairs'."""
    shown = [f"from {format_dpid(src)} to {format_dpid(dst)}" for _, src, dst in list(apart)[:MAX_NAMED]]
    return ", ".join(shown) + (f" and between {len(apart) - MAX_NAMED} more pairs" if len(apart) > MAX_NAMED else "")


def mbps(kbps: float) -> str:
    """40000 -> '40 Mbit/s', 1500 -> '1.5 Mbit/s', 640 -> '640 kbit/s'."""
    return f"{kbps / 1_000:g} Mbit/s" if kbps >= 1_000 else f"{kbps:g} kbit/s"
