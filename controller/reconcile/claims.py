"""From what is asked and where it goes to what each owner claims of each link: one book to the next.

    tallies (guarantees by network and edge switch) ──┐
    loads (share of each pair of edges on each link) ──┴─► footprint of each network ─► claims of its tenant ─► ledger

The cost follows the change: only tenants, pipes and ports that changed, or whose paths did, are worked out again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import is_

from immutables import Map

from controller.fabric.bindings import locate
from controller.fabric.graph import Fabric
from controller.fabric.ports import EndPoint
from controller.intent.snapshot import NO_NAMES, NO_PEERS, Snapshot
from controller.model.bandwidth import BandwidthPolicy, OnFailure, Rates, TrafficClass
from controller.model.ids import network_of, tenant_of
from controller.model.network import ANY_PATH, Pipe
from controller.qos.hose import Footprint, Hose, Need
from controller.qos.ledger import NO_CLAIMS, Claim, Claims, claim
from controller.qos.pooled import Pooled
from controller.reconcile.book import Book, Ingress, Piped, Resource, Terms
from controller.reconcile.hoses import hose_of, limit_of, piped_of, pool_of
from controller.reconcile.loads import Loads, Route
from controller.reconcile.tallies import Tallying

_CLASSES, _FIRMNESS = tuple(TrafficClass), (OnFailure.KEEP, OnFailure.DEGRADE_FAIR, OnFailure.SHED)
_NOTHING = Need(0.0, 0.0)


class BookEdit:
    """A book on its way to the next: `update`, then `result`."""

    def __init__(self, book: Book, loads: Loads, fabric: Fabric) -> None:
        self._loads = loads
        self._fabric = fabric
        self._before = self._asked = book.asked
        self._footprints, self._between = book.footprints, book.between
        self._exposed, self._apart = book.exposed, book.apart
        self._pooled, self._terms, self._ledger = book.pooled, book.terms, book.ledger
        self.resources: set[Resource] = set()
        """on which claims, or the terms of who has them, are other ones"""
        self.claimed: set[Resource] = set()
        """on which claims are"""
        self.owners: set[str] = set()
        """whose claims are other ones"""
        self.tenants: set[str] = set()
        """whose claims were worked out again"""
        self.parted: set[str] = set()
        """networks and pipes between whose switches nothing arrives any more, or something again"""

    def update(
        self, intent: Snapshot, rates: Map[str, Rates], names: Iterable[str], routes: Container[Route] = (),
    ) -> BookEdit:
        """To this intent and these rates.  `names`: objects that differ in either, or that may be elsewhere now;
        `routes`: on which the loads are other ones.
        """
        names = {name for name in names if "/subnets/" not in name}
        tallying = Tallying(self._asked, intent, rates, names)
        self._before, self._asked = self._asked, tallying.asked
        moved = tallying.moved | self._rerouted(routes) | {name for name in names if self._is_resteered(name)}
        moved.update(side for name in names if "/peerings/" in name for side in self._sides(name))
        for network in moved:
            self._forget_footprint(network)
        self.tenants = tallying.tenants | {tenant_of(network) for network in moved}
        for tenant in self.tenants:
            self._claim_for_tenant(tenant)
        for name in names:
            if "/ports/" in name:
                self._claim_for_port(name)
        for pipe in self._pipes(names, moved, routes):
            self._claim_for_pipe(pipe)
        return self

    def result(self) -> Book:
        return Book(
            asked=self._asked, footprints=self._footprints, pooled=self._pooled, between=self._between,
            exposed=self._exposed, apart=self._apart, terms=self._terms, ledger=self._ledger)

    # -- where the traffic of a network goes

    def _rerouted(self, routes: Container[Route]) -> set[str]:
        """The networks some of whose traffic takes these routes."""
        if not routes:
            return set()
        sent = [*self._footprints.items(), *((src, footprint) for (src, _), footprint in self._between.items())]
        return {network for network, footprint in sent
                if any(self._route(network, *pair) in routes for pair in footprint.crossings)}

    def _sides(self, peering: str) -> tuple[str, ...]:
        """The networks that it joins, or did."""
        found = self._asked.intent.peerings.get(peering) or self._before.intent.peerings.get(peering)
        return () if found is None else (found.a, found.b)

    def _is_resteered(self, name: str) -> bool:
        """Whether it is a network with another path policy than before."""
        old, new = self._before.intent.networks.get(name), self._asked.intent.networks.get(name)
        return old is not None and new is not None and old.path_policy != new.path_policy

    def _route(self, network: str, src: int, dst: int) -> Route:
        found = self._asked.intent.networks.get(network)
        policy = found.path_policy if found is not None else ANY_PATH
        return Route(network if policy != ANY_PATH else "", policy, src, dst)

    def _footprint(self, network: str, terms: Terms) -> Footprint:
        found = self._footprints.get(network)
        if found is None:
            found = self._make_footprint(network, terms)
            self._footprints = self._footprints.set(network, found)
        return found

    def _make_footprint(self, network: str, terms: Terms) -> Footprint:
        footprint, exposed, apart = self._trace(network, network, terms)
        self._expose(network, exposed)
        self._part(network, apart)
        return footprint

    def _trace(self, src: str, dst: str, terms: Terms) -> tuple[Footprint, list[EndPoint], list[tuple[int, int]]]:
        """Where frames from one network's edges to those of another, or its own, go; links whose failure cuts them off,
        and pairs of edges between which nothing arrives.
        """
        edges, others = (sorted(self._asked.tallies.get(network, ())) for network in (src, dst))
        routes = {(s, d): self._route(src, s, d) for s in edges for d in others if s != d}
        carried = {pair: self._loads.carried(route) for pair, route in routes.items()}
        failures: dict[EndPoint, dict[tuple[int, int], Mapping[EndPoint, float]]] = {}
        exposed = []
        for pair, route in routes.items() if terms.is_protected else ():
            for wire, failing in self._loads.failing(route).items():
                failures.setdefault(wire, {})[pair] = failing.crossing
                exposed += [] if failing.arrives else [wire]
        footprint = Footprint({pair: each.crossing for pair, each in carried.items()}, tuple(failures.values()))
        return footprint, exposed, [pair for pair, each in carried.items() if not each.arrives]

    def _footprint_between(self, src: str, dst: str, terms: Terms) -> Footprint:
        if (src, dst) not in self._between:
            exposed, apart = list[EndPoint](), list[tuple[int, int]]()
            for pair in ((src, dst), (dst, src)):
                footprint, cut_off, parted = self._trace(*pair, terms)
                self._between = self._between.set(pair, footprint)
                exposed += cut_off
                apart += parted
            peering = self._asked.intent.peers[src][dst]
            self._expose(peering, exposed)
            self._part(peering, apart)
        return self._between[src, dst]

    def _forget_between(self, network: str) -> None:
        for intent in (self._before.intent, self._asked.intent):
            for peer, peering in intent.peers.get(network, NO_PEERS).items():
                for pair in ((network, peer), (peer, network)):
                    self._between = _without(self._between, pair)
                self._expose(peering, ())
                self._part(peering, ())

    def _forget_footprint(self, network: str) -> None:
        self._footprints = _without(self._footprints, network)
        self._forget_between(network)
        self._expose(network, ())
        self._part(network, ())

    def _expose(self, name: str, links: Iterable[EndPoint]) -> None:
        if exposed := tuple(sorted(set(links))):
            self._exposed = self._exposed.set(name, exposed)
        else:
            self._exposed = _without(self._exposed, name)

    def _part(self, name: str, pairs: Iterable[tuple[int, int]]) -> None:
        if (apart := tuple(pairs)) != self._apart.get(name, ()):
            self._apart = self._apart.set(name, apart) if apart else _without(self._apart, name)
            self.parted.add(name)

    # -- what tenants claim

    def _claim_for_tenant(self, tenant: str) -> None:
        terms, before = self._terms_of(tenant), self._terms.get(tenant)
        networks = [network for network in self._asked.intent.networks_by_tenant.get(tenant, NO_NAMES)
                    if network in self._asked.tallies]
        if before is None or terms is None or before.is_protected != terms.is_protected:
            for network in networks:
                self._forget_footprint(network)
        self._set_terms(tenant, terms)
        if terms is None:
            self._pooled = _without(self._pooled, tenant)
            for network in self._asked.intent.networks_by_tenant.get(tenant, NO_NAMES):
                self._forget_between(network)
        self._enter(tenant, NO_CLAIMS if terms is None else self._needs(tenant, sorted(networks), terms))

    def _needs(self, tenant: str, networks: Sequence[str], terms: Terms) -> Claims:
        """By link: its networks' needs and its pool, and never more than the tenant as a whole."""
        own, sent, received, piped = self._asked.rates_of(tenant), 0.0, 0.0, Piped()
        if len(networks) == 1 and self._asked.rates_of(networks[0]) == Rates():
            return self._needs_of_one(tenant, own, networks[0], terms)
        hoses: dict[str, Hose] = {}
        for network in networks:
            hose, rates = hose_of(self._asked, network), self._asked.rates_of(network)
            pipes = piped_of(self._asked, network)
            sent += float(rates.guarantee_out_kbps) or sum(hose.sent.values()) + pipes.sent
            received += float(rates.guarantee_in_kbps) or sum(hose.received.values()) + pipes.received
            piped = Piped(piped.sent + pipes.sent, piped.received + pipes.received)
            if hose.sent or hose.received or hose.pool or own.has_guarantee:
                hoses[network] = hose
        footprints = [self._footprint(network, terms) for network in hoses]
        if pool := pool_of(own, sent, received):
            footprints += [self._footprint_between(src, dst, terms)
                           for src in networks for dst in self._asked.intent.peers_of(src)]
        else:
            for network in networks:
                self._forget_between(network)
        return self._pooled_of(tenant, footprints).claims(
            list(hoses.values()), pool=pool, limit=limit_of(own, piped))

    def _needs_of_one(self, tenant: str, own: Rates, network: str, terms: Terms) -> Claims:
        """The same for a tenant with one network that has no guarantee or ceiling of its own, as most are."""
        hose, pipes = hose_of(self._asked, network), piped_of(self._asked, network)
        pool = pool_of(own, sum(hose.sent.values()) + pipes.sent, sum(hose.received.values()) + pipes.received)
        if not (hose.sent or hose.received or pool):
            return NO_CLAIMS
        hose = replace(hose, pool=pool, limit=limit_of(own, pipes))
        return self._pooled_of(tenant, [self._footprint(network, terms)]).claims([hose])

    def _pooled_of(self, tenant: str, footprints: Sequence[Footprint]) -> Pooled:
        found = self._pooled.get(tenant)
        if found is None or not _are_same(found.footprints, footprints):
            found = Pooled(footprints)
            self._pooled = self._pooled.set(tenant, found)
        return found

    def _terms_of(self, tenant: str) -> Terms | None:
        """The tenant's own policy decides if it guarantees something, else the best of those below it."""
        asked = self._asked
        how, policy = asked.promises.get(tenant), asked.policy_of(tenant)
        if how is None:
            return None
        terms = _terms(policy, asked.rates_of(tenant))
        if policy.may_guarantee:
            return terms
        return Terms(
            traffic_class=min((each for each, _ in how), key=_CLASSES.index),
            on_failure=min((each for _, each in how), key=_FIRMNESS.index),
            weight=policy.weight, ceiling_kbps=terms.ceiling_kbps)

    # -- what ports and pipes claim

    def _claim_for_port(self, name: str) -> None:
        """A port's guarantees, of the access port where it is attached."""
        port, claims, terms = self._asked.intent.ports.get(name), dict[Resource, Claim](), None
        if port is not None and port.bandwidth.may_guarantee and (at := self._place(name)) is not None:
            rates = self._asked.rates_of(name)
            terms = _terms(port.bandwidth, rates)
            claims = {at: _flat(rates.guarantee_in_kbps), Ingress(at): _flat(rates.guarantee_out_kbps)}
        self._set_terms(name, terms)
        self._put(name, claims)

    def _place(self, port: str) -> EndPoint | None:
        """The switch port that a port is attached to, if it is known."""
        found = self._asked.intent.ports.get(port)
        place = locate(self._fabric, found.attachment) if found is not None and found.attachment else None
        return place if isinstance(place, EndPoint) else None

    def _pipes(self, names: Iterable[str], moved: Iterable[str], routes: Container[Route]) -> set[str]:
        """The pipes that these changes concern.  `moved`: networks that are on other switches, or take other paths."""
        intent, found = self._asked.intent, set[str]()
        for network in moved:
            found.update(intent.pipes_by_end.get(network, NO_NAMES))
        for name in names:
            if "/pipes/" in name:
                found.add(name)
            else:
                index = intent.pipes_by_end if "/ports/" in name else intent.pipes_by_tenant
                found.update(index.get(name if "/ports/" in name else tenant_of(name), NO_NAMES))
        if routes:
            found.update(name for name in self._terms if "/pipes/" in name)
        return found

    def _claim_for_pipe(self, name: str) -> None:
        pipe, claims, terms = self._asked.intent.pipes.get(name), dict[Resource, Claim](), None
        exposed, apart = list[EndPoint](), list[tuple[int, int]]()
        if pipe is not None and pipe.bandwidth.may_guarantee:
            rates = self._asked.rates_of(name)
            terms = replace(_terms(pipe.bandwidth, rates), ceiling_kbps=_both_ways(rates))
            for src, dst, kbps in ((pipe.a, pipe.b, rates.guarantee_out_kbps),
                                   (pipe.b, pipe.a, rates.guarantee_in_kbps)):
                usable = self._within_ceilings(pipe, src, dst, kbps)
                needs_of = self._needs_between if pipe.joins_networks else self._pipe_needs
                needs = needs_of(src, dst, usable, terms, exposed, apart) if usable else {}
                for resource, need in needs.items():
                    claims[resource] = _sum(claims.get(resource, _flat(0)), claim(*need))
        self._set_terms(name, terms)
        self._expose(name, exposed)
        self._part(name, apart)
        self._put(name, claims)

    def _pipe_needs(
        self, src: str, dst: str, kbps: int, terms: Terms, exposed: list[EndPoint], apart: list[tuple[int, int]],
    ) -> dict[Resource, Need]:
        """Of one direction, access ports included."""
        needs: dict[Resource, Need] = {}
        if (leaves := self._place(src)) is not None:
            needs[Ingress(leaves)] = Need(kbps, kbps)
        if (arrives := self._place(dst)) is not None:
            needs[arrives] = Need(kbps, kbps)
        ends = [port.attachment.dpid for port in map(self._asked.intent.ports.get, (src, dst))
                if port is not None and port.attachment is not None]
        if len(ends) < 2 or ends[0] == ends[1]:
            return needs
        route = self._route(network_of(src), ends[0], ends[1])
        carried = self._loads.carried(route)
        apart += [] if carried.arrives else [(route.src, route.dst)]
        for link, share in carried.crossing.items():
            needs[link] = Need(share * kbps, share * kbps)
        for wire, failing in self._loads.failing(route).items() if terms.is_protected else ():
            exposed += [] if failing.arrives else [wire]
            for link, share in failing.crossing.items():
                need = needs.get(link, _NOTHING)
                needs[link] = Need(need.working, max(need.reserved, share * kbps))
        return needs

    def _needs_between(
        self, src: str, dst: str, kbps: int, terms: Terms, exposed: list[EndPoint], apart: list[tuple[int, int]],
    ) -> dict[Resource, Need]:
        """Of one direction between two networks: a pool for whichever of their ports use it."""
        footprint, cut_off, parted = self._trace(src, dst, terms)
        exposed += cut_off
        apart += parted
        return {link: Need(share.working * kbps, share.reserved * kbps) for link, share in footprint.largest.items()}

    def _within_ceilings(self, pipe: Pipe, src: str, dst: str, kbps: int) -> int:
        """A guarantee is no use beyond the ceilings on the way."""
        rates_of = self._asked.rates_of
        ceilings = [rates_of(src).ceiling_out_kbps, rates_of(dst).ceiling_in_kbps]
        around = (pipe.tenant,) if pipe.joins_networks else (network_of(src), pipe.tenant)
        for whole in map(rates_of, around):
            ceilings += [whole.ceiling_out_kbps, whole.ceiling_in_kbps]
        return min([kbps, *(ceiling for ceiling in ceilings if ceiling)])

    # -- entered

    def _set_terms(self, owner: str, terms: Terms | None) -> None:
        if self._terms.get(owner) != terms:
            self.resources.update(self._ledger.by_owner.get(owner, NO_CLAIMS))
            self._terms = _without(self._terms, owner) if terms is None else self._terms.set(owner, terms)

    def _put(self, owner: str, claims: Mapping[Resource, Claim]) -> None:
        self._enter(owner, {resource: each for resource, each in claims.items() if each.reserved_kbps})

    def _enter(self, owner: str, claims: Claims) -> None:
        """All of them of something."""
        self._ledger, changed = self._ledger.put(owner, claims)
        if changed:
            self.claimed |= changed
            self.resources |= changed
            self.owners.add(owner)


def _both_ways(rates: Rates) -> int:
    """What a pipe's frames come to where both its directions cross a link; 0: not both have a ceiling."""
    into, out = rates.ceiling_in_kbps, rates.ceiling_out_kbps
    return into + out if into and out else 0


def _terms(policy: BandwidthPolicy, rates: Rates) -> Terms:
    """Of a tenant, whose frames are all both sent and received by it: the lower ceiling holds for them."""
    ceilings = [ceiling for ceiling in (rates.ceiling_in_kbps, rates.ceiling_out_kbps) if ceiling]
    return Terms(
        on_failure=policy.on_failure, traffic_class=policy.traffic_class, ceiling_kbps=min(ceilings, default=0),
        weight=policy.weight)


def _are_same(some: Sequence[Footprint], others: Sequence[Footprint]) -> bool:
    return len(some) == len(others) and all(map(is_, some, others))


def _flat(kbps: int) -> Claim:
    return Claim(kbps, kbps)


def _sum(one: Claim, other: Claim) -> Claim:
    return Claim(one.working_kbps + other.working_kbps, one.reserved_kbps + other.reserved_kbps)


def _without(names: Map, name: object) -> Map:  # type: ignore[type-arg]
    return names.delete(name) if name in names else names
