"""The fabric as a document that other tools read: node-link JSON, GraphML and DOT.  Text out, no files.

A switch is a node named by its datapath id, a link a directed edge whose key is its source port; what is not known of
one is left out.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

import networkx as nx

from controller.fabric.graph import Fabric
from controller.fabric.observed import Link
from controller.model.ids import format_dpid

Attributes = dict[str, Any]


class Format(StrEnum):
    NODE_LINK_JSON = "NODE_LINK_JSON"
    GRAPHML = "GRAPHML"
    DOT = "DOT"


def export(fabric: Fabric, to: Format) -> str:
    """The document; the same fabric always gives the same."""
    graph = export_graph(fabric)
    match to:
        case Format.NODE_LINK_JSON:
            return json.dumps(nx.node_link_data(graph, edges="edges"), indent=2) + "\n"
        case Format.GRAPHML:
            return "\n".join(nx.generate_graphml(graph)) + "\n"
        case Format.DOT:
            return _dot(graph)


def export_graph(fabric: Fabric) -> nx.MultiDiGraph[str]:
    """All switches and links ever seen, those that are down and drained included and marked."""
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(name="pliant")
    for dpid, switch in sorted(fabric.switches.items()):
        settings = fabric.switch_settings(dpid)
        zone = {"zone": settings.zone} if settings.zone else {}
        graph.add_node(format_dpid(dpid), connected=switch.connected, drained=settings.drained, **zone)
    for src, link in sorted(fabric.links.items()):
        ends = format_dpid(src.dpid), format_dpid(link.dst.dpid)
        graph.add_edge(*ends, key=str(src.port_no), **_attributes(fabric, link))
    return graph


def _attributes(fabric: Fabric, link: Link) -> Attributes:
    source, destination = fabric.port(link.src), fabric.port(link.dst)
    attributes: Attributes = {
        "source_port": link.src.port_no, "source_interface": source.name if source else None,
        "destination_port": link.dst.port_no, "destination_interface": destination.name if destination else None,
        "capacity_kbps": link.capacity_kbps, "cost": link.cost, "latency_us": link.latency_us,
        "up": link.up, "drained": link.drained,
    }  # fmt: skip
    return {key: value for key, value in attributes.items() if value is not None}


def _dot(graph: nx.MultiDiGraph[str]) -> str:
    """By hand: networkx needs one more package for it, and this is all there is to the language."""
    lines = [f"digraph {_quoted(str(graph.name))} {{"]
    lines += [f"  {_quoted(node)}{_in_brackets(attributes)};" for node, attributes in graph.nodes(data=True)]
    for source, destination, attributes in graph.edges(data=True):
        lines.append(f"  {_quoted(source)} -> {_quoted(destination)}{_in_brackets(attributes)};")
    return "\n".join([*lines, "}"]) + "\n"


def _in_brackets(attributes: Attributes) -> str:
    return " [" + ", ".join(f"{key}={_quoted(_text(value))}" for key, value in attributes.items()) + "]"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
