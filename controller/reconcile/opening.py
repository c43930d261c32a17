"""The first shares of a ceiling that came to hold on several edge switches, in the same step in which it came to.

    a port on one more edge      the others go on as they are, the new one holds little
    a ceiling on several edges   each holds what it lately sent, or was sent, as far as that fits (qos/parts.py)

So no switch is ever told the whole ceiling beside others, and whoever is guaranteed something keeps it where it sends.
What becomes of the shares by demand is elastic.py's.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

from immutables import Map

from controller.model.bandwidth import Rates, entry_kbps
from controller.model.ids import network_of, tenant_of
from controller.model.network import Network
from controller.model.tenancy import Tenant
from controller.pipeline.views import rates_of
from controller.pipeline.world import Share, World
from controller.qos.parts import Want, first_parts

_WHOLE = Share()


class Offer(NamedTuple):
    """What the ports of a tenant or network on one edge lately received, and sent, all together."""

    in_kbps: float = 0.0
    out_kbps: float = 0.0


Offers = Mapping[tuple[int, str], Offer]
"""(dpid, tenant or network) -> what is known; nothing where it was not looked at"""
NOT_KNOWN: Offers = {}


def opening_shares(
    before: World, after: World, names: Iterable[str], offers: Offers,
) -> dict[tuple[int, str], Share]:
    """(dpid, tenant or network) -> its first share; of the owners of these objects, which may have changed or moved."""
    shares: dict[tuple[int, str], Share] = {}
    for owner in {above for name in names for above in (tenant_of(name), network_of(name))}:
        ceiling = ceiling_of(after, owner)
        if ceiling is None or len(edges := edges_of(after, owner)) < 2:
            continue
        known, were = ceiling_of(before, owner) or Rates(), edges_of(before, owner)
        held = {dpid: after.shares.get((dpid, owner), _WHOLE) for dpid in edges}
        into, out = (_open(after, owner, way, now, {dpid: share[way] for dpid, share in held.items()},
                           were if was[1] else frozenset(), offers)
                     for way, (now, was) in enumerate(zip(_by_way(ceiling), _by_way(known), strict=True)))
        opened = {dpid: Share(into[dpid], out[dpid]) for dpid in edges}
        shares |= {(dpid, owner): share for dpid, share in opened.items() if share != held[dpid]}
    return shares


def _open(
    world: World, owner: str, way: int, rates: tuple[int, int], held: Mapping[int, int], limited: Set[int],
    offers: Offers,
) -> Mapping[int, int]:
    """One direction: the shares that are held (0: the whole), and with them those of edges that have none.

    `rates`: guarantee and ceiling.  `limited`: the edges that were under the ceiling before; who holds the whole there
    keeps it for now.
    """
    guarantee_kbps, ceiling_kbps = rates
    if not ceiling_kbps:
        return held
    if limited.isdisjoint(held) and not any(held.values()):
        return first_parts(ceiling_kbps, guarantee_kbps, _wants(world, owner, way, held, offers))
    entry = entry_kbps(ceiling_kbps)
    return {dpid: kbps or (0 if dpid in limited else entry) for dpid, kbps in held.items()}


def _wants(world: World, owner: str, way: int, edges: Iterable[int], offers: Offers) -> dict[int, Want]:
    promised, placement = promised_at(world, owner), world.placement
    here = placement.presence.get(owner, Map())
    wants = {}
    for dpid in edges:
        offer = offers.get((dpid, owner))
        wants[dpid] = Want(
            offer[way] if offer is not None else None, promised[dpid][way] if dpid in promised else 0,
            len(here[dpid]) if dpid in here else placement.tenants[owner][dpid])
    return wants


def promised_at(world: World, owner: str) -> dict[int, tuple[int, int]]:
    """dpid -> what the ports of a tenant or network there are guaranteed together, in and out."""
    promised: dict[int, tuple[int, int]] = {}
    for name in world.guaranteed.get(tenant_of(owner), ()):
        port, at = world.intent.ports.get(name), world.placement.at.get(name)
        if port is not None and at is not None and owner in (port.network, port.tenant):
            rates, (into, out) = rates_of(world, port), promised.get(at.dpid, (0, 0))
            promised[at.dpid] = into + rates.guarantee_in_kbps, out + rates.guarantee_out_kbps
    return promised


def _by_way(rates: Rates) -> tuple[tuple[int, int], tuple[int, int]]:
    """Guarantee and ceiling, in and out."""
    return (rates.guarantee_in_kbps, rates.ceiling_in_kbps), (rates.guarantee_out_kbps, rates.ceiling_out_kbps)


def ceiling_of(world: World, owner: str) -> Rates | None:
    """The rates of a tenant or network that has a ceiling now."""
    obj: Tenant | Network | None = world.intent.tenants.get(owner) or world.intent.networks.get(owner)
    if obj is None:
        return None
    rates = rates_of(world, obj)
    return rates if rates.has_ceiling else None


def edges_of(world: World, owner: str) -> frozenset[int]:
    """The switches where a tenant or network is present."""
    placement = world.placement
    return frozenset(placement.tenants.get(owner, ()) or placement.presence.get(owner, ()))
