"""pliant export: the fabric for other tools."""

from __future__ import annotations

import click

from apps.cli.session import Session

FORMATS = {"json": "NODE_LINK_JSON", "graphml": "GRAPHML", "dot": "DOT"}


@click.group()
def export() -> None:
    """Write the topology as a document for other tools."""


@export.command()
@click.option("-o", "--output", "format_", type=click.Choice(list(FORMATS)), default="json", show_default=True,
              help="json is node-link data for networkx, dot is for Graphviz.")  # fmt: skip
@click.pass_obj
def topology(session: Session, format_: str) -> None:
    """Print all switches and links, with what is known and declared of them.

    \b
    pliant export topology -o dot | dot -Tsvg > fabric.svg
    """
    from pliant.v1 import fabric_pb2

    format_number = fabric_pb2.TopologyFormat.Value(f"TOPOLOGY_FORMAT_{FORMATS[format_]}")
    click.echo(session.client.topology(format_number), nl=False)
