"""Policies between messages and model: bandwidth with its schedule, and paths.

As convert.py: all that can be said of one policy by itself is said here, with the path of the field that is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from pliant.v1.common_pb2 import BandwidthOverride, BandwidthWindow, FailurePolicy
from pliant.v1.common_pb2 import BandwidthPolicy as BandwidthMessage
from pliant.v1.common_pb2 import TrafficClass as TrafficClassMessage
from pliant.v1.network_pb2 import PathPolicy as PathMessage
from pliant.v1.network_pb2 import PathSpread

from controller.model.bandwidth import (
    DEFAULT_BURST_MS,
    FRAME_KBIT,
    MAX_BURST_MS,
    MAX_RATE_KBPS,
    MAX_WEIGHT,
    MAX_WINDOWS,
    MIN_RATE_KBPS,
    NO_POLICY,
    BandwidthPolicy,
    Interval,
    OnFailure,
    Rates,
    Recurring,
    TrafficClass,
    Window,
)
from controller.model.ids import check_id
from controller.model.network import ANY_PATH, PathPolicy, Spread
from controller.northbound.times import duration, nanoseconds_of, time_s_of, timestamp
from controller.northbound.violations import invalid, missing, shown
from controller.qos.schedule import is_time_zone, why_invalid

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

MAX_TREE = 3
MAX_AVOIDED_ZONES = 16
MAX_LATENCY_US = 1 << 24
"""What a path may take: as much as the contract lets a single link take."""
MAX_WINDOW_S = 366 * 86_400
_LAST_SECOND = 253_402_300_799
"""Of the year 9999, as protobuf has it."""

_CLASSES = {TrafficClassMessage.Value(f"TRAFFIC_CLASS_{each}"): each for each in TrafficClass}
_FAILURES = {FailurePolicy.Value(f"FAILURE_POLICY_{each}"): each for each in OnFailure}
_SPREADS = {PathSpread.Value(f"PATH_SPREAD_{each}"): each for each in Spread}


def bandwidth(message: BandwidthMessage, field: str) -> BandwidthPolicy:
    rates = _rates(message, field)
    if not 0 <= message.burst_ms <= MAX_BURST_MS:
        what = f"is {message.burst_ms}; use 1 to {MAX_BURST_MS} ms, or 0 for {DEFAULT_BURST_MS}"
        raise invalid("INVALID_RATE", f"{field}.burst_ms", what)
    if not 0 <= message.weight <= MAX_WEIGHT:
        raise invalid("INVALID_RATE", f"{field}.weight", f"is {message.weight}; use 1 to {MAX_WEIGHT}, or 0")
    if message.traffic_class not in TrafficClassMessage.values():
        raise invalid("INVALID_ENUM", f"{field}.traffic_class", f"{message.traffic_class} is not a known TrafficClass")
    if message.on_failure not in FailurePolicy.values():
        raise invalid("INVALID_ENUM", f"{field}.on_failure", f"{message.on_failure} is not a known FailurePolicy")
    policy = BandwidthPolicy(
        guarantee_in_kbps=rates.guarantee_in_kbps, guarantee_out_kbps=rates.guarantee_out_kbps,
        ceiling_in_kbps=rates.ceiling_in_kbps, ceiling_out_kbps=rates.ceiling_out_kbps,
        weight=message.weight,
        burst_ms=message.burst_ms or DEFAULT_BURST_MS,
        traffic_class=_CLASSES.get(message.traffic_class, TrafficClass.STANDARD),
        on_failure=_FAILURES.get(message.on_failure, OnFailure.DEGRADE_FAIR),
        schedule=_schedule(message.schedule, f"{field}.schedule"),
    )
    _check_bucket(policy, field)
    return policy


def _rates(message: BandwidthMessage | BandwidthOverride, field: str) -> Rates:
    for name in ("guarantee_in_kbps", "guarantee_out_kbps", "ceiling_in_kbps", "ceiling_out_kbps"):
        rate_kbps: int = getattr(message, name)
        if rate_kbps and not MIN_RATE_KBPS <= rate_kbps <= MAX_RATE_KBPS:
            what = f"is {rate_kbps} kbit/s; use {MIN_RATE_KBPS} to {MAX_RATE_KBPS}, or 0 for none"
            raise invalid("INVALID_RATE", f"{field}.{name}", what)
    for way in ("in", "out"):
        guarantee_kbps: int = getattr(message, f"guarantee_{way}_kbps")
        ceiling_kbps: int = getattr(message, f"ceiling_{way}_kbps")
        if 0 < ceiling_kbps < guarantee_kbps:
            what = f"is {guarantee_kbps} kbit/s, above the ceiling of {ceiling_kbps}: lower it, or raise the ceiling"
            raise invalid("INVALID_RATE", f"{field}.guarantee_{way}_kbps", what)
    return Rates(
        guarantee_in_kbps=message.guarantee_in_kbps, guarantee_out_kbps=message.guarantee_out_kbps,
        ceiling_in_kbps=message.ceiling_in_kbps, ceiling_out_kbps=message.ceiling_out_kbps,
    )


def _check_bucket(policy: BandwidthPolicy, field: str) -> None:
    """A burst that lets not even one full frame through at once asks for something that no switch can do."""
    stages = (policy.rates, *(window.rates for window in policy.schedule))
    ceilings_kbps = [rate for each in stages for rate in (each.ceiling_in_kbps, each.ceiling_out_kbps) if rate]
    lowest_kbps = min(ceilings_kbps, default=0)
    if lowest_kbps and lowest_kbps * policy.burst_ms / 1_000 < FRAME_KBIT:
        least_ms = int(FRAME_KBIT * 1_000 / lowest_kbps) + 1
        what = f"is {policy.burst_ms}: at {lowest_kbps} kbit/s that is less than one frame; use at least {least_ms}"
        raise invalid("INVALID_RATE", f"{field}.burst_ms", what)


# -- schedules


def _schedule(messages: Sequence[BandwidthWindow], field: str) -> tuple[Window, ...]:
    if len(messages) > MAX_WINDOWS:
        raise invalid("INVALID_SCHEDULE", field, f"has {len(messages)} windows; at most {MAX_WINDOWS} are allowed")
    windows = tuple(_window(message, f"{field}[{index}]") for index, message in enumerate(messages))
    # Of recurring windows the first that is open counts; intervals that overlap are rather a mistake.
    intervals = sorted(
        (window.when.start_s, window.when.end_s, index)
        for index, window in enumerate(windows) if isinstance(window.when, Interval)
    )
    for (_, end_s, first), (start_s, _, second) in pairwise(intervals):
        if start_s < end_s:
            low, high = sorted((first, second))
            raise invalid("INVALID_SCHEDULE", f"{field}[{high}].interval", f"overlaps the interval of {field}[{low}]")
    return windows


def _window(message: BandwidthWindow, field: str) -> Window:
    match message.WhichOneof("window"):
        case "recurring":
            when: Recurring | Interval = _recurring(message.recurring, f"{field}.recurring")
        case "interval":
            when = _interval(message.interval, f"{field}.interval")
        case _:
            raise missing(f"{field}.recurring", f"{field}: a window needs to be recurring, or an interval")
    return Window(when=when, rates=_rates(message.override, f"{field}.override"))


def _recurring(message: BandwidthWindow.Recurring, field: str) -> Recurring:
    _check_cron(message.cron, f"{field}.cron")
    duration_ns = nanoseconds_of(message.duration)
    if duration_ns % 1_000_000_000 or not 1 <= duration_ns // 1_000_000_000 <= MAX_WINDOW_S:
        what = f"is {Decimal(duration_ns).scaleb(-9).normalize():f} s; use whole seconds, 1 to {MAX_WINDOW_S}"
        raise invalid("INVALID_SCHEDULE", f"{field}.duration", what)
    zone = message.time_zone or "UTC"
    if not is_time_zone(zone):
        what = f"{shown(zone)} is not a known time zone: write an IANA name like Europe/Rome"
        raise invalid("INVALID_SCHEDULE", f"{field}.time_zone", what)
    return Recurring(cron=" ".join(message.cron.split()), duration_s=duration_ns // 1_000_000_000, time_zone=zone)


def _check_cron(cron: str, field: str) -> None:
    if not cron.strip():
        raise missing(field, f"{field}: a recurring window needs a cron expression like '0 20 * * 1-5'")
    if why := why_invalid(cron):
        raise invalid("INVALID_SCHEDULE", field, f"{shown(cron)} {why}")


def _interval(message: BandwidthWindow.Interval, field: str) -> Interval:
    for name in ("start_time", "end_time"):
        if not message.HasField(name):
            raise missing(f"{field}.{name}", f"{field}: an interval needs start_time and end_time")
        stamp: Timestamp = getattr(message, name)
        if not 0 <= stamp.seconds <= _LAST_SECOND or not 0 <= stamp.nanos < 1_000_000_000:
            raise invalid("INVALID_SCHEDULE", f"{field}.{name}", "is no time between the years 1970 and 9999")
    start_s, end_s = time_s_of(message.start_time), time_s_of(message.end_time)
    if end_s <= start_s:
        raise invalid("INVALID_SCHEDULE", f"{field}.end_time", "is not after start_time")
    return Interval(start_s=start_s, end_s=end_s)


# -- paths


def path_policy(message: PathMessage, field: str) -> PathPolicy:
    if any(not 0 <= tree <= MAX_TREE for tree in message.trees):
        raise invalid("INVALID_FIELD", f"{field}.trees", f"has a number that is no tree; they are 0 to {MAX_TREE}")
    if len(message.avoid_zones) > MAX_AVOIDED_ZONES:
        what = f"has {len(message.avoid_zones)} zones; at most {MAX_AVOIDED_ZONES} are allowed"
        raise invalid("INVALID_FIELD", f"{field}.avoid_zones", what)
    zones = [check_id(zone, f"{field}.avoid_zones[{index}]") for index, zone in enumerate(message.avoid_zones)]
    latency_ns = nanoseconds_of(message.max_latency)
    if latency_ns % 1_000 or not 0 <= latency_ns // 1_000 <= MAX_LATENCY_US:
        what = f"is {latency_ns / 1e9:g} s; use whole microseconds, up to {MAX_LATENCY_US / 1e6:g} s"
        raise invalid("INVALID_FIELD", f"{field}.max_latency", what)
    if message.spread not in PathSpread.values():
        raise invalid("INVALID_ENUM", f"{field}.spread", f"{message.spread} is not a known PathSpread")
    return PathPolicy(
        trees=tuple(sorted(set(message.trees))),
        avoid_zones=tuple(sorted(set(zones))),
        max_latency_us=latency_ns // 1_000,
        spread=_SPREADS.get(message.spread, Spread.SPREAD),
    )


# -- back to messages


def bandwidth_message(policy: BandwidthPolicy) -> BandwidthMessage | None:
    """None for no policy."""
    if policy == NO_POLICY:
        return None
    return BandwidthMessage(
        guarantee_in_kbps=policy.guarantee_in_kbps, guarantee_out_kbps=policy.guarantee_out_kbps,
        ceiling_in_kbps=policy.ceiling_in_kbps, ceiling_out_kbps=policy.ceiling_out_kbps,
        weight=policy.weight,
        burst_ms=policy.burst_ms,
        traffic_class=TrafficClassMessage.Value(f"TRAFFIC_CLASS_{policy.traffic_class}"),
        on_failure=FailurePolicy.Value(f"FAILURE_POLICY_{policy.on_failure}"),
        schedule=map(_window_message, policy.schedule),
    )


def _window_message(window: Window) -> BandwidthWindow:
    rates = window.rates
    override = BandwidthOverride(
        guarantee_in_kbps=rates.guarantee_in_kbps, guarantee_out_kbps=rates.guarantee_out_kbps,
        ceiling_in_kbps=rates.ceiling_in_kbps, ceiling_out_kbps=rates.ceiling_out_kbps,
    )
    match window.when:
        case Recurring(cron=cron, duration_s=duration_s, time_zone=zone):
            lasting = duration(duration_s * 1_000_000)
            recurring = BandwidthWindow.Recurring(cron=cron, duration=lasting, time_zone=zone)
            return BandwidthWindow(recurring=recurring, override=override)
        case Interval(start_s=start_s, end_s=end_s):
            interval = BandwidthWindow.Interval(start_time=timestamp(start_s), end_time=timestamp(end_s))
            return BandwidthWindow(interval=interval, override=override)


def path_message(policy: PathPolicy) -> PathMessage | None:
    """None for one that constrains nothing."""
    if policy == ANY_PATH:
        return None
    return PathMessage(
        trees=policy.trees,
        avoid_zones=policy.avoid_zones,
        max_latency=duration(policy.max_latency_us) if policy.max_latency_us else None,
        spread=PathSpread.Value(f"PATH_SPREAD_{policy.spread}"),
    )
