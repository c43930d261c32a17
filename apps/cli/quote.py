"""pliant quote: whether a guarantee would fit, and how much would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from apps.cli.errors import PRECONDITION
from apps.cli.kinds import find_kind, find_targets
from apps.cli.options import bandwidth_chosen, bandwidth_options, scope_of, scope_options
from apps.cli.output import Column, Table, print_lines
from apps.cli.rates import format_rate
from apps.cli.session import Session

if TYPE_CHECKING:
    from pliant.v1.bandwidth_pb2 import QuoteBandwidthResponse

KINDS = ("tenant", "network", "port", "pipe")


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="KIND NAME | KIND/NAME")
@scope_options
@bandwidth_options
@click.option("-o", "--output", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="How to print it.")  # fmt: skip
@click.pass_context
def quote(context: click.Context, /, what: tuple[str, ...], format_: str, **given: Any) -> None:
    """Ask whether a guarantee would fit, and how much would.

    It is asked for a tenant, network, port or pipe as it is, with what the options change.  Nothing is changed or
    reserved.  Exit status 5 if it does not fit.

    \b
    pliant quote port web-1 -t red -n net1 --guarantee-out 40Mbps
    """
    session: Session = context.obj
    targets = find_targets(what, scope_of(given), [find_kind(kind) for kind in KINDS])
    if len(targets) != 1 or not targets[0][1]:
        raise click.UsageError("a quote is for one object: give its kind and name")
    (kind, name), = targets
    resource = getattr(session.client, kind.plural).get(name)
    fields = bandwidth_chosen(given)
    for field in fields:
        resource.bandwidth.ClearField(field)
    resource.bandwidth.MergeFrom(type(resource.bandwidth)(**fields))
    answer = session.client.quote(resource)
    if format_ == "json":
        from google.protobuf.json_format import MessageToDict

        shown = MessageToDict(answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        click.echo(json.dumps(shown, indent=2))
    else:
        print_lines(_lines(answer))
    context.exit(0 if answer.fits else PRECONDITION)


def _lines(answer: QuoteBandwidthResponse) -> Iterator[str]:
    if answer.fits:
        yield "it fits"
        return
    largest = {"in": answer.largest_guarantee_in_kbps, "out": answer.largest_guarantee_out_kbps}
    most = " and ".join(f"{format_rate(kbps)} {way}" for way, kbps in largest.items() if kbps)
    yield f"it does not fit: {f'at most {most}' if most else 'nothing would'}"
    if answer.shortfalls:
        yield ""
        yield from Table(_SHORTFALLS).lines(answer.shortfalls)


_SHORTFALLS = [
    Column("LINK", lambda shortfall: shortfall.link.rpartition("/")[2]),
    Column("NEEDED", lambda shortfall: format_rate(shortfall.needed_kbps)),
    Column("LEFT", lambda shortfall: format_rate(shortfall.left_kbps)),
]
