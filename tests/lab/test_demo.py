"""The demo as a user runs it: every row holds, and nothing stays behind, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from apps.lab.wait import eventually

_DEMO = [sys.executable, "-m", "apps.lab", "demo"]


class _Trace:
    """What one run of the demo has on the machine: processes, known by a mark in their environment; interfaces."""

    def __init__(self) -> None:
        self._mark = f"LAB_TEST_RUN={uuid.uuid4()}"
        self._interfaces = set(os.listdir("/sys/class/net"))

    @property
    def env(self) -> dict[str, str]:
        name, _, value = self._mark.partition("=")
        return {**os.environ, name: value}

    def processes(self) -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue  # it ended while we looked
        return found

    def wait_until_gone(self) -> None:
        """Nothing is left of it within a few seconds."""

        def gone() -> bool:
            left = self.processes() + sorted(set(os.listdir("/sys/class/net")) - self._interfaces)
            assert not left, f"left behind: {left}"
            return True

        eventually(gone, 5, "the machine as it was")


@pytest.mark.lab
def test_demo_holds_every_row_and_leaves_nothing(tmp_path: Path) -> None:
    """Exit status 0, fifteen measured rows, a picture, and the machine is as it was."""
    trace = _Trace()
    done = subprocess.run(_DEMO, env=trace.env, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("  ok   ") == 15
    assert (tmp_path / "pliant-demo.png").read_bytes().startswith(b"\x89PNG")
    assert "FAIL" not in done.stdout
    trace.wait_until_gone()


@pytest.mark.lab
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_demo_leaves_nothing_when_it_is_interrupted(how: signal.Signals) -> None:
    """Ctrl-C goes to the whole foreground group; SIGTERM and SIGKILL to the program alone.  Either way all is gone."""
    trace = _Trace()
    with subprocess.Popen(_DEMO, env=trace.env, stdout=subprocess.PIPE, text=True, start_new_session=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.startswith("  ok   "):
                break
        assert len(trace.processes()) > 10
        if how is signal.SIGINT:
            os.killpg(demo.pid, how)
        else:
            demo.send_signal(how)
        demo.stdout.read()
        assert demo.wait(30) in (128 + signal.SIGINT, -how)
    trace.wait_until_gone()


@pytest.mark.lab
def test_ctrl_c_during_the_first_second_is_heard() -> None:
    """Open vSwitch is starting, and the program that shows the rows is not there yet: all ends, and is gone."""
    trace = _Trace()
    with subprocess.Popen(_DEMO, env=trace.env, stdout=subprocess.PIPE, text=True, start_new_session=True) as demo:
        eventually(lambda: any(line.startswith("unshare ") for line in trace.processes()), 20, "the sandbox is made")
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(30) == 128 + signal.SIGINT
        assert demo.stdout is not None and "  ok   " not in demo.stdout.read()
    trace.wait_until_gone()
