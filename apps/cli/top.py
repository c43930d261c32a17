"""pliant top: what is carried, live.

    WatchUsage ──► what is known of each ──► the busiest first, as many as fit ──► the terminal, look by look
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from apps.cli.kinds import Kind, Scope, find_kind, last_id
from apps.cli.options import scope_options
from apps.cli.output import Column, Table, print_lines, say
from apps.cli.rates import format_load, format_rate
from apps.cli.session import Session
from apps.cli.words import format_bytes, limit

if TYPE_CHECKING:
    from pliant.v1.bandwidth_pb2 import Usage

KINDS = ("tenant", "network", "port", "pipe", "link")
BAR_CHARS = 20
ROOM_LINES = 2
"""Of the terminal's height, for the heading and the prompt."""


@click.command()
@click.argument("what", metavar="KIND")
@scope_options
@click.option("--once", is_flag=True, help="Print it once, as of the last look, and end.")
@click.option("-o", "--output", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="How to print it.")  # fmt: skip
@click.pass_obj
def top(session: Session, what: str, tenant: str, network: str, once: bool, format_: str) -> None:
    """Show what tenants, networks, ports, pipes or links carry, live.

    The busiest come first.  Ends with Ctrl-C, or at once with --once.

    \b
    pliant top tenants
    pliant top ports -t red -n net1
    pliant top links --once -o json
    """
    kind = find_kind(what, [find_kind(each) for each in KINDS])
    number, parent = _number(kind), _parent(kind, Scope(tenant=tenant, network=network))
    if once:
        _print(kind, list(session.client.usage(number, parent)), format_)
        return
    with session.client.watch_usage(number, parent) as looks:
        if format_ == "table" and sys.stdout.isatty():
            _show(kind, looks)
            return
        for n, usages in enumerate(_follow(looks)):
            if n and format_ == "table":
                click.echo()
            _print(kind, usages, format_, line=True)


def _number(kind: Kind) -> Any:
    from pliant.v1 import watch_pb2

    return watch_pb2.Kind.Value(f"KIND_{kind.name.upper()}")


def _parent(kind: Kind, scope: Scope) -> str:
    """What -t and -n narrow it to, as far as the kind is in tenants and networks."""
    if not kind.owned or not scope.tenant:
        return ""
    in_network = scope.network and "networks" in kind.collections
    return f"tenants/{scope.tenant}" + (f"/networks/{scope.network}" if in_network else "")


def _follow(looks: Iterable[Any]) -> Iterator[list[Usage]]:
    """All that is known, after each message."""
    known: dict[str, Usage] = {}
    for look in looks:
        known |= {usage.name: usage for usage in look.usages}
        for name in look.gone:
            known.pop(name, None)
        yield list(known.values())


def _show(kind: Kind, looks: Iterable[Any]) -> None:
    """On a terminal, in place."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for usages in _follow(looks):
            lines = Table(_COLUMNS[kind.name]).lines(_busiest(usages))
            shown = lines[: max(console.height - ROOM_LINES, 1)]
            live.update(Text("\n".join(shown), no_wrap=True, overflow="ellipsis"), refresh=True)


def _print(kind: Kind, usages: Sequence[Usage], format_: str, *, line: bool = False) -> None:
    if format_ == "json":
        from google.protobuf.json_format import MessageToDict

        shown = [MessageToDict(usage, preserving_proto_field_name=True) for usage in _busiest(usages)]
        click.echo(json.dumps(shown, indent=None if line else 2))
    elif usages:
        print_lines(Table(_COLUMNS[kind.name]).lines(_busiest(usages)))
    else:
        say(f"no {kind.plural} have been looked at")


def _busiest(usages: Iterable[Usage]) -> list[Usage]:
    return sorted(usages, key=lambda usage: (-usage.inward.rate_kbps - usage.outward.rate_kbps, usage.name))


def _name(usage: Usage) -> str:
    """The ids of its name, outermost first."""
    return "/".join(usage.name.split("/")[1::2])


def _guaranteed(way: str) -> Callable[[Any], str]:
    def cell(usage: Any) -> str:
        return format_rate(getattr(usage.bandwidth_status, way).guarantee_kbps)

    return cell


def _allotted(way: str) -> Callable[[Any], str]:
    """Estimated from what was measured, so with as many digits as that."""

    def cell(usage: Any) -> str:
        kbps = getattr(usage.bandwidth_status, way).allotted_kbps
        return format_load(kbps) if kbps else "-"

    return cell


def _limits(usage: Any) -> str:
    """What holds it back, in each direction in which something does."""
    status = usage.bandwidth_status
    held = {way: limit(each.bottleneck, usage.name) for way, each in (("in", status.inward), ("out", status.outward))}
    if held["in"] == held["out"]:
        return held["in"]
    return ", ".join(f"{way}: {text}" for way, text in held.items() if text)


def _dropped(usage: Any) -> str:
    count = usage.inward.dropped_bytes + usage.outward.dropped_bytes
    return format_bytes(count) if count else "-"


def _load(usage: Any) -> str:
    if not usage.capacity_kbps:
        return "-"
    share = min(usage.outward.rate_kbps / usage.capacity_kbps, 1.0)
    return f"{'#' * round(share * BAR_CHARS):{BAR_CHARS}} {100 * share:3.0f} %"


_OWNED = (
    Column("NAME", _name),
    Column("IN", lambda usage: format_load(usage.inward.rate_kbps)),
    Column("GUARANTEED", _guaranteed("inward")),
    Column("ALLOTTED", _allotted("inward")),
    Column("OUT", lambda usage: format_load(usage.outward.rate_kbps)),
    Column("GUARANTEED", _guaranteed("outward")),
    Column("ALLOTTED", _allotted("outward")),
    Column("DROPPED", _dropped),
    Column("LIMITED BY", _limits),
)
_COLUMNS: dict[str, tuple[Column, ...]] = {
    **dict.fromkeys(("tenant", "network", "port", "pipe"), _OWNED),
    "link": (
        Column("NAME", lambda usage: last_id(usage.name)),
        Column("RATE", lambda usage: format_load(usage.outward.rate_kbps)),
        Column("CAPACITY", lambda usage: format_rate(usage.capacity_kbps)),
        Column("LOAD", _load),
        Column("DROPPED", _dropped),
    ),
}
