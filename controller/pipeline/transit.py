"""The way across the fabric: forwarding by label, around dead links, and the choice of the label.

State is edges x labels and explicit paths on every switch, whatever the number of tenants and hosts; what one network
takes instead of what all take is known where its frames enter, and nowhere else.  A working label that has a way
around the link of its hop goes through a fast-failover group, so that the switch itself changes to it:

    bucket 1   watch the port of the hop      output there
    bucket 2   watch the other port           write the backup label, output there, even if the frame came from there
"""

from __future__ import annotations

from immutables import Map

from controller.fabric.explicit import Steer, steer_labels
from controller.fabric.labels import LabelHop, label16, label_number
from controller.openflow import actions
from controller.openflow.entries import Bucket
from controller.pipeline import tables
from controller.pipeline.draft import Draft, apply, goto
from controller.pipeline.tables import FABRIC, PATH, Kind, Priority, Reason, where
from controller.pipeline.views import find_features
from controller.pipeline.world import Fragment, World

_NO_HOPS: Map[int, LabelHop] = Map()
_NO_STEERS: Map[tuple[str, int], Steer] = Map()


def compile_label(world: World, dpid: int, edge: int, number: int) -> Fragment | None:
    features, edge_id = find_features(world, dpid), world.intent.keys.edge_id(edge)
    hops = world.labels.get((dpid, edge))
    if features is None or edge_id is None or hops is None or number not in hops:
        return None
    draft, hop = Draft(Kind.LABEL, features), hops[number]
    _forward(draft, label16(edge_id, number), hop, label16(edge_id, hop.failover_number))
    return draft.fragment()


def compile_explicit(world: World, dpid: int, label: int) -> Fragment | None:
    features, hop = find_features(world, dpid), world.explicit.get(dpid, _NO_HOPS).get(label)
    if features is None or hop is None:
        return None
    draft = Draft(Kind.EXPLICIT, features)
    _forward(draft, label, hop, hop.failover_number)
    return draft.fragment()


def _forward(draft: Draft, label: int, hop: LabelHop, backup: int) -> None:
    if hop.port_no:
        draft.flow(FABRIC, Priority.NORMAL, where(eth_dst=tables.label_any(label)),
                   apply(_send(draft, label, hop, backup)))
        return
    for kind, table in (
        (tables.LABEL_UNICAST, tables.UNLABEL), (tables.LABEL_BUM, tables.UNLABEL_BUM),
        (tables.LABEL_ROUTED, tables.UNLABEL_ROUTED),
    ):
        draft.flow(FABRIC, Priority.NORMAL, where(eth_dst=tables.label_of_type(label, kind)), goto(table))


def _send(draft: Draft, label: int, hop: LabelHop, backup: int) -> bytes:
    """The action that sends a labelled frame on: through a failover group where there is another way."""
    straight = actions.output(hop.port_no)
    if not hop.failover_port_no or not draft.has_groups:
        return straight
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


def compile_steer(world: World, dpid: int, network: str, edge: int) -> Fragment | None:
    """The network's own labels toward an edge, before those for all; where it may take none, its frames end here."""
    features, edge_id = find_features(world, dpid), world.intent.keys.edge_id(edge)
    steer = world.steers.get(dpid, _NO_STEERS).get((network, edge))
    if features is None or edge_id is None or steer is None or network not in world.intent.networks:
        return None
    draft = Draft(Kind.STEER, features)
    toward = (tables.NETWORK, world.intent.keys.network_key(network)), (tables.EDGE, edge_id)
    labels = steer_labels(edge_id, steer)
    match labels:
        case ():
            draft.drop(PATH, Priority.TENANT, where(*toward), Reason.NO_PATH)
        case (label,):
            draft.flow(PATH, Priority.TENANT, where(*toward), apply(tables.LABEL16.load(label)), goto(tables.LABEL))
        case _:
            spread = apply(tables.TREE.spread(len(labels)))
            draft.flow(PATH, Priority.TENANT, where(*toward), spread, goto(tables.STEER))
            for share, label in enumerate(labels):
                mine = where(*toward, (tables.TREE, share))
                draft.flow(tables.STEER, Priority.NORMAL, mine, apply(tables.LABEL16.load(label)), goto(tables.LABEL))
    return draft.fragment()
