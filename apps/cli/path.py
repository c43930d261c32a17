"""pliant path: how frames go from here to there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from apps.cli.errors import NOT_FOUND, Failure
from apps.cli.kinds import Scope, find_kind, find_targets, full_name, last_id, pad_dpid
from apps.cli.options import scope_options
from apps.cli.output import Column, Table, print_lines, say
from apps.cli.rates import format_rate
from apps.cli.session import Session
from apps.cli.tables import format_latency

if TYPE_CHECKING:
    from pliant import Client
    from pliant.v1.fabric_pb2 import FabricPath, ListPathsResponse, PathHop

MAX_NAMED = 3


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("destination", metavar="TO")
@click.option("-k", "--alternatives", "count", type=click.IntRange(1, 16), default=3, show_default=True,
              help="How many of the best paths to list.")  # fmt: skip
@scope_options
@click.option("-o", "--output", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="How to print it.")  # fmt: skip
@click.pass_obj
def path(
    session: Session, source: str, destination: str, count: int, tenant: str, network: str, format_: str
) -> None:
    """Show how frames go from one port or switch to another.

    FROM and TO are ports of tenants (by id, address, or whole name) or switches (by datapath id).  Shown are the paths
    taken now, what takes over in the switches when a link of them fails, and the best paths there are.  A network may
    have a path policy: between ports of one its own paths are shown, between switches with --network.

    \b
    pliant path web-1 db-1 -t red -n net1
    pliant path 10.0.0.11 10.0.0.12 -t red
    pliant path switch/1 switch/3 -k 8
    pliant path switch/1 switch/3 -t red -n net1
    """
    client, scope = session.client, Scope(tenant=tenant, network=network)
    ends = [find_end(client, end, scope) for end in (source, destination)]
    answer = client.paths(*ends, network=_whose(scope, ends), alternatives=count)
    if format_ == "json":
        from google.protobuf.json_format import MessageToDict

        click.echo(json.dumps(MessageToDict(answer, preserving_proto_field_name=True), indent=2))
        return
    print_lines(_lines(answer))
    if apart := _why_apart(client, ends):
        say(apart)
    if not answer.current and answer.source_switch != answer.destination_switch:
        say("no path is in use: one of the switches has no ports of tenants, or there is no path that may be taken")


def find_end(client: Client, text: str, scope: Scope) -> str:
    """The resource name of a port or switch.  Failure if there is none, or more than one."""
    if "/" in text:
        (_, name), = find_targets([text], scope, (find_kind("port"), find_kind("switch")))
        return name
    port = find_kind("port")
    found = [
        each.name for each in client.ports.list(scope.parent(port))
        if text in (last_id(each.name), each.display_name, *each.addresses)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(found[:MAX_NAMED]) + (" and more" if len(found) > MAX_NAMED else "")
        raise click.UsageError(f"{text!r} may be {shown}: say which with -t and -n, or by its whole name")
    if len(pad_dpid(text)) == 16:
        return full_name(find_kind("switch"), text, scope)
    raise Failure(f"no port has the id, name or address {text!r}, and it is no datapath id", NOT_FOUND,
                  advice="pliant get ports and pliant get switches show what there is")  # fmt: skip


def _whose(scope: Scope, ends: list[str]) -> str:
    """The network that is asked about, if -t and -n say one."""
    if scope.network and scope.tenant:
        return scope.parent(find_kind("port"))
    if scope.network and all(end.startswith("switches/") for end in ends):
        raise click.UsageError("say with -t which tenant's network is meant")
    return ""


def _why_apart(client: Client, ends: list[str]) -> str:
    """What keeps the frames of one port from the other whatever the fabric does; "" if nothing."""
    if any(end.startswith("switches/") for end in ends):
        return ""
    one, other = (end.rpartition("/ports/")[0] for end in ends)
    tenant, of_other = ("/".join(network.split("/")[:2]) for network in (one, other))
    if tenant != of_other:
        return "no frame goes this way: the ports are of two tenants"
    if one == other or any({peering.a, peering.b} == {one, other} for peering in client.peerings.list(tenant)):
        return ""
    return f"no frame goes this way: no peering joins networks {last_id(one)} and {last_id(other)}"


def _lines(answer: ListPathsResponse) -> Iterator[str]:
    yield f"from {last_id(answer.source_switch)} to {last_id(answer.destination_switch)}"
    if answer.source_switch == answer.destination_switch:
        yield "on the same switch: no link is taken"
        return
    for title, paths in (("NOW", answer.current), ("BEST", answer.alternatives)):
        if paths:
            yield ""
            yield from Table(_columns(title)).lines(paths)
    protected = {hop.link: hop for each in answer.current for hop in each.hops}
    if protected:
        yield ""
        yield from Table(_BACKUP).lines(protected.values())


def _columns(title: str) -> list[Column]:
    return [
        Column(title, lambda path: f"{path.flow_permille / 10:.0f} %" if path.flow_permille else "-"),
        Column("COST", lambda path: str(path.cost)),
        Column("LATENCY", format_latency),
        Column("CAPACITY", lambda path: format_rate(path.capacity_kbps)),
        Column("PATH", _way),
    ]


def _way(path: FabricPath) -> str:
    hops = list(path.hops)
    switches = [hop.source_switch for hop in hops[:1]] + [hop.destination_switch for hop in hops]
    marks = ["broken"] * path.broken + ["failed over"] * any(hop.failed_over for hop in hops)
    return " > ".join(map(last_id, switches)) + (f" ({', '.join(marks)})" if marks else "")


def _backup(hop: PathHop) -> str:
    return " > ".join(map(last_id, hop.backup_links))


_BACKUP = [
    Column("IF LINK FAILS", lambda hop: last_id(hop.link)),
    Column("LINKS THAT TAKE OVER", _backup),
]
