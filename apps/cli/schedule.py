"""Windows of bandwidth as people write them in one line.

    0 20 * * 1-5 for 8h in Europe/Rome: guarantee-out=80Mbps, ceiling-out=100Mbps       whenever cron says so
    2026-12-24T18:00:00Z to 2026-12-27T06:00:00Z: ceiling-in=none                       once

Inside a window the four rates are what it says, and what it does not say is none.
"""

from __future__ import annotations

import re
from typing import Any

import click
from google.protobuf.timestamp_pb2 import Timestamp
from pliant.v1.common_pb2 import BandwidthOverride, BandwidthWindow

from apps.cli.rates import NONE, format_rate, parse_rate

_RECURRING = re.compile(r"(?P<cron>.+?)\s+for\s+(?P<lasting>\S+)(?:\s+in\s+(?P<zone>\S+))?")
_INTERVAL = re.compile(r"(?P<start>\S+)\s+to\s+(?P<end>\S+)")
_LASTING = re.compile(r"(\d+)([smhd])", re.ASCII)
_UNITS_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
RATES = ("guarantee-in", "guarantee-out", "ceiling-in", "ceiling-out")
HINT = "write 'CRON for 8h in ZONE: ceiling-out=10Mbps', or 'START to END: ...'"


class Window(click.ParamType[BandwidthWindow | None]):
    """A window, or None for "none"."""

    name = "window"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> BandwidthWindow | None:
        if isinstance(value, BandwidthWindow) or value == NONE:
            return value if isinstance(value, BandwidthWindow) else None
        try:
            return parse_window(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from error


def parse_window(text: str) -> BandwidthWindow:
    """ValueError says what would do.  Whether cron and zone are any, the server says."""
    when, colon, rates = text.strip().rpartition(": ")
    override = _override(rates)
    if colon and (match := _RECURRING.fullmatch(when)):
        recurring = BandwidthWindow.Recurring(cron=match["cron"], time_zone=match["zone"] or "")
        recurring.duration.FromSeconds(_lasting_s(match["lasting"]))
        return BandwidthWindow(recurring=recurring, override=override)
    if colon and (match := _INTERVAL.fullmatch(when)):
        interval = BandwidthWindow.Interval(start_time=_time(match["start"]), end_time=_time(match["end"]))
        return BandwidthWindow(interval=interval, override=override)
    raise ValueError(f"{text[:60]!r} is no window: {HINT}")


def format_window(window: BandwidthWindow) -> str:
    """The line that `parse_window` takes."""
    if window.WhichOneof("window") == "recurring":
        zone = window.recurring.time_zone
        when = f"{window.recurring.cron} for {_lasting(window.recurring.duration.ToSeconds())}{zone and f' in {zone}'}"
    else:
        interval = window.interval
        when = f"{interval.start_time.ToJsonString()} to {interval.end_time.ToJsonString()}"
    rates = {key: getattr(window.override, _field(key)) for key in RATES}
    said = [f"{key}={format_rate(rate)}" for key, rate in rates.items() if rate]
    return f"{when}: {', '.join(said) or f'{RATES[-1]}={NONE}'}"


def _override(text: str) -> BandwidthOverride:
    override = BandwidthOverride()
    for part in text.split(","):
        key, equals, rate = part.strip().partition("=")
        if key not in RATES or not equals:
            raise ValueError(f"{part.strip()[:40]!r} is no rate of a window: write {', '.join(RATES)} with =RATE")
        setattr(override, _field(key), parse_rate(rate))
    return override


def _field(rate: str) -> str:
    return f"{rate.replace('-', '_')}_kbps"


def _lasting_s(text: str) -> int:
    """'1h30m' -> 5400."""
    parts = _LASTING.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text[:40]!r} is no duration: write 8h, 1h30m or 2d")
    return sum(int(number) * _UNITS_S[unit] for number, unit in parts)


def _lasting(lasting_s: int) -> str:
    """5400 -> '1h30m'."""
    parts = []
    for unit, size_s in _UNITS_S.items():
        count, lasting_s = divmod(lasting_s, size_s)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts)


def _time(text: str) -> Timestamp:
    stamp = Timestamp()
    try:
        stamp.FromJsonString(text)
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is no time: write 2026-12-24T18:00:00Z") from error
    return stamp
