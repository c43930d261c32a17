"""The way across the fabric: forwarding by label, and the choice of the label.

State is edges x tree versions on every switch, whatever the number of tenants and hosts.
"""

from __future__ import annotations

from controller.fabric.labels import label16
from controller.openflow import actions
from controller.pipeline import tables
from controller.pipeline.draft import Draft, apply, goto
from controller.pipeline.tables import FABRIC, PATH, Kind, Priority, where
from controller.pipeline.views import find_features
from controller.pipeline.world import Fragment, World


def compile_label(world: World, dpid: int, edge: int, version: int) -> Fragment | None:
    features, edge_id = find_features(world, dpid), world.intent.keys.edge_id(edge)
    hops = world.labels.get((dpid, edge))
    if features is None or edge_id is None or hops is None or version not in hops:
        return None
    draft = Draft(Kind.LABEL, features)
    label = label16(edge_id, version)
    if dpid == edge:
        for kind, table in ((tables.LABEL_UNICAST, tables.UNLABEL), (tables.LABEL_BUM, tables.UNLABEL_BUM)):
            ends = where(eth_dst=tables.label_of_type(label, kind))
            draft.flow(FABRIC, Priority.NORMAL, ends, goto(table))
    else:
        passes = where(eth_dst=tables.label_any(label))
        draft.flow(FABRIC, Priority.NORMAL, passes, apply(actions.output(hops[version])))
    return draft.fragment()


def compile_reach(world: World, dpid: int, edge: int) -> Fragment | None:
    features, edge_id = find_features(world, dpid), world.intent.keys.edge_id(edge)
    version = world.choices.get((dpid, edge))
    if features is None or edge_id is None or version is None or dpid == edge:
        return None
    draft = Draft(Kind.REACH, features)
    label = tables.LABEL16.load(label16(edge_id, version))
    draft.flow(PATH, Priority.NORMAL, where((tables.EDGE, edge_id)), apply(label), goto(tables.LABEL))
    return draft.fragment()
