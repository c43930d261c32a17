"""Which interfaces are to watch their wire by BFD, and what they found.  Pure.

BFD finds the failures that show no loss of carrier: both ends send small frames all the time, and one that hears none
for three intervals says so to the other.  Open vSwitch does it below OpenFlow, and its fast-failover groups heed it.

- Both ends of a link are told, or none: an end alone would wait for ever.
- What we set carries our mark.  BFD that somebody else configured, or switched off, stays as it is.
- Told no longer is an end of no link, or of one where BFD was wrong lately (doubts.py).
- One wire of a switch after the other: until BFD has heard the other end, failover groups take the port for dead, and
  of a hop and the way around it one must live.
- A database out of reach says nothing about links: then all stays.
- Dead is a wire that was alive: a session that never came up says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, NamedTuple

from controller.fabric.observed import Link, Observed
from controller.fabric.ports import EndPoint
from controller.southbound.ovsdb.database import Database
from controller.southbound.ovsdb.rows import Row, Uuid, encode_map

MARK = "pliant-bfd"
"""in the external_ids of an interface: its BFD is ours"""
BFD_ADDRESS = "00:23:20:00:00:01"
"""Where Open vSwitch sends BFD to.  No label is like it, so no frame of a tenant comes across the fabric with it."""


class Place(NamedTuple):
    """The interface that is a switch port."""

    database: Database
    uuid: Uuid
    interface: Row


def find_places(databases: Iterable[Database]) -> dict[EndPoint, Place]:
    """Every switch port that a database in reach knows; if two know one, the first."""
    places: dict[EndPoint, Place] = {}
    for database in databases:
        ports, interfaces = database.rows("Port"), database.rows("Interface")
        for bridge in database.rows("Bridge").values():
            dpid = _dpid(bridge)
            members = (uuid for port in bridge["ports"] if port in ports for uuid in ports[port]["interfaces"])
            for uuid in members:
                interface = interfaces.get(uuid)
                if dpid and interface is not None and interface["ofport"]:
                    places.setdefault(EndPoint(dpid, interface["ofport"]), Place(database, uuid, interface))
    return places


def wanted_settings(interval_ms: int) -> dict[str, str]:
    """The address matters: without it OVS takes every frame of UDP port 3784 for BFD, those of tenants as well."""
    return {
        "enable": "true", "min_tx": str(interval_ms), "min_rx": str(interval_ms), "bfd_remote_dst_mac": BFD_ADDRESS}


def operations(
    places: Mapping[EndPoint, Place], fabric: Observed, interval_ms: int, *,
    doubted: Set[EndPoint] = frozenset(), busy: Set[int] = frozenset(),
) -> dict[Database, list[dict[str, Any]]]:
    """What is to be changed so that all links but those with a doubted end are watched.  Interval 0: no link is.

    busy: switches (dpid) where no watch is to begin now.
    """
    settings = wanted_settings(interval_ms)
    links = [link for link in fabric.links.values() if interval_ms and doubted.isdisjoint((link.src, link.dst))]
    ends = {end for link in links for end in (link.src, link.dst)}
    told = _choose(links, places, busy)
    changes: dict[Database, list[dict[str, Any]]] = {}
    for at, place in places.items():
        bfd, ours = place.interface["bfd"], _is_ours(place)
        if at in told and (ours or "enable" not in bfd):
            if not ours or any(bfd.get(key) != value for key, value in settings.items()):
                changes.setdefault(place.database, []).append(_tell(place.uuid, settings))
        elif ours and at not in ends:
            changes.setdefault(place.database, []).append(_tell(place.uuid, {}))
    return changes


def _choose(links: Iterable[Link], places: Mapping[EndPoint, Place], busy: Set[int]) -> set[EndPoint]:
    """The ends that are to be told, now or as before."""
    told: set[EndPoint] = set()
    taken = set(busy)
    for link in links:
        here = [places[end] for end in (link.src, link.dst) if end in places]
        if len(here) < 2:
            continue
        switches = {link.src.dpid, link.dst.dpid}
        if any(_is_ours(place) for place in here):
            told |= {link.src, link.dst}
        elif taken.isdisjoint(switches) and any("enable" not in place.interface["bfd"] for place in here):
            told |= {link.src, link.dst}
            taken |= switches
    return told


def find_beginning(places: Mapping[EndPoint, Place]) -> frozenset[EndPoint]:
    """The ends that were told and have never heard the other one."""
    return frozenset(
        at for at, place in places.items()
        if _is_ours(place) and place.interface["bfd_status"].get("flap_count", "0") == "0")


def find_dead(places: Mapping[EndPoint, Place]) -> frozenset[EndPoint]:
    """The switch ports whose wires carry nothing any more, in one direction at least."""
    return frozenset(at for at, place in places.items() if _is_dead(place.interface["bfd_status"]))


def find_alive(places: Mapping[EndPoint, Place]) -> frozenset[EndPoint]:
    """The switch ports that BFD hears the other end at."""
    return frozenset(at for at, place in places.items() if place.interface["bfd_status"].get("forwarding") == "true")


def _is_ours(place: Place) -> bool:
    return MARK in place.interface["external_ids"]


def _is_dead(status: Mapping[str, str]) -> bool:
    """`forwarding` is what failover groups heed; each change of it counts as a flap, so 0 means it never came up."""
    return status.get("forwarding") == "false" and status.get("flap_count", "0") != "0"


def _tell(uuid: Uuid, settings: Mapping[str, str]) -> dict[str, Any]:
    """Set BFD and our mark, or remove both.  An insertion leaves what is there, hence the deletions."""
    mutations: list[list[Any]] = [
        ["bfd", "delete", ["set", list(wanted_settings(0))]],
        ["external_ids", "delete", ["set", [MARK]]],
    ]
    if settings:
        mutations += [
            ["bfd", "insert", encode_map(settings)],
            ["external_ids", "insert", encode_map({MARK: "true"})],
        ]
    where = [["_uuid", "==", ["uuid", str(uuid)]]]
    return {"op": "mutate", "table": "Interface", "where": where, "mutations": mutations}


def _dpid(bridge: Row) -> int:
    try:
        return int(bridge["datapath_id"] or "", 16)
    except ValueError:
        return 0  # not given one yet
