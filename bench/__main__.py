"""The benches: `python -m bench [NAME...] [--quick]`."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator

import click
from rich.console import Console

from apps.lab.sandbox import SandboxError
from bench import (
    allocator,
    contention,
    demands,
    elastic,
    failover,
    fat_tree,
    flowmods,
    hops,
    links,
    many_to_many,
    paths,
    ports,
    protection,
    provision,
    queues,
    reconnect,
    smallest,
    tail,
    utilisation,
)
from bench.figures import Report

BENCHES: dict[str, Callable[..., Iterator[Report]]] = {
    "ports": ports.run,
    "flowmods": flowmods.run,
    "provision": provision.run,
    "reconnect": reconnect.run,
    "failover": failover.run,
    "links": links.run,
    "fat_tree": fat_tree.run,
    "paths": paths.run,
    "demands": demands.run,
    "allocator": allocator.run,
    "utilisation": utilisation.run,
    "protection": protection.run,
    "queues": queues.run,
    "contention": contention.run,
    "hops": hops.run,
    "many_to_many": many_to_many.run,
    "smallest": smallest.run,
    "elastic": elastic.run,
    "tail": tail.run,
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="A tenth of the scale: whether it runs, not how fast.")
def main(names: tuple[str, ...], quick: bool) -> None:
    """Measure on real Open vSwitch and print the tables.  NAME: ports, flowmods, provision, reconnect, failover,
    links; of bandwidth: contention, hops, many_to_many, smallest, elastic, tail; on switches in memory: fat_tree; of
    the kernel alone: queues; of pure code alone: paths, demands, allocator, utilisation, protection; none is all."""
    if unknown := set(names) - set(BENCHES):
        raise click.UsageError(f"no bench {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    console = Console(width=None if sys.stdout.isatty() else 130)
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores before the start"
    console.print(f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {platform.platform()}, {load}")
    for name in names or BENCHES:
        console.print()
        try:
            for report in BENCHES[name](quick=quick):
                report.show(console)
        except SandboxError as error:
            raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
