"""Ceilings as chained meters: port out, tenant out, port in, tenant in.  No ceiling: no meter, no flow, a table miss.

A switch without meters (features.max_meters 0) enforces none of them: its fragments simply hold none.
"""

from __future__ import annotations

from controller.model.bandwidth import BandwidthPolicy, burst_kbit
from controller.pipeline import tables
from controller.pipeline.draft import Draft, goto, through
from controller.pipeline.tables import Condition, Kind, MeterKind, Priority, Reason, Table, where
from controller.pipeline.views import BoundPort, find_features
from controller.pipeline.world import Fragment, World


def limit_port(draft: Draft, bound: BoundPort) -> None:
    sent, received = (tables.SOURCE, bound.key24), (tables.DESTINATION, bound.key24)
    _limit_out(draft, bound.port.bandwidth, bound.slot, sent, tables.TX_PORT)
    _limit_in(draft, bound.port.bandwidth, bound.slot, received, tables.RX_PORT)


def compile_tenant(world: World, dpid: int, name: str) -> Fragment | None:
    """The tenant's ceilings hold for all its ports on this edge together; so do its drop counters."""
    features, tenant = find_features(world, dpid), world.intent.tenants.get(name)
    slot = world.intent.keys.tenant_slot(dpid, name)
    if features is None or tenant is None or slot is None or not world.placement.tenants.get((dpid, name)):
        return None
    draft = Draft(Kind.TENANT, features)
    own = (tables.SLICE, world.intent.keys.slice_of(name))
    _limit_out(draft, tenant.bandwidth, slot, own, tables.TX_TENANT)
    _limit_in(draft, tenant.bandwidth, slot, own, tables.RX_TENANT)
    for reason in Reason:
        if reason not in tables.TENANT_UNKNOWN:
            draft.flow(tables.DROP, Priority.TENANT, where((tables.REASON, reason), own))
    return draft.fragment()


def _limit_out(draft: Draft, policy: BandwidthPolicy, slot: int, whose: Condition, table: Table) -> None:
    _limit(draft, table, whose, tables.meter_id(slot, MeterKind.OUT), policy.ceiling_out_kbps, policy.burst_ms)


def _limit_in(draft: Draft, policy: BandwidthPolicy, slot: int, whose: Condition, table: Table) -> None:
    _limit(draft, table, whose, tables.meter_id(slot, MeterKind.IN), policy.ceiling_in_kbps, policy.burst_ms)


def _limit(draft: Draft, table: Table, whose: Condition, meter_id: int, rate_kbps: int, burst_ms: int) -> None:
    meter = draft.meter(meter_id, rate_kbps, burst_kbit(rate_kbps, burst_ms), "kbps") if rate_kbps else None
    if meter is not None:
        draft.flow(table, Priority.NORMAL, where(whose), through(meter), goto(tables.after(table)))
