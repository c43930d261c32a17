"""Keeps the book, and what it comes to on the links as they are: what each owner is granted, and who gets less.

    note      objects, links or labels changed; cheap
    work      what that changes: loads -> claims -> grants, only where something did

    now       the book with the rates in force at this moment: grants follow from it
    peak      the book with the most of any window of each schedule: what is admitted is measured against it

Pure: the same world gives the same grants, whatever the order of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from immutables import Map

from controller.fabric.graph import Fabric
from controller.fabric.observed import NO_CHANGE, Alarm, Change
from controller.fabric.ports import EndPoint
from controller.model.bandwidth import Rates
from controller.model.ids import network_of, tenant_of
from controller.model.queues import Grant
from controller.pipeline.world import Placement, World
from controller.qos.degrade import share_out
from controller.qos.ledger import NO_CLAIMS, Claim, Claims, budget
from controller.reconcile.access import Access
from controller.reconcile.book import NO_BOOK, Book, Ingress, Resource
from controller.reconcile.claims import BookEdit
from controller.reconcile.courses import Installed
from controller.reconcile.grants import (
    NOT_GRANTED,
    Apart,
    Degraded,
    Granted,
    Grants,
    Places,
    capacity_kbps,
    list_apart,
    list_named,
    moved_at,
    place_of,
)
from controller.reconcile.labelling import Labelling
from controller.reconcile.loads import Ground, Loads
from controller.reconcile.members import NO_PARTS, Members
from controller.reconcile.peaks import peaks
from controller.reconcile.steering import Steering


@dataclass(slots=True)
class Regrant:
    """What one `work` changed."""

    names: set[str] = field(default_factory=set)
    """objects whose conditions may be other ones"""
    alarms: list[Alarm] = field(default_factory=list)
    failure: Exception | None = None
    """a defect: nothing changed, and the next time all of it is worked out from nothing"""


class _Kept(NamedTuple):
    """What an owner keeps of what it claims, and what that comes to."""

    claim: Claim
    grant: Grant


class Granting:
    """Owned by the reconcile thread; `granted` is a value that any thread may read."""

    def __init__(self, labelling: Labelling, steering: Steering) -> None:
        self._labelling = labelling
        self._steering = steering
        self.start_over()

    def start_over(self) -> None:
        """Forget everything; whoever calls notes all objects next."""
        self.granted: Granted = NOT_GRANTED
        self._now: Book = NO_BOOK
        self._peaks: Map[str, Rates] = Map()
        self._loads = Loads(Installed(self._labelling, self._steering), Ground(fabric=Fabric()))
        self._claims: dict[Resource, dict[str, Claim]] = {}
        """the ledger of `_now` the other way round"""
        self._losses: dict[Resource, dict[str, Claim]] = {}
        """where claims do not fit: what those keep who do not keep all"""
        self._here: dict[Resource, dict[str, _Kept]] = {}
        """what each has there"""
        self._members = Members()
        self._access = Access()
        self._names: set[str] = set()
        self._change = Change(topology=True)

    def note(self, names: Iterable[str], change: Change) -> None:
        """These objects may be other ones, with other rates or elsewhere; that changed in the fabric."""
        self._names.update(names)
        self._change |= change

    def work(self, world: World) -> Regrant:
        """Bring `granted` up to the world."""
        moved, names, change = self._labelling.take_moved(), self._names, self._change
        self._names, self._change = set(), NO_CHANGE
        routes = self._loads.renew(
            world.fabric, moved, self._steering.take_moved(), everywhere=change.topology)
        before = self.granted
        if not (names or routes or change.links or change.ports):
            return Regrant()
        edit = BookEdit(self._now, self._loads, world.fabric).update(world.intent, world.rates, names, routes)
        was, self._now = self._now, (peak := edit.result())
        for owner in edit.owners:
            self._turn_round(owner, was.ledger.by_owner.get(owner, NO_CLAIMS))
        self._peaks = peaks(self._peaks, world.intent, names)
        if self._peaks or world.rates:
            other = BookEdit(before.book, self._loads, world.fabric)
            peak = other.update(world.intent, self._peaks, names, routes).result()
        divided = self._members.update(self._now, edit.tenants, names)
        ended = self._access.update(self._now, world.placement, names)
        resources = edit.resources | divided | ended | self._measured(change)
        again = edit.tenants | edit.owners | {owner for name in names for owner in (name, tenant_of(name))}
        grants, places, squeezed = self._grant(world.fabric, resources, again)
        owners = edit.owners | squeezed | self._reachable_otherwise(edit.parted, names)
        self.granted = Granted(
            grants=grants, places=places, book=peak, degraded=self._degraded(before.degraded, world, owners),
            bare=self._bare(before.bare, owners), crowded=self._members.crowded, crowded_ends=self._access.crowded)
        return self._regrant(before, owners)

    def _measured(self, change: Change) -> set[Resource]:
        """What is claimed and may have another capacity."""
        candidates: set[Resource] = {*change.links, *change.ports, *(Ingress(at) for at in change.ports)}
        return {resource for resource in candidates
                if resource in self._claims or (resource in change.ports and self._access.port_at(resource))}

    def _turn_round(self, owner: str, before: Claims) -> None:
        now = self._now.ledger.by_owner.get(owner, NO_CLAIMS)
        for resource in before.keys() - now.keys():
            del self._claims[resource][owner]
            if not self._claims[resource]:
                del self._claims[resource]
        for resource, claim in now.items():
            self._claims.setdefault(resource, {})[owner] = claim

    # -- who keeps how much

    def _grant(self, fabric: Fabric, resources: Iterable[Resource], again: Set[str]) -> tuple[Grants, Places, set[str]]:
        """Also who has less than it claims somewhere there, or had.  `again`: whose terms or parts may be others."""
        grants, places, squeezed = self.granted.grants.mutate(), self.granted.places, set[str]()
        for resource in resources:
            squeezed.update(self._losses.get(resource, ()))
            here = self._share_out(fabric, resource, again)
            squeezed.update(self._losses.get(resource, ()))
            if isinstance(resource, Ingress):
                continue
            here = self._access.grants(fabric, resource, here)
            places = moved_at(places, resource, self.granted.grants.get(resource, Map()), here)
            if here:
                grants[resource] = here
            else:
                grants.pop(resource, None)
        return grants.finish(), places, squeezed

    def _share_out(self, fabric: Fabric, resource: Resource, again: Set[str]) -> Map[str, Grant]:
        """What owners are granted there; `_losses` says who is not granted all."""
        claims, terms = self._claims.get(resource, {}), self._now.terms
        capacity = capacity_kbps(fabric, resource)
        on_failure = {owner: terms[owner].on_failure for owner in claims}
        protected = {owner for owner in claims if terms[owner].is_protected}
        kept = dict(claims)
        if capacity is not None:
            kept = share_out(claims, on_failure, budget(capacity), protected=protected)
        losses = {owner: here for owner, here in kept.items() if here != claims[owner]}
        if losses:
            self._losses[resource] = losses
        else:
            self._losses.pop(resource, None)
        before, now = self._here.pop(resource, {}), dict[str, _Kept]()
        for owner, claim in sorted(kept.items()):
            if claim.reserved_kbps and not _is_port(owner):
                was = before.get(owner)
                if was is None or was.claim != claim or owner in again:
                    was = _Kept(claim, self._grant_of(resource, owner, claim))
                now[owner] = was
        if now:
            self._here[resource] = now
        return Map({owner: each.grant for owner, each in now.items()})

    def _grant_of(self, resource: Resource, owner: str, kept: Claim) -> Grant:
        terms = self._now.terms[owner]
        networks = NO_PARTS if isinstance(resource, Ingress) else self._members.divide(resource, owner, kept)
        return Grant(guarantee_kbps=kept.reserved_kbps, ceiling_kbps=terms.ceiling_kbps,
                     weight=terms.weight or kept.reserved_kbps, traffic_class=terms.traffic_class, networks=networks)

    def _degraded(
        self, before: Map[str, Degraded], world: World, owners: Iterable[str],
    ) -> Map[str, Degraded]:
        degraded = before
        for owner in owners:
            claims = self._now.ledger.by_owner.get(owner, NO_CLAIMS)
            shares = {resource: losses[owner].working_kbps / claims[resource].working_kbps
                      for resource, losses in self._losses.items()
                      if owner in losses and losses[owner].working_kbps < claims[resource].working_kbps}
            apart = self._apart(world.placement, owner)
            if shares or apart:
                worst_first = sorted(shares, key=lambda resource: (shares[resource], str(resource)))
                why = [f"there is no path {list_apart(apart)}"] if apart else []
                why += [f"more is guaranteed than {list_named(world.fabric, worst_first)} can carry now"] * bool(shares)
                degraded = degraded.set(owner, Degraded(
                    share=0.0 if apart else shares[worst_first[0]], links=tuple(map(place_of, worst_first)),
                    apart=apart, why=", and ".join(why)))
            elif owner in degraded:
                degraded = degraded.delete(owner)
        return degraded

    def _apart(self, placement: Placement, owner: str) -> tuple[Apart, ...]:
        """The switches with ports of the owner, of which something is guaranteed between them and nothing arrives."""
        asked, found = self._now.asked, list[Apart]()
        if not self._now.apart:
            return ()
        networks, peerings = (index.get(owner, Map()) for index in (
            asked.intent.networks_by_tenant, asked.intent.peerings_by_tenant))
        for name in (owner,) if _is_pipe(owner) else sorted((*networks, *peerings)):
            pairs = self._now.apart.get(name, ())
            joint = asked.intent.pipes.get(name) or asked.intent.peerings.get(name) if pairs else None
            ends = (network_of(joint.a), network_of(joint.b)) if joint is not None else (name, name)
            near, far = (placement.presence.get(end, Map()) for end in ends)
            tallies = asked.tallies.get(name, Map())
            pooled = any(asked.rates_of(each).has_guarantee for each in {owner, name})
            found += [Apart(ends[0] if src in near and dst in far else ends[1], src, dst) for src, dst in pairs
                      if ((src in near and dst in far) or (src in far and dst in near))
                      and (pooled or (joint is None and (tallies[src].sent or tallies[dst].received)))]
        return tuple(found)

    def _reachable_otherwise(self, parted: Iterable[str], names: Iterable[str]) -> set[str]:
        """Owners that may have a path, or none, for another reason than before: by paths, or by where ports are."""
        asked, found = self._now.asked, set[str]()
        for name in (*parted, *names):
            if _is_port(name):
                for end in (name, network_of(name)):
                    found.update(asked.intent.pipes_by_end.get(end, ()))
            found.add(name if _is_pipe(name) else tenant_of(name))
        return found

    def _bare(
        self, before: Map[str, tuple[EndPoint, ...]], owners: Iterable[str],
    ) -> Map[str, tuple[EndPoint, ...]]:
        bare = before
        for owner in owners:
            claims = self._now.ledger.by_owner.get(owner, NO_CLAIMS)
            links = tuple(sorted(
                place_of(resource) for resource, losses in self._losses.items()
                if owner in losses and losses[owner].reserved_kbps - losses[owner].working_kbps
                < claims[resource].reserved_kbps - claims[resource].working_kbps))
            if links:
                bare = bare.set(owner, links)
            elif owner in bare:
                bare = bare.delete(owner)
        return bare

    # -- whom that concerns

    def _regrant(self, before: Granted, owners: Iterable[str]) -> Regrant:
        regrant, now = Regrant(), self.granted
        for owner in owners:
            degraded = now.degraded.get(owner)
            if degraded != before.degraded.get(owner) or now.bare.get(owner) != before.bare.get(owner):
                regrant.names |= self._concerned(owner)
            if degraded is not None and owner not in before.degraded:
                message = f"{owner} keeps {degraded.share:.0%} of its guarantee: {degraded.why}"
                at = degraded.links[0] if degraded.links else EndPoint(degraded.apart[0].src, 0)
                regrant.alarms.append(Alarm(reason="GUARANTEE_DEGRADED", at=at, message=message))
        regrant.names |= self._crowded_otherwise(before)
        exposed, were = now.book.exposed, before.book.exposed
        if exposed is not were:
            regrant.names |= {tenant_of(name) if "/peerings/" in name else name
                              for name in (*exposed, *were) if exposed.get(name) != were.get(name)}
        return regrant

    def _crowded_otherwise(self, before: Granted) -> set[str]:
        """Networks, and their ports with a guarantee, that have parts of their own elsewhere than before."""
        now, were, names = self.granted.crowded, before.crowded, set[str]()
        networks = set(self.granted.crowded_ends ^ before.crowded_ends)
        if now is not were:
            networks |= {network for network in {*now, *were} if now.get(network) != were.get(network)}
        for network in networks:
            names.update((network,), *self._now.asked.guaranteed.get(network, Map()).values())
        return names

    def _concerned(self, owner: str) -> set[str]:
        """The owner and all that is below it."""
        intent, names = self._now.asked.intent, {owner}
        for network in intent.networks_by_tenant.get(owner, Map()):
            names.update((network, *intent.ports_by_network.get(network, Map())))
        return names


def _is_port(owner: str) -> bool:
    return "/ports/" in owner


def _is_pipe(owner: str) -> bool:
    return "/pipes/" in owner
