"""The exported documents are read back by those they are for."""

from __future__ import annotations

import io
import json

import networkx as nx
import pytest

from controller.fabric.declared import LinkSettings, SwitchSettings
from controller.fabric.export import Format, export, export_graph
from controller.fabric.graph import EndPoint, Fabric, LinkDeclared, LinkLost, SwitchDeclared
from tests.unit.fabric.fabrics import after, fabric_of


@pytest.fixture
def fabric() -> Fabric:
    """Three switches, two parallel wires, one drained, one down, a zone and a latency."""
    return after(
        fabric_of([(1, 2), (1, 2), (2, 3)]),
        LinkDeclared(src=EndPoint(1, 1), settings=LinkSettings(drained=True, latency_us=7, cost=3)),
        LinkLost(src=EndPoint(2, 3)), SwitchDeclared(dpid=3, settings=SwitchSettings(zone='a"b\\c')),
    )  # fmt: skip


def test_node_link_json_is_the_graph(fabric: Fabric) -> None:
    """As networkx reads it."""
    again = nx.node_link_graph(json.loads(export(fabric, Format.NODE_LINK_JSON)), edges="edges")
    assert nx.utils.graphs_equal(again, export_graph(fabric))
    drained = again.edges["0000000000000001", "0000000000000002", "1"]
    assert (drained["up"], drained["drained"], drained["latency_us"], drained["cost"]) == (True, True, 7, 3)
    assert "latency_us" not in again.edges["0000000000000001", "0000000000000002", "2"]


def test_graphml_is_the_graph(fabric: Fabric) -> None:
    """Every node, edge and attribute."""
    again = nx.read_graphml(io.BytesIO(export(fabric, Format.GRAPHML).encode()), force_multigraph=True)
    assert dict(again.nodes(data=True)) == dict(export_graph(fabric).nodes(data=True))
    assert sorted(data["capacity_kbps"] for *_, data in again.edges(data=True)) == [10_000_000] * 6


def test_dot_has_a_line_for_each_switch_and_link(fabric: Fabric) -> None:
    """Quoted, so that no name can end a string."""
    lines = export(fabric, Format.DOT).splitlines()
    assert (lines[0], lines[-1]) == ('digraph "pliant" {', "}")
    assert sum(" -> " in line for line in lines) == 6
    assert any('zone="a\\"b\\\\c"' in line for line in lines)


@pytest.mark.parametrize("format_", Format)
def test_empty_fabric_is_a_document_too(format_: Format) -> None:
    """Without switches."""
    assert export(Fabric(), format_)
