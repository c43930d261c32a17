"""Who is promised what on which link: the nouns, and the book that holds it all.

An owner is a tenant (all its ports on all switches), a pipe, or a port (of its own access port).  A port counts where
it is attached, whether or not it is bound yet: what was admitted stays reserved.

How a book follows from intent and paths is tallies.py's and claims.py's; nothing here knows whether anything fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from immutables import Map

from controller.fabric.ports import EndPoint
from controller.intent.snapshot import EMPTY, Snapshot
from controller.model.bandwidth import NO_POLICY, BandwidthPolicy, OnFailure, Rates, TrafficClass
from controller.model.network import Network, Pipe, Port
from controller.model.tenancy import Tenant
from controller.qos.hose import Footprint
from controller.qos.ledger import Ledger
from controller.qos.pooled import Pooled

Promise = tuple[TrafficClass, OnFailure]


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


class Piped(NamedTuple):
    """How much of a network's pool its pipes take, in each direction.  kbit/s.

    A pipe inside the network takes both its directions from both: what its one end sends, its other end receives.
    """

    sent: int = 0
    received: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How an owner's guarantees are kept, and what else it may have."""

    on_failure: OnFailure = OnFailure.DEGRADE_FAIR
    traffic_class: TrafficClass = TrafficClass.STANDARD
    weight: int = 0
    """0: as much as it is granted in each place"""
    ceiling_kbps: int = 0

    @property
    def is_protected(self) -> bool:
        return self.traffic_class is TrafficClass.CRITICAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The guarantees of intent, added up.  Nothing is kept of tenants without any."""

    intent: Snapshot = EMPTY
    rates: Map[str, Rates] = Map()
    """what is in force of the policies of some objects; of the others what they say outside all windows"""
    promises: Map[str, Map[Promise, int]] = Map()
    """tenant -> how many of its guarantees are promised how: the tenant's own, its networks', its ports'"""
    tallies: Map[str, Map[int, Tally]] = Map()
    """network of such a tenant, or of one with such pipes -> {switch: ...}"""
    guaranteed: Map[str, Map[int, Map[str, None]]] = Map()
    """network of such a tenant -> {switch: its ports there with a guarantee of their own}"""
    piped: Map[str, Piped] = Map()
    """network -> what its pipes are guaranteed"""
    joining: Map[str, int] = Map()
    """tenant -> how many pipes with a guarantee it has that join networks"""

    def policy_of(self, name: str) -> BandwidthPolicy:
        """The policy of a tenant, network, port or pipe; the empty one if there is none of that name."""
        obj = self.intent.get(name)
        return obj.bandwidth if isinstance(obj, Tenant | Network | Port | Pipe) else NO_POLICY

    def rates_of(self, name: str) -> Rates:
        """What is in force of it."""
        found = self.rates.get(name)
        return found if found is not None else self.policy_of(name).rates


NOTHING_ASKED = Asked()
NO_CLAIMS = Ledger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What is promised, as of one snapshot of intent and the paths of one moment."""

    asked: Asked = NOTHING_ASKED
    footprints: Map[str, Footprint] = Map()
    pooled: Map[str, Pooled] = Map()
    """tenant -> where all of its traffic goes: of its networks, and between them"""
    """of networks"""
    between: Map[tuple[str, str], Footprint] = Map()
    """(network, its peer) -> of what the one sends to the other; of tenants whose pool is for that, too"""
    exposed: Map[str, tuple[EndPoint, ...]] = Map()
    """network, peering or pipe of a protected owner -> links whose failure cuts it off, for there is no other way"""
    apart: Map[str, tuple[tuple[int, int], ...]] = Map()
    """network, peering or pipe -> pairs of edge switches, (from, to), between which nothing arrives"""
    terms: Map[str, Terms] = Map()
    """of every owner with claims"""
    ledger: Ledger = NO_CLAIMS


NO_BOOK = Book()
