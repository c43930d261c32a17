"""What was carried, counted; and what could be guaranteed, asked.  Values that reconcile answers and the API shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """One direction.  As time goes on counters never go backward: not when a switch, nor when pliantd starts again."""

    bytes: int = 0
    packets: int = 0
    dropped_bytes: int = 0
    dropped_packets: int = 0
    kbps: int = 0
    """between the last two looks, by the switch's own clock"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a tenant, network, port, pipe or link carried.  `inward` is the contract's `in`; links have it not."""

    name: str
    inward: Traffic = Traffic()
    outward: Traffic = Traffic()
    at_s: float = 0.0
    """the look that it is of, seconds since 1970; 0: nobody looked yet"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """A link on which a guarantee does not fit."""

    link: str
    """its resource name"""
    needed_kbps: int
    left_kbps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Whether a guarantee could be admitted now, and if not, how much could."""

    fits: bool
    largest_in_kbps: int
    largest_out_kbps: int
    """the largest guarantees that fit together: less in the direction that does not fit, else both in proportion"""
    shortfalls: tuple[Shortfall, ...] = ()
    """worst first"""
