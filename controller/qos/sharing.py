"""One ceiling that holds over several edge switches: which share each of them holds, so that the sum is never above it.

    look       what an edge offered and dropped              ─► its demand (demand.py)
    aim        what each should hold, from what it was allotted  ─► mostly nothing: small moves are not worth a refill
    step       the shares to tell now, the lower ones first  ─► told, and counted with the higher of old and new
    confirm    the switch holds it                           ─► the next step, which gives what was freed to others

    edge       told        may be in force        counts
    A          20          60 or 20               60      until A confirms
    B          40          40                     40      so B may not grow yet

A switch out of reach goes on with what it held, so that counts; only if it is cut off from the network, too, it is
taken to be gone after a while, and is told the floor when it is back.  There is always room for one edge more, which
holds little before it is told anything.  On one edge alone there is nothing to share: it holds the whole ceiling.

Pure: the time comes as an argument, shares go out as values.  Knows no tenant, and not how a switch is told.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

from controller.model.bandwidth import DEFAULT_BURST_MS, entry_kbps
from controller.qos import demand
from controller.qos.fills import WINDOW_S, Fills, most_kbps
from controller.qos.steps import next_step

PERIOD_S = 0.5
"""T: how often it is looked and aimed"""
MODIFY_S = 2 * PERIOD_S
"""A meter is modified at most so often, for each time fills its bucket again."""
AWAY_S = 10 * PERIOD_S
"""How long a switch is waited for that is out of reach and cut off."""
HYSTERESIS = 0.05
"""Less than that is not worth a move; nor, until nobody moved for a while, what gains less than the filled bucket."""
GUARANTEE_SLACK = 0.01
"""Nobody misses more of what is guaranteed to it for that."""
FLOOR_KBPS, FLOOR_SHARE = 64, 0.01
"""What every edge holds at least, so that whoever begins to send is noticed: the higher, where there is room."""


def floor_kbps(ceiling_kbps: int, n_edges: int, guarantee_kbps: float) -> int:
    """What each of so many edges holds at least.  All that together is guaranteed is not held back by it."""
    floor = max(FLOOR_KBPS, round(FLOOR_SHARE * ceiling_kbps))
    return max(1, min(floor, ceiling_kbps // (2 * max(1, n_edges)), _aside_kbps(ceiling_kbps, n_edges, guarantee_kbps)))


def idle_kbps(ceiling_kbps: int, n_edges: int, guarantee_kbps: float) -> float:
    """What an edge is taken to want that is silent: the same."""
    aside = _aside_kbps(ceiling_kbps, n_edges, guarantee_kbps)
    return max(floor_kbps(ceiling_kbps, n_edges, guarantee_kbps), min(demand.least_kbps(ceiling_kbps), aside))


def _aside_kbps(ceiling_kbps: int, n_edges: int, guarantee_kbps: float) -> int:
    """An edge's part of what may be kept for silent ones: half of what the ceiling is above the guarantee."""
    return max(entry_kbps(ceiling_kbps), int((ceiling_kbps - guarantee_kbps) / (2 * max(1, n_edges))))


def shared_kbps(ceiling_kbps: int, n_edges: int, guarantee_kbps: float, burst_ms: int = DEFAULT_BURST_MS) -> int:
    """What is shared out among so many: all but what one edge more would hold, and what buckets let pass (fills.py)."""
    if n_edges == 1:
        return ceiling_kbps
    return min(ceiling_kbps - entry_kbps(ceiling_kbps), most_kbps(ceiling_kbps, burst_ms, guarantee_kbps))


class Request(NamedTuple):
    guarantee_kbps: float
    demand_kbps: float
    weight: float


@dataclass(slots=True)
class _Edge:
    told_kbps: int
    held_kbps: int
    """what it may hold instead of what it was told; the same once that is confirmed"""
    demand_kbps: float
    weight: float = 1.0
    promised_kbps: float = 0.0
    """what ports there are guaranteed"""
    told_s: float = float("-inf")
    away_since_s: float | None = None
    is_gone: bool = False

    @property
    def is_away(self) -> bool:
        return self.away_since_s is not None

    @property
    def most_kbps(self) -> int:
        """What may be in force."""
        return max(self.told_kbps, self.held_kbps)

    @property
    def is_pending(self) -> bool:
        return self.held_kbps != self.told_kbps and not self.is_away

    def note_reach(self, now_s: float, *, is_reachable: bool, is_linked: bool) -> None:
        if is_reachable:
            self.away_since_s, self.is_gone = None, False
            return
        self.away_since_s = now_s if self.away_since_s is None else self.away_since_s
        self.is_gone = not is_linked and now_s >= self.away_since_s + AWAY_S
        if self.is_gone:
            self.demand_kbps = 0.0


class Sharing:
    """One direction of one ceiling.  Belongs to one thread."""

    def __init__(
        self, ceiling_kbps: int, held: Mapping[int, int] | None = None, *, burst_ms: int = DEFAULT_BURST_MS,
    ) -> None:
        """`held`: what was told before a restart.  Nobody knows what of it was confirmed, only that at every moment the
        ceiling was kept: so each may still hold all that it leaves to one edge, if the others hold what they were told.
        """
        self.ceiling_kbps = ceiling_kbps
        self.burst_ms = burst_ms
        """how long a share's bucket lasts"""
        self._guarantee_kbps = 0.0
        held = held or {}
        total = sum(held.values())
        most = max(ceiling_kbps, total) - total
        self._edges = {dpid: _Edge(kbps, kbps + most, float(kbps)) for dpid, kbps in held.items()}
        self._leaving: dict[int, _Edge] = {}
        """where its share may still be in force, though nothing of it is there any more"""
        self._wanted: dict[int, int] = {}
        self._fills = Fills()

    # -- answers

    @property
    def edges(self) -> tuple[int, ...]:
        return tuple(self._edges)

    @property
    def leaving(self) -> tuple[int, ...]:
        return tuple(self._leaving)

    @property
    def is_alone(self) -> bool:
        return len(self._edges) == 1

    @property
    def total_kbps(self) -> int:
        """What is shared out."""
        return shared_kbps(self.ceiling_kbps, len(self._edges), self._guarantee_kbps, self.burst_ms)

    @property
    def floor_kbps(self) -> int:
        return floor_kbps(self.ceiling_kbps, len(self._edges), self._guarantee_kbps)

    @property
    def in_force_kbps(self) -> int:
        """The most that all switches together may let pass, those apart that are taken to be gone."""
        return sum(self._may_hold().values()) + self._leaving_kbps

    def told_kbps(self, dpid: int) -> int:
        return self._edges[dpid].told_kbps

    def request(self, dpid: int) -> Request:
        """What to ask for it when the ceiling is allotted."""
        edge = self._edges[dpid]
        if edge.is_gone:
            return Request(self.floor_kbps, self.floor_kbps, edge.weight)
        if edge.is_away:
            return Request(edge.most_kbps, edge.most_kbps, edge.weight)
        guarantee, wanted = max(self.floor_kbps, min(edge.promised_kbps, self.ceiling_kbps)), edge.demand_kbps
        if wanted <= demand.least_kbps(self.ceiling_kbps):
            wanted = idle_kbps(self.ceiling_kbps, len(self._edges), self._guarantee_kbps)
        return Request(guarantee, max(self.floor_kbps, wanted), edge.weight)

    def unconfirmed(self) -> dict[int, int]:
        """What was told and is not confirmed yet, by switches that can be reached."""
        return {dpid: edge.told_kbps for dpid, edge in self._edges.items() if edge.is_pending}

    # -- what happened

    def set_ceiling(self, kbps: int, burst_ms: int = DEFAULT_BURST_MS) -> None:
        """Whoever is alone has the new one at once: it is told no share."""
        self.burst_ms = burst_ms
        for edge in self._edges.values() if self.is_alone else ():
            if edge.told_kbps == self.ceiling_kbps:
                edge.told_kbps = edge.held_kbps = kbps
        self.ceiling_kbps = kbps

    def told_by_others(self, now_s: float, told: Mapping[int, int]) -> None:
        """What edges were told in the same step in which the ceiling became another one; not yet confirmed."""
        for dpid, kbps in told.items():
            if (edge := self._edges.get(dpid)) is not None and edge.told_kbps != kbps:
                self._tell(edge, kbps, now_s)

    def promise(self, kbps: float, at: Mapping[int, float]) -> None:
        """What is guaranteed to all together, and to the ports on each edge."""
        self._guarantee_kbps = min(float(self.ceiling_kbps), max(kbps, sum(at.values())))
        for dpid, edge in self._edges.items():
            edge.promised_kbps = at.get(dpid, 0.0)

    def place(self, now_s: float, weights: Mapping[int, float], reachable: Set[int], linked: Set[int]) -> None:
        """Where it is present now, how much of it (its ports there), which switches can be reached, and which have a
        link, so that they may carry something in any case.
        """
        for dpid in [dpid for dpid in self._edges if dpid not in weights]:
            self._leaving[dpid] = self._edges.pop(dpid)
        for dpid, weight in weights.items():
            if dpid not in self._edges:
                told, before = entry_kbps(self.ceiling_kbps), self._leaving.pop(dpid, None)
                held = max(told, before.most_kbps) if before is not None else told
                self._edges[dpid] = _Edge(told, held, demand.least_kbps(self.ceiling_kbps))
            self._edges[dpid].weight = weight
        for dpid, edge in itertools.chain(self._edges.items(), self._leaving.items()):
            edge.note_reach(now_s, is_reachable=dpid in reachable, is_linked=dpid in linked)

    def look(self, dpid: int, rate_kbps: float, dropped_kbps: float) -> None:
        """What the edge offered lately, and what of it its share dropped."""
        if (edge := self._edges.get(dpid)) is not None:
            edge.demand_kbps = demand.estimate(
                edge.demand_kbps, rate_kbps, dropped_kbps, edge.told_kbps, self.ceiling_kbps)

    def confirm(self, dpid: int, kbps: int) -> None:
        """The switch holds this share; the answer to an older one says nothing."""
        edge = self._edges.get(dpid)
        if edge is not None and edge.told_kbps == kbps:
            edge.held_kbps = kbps

    def left(self, dpid: int) -> None:
        """The switch confirmed that nothing of it is in force there."""
        self._leaving.pop(dpid, None)

    # -- what follows

    def aim(self, now_s: float, allotted: Mapping[int, float]) -> None:
        """What each edge should hold, by what it was allotted of the ceiling; what is left over is shared out, too.

        As long as everybody has what it was allotted, nobody is told anything.
        """
        told = {dpid: edge.told_kbps for dpid, edge in self._edges.items()}
        if sum(told.values()) <= self.total_kbps and all(
            allotted.get(dpid, 0.0) <= kbps or self._is_near(now_s, dpid, allotted[dpid]) for dpid, kbps in told.items()
        ):
            self._wanted = told
            return
        over = max(0.0, self.total_kbps - sum(allotted.values()))
        weights = sum(edge.weight for edge in self._edges.values() if not edge.is_away) or 1.0
        target = {}
        for dpid, edge in self._edges.items():
            more = 0.0 if edge.is_away else over * edge.weight / weights
            target[dpid] = max(self.floor_kbps, int(allotted.get(dpid, 0.0) + more))
        self._wanted = self._calm(now_s, self._within(target))

    def step(self, now_s: float) -> dict[int, int]:
        """The shares to tell the switches now; they count as told."""
        may_hold = self._may_hold()
        wanted = {dpid: edge.told_kbps if edge.is_away else self._wanted.get(dpid, edge.told_kbps)
                  for dpid, edge in self._edges.items()}
        step = next_step(may_hold, wanted, self.total_kbps - self._leaving_kbps)
        falls = {dpid: kbps for dpid, kbps in step.items() if kbps < may_hold[dpid]}
        if any(edge.is_pending or (dpid in falls and not edge.is_away) for dpid, edge in self._edges.items()):
            step = falls  # what is about to be freed is given out in one part, for each part fills a bucket
        step = self._affordable(now_s, step, may_hold)
        step |= {dpid: self.floor_kbps for dpid, edge in self._edges.items() if edge.is_gone}
        step = {dpid: kbps for dpid, kbps in step.items() if kbps != self._edges[dpid].told_kbps}
        for dpid, kbps in step.items():
            self._tell(self._edges[dpid], kbps, now_s)
        return step

    # -- inside

    def _tell(self, edge: _Edge, kbps: int, now_s: float) -> None:
        edge.held_kbps, edge.told_kbps, edge.told_s = max(edge.held_kbps, edge.told_kbps), kbps, now_s
        self._fills.note(now_s, kbps, self.burst_ms)

    def _affordable(self, now_s: float, step: dict[int, int], may_hold: Mapping[int, int]) -> dict[int, int]:
        """The same, with no more growth than the buckets leave room for that it fills, and that were filled lately.

        Below what is guaranteed everybody grows at once.
        """
        grows = {dpid: kbps - may_hold[dpid] for dpid, kbps in step.items() if kbps > may_hold[dpid]}
        if not grows or self.is_alone:
            return step
        part = self._fills.affordable(
            now_s, self.ceiling_kbps, self._guarantee_kbps, self.burst_ms,
            held_kbps=sum(may_hold.values()) + self._leaving_kbps, grow_kbps=sum(may_hold[dpid] for dpid in grows),
            more_kbps=sum(grows.values()))
        if part == 1:
            return step
        afforded = {dpid: kbps for dpid, kbps in step.items() if dpid not in grows}
        for dpid, grown in grows.items():
            kbps = max(may_hold[dpid] + int(part * grown), min(step[dpid], int(self._edges[dpid].promised_kbps)))
            if not self._is_near(now_s, dpid, kbps):
                afforded[dpid] = kbps
        return afforded

    def _may_hold(self) -> dict[int, int]:
        return {dpid: self.floor_kbps if edge.is_gone else edge.most_kbps for dpid, edge in self._edges.items()}

    @property
    def _leaving_kbps(self) -> int:
        return sum(edge.most_kbps for edge in self._leaving.values() if not edge.is_gone)

    def _within(self, target: dict[int, int]) -> dict[int, int]:
        """Floors may have lifted the sum above the total: whoever has more than the floor gives in proportion."""
        floor = self.floor_kbps
        excess, spare = sum(target.values()) - self.total_kbps, sum(kbps - floor for kbps in target.values())
        if excess <= 0 or spare <= 0:
            return target
        return {dpid: kbps - -(-excess * (kbps - floor) // spare) for dpid, kbps in target.items()}

    def _calm(self, now_s: float, target: dict[int, int]) -> dict[int, int]:
        """Keep what is nearly right, or was changed a moment ago, as far as the sum allows."""
        told = {dpid: self._edges[dpid].told_kbps for dpid in target}
        calm = {dpid: told[dpid] if now_s < self._edges[dpid].told_s + MODIFY_S or self._is_near(now_s, dpid, kbps)
                else kbps for dpid, kbps in target.items()}
        growth = {dpid: kbps - told[dpid] for dpid, kbps in calm.items() if kbps > told[dpid]}
        excess, more = sum(calm.values()) - self.total_kbps, sum(growth.values())
        if excess > more:
            return target  # the ceiling was lowered
        for dpid, grows in growth.items() if excess > 0 else ():
            kbps = calm[dpid] - -(-excess * grows // more)
            calm[dpid] = told[dpid] if self._is_near(now_s, dpid, kbps) else kbps
        return calm

    def _is_near(self, now_s: float, dpid: int, kbps: float) -> bool:
        """What the edge was told is as good as this, or not worth a move now."""
        edge = self._edges[dpid]
        if edge.told_kbps < (1 - GUARANTEE_SLACK) * min(kbps, edge.promised_kbps):
            return False
        small = HYSTERESIS if self._fills.is_calm(now_s) else max(HYSTERESIS, self.burst_ms / 1_000 / WINDOW_S)
        return abs(kbps - edge.told_kbps) <= small * edge.told_kbps
