"""Bandwidth on the command line: policies as options, what is got in words, what is carried, and quotes."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import hypothesis.strategies as st
import pytest
from click.testing import CliRunner, Result
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from pliant.v1.common_pb2 import (
    BandwidthOverride,
    BandwidthPolicy,
    BandwidthStatus,
    BandwidthWindow,
    DirectionStatus,
    DropsBy,
)

from apps.cli.__main__ import cli
from apps.cli.options import BANDWIDTH_FIELDS
from apps.cli.schedule import format_window, parse_window
from apps.cli.words import bandwidth_words, format_bytes, limit
from controller.model import bandwidth as model
from controller.model.usage import Quote, Shortfall, Traffic, Usage
from tests.unit.cli.conftest import Pliant

NET = "tenants/red/networks/net1"
WEB = f"{NET}/ports/web-1"
IN_NET = "-t red -n net1"
TIMEOUT_S = 30
NIGHT = "0 20 * * 1-5 for 8h in Europe/Rome: guarantee-out=80Mbps"


@pytest.fixture
def pair(red: Pliant) -> Pliant:
    """With a second port, db-1."""
    red.ok(f"create port db-1 {IN_NET} --subnet s1")
    return red


def call(pliant: Pliant, *words: str) -> Result:
    """A command whose words hold spaces."""
    return CliRunner().invoke(cli, ["--server", f"unix:{pliant.api.unix}", *words])


# -- policies


def test_policy_is_made_and_changed_option_by_option(red: Pliant) -> None:
    """Each option is one field; what is not said stays."""
    red.ok("set tenant red --guarantee-out 100Mbps --weight 5 --class critical --on-failure keep --max-pipes 3")
    tenant = red.api.client.tenants.get("tenants/red")
    assert (tenant.bandwidth.guarantee_out_kbps, tenant.bandwidth.weight, tenant.quota.pipes) == (100_000, 5, 3)
    assert (tenant.bandwidth.traffic_class, tenant.bandwidth.on_failure) == (1, 2)
    red.ok("set tenant red --class bulk --guarantee-out none")
    policy = red.api.client.tenants.get("tenants/red").bandwidth
    assert (policy.traffic_class, policy.guarantee_out_kbps, policy.weight) == (3, 0, 5)
    assert "must be one of critical, standard, bulk" in red.fails("set tenant red --class best", code=2)


def test_pipe_is_made_between_two_ports(pair: Pliant) -> None:
    """Shown with its ends and rates, changed, and deleted like everything else."""
    pair.ok(f"create pipe x {IN_NET} --between web-1 db-1 --guarantee-out 4Mbps")
    head, row = pair.ok("get pipes -t red").splitlines()
    assert head.split()[:4] == ["NAME", "TENANT", "A", "B"]
    assert row.split()[:4] == ["x", "red", "net1/web-1", "net1/db-1"]
    assert "- / 4 Mbit/s" in row
    pair.ok("set pipe x -t red --ceiling-out 8Mbps")
    assert "a: net1/web-1" in pair.ok("get pipe x -t red -o yaml")
    assert "delete them first" in pair.fails(f"delete port web-1 {IN_NET}", code=5)
    pair.ok(f"delete port web-1 {IN_NET} --force")
    assert pair.ok("get pipes -o name") == ""


def test_pipe_goes_through_a_manifest_and_back(pair: Pliant) -> None:
    """Its ends are written NETWORK/PORT; what is printed can be applied again."""
    manifest = """
apiVersion: pliant/v1
kind: Pipe
metadata: {tenant: red, name: x}
spec:
  a: net1/web-1
  b: tenants/red/networks/net1/ports/db-1
  bandwidth:
    guarantee_out: 4 Mbit/s
    traffic_class: critical
    schedule:
    - recurring: {cron: "0 20 * * *", duration: 3600s, time_zone: Europe/Rome}
      override: {guarantee_out: 8 Mbit/s}
"""
    assert "pipe/x created" in pair.ok("apply -f -", stdin=manifest)
    pipe = pair.api.client.pipes.get("tenants/red/pipes/x")
    assert (pipe.a, pipe.bandwidth.schedule[0].override.guarantee_out_kbps) == (WEB, 8_000)
    again = pair.ok("get pipe x -t red -o yaml")
    assert "pipe/x unchanged" in pair.ok("apply -f -", stdin=again)


def test_network_has_bandwidth_and_a_path_policy(red: Pliant) -> None:
    """Set and taken away again."""
    red.ok("set network net1 -t red --ceiling-in 9Mbps --tree 1 --tree 0 --avoid-zone east --max-latency 1.5ms "
           "--spread together")
    network = red.api.client.networks.get(NET)
    assert network.bandwidth.ceiling_in_kbps == 9_000
    policy = network.path_policy
    assert (list(policy.trees), list(policy.avoid_zones), policy.spread) == ([0, 1], ["east"], 2)
    assert policy.max_latency.ToMicroseconds() == 1_500
    red.ok("set network net1 -t red --tree any --avoid-zone none --max-latency none --spread spread")
    assert not red.api.client.networks.get(NET).HasField("path_policy")
    red.ok("create network net2 -t red --avoid-zone west --guarantee-out 1Mbps")
    assert red.api.client.networks.get("tenants/red/networks/net2").path_policy.avoid_zones == ["west"]
    assert "no tree" in red.fails("set network net1 -t red --tree x", code=2)


def test_schedule_is_one_line_for_each_window(red: Pliant) -> None:
    """Together they replace what there was; none takes all away."""
    once = "2026-12-24T18:00:00Z to 2026-12-27T06:00:00Z: ceiling-in=none, ceiling-out=1Gbps"
    done = call(red, "set", "port", "web-1", "-t", "red", "-n", "net1", "--schedule", NIGHT, "--schedule", once)
    assert done.exit_code == 0, done.output
    schedule = red.api.client.ports.get(WEB).bandwidth.schedule
    assert (schedule[0].recurring.cron, schedule[0].recurring.time_zone) == ("0 20 * * 1-5", "Europe/Rome")
    assert schedule[1].interval.end_time.ToJsonString() == "2026-12-27T06:00:00Z"
    shown = [line.strip() for line in red.ok(f"describe port web-1 {IN_NET}").splitlines()]
    lines = [line.removeprefix("- ") for line in shown[shown.index("schedule:") + 1:][:2]]
    assert [parse_window(line) for line in lines] == list(schedule)
    red.ok(f"set port web-1 {IN_NET} --schedule none")
    policy = red.api.client.ports.get(WEB).bandwidth
    assert (list(policy.schedule), policy.ceiling_in_kbps) == ([], 10_000)
    refused = call(red, "set", "port", "web-1", "-t", "red", "-n", "net1", "--schedule",
                   "0 0 30 2 * for 1h: ceiling-in=1Mbps")
    assert refused.exit_code == 6
    assert "day-of-month" in refused.stderr


def test_window_is_read_as_it_is_written() -> None:
    """Days, hours, minutes and seconds; any of the four rates."""
    window = parse_window("*/5 * * * * for 1h30m:  guarantee-in=64kbps, ceiling-out=none")
    assert window == BandwidthWindow(
        recurring=BandwidthWindow.Recurring(cron="*/5 * * * *", duration={"seconds": 5_400}),
        override={"guarantee_in_kbps": 64})


RATES_KBPS = st.integers(0, 10**9)
OVERRIDES = st.builds(
    BandwidthOverride, guarantee_in_kbps=RATES_KBPS, guarantee_out_kbps=RATES_KBPS, ceiling_in_kbps=RATES_KBPS,
    ceiling_out_kbps=RATES_KBPS)
TIMES = st.builds(Timestamp, seconds=st.integers(0, 2**32), nanos=st.sampled_from((0, 500_000_000)))
WINDOWS = st.builds(
    BandwidthWindow, override=OVERRIDES, recurring=st.builds(
        BandwidthWindow.Recurring, cron=st.sampled_from(("0 20 * * 1-5", "*/5 0 1,15 * *", "@daily")),
        duration=st.builds(Duration, seconds=st.integers(1, 366 * 86_400)),
        time_zone=st.sampled_from(("", "Europe/Rome", "America/Argentina/Buenos_Aires"))),
) | st.builds(
    BandwidthWindow, override=OVERRIDES,
    interval=st.builds(BandwidthWindow.Interval, start_time=TIMES, end_time=TIMES))


@given(WINDOWS)
def test_window_is_shown_as_it_can_be_written(window: BandwidthWindow) -> None:
    """What describe prints, set --schedule takes."""
    assert parse_window(format_window(window)) == window


def test_window_is_shown_briefly() -> None:
    """Only rates that it has; durations in the units that people use."""
    assert format_window(parse_window(NIGHT)) == NIGHT.replace("80Mbps", "80 Mbit/s")
    assert format_window(parse_window("0 0 * * * for 93660s: ceiling-in=none")) == (
        "0 0 * * * for 1d2h1m: ceiling-out=none")


@pytest.mark.parametrize(("text", "says"), [
    ("", "no rate of a window"),
    ("0 20 * * *: ceiling-in=1Mbps", "is no window"),
    ("0 20 * * * for 8: ceiling-in=1Mbps", "is no duration"),
    ("0 20 * * * for 8h: ceiling=1Mbps", "no rate of a window"),
    ("0 20 * * * for 8h: ceiling-in=1", "is not a rate"),
    ("today to tomorrow: ceiling-in=1Mbps", "is no time"),
])
def test_window_that_is_none_says_what_would_do(text: str, says: str) -> None:
    """Before the controller is asked."""
    with pytest.raises(ValueError, match=says):
        parse_window(text)


# -- in words


def test_describe_says_in_words_what_is_got(red: Pliant) -> None:
    """What it has, what holds it back, what is spare; and not field by field."""
    red.api.bandwidth.statuses[WEB] = model.BandwidthStatus(
        outward=model.DirectionStatus(
            allotted_kbps=40_000, demand_kbps=90_000, delivered_kbps=39_000, guarantee_kbps=20_000,
            ceiling_kbps=100_000, bottleneck="tenants/red", spare_kbps=40_000, dropped=model.Drops(by_tenant=1_500_000),
        ))
    text = red.ok(f"describe port web-1 {IN_NET}")
    assert (
        "out: 39 Mbit/s of 40 Mbit/s allotted; guaranteed 20 Mbit/s; at most 100 Mbit/s; "
        "limited by the tenant's ceiling; 40 Mbit/s spare on all its links" in text
    )
    assert "dropped so far: 1.5 MB by the tenant's ceiling" in text
    assert "allotted_kbps" not in text


def test_broken_promise_is_said() -> None:
    """And a kept one is not praised."""
    broken = DirectionStatus(allotted_kbps=5, demand_kbps=20, guarantee_kbps=10, fulfilment=0.5, bottleneck="links/a-1")
    kept = DirectionStatus(allotted_kbps=20, demand_kbps=7, guarantee_kbps=10, fulfilment=1.0)
    inward, outward = bandwidth_words(BandwidthStatus(inward=broken, outward=kept), WEB)
    assert "guaranteed 10 kbit/s, of which it has 50 %" in inward
    assert "limited by link a-1" in inward
    assert outward.endswith("guaranteed 10 kbit/s; limited by nothing: it wants 7 kbit/s")


@pytest.mark.parametrize(("bottleneck", "words"), [
    ("", ""),
    (WEB, "its own ceiling"),
    (NET, "the network's ceiling"),
    ("tenants/red", "the tenant's ceiling"),
    ("tenants/red/pipes/x", "the ceiling of pipe x"),
    (f"{NET}/ports/db-1", "the ceiling of port db-1"),
    ("links/0000000000000001-1", "link 0000000000000001-1"),
])
def test_limit_is_named_as_seen_from_the_limited(bottleneck: str, words: str) -> None:
    """Its own, one above it, or another's."""
    assert limit(bottleneck, WEB) == words


def test_bytes_are_told_with_three_digits() -> None:
    """Small ones exactly."""
    assert [format_bytes(count) for count in (0, 999, 1_500, 12_345_678, 5_000_000_000)] == [
        "0 B", "999 B", "1.5 kB", "12.3 MB", "5 GB"]


# -- top


def carried(name: str, kbps: int, dropped: int = 0) -> Usage:
    return Usage(name=name, outward=Traffic(kbps=kbps, dropped_bytes=dropped), inward=Traffic(kbps=1), at_s=1.0)


def test_top_shows_the_busiest_first(red: Pliant) -> None:
    """With what is guaranteed and allotted, what was dropped, and what holds it back."""
    red.api.bandwidth.look("port", carried(f"{NET}/ports/idle", 0), carried(WEB, 12_345, 2_000))
    red.api.bandwidth.statuses[WEB] = model.BandwidthStatus(
        outward=model.DirectionStatus(guarantee_kbps=5_000, allotted_kbps=20_000, bottleneck=NET))
    head, first, second = red.ok(f"top ports {IN_NET} --once").splitlines()
    assert head.split("   ")[0] == "NAME"
    assert first.startswith("red/net1/web-1")
    for text in ("12.3 Mbit/s", "5 Mbit/s", "20 Mbit/s", "2 kB", "out: the network's ceiling"):
        assert text in first
    assert second.startswith("red/net1/idle")
    assert json.loads(red.ok("top ports --once -o json"))[0]["name"] == WEB


def test_top_links_shows_how_full_they_are(red: Pliant) -> None:
    """Of their capacity, as a bar."""
    red.ok("set link 1-1 --capacity 10Mbps")
    red.api.bandwidth.look("link", Usage(name="links/0000000000000001-1", outward=Traffic(kbps=5_000)))
    row = red.ok("top links --once").splitlines()[1]
    assert "##########  " in row and " 50 %" in row
    assert "no pipes" in red.run("top pipes --once").stderr


def test_top_goes_on_look_by_look(red: Pliant) -> None:
    """Off a terminal: a document for each look, until somebody ends it."""
    red.api.bandwidth.look("tenant", carried("tenants/red", 1_000))
    argv = [sys.executable, "-m", "apps.cli", "--server", f"unix:{red.api.unix}", "top", "tenants", "-o", "json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())[0]["outward"]["rate_kbps"] == "1000"
            red.api.bandwidth.look("tenant", carried("tenants/red", 2_000))
            assert json.loads(process.stdout.readline())[0]["outward"]["rate_kbps"] == "2000"
        finally:
            process.terminate()


def test_top_redraws_on_a_terminal(red: Pliant) -> None:
    """In place, each look; Ctrl-C ends it as it ends everything."""
    red.api.bandwidth.look("tenant", carried("tenants/red", 1_000))
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "apps.cli", "--server", f"unix:{red.api.unix}", "top", "tenants"]
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True) as process:
        os.close(theirs)
        try:
            assert b"1 Mbit/s" in read_until(ours, b"1 Mbit/s")
            red.api.bandwidth.look("tenant", carried("tenants/red", 7_000))
            assert b"\x1b[" in read_until(ours, b"7 Mbit/s")
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT_S) == 130
        finally:
            process.kill()
            os.close(ours)


def read_until(terminal: int, wanted: bytes) -> bytes:
    """What a terminal shows until then."""
    shown, deadline_s = b"", time.monotonic() + TIMEOUT_S
    while wanted not in shown:
        ready, _, _ = select.select([terminal], [], [], max(deadline_s - time.monotonic(), 0))
        assert ready, shown
        shown += os.read(terminal, 65_536)
    return shown


def test_top_knows_what_carries_something(red: Pliant) -> None:
    """Subnets do not."""
    assert "known here are" in red.fails("top subnets --once", code=2)


# -- quotes


def test_quote_asks_for_the_object_with_what_would_change(red: Pliant) -> None:
    """Exit status 0 if it fits; what is there already goes along."""
    assert red.ok(f"quote port web-1 {IN_NET} --guarantee-out 40Mbps") == "it fits\n"
    (asked,) = red.api.bandwidth.asked
    assert isinstance(asked.bandwidth, model.BandwidthPolicy)  # type: ignore[union-attr]
    assert asked.bandwidth.guarantee_out_kbps == 40_000  # type: ignore[union-attr]
    assert asked.bandwidth.ceiling_in_kbps == 10_000  # type: ignore[union-attr]
    assert red.api.client.ports.get(WEB).bandwidth.guarantee_out_kbps == 0


def test_quote_that_does_not_fit_names_the_links(red: Pliant) -> None:
    """What would fit, what is left where; exit status 5."""
    red.api.bandwidth.answer = Quote(
        fits=False, largest_in_kbps=0, largest_out_kbps=25_000,
        shortfalls=(Shortfall(link="links/0000000000000001-1", needed_kbps=40_000, left_kbps=25_000),))
    result = red.run(f"quote port/web-1 {IN_NET} --guarantee-out 40Mbps")
    assert result.exit_code == 5
    assert "it does not fit: at most 25 Mbit/s out\n" in result.stdout
    assert result.stdout.splitlines()[-1].split("   ") == ["0000000000000001-1", "40 Mbit/s", "25 Mbit/s"]
    result = red.run(f"quote port/web-1 {IN_NET} -o json")
    assert json.loads(result.stdout)["fits"] is False
    assert "one object" in red.fails(f"quote ports {IN_NET}", code=2)


def test_watch_of_pipes_does_not_mind_a_network(pair: Pliant) -> None:
    """$PLIANT_NETWORK may be set: pipes are beside the networks."""
    pair.ok(f"create pipe x {IN_NET} --between web-1 db-1")
    argv = [sys.executable, "-m", "apps.cli", "--server", f"unix:{pair.api.unix}", "get", "pipes", "-w"]
    argv += IN_NET.split()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().startswith("NAME")
            assert process.stdout.readline().startswith("x ")
        finally:
            process.terminate()


def test_policy_options_cover_the_contract() -> None:
    """A field that the contract gains gets an option, too."""
    assert set(BANDWIDTH_FIELDS.values()) == {field.name for field in BandwidthPolicy.DESCRIPTOR.fields}
    assert {field.name for field in DropsBy.DESCRIPTOR.fields} == {
        f"{name.removeprefix('by_')}_bytes" for name in model.Drops.__slots__}
