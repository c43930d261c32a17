"""Policies as clients send them: what is accepted survives the way out and back, what is wrong is named."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from pliant.v1.common_pb2 import BandwidthOverride, BandwidthPolicy, BandwidthWindow
from pliant.v1.network_pb2 import Network, PathPolicy
from pliant.v1.pipe_pb2 import Pipe

from controller.model import bandwidth as model
from controller.model.errors import PliantError
from controller.model.network import PathPolicy as ModelPaths
from controller.model.network import Spread
from controller.model.tenancy import Meta
from controller.northbound import convert, policies

FIELD = "port.bandwidth"
PORT = "tenants/a/networks/n/ports/p"


def window(cron: str = "0 20 * * 1-5", seconds: int = 60, zone: str = "", **rates: int) -> BandwidthWindow:
    when = BandwidthWindow.Recurring(cron=cron, duration=Duration(seconds=seconds), time_zone=zone)
    return BandwidthWindow(recurring=when, override=BandwidthOverride(**rates))


def interval(start_s: int, end_s: int) -> BandwidthWindow:
    when = BandwidthWindow.Interval(start_time=Timestamp(seconds=start_s), end_time=Timestamp(seconds=end_s))
    return BandwidthWindow(interval=when)


def refusal(**fields: Any) -> PliantError:
    with pytest.raises(PliantError) as caught:
        policies.bandwidth(BandwidthPolicy(**fields), FIELD)
    return caught.value


rates = st.sampled_from([0, 64, 1_000, 400_000_000])
whens = st.builds(
    model.Recurring, cron=st.sampled_from(["* * * * *", "0 0 29 2 *"]), duration_s=st.integers(1, 366 * 86_400),
    time_zone=st.sampled_from(["UTC", "Europe/Rome"]),
)
overrides = st.builds(model.Rates, guarantee_in_kbps=rates, guarantee_out_kbps=rates)
bandwidths = st.builds(
    model.BandwidthPolicy, guarantee_in_kbps=rates, ceiling_out_kbps=rates, weight=st.integers(0, 1_000_000_000),
    burst_ms=st.integers(200, 10_000), traffic_class=st.sampled_from(model.TrafficClass),
    on_failure=st.sampled_from(model.OnFailure),
    schedule=st.lists(st.builds(model.Window, when=whens, rates=overrides), max_size=3).map(tuple),
)


@given(bandwidths)
def test_bandwidth_survives_the_way_out_and_back(policy: model.BandwidthPolicy) -> None:
    """Every field of the model has its place in the message."""
    message = policies.bandwidth_message(policy) or BandwidthPolicy()
    assert policies.bandwidth(message, FIELD) == policy


def test_every_field_of_the_contract_reaches_the_model() -> None:
    """A message with all fields set becomes a policy in which nothing is left at its default."""
    message = BandwidthPolicy(
        guarantee_in_kbps=64, guarantee_out_kbps=65, ceiling_in_kbps=100, ceiling_out_kbps=101, weight=7,
        burst_ms=9_000, traffic_class=1, on_failure=3, schedule=[window()],
    )
    assert [field.name for field, _ in message.ListFields()] == [field.name for field in message.DESCRIPTOR.fields]
    policy = policies.bandwidth(message, FIELD)
    assert [name for name in policy.__slots__ if getattr(policy, name) == getattr(model.NO_POLICY, name)] == []


@pytest.mark.parametrize("way", ["in", "out"])
def test_guarantee_above_its_ceiling_is_refused(way: str) -> None:
    """In the policy itself and inside a window alike; in the other direction it says nothing."""
    error = refusal(**{f"guarantee_{way}_kbps": 1_001, f"ceiling_{way}_kbps": 1_000})
    assert (error.reason, list(error.fields)) == ("INVALID_RATE", [f"{FIELD}.guarantee_{way}_kbps"])
    error = refusal(schedule=[window(), window(**{f"guarantee_{way}_kbps": 1_001, f"ceiling_{way}_kbps": 1_000})])
    assert list(error.fields) == [f"{FIELD}.schedule[1].override.guarantee_{way}_kbps"]
    other = {"in": "out", "out": "in"}[way]
    fine = BandwidthPolicy(**{f"guarantee_{way}_kbps": 1_001, f"ceiling_{other}_kbps": 1_000})
    policies.bandwidth(fine, FIELD)


@pytest.mark.parametrize(("cron", "part"), [
    ("", "needs a cron expression"),
    ("* * * *", "five fields"),
    ("* * * * * *", "five fields"),
    ("@daily", "five fields"),
    ("60 * * * *", "minute"),
    ("0 0 30 2 *", "day-of-month"),
    ("x * * * *", "minute"),
    ("*" * 100_000, "five fields"),
])
def test_cron_expression_that_is_none_or_never_comes_is_refused(cron: str, part: str) -> None:
    """With the expression, cut if it is long, and what is wrong with it."""
    error = refusal(schedule=[window(cron)])
    assert error.reason in ("INVALID_SCHEDULE", "MISSING_FIELD")
    assert list(error.fields) == [f"{FIELD}.schedule[0].recurring.cron"]
    assert part in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize("seconds", [0, -1, 366 * 86_400 + 1, 2**62])
def test_window_that_lasts_nothing_or_for_ever_is_refused(seconds: int) -> None:
    """Whole seconds, up to a leap year."""
    error = refusal(schedule=[window(seconds=seconds)])
    assert (error.reason, list(error.fields)) == ("INVALID_SCHEDULE", [f"{FIELD}.schedule[0].recurring.duration"])
    assert f"is {seconds} s;" in error.message


def test_window_of_a_part_of_a_second_is_refused_with_all_of_it() -> None:
    """Not rounded to what would be right."""
    whole = window(seconds=3_600)
    whole.recurring.duration.nanos = 5
    assert "is 3600.000000005 s; use whole seconds" in refusal(schedule=[whole]).message


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../UTC", "/etc/passwd", "a\0b", "x" * 10_000])
def test_unknown_time_zone_is_refused(zone: str) -> None:
    """Whatever it looks like, it is looked up by name and nothing else."""
    error = refusal(schedule=[window(zone=zone)])
    assert (error.reason, list(error.fields)) == ("INVALID_SCHEDULE", [f"{FIELD}.schedule[0].recurring.time_zone"])
    assert len(error.message) < 300


@pytest.mark.parametrize(("bad", "field"), [
    (interval(10, 10), "interval.end_time"),
    (interval(10, 5), "interval.end_time"),
    (interval(-5, 10), "interval.start_time"),
    (interval(5, 2**60), "interval.end_time"),
    (BandwidthWindow(interval=BandwidthWindow.Interval(end_time=Timestamp(seconds=1))), "interval.start_time"),
    (BandwidthWindow(), "recurring"),
])
def test_interval_needs_a_start_before_its_end(bad: BandwidthWindow, field: str) -> None:
    """And a window needs to be one of the two."""
    assert list(refusal(schedule=[bad]).fields) == [f"{FIELD}.schedule[0].{field}"]


def test_intervals_do_not_overlap() -> None:
    """Touching is fine, in any order; recurring windows may meet, since the first of them counts."""
    policies.bandwidth(BandwidthPolicy(schedule=[interval(20, 30), interval(10, 20), window(), window()]), FIELD)
    error = refusal(schedule=[interval(20, 30), window(), interval(10, 21)])
    assert (error.reason, list(error.fields)) == ("INVALID_SCHEDULE", [f"{FIELD}.schedule[2].interval"])
    assert "schedule[0]" in error.message


def test_schedule_is_bounded() -> None:
    """A hundred windows are enough."""
    policies.bandwidth(BandwidthPolicy(schedule=[window()] * 100), FIELD)
    assert refusal(schedule=[window()] * 101).reason == "INVALID_SCHEDULE"


@pytest.mark.parametrize(("ceiling_kbps", "burst_ms", "least_ms"), [(64, 189, 190), (1_000, 12, 13)])
def test_burst_holds_a_frame_at_the_lowest_ceiling(ceiling_kbps: int, burst_ms: int, least_ms: int) -> None:
    """The error says what would do, and it does."""
    low = {"schedule": [window(ceiling_in_kbps=ceiling_kbps)], "ceiling_out_kbps": 400_000_000}
    error = refusal(burst_ms=burst_ms, **low)
    assert (error.reason, list(error.fields)) == ("INVALID_RATE", [f"{FIELD}.burst_ms"])
    assert f"at least {least_ms}" in error.message
    policies.bandwidth(BandwidthPolicy(burst_ms=least_ms, **low), FIELD)


def test_weight_is_bounded() -> None:
    """Up to a billion; less than none is nothing."""
    assert list(refusal(weight=1_000_000_001).fields) == [f"{FIELD}.weight"]
    assert refusal(weight=-1).reason == "INVALID_RATE"


def path_refusal(**fields: Any) -> PliantError:
    with pytest.raises(PliantError) as caught:
        policies.path_policy(PathPolicy(**fields), "network.path_policy")
    return caught.value


@pytest.mark.parametrize(("fields", "field"), [
    ({"trees": [4]}, "trees"),
    ({"trees": [0, -1]}, "trees"),
    ({"avoid_zones": ["a", "B"]}, "avoid_zones[1]"),
    ({"avoid_zones": ["z"] * 17}, "avoid_zones"),
    ({"max_latency": Duration(seconds=-1)}, "max_latency"),
    ({"max_latency": Duration(nanos=1)}, "max_latency"),
    ({"max_latency": Duration(seconds=17)}, "max_latency"),
    ({"spread": 9}, "spread"),
])
def test_path_policy_names_what_is_wrong(fields: dict[str, Any], field: str) -> None:
    """What cannot be by itself; whether a path satisfies it only the fabric knows."""
    assert list(path_refusal(**fields).fields) == [f"network.path_policy.{field}"]


def test_path_policy_survives_the_way_out_and_back() -> None:
    """Sorted and without repetitions; an empty one is none."""
    sent = PathPolicy(
        trees=[2, 0, 2], avoid_zones=["b", "a"], max_latency=Duration(nanos=1_500_000), spread=2)
    policy = policies.path_policy(sent, "f")
    assert policy == ModelPaths(
        trees=(0, 2), avoid_zones=("a", "b"), max_latency_us=1_500, spread=Spread.TOGETHER)
    message = policies.path_message(policy)
    assert message is not None
    assert policies.path_policy(message, "f") == policy
    empty = convert.network(Network(path_policy=PathPolicy()), "tenants/a/networks/n", Meta())
    assert empty.path_policy == ModelPaths()


@pytest.mark.parametrize(("ends", "field", "reason"), [
    ({"b": PORT}, "pipe.a", "MISSING_FIELD"),
    ({"a": PORT}, "pipe.b", "MISSING_FIELD"),
    ({"a": PORT, "b": "p"}, "pipe.b", "INVALID_NAME"),
    ({"a": "tenants/a", "b": PORT}, "pipe.a", "INVALID_NAME"),
])
def test_pipe_needs_the_names_of_two_ports_or_networks(ends: dict[str, str], field: str, reason: str) -> None:
    """Which two they may be is intent's business."""
    with pytest.raises(PliantError) as caught:
        convert.pipe(Pipe(**ends), "tenants/a/pipes/x", Meta())
    assert (caught.value.reason, list(caught.value.fields)) == (reason, [field])
