"""Who is guaranteed what of what leaves an access port: the pipes that end there, and whoever sends to the port that is
there with a guarantee of its own, so that no flood from elsewhere takes that away at the last step.

    access port of d      its rate: d's ceiling in, or what the port carries
     ├ pipe               as granted
     ├ sender s           what s is guaranteed to send, or of what is left after the pipes the same share to each
     └ the rest           everybody else who sends to d

Only where frames may wait: where d has a ceiling, or the switch port tells a speed that is true (below UNTOLD_KBPS,
which is what a virtual interface says whatever it carries).  Nobody is admitted or refused by this: the sender is
guaranteed what it sends to all together, and several may be guaranteed more than one receiver can take.

Not d's ceiling, where d's network or tenant has one, too: that is a meter which d's frames pass before they come here.
What d's own meter lets by is d's part of it at most; without that one, a flood to d would take it from all others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from immutables import Map

from controller.fabric.observed import Observed
from controller.fabric.ports import EndPoint
from controller.intent.snapshot import NO_NAMES
from controller.model.ids import network_of, tenant_of
from controller.model.queues import Grant
from controller.pipeline.world import Placement
from controller.qos.ledger import budget
from controller.reconcile.book import NO_BOOK, Asked, Book
from controller.reconcile.grants import capacity_kbps
from controller.reconcile.members import MAX_PORTS, class_of

UNTOLD_KBPS = 10_000_000
NO_GRANTS: Map[str, Grant] = Map()


class Access:
    """Owned by whoever grants; follows one book."""

    def __init__(self) -> None:
        self._book = NO_BOOK
        self._places: dict[str, EndPoint] = {}
        """bound port -> where it is"""
        self._ports: dict[EndPoint, str] = {}
        self._senders: dict[str, tuple[str, ...]] = {}
        """network -> its ports that are guaranteed to send, where they are told apart"""
        self.crowded: frozenset[str] = frozenset()
        """networks that are not, for such ports are too many"""

    def update(self, book: Book, placement: Placement, names: Iterable[str]) -> set[EndPoint]:
        """To this book.  `names`: objects that are other ones, or that are elsewhere now.  Returns the access ports
        where somebody may be granted something else.
        """
        before, self._book = self._book, book
        changed, tenants, bounded = defaultdict[str, list[str]](list), list[str](), set[str]()
        for name in names:
            if "/ports/" in name:
                changed[network_of(name)].append(name)
            elif "/peerings/" in name:
                for peering in (asked.intent.peerings.get(name) for asked in (before.asked, book.asked)):
                    changed |= {} if peering is None else {end: changed[end] for end in (peering.a, peering.b)}
            elif name == tenant_of(name):
                tenants.append(name)
                bounded.update(book.asked.intent.networks_by_tenant.get(name, NO_NAMES))
            elif name in book.asked.intent.networks:
                bounded.add(name)
        found = set[EndPoint]()
        for network, ports in changed.items():
            for name in ports:
                found.update(self._place(name, placement.at.get(name)))
            were, are = self._senders.pop(network, ()), _senders(book.asked, network)
            if are:
                self._senders[network] = are
            if _is_crowded(book.asked, network) != (network in self.crowded):
                self.crowded ^= {network}
            if were != are or not set(are).isdisjoint(ports):
                found.update(self._all_of(network, placement))
        for tenant in tenants:
            if before.asked.policy_of(tenant) != book.asked.policy_of(tenant):  # its class may be everybody's
                for network in book.asked.intent.networks_by_tenant.get(tenant, NO_NAMES):
                    found.update(self._all_of(network, placement) if network in self._senders else ())
        for network in bounded:
            if _is_bounded(before.asked, network) != _is_bounded(book.asked, network):
                found.update(self._all_of(network, placement))
        return found

    def _all_of(self, network: str, placement: Placement) -> Iterator[EndPoint]:
        return (self._places[name] for name in placement.members.get(network, ()) if name in self._places)

    def port_at(self, at: EndPoint) -> str | None:
        return self._ports.get(at)

    def grants(self, fabric: Observed, at: EndPoint, pipes: Map[str, Grant]) -> Map[str, Grant]:
        """Together with those of the pipes that end there."""
        port = self._ports.get(at)
        if port is None or at in fabric.links:
            return pipes
        asked, network = self._book.asked, network_of(port)
        ceiling_kbps = 0 if _is_bounded(asked, network) else asked.rates_of(port).ceiling_in_kbps
        rate_kbps = _rate_kbps(fabric, at, ceiling_kbps)
        if not rate_kbps:
            return pipes
        left = max(0, budget(rate_kbps) - sum(grant.guarantee_kbps for grant in pipes.values()))
        senders = {name: min(asked.rates_of(name).guarantee_out_kbps, left)
                   for name in self._senders.get(network, ()) if name != port}
        share = min(1.0, left / max(1, sum(senders.values())))
        granted = {name: self._grant(name, int(share * kbps)) for name, kbps in senders.items()}
        found = pipes.update({name: grant for name, grant in granted.items() if grant.guarantee_kbps})
        return found.set(port, Grant(guarantee_kbps=0, ceiling_kbps=ceiling_kbps)) if found and ceiling_kbps else found

    def _place(self, name: str, at: EndPoint | None) -> Iterator[EndPoint]:
        before = self._places.pop(name, None)
        if before is not None:
            yield before
            if self._ports.get(before) == name:
                del self._ports[before]
        if at is not None:
            yield at
            self._places[name], self._ports[at] = at, name

    def _grant(self, name: str, kbps: int) -> Grant:
        policy = self._book.asked.policy_of(name)
        return Grant(guarantee_kbps=kbps, weight=policy.weight or max(1, kbps),
                     traffic_class=class_of(self._book, tenant_of(name), policy))


def _rate_kbps(fabric: Observed, at: EndPoint, ceiling_kbps: int) -> int:
    """What leaves there at most; 0 if nobody knows."""
    switch_port = fabric.port(at)
    told = switch_port.speed_kbps if switch_port is not None else 0
    carried = capacity_kbps(fabric, at) or 0
    if not 0 < told < UNTOLD_KBPS:
        return ceiling_kbps
    return min(ceiling_kbps or carried, carried)


def _is_bounded(asked: Asked, network: str) -> bool:
    """Whether all that its ports receive has a ceiling, its own or the tenant's."""
    return any(asked.rates_of(name).ceiling_in_kbps for name in (network, tenant_of(network)))


def _is_crowded(asked: Asked, network: str) -> bool:
    return sum(tally.n_sending for tally in asked.tallies.get(network, Map()).values()) > MAX_PORTS


def _senders(asked: Asked, network: str) -> tuple[str, ...]:
    """Those with a guarantee, by name; none if they are too many, or if there is nobody else who may contend."""
    tallies = asked.tallies.get(network, Map())
    is_alone = sum(tally.n_ports for tally in tallies.values()) <= 2 and not asked.intent.peers_of(network)
    if is_alone or _is_crowded(asked, network):
        return ()
    edges: Mapping[int, Mapping[str, None]] = asked.guaranteed.get(network, Map())
    return tuple(sorted(name for dpid, tally in tallies.items() if tally.n_sending
                        for name in edges.get(dpid, NO_NAMES) if asked.rates_of(name).guarantee_out_kbps))
