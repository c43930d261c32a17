"""`pliant lab adopt` on a running Mininet: hosts that could not reach each other can, as they are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.pliantd import STATE_DIR, Pliantd
from tests.support.rig import Rig

_ROOT = Path(__file__).resolve().parents[2]
_READY_S = 30.0
_COMMAND_S = 120.0


class Mininet:
    """`mn` in the sandbox, at its prompt."""

    def __init__(self, rig: Rig, *options: str) -> None:
        rig.own_tmp()
        # To a file: a pipe would be held open by whatever mn leaves behind, and so outlast it.
        self._log = rig.sandbox.path("/run/mn.log")
        with self._log.open("w") as log:
            self._process = rig.sandbox.popen(
                "mn", "--controller", "remote,ip=127.0.0.1,port=6653", *options,
                stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
            )

    def run(self, *commands: str) -> str:
        """What it prints while it does that and then leaves."""
        self._process.communicate("\n".join([*commands, "exit", ""]), timeout=_COMMAND_S)
        return self.said()

    def said(self) -> str:
        return self._log.read_text()

    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()


@contextmanager
def mininet(pliantd: Pliantd, *options: str, switches: int, links: int) -> Iterator[Mininet]:
    """`mn` with pliantd as its remote controller; ready when pliantd knows all of it."""
    mn = Mininet(pliantd.rig, *options)

    def connected() -> bool:
        found = [switch.name for switch in pliantd.client.switches.list() if switch.connected and switch.in_sync]
        assert len(found) == switches, found
        return True

    try:
        eventually(connected, timeout_s=_READY_S, what=f"{switches} switches are in sync")
        if links:
            pliantd.wait_for_links(links)
        yield mn
    except BaseException:
        print(f"--- mn (running: {mn.running()})\n{mn.said()}\n{pliantd.rig.sandbox.run('ps', 'axwwf')}")
        raise
    finally:
        mn.kill()


def pliant(pliantd: Pliantd, *argv: str) -> str:
    """The command, as root where Mininet runs; its standard output."""
    environment = ["env", f"PLIANT_STATE_DIR={STATE_DIR}", f"PYTHONPATH={_ROOT}"]
    return pliantd.rig.sandbox.run(*environment, sys.executable, "-m", "apps.cli", *argv, timeout_s=60)


@pytest.mark.lab
def test_pingall_works_after_adopting_a_leaf_spine(ovs: Rig) -> None:
    """Every host reaches every other over two spines; a second run changes nothing."""
    topology = ("--custom", str(_ROOT / "topologies" / "leaf_spine.py"), "--topo", "leaf_spine")
    with Pliantd(ovs) as pliantd, mininet(pliantd, *topology, switches=5, links=12) as mn:
        made = pliant(pliantd, "lab", "adopt")
        assert made.splitlines()[:2] == ["tenant/lab created", "network/net1 created"]
        assert made.count("port/") == 6
        ports = pliant(pliantd, "get", "ports").splitlines()[1:]
        assert len(ports) == 6 and all("ACTIVE" in row for row in ports), ports
        assert pliant(pliantd, "lab", "adopt").count("unchanged") == 7
        said = mn.run("pingall")
        assert "Results: 0% dropped (30/30 received)" in said, said


@pytest.mark.lab
def test_adopted_hosts_keep_random_macs_and_networks_stay_apart(ovs: Rig) -> None:
    """Plain `mn` without any file of ours, its hosts shared by two tenants with the same addresses' range."""
    plain = ("--topo", "single,4", "--switch", "ovs,datapath=user")
    with Pliantd(ovs) as pliantd, mininet(pliantd, *plain, switches=1, links=0) as mn:
        pliant(pliantd, "lab", "adopt", "h1", "h2", "--tenant", "red")
        pliant(pliantd, "lab", "adopt", "h3", "h4", "--tenant", "blue")
        said = mn.run("h1 ping -c 2 -W 1 10.0.0.2", "h3 ping -c 2 -W 1 10.0.0.4", "h1 ping -c 2 -W 1 10.0.0.3")
        inside, other_inside, across = [line for line in said.splitlines() if "packet loss" in line]
        assert " 0% packet loss" in inside, said
        assert " 0% packet loss" in other_inside, said
        assert "100% packet loss" in across, said


@pytest.mark.lab
def test_adopt_without_mininet_says_what_to_start(ovs: Rig) -> None:
    """Status 5, and the next command."""
    with Pliantd(ovs) as pliantd:
        environment = ["env", f"PLIANT_STATE_DIR={STATE_DIR}", f"PYTHONPATH={_ROOT}"]
        process = ovs.sandbox.popen(*environment, sys.executable, "-m", "apps.cli", "lab", "adopt",
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, said = process.communicate(timeout=30)
        assert (process.returncode, output) == (5, "")
        assert "no Mininet host is running" in said and "next: start one: mn " in said
        assert pliantd.client.server_info().revision == 0
