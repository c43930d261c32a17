"""What one direction of one object carried and lost, as the counters of switches add to it.  Pure.

    carried    by counters of ports; what a meter drops of it later is taken off again
    fast       the sum of what each counter grows by in a second; as before, while one that drops does not tell
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from controller.model.usage import Traffic

Way = Literal["in", "out"]
Cause = Literal["port", "network", "tenant", "pipe", "link"]
CAUSES: tuple[Cause, ...] = get_args(Cause)


class Entry(NamedTuple):
    """That a counter counts for an object."""

    name: str
    uid: str
    """of the object: another one of that name has sums of its own"""
    way: Way
    dropped_by: Cause | None = None
    """None: what was carried"""
    was_counted: bool = False
    """What was dropped had been counted as carried by another counter, ahead of it."""


@dataclass(slots=True)
class Sum:
    """One direction of one object."""

    octets: int = 0
    packets: int = 0
    owed_octets: int = 0
    """dropped of what was not counted as carried yet, because that counter was looked at earlier"""
    owed_packets: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    dropped_packets: int = 0
    kbps: int = 0
    dropped_kbps: int = 0
    own_dropped_kbps: int = 0
    """by its own ceiling"""
    n_unsure: int = 0
    """counters of what was dropped of it that do not tell how fast it is dropped"""
    sure_kbps: int = 0
    """what it carried before that"""

    def carry(self, octets: int, packets: int) -> None:
        self.owed_octets, octets = max(0, self.owed_octets - octets), max(0, octets - self.owed_octets)
        self.owed_packets, packets = max(0, self.owed_packets - packets), max(0, packets - self.owed_packets)
        self.octets += octets
        self.packets += packets

    def drop(self, cause: Cause, octets: int, packets: int) -> None:
        self.dropped[cause] = self.dropped.get(cause, 0) + octets
        self.dropped_packets += packets

    def owe(self, octets: int, packets: int) -> None:
        self.owed_octets += octets
        self.owed_packets += packets

    def traffic(self) -> Traffic:
        return Traffic(
            bytes=self.octets, packets=self.packets, dropped_bytes=sum(self.dropped.values()),
            dropped_packets=self.dropped_packets, kbps=self.sure_kbps if self.n_unsure else max(0, self.kbps))

    def speed(self, entry: Entry, kbps: int) -> None:
        """A counter of this grows so much faster."""
        if entry.dropped_by is None:
            self.kbps += kbps
            return
        self.dropped_kbps += kbps
        if entry.name.rsplit("/", 2)[-2] == f"{entry.dropped_by}s":
            self.own_dropped_kbps += kbps
        if entry.was_counted:
            self.kbps -= kbps

    def doubt(self, *, is_unsure: bool) -> None:
        """One counter more, or less, of what is dropped does not tell how fast."""
        if not self.n_unsure:
            self.sure_kbps = max(0, self.kbps)
        self.n_unsure += 1 if is_unsure else -1
