"""What ports carry, from two looks at their counters.  By the switch's own clock: when an answer came means nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.openflow.decode import PortStat


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What left a port."""

    kbps: int
    packets_per_s: int


def rates(before: Mapping[int, PortStat], now: Iterable[PortStat]) -> dict[int, Rate]:
    """port_no -> what it sent between both looks; none for a port that is new, started over, or was seen twice at once.
    """
    found = {}
    for stat in now:
        old = before.get(stat.port_no)
        if old is None:
            continue
        duration_ns = stat.duration_ns - old.duration_ns
        sent, packets = stat.tx_bytes - old.tx_bytes, stat.tx_packets - old.tx_packets
        if duration_ns > 0 and sent >= 0 and packets >= 0:
            found[stat.port_no] = Rate(
                kbps=sent * 8_000_000 // duration_ns, packets_per_s=packets * 1_000_000_000 // duration_ns)
    return found
