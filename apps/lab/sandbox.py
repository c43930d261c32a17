"""A private place to run switches and hosts in, gone without a trace when its owner is.

Knows namespaces and processes.  Refuses to know what runs inside: Open vSwitch is openvswitch.py, hosts are their
users' business.

    owner (pytest, the demo)                      sandbox: own network, mount and process namespaces
    ------------------------                      --------------------------------------------------
    Sandbox ── stdin pipe ──────────────────────► init (sh) waits for the pipe to close
       popen ─► nsenter (waits, passes on status) ─► the command, e.g. ovs-vswitchd
                                                     fresh tmpfs on /run: OVS's sockets and database, `ip netns` names

The pipe is the life line.  However the owner ends, also by SIGKILL, the kernel closes the pipe, init leaves, and with
the init of a process namespace die all its processes; the namespaces and everything in them (links, mounts, files in
/run) follow.  So there is nothing to clean up outside, and as many sandboxes as wanted coexist: two userspace
ovs-vswitchd could not share a network namespace, and none of this touches the machine's own Open vSwitch.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_INIT = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mount -t sysfs sysfs /sys
mkdir /run/netns /run/openvswitch
ip link set lo up
for scope in all default; do
    switch=/proc/sys/net/ipv6/conf/$scope/disable_ipv6
    if [ -e $switch ]; then echo 1 > $switch; fi
done
exec 3<&0
cat <&3 >/dev/null &
echo ready
wait
"""
# IPv6 is off on the switch side: no router solicitations or MLD of the machine's own on switch ports.
# `wait` rather than `exec cat`: an init has to reap the orphans it is given.

_STOP_TIMEOUT_S = 10.0


class SandboxError(Exception):
    """A sandbox could not be made, or a command in it failed; the message holds the command and what it said."""


class Process(subprocess.Popen[str]):
    """A command inside a sandbox: status and pipes are the command's own, and signals reach it, not nsenter."""

    def send_signal(self, sig: int) -> None:
        """Signal the command; nsenter, its parent out here, then leaves with the same status."""
        if self.poll() is not None:
            return
        for pid in _children(self.pid) or (self.pid,):
            _kill(pid, sig)
        if sig != signal.SIGSTOP:
            # nsenter stops itself when its command is stopped; it has to wake to see what becomes of it.
            _kill(self.pid, signal.SIGCONT)

    @property
    def command_pid(self) -> int:
        """The command's process id as seen from outside."""
        return (_children(self.pid) or (self.pid,))[0]


class Sandbox:
    """Context manager.  `stop` is idempotent, and forgetting it is harmless."""

    def __init__(self, *, env: Mapping[str, str] | None = None) -> None:
        """Args: env: extra environment for every command inside."""
        self._env = dict(env or {})
        self._holder: subprocess.Popen[str] | None = None
        self._init_pid = 0
        self._processes: list[Process] = []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Make the namespaces.  Raises SandboxError, with the remedy, when the machine does not allow it."""
        if os.geteuid() != 0:
            raise SandboxError("a sandbox needs root to make network namespaces: run this with sudo")
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", _INIT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the owner, who then stops the sandbox in its own order
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline().strip() != "ready":
            _, said = self._holder.communicate(timeout=_STOP_TIMEOUT_S)
            self._holder = None
            raise SandboxError(f"no namespaces to be had here (a container without CAP_SYS_ADMIN?): {said.strip()}")
        (self._init_pid,) = _children(self._holder.pid)
        return self

    def stop(self) -> None:
        """End every process inside and let the namespaces go."""
        holder, self._holder = self._holder, None
        if holder is None:
            return
        for pipe in (holder.stdin, holder.stdout, holder.stderr):
            if pipe is not None:
                pipe.close()
        try:
            holder.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            holder.kill()
            holder.wait()
        for process in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        self._processes.clear()

    @property
    def running(self) -> bool:
        return self._holder is not None and self._holder.poll() is None

    @property
    def pid(self) -> int:
        """The pid of the sandbox's init: `nsenter -t PID -n -m -p` joins from another terminal."""
        return self._init_pid

    def path(self, inside: str) -> Path:
        """How the outside reaches a file or socket of the sandbox's own /run."""
        return Path(f"/proc/{self._init_pid}/root") / inside.lstrip("/")

    def popen(
        self,
        *argv: str,
        netns: str | None = None,
        own_session: bool = True,
        env: Mapping[str, str] | None = None,
        **pipes: Any,
    ) -> Process:
        """Start a command inside, in the caller's working directory.

        Args:
            netns: run it in this `ip netns` of the sandbox (a host) rather than where the switches are.
            own_session: False leaves it in the terminal's foreground group, for a command that talks to the user.
            env: added to the environment.
            pipes: stdin, stdout, stderr as for subprocess; text mode.
        """
        if not self.running:
            raise SandboxError(f"the sandbox is not running: cannot start {argv[0]}")
        variables = {**self._env, **(env or {})}
        enter = ["nsenter", "--target", str(self._init_pid), "--net", "--mount", "--pid", "--"]
        enter += ["env", f"--chdir={Path.cwd()}", *(f"{name}={value}" for name, value in variables.items())]
        if netns is not None:
            enter += ["ip", "netns", "exec", netns]
        pipes.setdefault("stdin", subprocess.DEVNULL)
        process = Process([*enter, *argv], text=True, start_new_session=own_session, **pipes)
        self._processes = [p for p in self._processes if p.returncode is None]
        self._processes.append(process)
        return process

    def run(self, *argv: str, netns: str | None = None, timeout_s: float = 30.0, stdin: str | None = None) -> str:
        """Run a command inside to its end; its standard output.  SandboxError if it fails or takes too long."""
        source = subprocess.PIPE if stdin is not None else subprocess.DEVNULL
        process = self.popen(
            *argv, netns=netns, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            output, said = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            output, said = process.communicate()
            raise SandboxError(
                f"{' '.join(argv)}: not done after {timeout_s:g} s\n{said.strip()}\n{output.strip()}"
            ) from None
        if process.returncode != 0:
            status = process.returncode
            how = f"exit status {status}" if status > 0 else f"ended by {signal.Signals(-status).name}"
            raise SandboxError(f"{' '.join(argv)}: {how}\n{said.strip()}\n{output.strip()}".rstrip())
        return output


def _kill(pid: int, sig: int) -> None:
    with suppress(ProcessLookupError):  # it ended by itself in the meantime
        os.kill(pid, sig)


def _children(pid: int) -> tuple[int, ...]:
    try:
        return tuple(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    except FileNotFoundError:
        return ()
