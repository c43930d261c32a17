"""When which switch is asked for its counters, so that looking costs a small part of the time, however many there are.

    every 5 s; every second while somebody follows; soon after ports came

A switch is not asked again before it answered, nor before it has rested: what takes it long to count, it is asked for
seldom.  So one that is slow, or never answers, holds nobody up and is not made slower.  Pure: the time comes as an
argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

PERIOD_S = 5.0
FOLLOWED_S = 1.0
FIRST_S = 0.25
"""Two looks make a rate, so for whoever begins to follow they come soon after each other."""
SHARE = 0.05
"""How much of the time a switch may spend on answering."""
C = TypeVar("C")


@dataclass(slots=True)
class _Beat(Generic[C]):
    connection: C
    gap_s: float
    asked_s: float | None = None
    """when it was asked last"""
    waits: bool = False
    """for an answer"""
    rests_until_s: float = 0.0
    hurries: int = 0
    """looks to come that are wanted soon"""


class Looks(Generic[C]):
    """`C`: a connection of a switch; another one is looked at anew, at once."""

    def __init__(self, *, period_s: float = PERIOD_S, followed_s: float = FOLLOWED_S) -> None:
        self._period_s = period_s
        self._followed_s = followed_s
        self._beats: dict[int, _Beat[C]] = {}

    def due(self, now_s: float, connections: Mapping[int, C], *, followed: bool) -> list[int]:
        """The switches to ask now; each counts as asked."""
        for dpid in [dpid for dpid in self._beats if connections.get(dpid) is not self._beats[dpid].connection]:
            del self._beats[dpid]
        asked = []
        for dpid, connection in connections.items():
            beat = self._beats.get(dpid)
            if beat is None:
                # All connect at once when pliantd starts; they need not all be asked at once ever after.
                beat = self._beats[dpid] = _Beat(connection, self._period_s * (1 + _phase(dpid)) / 2)
            elif beat.waits or now_s < self._next_s(beat, followed=followed):
                continue
            else:
                beat.gap_s = self._period_s
            beat.asked_s, beat.waits = now_s, True
            beat.hurries = max(0, beat.hurries - 1)
            asked.append(dpid)
        return asked

    def answered(self, now_s: float, dpid: int, connection: C) -> bool:
        """The switch answered, or will not; False if that connection is over."""
        beat = self._beats.get(dpid)
        if beat is None or beat.connection is not connection or beat.asked_s is None or not beat.waits:
            return False
        beat.waits = False
        beat.rests_until_s = now_s + (now_s - beat.asked_s) * (1 / SHARE - 1)
        return True

    def hurry(self, dpids: Iterable[int], *, looks: int = 1) -> None:
        """Have the next looks at these switches soon."""
        for dpid in dpids:
            if (beat := self._beats.get(dpid)) is not None:
                beat.hurries = max(beat.hurries, looks)

    def hurry_all(self, *, looks: int) -> None:
        self.hurry(self._beats, looks=looks)

    def _next_s(self, beat: _Beat[C], *, followed: bool) -> float:
        gap_s = min(beat.gap_s, self._followed_s) if followed else beat.gap_s
        if beat.hurries:
            gap_s = min(gap_s, FIRST_S)
        return max((beat.asked_s or 0.0) + gap_s, beat.rests_until_s)


def _phase(dpid: int) -> float:
    """A number from 0 to 1 that is far from its neighbours'."""
    return (dpid * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) / 2**64
