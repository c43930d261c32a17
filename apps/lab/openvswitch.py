"""Open vSwitch inside a sandbox: its two daemons, and how to attach a bridge to a controller safely.

Knows the daemons and the one transaction that makes a bridge ours.  Refuses to know flows.
"""

from __future__ import annotations

import shutil
import subprocess
from types import TracebackType
from typing import Self

from apps.lab import sendbuffer
from apps.lab.sandbox import Process, Sandbox, SandboxError

RUN_DIR = "/run/openvswitch"
SOCKET = f"{RUN_DIR}/db.sock"
DATABASE = f"{RUN_DIR}/conf.db"
LOG = f"{RUN_DIR}/ovs-vswitchd.log"
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_START_TIMEOUT_S = 20
_ENV = {"OVS_RUNDIR": RUN_DIR, "OVS_DBDIR": RUN_DIR, "OVS_LOGDIR": RUN_DIR}


class OpenVSwitch:
    """ovsdb-server and ovs-vswitchd of one sandbox.  Context manager; owns the sandbox unless one is passed in."""

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self.sandbox = sandbox or Sandbox(env=_ENV)
        self.vswitchd: Process | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start both daemons; returns when ovs-vswitchd has taken its first configuration."""
        if not self.sandbox.running:
            self.sandbox.start()
        try:
            if shutil.which("ovs-vswitchd") is None:
                raise SandboxError("ovs-vswitchd is not installed: run `make setup` (package openvswitch-switch)")
            self.sandbox.run("ovsdb-tool", "create", DATABASE, _SCHEMA)
            # --detach returns once the server listens, so nobody has to poll for it.
            self.sandbox.run("ovsdb-server", DATABASE, f"--remote=punix:{SOCKET}", "--detach", *_daemon("ovsdb-server"))
            self.vsctl("--no-wait", "init")
            self.start_vswitchd()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Everything of the sandbox ends, the daemons with it."""
        self.sandbox.stop()

    def start_vswitchd(self) -> None:
        """Start the switch daemon, and wait until it says that it has read its configuration."""
        self.vswitchd = self.sandbox.popen(
            "ovs-vswitchd",
            f"unix:{SOCKET}",
            *_daemon("ovs-vswitchd"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # The daemon acknowledges a configuration by number, and a transaction that changes nothing gets none: so
        # change something.
        self.vsctl("set", "Open_vSwitch", ".", f"external_ids:started={self.vswitchd.pid}")

    def stop_vswitchd(self) -> None:
        """End the switch daemon as a crash does: flows, groups and meters are gone, the configuration stays."""
        if self.vswitchd is not None:
            self.vswitchd.kill()
            self.vswitchd.wait()
            self.vswitchd = None

    def enlarge_send_buffer(self) -> None:
        """Room for longer queues on the ports, once the daemon has sent something; without it, on a busy machine, a
        queue of a few frames runs dry whenever the daemon has to wait for the processor.
        """
        if self.vswitchd is None or not sendbuffer.enlarge(self.vswitchd.command_pid):
            raise SandboxError("ovs-vswitchd has sent no frame yet: there is no buffer to enlarge")

    def vsctl(self, *argv: str) -> str:
        """ovs-vsctl."""
        return self.sandbox.run(
            "ovs-vsctl", f"--timeout={_START_TIMEOUT_S}", *argv, timeout_s=_START_TIMEOUT_S + 5
        ).strip()

    def ofctl(self, *argv: str, stdin: str | None = None) -> str:
        """ovs-ofctl, OpenFlow 1.3."""
        return self.sandbox.run("ovs-ofctl", "-O", "OpenFlow13", *argv, stdin=stdin, timeout_s=60)

    def appctl(self, *argv: str) -> str:
        """ovs-appctl to ovs-vswitchd."""
        return self.sandbox.run("ovs-appctl", *argv)

    def log_tail(self, *, lines: int = 40) -> str:
        """The last lines of ovs-vswitchd's log."""
        try:
            return "\n".join(self.sandbox.path(LOG).read_text().splitlines()[-lines:])
        except OSError as error:
            return f"(no ovs-vswitchd log: {error})"

    def add_bridge(self, name: str, dpid: int, *controllers: str) -> None:
        """Make a bridge and hand it to its controllers in one transaction.

        The order of things matters, hence the single transaction.  fail_mode=secure first: without it the bridge
        would forward by itself until a controller comes.  In-band control off and out-of-band connections: otherwise
        OVS keeps hidden flows, ahead of table 0, that let any frame to the controller's address through.  An explicit
        dpid: otherwise it changes when a port with a lower MAC joins.

        Args: controllers: OVS targets, such as "tcp:127.0.0.1:6653" or "unix:/tmp/of.sock".
        """
        transaction = ["--", "add-br", name, "--", "set", "bridge", name, "datapath_type=netdev", "fail_mode=secure"]
        transaction += ["protocols=OpenFlow13", "other_config:disable-in-band=true"]
        transaction += [f"other_config:datapath-id={dpid:016x}"]
        for number, target in enumerate(controllers):
            transaction += ["--", f"--id=@c{number}", "create", "controller", f'target="{target}"']
            transaction += ["connection_mode=out-of-band", "max_backoff=1000", "inactivity_probe=5000"]
            transaction += ["--", "add", "bridge", name, "controller", f"@c{number}"]
        self.vsctl(*transaction)


def _daemon(name: str) -> tuple[str, ...]:
    files = (f"--pidfile={RUN_DIR}/{name}.pid", f"--log-file={RUN_DIR}/{name}.log")
    return ("-vconsole:emer", "-vsyslog:off", "-vfile:info", "--no-chdir", *files)
