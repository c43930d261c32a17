"""The first shares of a ceiling that came to hold on several edge switches, in the same step in which it came to.

    a port on one more edge      the others go on as they are, the new one holds little
    a ceiling on several edges   each holds the same part of it

So no switch is ever told the whole ceiling beside others.  What becomes of the shares by demand is elastic.py's.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from immutables import Map

from controller.model.bandwidth import Rates, entry_kbps
from controller.model.ids import network_of, tenant_of
from controller.model.network import Network
from controller.model.tenancy import Tenant
from controller.pipeline.views import rates_of
from controller.pipeline.world import Share, World

_WHOLE = Share()


def opening_shares(before: World, after: World, names: Iterable[str]) -> dict[tuple[int, str], Share]:
    """(dpid, tenant or network) -> its first share; of the owners of these objects, which may have changed or moved."""
    shares: dict[tuple[int, str], Share] = {}
    for owner in {above for name in names for above in (tenant_of(name), network_of(name))}:
        ceiling = ceiling_of(after, owner)
        if ceiling is None or len(edges := edges_of(after, owner)) < 2:
            continue
        known, were = ceiling_of(before, owner) or Rates(), edges_of(before, owner)
        held = {dpid: after.shares.get((dpid, owner), _WHOLE) for dpid in edges}
        into = _open(ceiling.ceiling_in_kbps, {dpid: share.in_kbps for dpid, share in held.items()},
                     were if known.ceiling_in_kbps else frozenset())
        out = _open(ceiling.ceiling_out_kbps, {dpid: share.out_kbps for dpid, share in held.items()},
                    were if known.ceiling_out_kbps else frozenset())
        opened = {dpid: Share(into[dpid], out[dpid]) for dpid in edges}
        shares |= {(dpid, owner): share for dpid, share in opened.items() if share != held[dpid]}
    return shares


def _open(ceiling_kbps: int, held: Mapping[int, int], limited: Set[int]) -> Mapping[int, int]:
    """One direction: the shares that are held (0: the whole), and with them those of edges that have none.

    `limited`: the edges that were under the ceiling before; who holds the whole there keeps it for now.
    """
    if not ceiling_kbps:
        return held
    is_first = limited.isdisjoint(held) and not any(held.values())
    share = ceiling_kbps // len(held) if is_first else entry_kbps(ceiling_kbps)
    return {dpid: kbps or (0 if dpid in limited else max(1, share)) for dpid, kbps in held.items()}


def ceiling_of(world: World, owner: str) -> Rates | None:
    """The rates of a tenant or network that has a ceiling now."""
    obj: Tenant | Network | None = world.intent.tenants.get(owner) or world.intent.networks.get(owner)
    if obj is None:
        return None
    rates = rates_of(world, obj)
    return rates if rates.has_ceiling else None


def edges_of(world: World, owner: str) -> frozenset[int]:
    """The switches where a tenant or network is present."""
    if owner in world.intent.tenants:
        return frozenset(dpid for dpid in world.fabric.switches if (dpid, owner) in world.placement.tenants)
    return frozenset(world.placement.presence.get(owner, Map()))
