"""How what a tenant is granted on a link is divided among its networks, and theirs among the ports with a guarantee.

    tenant's grant ──► each network: its need there ──► each port: its part of that need (qos/hose.py)
                  └──► the rest: networks without       └──► the rest: the pool, and ports without

A port has a part of its own only where there is somebody of its network to tell it from, and on a link that at most
MAX_PORTS of them cross; where there are more, they share what their network has: it is crowded.

Nobody's part says how much is admitted, which is claims.py's; only that members do not take it from each other.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from immutables import Map

from controller.fabric.ports import EndPoint
from controller.intent.snapshot import NO_NAMES
from controller.model.bandwidth import BandwidthPolicy, TrafficClass
from controller.model.ids import network_of, tenant_of
from controller.model.queues import NetworkGrant, PortGrant
from controller.qos.hose import Footprint, Parts
from controller.qos.ledger import Claim, claim
from controller.reconcile.book import NO_BOOK, Asked, Book
from controller.reconcile.hoses import hose_of, piped_of

MAX_PORTS = 32
"""of one network with a queue of their own on one link"""
NO_PARTS: Map[str, NetworkGrant] = Map()
_ROUNDING = 1e-6


@dataclass(slots=True)
class _Shape:
    """Of one network."""

    basis: tuple[object, ...] = ()
    """all that it follows from: as long as these are the same, it is"""
    needs: Mapping[EndPoint, Claim] = field(default_factory=dict)
    """what it needs of each link; nothing is told of a tenant's only network, which has all"""
    parts: Mapping[EndPoint, Parts | None] = field(default_factory=dict)


_NO_SHAPE = _Shape()


@dataclass(slots=True)
class _Want:
    """What a port needs of a link."""

    working: float = 0.0
    reserved: float = 0.0
    sends: bool = False
    receives: bool = False


class Members:
    """Owned by whoever grants; follows one book."""

    def __init__(self) -> None:
        self._book = NO_BOOK
        self._shapes: dict[str, dict[str, _Shape]] = {}
        """tenant -> its networks with attached ports"""
        self.crowded: Map[str, tuple[EndPoint, ...]] = Map()
        """network -> links where its ports have no parts of their own, for they are too many"""

    def update(self, book: Book, tenants: Collection[str], names: Iterable[str]) -> set[EndPoint]:
        """To this book.  `tenants`: whose claims were worked out again; `names`: objects that are other ones.

        Returns the links on which some tenant's grant may be divided in another way.
        """
        before, self._book = self._book, book
        found, changed = set[EndPoint](), defaultdict[str, list[str]](list)
        for name in names:
            changed[tenant_of(name)].append(name)
        for tenant in tenants:
            old = self._shapes.pop(tenant, {})
            new = self._shapes_of(tenant, old)
            if new:
                self._shapes[tenant] = new
            whole = old.keys() != new.keys() or any(map(_is_whole, changed[tenant]))
            for network in old.keys() | new.keys():
                shapes = old.get(network, _NO_SHAPE), new.get(network, _NO_SHAPE)
                ports = [name for name in changed[tenant] if name.startswith(f"{network}/ports/")]
                edges = {dpid for name in ports for asked in (before.asked, book.asked) for dpid in _at(asked, name)}
                if whole:
                    found.update(_all_links(*shapes))
                elif edges or shapes[0] is not shapes[1]:
                    found.update(_differing(*shapes, edges))
                self._crowd(network, *shapes)
            if whole:
                found.update(book.ledger.by_owner.get(tenant, ()))
        return found

    def divide(self, at: EndPoint, owner: str, kept: Claim) -> Map[str, NetworkGrant]:
        """The parts of its networks in what it keeps there; whoever is no tenant has none."""
        shapes = self._shapes.get(owner, {})
        needs = {network: shape.needs[at] for network, shape in shapes.items() if at in shape.needs}
        if self._is_one(owner):
            needs = dict.fromkeys((network for network, shape in shapes.items() if shape.parts.get(at)), kept)
        total = sum(need.reserved_kbps for need in needs.values())
        share = min(1.0, kept.reserved_kbps / total) if total else 0.0
        networks = {}
        for network, need in sorted(needs.items()):
            has = Claim(int(share * need.working_kbps), int(share * need.reserved_kbps))
            if has.reserved_kbps:
                networks[network] = self._network(at, owner, network, has)
        return Map(networks)

    # -- what is known of each network

    def _shapes_of(self, tenant: str, old: Mapping[str, _Shape]) -> dict[str, _Shape]:
        asked = self._book.asked
        if tenant not in asked.promises:
            return {}
        networks = sorted(asked.intent.networks_by_tenant.get(tenant, NO_NAMES))
        return {network: self._shape(network, old.get(network, _NO_SHAPE), is_only=self._is_one(tenant))
                for network in networks if network in asked.tallies}

    def _is_one(self, tenant: str) -> bool:
        """Whether it has a single network."""
        return len(self._book.asked.intent.networks_by_tenant.get(tenant, NO_NAMES)) == 1

    def _shape(self, network: str, old: _Shape, *, is_only: bool) -> _Shape:
        asked, footprint = self._book.asked, self._book.footprints.get(network)
        tallies = asked.tallies[network]
        basis = footprint, tallies, asked.rates_of(network), piped_of(asked, network), is_only
        if len(old.basis) == len(basis) and all(map(_is_same, old.basis, basis)):
            return old
        if footprint is None:
            return _Shape(basis)
        hose = hose_of(asked, network)
        senders = {dpid: tally.n_sending for dpid, tally in tallies.items() if tally.n_sending}
        receivers = {dpid: tally.n_receiving for dpid, tally in tallies.items() if tally.n_receiving}
        return _Shape(
            basis=basis, needs={} if is_only else {link: claim(*need) for link, need in footprint.need(hose).items()},
            parts=footprint.parts(hose, senders, receivers, at_most=MAX_PORTS))

    def _crowd(self, network: str, old: _Shape, new: _Shape) -> None:
        if old is new:
            return
        links = tuple(sorted(link for link, parts in new.parts.items() if parts is None))
        if links != self.crowded.get(network, ()):
            self.crowded = self.crowded.set(network, links) if links else self.crowded.delete(network)

    # -- the parts

    def _network(self, at: EndPoint, tenant: str, network: str, has: Claim) -> NetworkGrant:
        policy, parts = self._book.asked.policy_of(network), self._shapes[tenant][network].parts.get(at)
        wanted = self._wanted(network, parts) if parts else {}
        kbps = _fit(wanted, has)
        ports = {name: self._port(tenant, name, wanted[name], kbps[name]) for name in sorted(wanted) if kbps[name]}
        return NetworkGrant(
            guarantee_kbps=has.reserved_kbps, weight=policy.weight or has.reserved_kbps,
            traffic_class=class_of(self._book, tenant, policy), by_source=parts is None or parts.by_source,
            ports=Map(ports))

    def _port(self, tenant: str, name: str, want: _Want, kbps: int) -> PortGrant:
        policy = self._book.asked.policy_of(name)
        return PortGrant(
            guarantee_kbps=kbps, weight=policy.weight or kbps, traffic_class=class_of(self._book, tenant, policy),
            sends=want.sends, receives=want.receives)

    def _wanted(self, network: str, parts: Parts) -> dict[str, _Want]:
        asked, wanted = self._book.asked, defaultdict[str, _Want](_Want)
        edges = asked.guaranteed.get(network, Map())
        for dpid, fraction in parts.sent.items():
            for name in edges.get(dpid, NO_NAMES):
                if kbps := asked.rates_of(name).guarantee_out_kbps:
                    want = wanted[name]
                    want.working, want.reserved = kbps * fraction.working, kbps * fraction.reserved
                    want.sends = True
        for dpid, fraction in parts.received.items():
            for name in edges.get(dpid, NO_NAMES):
                if kbps := asked.rates_of(name).guarantee_in_kbps:
                    want = wanted[name]
                    want.working += kbps * fraction.working
                    want.reserved += kbps * fraction.reserved
                    want.receives = True
        return dict(wanted)


def class_of(book: Book, tenant: str, policy: BandwidthPolicy) -> TrafficClass:
    """The policy's own, unless the tenant's own guarantee says which."""
    if policy.may_guarantee and not book.asked.policy_of(tenant).may_guarantee:
        return policy.traffic_class
    return book.terms[tenant].traffic_class


def _fit(wanted: Mapping[str, _Want], has: Claim) -> dict[str, int]:
    """What each has as things are, or where that is too much, of it the same share; and of what it needs in a failure
    as much as leaves the pool what that has as things are.
    """
    working = sum(want.working for want in wanted.values())
    more = sum(want.reserved - want.working for want in wanted.values())
    share = min(1.0, has.reserved_kbps / working) if working else 1.0
    left = max(0.0, has.reserved_kbps - max(working, has.working_kbps))
    extra = min(1.0, left / more) if more else 0.0
    return {name: math.floor(share * want.working + extra * (want.reserved - want.working) + _ROUNDING)
            for name, want in wanted.items()}


def _is_same(one: object, other: object) -> bool:
    """Large values by identity: they share what did not change, and to compare them costs their size."""
    return one is other or (not isinstance(one, Map | Footprint) and one == other)


def _is_whole(name: str) -> bool:
    """A tenant or network, whose policy may matter on all links."""
    return not any(kind in name for kind in ("/ports/", "/subnets/", "/pipes/"))


def _at(asked: Asked, port: str) -> Iterator[int]:
    """The switch it is attached to, if it has a guarantee."""
    found = asked.intent.ports.get(port)
    dpid = found.attachment.dpid if found is not None and found.attachment is not None else None
    if dpid is not None and port in asked.guaranteed.get(network_of(port), Map()).get(dpid, NO_NAMES):
        yield dpid


def _all_links(*shapes: _Shape) -> Iterator[EndPoint]:
    for shape in shapes:
        yield from shape.needs
        yield from shape.parts


def _differing(old: _Shape, new: _Shape, edges: Collection[int]) -> Iterator[EndPoint]:
    """Links where something differs, or a port on one of these switches has a part."""
    for link in old.needs.keys() | new.needs.keys():
        if old.needs.get(link) != new.needs.get(link):
            yield link
    nothing = object()
    for link in old.parts.keys() | new.parts.keys():
        parts = new.parts.get(link, nothing)
        if parts != old.parts.get(link, nothing) or (
                isinstance(parts, Parts) and any(edge in parts.sent or edge in parts.received for edge in edges)):
            yield link
