"""Terminals in a sandbox, in which a reader's commands are typed.

Knows how to type, and how to tell that a command ended or said something.  Refuses to know pages.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from apps.lab.sandbox import Sandbox

_END = "@@END@@"
_ENDED = re.compile(rf"\n?{_END} (\d+)\n")
_INTERPRETER = f"""
import json, sys, traceback
names = {{"__name__": "__main__"}}
for line in sys.stdin:
    status = 0
    try:
        exec(compile(json.loads(line), "the page", "exec"), names)
    except BaseException:
        traceback.print_exc()
        status = 1
    print(f"\\n{_END} {{status}}", flush=True)
"""
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VENV_BIN = Path(sys.executable).parent
_GRPCURL = Path(__file__).with_name("grpcurl.py")

HOME = "/run/home"
"""The reader's, who is an ordinary user as far as files are concerned: nothing of this machine's is read or written."""

# The reader's sudo has a path of its own, so a command of the virtual environment needs its whole path there.
# grpcurl is in no Debian package: the stand-in speaks to the server by reflection, as grpcurl does.
_PROFILE = f"""
export PATH={_VENV_BIN}:{_SYSTEM_PATH}
sudo() {{ env PATH={_SYSTEM_PATH} "$@"; }}
grpcurl() {{ {sys.executable} {_GRPCURL} "$@"; }}
"""


class Stuck(AssertionError):
    """A command did not end, or did not say what was waited for."""


class Terminal:
    """A shell, or Python, that keeps its state from command to command."""

    def __init__(self, sandbox: Sandbox, directory: str, *, python: bool = False) -> None:
        argv = (sys.executable, "-u", "-c", _INTERPRETER) if python else ("bash", "--noprofile", "--norc")
        self._process = sandbox.popen(
            "env", f"--chdir={directory}", *argv, env={"HOME": HOME, "PLIANT_STATE_DIR": f"{HOME}/.local/state/pliant"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self._python = python
        self._said = ""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not python:
            self.run(_PROFILE)

    def run(self, command: str, timeout_s: float = 60.0) -> tuple[int, str]:
        """Type a command, wait for its end: status and output."""
        self._type(json.dumps(command) if self._python else f"{command}\nprintf '\\n{_END} %d\\n' $?")
        return self._ended(timeout_s)

    def start(self, command: str, until: str, timeout_s: float = 60.0) -> str:
        """Type a command, or a line for one that runs; wait until it says `until`.  What it said."""
        self._type(command)
        return self._take(re.compile(re.escape(until)), timeout_s)[0]

    def interrupt(self, timeout_s: float = 30.0) -> str:
        """Ctrl-C to what runs; what it said until it ended."""
        shell = self._process.command_pid
        for child in Path(f"/proc/{shell}/task/{shell}/children").read_text().split():
            os.kill(int(child), signal.SIGINT)
        self._type(f"printf '\\n{_END} %d\\n' $?")
        return self._ended(timeout_s)[1]

    @property
    def unread(self) -> str:
        """What it said since the last command was done."""
        return self._said

    def _ended(self, timeout_s: float) -> tuple[int, str]:
        said, match = self._take(_ENDED, timeout_s)
        return int(match[1]), said[: -len(match[0])]

    def _type(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _take(self, pattern: re.Pattern[str], timeout_s: float) -> tuple[str, re.Match[str]]:
        """Everything up to the end of the first match, which is not seen again."""
        deadline_s = time.monotonic() + timeout_s
        with self._news:
            while (match := pattern.search(self._said)) is None:
                if not self._news.wait(deadline_s - time.monotonic()) and time.monotonic() >= deadline_s:
                    raise Stuck(f"{pattern.pattern!r} not seen within {timeout_s:g} s; said was:\n{self._said}")
            said, self._said = self._said[: match.end()], self._said[match.end() :]
        return said, match

    def _read(self) -> None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while True:
            try:
                data = os.read(descriptor, 65_536)
            except OSError:
                return
            if not data:
                return
            with self._news:
                self._said += data.decode(errors="replace")
                self._news.notify_all()
