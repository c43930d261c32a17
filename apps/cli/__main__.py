"""pliant: the command line of the controller.

Knows which commands exist and where they live, so that `pliant --help` loads none of them: gRPC alone would double its
time.  Everything else is in the module of each command.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from apps.cli.errors import EXIT_CODES, exit_code_of, translate
from apps.cli.session import Session


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: where it is, and its line in the help (which the command's own help must begin with)."""

    module: str
    help: str


SECTIONS: dict[str, dict[str, Entry]] = {
    "Look": {
        "get": Entry("get", "List resources, or show some of them."),
        "describe": Entry("get", "Show all there is to know of resources."),
        "wait": Entry("wait", "Wait until resources are in a state, or gone."),
        "top": Entry("top", "Show what tenants, networks, ports, pipes or links carry, live."),
        "path": Entry("path", "Show how frames go from one port or switch to another."),
        "export": Entry("export", "Write the topology as a document for other tools."),
    },
    "Change": {
        "create": Entry("create", "Create a tenant, network, subnet, port, peering or pipe."),
        "set": Entry("set", "Change bandwidth, labels, attachments, and what is declared of the fabric."),
        "delete": Entry("apply", "Delete resources."),
        "quote": Entry("quote", "Ask whether a guarantee would fit, and how much would."),
        "apply": Entry("apply", "Make everything in manifests exist as they say: all of it, or none."),
    },
    "Operate": {
        "drain": Entry("drain", "Take links or switches out of use, with no frame lost."),
        "undrain": Entry("drain", "Use drained links or switches again."),
    },
    "Lab and help": {
        "lab": Entry("lab", "Work with a Mininet that runs on this machine."),
        "decode": Entry("decode", "Explain fabric labels, as tcpdump shows them, and queues, as tc does."),
        "api-resources": Entry("about", "List the kinds of resources."),
        "completion": Entry("about", "Print the completion script of a shell."),
        "version": Entry("about", "Print the versions of this command and of the controller."),
    },
}
ATTRIBUTES = {"set": "set_", "api-resources": "api_resources"}
"""What commands are called in their module, where that is not their name."""
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Commands(click.Group):
    """Loads a command when it is used, and turns what goes wrong in it into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"apps.cli.{COMMANDS[cmd_name].module}")
        command: click.Command = getattr(module, ATTRIBUTES.get(cmd_name, cmd_name))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "see pliant --help"
            raise click.UsageError(f"there is no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.help) for name, entry in section.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit status"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            failure = translate(error)
            if failure is None:
                raise
            raise failure from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--server", envvar="PLIANT_SERVER", metavar="ADDRESS",
    help="The controller: HOST:PORT or unix:PATH.  [$PLIANT_SERVER, else the one of this machine]",
)
@click.option(
    "--token-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="The controller's token, needed over TCP.  [$PLIANT_TOKEN_FILE, else that of this machine]",
)
@click.option(
    "--ca-file", envvar="PLIANT_CA_FILE", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Speak TLS, and trust this authority.  [$PLIANT_CA_FILE]",
)
@click.pass_context
def cli(context: click.Context, server: str | None, token_file: Path | None, ca_file: Path | None) -> None:
    """Virtual networks on Open vSwitch: ask for them, look at them, change them."""
    context.obj = Session(server=server or None, token_file=token_file, ca_file=ca_file)
    context.call_on_close(context.obj.close)


def main() -> None:
    """The console script."""
    try:
        status = cli.main(prog_name="pliant", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(exit_code_of(error))
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        # `pliant get ports | head`: what reads us has seen enough, and Python must not complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()
