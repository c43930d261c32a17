"""The way across the fabric: forwarding by label, around dead links, and the choice of the label.

State is edges x labels on every switch, whatever the number of tenants and hosts.  A working label that has a way
around the link of its hop goes through a fast-failover group, so that the switch itself changes to it:

    bucket 1   watch the port of the hop      output there
    bucket 2   watch the other port           write the backup label, output there, even if the frame came from there
"""

from __future__ import annotations

from controller.fabric.labels import LabelHop, label16, label_number
from controller.openflow import actions
from controller.openflow.entries import Bucket
from controller.pipeline import tables
from controller.pipeline.draft import Draft, apply, goto
from controller.pipeline.tables import FABRIC, PATH, Kind, Priority, where
from controller.pipeline.views import find_features
from controller.pipeline.world import Fragment, World


def compile_label(world: World, dpid: int, edge: int, number: int) -> Fragment | None:
    features, edge_id = find_features(world, dpid), world.intent.keys.edge_id(edge)
    hops = world.labels.get((dpid, edge))
    if features is None or edge_id is None or hops is None or number not in hops:
        return None
    draft = Draft(Kind.LABEL, features)
    label = label16(edge_id, number)
    if dpid == edge:
        for kind, table in ((tables.LABEL_UNICAST, tables.UNLABEL), (tables.LABEL_BUM, tables.UNLABEL_BUM)):
            ends = where(eth_dst=tables.label_of_type(label, kind))
            draft.flow(FABRIC, Priority.NORMAL, ends, goto(table))
    else:
        passes = where(eth_dst=tables.label_any(label))
        draft.flow(FABRIC, Priority.NORMAL, passes, apply(_send(draft, edge_id, label, hops[number])))
    return draft.fragment()


def _send(draft: Draft, edge_id: int, label: int, hop: LabelHop) -> bytes:
    """The action that sends a labelled frame on: through a failover group where there is another way."""
    straight = actions.output(hop.port_no)
    if not hop.failover_port_no or not draft.has_groups:
        return straight
    backup = label16(edge_id, hop.failover_number)
    around = (
        # Without this OVS would not send a frame back to where it came from, and in a ring that is the other way.
        actions.load("in_port", 0),
        actions.load("eth_dst", backup, tables.LABEL_BIT, 16),
        actions.output(hop.failover_port_no),
    )
    return draft.first_alive(
        tables.failover_group_id(label),
        (Bucket(straight, watch_port=hop.port_no), Bucket(b"".join(around), watch_port=hop.failover_port_no)),
    )


def compile_reach(world: World, dpid: int, edge: int) -> Fragment | None:
    features, edge_id = find_features(world, dpid), world.intent.keys.edge_id(edge)
    choice = world.choices.get((dpid, edge))
    if features is None or edge_id is None or choice is None or dpid == edge:
        return None
    draft = Draft(Kind.REACH, features)
    label = [tables.LABEL16.load(label16(edge_id, label_number(choice.version, 0)))]
    if choice.n_trees > 1:
        label.append(tables.TREE.spread(choice.n_trees))
    draft.flow(PATH, Priority.NORMAL, where((tables.EDGE, edge_id)), apply(*label), goto(tables.LABEL))
    return draft.fragment()
