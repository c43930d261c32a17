"""The lab's fabric: Mininet's leaf-spine on the sandbox's own Open vSwitch, with pliantd in charge.

Runs inside a sandbox (see __main__.py).  Knows how to start, find and end things; what is asked of the controller is
the business of demo.py and prompt.py.

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
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pliant
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import RemoteController
from pliant.v1.network_pb2 import Attachment

from apps.lab.wait import eventually
from topologies.leaf_spine import LeafSpine

STATE_DIR = Path("/run/pliant")
LOG = Path("/run/pliantd.log")
_OPENFLOW = "127.0.0.1", 6653
_LEAVES, _SPINES = 3, 2
_READY_S = 30.0


class FabricError(Exception):
    """The fabric could not be brought up; the message says what ended, and how."""


class Fabric:
    """Context manager: two spines, three leaves, six hosts, and a running pliantd that knows all of it."""

    def __init__(self) -> None:
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
        self._net = Mininet(topo=LeafSpine(), controller=None, waitConnected=False)
        self._net.addController("pliantd", controller=RemoteController, ip=host, port=port)
        self._net.start()

    def wait_until_known(self) -> None:
        """Until pliantd has every switch in sync and has seen every link, both ways."""

        def known() -> bool:
            links = sum(link.up for link in self.client.links.list())
            assert links == 2 * _LEAVES * _SPINES, f"{links} links seen"
            return self.in_sync()

        eventually(known, _READY_S, "pliantd knows the whole fabric")

    def in_sync(self) -> bool:
        """Every switch is connected and holds what it should."""
        info = self.client.server_info()
        assert info.switches_in_sync == _LEAVES + _SPINES, f"{info.switches_in_sync} switches in sync"
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
        """End hosts, switches and controller, in this order."""
        net, self._net = self._net, None
        if net is not None:
            net.stop()
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
