"""An order of a 2-connected block's switches in which each stands between two of its neighbours: an st-numbering.

The way out of the block stands at both ends.  Grown by ears (Whitney; Even and Tarjan 1976): a switch with two
neighbours in the order goes between two of them; one with a single neighbour brings a chain of switches along that
leads back to the order elsewhere, and the chain goes between its ends.

Knows indexes and weights; nothing of a fabric.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence, Set

Neighbours = dict[int, dict[int, float]]
"""switch -> {neighbour in the block: weight of the best link there}"""

Ends = dict[int, tuple[int, ...]]
"""neighbour of the way out -> from which ends of the order it may go there: 0, 1, or with parallel links both"""

_INFINITE = float("inf")


def ear_order(
    inside: Neighbours, out: int, nearest_first: Sequence[int], ranks: Sequence[int], parallel: Set[int]
) -> tuple[list[int], Ends]:
    """The order without the way out, and its ends.  `parallel`: switches with several links to the way out.

    Each switch has a neighbour before it or end 0, and one after it or end 1; not both by the same link, except that
    in a block of two joined by one link there is no other.
    """
    order = _Order(inside, out, ranks, parallel)
    for at in nearest_first:
        if at not in order.place:
            order.add(at)
    return sorted(order.place, key=order.place.__getitem__), order.ends


class _Order:
    def __init__(self, inside: Neighbours, out: int, ranks: Sequence[int], parallel: Set[int]) -> None:
        self._inside, self._out, self._ranks, self._parallel = inside, out, ranks, parallel
        self.place: dict[int, int] = {}
        """Numbers with room between them, no two alike."""
        self._taken: set[int] = set()
        self.ends: Ends = {}
        self._last = 1 << 32
        self._way: dict[int, tuple[float, float]] = {}
        """switch -> weight of its way down and of its way up, as known when it joined"""
        self._at_end = [0, 0]

    def add(self, at: int) -> None:
        beside = [n for n in self._inside[at] if n in self.place]
        root = self._out in self._inside[at]
        alone = len(self._inside) == 2
        if alone or len(beside) + root > 1 or at in self._parallel:
            self._between(at, sorted(beside, key=self.place.__getitem__), root=root)
        else:
            start = self._out if root else beside[0]
            chain, end = self._chain(at, start)
            self._insert(start, chain, end)

    def _between(self, at: int, beside: list[int], *, root: bool) -> None:
        """Put a switch where its way down plus its way up is least, then in the middle of its neighbours."""
        weight, n = self._inside[at], len(beside)
        downs, ups = [_INFINITE], [_INFINITE]
        for x in beside:
            downs.append(min(downs[-1], self._way[x][0] + weight[x]))
        for x in reversed(beside):
            ups.append(min(ups[-1], self._way[x][1] + weight[x]))
        ups.reverse()
        both = root and (at in self._parallel or len(self._inside) == 2)
        choices: list[tuple[int, ...]] = [()] if not root else [(0, 1)] if both else [(0,), (1,)]
        best = None
        for ends in choices:
            for i in range(n + 1):
                down = min(downs[i], weight[self._out]) if 0 in ends else downs[i]
                up = min(ups[i], weight[self._out]) if 1 in ends else ups[i]
                load = sum(self._at_end[end] for end in ends)
                choice = (down + up, abs(2 * i - n), load, i, ends, (down, up))
                best = choice if best is None or choice < best else best
        assert best is not None and best[0] < _INFINITE, "a block is 2-connected"
        _, _, _, i, ends, way = best
        self._put([at], beside[i - 1] if i else None, beside[i] if i < n else None)
        self._way[at] = way
        self._give_end(at, ends)

    def _chain(self, at: int, start: int) -> tuple[list[int], int]:
        """The shortest way from a switch through others not in the order yet, back to the order but not to start."""
        came = {at: at}
        queue = deque([at])
        first = not self.place
        while queue:
            x = queue.popleft()
            for n in sorted(self._inside[x], key=self._ranks.__getitem__):
                if n in came:
                    continue
                if (n == self._out and (n != start or (first and x != at))) or (n in self.place and n != start):
                    return _back(came, x), n
                if n != self._out and n not in self.place:
                    came[n] = x
                    queue.append(n)
        raise AssertionError("a block is 2-connected")

    def _insert(self, start: int, chain: list[int], end: int) -> None:
        """Put a chain between its ends, the lower first; the way out is whichever end has fewer."""
        low, high = start, end
        if start == self._out and end != self._out:
            turned = self._at_end[1] < self._at_end[0]
        elif end == self._out and start != self._out:
            turned = self._at_end[0] <= self._at_end[1]
        else:
            turned = start != self._out and self.place[end] < self.place[start]
        if turned:
            low, high, chain = end, start, chain[::-1]
        self._put(chain, None if low == self._out else low, None if high == self._out else high)
        if low == self._out:
            self._give_end(chain[0], (0,))
        if high == self._out:
            self._give_end(chain[-1], (1,))
        down, up = (0.0 if x == self._out else self._way[x][side] for side, x in enumerate((low, high)))
        downs, ups = [], []
        for x, before in zip(chain, [low, *chain], strict=False):
            down += self._inside[x][before]
            downs.append(down)
        for x, after in zip(chain[::-1], [high, *chain[::-1]], strict=False):
            up += self._inside[x][after]
            ups.append(up)
        self._way.update(zip(chain, zip(downs, reversed(ups), strict=True), strict=True))
        for x in chain:
            if self._out in self._inside[x] and x not in self.ends:
                self._give_end(x, (0, 1) if x in self._parallel else (int(self._at_end[1] < self._at_end[0]),))

    def _put(self, chain: list[int], low: int | None, high: int | None) -> None:
        room = len(self._inside)  # so that each number of the chain can step past all numbers that are taken
        while True:
            first = 0 if low is None else self.place[low]
            step = ((self._last if high is None else self.place[high]) - first) // (len(chain) + 1)
            if step > room:
                break
            self._last <<= 32
            self.place = {x: number << 32 for x, number in self.place.items()}
            self._taken = set(self.place.values())
        for i, x in enumerate(chain):
            number = first + (i + 1) * step
            while number in self._taken:
                number += 1
            self.place[x] = number
            self._taken.add(number)

    def _give_end(self, at: int, ends: tuple[int, ...]) -> None:
        if ends:
            self.ends[at] = ends
            for end in ends:
                self._at_end[end] += 1


def _back(came: dict[int, int], at: int) -> list[int]:
    """The chain from where the search began to here."""
    chain = [at]
    while came[at] != at:
        at = came[at]
        chain.append(at)
    return chain[::-1]
