"""What a switch's counters grew by between two looks, whatever happened to them meanwhile.  Pure: no clock, no switch.

    looks      10 ── 50 ── 50 ── 20 ── (none) ── 60        what the switch said
    growth         40     0    20             40            what is added: never more than was really carried

A counter that went back was zeroed (a meter that is modified, a flow that is replaced, a port that is made anew): all
it shows was carried since.  What it had counted between the last look and the zeroing nobody saw, so it is left out.
A look that was lost costs nothing, for the next one shows its part too; the same look twice shows nothing new.
"""

from __future__ import annotations

from typing import NamedTuple

WRAP = 1 << 64
NOT_COUNTED = WRAP - 1
"""OpenFlow's way to say that a switch has no such counter."""
_FASTEST_BYTES_PER_NS = 50
"""400 Gbit/s, above any port: tells a counter that wrapped from one that was zeroed."""
NS_PER_S = 1_000_000_000


class Reading(NamedTuple):
    """What a counter stands at.  `duration_ns`: for how long it has counted, by the switch's own clock."""

    bytes: int
    packets: int
    duration_ns: int


class Growth(NamedTuple):
    """What was carried between two looks.  `duration_ns` 0: nobody knows in what time, so it makes no rate."""

    bytes: int = 0
    packets: int = 0
    duration_ns: int = 0

    @property
    def kbps(self) -> int:
        """0 where no time is known."""
        return self.bytes * 8_000_000 // self.duration_ns if self.duration_ns else 0


NO_GROWTH = Growth()


def growth(before: Reading, now: Reading, *, outlives_its_clock: bool = False) -> Growth:
    """What `now` shows beyond `before`, an earlier look at the same counter.

    `outlives_its_clock`: that the clock began anew does not say that the counter did.  So it is with ports: their
    devices go on counting while ovs-vswitchd starts again.
    """
    octets, packets = _counted(now.bytes), _counted(now.packets)
    duration_ns = now.duration_ns - before.duration_ns
    more_octets, more_packets = octets - _counted(before.bytes), packets - _counted(before.packets)
    if duration_ns < 0:
        if outlives_its_clock and more_octets >= 0 and more_packets >= 0:
            return Growth(more_octets, more_packets, 0)
        return Growth(octets, packets, now.duration_ns)  # another one under the old name: it began after the last look
    if more_octets >= 0 and more_packets >= 0:
        return Growth(more_octets, more_packets, duration_ns)
    wrapped = Growth(more_octets % WRAP, more_packets % WRAP, duration_ns)
    if max(wrapped.bytes, wrapped.packets) <= _FASTEST_BYTES_PER_NS * duration_ns:
        return wrapped
    return Growth(octets, packets, 0) if duration_ns else NO_GROWTH


def _counted(value: int) -> int:
    return 0 if value == NOT_COUNTED else value
