"""What the compiler may look at: one frozen picture of asked, observed and derived state.

A World is built by reconcile/engine.py and never changes; the next one shares almost everything with it (persistent
maps).  Compile functions take (world, key) and nothing else, so the same world always gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from immutables import Map

from controller.fabric.explicit import Steer
from controller.fabric.graph import EndPoint, Fabric
from controller.fabric.labels import Choice, LabelHop
from controller.intent.snapshot import Snapshot
from controller.model.bandwidth import Rates
from controller.openflow.entries import Flow, Group, Meter


class FragmentKey(NamedTuple):
    """The name of one fragment: what kind, on which switch, about what.  Sortable within a kind.

    kind         subject            what it holds
    switch       ()                 table misses, drop counters, canary: what every switch has
    switch_port  (port_no,)         how frames of a switch port that is no tenant port are classified, its LLDP punt
    label        (edge, number)     forwarding of one label toward edge `edge` (a dpid); there: unlabel
    reach        (edge,)            which labels this switch spreads over the frames toward `edge`
    explicit     (label,)           forwarding of one label of an explicit path; at its end: unlabel
    steer        (network, edge)    which labels the frames of one network get instead, as its path policy wants
    tenant       (tenant,)          the tenant's drop counters on this edge
    network      (network,)         BUM: root groups, meter; the way to the gateways of its subnets, and who they are
    flood        (network, leaf)    one leaf of the local replication tree: at most 64 ports
    port         (port,)            a port bound on this switch: classify, port security, meters, unlabel, deliver
    peer         (port,)            what an edge knows of any port of a network present on it: fdb, ARP and ND answers
    route        (network,)         where its frames may be routed, and the echoes that gateways answer
    neighbour    (port,)            what an edge knows of any port that a network present on it has a route to
    queue        (tenant,)          which queue the labelled frames of a tenant with a guarantee take
    ceiling      (object,)          the meters of a tenant's or network's ceilings on this edge
    pipe         (pipe,)            its meters where its ends are; the queue of its frames, if it has a guarantee
    """

    kind: str
    dpid: int
    subject: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of one switch's program, owned by one key.  No two of a switch hold the same flow, group or meter."""

    flows: tuple[Flow, ...] = ()
    groups: tuple[Group, ...] = ()
    meters: tuple[Meter, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Which ports are bound where.  Kept as counts and sets so that a change costs what it touches."""

    at: Map[str, EndPoint] = Map()
    """bound port name -> its switch port"""
    members: Map[str, Map[str, int]] = Map()
    """network name -> {bound port name: dpid}"""
    presence: Map[str, Map[int, Map[str, None]]] = Map()
    """network name -> {dpid with bound ports of it: {port name: None}}"""
    tenants: Map[str, Map[int, int]] = Map()
    """tenant -> {dpid with bound ports of it: how many}"""
    networks_at: Map[int, Map[str, None]] = Map()
    """dpid -> networks present"""
    keys: Map[str, int] = Map()
    """bound port name -> its port key, as `leaves` has it"""
    leaves: Map[tuple[int, str], Map[int, Map[int, None]]] = Map()
    """(dpid, network) -> {leaf of the local replication tree: {port key: None}}"""


class Share(NamedTuple):
    """The part of a ceiling, of a tenant or a network, that its ports on one edge switch may use together.

    0: the whole ceiling, in that direction.
    """

    in_kbps: int = 0
    out_kbps: int = 0

    def after(self, held: Share) -> Share:
        """What is held once this was told."""
        return Share(*(was if kbps == AS_IT_IS else kbps for was, kbps in zip(held, self, strict=True)))


AS_IT_IS = -1
"""Told in a direction: what is held there stays.  Nobody holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    intent: Snapshot
    fabric: Fabric
    placement: Placement = Placement()
    labels: Map[tuple[int, int], Map[int, LabelHop]] = Map()
    """(dpid, edge dpid) -> {label number: what to do with it}"""
    choices: Map[tuple[int, int], Choice] = Map()
    """(dpid, edge dpid) -> labels written toward the edge; absent: none usable, frames are dropped"""
    rates: Map[str, Rates] = Map()
    """object -> the rates in force, where a window of its schedule is open; absent: those of its policy"""
    guaranteed: Map[str, Map[str, None]] = Map()
    """tenant -> {objects of it, itself included, that have a guarantee, or may have one by their schedule: None}"""
    shares: Map[tuple[int, str], Share] = Map()
    """(dpid, tenant or network) -> its part of the ceiling there; absent: the whole"""
    explicit: Map[int, Map[int, LabelHop]] = Map()
    """dpid -> {label of an explicit path: what to do with it}"""
    steers: Map[int, Map[tuple[str, int], Steer]] = Map()
    """dpid -> {(network, edge dpid): what is written instead}, where its path policy does not leave all trees"""
