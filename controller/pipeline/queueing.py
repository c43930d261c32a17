"""Which queue of a port a labelled frame takes, on switches where flows have to say so (driver `ovsdb`).

    classify, label ─► queue ─► fabric        whose label it is, by its key -> set_queue; whoever has no guarantee: none

State is one flow for each network of a tenant with a guarantee; a network is told by its slice.  Elsewhere (driver
`tc`, or none) there is none, and no table more to pass; the table's miss is on every switch, so that frames can be sent
its way without a gap when a driver is found.  The numbers are those of model/queues.py; knows no rate and no class.
"""

from __future__ import annotations

from controller.model.ids import tenant_of
from controller.model.queues import leaf_queue
from controller.openflow import actions
from controller.pipeline import tables
from controller.pipeline.draft import Draft, apply, goto
from controller.pipeline.tables import FABRIC, QUEUE, Kind, Priority, where
from controller.pipeline.views import chooses_queues, find_features
from controller.pipeline.world import Fragment, World


def compile_queue(world: World, dpid: int, network: str) -> Fragment | None:
    features, tenant, keys = find_features(world, dpid), tenant_of(network), world.intent.keys
    if features is None or not chooses_queues(world, dpid):
        return None
    if network not in world.intent.networks or tenant not in world.guaranteed:
        return None
    draft = Draft(Kind.QUEUE, features)
    labelled = where(eth_dst=tables.key_of_slice(keys.slice_of(network)))
    choose = actions.set_queue(leaf_queue(keys.queue_id(tenant)))
    draft.flow(QUEUE, Priority.NORMAL, labelled, apply(choose), goto(FABRIC))
    return draft.fragment()
