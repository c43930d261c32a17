"""Who is promised what on which link: the ledger of qos/, kept for the objects of intent and the paths that they have.

    objects ──► tallies (guarantees added up by network and edge switch) ──┐
    loads   ──► footprints (which links that loads, network by network) ───┴─► claims of each owner ──► ledger

An owner is a tenant (all its ports on all switches), a pipe, or a port (of its own access port).  A port counts where
it is attached, whether or not it is bound yet: what was admitted stays reserved.

Book is a value: BookEdit makes the next one from it at the cost of what changed.  Nothing is kept of tenants without
any guarantee.  Knows nothing of capacities, and not whether anything fits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from immutables import Map

from controller.fabric.bindings import locate
from controller.fabric.graph import Fabric
from controller.fabric.ports import EndPoint
from controller.intent.snapshot import NO_NAMES, Snapshot
from controller.model.bandwidth import NO_POLICY, BandwidthPolicy, OnFailure, Rates, TrafficClass
from controller.model.ids import network_of, tenant_of
from controller.model.network import ANY_PATH, Network, Pipe, Port
from controller.model.tenancy import Tenant
from controller.qos.hose import UNBOUNDED, Footprint, Hose, Need
from controller.qos.ledger import Claim, Ledger, claim
from controller.reconcile.loads import Loads, Route

Promise = tuple[TrafficClass, OnFailure]
_CLASSES, _FIRMNESS = tuple(TrafficClass), (OnFailure.KEEP, OnFailure.DEGRADE_FAIR, OnFailure.SHED)


class Ingress(NamedTuple):
    """What comes in by an access port; what leaves there is the EndPoint itself."""

    at: EndPoint

    def __str__(self) -> str:
        return f"{self.at} (from the host)"


Resource = EndPoint | Ingress


class Tally(NamedTuple):
    """The ports of one network that are attached to one switch.  kbit/s."""

    n_ports: int = 0
    n_sending: int = 0
    """of them with a guarantee to send"""
    n_receiving: int = 0
    sent: int = 0
    received: int = 0

    def plus(self, rates: Rates, count: int) -> Tally:
        """With so many more ports (-1: one less) of these rates."""
        return Tally(
            self.n_ports + count, self.n_sending + count * bool(rates.guarantee_out_kbps),
            self.n_receiving + count * bool(rates.guarantee_in_kbps), self.sent + count * rates.guarantee_out_kbps,
            self.received + count * rates.guarantee_in_kbps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How an owner's guarantees are kept, and what else it may have."""

    on_failure: OnFailure = OnFailure.DEGRADE_FAIR
    traffic_class: TrafficClass = TrafficClass.STANDARD
    weight: int = 1
    ceiling_kbps: int = 0

    @property
    def is_protected(self) -> bool:
        return self.traffic_class is TrafficClass.CRITICAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What is promised, as of one snapshot of intent and the paths of one moment."""

    intent: Snapshot = Snapshot()
    rates: Map[str, Rates] = Map()
    """what is in force of the policies of some objects; of the others what they say outside all windows"""
    promises: Map[str, Map[Promise, int]] = Map()
    """tenant -> how many of its guarantees are promised how: the tenant's own, its networks', its ports'"""
    tallies: Map[str, Map[int, Tally]] = Map()
    """network of such a tenant -> {switch: ...}"""
    footprints: Map[str, Footprint] = Map()
    exposed: Map[str, tuple[EndPoint, ...]] = Map()
    """network or pipe of a protected owner -> links whose failure cuts it off, for there is no other way"""
    terms: Map[str, Terms] = Map()
    """of every owner with claims"""
    ledger: Ledger = Ledger()

    def rates_of(self, name: str) -> Rates:
        """What is in force of an object's policy."""
        found = self.rates.get(name)
        return found if found is not None else policy_of(self.intent, name).rates


class BookEdit:
    """A book on its way to the next: `update`, then `result`; `resources` are those whose claims or terms changed."""

    def __init__(self, book: Book, loads: Loads, fabric: Fabric) -> None:
        self._before = book
        self._loads = loads
        self._fabric = fabric
        self._intent, self._rates = book.intent, book.rates
        self._promises, self._tallies = book.promises, book.tallies
        self._footprints, self._exposed = book.footprints, book.exposed
        self._terms, self._ledger = book.terms, book.ledger
        self.resources: set[Resource] = set()
        self.owners: set[str] = set()
        """whose claims changed"""

    def update(
        self, intent: Snapshot, rates: Map[str, Rates], names: Iterable[str], routes: Collection[Route] = (),
    ) -> BookEdit:
        """To this intent and these rates.  `names`: objects that differ in either, or that may be elsewhere now;
        `routes`: on which the loads are other ones.
        """
        self._intent, self._rates = intent, rates
        names = [name for name in names if "/subnets/" not in name]
        tenants = self._count(names)
        moved = self._tally(names, tenants)
        moved.update(self._rerouted(routes))
        for tenant in tenants | {tenant_of(network) for network in moved}:
            self._claim_for_tenant(tenant, moved)
        for name in names:
            if name in intent.ports or name in self._ledger.by_owner:
                self._claim_for_port(name)
        for pipe in self._pipes(names, routes):
            self._claim_for_pipe(pipe)
        return self

    def result(self) -> Book:
        return Book(
            intent=self._intent, rates=self._rates, promises=self._promises, tallies=self._tallies,
            footprints=self._footprints, exposed=self._exposed, terms=self._terms, ledger=self._ledger)

    # -- who has guarantees, and where

    def _count(self, names: Iterable[str]) -> set[str]:
        """Bring `promises` up to date; returns the tenants that have, or had, a guarantee and among whose objects these
        are.
        """
        tenants = set()
        for name in names:
            tenant, old = tenant_of(name), policy_of(self._before.intent, name)
            new = policy_of(self._intent, name)
            if "/pipes/" not in name and (old.may_guarantee or new.may_guarantee):
                self._promise(tenant, old, -1)
                self._promise(tenant, new, 1)
            if tenant in self._promises or tenant in self._before.promises:
                tenants.add(tenant)
        return tenants

    def _promise(self, tenant: str, policy: BandwidthPolicy, count: int) -> None:
        if not policy.may_guarantee:
            return
        how, here = (policy.traffic_class, policy.on_failure), self._promises.get(tenant, Map())
        total = here.get(how, 0) + count
        here = here.set(how, total) if total else here.delete(how)
        self._promises = self._promises.set(tenant, here) if here else self._promises.delete(tenant)

    def _tally(self, names: Iterable[str], tenants: set[str]) -> set[str]:
        """Bring `tallies` up to date; returns the networks that are on other switches now, or have no tally any more.
        """
        moved: set[str] = set()
        fresh = {tenant for tenant in tenants if tenant not in self._before.promises}
        for tenant in fresh:
            for network in self._intent.networks_by_tenant.get(tenant, NO_NAMES):
                for port in self._intent.ports_by_network.get(network, NO_NAMES):
                    self._add(network, self._intent.ports[port], self._rate(port), 1, moved)
        for name in names:
            tenant, network = tenant_of(name), network_of(name)
            if "/ports/" in name and tenant in tenants and tenant not in fresh:
                if (old := self._before.intent.ports.get(name)) is not None:
                    self._add(network, old, self._before.rates_of(name), -1, moved)
                if (new := self._intent.ports.get(name)) is not None:
                    self._add(network, new, self._rate(name), 1, moved)
        gone = [network for network in self._tallies if tenant_of(network) in tenants
                and tenant_of(network) not in self._promises] if tenants - self._promises.keys() else []
        for network in gone:
            self._tallies = self._tallies.delete(network)
        return moved.union(gone)

    def _add(self, network: str, port: Port, rates: Rates, count: int, moved: set[str]) -> None:
        if port.attachment is None:
            return
        dpid, here = port.attachment.dpid, self._tallies.get(network, Map())
        tally = here.get(dpid, Tally()).plus(rates, count)
        if (dpid in here) != bool(tally.n_ports):
            moved.add(network)
        here = here.set(dpid, tally) if tally.n_ports else here.delete(dpid)
        self._tallies = self._tallies.set(network, here) if here else self._tallies.delete(network)

    def _rate(self, name: str) -> Rates:
        found = self._rates.get(name)
        return found if found is not None else policy_of(self._intent, name).rates

    # -- where that goes

    def _rerouted(self, routes: Collection[Route]) -> set[str]:
        """The networks some of whose traffic takes these routes."""
        if not routes:
            return set()
        found = set()
        for network, footprint in self._footprints.items():
            which = self._which(network)
            if any((which, *pair) in routes for pair in footprint.crossings):
                found.add(network)
        return found

    def _which(self, network: str) -> str:
        """The network itself if it has a say in its paths."""
        found = self._intent.networks.get(network)
        return network if found is not None and found.path_policy != ANY_PATH else ""

    def _footprint(self, network: str, *, protected: bool) -> Footprint:
        which, edges = self._which(network), sorted(self._tallies[network])
        routes = {(s, d): (which, s, d) for s in edges for d in edges if s != d}
        crossings = {pair: self._loads.crossing(route) for pair, route in routes.items()}
        failures: dict[EndPoint, dict[tuple[int, int], Mapping[EndPoint, float]]] = {}
        exposed = []
        for pair, route in routes.items() if protected else ():
            for wire, failing in self._loads.failing(route).items():
                failures.setdefault(wire, {})[pair] = failing.crossing
                exposed += [] if failing.arrives else [wire]
        self._expose(network, exposed)
        return Footprint(crossings, tuple(failures.values()))  # type: ignore[arg-type]

    def _expose(self, name: str, links: Iterable[EndPoint]) -> None:
        if exposed := tuple(sorted(set(links))):
            self._exposed = self._exposed.set(name, exposed)
        elif name in self._exposed:
            self._exposed = self._exposed.delete(name)

    # -- what that claims

    def _claim_for_tenant(self, tenant: str, moved: Collection[str]) -> None:
        before = self._terms.get(tenant)
        terms = self._terms_of(tenant)
        networks = sorted(set(self._intent.networks_by_tenant.get(tenant, NO_NAMES)) & self._tallies.keys())
        stale = before is None or terms is None or before.is_protected != terms.is_protected
        for network in {*networks, *(network for network in moved if tenant_of(network) == tenant)}:
            if terms is None or network not in self._tallies:
                self._footprints = _without(self._footprints, network)
                self._expose(network, ())
            elif stale or network in moved or self._is_resteered(network):
                footprint = self._footprint(network, protected=terms.is_protected)
                self._footprints = self._footprints.set(network, footprint)
        self._set_terms(tenant, terms)
        self._put(tenant, self._needs(tenant, networks) if terms is not None else {})

    def _is_resteered(self, network: str) -> bool:
        old, new = self._before.intent.networks.get(network), self._intent.networks.get(network)
        return old is not new and (old is None or new is None or old.path_policy != new.path_policy)

    def _needs(self, tenant: str, networks: Iterable[str]) -> dict[EndPoint, Claim]:
        """By link: its networks' needs and its pool, and never more than the tenant as a whole."""
        working: dict[EndPoint, float] = {}
        reserved: dict[EndPoint, float] = {}
        own, sent, received = self._rate(tenant), 0, 0
        pool_shares: dict[EndPoint, Need] = {}
        for network in networks:
            hose = self._hose(network)
            rates = self._rate(network)
            sent += rates.guarantee_out_kbps or int(sum(hose.sent.values()))
            received += rates.guarantee_in_kbps or int(sum(hose.received.values()))
            footprint = self._footprints[network]
            for link, need in footprint.need(hose).items():
                working[link] = working.get(link, 0.0) + need.working
                reserved[link] = reserved.get(link, 0.0) + need.reserved
            if own.has_guarantee:
                for link, share in footprint.largest.items():
                    most = pool_shares.get(link, share)
                    pool_shares[link] = Need(max(most.working, share.working), max(most.reserved, share.reserved))
        pool = _pool(own, sent, received)
        for link, share in pool_shares.items() if pool else ():
            working[link] = working.get(link, 0.0) + pool * share.working
            reserved[link] = reserved.get(link, 0.0) + pool * share.reserved
        limit = _limit(own)
        return {link: claim(min(working[link], limit), min(reserved[link], limit)) for link in reserved}

    def _hose(self, network: str) -> Hose:
        tallies, rates = self._tallies[network], self._rate(network)
        sent = {dpid: tally.sent for dpid, tally in tallies.items() if tally.sent}
        received = {dpid: tally.received for dpid, tally in tallies.items() if tally.received}
        return Hose(
            sent=sent, received=received,
            open_senders=[dpid for dpid, tally in tallies.items() if tally.n_sending < tally.n_ports],
            open_receivers=[dpid for dpid, tally in tallies.items() if tally.n_receiving < tally.n_ports],
            pool=_pool(rates, sum(sent.values()), sum(received.values())), limit=_limit(rates))

    def _claim_for_port(self, name: str) -> None:
        """A port's guarantees, of the access port where it is attached."""
        port, claims = self._intent.ports.get(name), {}
        if port is not None and port.bandwidth.may_guarantee and (at := self._place(name)) is not None:
            rates = self._rate(name)
            claims = _access(at, inward=rates.guarantee_in_kbps, outward=rates.guarantee_out_kbps)
        self._set_terms(name, terms_of(port.bandwidth, self._rate(name)) if port is not None and claims else None)
        self._put(name, claims)

    def _place(self, port: str) -> EndPoint | None:
        """The switch port that a port is attached to, if it is known."""
        found = self._intent.ports.get(port)
        place = locate(self._fabric, found.attachment) if found is not None and found.attachment else None
        return place if isinstance(place, EndPoint) else None

    def _pipes(self, names: Iterable[str], routes: Collection[Route]) -> set[str]:
        """The pipes that these changes concern."""
        found: set[str] = set()
        for name in names:
            if "/pipes/" in name:
                found.add(name)
            elif "/ports/" in name:
                found.update(self._intent.pipes_by_port.get(name, NO_NAMES))
            else:
                found.update(self._intent.pipes_by_tenant.get(tenant_of(name), NO_NAMES))
        if routes:
            found.update(name for name in self._terms if "/pipes/" in name)
        return found

    def _claim_for_pipe(self, name: str) -> None:
        pipe = self._intent.pipes.get(name)
        if pipe is None or not pipe.bandwidth.may_guarantee:
            self._set_terms(name, None)
            self._expose(name, ())
            self._put(name, {})
            return
        terms = terms_of(pipe.bandwidth, self._rate(name))
        self._set_terms(name, terms)
        outward, inward = self._pipe_rates(pipe)
        claims: dict[Resource, Claim] = {}
        exposed: list[EndPoint] = []
        for (src, dst), kbps in {(pipe.a, pipe.b): outward, (pipe.b, pipe.a): inward}.items():
            for link, need in self._pipe_needs(pipe, src, dst, terms, exposed).items():
                claims[link] = _sum(claims.get(link), claim(need.working * kbps, need.reserved * kbps))
            if (place := self._place(src)) is not None:
                claims[Ingress(place)] = Claim(kbps, kbps)
            if (place := self._place(dst)) is not None:
                claims[place] = Claim(kbps, kbps)
        self._expose(name, exposed)
        self._put(name, {resource: each for resource, each in claims.items() if each.reserved_kbps})

    def _pipe_needs(
        self, pipe: Pipe, src: str, dst: str, terms: Terms, exposed: list[EndPoint],
    ) -> dict[EndPoint, Need]:
        """Of one direction, for a pipe of 1."""
        ends = [port.attachment.dpid for end in (src, dst)
                if (port := self._intent.ports.get(end)) is not None and port.attachment is not None]
        if len(ends) < 2 or ends[0] == ends[1]:
            return {}
        route = (self._which(network_of(pipe.a)), *ends)
        needs = {link: Need(share, share) for link, share in self._loads.crossing(route).items()}  # type: ignore[arg-type]
        for wire, failing in self._loads.failing(route).items() if terms.is_protected else ():  # type: ignore[arg-type]
            exposed += [] if failing.arrives else [wire]
            for link, share in failing.crossing.items():
                need = needs.get(link, Need(0.0, 0.0))
                needs[link] = Need(need.working, max(need.reserved, share))
        return needs

    def _pipe_rates(self, pipe: Pipe) -> tuple[int, int]:
        """What it can be guaranteed from a to b and from b to a: never more than the ceilings on the way."""
        rates, found = self._rate(pipe.name), []
        for guarantee, src, dst in ((rates.guarantee_out_kbps, pipe.a, pipe.b),
                                    (rates.guarantee_in_kbps, pipe.b, pipe.a)):
            ceilings = [self._rate(src).ceiling_out_kbps, self._rate(dst).ceiling_in_kbps]
            for whole in (self._rate(network_of(src)), self._rate(pipe.tenant)):
                ceilings += [whole.ceiling_out_kbps, whole.ceiling_in_kbps]
            found.append(min([guarantee, *(ceiling for ceiling in ceilings if ceiling)]))
        return found[0], found[1]

    # -- entered

    def _terms_of(self, tenant: str) -> Terms | None:
        """The tenant's own policy decides if it guarantees something, else the best of those below it."""
        how, policy = self._promises.get(tenant), policy_of(self._intent, tenant)
        if how is None:
            return None
        terms = terms_of(policy, self._rate(tenant))
        if policy.may_guarantee:
            return terms
        networks = self._intent.networks_by_tenant.get(tenant, NO_NAMES)
        sums = [max(tally.sent, tally.received) for network in networks
                for tally in self._tallies.get(network, Map()).values()]
        return Terms(
            traffic_class=min((each for each, _ in how), key=_CLASSES.index),
            on_failure=min((each for _, each in how), key=_FIRMNESS.index),
            weight=policy.weight or sum(sums) or 1, ceiling_kbps=terms.ceiling_kbps)

    def _set_terms(self, owner: str, terms: Terms | None) -> None:
        if self._terms.get(owner) != terms:
            self.resources.update(self._ledger.by_owner.get(owner, Map()))
            self._terms = _without(self._terms, owner) if terms is None else self._terms.set(owner, terms)

    def _put(self, owner: str, claims: Mapping[Resource, Claim] | Mapping[EndPoint, Claim]) -> None:
        self._ledger, changed = self._ledger.put(owner, claims)
        if changed:
            self.resources |= changed
            self.owners.add(owner)


def policy_of(intent: Snapshot, name: str) -> BandwidthPolicy:
    """The policy of a tenant, network, port or pipe; the empty one if there is none of that name."""
    obj = intent.get(name)
    return obj.bandwidth if isinstance(obj, Tenant | Network | Port | Pipe) else NO_POLICY


def terms_of(policy: BandwidthPolicy, rates: Rates) -> Terms:
    ceilings = [ceiling for ceiling in (rates.ceiling_in_kbps, rates.ceiling_out_kbps) if ceiling]
    return Terms(
        on_failure=policy.on_failure, traffic_class=policy.traffic_class, ceiling_kbps=min(ceilings, default=0),
        weight=policy.weight or max(rates.guarantee_in_kbps, rates.guarantee_out_kbps) or 1)


def _pool(rates: Rates, sent: int, received: int) -> float:
    """What a tenant or network has beyond what is given to its children: in both directions, if it has both."""
    left = []
    if rates.guarantee_out_kbps:
        left.append(max(0, rates.guarantee_out_kbps - sent))
    if rates.guarantee_in_kbps:
        left.append(max(0, rates.guarantee_in_kbps - received))
    return float(min(left, default=0))


def _limit(rates: Rates) -> float:
    """All its guaranteed traffic together never comes to more."""
    bounds = (rates.guarantee_in_kbps, rates.guarantee_out_kbps, rates.ceiling_in_kbps, rates.ceiling_out_kbps)
    return min((float(bound) for bound in bounds if bound), default=UNBOUNDED)


def _access(at: EndPoint, *, inward: int, outward: int) -> dict[Resource, Claim]:
    claims: dict[Resource, Claim] = {}
    if inward:
        claims[at] = Claim(inward, inward)
    if outward:
        claims[Ingress(at)] = Claim(outward, outward)
    return claims


def _sum(one: Claim | None, other: Claim) -> Claim:
    if one is None:
        return other
    return Claim(one.working_kbps + other.working_kbps, one.reserved_kbps + other.reserved_kbps)


def _without(names: Map, name: str) -> Map:  # type: ignore[type-arg]
    return names.delete(name) if name in names else names
