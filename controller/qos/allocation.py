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

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import ceil, inf, isfinite
from operator import attrgetter, truediv
from typing import Any, Generic, TypeVar

import numpy as np

from controller.model.bandwidth import TrafficClass
from controller.qos.classes import Requests, divide
from controller.qos.incidence import Floats, Incidence
from controller.qos.waterfill import NOTHING

K = TypeVar("K", bound=Hashable)

_RANK = {traffic_class: rank for rank, traffic_class in enumerate(TrafficClass)}
_UNITS = 1 << 20
"""in which fractions are counted"""
_SURELY_LOOSE = 1 - 1e-9
"""of its capacity.  To take a resource for tight that is not costs time only; the other way round would cost truth."""
_NO_ROW = -1


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
    wanted: int = 0
    """in bit/s / _UNITS; an integer, so that adding and taking away for years leaves no trace"""
    tight: bool = False
    """when it was last looked at"""
    row: int = _NO_ROW
    """in the arrays of the current solve"""

    @property
    def is_tight(self) -> bool:
        return isfinite(self.capacity_kbps) and self.wanted >= self.capacity_kbps * 1_000 * _UNITS * _SURELY_LOOSE


@dataclass(slots=True, kw_only=True, eq=False)
class _Member(Generic[K]):
    key: K
    serial: int
    aggregate: Aggregate
    resources: tuple[_Resource, ...]
    fractions: tuple[float, ...]
    """of its rate that cross each of them"""
    units: tuple[int, ...]
    """the same as integers, rounded up"""
    most_bps: int = 0
    """what its resources count it with: the most that it could use"""
    allotment: Allotment | None = None

    def find_most(self) -> None:
        """Look again what it could use, and tell its resources."""
        through = map(truediv, [resource.capacity_kbps for resource in self.resources], self.fractions)
        most = min(through, default=inf)
        most = min(most, self.aggregate.bound_kbps)
        self.count_with(ceil(most * 1_000) if most < inf else 0)  # infinite: then all its resources are unlimited

    def count_with(self, bps: int) -> None:
        if more := bps - self.most_bps:
            self.most_bps = bps
            for resource, units in zip(self.resources, self.units, strict=True):
                resource.wanted += more * units


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
        touched, tight = self._reach(self._take_changes())
        filling = divide(*_problem(touched, tight))
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
        crossed = {name: fraction for name, fraction in aggregate.resources.items() if fraction}
        for name in crossed:
            if name not in self._resources:
                self._resources[name] = _Resource(name=name)
        self._serial += 1
        member = self._members[key] = _Member(
            key=key, serial=self._serial, aggregate=aggregate, allotment=allotment,
            resources=tuple([self._resources[name] for name in crossed]), fractions=tuple(crossed.values()),
            units=tuple([ceil(fraction * _UNITS) for fraction in crossed.values()]),
        )
        for resource in member.resources:
            resource.members.add(member)
        self._changed.add(member)

    def _remove(self, member: _Member[K]) -> Allotment | None:
        member.count_with(0)
        self._changed.discard(member)
        for resource in member.resources:
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
        recounted = self._changed.union(*(resource.members for resource in self._shaken))
        for member in recounted:
            member.find_most()
        seeds = self._changed
        for resource in self._shaken.union(*map(_resources, recounted)):
            was, resource.tight = resource.tight, resource.is_tight
            if was or resource.tight:
                seeds |= resource.members
        self._changed, self._shaken = set(), set()
        return seeds

    def _reach(self, seeds: set[_Member[K]]) -> tuple[list[_Member[K]], list[_Resource]]:
        """Everyone whom the seeds reach over tight resources, in an order of their own, and these resources."""
        reached, seen, ahead = set(seeds), set[_Resource](), seeds
        while ahead:
            beyond = {resource for resource in set().union(*map(_resources, ahead)) - seen if resource.tight}
            seen |= beyond
            ahead = set().union(*(resource.members for resource in beyond)) - reached
            reached |= ahead
        return sorted(reached, key=attrgetter("serial")), list(seen)


_resources: Callable[[_Member[Any]], tuple[_Resource, ...]] = attrgetter("resources")


def _problem(members: Sequence[_Member[Any]], tight: Sequence[_Resource]) -> tuple[Incidence, Floats, Requests]:
    """The members and the tight resources that they cross, as arrays."""
    for row, resource in enumerate(tight):
        resource.row = row
    over = np.fromiter(map(attrgetter("row"), chain.from_iterable(map(_resources, members))), np.int64)
    for resource in tight:
        resource.row = _NO_ROW
    at = np.repeat(np.arange(len(members)), [len(member.resources) for member in members])
    fraction = np.fromiter(chain.from_iterable(member.fractions for member in members), np.float64, len(over))
    crosses = over != _NO_ROW
    incidence = Incidence(
        n_aggregates=len(members), n_resources=len(tight),
        aggregate=at[crosses], resource=over[crosses], fraction=fraction[crosses],
    )
    asked = [member.aggregate for member in members]
    requests = Requests(
        guarantee=np.array([each.guarantee_kbps for each in asked], np.float64),
        bound=np.array([each.bound_kbps for each in asked], np.float64),
        weight=np.array([each.weight for each in asked], np.float64),
        rank=np.array([_RANK[each.traffic_class] for each in asked], np.int64),
    )
    return incidence, np.array([resource.capacity_kbps for resource in tight], np.float64), requests
