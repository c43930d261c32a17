"""What guarantees add up to: whose pool each one comes out of, and sums of them that hold at every time.

    tenant    ◄── its networks' pools; and of networks that have none, what is in them
    network   ◄── its ports, the pipes between them, and the pipes to other networks
    port      ◄── the pipes that end at it

A pipe takes from whoever both its ends are in, in both directions: what its one end sends, its other end receives.

Schedules make a guarantee a function of time.  To add such functions up exactly would take a sweep over all moments at
which one changes.  Here those of equal windows are added level by level, which is exact, and the sums of different
windows are taken at their highest, which errs on the side of what can be kept.

Knows policies; refuses to know who may have what (guarantees.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from immutables import Map

from controller.model.bandwidth import BandwidthPolicy, Interval, Rates, Recurring
from controller.model.ids import network_of
from controller.model.network import Pipe, Port

Direction: TypeAlias = Literal["in", "out"]
DIRECTIONS: tuple[Direction, Direction] = ("in", "out")
Whens: TypeAlias = tuple[Recurring | Interval, ...]
Levels: TypeAlias = tuple[int, ...]
"""kbit/s: outside all windows, then in each window"""


@dataclass(frozen=True, slots=True)
class Pledge:
    """One guarantee in one direction, at every time."""

    whens: Whens
    levels: Levels


@dataclass(frozen=True, slots=True)
class Sums:
    """Many of them.  Persistent; adding one more costs the same however many there are."""

    by_schedule: Map[Whens, Levels] = Map()
    """the sum of all that have these windows"""
    highest_kbps: int = 0
    """of each of those sums the highest level, all together"""

    def with_pledge(self, pledge: Pledge, *, sign: int) -> Sums:
        """One more (sign 1), or one that is in them less (-1)."""
        before = self.by_schedule.get(pledge.whens, (0,) * len(pledge.levels))
        levels = tuple(old + sign * level for old, level in zip(before, pledge.levels, strict=True))
        by_schedule = self.by_schedule
        by_schedule = by_schedule.set(pledge.whens, levels) if any(levels) else by_schedule.delete(pledge.whens)
        return Sums(by_schedule, self.highest_kbps - max(before) + max(levels))

    def at_most(self, whens: Whens) -> Levels:
        """What they come to at most: outside all of these windows, then in each of them."""
        same = self.by_schedule.get(whens, (0,) * (len(whens) + 1))
        others = self.highest_kbps - max(same)
        return tuple(level + others for level in same)


NO_SUMS = Sums()


def whens_of(policy: BandwidthPolicy) -> Whens:
    return tuple(window.when for window in policy.schedule)


def guarantees_of(policy: BandwidthPolicy, direction: Direction) -> Levels:
    if direction == "in":
        return tuple(rates.guarantee_in_kbps for rates in _stages(policy))
    return tuple(rates.guarantee_out_kbps for rates in _stages(policy))


def ceilings_of(policy: BandwidthPolicy, direction: Direction) -> Levels:
    if direction == "in":
        return tuple(rates.ceiling_in_kbps for rates in _stages(policy))
    return tuple(rates.ceiling_out_kbps for rates in _stages(policy))


def pledge_of(policy: BandwidthPolicy, direction: Direction) -> Pledge | None:
    """None: no guarantee at any time."""
    return _pledge(whens_of(policy), guarantees_of(policy, direction))


def pledges_of(obj: Port | Pipe) -> Iterator[tuple[str, Direction, Pledge]]:
    """What a port or pipe is guaranteed, for each whose pool or ceiling it comes out of: a network, a pipe's ends."""
    policy = obj.bandwidth
    if not policy.may_guarantee:
        return
    whens, in_, out = whens_of(policy), guarantees_of(policy, "in"), guarantees_of(policy, "out")
    wanted: list[tuple[str, Direction, Levels]]
    match obj:
        case Port(network=network):
            wanted = [(network, "in", in_), (network, "out", out)]
        case Pipe(a=a, b=b):
            wanted = [(a, "out", out), (a, "in", in_), (b, "in", out), (b, "out", in_)]
            if not obj.joins_networks:
                both = tuple(map(sum, zip(in_, out, strict=True)))
                wanted += [(network_of(a), "in", both), (network_of(a), "out", both)]
    for owner, direction, levels in wanted:
        if pledge := _pledge(whens, levels):
            yield owner, direction, pledge


def _stages(policy: BandwidthPolicy) -> Iterator[Rates]:
    yield policy.rates
    yield from (window.rates for window in policy.schedule)


def _pledge(whens: Whens, levels: Levels) -> Pledge | None:
    if not any(levels):
        return None
    # The same at all times needs no windows, and so adds up exactly with everything.
    return Pledge((), levels[:1]) if len(set(levels)) == 1 else Pledge(whens, levels)
