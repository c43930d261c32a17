"""Rates as people write them.  10Mbps, 10M, 2.5 Gbit/s, 64kbps <-> kbit/s, without loss in either direction."""

from __future__ import annotations

import re
from decimal import Decimal

UNITS_KBPS = {"G": 1_000_000, "M": 1_000, "k": 1}
_MOST_KBPS = 1 << 53
_RATE = re.compile(r"(?P<number>\d+(?:\.\d+)?|\.\d+)\s*(?P<unit>[kKmMgG])(?:bps|bit(?:/s|ps)?|b/s)?", re.ASCII)
NONE = "none"


def parse_rate(text: str) -> int:
    """kbit/s; 0 for "none".  ValueError says what would do."""
    text = text.strip()
    if text == NONE:
        return 0
    match = _RATE.fullmatch("0k" if text == "0" else text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a rate: write it with its unit, like 64kbps, 10Mbps or 2.5 Gbit/s")
    unit = match["unit"].lower() if match["unit"] in "kK" else match["unit"].upper()
    rate = Decimal(match["number"]) * UNITS_KBPS[unit]
    if rate > _MOST_KBPS:
        raise ValueError(f"{text[:40]!r} is more than anything carries")
    if rate != int(rate):
        raise ValueError(f"{text[:40]!r} is not a whole number of kbit/s")
    return checked(int(rate))


def checked(rate_kbps: int) -> int:
    """The rate; ValueError for 0, which the contract takes for none, and its writer perhaps for no traffic."""
    if rate_kbps == 0:
        raise ValueError(f"0 is not a rate: write {NONE} if there is to be none")
    return rate_kbps


def format_rate(rate_kbps: int) -> str:
    """'10 Mbit/s'; '-' for none."""
    if not rate_kbps:
        return "-"
    prefix, unit = next((item for item in UNITS_KBPS.items() if rate_kbps >= item[1]), ("k", 1))
    return f"{Decimal(rate_kbps) / unit:f} {prefix}bit/s"


def format_load(rate_kbps: int) -> str:
    """A measured rate, with three digits: '12.3 Mbit/s'."""
    prefix, unit = next((item for item in UNITS_KBPS.items() if rate_kbps >= item[1]), ("k", 1))
    return f"{float(f'{rate_kbps / unit:.3g}'):g} {prefix}bit/s"
