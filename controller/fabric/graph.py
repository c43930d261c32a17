"""The fabric: what was observed, as a value that events turn into the next value, and as a networkx graph.

Probes are discovery.py's, paths are those of paths/; what an event changes, and by which rules, is edit.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import networkx as nx

from controller.fabric.edit import UNKNOWN_SPEED_KBPS, Edit
from controller.fabric.events import (
    Event,
    GroupsRefused,
    HostHeard,
    LinkDeclared,
    LinkLost,
    LinkSeen,
    PortObserved,
    PortRemoved,
    PortsBound,
    QueuesFound,
    RoleDeclared,
    SwitchConnected,
    SwitchDeclared,
    SwitchDisconnected,
    SwitchForgotten,
)
from controller.fabric.observed import NO_CHANGE, Alarm, Change, Link, Observed
from controller.fabric.ports import EndPoint, PortRole, Switch, SwitchFeatures, SwitchPort

__all__ = [
    "NO_CHANGE",
    "UNKNOWN_SPEED_KBPS",
    "Alarm",
    "Change",
    "EndPoint",
    "Event",
    "Fabric",
    "GroupsRefused",
    "HostHeard",
    "Link",
    "LinkDeclared",
    "LinkLost",
    "LinkSeen",
    "PortObserved",
    "PortRemoved",
    "PortRole",
    "PortsBound",
    "QueuesFound",
    "RoleDeclared",
    "Switch",
    "SwitchConnected",
    "SwitchDeclared",
    "SwitchDisconnected",
    "SwitchFeatures",
    "SwitchForgotten",
    "SwitchPort",
]


@dataclass(frozen=True, kw_only=True)
class Fabric(Observed):
    """All switches and links ever seen and not forgotten.  Not slotted: each value keeps the graph it built."""

    def apply(self, event: Event) -> tuple[Fabric, Change]:
        """The fabric after the event, and what changed; costs what it changes.

        An event that says nothing new gives this very fabric back.
        """
        edit = Edit(self)
        match event:
            case SwitchConnected():
                edit.switch_connected(event)
            case SwitchDisconnected():
                edit.switch_disconnected(event.dpid)
            case SwitchForgotten():
                edit.switch_forgotten(event.dpid)
            case PortObserved():
                edit.port_observed(event.dpid, event.port)
            case PortRemoved():
                edit.port_removed(EndPoint(event.dpid, event.port_no))
            case PortsBound():
                edit.ports_bound(event)
            case HostHeard():
                edit.host_heard(event.at)
            case LinkSeen():
                edit.link_seen(event.src, event.dst)
            case LinkLost():
                edit.link_lost(event.src)
            case RoleDeclared():
                edit.role_declared(event)
            case LinkDeclared():
                edit.link_declared(event)
            case SwitchDeclared():
                edit.switch_declared(event)
            case QueuesFound():
                edit.queues_found(event)
            case GroupsRefused():
                edit.groups_refused(event)
        return edit.result()

    def graph(self) -> nx.DiGraph[int]:
        """All known switches and the links that paths may take, frozen.

        Edges carry capacity_kbps, cost, port_no, src, dst.  Of parallel links the cheapest stands for all, then
        the widest, then that with the lowest port number.
        """
        return self._graph

    @cached_property
    def _graph(self) -> nx.DiGraph[int]:
        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(sorted(self.switches))
        usable = (link for link in self.links.values() if link.usable)
        for link in sorted(usable, key=lambda x: (x.cost, -x.capacity_kbps, x.src)):
            if not graph.has_edge(link.src.dpid, link.dst.dpid):
                graph.add_edge(
                    link.src.dpid,
                    link.dst.dpid,
                    capacity_kbps=link.capacity_kbps,
                    cost=link.cost,
                    port_no=link.src.port_no,
                    src=link.src,
                    dst=link.dst,
                )
        nx.freeze(graph)
        return graph
