"""drain, undrain, path, export and what is declared of links, on the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import networkx as nx
import pytest

from controller.fabric.events import LinkLost
from controller.fabric.graph import EndPoint
from controller.model.errors import FailedPrecondition
from controller.reconcile.rates import Rate
from controller.reconcile.ways import Leg, Way
from tests.unit.cli.conftest import Pliant

ONE, OTHER = "links/0000000000000001-1", "links/0000000000000002-1"
HUGE = "9" * 400
WEB = "tenants/red/networks/net1/ports/web-1"


def test_drain_waits_until_nobody_sends_over_it(pliant: Pliant) -> None:
    """A link by either direction, a switch with all its links; undrain takes it back."""
    assert pliant.ok("drain link 1-1") == "link/0000000000000001-1 drained\n"
    assert pliant.ok("get links").splitlines()[1].split()[-1] == "DRAINED"
    assert pliant.ok("undrain link/2-1") == "link/0000000000000002-1 in use\n"
    assert pliant.ok("drain switch 1 2").count("drained") == 2
    assert pliant.ok("get switches -o wide").splitlines()[1].count("yes") == 3
    pliant.ok("undrain switch 1 2")
    assert pliant.ok("get links").count("UP") == 2


def test_drain_gives_up_and_says_what_is_still_used(pliant: Pliant) -> None:
    """It is drained all the same, and --no-wait does not wait."""
    pliant.api.operator.used.add(EndPoint(1, 1))
    assert "frames may still be sent over 0000000000000001-1" in pliant.fails("drain link 1-1 --timeout 0.5", code=7)
    assert pliant.api.client.links.get(ONE).drained
    assert pliant.ok("drain switch 2 --no-wait")


def test_refused_drain_says_whom_it_would_cut_off(pliant: Pliant) -> None:
    """And how to do it anyway."""
    pliant.api.operator.refusal = FailedPrecondition("WOULD_PARTITION", "this would leave ports of tenants/red cut off")
    said = pliant.fails("drain link 1-1", code=5)
    assert "tenants/red" in said and "--force" in said
    pliant.ok("drain link 1-1 --force")


def test_capacity_below_what_is_guaranteed_takes_force(pliant: Pliant) -> None:
    """Refused, with the way to do it anyway; and then it holds."""
    pliant.api.operator.refusal = FailedPrecondition(
        "WOULD_BREAK_GUARANTEES", "tenants/red would get less; lower guarantees first, or use force")
    said = pliant.fails("set link 1-1 --capacity 5Mbps", code=5)
    assert "tenants/red" in said and "--force" in said
    pliant.ok("set link 1-1 --capacity 5Mbps --force")
    assert pliant.api.client.links.get(ONE).capacity_kbps == 5_000


@pytest.mark.parametrize(("line", "code"), [
    ("drain link", 2), ("drain port web-1", 2), ("drain link 7-1", 3), ("drain switch 7", 3), ("undrain", 2),
    ("set link 1-1", 2), ("set link 1-1 --cost 0", 2), ("set link 1-1 --cost 99999999", 6),
    ("set link 1-1 --cost -1", 6), ("set link 1-1 --latency 5", 2), ("set switch 1", 2), ("set switch 1 --zone A_B", 6),
    (f"set link 1-1 --cost {HUGE}", 2), (f"set link 1-1 --capacity {HUGE}Gbps", 2),
    (f"set link 1-1 --latency {HUGE}ms", 2), (f"set network n -t red --max-latency {HUGE}ms", 2),
    (f"set tenant red --weight {HUGE}", 2), (f"set tenant red --burst-ms {HUGE}", 2),
    (f"set tenant red --max-ports {HUGE}", 2), (f"set tenant red --ceiling-in {HUGE}Gbps", 2),
    ("path nobody 1", 3), ("path 1 switch/7", 3), ("path 1", 2), ("export topology -o svg", 2),
])  # fmt: skip
def test_wrong_use_is_said(pliant: Pliant, line: str, code: int) -> None:
    """With the status of its class."""
    pliant.fails(line, code=code)


def test_links_and_switches_are_declared(pliant: Pliant) -> None:
    """Only what is named changes."""
    pliant.ok("set link 1-1 --cost 7 --latency 1.5ms --capacity 400Mbps")
    pliant.ok("set link 1-1 --capacity none")
    link = pliant.api.client.links.get(ONE)
    assert (link.cost, link.latency_us, link.capacity_kbps) == (7, 1_500, 1_000_000)
    pliant.ok("set link 1-1 --latency none")
    assert not pliant.api.client.links.get(ONE).HasField("latency_us")
    pliant.ok("set switch 1 --zone east --role eth2=edge")
    assert pliant.api.client.switches.get("switches/1").zone == "east"
    pliant.ok("set switch 1 --zone none")
    assert not pliant.api.client.switches.get("switches/1").zone


def test_path_shows_ways_backups_and_the_best(red: Pliant) -> None:
    """By port id or switch; as a table, or as JSON."""
    red.api.operator.places[WEB] = EndPoint(1, 2)
    leg = Leg(link=EndPoint(1, 1), backup=(EndPoint(1, 1),))
    red.api.operator.known_ways[1, 2] = (Way(legs=(leg,), labels=(0,), complete=True),)
    text = red.ok("path web-1 2")
    assert "from 0000000000000001 to 0000000000000002" in text
    assert "100 %" in text and "0000000000000001 > 0000000000000002" in text
    assert text.splitlines()[-1].split() == ["0000000000000001-1", "0000000000000001-1"]
    (address,) = red.api.client.ports.get(WEB).addresses
    answer = json.loads(red.ok(f"path {address} switch/2 -t red -o json"))
    assert answer["current"][0]["hops"][0]["link"] == ONE
    assert "on the same switch" in red.ok("path web-1 1")
    assert "no path is in use" in red.run("path 2 1").stderr


def test_path_of_a_network_is_its_own(red: Pliant) -> None:
    """Between switches if it is named, with its tenant."""
    leg = Leg(link=EndPoint(1, 1))
    red.api.operator.known_ways[1, 2, "tenants/red/networks/net1"] = (Way(legs=(leg,), labels=(0,), complete=True),)
    assert "100 %" in red.ok("path 1 2 -t red -n net1")
    assert "no path is in use" in red.run("path 1 2").stderr
    assert "say with -t" in red.fails("path 1 2 -n net1", code=2)
    assert "does not exist" in red.fails("path 1 2 -t red -n other", code=3)


def test_path_asks_which_port_is_meant(red: Pliant) -> None:
    """Two networks may have a port of one id."""
    red.ok("create network net2 -t red")
    red.ok("create subnet s1 -t red -n net2 --cidr 10.0.0.0/24")
    red.ok("create port web-1 -t red -n net2 --subnet s1")
    assert "say which with -t and -n" in red.fails("path web-1 2", code=2)


def test_topology_is_exported(pliant: Pliant) -> None:
    """For networkx, as GraphML, and for Graphviz."""
    graph = nx.node_link_graph(json.loads(pliant.ok("export topology")), edges="edges")
    assert sorted(graph) == ["0000000000000001", "0000000000000002"]
    assert "<graphml" in pliant.ok("export topology -o graphml")
    assert pliant.ok("export topology -o dot").startswith("digraph")


def test_wide_links_show_their_load(pliant: Pliant) -> None:
    """Rate, and how much of the capacity that is."""
    pliant.api.operator.known_rates[EndPoint(1, 1)] = Rate(kbps=123_456, packets_per_s=9)
    head, one, other = pliant.ok("get links -o wide").splitlines()
    assert "RATE" in head and "123 Mbit/s" in one and "12 %" in one and "123" not in other


def test_links_are_watched_with_their_load(pliant: Pliant) -> None:
    """A row for each change, until Ctrl-C."""
    operator = pliant.api.operator
    operator.known_rates[EndPoint(1, 1)] = Rate(kbps=500_000, packets_per_s=9)
    argv = [sys.executable, "-m", "apps.cli", "--server", f"unix:{pliant.api.unix}", "get", "links", "-w"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        lines = [process.stdout.readline() for _ in range(3)]
        assert "LOAD" in lines[0] and "50 %" in lines[1]
        operator.tell(LinkLost(src=EndPoint(1, 1)))
        assert "DOWN" in process.stdout.readline()
        assert "ONE_WAY" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(10) == 130
        finally:
            process.kill()
        assert process.stderr.read().strip() == ""
