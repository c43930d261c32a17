"""pliant get: list, show, watch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from apps.cli import document, tables
from apps.cli.kinds import Kind, Scope, find_targets
from apps.cli.options import scope_options
from apps.cli.output import Table, name_of, output_option, print_lines, print_messages, print_yaml, say
from apps.cli.schedule import format_window
from apps.cli.session import Session
from apps.cli.words import bandwidth_words

if TYPE_CHECKING:
    from pliant import Client


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="KIND [NAME]... | KIND/NAME...")
@scope_options
@click.option("-w", "--watch", is_flag=True, help="Go on and print what changes.")
@click.option("--filter", "filter_", default="", metavar="TERMS", help="Like: state = PENDING AND labels.env = prod.")
@output_option
@click.pass_obj
def get(
    session: Session, what: tuple[str, ...], tenant: str, network: str, watch: bool, filter_: str, format_: str
) -> None:
    """List resources, or show some of them.

    KIND is tenants, networks, subnets, ports, peerings, pipes, switches, links, drops (or a short name, see
    pliant api-resources), several joined by commas, or all for everything that is a tenant's.  Without -t and -n:
    of all tenants and networks.

    \b
    pliant get ports -t red -n net1 -o wide
    pliant get port/web-1 -t red -n net1 -o yaml
    pliant get ports -w --tenant red
    pliant get links -w
    """
    scope = Scope(tenant=tenant, network=network)
    targets = find_targets(what, scope)
    if filter_ and (watch or any(name for _, name in targets)):
        raise click.UsageError("--filter goes with lists: neither with names nor with -w")
    if watch:
        _watch(session.client, targets, scope, format_)
        return
    usage = format_ == "wide"
    messages = [
        message for kind, name in targets
        for message in fetch(session.client, kind, name, scope, filter_, usage=usage)
    ]
    if not messages and format_ in ("table", "wide"):
        say(f"no {' and no '.join(dict.fromkeys(kind.plural for kind, _ in targets))} found")
        return
    print_messages(messages, format_, one=len(targets) == 1 and bool(targets[0][1]))


def fetch(
    client: Client, kind: Kind, name: str, scope: Scope, filter_: str = "", *, usage: bool = False
) -> list[Any]:
    """The one of that name, or without a name all of the kind within the scope; `usage`: also what links carry."""
    if kind.name == "drop":
        if filter_:
            raise click.UsageError("drops take no --filter: say -t TENANT")
        return list(client.drops(tenant=f"tenants/{scope.tenant}" if scope.tenant else ""))
    collection = getattr(client, kind.plural)
    if name:
        return [collection.get(name)]
    if kind.name == "link":
        return list(client.links.list(filter=filter_, usage=usage))
    if not kind.owned:
        return list(collection.list(filter=filter_))
    if kind.name == "tenant" and scope.tenant:
        return [collection.get(f"tenants/{scope.tenant}")]
    return list(collection.list(scope.parent(kind), filter=filter_))


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="KIND [NAME]... | KIND/NAME...")
@scope_options
@click.pass_obj
def describe(session: Session, what: tuple[str, ...], tenant: str, network: str) -> None:
    """Show all there is to know of resources.

    \b
    pliant describe port web-1 -t red -n net1
    pliant describe switches
    """
    scope = Scope(tenant=tenant, network=network)
    messages = [
        message for kind, name in find_targets(what, scope) for message in fetch(session.client, kind, name, scope)
    ]
    for number, message in enumerate(messages):
        if number:
            click.echo()
        print_lines(description(message))


def description(message: Any) -> Iterator[str]:
    """What the contract's document says, laid out for reading: what is asked and what is so, side by side."""
    whole = document.document(message)
    yield f"{whole['kind']}: {name_of(message)}"
    for section in ("metadata", "spec", "status"):
        content = {key: value for key, value in whole.get(section, {}).items() if value not in ("", [], {})}
        if section == "metadata":
            content = {key: value for key, value in content.items() if key in document.METADATA}
        content.pop("bandwidth_status", None)
        if "schedule" in content.get("bandwidth", {}):
            content["bandwidth"]["schedule"] = tuple(map(format_window, message.bandwidth.schedule))
        yield from _block(content, 1)
    if "bandwidth_status" in message.DESCRIPTOR.fields_by_name and message.HasField("bandwidth_status"):
        yield "  gets now:"
        yield from (f"    {line}" for line in bandwidth_words(message.bandwidth_status, message.name))


def _block(content: dict[str, Any], depth: int) -> Iterator[str]:
    """A list stands in one line, a tuple or a list of messages in one for each."""
    indent = "  " * depth
    width = max((len(key) for key in content), default=0) + 1
    for key, value in content.items():
        head = f"{indent}{key + ':':<{width}} "
        if isinstance(value, dict):
            yield head.rstrip()
            yield from _block(value, depth + 1)
        elif isinstance(value, tuple):
            yield head.rstrip()
            yield from (f"{indent}  - {line}" for line in value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield head.rstrip()
            for element in value:
                yield f"{indent}  - " + "  ".join(f"{k}={_text(v)}" for k, v in element.items() if v not in ("", []))
        else:
            yield head + _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


# -- watch


def _watch(client: Client, targets: Sequence[tuple[Kind, str]], scope: Scope, format_: str) -> None:
    """What is, then what changes, until interrupted."""
    from pliant.v1 import watch_pb2

    kinds = list(dict.fromkeys(kind for kind, _ in targets))
    for kind in kinds:
        if not kind.collections:
            raise click.UsageError(f"{kind.plural} cannot be watched")
        if not kind.owned and (scope.tenant or scope.network):
            raise click.UsageError(f"{kind.plural} are of no tenant: leave out -t and -n")
    names = {name for _, name in targets if name}
    if format_ in ("table", "wide") and len(kinds) > 1:
        raise click.UsageError("watch one kind as a table, or several with -o json, yaml or name")
    numbers = [watch_pb2.Kind.Value(f"KIND_{kind.name.upper()}") for kind in kinds]
    above = _above(names, scope, kinds) if all(kind.owned for kind in kinds) else ""
    with client.watch(above, kinds=numbers, usage=True) as events:
        printer = _Printer(kinds[0], format_)
        for event in events:
            message = _about(event)
            if event.type == watch_pb2.EVENT_TYPE_SYNCED:
                printer.synced()
            elif message is not None and _within(message.name, names, scope):
                printer.changed(message, deleted=event.type == watch_pb2.EVENT_TYPE_DELETED)


def _about(event: Any) -> Any:
    """The object that an event is about; None if it is about none."""
    field = next((each for each in ("switch", "link") if event.HasField(each)), None)
    if field is not None:
        return getattr(event, field)
    field = event.resource.WhichOneof("kind")
    return getattr(event.resource, field) if field else None


def _above(names: set[str], scope: Scope, kinds: Sequence[Kind]) -> str:
    """The narrowest parent that the server can watch for us."""
    if len(names) == 1:
        return min(names)
    if not scope.tenant:
        return ""
    if any("networks" not in kind.collections and kind.name != "tenant" for kind in kinds):
        scope = Scope(tenant=scope.tenant)  # peerings and pipes are beside the networks
    return f"tenants/{scope.tenant}" + (f"/networks/{scope.network}" if scope.network else "")


def _within(name: str, names: set[str], scope: Scope) -> bool:
    if names:
        return name in names
    ids = name.split("/")[1::2]  # of a switch or link there is no scope
    return (not scope.tenant or ids[0] == scope.tenant) and (
        not scope.network or "/networks/" not in name or ids[1] == scope.network
    )


class _Printer:
    """Rows or documents as events bring them; the table's head waits until the first rows have shown its widths."""

    def __init__(self, kind: Kind, format_: str) -> None:
        self._format = format_
        self._table = Table(tables.columns(kind.title, wide=format_ == "wide", live=True))
        self._shown: dict[str, str] = {}
        self._first: list[Any] | None = []

    def synced(self) -> None:
        if self._first is not None and self._format in ("table", "wide"):
            print_lines(self._table.lines(self._first))
            self._shown = {message.name: self._row(message) for message in self._first}
        self._first = None

    def changed(self, message: Any, *, deleted: bool) -> None:
        if self._format in ("json", "yaml"):
            self._document({"event": "DELETED"} if deleted else {}, message)
        elif self._format == "name":
            click.echo(name_of(message) + (" deleted" if deleted else ""))
        elif deleted:
            click.echo(f"{name_of(message)} deleted")
        elif self._first is not None:
            self._first.append(message)
        elif self._shown.get(message.name) != (row := self._row(message)):
            self._shown[message.name] = row
            print_lines([row])

    def _row(self, message: Any) -> str:
        return self._table.lines([message], head=False)[0]

    def _document(self, extra: dict[str, Any], message: Any) -> None:
        import json

        whole = extra | document.document(message)
        if self._format == "json":
            click.echo(json.dumps(whole))
        else:
            click.echo("---")
            print_yaml([whole])


