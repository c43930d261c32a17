"""The lab program.

    python -m apps.lab demo     measure what Pliant promises, as a table; exit status 0 if every row holds
    python -m apps.lab up       the same fabric, with a prompt
    python -m apps.lab up --topo fat_tree,k=4
                                another one of topologies/, all its hosts in one network

It makes a sandbox with an Open vSwitch of its own and runs itself again inside; the machine's own Open vSwitch,
interfaces and /run are not touched.  However it ends, also by Ctrl-C or SIGKILL, nothing stays behind.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what takes its time to import waits until Ctrl-C is handled
    from apps.lab.sandbox import Process

_END_S = 3.0
"""What the demo may take to end in order; then it is told, and then ended."""


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m apps.lab", description="A fabric of real Open vSwitch to look at.")
    parser.add_argument("what", choices=("demo", "up"), help="demo: measure the promises; up: a prompt")
    parser.add_argument("--topo", metavar="NAME[,KEY=VALUE]...", help="up: another topology, as for mn --topo")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.topo and asked.what != "up":
        parser.error("--topo is for up: the demo's claims are about its own topology")
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a script's `&` had it ignored
    try:
        return _inside(asked.what, asked.topo) if asked.inside else _outside(asked.what, asked.topo)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _outside(what: str, topo: str | None) -> int:
    from apps.lab import topology
    from apps.lab.sandbox import SandboxError

    if topo:
        try:
            topology.build(topo)  # what is wrong with it, before anything is started
        except topology.TopologyError as error:
            print(f"lab: {error}", file=sys.stderr)
            return 2
    try:
        return _run_in_sandbox(what, topo)
    except SandboxError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _run_in_sandbox(what: str, topo: str | None) -> int:
    from apps.lab.openvswitch import OpenVSwitch

    with OpenVSwitch() as ovs:
        options = ["--inside", *(["--topo", topo] if topo else [])]
        # Ctrl-C belongs to the program inside: at the lab's prompt it interrupts a ping, in the demo it ends everything
        # in order.  The nsenter in between ignores it, and so does Python in there until it is ready.
        process = ovs.sandbox.popen(
            sys.executable, "-m", "apps.lab", what, *options,
            own_session=False, stdin=None, preexec_fn=_ignore_interrupts,
        )  # fmt: skip
        if what == "up":
            _ignore_interrupts()
            return process.wait()
        try:
            return process.wait()
        except KeyboardInterrupt as interrupt:
            _let_end(process, told=not isinstance(interrupt, _Terminated))
            raise


def _let_end(process: Process, *, told: bool) -> None:
    """It shows how far it came and gives the terminal back.  A Ctrl-C while it was starting did not reach it."""
    for patience_s in (_END_S, 2 * _END_S) if told else (0, 2 * _END_S):
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
            return
        process.send_signal(signal.SIGINT)


def _inside(what: str, topo: str | None) -> int:
    # Mininet is needed only in here, and takes its time to import.
    from pliant import ApiError
    from rich.console import Console

    from apps.lab import demo, prompt, topology
    from apps.lab.fabric import Fabric, FabricError, log_tail
    from apps.lab.measure import MeasureError
    from apps.lab.progress import Steps, silent
    from apps.lab.table import Board
    from apps.lab.wait import NotReached

    console = Console()
    steps = Steps(console)
    with Fabric(topology.build(topo or topology.DEFAULT), report=steps if what == "up" else silent) as fabric:
        try:
            if what == "up":
                with steps:
                    prompt.start(fabric)
                prompt.run(fabric, console, two_tenants=not topo)
                return 0
            with Board("Pliant on a leaf-spine of Open vSwitch: 2 spines, 3 leaves, 6 hosts", console=console) as board:
                demo.run(fabric, board)
        except (NotReached, MeasureError, ApiError, FabricError) as error:
            console.print(f"--- the end of pliantd's log\n{log_tail()}\n---", markup=False, highlight=False)
            console.print(f"lab: {error}", markup=False, highlight=False, style="bold red")
            return 1
    if not board.holds:
        console.print("not every row holds", style="bold red")
        return 1
    console.print("every row holds", style="green")
    return 0


class _Terminated(KeyboardInterrupt):
    """By SIGTERM, which comes to this process alone; Ctrl-C comes to the one inside as well."""


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise _Terminated


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
