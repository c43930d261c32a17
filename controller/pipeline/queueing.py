"""Which queue of a port a labelled frame takes, on switches where flows have to say so (driver `ovsdb`).

    classify, label ─► queue ─► fabric        whose label it is, by its key -> set_queue; whoever has no guarantee: none

State is one flow for each network of a tenant with a guarantee.  Elsewhere (driver `tc`, or none) there is none, and no
table more to pass; the table's miss is on every switch, so that frames can be sent its way without a gap when a driver
is found.
The numbers are those of model/queues.py; knows no rate and no class.
"""

from __future__ import annotations

from controller.model.queues import leaf_queue
from controller.openflow import actions
from controller.pipeline import tables
from controller.pipeline.draft import Draft, apply, goto
from controller.pipeline.tables import FABRIC, QUEUE, Kind, Priority, where
from controller.pipeline.views import chooses_queues, find_features
from controller.pipeline.world import Fragment, World


def compile_queue(world: World, dpid: int, tenant: str) -> Fragment | None:
    features, networks = find_features(world, dpid), world.intent.networks_by_tenant.get(tenant)
    if features is None or not networks or tenant not in world.guaranteed or not chooses_queues(world, dpid):
        return None
    draft, keys = Draft(Kind.QUEUE, features), world.intent.keys
    choose = actions.set_queue(leaf_queue(keys.queue_id(tenant)))
    for slice_ in sorted(map(keys.slice_of, networks)):
        draft.flow(QUEUE, Priority.NORMAL, where(eth_dst=tables.key_of_slice(slice_)), apply(choose), goto(FABRIC))
    return draft.fragment()
