"""Whose guarantees are promised and not enforced, and where.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from controller.fabric.observed import Observed
from controller.fabric.ports import EndPoint, Switch
from controller.intent.snapshot import Snapshot
from controller.model.ids import format_dpid, tenant_of
from controller.model.network import Network, Pipe, Port
from controller.model.queues import Grant
from controller.model.status import Condition
from controller.model.tenancy import Tenant
from controller.reconcile.grants import Grants

MAX_TOLD = 3
"""of the switches in a message"""
_FLAT = "ovsdb"
"""the driver whose queues have no parts"""
_UNDIVIDED = "its queues tell tenants and pipes apart, and nothing inside a tenant"


def conditions(fabric: Observed, intent: Snapshot, grants: Grants, obj: object) -> list[Condition]:
    """What to say of an object with a guarantee; the queues of ports and networks are parts of their tenant's."""
    if not isinstance(obj, Tenant | Network | Port | Pipe) or not obj.bandwidth.may_guarantee:
        return []
    texts = unenforced(fabric, grants, obj.name if isinstance(obj, Pipe) else tenant_of(obj.name))
    if isinstance(obj, Port):
        texts = unenforced(fabric, grants, obj.name) | texts
    if isinstance(obj, Network | Port):
        texts = undivided(fabric, intent, grants, obj) | texts
    if not texts:
        return []
    told = [f"{format_dpid(dpid)} ({why})" for dpid, why in sorted(texts.items())[:MAX_TOLD]]
    more = f" and {len(texts) - MAX_TOLD} more" if len(texts) > MAX_TOLD else ""
    message = f"the guarantee is not enforced on {', '.join(told)}{more}"
    return [Condition(reason="GUARANTEE_NOT_ENFORCED", message=message, switches=tuple(sorted(texts)))]


def unenforced(fabric: Observed, grants: Grants, owner: str) -> dict[int, str]:
    """Switch (dpid) -> why it does not enforce the guarantee of this tenant or pipe, or of a port where others receive.
    """
    texts: dict[int, str] = {}
    for at, why in _faults(fabric, grants):
        granted = grants[at]
        # On an access port a tenant is alone, and needs no queue.
        if owner in granted and granted[owner].guarantee_kbps and (at in fabric.links or owner != tenant_of(owner)):
            texts.setdefault(at.dpid, why)
    return texts


def undivided(fabric: Observed, intent: Snapshot, grants: Grants, obj: Network | Port) -> dict[int, str]:
    """Switch (dpid) -> why it does not enforce there what of its tenant's part of a link is this object's own."""
    tenant = tenant_of(obj.name)
    is_only = isinstance(obj, Network) and len(intent.networks_by_tenant[tenant]) == 1
    flat = [switch for switch in fabric.switches.values() if switch.queue_driver == _FLAT and not is_only]
    return {switch.dpid: _UNDIVIDED for switch in flat for port_no in switch.ports
            if (granted := grants.get(EndPoint(switch.dpid, port_no))) is not None
            and ((obj.name in granted and granted[obj.name].guarantee_kbps)
                 or (tenant in granted and _has_part(granted[tenant], obj)))}


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


def _faults(fabric: Observed, grants: Grants) -> Iterator[tuple[EndPoint, str]]:
    """The ports with grants that are not enforced.  Where all is well it costs a look at each switch."""
    for dpid, switch in fabric.switches.items():
        if _is_well(switch):
            continue
        for port_no in switch.ports if not switch.queue_driver else switch.queue_faults:
            if (at := EndPoint(dpid, port_no)) in grants:
                yield at, switch.queue_faults.get(port_no, switch.no_queues)


def _is_well(switch: Switch) -> bool:
    return not switch.queue_faults if switch.queue_driver else not switch.no_queues
