"""The first shares of a ceiling that came to hold on several edge switches, in the same step in which it came to.

    a port on one more edge      the others go on as they are, the new one holds little
    a ceiling on several edges   each holds what it lately sent, or was sent, as far as that fits (qos/parts.py)
    a lower ceiling              each holds what it held, as far as that fits

So no switch is ever told the whole ceiling beside others, and whoever is guaranteed something keeps it where it sends.
What is told too late, when the ceiling is already a lower one, is divided like that, too.
What becomes of the shares by demand is elastic.py's.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import NamedTuple

from immutables import Map

from controller.model.bandwidth import DEFAULT_BURST_MS, Rates, entry_kbps
from controller.model.ids import network_of, tenant_of
from controller.model.network import Network, Pipe
from controller.model.tenancy import Tenant
from controller.pipeline.views import policy_of, rates_of
from controller.pipeline.world import Share, World
from controller.qos.demand import HEADROOM
from controller.qos.parts import Want, first_parts

_WHOLE = Share()


class Offer(NamedTuple):
    """What the ports of a tenant or network on one edge lately received, and sent, all together."""

    in_kbps: float = 0.0
    out_kbps: float = 0.0


Offers = Mapping[tuple[int, str], Offer]
"""(dpid, tenant or network) -> what is known; nothing where it was not looked at"""
Places = Mapping[int, int]
"""dpid -> ports there"""
NOT_KNOWN: Offers = {}


def opening_shares(
    before: World, after: World, names: Iterable[str], offers: Offers,
) -> dict[tuple[int, str], Share]:
    """(dpid, owner) -> its first share; of the owners of these objects, which may have changed or moved."""
    shares: dict[tuple[int, str], Share] = {}
    for owner in set(_owners(after, names)):
        ceiling = ceiling_of(after, owner)
        if ceiling is None or max(map(len, places := limited_at(after, owner))) < 2:
            continue
        known, were = ceiling_of(before, owner) or Rates(), limited_at(before, owner)
        held = {dpid: after.shares.get((dpid, owner), _WHOLE) for here in places for dpid in here}
        into, out = (
            _open(after, owner, way, now, {dpid: held[dpid][way] for dpid in here}, here,
                  frozenset(were[way]) if was[1] else frozenset(), offers) if len(here) > 1 else {}
            for way, (here, now, was) in enumerate(zip(places, _by_way(ceiling), _by_way(known), strict=True)))
        opened = {dpid: Share(into.get(dpid, share.in_kbps), out.get(dpid, share.out_kbps))
                  for dpid, share in held.items()}
        shares |= {(dpid, owner): share for dpid, share in opened.items() if share != held[dpid]}
    return shares


def _owners(world: World, names: Iterable[str]) -> Iterator[str]:
    """Whose ceilings these objects come under, or are, or may have come to hold elsewhere by them."""
    for name in names:
        network = network_of(name)
        yield from (tenant_of(name), network, *world.intent.pipes_by_end.get(network, ()))


def _open(
    world: World, owner: str, way: int, rates: tuple[int, int], held: Mapping[int, int], here: Places,
    limited: Set[int], offers: Offers,
) -> Mapping[int, int]:
    """One direction: the shares that are held (0: the whole), and with them those of edges that have none.

    `rates`: guarantee and ceiling.  `limited`: the edges that were under the ceiling before; who holds the whole there
    keeps it for now.
    """
    guarantee_kbps, ceiling_kbps = rates
    if not ceiling_kbps:
        return dict.fromkeys(held, 0)
    if limited.isdisjoint(held) and not any(held.values()):
        return first_parts(ceiling_kbps, guarantee_kbps, _wants(world, owner, way, here, offers),
                           burst_ms=burst_of(world, owner))
    entry = entry_kbps(ceiling_kbps)
    held = {dpid: kbps or (0 if dpid in limited else entry) for dpid, kbps in held.items()}
    most = {dpid: min(kbps or ceiling_kbps, ceiling_kbps) for dpid, kbps in held.items()}
    # Whoever joins holds an entry beside what others hold.
    if sum(kbps for kbps in most.values() if kbps > entry) <= ceiling_kbps:
        return held
    wants = {dpid: want._replace(demand_kbps=most[dpid] / HEADROOM)
             for dpid, want in _wants(world, owner, way, here, offers).items()}
    return first_parts(ceiling_kbps, guarantee_kbps, wants, burst_ms=burst_of(world, owner))


def _wants(world: World, owner: str, way: int, here: Places, offers: Offers) -> dict[int, Want]:
    promised, wants = promised_at(world, owner), {}
    for dpid, n_ports in here.items():
        offer = offers.get((dpid, owner))
        wants[dpid] = Want(
            offer[way] if offer is not None else None, promised[dpid][way] if dpid in promised else 0, n_ports)
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
    """The rates of an owner that has a ceiling now: a tenant, a network, or a pipe between networks."""
    intent = world.intent
    obj: Tenant | Network | Pipe | None = (
        intent.tenants.get(owner) or intent.networks.get(owner) or intent.pipes.get(owner))
    if obj is None or (isinstance(obj, Pipe) and not obj.joins_networks):
        return None
    rates = rates_of(world, obj)
    return rates if rates.has_ceiling else None


def burst_of(world: World, owner: str) -> int:
    """How long the bucket of a share lasts, ms."""
    return min(policy_of(world.intent, owner).burst_ms, DEFAULT_BURST_MS)


def edges_of(world: World, owner: str) -> frozenset[int]:
    """The switches where a tenant or network is present."""
    placement = world.placement
    return frozenset(placement.tenants.get(owner, ()) or placement.presence.get(owner, ()))


def limited_at(world: World, owner: str) -> tuple[Places, Places]:
    """Where its ceilings in and out hold: its ports; of a pipe's ceiling out those of its end a, which send through it,
    and of its ceiling in those of its end b.
    """
    if (pipe := world.intent.pipes.get(owner)) is not None:
        return _present(world, pipe.b), _present(world, pipe.a)
    here: Places = world.placement.tenants.get(owner) or _present(world, owner)
    return here, here


def _present(world: World, network: str) -> Places:
    return {dpid: len(ports) for dpid, ports in world.placement.presence.get(network, Map()).items()}
