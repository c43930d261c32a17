"""How much somebody seems to want, from what it sent and what was dropped of that.  Pure, one look at a time.

    hungry       something was dropped, or it uses nearly all it may: it wants as much as there is
    else         a little more than it sends, so that it can grow

An estimate rises at once and falls by steps, so that a pause is not taken for the end; total silence it follows faster.
"""

from __future__ import annotations

HUNGRY = 0.9
"""of what it may use"""
HEADROOM = 1.2
LEAST_KBPS = 1_000.0
"""what whoever is silent is taken to want next"""
LEAST_SHARE = 0.02
"""of the ceiling, where that is less"""
FALL = 0.7
"""of the estimate remains at least, one look later"""
NOISE, NOISY_FALL = 0.8, 0.98
"""what is above this part of the estimate may be chance, and moves it little"""
SILENT, SILENT_FALL = 0.01, 0.3
"""of what it may use; and what remains then"""


def is_hungry(rate_kbps: float, dropped_kbps: float, cap_kbps: float) -> bool:
    """Whether it would use more than `cap_kbps` if it could.  `rate_kbps`: what it offers, dropped or not."""
    return dropped_kbps > 0 or rate_kbps >= HUNGRY * cap_kbps


def estimate(before_kbps: float, rate_kbps: float, dropped_kbps: float, cap_kbps: float, ceiling_kbps: float) -> float:
    """What it wants, by the last estimate and the last look; at most `ceiling_kbps`, the most that it could ever have.
    """
    if is_hungry(rate_kbps, dropped_kbps, cap_kbps):
        return ceiling_kbps
    wanted = max(HEADROOM * rate_kbps, least_kbps(ceiling_kbps))
    # While it was hungry nobody knew how much it wanted; that it is not any more says: no more than it had.
    before_kbps = min(before_kbps, cap_kbps)
    fall = SILENT_FALL if rate_kbps < SILENT * cap_kbps else NOISY_FALL if wanted > NOISE * before_kbps else FALL
    return min(max(wanted, fall * before_kbps), ceiling_kbps)


def least_kbps(ceiling_kbps: float) -> float:
    """The lowest estimate."""
    return min(LEAST_KBPS, LEAST_SHARE * ceiling_kbps)
