"""What bandwidth an object asks for, and what it gets.  Rates are integers in kbit/s of Ethernet frames (L2 bytes).

`out` is what a port sends into its network, `in` what it receives; a tenant or network adds up its ports, wherever they
are.  A pipe is one directed way each: `out` from its end a to its end b, `in` from b to a.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MIN_RATE_KBPS = 64
"""Below this a token bucket of one 1,500-byte frame would be longer than a fifth of a second."""
MAX_RATE_KBPS = 400_000_000
"""400 Gbit/s: above any port today; OpenFlow meters hold 32 bits of kbit/s."""
DEFAULT_BURST_MS = 250
"""What TCP (cubic) needs to reach 95 % of a policed rate, measured on OVS."""
MAX_BURST_MS = 10_000
MAX_WEIGHT = 1_000_000_000
MAX_WINDOWS = 100
"""windows in one schedule"""
FRAME_KBIT = 1_518 * 8 / 1_000
"""One full Ethernet frame, kbit.  A bucket below one frame drops everything; Pliant never programs fewer than two."""


class TrafficClass(StrEnum):
    """The order in which spare bandwidth is lent; of each class by weight."""

    CRITICAL = "CRITICAL"
    """first, and its guarantees are admitted against the loss of any single link"""
    STANDARD = "STANDARD"
    BULK = "BULK"


class OnFailure(StrEnum):
    """What becomes of a guarantee when a failure leaves too little capacity for all."""

    DEGRADE_FAIR = "DEGRADE_FAIR"
    """everyone who says so keeps the same share of its guarantee"""
    KEEP = "KEEP"
    """served before the others"""
    SHED = "SHED"
    """given up first"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The rates of a policy at one moment.  Guarantee 0: none; ceiling 0: none."""

    guarantee_in_kbps: int = 0
    guarantee_out_kbps: int = 0
    ceiling_in_kbps: int = 0
    ceiling_out_kbps: int = 0

    @property
    def has_guarantee(self) -> bool:
        return bool(self.guarantee_in_kbps or self.guarantee_out_kbps)

    @property
    def has_ceiling(self) -> bool:
        return bool(self.ceiling_in_kbps or self.ceiling_out_kbps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring:
    """Opens whenever the cron expression (five fields) matches in `time_zone` (IANA name), for `duration_s`."""

    cron: str
    duration_s: int
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Once, from start to end, seconds since 1970."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """While it is open, `rates` stand in the place of the policy's own.  Of open windows the first in the list counts.
    """

    when: Recurring | Interval
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthPolicy:
    """The contract's BandwidthPolicy.  A guarantee or ceiling of 0 is none; weight 0 is the guarantee, else 1."""

    guarantee_in_kbps: int = 0
    guarantee_out_kbps: int = 0
    ceiling_in_kbps: int = 0
    ceiling_out_kbps: int = 0
    weight: int = 0
    burst_ms: int = DEFAULT_BURST_MS
    traffic_class: TrafficClass = TrafficClass.STANDARD
    on_failure: OnFailure = OnFailure.DEGRADE_FAIR
    schedule: tuple[Window, ...] = ()

    @property
    def rates(self) -> Rates:
        """Outside all windows."""
        return Rates(
            guarantee_in_kbps=self.guarantee_in_kbps, guarantee_out_kbps=self.guarantee_out_kbps,
            ceiling_in_kbps=self.ceiling_in_kbps, ceiling_out_kbps=self.ceiling_out_kbps,
        )

    @property
    def may_limit(self) -> bool:
        """Whether it has a ceiling, now or in some window."""
        return self.rates.has_ceiling or any(window.rates.has_ceiling for window in self.schedule)

    @property
    def may_guarantee(self) -> bool:
        """Whether it has a guarantee, now or in some window."""
        return self.rates.has_guarantee or any(window.rates.has_guarantee for window in self.schedule)


NO_POLICY = BandwidthPolicy()


def burst_kbit(rate_kbps: int, burst_ms: int) -> int:
    """Bucket size for a meter, kbit: rate x burst, never below two full frames."""
    return max(round(rate_kbps * burst_ms / 1_000), round(2 * FRAME_KBIT + 0.5))


def entry_kbps(ceiling_kbps: int) -> int:
    """What an edge switch may pass that joins others under a ceiling and was told no share of it yet."""
    return max(1, min(MIN_RATE_KBPS, ceiling_kbps // MIN_RATE_KBPS))


# -- what it gets


@dataclass(frozen=True, slots=True, kw_only=True)
class Drops:
    """Bytes dropped since counting began, by what dropped them."""

    by_port: int = 0
    """by the port's own ceiling"""
    by_network: int = 0
    by_tenant: int = 0
    by_pipe: int = 0
    by_link: int = 0
    """in the queue of a full link or access port"""

    @property
    def total(self) -> int:
        return self.by_port + self.by_network + self.by_tenant + self.by_pipe + self.by_link


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionStatus:
    """One direction of an object's bandwidth, as of the last look."""

    allotted_kbps: int = 0
    """what it may use now: never less than min(demand, guarantee) while guarantees fit"""
    demand_kbps: int = 0
    """what it seems to want"""
    delivered_kbps: int = 0
    guarantee_kbps: int = 0
    """in force now, after schedule and failures"""
    ceiling_kbps: int = 0
    dropped: Drops = Drops()
    bottleneck: str = ""
    """what holds it back: the name of a port, network, tenant, pipe or link; "": its own demand"""
    spare_kbps: int | None = None
    """the least that is unused on its links; None: it uses none"""

    @property
    def fulfilment(self) -> float:
        """allotted / min(demand, guarantee), at most 1; 1 for whoever has, or needs, no guarantee."""
        needed = min(self.demand_kbps, self.guarantee_kbps)
        return min(1.0, self.allotted_kbps / needed) if needed else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthStatus:
    """What an object gets.  `inward` is the contract's `in`, a word that Python keeps for itself."""

    inward: DirectionStatus = DirectionStatus()
    outward: DirectionStatus = DirectionStatus()
    since_s: float = 0.0
    """the look that this is of, seconds since 1970"""
