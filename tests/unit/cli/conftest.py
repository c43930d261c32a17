"""The command in this process, against a real server over the real engine and store."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from apps.cli.__main__ import cli
from tests.support.api import Api, two_switches


class Pliant:
    """Runs `pliant` as a shell would, and tells what came of it."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def run(self, line: str, *, stdin: str | bytes | None = None) -> Result:
        """The words of the line are split at spaces."""
        return CliRunner().invoke(cli, ["--server", f"unix:{self.api.unix}", *line.split()], input=stdin)

    def ok(self, line: str, *, stdin: str | None = None) -> str:
        """Its standard output; it must have succeeded."""
        result = self.run(line, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def fails(self, line: str, *, stdin: str | bytes | None = None, code: int) -> str:
        """Its standard error; it must have failed with that status, and have left standard output empty."""
        result = self.run(line, stdin=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        assert result.stdout == ""
        return result.stderr


@pytest.fixture
def pliant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pliant]:
    """The command, its server, and a fabric of switches 1 and 2 with interfaces eth1 and eth2 each."""
    for variable in ("PLIANT_SERVER", "PLIANT_TOKEN", "PLIANT_TOKEN_FILE", "PLIANT_TENANT", "PLIANT_NETWORK"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PLIANT_STATE_DIR", str(tmp_path))
    # The server shares our process, and its log must not end up in the output of the command.
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    api = Api(tmp_path)
    api.operator.tell(*two_switches())
    yield Pliant(api)
    api.close()
    structlog.configure(**before)


@pytest.fixture
def red(pliant: Pliant) -> Pliant:
    """With tenant red, its network net1, subnet s1 of 10.0.0.0/24, and port web-1 on eth2 of switch 1."""
    pliant.ok("create tenant red")
    pliant.ok("create network net1 -t red")
    pliant.ok("create subnet s1 -t red -n net1 --cidr 10.0.0.0/24")
    pliant.ok(
        "create port web-1 -t red -n net1 --subnet s1 --attach eth2@1 --ip 10.0.0.5 --mac 02:00:00:00:00:05 "
        "--ceiling-in 10Mbps --ceiling-out 2.5Gbit/s --label app=web"
    )
    return pliant
