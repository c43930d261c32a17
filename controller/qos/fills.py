"""How much the shares of a ceiling may come to, so that their buckets, too, keep to it.  Pure.

A meter's bucket is full when it is made, whenever it is modified, and when its owner was silent for a while:

    passes in 3 s  =  shares x 3 s + what full buckets held  <=  1.05 x ceiling x 3 s

A bucket cannot be short: TCP is silent for 200 ms whenever it lost a whole window, and has three quarters of a rate
whose bucket holds 150 ms.  So it is the shares that give way: they come to a little less than the ceiling, and who is
to have more waits as long as too many were told something a moment ago.  A guarantee waits for nothing.
"""

from __future__ import annotations

from collections import deque

WINDOW_S = 3.0
MORE = 0.05
"""that passes in such a time at most, above the ceiling"""
CALM_S = 2 * WINDOW_S
"""How long after the last move nobody is expected to move."""


def most_kbps(ceiling_kbps: int, burst_ms: int, guarantee_kbps: float) -> int:
    """What all shares may come to."""
    at_rest = (1 + MORE) * ceiling_kbps * WINDOW_S / (WINDOW_S + burst_ms / 1_000)
    return min(ceiling_kbps, int(max(at_rest, _least_kbps(ceiling_kbps, guarantee_kbps))))


class Fills:
    """The buckets that were filled lately, all of one ceiling."""

    def __init__(self) -> None:
        self._fills: deque[tuple[float, float]] = deque()
        """when, and with how many kbit"""

    def note(self, now_s: float, kbps: int, burst_ms: int) -> None:
        """A share became another one."""
        self._fills.append((now_s, kbps * burst_ms / 1_000))

    def is_calm(self, now_s: float) -> bool:
        return not self._fills or now_s >= self._fills[-1][0] + CALM_S

    def affordable(
        self, now_s: float, ceiling_kbps: int, guarantee_kbps: float, burst_ms: int, *, held_kbps: int, grow_kbps: int,
        more_kbps: int,
    ) -> float:
        """Which part of `more_kbps` can be had now by shares of `grow_kbps`, which are among all the `held_kbps`."""
        while self._fills and self._fills[0][0] <= now_s - CALM_S:
            self._fills.popleft()
        burst_s, lately = burst_ms / 1_000, sum(kbit for at_s, kbit in self._fills if at_s > now_s - WINDOW_S)
        room_kbit = (1 + MORE) * ceiling_kbps * WINDOW_S - lately
        if guarantee_kbps:
            room_kbit = max(room_kbit, _least_kbps(ceiling_kbps, guarantee_kbps) * (WINDOW_S + burst_s))
        room_kbit -= held_kbps * WINDOW_S + grow_kbps * burst_s
        return min(1.0, max(0.0, room_kbit / (more_kbps * (WINDOW_S + burst_s))))


def _least_kbps(ceiling_kbps: int, guarantee_kbps: float) -> float:
    """Never less than the guarantee, and a little for those who are silent."""
    return (ceiling_kbps + guarantee_kbps) / 2
