"""`python -m apps.lab up` as `make lab TOPO=...` runs it: any topology, counted out while it starts, and it works."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


def _lab(topology: str, *commands: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "apps.lab", "up", "--topo", topology]
    typed = "\n".join([*commands, "exit", ""])
    # Together, as on a terminal: Mininet says what its commands say on stderr.
    return subprocess.run(
        argv, input=typed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout_s
    )


@pytest.mark.lab
def test_fat_tree_is_known_in_full_and_every_host_reaches_every_other() -> None:
    """k=4: 20 switches and 64 directed links, each step counted; all hosts adopted into one network."""
    done = _lab("fat_tree,k=4", "pingall")
    said = done.stdout
    assert done.returncode == 0, said
    for step in (
        "hosts and switches: 36 of 36", "wires: 48 of 48", "switches connected: 20 of 20", "links found: 64 of 64",
        "switches in sync: 20 of 20", "All 16 hosts are in one network",
    ):
        assert step in said, said
    assert "Results: 0% dropped (240/240 received)" in said, said


@pytest.mark.lab
def test_wan_capacities_are_told_to_the_controller() -> None:
    """Abilene: 28 directed links, of 20 Mbit/s but for the one that was a quarter as wide; sites by name."""
    done = _lab("wan,name=abilene", "pliant get links", "pingall")
    said = done.stdout
    assert len(re.findall(r" 20 Mbit/s +UP", said)) == 26, said
    assert len(re.findall(r" 5 Mbit/s +UP", said)) == 2, said
    assert "s1 Seattle" in said
    assert "Results: 0% dropped (110/110 received)" in said, said


@pytest.mark.lab
@pytest.mark.parametrize("topology", ["ring,switches=5", "dumbbell,hosts=3", "wan,name=b4", "wan,name=polska"])
def test_small_topologies_come_up_and_connect_everybody(topology: str) -> None:
    """Loops, a single wire, a real network: every host reaches every other."""
    done = _lab(topology, "pingall")
    assert done.returncode == 0, done.stdout
    assert re.search(r"Results: 0% dropped \((\d+)/\1 received\)", done.stdout), done.stdout
    assert "Error" not in done.stdout


@pytest.mark.parametrize(
    ("topology", "says"),
    [
        ("torus", "no topology is called 'torus'; there are dumbbell, fat_tree, leaf_spine, linear, ring, single, wan"),
        ("ring,size=3", "ring: size is not among its parameters switches, hosts"),
        ("ring,3,1,1", "ring: more values than its parameters switches, hosts"),
        ("fat_tree,k=5", "fat_tree: k=5: must be even"),
        ("wan,name=polsca", "wan: name=polsca: no such network; there is polska"),
    ],
)
def test_wrong_topology_is_refused_before_anything_starts(topology: str, says: str) -> None:
    """Status 2 and what would be right."""
    done = _lab(topology, timeout_s=20)
    assert (done.returncode, done.stdout) == (2, f"lab: {says}\n")
