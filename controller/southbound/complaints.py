"""What goes wrong with peers, as log lines that a noisy peer cannot turn into a flood."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

log = structlog.get_logger()

PERIOD_S = 10.0
BURST = 5
MAX_PEERS = 1024


@dataclass(slots=True)
class _Period:
    since_s: float
    logged: int = 0
    left_out: int = 0


class Complaints:
    """Five warnings per event, peer and period; the next period tells how many were left out.  For one thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._periods: OrderedDict[tuple[str, str], _Period] = OrderedDict()

    def warn(self, event: str, peer: str, **details: Any) -> bool:
        """Log it unless the peer did the same too often; whether it was logged."""
        now_s = self._clock()
        period = self._periods.setdefault((event, peer), _Period(now_s))
        if now_s - period.since_s >= PERIOD_S:
            if period.left_out:
                details["left_out"] = period.left_out
            self._periods[event, peer] = period = _Period(now_s)
        self._periods.move_to_end((event, peer))
        if len(self._periods) > MAX_PEERS:
            self._periods.popitem(last=False)
        if period.logged >= BURST:
            period.left_out += 1
            return False
        period.logged += 1
        log.warning(event, peer=peer, **details)
        return True
