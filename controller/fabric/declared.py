"""What the operator says of links and switches, seen or not yet seen.  Nothing here is observed."""

from __future__ import annotations

from dataclasses import dataclass

MAX_COST = 1 << 24
MAX_LATENCY_US = 1 << 24
"""Bounds that keep the sum over any path exact (paths/arrays.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """About the link that leaves a port.  Drained is the whole wire, so it is enough that one of its ends is."""

    capacity_kbps: int | None = None
    """None: what its ports report"""
    cost: int = 1
    latency_us: int | None = None
    """None: not known, and counted as nothing"""
    drained: bool = False
    """no path takes it, though it is up"""

    def __post_init__(self) -> None:
        if self.capacity_kbps is not None and self.capacity_kbps <= 0:
            raise ValueError(f"a link cannot carry {self.capacity_kbps} kbit/s")
        if not 1 <= self.cost <= MAX_COST:
            raise ValueError(f"a link's cost cannot be {self.cost}; it is 1 to {MAX_COST}")
        if self.latency_us is not None and not 0 <= self.latency_us <= MAX_LATENCY_US:
            raise ValueError(f"a link's latency cannot be {self.latency_us} us; it is 0 to {MAX_LATENCY_US}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchSettings:
    zone: str = ""
    drained: bool = False
    """no path takes any of its links"""


NO_LINK_SETTINGS = LinkSettings()
NO_SWITCH_SETTINGS = SwitchSettings()
