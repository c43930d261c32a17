"""What bandwidth a tenant asks for.  Rates are integers in kbit/s of Ethernet frames on the wire (L2 bytes)."""

from __future__ import annotations

from dataclasses import dataclass

MIN_RATE_KBPS = 64
"""Below this a token bucket of one 1,500-byte frame would be longer than a fifth of a second."""
MAX_RATE_KBPS = 400_000_000
"""400 Gbit/s: above any port today; OpenFlow meters hold 32 bits of kbit/s."""
DEFAULT_BURST_MS = 250
"""What TCP (cubic) needs to reach 95 % of a policed rate, measured on OVS."""
MAX_BURST_MS = 10_000
FRAME_KBIT = 1_518 * 8 / 1_000
"""One full Ethernet frame, kbit.  A bucket below one frame drops everything; Pliant never programs fewer than two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthPolicy:
    """The part of the contract's BandwidthPolicy that this version enforces.  0 means no ceiling.

    `out` is what the port (or the tenant's ports on one edge) sends into the network, `in` what it receives.
    """

    ceiling_in_kbps: int = 0
    ceiling_out_kbps: int = 0
    burst_ms: int = DEFAULT_BURST_MS

    @property
    def has_ceiling(self) -> bool:
        return bool(self.ceiling_in_kbps or self.ceiling_out_kbps)

    def __str__(self) -> str:
        def rate(kbps: int) -> str:
            return f"{kbps} kbit/s" if kbps else "none"

        return f"ceiling in {rate(self.ceiling_in_kbps)}, out {rate(self.ceiling_out_kbps)}"


NO_POLICY = BandwidthPolicy()


def burst_kbit(rate_kbps: int, burst_ms: int) -> int:
    """Bucket size for a meter, kbit: rate x burst, never below two full frames."""
    return max(round(rate_kbps * burst_ms / 1_000), round(2 * FRAME_KBIT + 0.5))
