"""pliant api-resources, completion, version: about the command itself."""

from __future__ import annotations

import importlib.metadata
import json
import sys

import click

from apps.cli.errors import Failure
from apps.cli.kinds import KINDS
from apps.cli.output import Column, Table, print_lines, say
from apps.cli.session import Session

SHELLS = ("bash", "zsh", "fish")


@click.command("api-resources")
def api_resources() -> None:
    """List the kinds of resources."""
    columns = (
        Column("NAME", lambda kind: kind.plural),
        Column("SHORT", lambda kind: kind.short),
        Column("KIND", lambda kind: kind.title),
        Column("IN", lambda kind: "/".join(collection[:-1] for collection in kind.collections[:-1])),
        Column("VERBS", lambda kind: kind.verbs),
    )
    print_lines(Table(columns).lines(KINDS))


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash   eval "$(pliant completion bash)"
    zsh    eval "$(pliant completion zsh)"
    fish   pliant completion fish | source
    """
    from click.shell_completion import get_completion_class

    from apps.cli.__main__ import cli

    complete = get_completion_class(shell)
    assert complete is not None, f"click completes {shell}"
    click.echo(complete(cli, {}, "pliant", "_PLIANT_COMPLETE").source())


@click.command()
@click.option("--client", "client_only", is_flag=True, help="Ask no controller.")
@click.option("-o", "--output", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def version(session: Session, client_only: bool, format_: str) -> None:
    """Print the versions of this command and of the controller."""
    facts = {"client": own_version()}
    failure = None
    if not client_only:
        try:
            info = session.client.server_info()
            facts |= {"server": info.version, "switches": f"{info.switches_in_sync}/{info.switch_count} in sync"}
        except Failure as error:
            failure = error
    if format_ == "json":
        click.echo(json.dumps(facts, indent=2))
    else:
        for key, value in facts.items():
            click.echo(f"{key + ':':<9} {value}")
    if failure is not None:
        say(f"server:   {failure.message}")
        sys.exit(failure.exit_code)


def own_version() -> str:
    try:
        return importlib.metadata.version("pliant")
    except importlib.metadata.PackageNotFoundError:
        return "unknown: not installed as a package"
