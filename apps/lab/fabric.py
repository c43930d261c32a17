"""The lab's fabric: a topology in Mininet on the sandbox's own Open vSwitch, with pliantd in charge.

Runs inside a sandbox (see __main__.py).  Knows how to start, find and end things, and says how far it is; what is asked
of the controller is the business of demo.py and prompt.py.  Without another topology it is the demo's:

        spine1   spine2
         │ ╲  ╳  ╱ │            every leaf is wired to both spines
        leaf1 leaf2 leaf3
        h1 h2 h3 h4 h5 h6
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pliant
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import RemoteController
from mininet.topo import Topo
from pliant.v1.fabric_pb2 import Link
from pliant.v1.network_pb2 import Attachment

from apps.lab import topology
from apps.lab.progress import Report, silent
from apps.lab.wait import eventually

STATE_DIR = Path("/run/pliant")
LOG = Path("/run/pliantd.log")
_OPENFLOW = "127.0.0.1", 6653
_READY_S = 30.0
"""What may pass without progress before a start has failed."""
_LOOK_S = 0.1
_CONNECTED = "switches connected"


class FabricError(Exception):
    """The fabric could not be brought up; the message says what ended, and how."""


class _Net(Mininet):  # type: ignore[misc]
    """Mininet that says how far it is with what takes its time."""

    def __init__(self, topo: Topo, report: Report) -> None:
        self._report = report
        self._nodes = self._wires = 0
        self._of_nodes, self._of_wires = len(topo.nodes()), len(topo.links())
        super().__init__(topo=topo, controller=None, waitConnected=False)

    def addHost(self, *args: Any, **options: Any) -> Any:
        node = super().addHost(*args, **options)
        self._count_node()
        return node

    def addSwitch(self, *args: Any, **options: Any) -> Any:
        node = super().addSwitch(*args, **options)
        self._count_node()
        return node

    def addLink(self, *args: Any, **options: Any) -> Any:
        link = super().addLink(*args, **options)
        self._wires += 1
        self._report("wires", self._wires, self._of_wires)
        return link

    def _count_node(self) -> None:
        self._nodes += 1
        self._report("hosts and switches", self._nodes, self._of_nodes)


class Fabric:
    """Context manager: the switches and hosts of a topology, and a running pliantd that knows all of it."""

    def __init__(self, topo: Topo | None = None, *, report: Report = silent) -> None:
        self.topo = topo or topology.build(topology.DEFAULT)
        self._report = report
        self._switches, self._wires = len(self.topo.switches()), topology.wires(self.topo)
        self._pliantd: subprocess.Popen[bytes] | None = None
        self._net: Any = None
        # Everything below that looks for the controller (the client, the `pliant` command) finds this one.
        os.environ["PLIANT_STATE_DIR"] = str(STATE_DIR)
        self.client = pliant.Client(f"unix:{STATE_DIR / 'pliantd.sock'}", token="")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def net(self) -> Any:
        """The running Mininet."""
        return self._net

    def start_network(self) -> None:
        """Switches and hosts.  pliantd is already there, so that they find it at once."""
        setLogLevel("critical")
        Mininet.init()  # complains about system-wide limits, which a network namespace does not have
        setLogLevel("warning")
        host, port = _OPENFLOW
        self._net = _Net(self.topo, self._report)
        self._net.addController("pliantd", controller=RemoteController, ip=host, port=port)
        self._report(_CONNECTED, 0, self._switches)
        self._net.start()

    def wait_until_known(self) -> None:
        """Until pliantd has every switch in sync, has seen every link, both ways, and was told what each carries."""
        self._reach(_CONNECTED, lambda: self.client.server_info().switches_connected, self._switches)
        self._reach("links found", lambda: sum(link.up for link in self._links()), 2 * len(self._wires))
        self._declare_capacities()
        self._reach("switches in sync", lambda: self.client.server_info().switches_in_sync, self._switches)

    def _reach(self, step: str, count: Callable[[], int], of: int) -> None:
        """Report a count until it is reached.  A large fabric takes its time: only standing still is a failure."""
        seen = 0

        def more() -> int:
            now = count()
            assert now > seen, f"{now} of {of}"
            return now

        self._report(step, seen, of)
        while seen < of:
            seen = eventually(more, _READY_S, f"{step}: more of them", pause_s=_LOOK_S)
            self._report(step, seen, of)

    def _links(self) -> list[Link]:
        return list(self.client.links.list(page_size=1_000))

    def _declare_capacities(self) -> None:
        """Mininet's wires report the speed of a veth, whatever rate they have."""
        capacities = {
            (f"switches/{topology.dpid_of(self.topo, wire[f'node{end}'])}", wire[f"port{end}"]): wire["capacity_mbps"]
            for wire in self._wires
            for end in (1, 2)
            if "capacity_mbps" in wire
        }
        for link in self._links() if capacities else ():
            mbps = capacities[link.source.switch, link.source.port_number]
            said = Link(name=link.name, capacity_override_kbps=round(mbps * 1000))
            self.client.links.update(said, ["capacity_override_kbps"])

    def in_sync(self) -> bool:
        """Every switch is connected and holds what it should."""
        info = self.client.server_info()
        assert info.switches_in_sync == self._switches, f"{info.switches_in_sync} switches in sync"
        return True

    def start_pliantd(self) -> None:
        """Start the controller; returns when it answers."""
        host, port = _OPENFLOW
        with LOG.open("ab") as log:
            self._pliantd = subprocess.Popen(
                [sys.executable, "-m", "apps.pliantd", "--state-dir", str(STATE_DIR), "--openflow", f"{host}:{port}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._answers, _READY_S, "pliantd answers")

    def kill_pliantd(self) -> None:
        """End the controller as a crash does."""
        assert self._pliantd is not None
        self._pliantd.kill()
        self._pliantd.wait()
        self._pliantd = None

    def stop(self) -> None:
        """End the controller in order.  Hosts, switches and wires go with the sandbox, all at once."""
        self.client.close()
        pliantd, self._pliantd = self._pliantd, None
        if pliantd is not None:
            pliantd.send_signal(signal.SIGTERM)
            try:
                pliantd.wait(10)
            except subprocess.TimeoutExpired:
                pliantd.kill()
                pliantd.wait()

    def host(self, name: str) -> Any:
        """A Mininet host."""
        return self._net.get(name)

    def attachment(self, name: str) -> Attachment:
        """The switch port that a host hangs on."""
        interface = self.host(name).defaultIntf()
        link = interface.link
        switch_side = link.intf2 if link.intf1 is interface else link.intf1
        return Attachment(switch=switch_side.node.dpid, interface=switch_side.name)

    def _answers(self) -> bool:
        assert self._pliantd is not None
        if self._pliantd.poll() is not None:
            raise FabricError(f"pliantd ended with status {self._pliantd.returncode}\n{log_tail()}")
        try:
            return bool(self.client.server_info().version)
        except pliant.ApiError as error:
            raise AssertionError(str(error)) from error


def log_tail(*, lines: int = 25) -> str:
    """The end of pliantd's log."""
    return "\n".join(LOG.read_text().splitlines()[-lines:]) if LOG.exists() else "(pliantd wrote no log)"
