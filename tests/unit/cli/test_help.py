"""What it costs to ask for help, and that the help is true."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from apps.cli.__main__ import COMMANDS, cli
from apps.cli.errors import EXIT_CODES

HEAVY = ("grpc", "google.protobuf", "rich", "yaml", "controller", "pliant.client", "os_ken")


def imported(*arguments: str) -> set[str]:
    """The modules that a run of the command loads."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "apps.cli", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize(
    "arguments", [("--help",), ("decode", "02:00:12:00:04:03"), ("decode", "--help"), ("api-resources",)]
)
def test_help_and_offline_commands_load_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """gRPC alone takes longer than all of `pliant --help` may."""
    loaded = imported(*arguments)
    assert "click" in loaded
    assert not [module for module in loaded if module.startswith(HEAVY)]


def test_command_imports_nothing_of_the_controller() -> None:
    """It speaks the contract, and could live in a repository of its own."""
    code = "import sys; from apps.cli.__main__ import *; [cli.get_command(None, n) for n in COMMANDS]"
    code += "; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "grpc" in loaded or "pliant.v1.network_pb2" in loaded
    assert not [module for module in loaded if module.split(".")[0] in ("controller", "os_ken", "sqlite3")]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_begins_as_listed(name: str) -> None:
    """The list is written apart, so that it loads nothing; it must not lie."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").splitlines()[0] == COMMANDS[name].help


def test_help_documents_the_exit_statuses() -> None:
    """All of them."""
    text = cli.get_help(click.Context(cli, info_name="pliant"))
    for status, meaning in EXIT_CODES.items():
        assert f"  {status}  {meaning}" in text


def test_broken_pipe_is_quiet() -> None:
    """`pliant api-resources | true`."""
    done = subprocess.run(
        f"{sys.executable} -m apps.cli api-resources | true", shell=True, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_script_reports_errors_by_status() -> None:
    """As a process, not only inside a test runner."""
    done = subprocess.run(
        [sys.executable, "-m", "apps.cli", "--server", "127.0.0.1:1", "get", "ports"], capture_output=True, text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.startswith("error: no controller answers at 127.0.0.1:1")
    done = subprocess.run([sys.executable, "-m", "apps.cli", "gte"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
