r"""Who may have how much bandwidth now: aggregates of traffic that share resources, kept up to date as they change.

    aggregates     a      b      c      d      e           a resource is anything with a capacity: a link, the
                   | \  / |      |      | \  /             ceiling of a tenant, a network or a port
    resources      |  L1  |     L2      |  L3
                   T1     T2            T4

Only what a change can reach is computed again: from the changed aggregates and resources over shared resources on, here
a never reaches d.  Most resources stop even that, for they could carry all that their aggregates will ever ask of them,
and so couple nobody: they are loose, the others tight.  The reach is found anew each time, from what is tight now, so
nothing has to be kept about components, and a removal that splits one is no special case.

    wanted of a resource   sum of fraction x the most that the aggregate could use, over who crosses it
    tight                  wanted >= capacity

Knows no switches and no policies; whoever asks decides what is an aggregate, and what to make of an allotment.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf, isfinite
from operator import attrgetter
from typing import Any, Generic, TypeVar

import numpy as np

from controller.model.bandwidth import TrafficClass
from controller.qos.classes import Requests, divide
from controller.qos.incidence import Floats, Incidence
from controller.qos.waterfill import NOTHING

K = TypeVar("K", bound=Hashable)

_RANK = {traffic_class: rank for rank, traffic_class in enumerate(TrafficClass)}
_SURELY_LOOSE = 1 - 1e-9
"""of its capacity.  To take a resource for tight that is not costs time only; the other way round would cost truth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """Traffic that is allotted bandwidth as one."""

    guarantee_kbps: float = 0.0
    demand_kbps: float = inf
    ceiling_kbps: float = inf
    weight: float = 1.0
    """of its part of what is spare"""
    traffic_class: TrafficClass = TrafficClass.STANDARD
    resources: Mapping[Hashable, float]
    """resource -> the fraction of its rate that crosses it"""

    def __post_init__(self) -> None:
        if not (0 <= self.guarantee_kbps < inf and self.demand_kbps >= 0 and self.ceiling_kbps >= 0):
            raise ValueError(f"{self}: rates must be at least 0, and the guarantee finite")
        if not 0 < self.weight < inf:
            raise ValueError(f"{self}: the weight must be above 0 and finite")
        if not all(0 <= fraction < inf for fraction in self.resources.values()):
            raise ValueError(f"{self}: fractions must be at least 0 and finite")

    @property
    def bound_kbps(self) -> float:
        """The most it would use."""
        return min(self.demand_kbps, self.ceiling_kbps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allotment:
    """What an aggregate may use.  Without a bottleneck that is all it asked for, or its ceiling."""

    rate_kbps: float
    bottleneck: Hashable | None
    """the full resource that holds it back: nobody of its class there has a higher level"""


@dataclass(slots=True, kw_only=True, eq=False)
class _Resource:
    name: Hashable
    capacity_kbps: float = inf
    members: set[_Member[Any]] = field(default_factory=set)
    wanted_bps: int = 0
    """an integer, so that adding and taking away forever leaves no trace"""
    tight: bool = False
    """when it was last looked at"""
    row: int = -1
    """in the arrays of the current solve"""

    @property
    def is_tight(self) -> bool:
        return isfinite(self.capacity_kbps) and self.wanted_bps >= self.capacity_kbps * 1_000 * _SURELY_LOOSE


@dataclass(slots=True, kw_only=True, eq=False)
class _Member(Generic[K]):
    key: K
    serial: int
    aggregate: Aggregate
    crossings: tuple[tuple[_Resource, float], ...]
    wants_bps: tuple[int, ...] = ()
    """what it adds to `wanted_bps` of each of them"""
    allotment: Allotment | None = None

    def wish(self) -> None:
        """Tell its resources what it could use of them at most."""
        reach = min((r.capacity_kbps / fraction for r, fraction in self.crossings), default=inf)
        reach = min(reach, self.aggregate.bound_kbps)
        self.withdraw()
        if isfinite(reach):  # else all its resources are unlimited
            self.wants_bps = tuple([ceil(reach * fraction * 1_000) for _, fraction in self.crossings])
            for (resource, _), wants in zip(self.crossings, self.wants_bps, strict=True):
                resource.wanted_bps += wants

    def withdraw(self) -> None:
        for (resource, _), wants in zip(self.crossings, self.wants_bps, strict=False):
            resource.wanted_bps -= wants
        self.wants_bps = ()


class Allocator(Generic[K]):
    """Keeps the allotments of all aggregates.  Changes are collected, and count from the next `solve` on."""

    def __init__(self) -> None:
        self._members: dict[K, _Member[K]] = {}
        self._resources: dict[Hashable, _Resource] = {}
        self._changed: set[_Member[K]] = set()
        self._shaken: set[_Resource] = set()
        """whose capacity or members changed"""
        self._serial = 0

    def put(self, key: K, aggregate: Aggregate | None) -> None:
        """Add or change an aggregate; None removes it.  To put what is there already costs nothing."""
        known = self._members.get(key)
        if (known.aggregate if known else None) == aggregate:
            return
        if known and aggregate and known.aggregate.resources == aggregate.resources:
            known.aggregate = aggregate
            self._changed.add(known)
            return
        allotment = self._remove(self._members.pop(key)) if known else None
        if aggregate:
            self._add(key, aggregate, allotment)

    def set_capacity(self, resource: Hashable, kbps: float | None) -> None:
        """What a resource can carry, at least 0; None: any amount, which is also what holds for those never set."""
        capacity = inf if kbps is None else float(kbps)
        if not capacity >= 0:
            raise ValueError(f"capacity of {resource}: {kbps} kbit/s; must be at least 0")
        if (known := self._resources.get(resource)) is None:
            known = self._resources[resource] = _Resource(name=resource)
        if known.capacity_kbps != capacity:
            known.capacity_kbps = capacity
            self._shaken.add(known)
        self._forget_unused(known)

    def solve(self) -> dict[K, Allotment]:
        """The allotments that are not what they were at the last call; those removed since are not among them."""
        touched = self._reach(self._take_changes())
        tight, incidence, capacity, requests = _problem(touched)
        filling = divide(incidence, capacity, requests)
        changed: dict[K, Allotment] = {}
        for member, rate, row in zip(touched, filling.rate.tolist(), filling.bottleneck.tolist(), strict=True):
            bottleneck = None if row == NOTHING else tight[row].name
            was = member.allotment
            if was is None or was.rate_kbps != rate or was.bottleneck != bottleneck:
                member.allotment = changed[member.key] = Allotment(rate_kbps=rate, bottleneck=bottleneck)
        return changed

    def allotment(self, key: K) -> Allotment:
        """As of the last `solve`.  KeyError for an aggregate that is not there, or was put later."""
        if (allotment := self._members[key].allotment) is None:
            raise KeyError(key)
        return allotment

    def _add(self, key: K, aggregate: Aggregate, allotment: Allotment | None) -> None:
        crossings = []
        for name, fraction in aggregate.resources.items():
            if fraction:
                if (resource := self._resources.get(name)) is None:
                    resource = self._resources[name] = _Resource(name=name)
                crossings.append((resource, fraction))
        self._serial += 1
        member = _Member(
            key=key, serial=self._serial, aggregate=aggregate, crossings=tuple(crossings), allotment=allotment
        )
        for resource, _ in crossings:
            resource.members.add(member)
        self._members[key] = member
        self._changed.add(member)

    def _remove(self, member: _Member[K]) -> Allotment | None:
        member.withdraw()
        self._changed.discard(member)
        for resource, _ in member.crossings:
            resource.members.discard(member)
            self._shaken.add(resource)
            self._forget_unused(resource)
        return member.allotment

    def _forget_unused(self, resource: _Resource) -> None:
        if not resource.members and resource.capacity_kbps == inf:
            self._shaken.discard(resource)
            self._resources.pop(resource.name, None)

    def _take_changes(self) -> set[_Member[K]]:
        """Where to look again: what changed, and everyone on a resource that changed and was or is tight."""
        rewished = self._changed.union(*(resource.members for resource in self._shaken))
        shaken = self._shaken.union(resource for member in rewished for resource, _ in member.crossings)
        for member in rewished:
            member.wish()
        seeds = self._changed
        for resource in shaken:
            was, resource.tight = resource.tight, resource.is_tight
            if was or resource.tight:
                seeds |= resource.members
        self._changed, self._shaken = set(), set()
        return seeds

    def _reach(self, seeds: set[_Member[K]]) -> list[_Member[K]]:
        """Everyone whom the seeds reach over tight resources, in an order that does not depend on what is asked."""
        reached, seen, ahead = set(seeds), set[_Resource](), seeds
        while ahead:
            beyond = {r for member in ahead for r, _ in member.crossings if r.tight} - seen
            seen |= beyond
            ahead = set().union(*(resource.members for resource in beyond)) - reached
            reached |= ahead
        return sorted(reached, key=attrgetter("serial"))

def _problem(members: Sequence[_Member[Any]]) -> tuple[list[_Resource], Incidence, Floats, Requests]:
    """The members and the tight resources that they cross, as arrays."""
    tight = list(dict.fromkeys(r for member in members for r, _ in member.crossings if r.tight))
    for row, resource in enumerate(tight):
        resource.row = row
    crossings = [(at, r.row, part) for at, m in enumerate(members) for r, part in m.crossings if r.tight]
    at, over, fraction = zip(*crossings, strict=True) if crossings else ((), (), ())
    incidence = Incidence(
        n_aggregates=len(members), n_resources=len(tight),
        aggregate=np.array(at, np.int64), resource=np.array(over, np.int64), fraction=np.array(fraction, np.float64),
    )
    asked = [member.aggregate for member in members]
    requests = Requests(
        guarantee=np.array([each.guarantee_kbps for each in asked], np.float64),
        bound=np.array([each.bound_kbps for each in asked], np.float64),
        weight=np.array([each.weight for each in asked], np.float64),
        rank=np.array([_RANK[each.traffic_class] for each in asked], np.int64),
    )
    return tight, incidence, np.array([resource.capacity_kbps for resource in tight], np.float64), requests
