"""What every object gets of its bandwidth, in the words of BandwidthStatus: from measured rates, and one allocation.

    measured     what each port offers, what is dropped of it, what each link carries
    estimated    what each port wants (qos/demand.py), and over which links: nobody counts by pairs of ports, so a port
                 is taken to exchange with the edges of its network, and of the peers of that, in proportion to what
                 these receive, or send
    allotted     by the allocator, over links, ceilings of tenants and of networks; ports have their own as a bound

Tenants and networks get what their ports get together.  Pure; keeps the estimates from one assessment to the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import TypeVar, cast, get_args

from immutables import Map

from controller.fabric.ports import EndPoint
from controller.model.bandwidth import NO_POLICY, BandwidthPolicy, BandwidthStatus, DirectionStatus, Rates
from controller.model.network import Network, Pipe, Port
from controller.model.tenancy import Tenant
from controller.pipeline.views import rates_of
from controller.qos.accounts import Accounts
from controller.qos.allocation import Aggregate, Allocator
from controller.qos.demand import estimate
from controller.qos.sums import Way
from controller.reconcile.grants import capacity_kbps
from controller.reconcile.loads import Ground, crossing, tree_course
from controller.reconcile.owners import link_name
from controller.reconcile.passage import Passage, Passed, parts_of
from controller.reconcile.status import View

BUSY = 0.9
"""of its capacity: whoever sends over such a link may want more"""
ACTIVE_KBPS = 10
"""Less than that is chatter, and tells of no hunger."""
BATCH = 32
"""ports in a piece of work: a millisecond or two"""
T = TypeVar("T")
Key = tuple[str, Way]
Limited = Tenant | Network | Port | Pipe
Limit = tuple[str | EndPoint, Way]
"""What is a resource of the allocation: a tenant, network or link, by the direction that it is counted in."""
Statuses = Map[str, BandwidthStatus]


@dataclass(slots=True)
class _Member:
    """One direction of one port."""

    name: str
    way: Way
    chain: tuple[str, ...]
    """itself, its network, its tenant"""
    rates: Rates
    links: Mapping[EndPoint, float]
    ceiling_kbps: float
    demand_kbps: float = 0.0
    resources: dict[Hashable, float] = field(default_factory=dict)


class Assessor:
    """Belongs to one thread."""

    def __init__(self) -> None:
        self._allocator: Allocator[Key] = Allocator()
        self._are_put: set[Key] = set()
        self._limited: set[Hashable] = set()
        self._demands: dict[Key, float] = {}

    def assess(self, view: View, accounts: Accounts, at_s: float) -> Statuses:
        """The statuses of all tenants, networks, bound ports and pipes."""
        pieces = self.pieces(view, accounts, at_s)
        while True:
            try:
                next(pieces)
            except StopIteration as done:
                return cast(Statuses, done.value)

    def pieces(self, view: View, accounts: Accounts, at_s: float) -> Generator[None, None, Statuses]:
        """The same, a little at a time.  Nothing else may be assessed before it is done."""
        look, members, demands = _Look(view, accounts), list[_Member](), dict[Key, float]()
        for some in _batches(member for way in get_args(Way) for member in look.members(way)):
            members += some
            demands |= {(each.name, each.way): self._demand(look, each) for each in some}
            yield
        self._demands = demands
        guarantees = look.guarantees(demands)
        yield
        for some in _batches(members):
            for each in some:
                self._put(look, each, guarantees)
            yield
        for key in self._are_put - demands.keys():
            self._allocator.put(key, None)
        self._are_put = set(demands)
        self._set_capacities(look, members)
        yield
        self._allocator.solve()
        yield
        return (yield from _Summary(look, self._allocator, members, at_s).pieces())

    def _put(self, look: _Look, member: _Member, guarantees: Mapping[Key, float]) -> None:
        key, policy = (member.name, member.way), look.policy(*member.chain)
        member.demand_kbps = self._demands[key]
        self._allocator.put(key, Aggregate(
            guarantee_kbps=guarantees.get(key, 0.0), demand_kbps=member.demand_kbps,
            ceiling_kbps=member.ceiling_kbps, weight=_weight(policy, member.rates, member.way),
            traffic_class=policy.traffic_class, resources=member.resources))

    def _demand(self, look: _Look, member: _Member) -> float:
        offered, dropped = look.accounts.offered_kbps(member.name, member.way)
        cap = min([member.ceiling_kbps, *(
            look.capacity_of(resource) / part for resource, part in member.resources.items())])
        if cap == inf:
            return 1.2 * offered
        if offered > ACTIVE_KBPS and look.is_held_back(member):
            dropped = max(dropped, 1)
        return estimate(self._demands.get((member.name, member.way), 0.0), offered, dropped, cap, cap)

    def _set_capacities(self, look: _Look, members: list[_Member]) -> None:
        limited: dict[Hashable, float] = {}
        for member in members:
            for resource in member.resources:
                if resource not in limited:
                    limited[resource] = look.capacity_of(resource)
        for resource in self._limited - limited.keys():
            self._allocator.set_capacity(resource, None)
        for resource, kbps in limited.items():
            self._allocator.set_capacity(resource, None if kbps == inf else kbps)
        self._limited = set(limited)


class _Look:
    """One view and what was measured of it."""

    def __init__(self, view: View, accounts: Accounts) -> None:
        self.view = view
        self.world = view.world
        self.accounts = accounts
        self._crossings: dict[tuple[int, int], Mapping[EndPoint, float]] = {}
        self._links: dict[tuple[str, int, Way], Mapping[EndPoint, float]] = {}
        self._carried: dict[EndPoint, int] = {}
        self._rates: dict[str, Rates] = {}
        self._policies: dict[str, BandwidthPolicy] = {}
        self._at_edge: dict[tuple[str, int], Mapping[Way, int]] = {}
        self._ground = Ground(fabric=self.world.fabric)

    def members(self, way: Way) -> Iterator[_Member]:
        intent = self.world.intent
        for name, at in self.world.placement.at.items():
            port = intent.ports.get(name)
            if port is None:
                continue
            rates = rates_of(self.world, port)
            member = _Member(
                name=name, way=way, chain=(name, port.network, port.tenant), rates=rates,
                links=self._links_of(port.network, at.dpid, way), ceiling_kbps=_ceiling(rates, way) or inf)
            for above in member.chain[1:]:
                if _ceiling(self.rates(above), way):
                    member.resources[above, way] = 1.0
            member.resources |= {(link, way): part for link, part in member.links.items()}
            yield member

    def rates(self, name: str) -> Rates:
        if name not in self._rates:
            obj = self.world.intent.get(name)
            known = isinstance(obj, Limited)
            self._rates[name] = rates_of(self.world, cast(Limited, obj)) if known else Rates()
        return self._rates[name]

    def policy(self, name: str, *above: str) -> BandwidthPolicy:
        """The first that says anything, from the port up."""
        if name not in self._policies:
            obj = self.world.intent.get(name)
            own = obj.bandwidth if isinstance(obj, Tenant | Network | Port) else NO_POLICY
            self._policies[name] = self.policy(*above) if own == NO_POLICY and above else own
        return self._policies[name]

    def capacity(self, link: EndPoint) -> float:
        return capacity_kbps(self.world.fabric, link) or inf

    def carried(self, link: EndPoint) -> int:
        if link not in self._carried:
            self._carried[link] = self.accounts.usage(link_name(link)).outward.kbps
        return self._carried[link]

    def capacity_of(self, resource: Hashable) -> float:
        what, way = cast(Limit, resource)
        return _ceiling(self.rates(what), way) if isinstance(what, str) else self.capacity(what)

    def is_held_back(self, member: _Member) -> bool:
        """A ceiling above it drops, or a link on its way is full."""
        return any(self.accounts.own_dropped_kbps(above, member.way) > 0 for above in member.chain[1:]) or any(
            self.carried(link) >= BUSY * self.capacity(link) for link in member.links)

    def guarantee(self, name: str, way: Way) -> float:
        """What is in force now, after schedule and failures."""
        rates = self.rates(name)
        asked = rates.guarantee_in_kbps if way == "in" else rates.guarantee_out_kbps
        degraded = self.view.degraded.get(name)
        return asked * degraded.share if degraded is not None else float(asked)

    def guarantees(self, demands: Mapping[Key, float]) -> dict[Key, float]:
        """Of ports: their own, or what their network's or tenant's comes to if it follows demand."""
        below: defaultdict[Key, float] = defaultdict(float)
        for (name, way), demand in demands.items():
            port = self.world.intent.ports[name]
            below[port.network, way] += demand
            below[port.tenant, way] += demand
        found = {}
        for (name, way), demand in demands.items():
            port = self.world.intent.ports[name]
            parts = [self.guarantee(name, way)]
            parts += [self.guarantee(above, way) * demand / below[above, way]
                      for above in (port.network, port.tenant) if below[above, way]]
            found[name, way] = max(parts)
        return found

    def passed(self, pipe: Pipe, way: Way) -> dict[EndPoint, Passed]:
        """The links of its way whose capacity is known."""
        parts = parts_of(self.world.placement, pipe, way, self._crossing)
        return {link: Passed(link_name(link), part, self.capacity(link), self.carried(link))
                for link, part in parts.items() if self.capacity(link) != inf}

    def _links_of(self, network: str, dpid: int, way: Way) -> Mapping[EndPoint, float]:
        key = network, dpid, way
        if key not in self._links:
            self._links[key] = self._spread(network, dpid, way)
        return self._links[key]

    def _spread(self, network: str, dpid: int, way: Way) -> Mapping[EndPoint, float]:
        """Which part of what a port sends, or receives, crosses each link."""
        weights: defaultdict[int, float] = defaultdict(float)
        for reached in (network, *sorted(self.world.intent.peers_of(network))):
            for other, ports in self.world.placement.presence.get(reached, Map()).items():
                kbps = self._exchanged(reached, other)["in" if way == "out" else "out"]
                # Nobody exchanges anything with itself.
                others = 1 - 1 / len(ports) if (reached, other) == (network, dpid) else 1.0
                weights[other] += others * (kbps + 0.001 * len(ports))
        total, links = sum(weights.values()) or 1.0, defaultdict[EndPoint, float](float)
        for other, weight in weights.items():
            if other != dpid:
                for link, part in self._crossing(*((dpid, other) if way == "out" else (other, dpid))).items():
                    links[link] += part * weight / total
        return {link: min(1.0, part) for link, part in links.items() if part > 0.001}

    def _exchanged(self, network: str, dpid: int) -> Mapping[Way, int]:
        """What the network's ports there receive and send."""
        if (network, dpid) not in self._at_edge:
            measured = [self.accounts.usage(port) for port in self.world.placement.presence[network][dpid]]
            self._at_edge[network, dpid] = {
                "in": sum(usage.inward.kbps for usage in measured),
                "out": sum(usage.outward.kbps for usage in measured)}
        return self._at_edge[network, dpid]

    def _crossing(self, src: int, dst: int) -> Mapping[EndPoint, float]:
        if (src, dst) not in self._crossings:
            plan = self.view.plans.get(dst)
            course = tree_course(plan, src, dst) if plan is not None else ()
            self._crossings[src, dst] = crossing([course], self._ground) if course else {}
        return self._crossings[src, dst]


@dataclass(slots=True)
class _Total:
    """Of one direction of an object: what its ports come to."""

    allotted_kbps: float = 0.0
    demand_kbps: float = 0.0
    room_kbps: float | None = None
    """the most that one of them could use beyond what it wants, as far as it is known"""
    lost_kbps: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """bottleneck -> what is not had for it"""
    links: set[EndPoint] = field(default_factory=set)


class _Summary:
    """What the allocation comes to, for every object."""

    def __init__(self, look: _Look, allocator: Allocator[Key], members: list[_Member], at_s: float) -> None:
        self._look = look
        self._at_s = at_s
        self._allocator = allocator
        self._members = members
        self._load: defaultdict[Hashable, float] = defaultdict(float)
        self._totals: defaultdict[Key, _Total] = defaultdict(_Total)

    def pieces(self) -> Generator[None, None, Statuses]:
        for some in _batches(self._members):
            for member in some:
                rate = self._allocator.allotment((member.name, member.way)).rate_kbps
                for resource, part in member.resources.items():
                    self._load[resource] += part * rate
            yield
        for some in _batches(self._members):
            for member in some:
                self._add(member)
            yield
        found: dict[str, BandwidthStatus] = {}
        for names in _batches(dict.fromkeys(name for name, _ in self._totals)):
            found |= {name: self._both(self._direction, name) for name in names}
            yield
        for pipes in _batches(self._look.world.intent.pipes.values()):
            found |= {pipe.name: self._both(self._pipe, pipe) for pipe in pipes}
            yield
        return Map(found)

    def _both(self, direction: Callable[[T, Way], DirectionStatus], of: T) -> BandwidthStatus:
        return BandwidthStatus(inward=direction(of, "in"), outward=direction(of, "out"), since_s=self._at_s)

    def _add(self, member: _Member) -> None:
        """To all that it is part of."""
        allotment, room = self._allocator.allotment((member.name, member.way)), self._room(member)
        bottleneck = self._name(member, allotment.bottleneck)
        if not self._look.accounts.offered_kbps(member.name, member.way)[0]:
            bottleneck = ""  # whoever is silent is held back by nobody, whatever it could not have
        elif not bottleneck and member.demand_kbps >= member.ceiling_kbps:
            bottleneck = member.name
        for name in member.chain:
            total = self._totals[name, member.way]
            total.allotted_kbps += allotment.rate_kbps
            total.demand_kbps += member.demand_kbps
            if room != inf:
                total.room_kbps = max(room, total.room_kbps or 0.0)
            if bottleneck:
                total.lost_kbps[bottleneck] += max(1.0, member.demand_kbps - allotment.rate_kbps)
            total.links.update(member.links)

    def _direction(self, name: str, way: Way) -> DirectionStatus:
        total, ceiling = self._totals[name, way], _ceiling(self._look.rates(name), way)
        lost, most, allotted = total.lost_kbps, ceiling or inf, total.allotted_kbps
        if not lost:  # whatever is lent of its guarantee is there as soon as it wants it
            allotted = max(allotted + (total.room_kbps or 0.0), self._look.guarantee(name, way))
        bottleneck = max(lost, key=lost.__getitem__, default="")
        return self._status(
            name, way, min(allotted, most), min(total.demand_kbps, most), bottleneck, total.links)

    def _pipe(self, pipe: Pipe, way: Way) -> DirectionStatus:
        look, name, receiver = self._look, pipe.name, pipe.b if way == "out" else pipe.a
        offered, dropped = look.accounts.offered_kbps(name, way)
        gets = Passage(
            name=name, receiver=receiver if _ceiling(look.rates(receiver), "in") else "", offered_kbps=offered,
            dropped_kbps=dropped, own_dropped_kbps=look.accounts.own_dropped_kbps(name, way),
            guarantee_kbps=look.guarantee(name, way), ceiling_kbps=_ceiling(look.rates(name), way) or inf,
            links=look.passed(pipe, way))
        return self._status(name, way, gets.allotted_kbps, gets.demand_kbps, gets.bottleneck, set(gets.links))

    def _status(
        self, name: str, way: Way, allotted: float, demand: float, bottleneck: str, links: set[EndPoint]
    ) -> DirectionStatus:
        look = self._look
        usage = look.accounts.usage(name)
        delivered = (usage.inward if way == "in" else usage.outward).kbps
        if f"{name}/".startswith(f"{bottleneck}/"):
            # What those above drop is counted for them alone; and a meter that was changed since the last look has
            # forgotten what it dropped before.
            delivered = min(delivered, round(allotted))
        spare = [max(0, round(look.capacity(link) - look.carried(link)))
                 for link in links if look.capacity(link) != inf]
        return DirectionStatus(
            allotted_kbps=round(allotted), demand_kbps=round(demand),
            delivered_kbps=delivered,
            guarantee_kbps=round(look.guarantee(name, way)), ceiling_kbps=_ceiling(look.rates(name), way),
            dropped=look.accounts.drops(name, way), bottleneck=bottleneck, spare_kbps=min(spare, default=None))

    def _room(self, member: _Member) -> float:
        """What it could use beyond what it wants."""
        return min([member.ceiling_kbps - member.demand_kbps, *(
            (self._look.capacity_of(resource) - self._load[resource]) / part
            for resource, part in member.resources.items())])

    def _name(self, member: _Member, bottleneck: Hashable | None) -> str:
        """Of links the fullest: how a member's frames are spread over them is guessed, what they carry is counted."""
        what, look = "" if bottleneck is None else cast(Limit, bottleneck)[0], self._look
        if isinstance(what, str):
            return what
        return link_name(max(member.links, key=lambda link: look.carried(link) / look.capacity(link)))


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    """So many that whoever takes one at a time holds up nobody."""
    each = iter(items)
    while some := list(islice(each, BATCH)):
        yield some


def _ceiling(rates: Rates, way: Way) -> int:
    return rates.ceiling_in_kbps if way == "in" else rates.ceiling_out_kbps


def _weight(policy: BandwidthPolicy, rates: Rates, way: Way) -> float:
    guarantee = rates.guarantee_in_kbps if way == "in" else rates.guarantee_out_kbps
    return float(policy.weight or guarantee or 1)

