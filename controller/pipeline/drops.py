"""The drop counters of tenants, made and read: which frames of whom a switch dropped, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.model.status import DropCount
from controller.openflow.decode import FlowStat
from controller.openflow.parts import Match, decode_match
from controller.pipeline.draft import Draft
from controller.pipeline.tables import DROP, REASON, TENANT, TENANT_UNKNOWN, BitField, Kind, Priority, Reason, where
from controller.pipeline.views import find_features, find_local_tenant
from controller.pipeline.world import Fragment, World


def compile_tenant(world: World, dpid: int, name: str) -> Fragment | None:
    features, tenant = find_features(world, dpid), find_local_tenant(world, dpid, name)
    if features is None or tenant is None:
        return None
    draft = Draft(Kind.TENANT, features)
    for reason in Reason:
        if reason not in TENANT_UNKNOWN:
            draft.flow(DROP, Priority.TENANT, where((REASON, reason), (TENANT, tenant.tenant_id)))
    return draft.fragment()


def read_drops(dpid: int, stats: Iterable[FlowStat], tenants: Mapping[int, str]) -> list[DropCount]:
    """The counters of table `drop` that are not zero, by reason and tenant.  `tenants`: tenant id -> name.

    A frame counts once: for its tenant where that is known, else for nobody ("").
    """
    drops = []
    for stat in stats:
        fields = decode_match(stat.match)
        reason = _value(fields, REASON)
        if stat.table != DROP.number or reason not in list(Reason) or not stat.packets:
            continue
        tenant_id = _value(fields, TENANT)
        tenant = tenants.get(tenant_id, "") if tenant_id is not None else ""
        name = Reason(reason).name
        drops.append(DropCount(dpid=dpid, tenant=tenant, reason=name, packets=stat.packets, bytes=stat.bytes))
    return sorted(drops, key=lambda drop: (drop.tenant, drop.reason))


def _value(fields: Match, field: BitField) -> int | None:
    held = fields.get(field.register)
    if held is None:
        return None
    value = held[0] if isinstance(held, tuple) else held
    return value >> field.first_bit & (1 << field.bits) - 1
