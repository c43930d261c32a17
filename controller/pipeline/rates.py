"""Ceilings as chained meters: port out, tenant out, port in, tenant in.  No ceiling: no meter, no flow, a table miss.

A switch without meters (features.max_meters 0) enforces none of them: its fragments simply hold none.
"""

from __future__ import annotations

from controller.model.bandwidth import Rates, burst_kbit
from controller.pipeline import tables
from controller.pipeline.draft import Draft, goto, through
from controller.pipeline.tables import Condition, Kind, MeterKind, Priority, Reason, Table, where
from controller.pipeline.views import BoundPort, find_features, rates_of
from controller.pipeline.world import Fragment, Share, World

_WHOLE = Share()


def limit_port(draft: Draft, bound: BoundPort, rates: Rates) -> None:
    burst_ms = bound.port.bandwidth.burst_ms
    sent, received = (tables.SOURCE, bound.key24), (tables.DESTINATION, bound.key24)
    out_id, in_id = (tables.meter_id(bound.slot, kind) for kind in (MeterKind.OUT, MeterKind.IN))
    _limit(draft, tables.TX_PORT, sent, out_id, rates.ceiling_out_kbps, burst_ms)
    _limit(draft, tables.RX_PORT, received, in_id, rates.ceiling_in_kbps, burst_ms)


def compile_tenant(world: World, dpid: int, name: str) -> Fragment | None:
    """The tenant's ceilings hold for all its ports on this edge together; so do its drop counters."""
    features, tenant = find_features(world, dpid), world.intent.tenants.get(name)
    slot = world.intent.keys.tenant_slot(dpid, name)
    if features is None or tenant is None or slot is None or not world.placement.tenants.get((dpid, name)):
        return None
    draft = Draft(Kind.TENANT, features)
    own = (tables.SLICE, world.intent.keys.slice_of(name))
    rates, share, burst_ms = rates_of(world, tenant), world.shares.get((dpid, name), _WHOLE), tenant.bandwidth.burst_ms
    out_id, in_id = (tables.meter_id(slot, kind) for kind in (MeterKind.OUT, MeterKind.IN))
    _limit(draft, tables.TX_TENANT, own, out_id, _part(rates.ceiling_out_kbps, share.out_kbps), burst_ms)
    _limit(draft, tables.RX_TENANT, own, in_id, _part(rates.ceiling_in_kbps, share.in_kbps), burst_ms)
    for reason in Reason:
        if reason not in tables.TENANT_UNKNOWN:
            draft.flow(tables.DROP, Priority.TENANT, where((tables.REASON, reason), own))
    return draft.fragment()


def _part(ceiling_kbps: int, share_kbps: int) -> int:
    """Never more than the ceiling, whatever the share; and no ceiling has no parts."""
    return min(ceiling_kbps, share_kbps) if share_kbps else ceiling_kbps


def _limit(draft: Draft, table: Table, whose: Condition, meter_id: int, rate_kbps: int, burst_ms: int) -> None:
    meter = draft.meter(meter_id, rate_kbps, burst_kbit(rate_kbps, burst_ms), "kbps") if rate_kbps else None
    if meter is not None:
        draft.flow(table, Priority.NORMAL, where(whose), through(meter), goto(tables.after(table)))
