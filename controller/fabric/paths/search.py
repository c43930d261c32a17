"""The searches on which everything about a single path rests.

`straight` only follows hops that lead nearer, and mostly that is all there is to do: no queue, and no look at a link
that does not lie at its way.
`cheapest` is A*: a distance row is the estimate, so it goes astray only as far as the best paths are closed to it.
`cheapest_within` is label setting for what can not be added to the weight: bounds on latency and hops, and parts that
the path has to pass.  A label is dropped if another at the same switch is no worse in any respect.  With parts to pass
the best walk may meet a switch twice; then it is searched again with the switches met as one more respect, which is
exact, too, but may take exponentially many labels, so their number is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

Out = Sequence[Sequence[tuple[int, int]]]
"""switch -> its (link, head)s"""

MAX_LABELS = 200_000
_WIDEST = 1 << 63
"""wider than any link"""


class TooManyLabels(Exception):
    """The search was given up: whether there is such a path is not known."""


def straight(
    out: Out,
    weight: Sequence[float],
    toward: Sequence[float],
    src: int,
    dst: int,
    *,
    width: Sequence[int],
    floor: int,
) -> list[int] | None:
    """The links of a path that is as short as can be, not narrower than floor, and as wide as any that is as short.

    None if that is not so plain: whether there is another path, or a narrower one, it does not say.  `toward`: exactly
    the least weight from each switch to dst, which each link adds to.
    """
    rest = toward[src]
    if rest == float("inf"):
        return None
    widest = floor - 1
    for x, head in out[src]:  # no best path is wider than the widest link that begins one
        if width[x] > widest and weight[x] + toward[head] == rest:
            widest = width[x]
    if widest < floor:
        return None
    links: list[int] = []
    came: list[tuple[Iterator[tuple[int, int]], int, float]] = []
    dead: set[int] = set()
    at, exits = src, iter(out[src])
    while at != dst:
        for x, head in exits:
            ahead = toward[head]
            if weight[x] + ahead == rest and width[x] >= widest and head not in dead:
                came.append((exits, at, rest))
                links.append(x)
                at, rest, exits = head, ahead, iter(out[head])
                break
        else:
            if not came:
                return None
            dead.add(at)
            exits, at, rest = came.pop()
            links.pop()
    return links


def cheapest(
    out: Out,
    weight: Sequence[float],
    usable: Sequence[int] | bytes,
    toward: Sequence[float],
    src: int,
    dst: int,
    *,
    width: Sequence[int] | None = None,
    closed: Iterable[int] = (),
) -> list[int] | None:
    """The links of the least path over usable links and around closed switches; among equals the widest, if given.

    `toward` never overestimates the weight from a switch to dst, nor falls by more than a link's weight across it.
    """
    infinite = float("inf")
    widths = bytes(len(weight)) if width is None else width
    came: dict[int, tuple[int, int]] = {}
    done = set(closed)
    # What a path is at least, its narrowest link negated (the heap wants the least first), what is to come of it.
    heap = [(toward[src], -_WIDEST, toward[src], src, -1, -1)]
    while heap:
        estimate, narrow, rest, at, link, before = heappop(heap)
        if at in done:
            continue
        if estimate == infinite:
            break
        done.add(at)
        came[at] = (link, before)
        if at == dst:
            return _walked(came, dst)
        spent = estimate - rest
        for x, head in out[at]:
            if usable[x] and head not in done:
                ahead = toward[head]
                narrower = -widths[x]
                if narrower < narrow:
                    narrower = narrow
                heappush(heap, (spent + weight[x] + ahead, narrower, ahead, head, x, at))
    return None


def _walked(came: dict[int, tuple[int, int]], at: int) -> list[int]:
    links = []
    while (step := came[at])[0] >= 0:
        links.append(step[0])
        at = step[1]
    return links[::-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a path must keep to besides its links; infinite where there is no bound."""

    latency_us: float
    hops: float
    to_pass: int
    """one bit for each part that the path has to pass"""
    passes_at: Sequence[int]
    """switch -> bits of what is passed there"""
    passes_over: Sequence[int]
    """link -> bits of what is passed there"""


class _Label(NamedTuple):
    estimate: float
    narrow: int
    order: int
    at: int
    spent: float
    latency_us: int
    hops: int
    passed: int
    met: int
    link: int
    before: _Label | None


def cheapest_within(
    out: Out,
    weight: Sequence[float],
    usable: Sequence[int] | bytes,
    toward: tuple[Sequence[float], Sequence[float], Sequence[float]],
    src: int,
    dst: int,
    *,
    width: Sequence[int],
    latency_us: Sequence[int],
    bounds: Bounds,
) -> list[int] | None:
    """As `cheapest` by weight, then width, within the bounds.  `toward`: least weight, latency and hops still to go."""
    found = _labelled(out, weight, usable, toward, src, dst, width, latency_us, bounds, by_met=False)
    if found is None or found.met.bit_count() == found.hops + 1:
        return None if found is None else _links(found)
    found = _labelled(out, weight, usable, toward, src, dst, width, latency_us, bounds, by_met=True)
    return None if found is None else _links(found)


def _labelled(
    out: Out,
    weight: Sequence[float],
    usable: Sequence[int] | bytes,
    toward: tuple[Sequence[float], Sequence[float], Sequence[float]],
    src: int,
    dst: int,
    width: Sequence[int],
    latency_us: Sequence[int],
    bounds: Bounds,
    *,
    by_met: bool,
) -> _Label | None:
    to_go, latency_to_go, hops_to_go = toward
    numbers = count()
    heap = [_Label(to_go[src], -_WIDEST, next(numbers), src, 0.0, 0, 0, bounds.passes_at[src], 1 << src, -1, None)]
    kept: list[list[_Label]] = [[] for _ in out]
    while heap:
        label = heappop(heap)
        at = label.at
        if any(_covers(other, label, by_met=by_met) for other in kept[at]):
            continue
        kept[at].append(label)
        if at == dst and label.passed & bounds.to_pass == bounds.to_pass:
            return label
        for x, head in out[at]:
            if not usable[x] or (by_met and label.met >> head & 1):
                continue
            late, hops, ahead = label.latency_us + latency_us[x], label.hops + 1, to_go[head]
            if late + latency_to_go[head] > bounds.latency_us or hops + hops_to_go[head] > bounds.hops:
                continue
            if ahead == float("inf"):
                continue
            spent = label.spent + weight[x]
            narrow = max(label.narrow, -width[x])
            passed = label.passed | bounds.passes_over[x] | bounds.passes_at[head]
            order = next(numbers)
            if order > MAX_LABELS:
                raise TooManyLabels
            met = label.met | 1 << head
            heappush(heap, _Label(spent + ahead, narrow, order, head, spent, late, hops, passed, met, x, label))
    return None


def _covers(one: _Label, other: _Label, *, by_met: bool) -> bool:
    """Whether whatever the other label can become, this one can become, too, and no worse."""
    return (
        one.spent <= other.spent
        and one.narrow <= other.narrow
        and one.latency_us <= other.latency_us
        and one.hops <= other.hops
        and one.passed | other.passed == one.passed
        and (not by_met or one.met | other.met == other.met)
    )


def _links(label: _Label) -> list[int]:
    links = []
    while label.before is not None:
        links.append(label.link)
        label = label.before
    return links[::-1]
