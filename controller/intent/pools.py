"""Pools of small integers: which pools there are, which number is given next, and which must rest first.

Knows ranges of numbers.  Refuses to know who holds them (keys.py does).

    pool (scope/name)             values         held by
    fabric/tenants                1..16383       tenant          told by it on a switch, not between switches
    fabric/slices                 1..16383       network         begins its key, and those of its ports
    fabric/edges                  1..0x77F       switch with attached ports (from the first attachment to the last)
    fabric/pipes                  1..15000       pipe            names its meters
    fabric/queues                 1..30000       tenant, network, pipe; port with a guarantee: model/queues.py
    slice-{s}/ports-{dpid}        1..1023        attached port   port key = slice << 10 | value; 0 is the network's
    switch-{dpid}/slots           1024..50000    attached port; tenant and network present; meter id = slot * 4 + kind

            cursor: the search goes on after the number given last, so a number comes back as late as possible
            v
    u u . u u . . r . u . .      u in use    r resting (quarantine)    . free

Resting numbers stand in a queue in the order of freeing.  Its head has the oldest generation, so finding what has
rested enough looks at the head alone: O(1) per edit.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import NamedTuple

from immutables import Map

from controller.model.ids import format_dpid
from controller.model.queues import MAX_QUEUE_ID

INDEX_BITS = 10
"""How many bits of a key number the ports of a network on one edge."""
INDEX_MASK = (1 << INDEX_BITS) - 1
RANGES = {
    "tenants": (1, 16_383),
    "slices": (1, 16_383),
    "edges": (1, 0x77F),
    "pipes": (1, 15_000),
    "queues": (1, MAX_QUEUE_ID),
    "ports": (1, INDEX_MASK),
    "slots": (1_024, 50_000),
}
"""First and last number of each kind of pool."""
RELEASES_PER_EDIT = 4
"""Numbers let out of quarantine per edit: above 1, so that it shrinks; few, so that no edit pays for a mass delete."""


class Exhausted(Exception):
    """Nothing left to give: `in_use` numbers are held and `resting` ones are in quarantine."""

    def __init__(self, in_use: int, resting: int) -> None:
        super().__init__(f"{in_use} in use, {resting} resting")
        self.in_use = in_use
        self.resting = resting


class Resting(NamedTuple):
    value: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A persistent pool of first..last.  `taken` holds the numbers in use and those resting."""

    first: int
    last: int
    cursor: int = -1
    """the number given last; -1 before the first"""
    taken: Map[int, None] = Map()
    resting: Map[int, Resting] = Map()
    """position in the queue -> number; positions head .. tail - 1"""
    head: int = 0
    tail: int = 0

    @property
    def in_use(self) -> int:
        return len(self.taken) - len(self.resting)

    def allocate(self, floor: int) -> tuple[Pool, int]:
        """The pool without its next number, and that number.  Exhausted if every number is in use or resting."""
        pool = self.release(floor)
        if len(pool.taken) > pool.last - pool.first:
            raise Exhausted(pool.in_use, len(pool.resting))
        value = max(pool.cursor, pool.first - 1)
        while True:
            value = value + 1 if value < pool.last else pool.first
            if value not in pool.taken:
                return replace(pool, cursor=value, taken=pool.taken.set(value, None)), value

    def free(self, value: int, generation: int) -> Pool:
        """The pool with `value` resting until the floor reaches `generation`."""
        if value not in self.taken:
            raise KeyError(value)
        return replace(self, resting=self.resting.set(self.tail, Resting(value, generation)), tail=self.tail + 1)

    def release(self, floor: int) -> Pool:
        """The pool with up to RELEASES_PER_EDIT numbers free again whose generation the floor has reached."""
        head, taken, resting = self.head, self.taken, self.resting
        while head < min(self.tail, self.head + RELEASES_PER_EDIT) and resting[head].generation <= floor:
            taken = taken.delete(resting[head].value)
            resting = resting.delete(head)
            head += 1
        if head == self.head:
            return self
        tail = self.tail
        if head == tail:
            head = tail = 0
        return replace(self, head=head, tail=tail, taken=taken, resting=resting)


class PoolId(NamedTuple):
    """`scope` is what the numbers are unique within; pools of one scope can be dropped together."""

    scope: str
    name: str

    @staticmethod
    def parse(text: str) -> PoolId:
        scope, _, name = text.partition("/")
        return PoolId(scope, name)

    def __str__(self) -> str:
        return f"{self.scope}/{self.name}"


TENANTS = PoolId("fabric", "tenants")
SLICES = PoolId("fabric", "slices")
EDGES = PoolId("fabric", "edges")
PIPES = PoolId("fabric", "pipes")
QUEUES = PoolId("fabric", "queues")


def scope_of(slice_: int) -> str:
    return f"slice-{slice_}"


def ports_in(slice_: int, dpid: int) -> PoolId:
    return PoolId(scope_of(slice_), f"ports-{format_dpid(dpid)}")


def slots_on(dpid: int) -> PoolId:
    return PoolId(f"switch-{format_dpid(dpid)}", "slots")


def _fresh_pool(pool_id: PoolId) -> Pool:
    """The pool before its first use."""
    first, last = RANGES[pool_id.name.partition("-")[0]]
    return Pool(first=first, last=last)


@dataclass(frozen=True, slots=True)
class Pools:
    """All pools that were ever used, by scope and name."""

    scopes: Map[str, Map[str, Pool]] = Map()

    def get(self, pool_id: PoolId) -> Pool:
        """The pool as it stands, or as it is before its first use."""
        return self.in_scope(pool_id.scope).get(pool_id.name) or _fresh_pool(pool_id)

    def put(self, pool_id: PoolId, pool: Pool) -> Pools:
        return Pools(self.scopes.set(pool_id.scope, self.in_scope(pool_id.scope).set(pool_id.name, pool)))

    def in_scope(self, scope: str) -> Map[str, Pool]:
        return self.scopes.get(scope, Map[str, Pool]())

    def drop(self, scope: str) -> Pools:
        """Without the pools of a scope that itself is out of use."""
        return Pools(self.scopes.delete(scope)) if scope in self.scopes else self


NO_POOLS = Pools()


class PoolLoader:
    """Puts pools together from what was recorded of them, in any order."""

    def __init__(self) -> None:
        self._taken: defaultdict[PoolId, dict[int, None]] = defaultdict(dict)
        self._resting: defaultdict[PoolId, dict[int, Resting]] = defaultdict(dict)
        self._cursors: dict[PoolId, int] = {}

    def take(self, pool_id: PoolId, value: int) -> None:
        self._taken[pool_id][value] = None

    def rest(self, pool_id: PoolId, position: int, resting: Resting) -> None:
        self._resting[pool_id][position] = resting
        self.take(pool_id, resting.value)

    def point(self, pool_id: PoolId, cursor: int) -> None:
        self._cursors[pool_id] = cursor

    def result(self) -> Pools:
        scopes: defaultdict[str, dict[str, Pool]] = defaultdict(dict)
        for pool_id in {**self._cursors, **self._taken}:
            taken, resting = self._taken[pool_id], self._resting[pool_id]
            cursor = self._cursors.get(pool_id, max(taken, default=-1))
            scopes[pool_id.scope][pool_id.name] = replace(
                _fresh_pool(pool_id), cursor=cursor, taken=Map(taken), resting=Map(resting),
                head=min(resting, default=0), tail=max(resting, default=-1) + 1,
            )
        return Pools(Map({scope: Map(pools) for scope, pools in scopes.items()}))
