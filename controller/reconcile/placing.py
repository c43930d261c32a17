"""Which ports stand on which switch: the index that turns "this port was bound" into "these switches care".

And which tenants have a guarantee anywhere.  Every function takes an index and gives back the next one; each costs the
size of what it changes.
"""

from __future__ import annotations

from dataclasses import replace

from immutables import Map

from controller.fabric.ports import EndPoint
from controller.model.ids import network_of, tenant_of
from controller.pipeline.tables import leaf_of
from controller.pipeline.world import Placement


def place(placement: Placement, port: str, at: EndPoint, key24: int) -> Placement:
    """The port is bound at this switch port with this key (and no longer where, or with which, it was before)."""
    if placement.at.get(port) == at and placement.keys[port] == key24:
        return placement
    if port in placement.at:
        placement = displace(placement, port)
    network, tenant, dpid = network_of(port), tenant_of(port), at.dpid
    edges, tenants = placement.presence.get(network, Map()), placement.tenants.get(tenant, Map[int, int]())
    leaves, leaf = placement.leaves.get((dpid, network), Map()), leaf_of(key24)
    return replace(
        placement,
        at=placement.at.set(port, at),
        members=placement.members.set(network, placement.members.get(network, Map()).set(port, dpid)),
        presence=placement.presence.set(network, edges.set(dpid, edges.get(dpid, Map()).set(port, None))),
        tenants=placement.tenants.set(tenant, tenants.set(dpid, tenants.get(dpid, 0) + 1)),
        networks_at=placement.networks_at.set(dpid, placement.networks_at.get(dpid, Map()).set(network, None)),
        keys=placement.keys.set(port, key24),
        leaves=placement.leaves.set((dpid, network), leaves.set(leaf, leaves.get(leaf, Map()).set(key24, None))),
    )


Guaranteed = Map[str, Map[str, None]]


def note_guarantee(guaranteed: Guaranteed, name: str, *, may_guarantee: bool) -> Guaranteed:
    """World.guaranteed, now that the object of this name may have a guarantee, or has none or is gone."""
    tenant = tenant_of(name)
    own = guaranteed.get(tenant, Map[str, None]())
    if may_guarantee == (name in own):
        return guaranteed
    own = own.set(name, None) if may_guarantee else own.delete(name)
    return guaranteed.set(tenant, own) if own else guaranteed.delete(tenant)


def displace(placement: Placement, port: str) -> Placement:
    """The port is bound nowhere."""
    at = placement.at.get(port)
    if at is None:
        return placement
    network, tenant, dpid = network_of(port), tenant_of(port), at.dpid
    here = placement.presence[network][dpid].delete(port)
    presence, networks_at = placement.presence, placement.networks_at
    if here:
        presence = presence.set(network, presence[network].set(dpid, here))
    else:
        presence = _drop(presence, network, dpid)
        networks_at = _drop(networks_at, dpid, network)
    key24 = placement.keys[port]
    leaves = _drop(placement.leaves[dpid, network], leaf_of(key24), key24)
    tenants = placement.tenants[tenant]
    left = tenants[dpid] - 1
    return replace(
        placement,
        at=placement.at.delete(port),
        members=_drop(placement.members, network, port),
        presence=presence,
        tenants=_put(placement.tenants, tenant, tenants.set(dpid, left) if left else tenants.delete(dpid)),
        networks_at=networks_at,
        keys=placement.keys.delete(port),
        leaves=_put(placement.leaves, (dpid, network), leaves),
    )


def _drop(outer: Map, key: object, inner_key: object) -> Map:  # type: ignore[type-arg]
    """Without outer[key][inner_key], and without outer[key] once that is empty."""
    return _put(outer, key, outer[key].delete(inner_key))


def _put(outer: Map, key: object, inner: Map) -> Map:  # type: ignore[type-arg]
    """With `inner` there, or with nothing if it is empty."""
    return outer.set(key, inner) if inner else outer.delete(key)
