"""What speaks for a wire whose probes do not come back: that frames arrive at its far end, as the port there counts.

    a probe is missed ──► the port is read ──► the next one, too ──► it is read again: many more frames?
                                                                     then the wire is full, not dead

A flood on a wire without queues crowds out probes like anything else, but it ends when the wire is cut.  A trickle
shows nothing: what lies on the way, or a host that was plugged in, speaks now and then as well.  Without clock: how far
two readings are apart, the switch says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from controller.fabric.ports import EndPoint

MIN_PPS = 10
"""What arrives more rarely may come from anybody."""


class Count(NamedTuple):
    """Frames that came in at a port, in the time that it is there, by the switch's own clock."""

    packets: int
    at_ns: int


class Arrivals:
    """The readings that are awaited, and the last one of each port."""

    def __init__(self) -> None:
        self._wanted: set[EndPoint] = set()
        self._awaited: set[EndPoint] = set()
        self._last: dict[EndPoint, Count] = {}

    def want(self, at: EndPoint) -> None:
        """Have this port read."""
        self._wanted.add(at)

    def take_wanted(self) -> list[EndPoint]:
        """The ports to read now: for each of them `counted` follows."""
        wanted, self._wanted = self._wanted, set()
        self._awaited |= wanted
        return sorted(wanted)

    def is_awaited(self, at: EndPoint) -> bool:
        """Whether it was read and the answer has not come."""
        return at in self._awaited

    def counted(self, at: EndPoint, count: Count | None) -> bool:
        """Whether frames arrived between the last reading and this one.  None: the switch does not say."""
        self._awaited.discard(at)
        before = self._last.pop(at, None)
        if count is None:
            return False
        self._last[at] = count
        return before is not None and _flows(before, count)

    def forget(self, ends: Iterable[EndPoint]) -> None:
        """What is read there next has no reading before."""
        for at in ends:
            self._last.pop(at, None)


def _flows(before: Count, now: Count) -> bool:
    elapsed_ns = now.at_ns - before.at_ns
    return elapsed_ns > 0 and (now.packets - before.packets) * 1_000_000_000 >= MIN_PPS * elapsed_ns
