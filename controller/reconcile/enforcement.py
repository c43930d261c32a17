"""Whose guarantees are promised and not enforced, and where.  Pure."""

from __future__ import annotations

from controller.fabric.observed import Observed
from controller.fabric.ports import EndPoint
from controller.intent.snapshot import Snapshot
from controller.model.ids import format_dpid, tenant_of
from controller.model.network import Network, Pipe, Port
from controller.model.queues import Grant
from controller.model.status import Condition
from controller.model.tenancy import Tenant
from controller.reconcile.grants import Granted, Grants

MAX_TOLD = 3
"""of the switches in a message"""
_FLAT = "ovsdb"
"""the driver whose queues have no parts"""
_UNDIVIDED = "its queues tell tenants and pipes apart, and nothing inside a tenant"


def conditions(fabric: Observed, intent: Snapshot, granted: Granted, obj: object) -> list[Condition]:
    """What to say of an object with a guarantee; the queues of ports and networks are parts of their tenant's."""
    if not isinstance(obj, Tenant | Network | Port | Pipe) or not obj.bandwidth.may_guarantee:
        return []
    texts = unenforced(fabric, granted, obj.name if isinstance(obj, Pipe) else tenant_of(obj.name))
    if isinstance(obj, Port):
        texts = unenforced(fabric, granted, obj.name) | texts
    if isinstance(obj, Network | Port):
        texts = undivided(fabric, intent, granted, obj) | texts
    if not texts:
        return []
    told = [f"{format_dpid(dpid)} ({why})" for dpid, why in sorted(texts.items())[:MAX_TOLD]]
    more = f" and {len(texts) - MAX_TOLD} more" if len(texts) > MAX_TOLD else ""
    message = f"the guarantee is not enforced on {', '.join(told)}{more}"
    return [Condition(reason="GUARANTEE_NOT_ENFORCED", message=message, switches=tuple(sorted(texts)))]


def unenforced(fabric: Observed, granted: Granted, owner: str) -> dict[int, str]:
    """Switch (dpid) -> why it does not enforce the guarantee of this tenant or pipe, or of a port where others receive.
    """
    texts: dict[int, str] = {}
    for at in granted.places.get(owner, ()):
        why = _why_not(fabric, at)
        # On an access port a tenant is alone, and needs no queue.
        if why and granted.grants[at][owner].guarantee_kbps and (at in fabric.links or owner != tenant_of(owner)):
            texts.setdefault(at.dpid, why)
    return texts


def undivided(fabric: Observed, intent: Snapshot, granted: Granted, obj: Network | Port) -> dict[int, str]:
    """Switch (dpid) -> why it does not enforce there what of its tenant's part of a link is this object's own."""
    tenant, places = tenant_of(obj.name), granted.places
    if isinstance(obj, Network) and len(intent.networks_by_tenant[tenant]) == 1:
        return {}
    own = [at for at in places.get(obj.name, ()) if granted.grants[at][obj.name].guarantee_kbps]
    parts = (at for at in places.get(tenant, ()) if _has_part(granted.grants[at][tenant], obj))
    return {at.dpid: _UNDIVIDED for at in (*own, *parts)
            if at.dpid in fabric.switches and fabric.switches[at.dpid].queue_driver == _FLAT}


def _has_part(grant: Grant, obj: Network | Port) -> bool:
    if isinstance(obj, Network):
        return obj.name in grant.networks
    return obj.network in grant.networks and obj.name in grant.networks[obj.network].ports


def concerned(intent: Snapshot, grants: Grants, dpid: int) -> set[str]:
    """The objects whose condition depends on the queues of a switch."""
    owners = {owner for at, granted in grants.items() if at.dpid == dpid for owner in granted}
    names = set(owners)
    for owner in owners:
        for network in intent.networks_by_tenant.get(owner, ()):
            names.add(network)
            names.update(
                port for port in intent.ports_by_network.get(network, ()) if intent.ports[port].bandwidth.may_guarantee)
    return names


def _why_not(fabric: Observed, at: EndPoint) -> str:
    """Why what is granted there is not enforced; "" where it is, and where nobody knows yet."""
    switch = fabric.switches.get(at.dpid)
    if switch is None or at.port_no not in switch.ports:
        return ""
    return switch.queue_faults.get(at.port_no, "" if switch.queue_driver else switch.no_queues)
