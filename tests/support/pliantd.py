"""pliantd inside a rig's sandbox, and a client that talks to it from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pliant

from apps.lab.sandbox import Process
from tests.support.eventually import eventually
from tests.support.rig import Rig

STATE_DIR = "/run/pliant"
OPENFLOW = "127.0.0.1:6653"
CONTROLLER = f"tcp:{OPENFLOW}"
"""What a bridge of the rig is given as its controller."""


class Pliantd:
    """The controller as a user runs it.  It may be killed and started again; its state directory stays."""

    def __init__(self, rig: Rig, *options: str, env: Mapping[str, str] | None = None) -> None:
        """Args: env: PLIANT_<SECTION>__<KEY> settings."""
        self.rig = rig
        self.options = options
        self.env = env
        self._process: Process | None = None
        self._client: pliant.Client | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is not None:
            print(f"--- pliantd\n{self.log()[-20_000:]}")

    @property
    def socket(self) -> Path:
        return self.rig.sandbox.path(f"{STATE_DIR}/pliantd.sock")

    @property
    def client(self) -> pliant.Client:
        assert self._client is not None, "pliantd is not running"
        return self._client

    def log(self) -> str:
        return self.rig.sandbox.path("/run/pliantd.log").read_text()

    def start(self) -> None:
        """Returns when it answers."""
        assert self._process is None
        with self.rig.sandbox.path("/run/pliantd.log").open("a") as log:
            self._process = self.rig.sandbox.popen(
                sys.executable, "-m", "apps.pliantd", "--state-dir", STATE_DIR, "--openflow", OPENFLOW,
                "--grpc", "", *self.options, env=self.env, stdout=subprocess.DEVNULL, stderr=log)
        self._client = pliant.Client(f"unix:{self.socket}", token="")
        eventually(self._answers, timeout_s=20.0, what="pliantd answers")

    def stop(self, sig: int = signal.SIGTERM) -> None:
        """End it, as kindly as the signal is."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if self._client is not None:
            self._client.close()
            self._client = None
        process.send_signal(sig)
        process.wait(15)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def wait_for_links(self, count: int) -> None:
        """Until so many directed links are up."""
        def up() -> bool:
            links = [link.name for link in self.client.links.list() if link.up]
            assert len(links) == count, links
            return True

        eventually(up, timeout_s=20.0, what=f"{count} links are up")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"pliantd ended with status {self._process.returncode}:\n{self.log()[-5_000:]}")
        try:
            return bool(self.client.server_info().version)
        except pliant.ApiError as error:
            raise AssertionError(str(error)) from error
