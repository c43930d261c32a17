"""pliant apply and pliant delete: what is in manifests, in one transaction."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from apps.cli.errors import INVALID, NOT_FOUND, Failure, failure_of
from apps.cli.kinds import Kind, Scope, find_targets, kind_of, last_id
from apps.cli.manifest import Item, read_manifest
from apps.cli.options import dry_run_option, scope_options, wait_options
from apps.cli.output import output_option, print_messages
from apps.cli.session import Session
from apps.cli.settle import settle

if TYPE_CHECKING:
    from pliant import ApiError, Client

_INDEXED = re.compile(r"resources\[(\d+)\](?:\.(?:tenant|network|subnet|port|peering|pipe)\.| \([^)]*\): )?")
SUFFIXES = (".yaml", ".yml", ".json")

files_option = click.option(
    "-f", "--filename", "files", multiple=True, metavar="FILE",
    help="A manifest, a folder of them, or - for standard input; may be repeated.",
)


@click.command()
@files_option
@scope_options
@wait_options
@dry_run_option
@output_option
@click.pass_obj
def apply(
    session: Session, files: tuple[str, ...], tenant: str, network: str, wait: bool, timeout_s: float, dry_run: bool,
    format_: str,
) -> None:
    """Make everything in manifests exist as they say: all of it, or none.

    The objects may stand in any order and in several documents (---); -t and -n fill in what metadata does not say.

    \b
    apiVersion: pliant/v1
    kind: Port
    metadata: {tenant: red, network: net1, name: web-1}
    spec:
      subnet: s1
      attachment: {switch: 0000000000000001, interface: s1-eth1}
      bandwidth: {ceiling_out: 20 Mbit/s}
    """
    items = _read(files, Scope(tenant=tenant, network=network))
    apply_items(session, items, wait=wait, timeout_s=timeout_s, dry_run=dry_run, format_=format_)


def apply_items(
    session: Session, items: Sequence[Item], *, deletes: Iterable[str] = (), wait: bool, timeout_s: float,
    dry_run: bool, format_: str = "table",
) -> None:
    """One transaction, and what it did to each object."""
    from pliant import ApiError

    client, gone = session.client, list(deletes)
    before = _generations(client, items)
    resources = [item.message for item in items]
    try:
        answer = settle(
            client, lambda **how: client.apply(resources, deletes=gone, **how), wait=wait, timeout_s=timeout_s,
            validate_only=dry_run,
        )
    except ApiError as error:
        raise _located(error, items) from error
    messages = [getattr(each, each.WhichOneof("kind") or "") for each in answer.resources]
    if format_ != "table":
        print_messages(messages, format_)
        return
    suffix = " (dry run)" if dry_run else ""
    for message in messages:
        click.echo(f"{short(message.name, kind_of(message.DESCRIPTOR.name))} {_done(message, before)}{suffix}")
    for name in gone:
        click.echo(f"{name} deleted{suffix}")


def short(name: str, kind: Kind) -> str:
    """'port/web-1'."""
    return f"{kind.name}/{last_id(name)}"


def _done(message: Any, before: dict[str, int]) -> str:
    if message.name not in before:
        return "created"
    return "unchanged" if before[message.name] == message.generation else "configured"


def _generations(client: Client, items: Sequence[Item]) -> dict[str, int]:
    """Of the objects that exist already: name -> generation."""
    from pliant import ApiError

    found: dict[str, int] = {}
    for kind, parent in {(item.kind, _parent(item)) for item in items}:
        try:
            listed = getattr(client, kind.plural).list(parent, page_size=1_000)
            found.update((message.name, message.generation) for message in listed)
        except ApiError as error:
            if error.reason != "PARENT_NOT_FOUND":
                raise
    return found


def _parent(item: Item) -> str:
    return "/".join(item.message.name.split("/")[:-2])


def _located(error: ApiError, items: Sequence[Item]) -> Failure:
    """The server's refusal, with the lines of the objects that it names by their index or name."""
    failure = failure_of(error)

    def place(match: re.Match[str]) -> str:
        item = items[int(match[1])] if int(match[1]) < len(items) else None
        return f"{item.source} {short(item.message.name, item.kind)}: " if item else match[0]

    message = _INDEXED.sub(place, failure.message)
    subject = error.metadata.get("resource", "")
    sources = [item.source for item in items if item.message.name == subject]
    if sources and sources[0] not in message:
        message = f"{sources[0]}: {message}"
    return Failure(message, failure.exit_code, advice=failure.advice)


def _read(files: Sequence[str], scope: Scope) -> list[Item]:
    if not files:
        raise click.UsageError("what should be read?  Say it with -f FILE, or -f - for standard input")
    items: list[Item] = []
    for file in files:
        for path in _paths(file):
            items += read_manifest(_text(path), path, scope)
    if not items:
        raise Failure(f"there is no object in {', '.join(files)}", INVALID)
    return items


def _paths(file: str) -> list[str]:
    if file == "-" or not Path(file).is_dir():
        return [file]
    return sorted(str(path) for path in Path(file).iterdir() if path.suffix in SUFFIXES)


def _text(path: str) -> str:
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return data.decode()
    except UnicodeDecodeError as error:
        raise Failure(f"{path}: no UTF-8 text: {error.reason} at byte {error.start}", INVALID) from error


@click.command()
@click.argument("what", nargs=-1, metavar="[KIND NAME... | KIND/NAME...]")
@files_option
@scope_options
@click.option("--force", is_flag=True, help="Delete what they contain as well.")
@click.option("--ignore-not-found", is_flag=True, help="What does not exist is no error.")
@wait_options
@dry_run_option
@click.pass_obj
def delete(
    session: Session, what: tuple[str, ...], files: tuple[str, ...], tenant: str, network: str, force: bool,
    ignore_not_found: bool, wait: bool, timeout_s: float, dry_run: bool,
) -> None:
    """Delete resources.

    With -f everything in the manifests goes, in one transaction.  Deleting a switch makes the controller forget it,
    which it refuses while the switch is connected.

    \b
    pliant delete port web-1 web-2 -t red -n net1
    pliant delete tenant red --force
    pliant delete -f lab.yaml
    """
    scope, client = Scope(tenant=tenant, network=network), session.client
    if bool(what) == bool(files):
        raise click.UsageError("say what: either KIND NAME or -f FILE")
    how = {"wait": wait, "timeout_s": timeout_s, "validate_only": dry_run}
    suffix = " (dry run)" if dry_run else ""
    if files:
        items = _read(files, scope)
        names, existing = [item.message.name for item in items], _generations(client, items)
        absent = [name for name in names if name not in existing]
        if absent and not ignore_not_found:
            raise Failure(f"{absent[0]} does not exist", NOT_FOUND, advice="--ignore-not-found deletes the others")
        settle(client, lambda **o: client.apply([], deletes=names, force=force, **o), **how)  # type: ignore[arg-type]
        for item in items:
            if item.message.name in existing:
                click.echo(f"{short(item.message.name, item.kind)} deleted{suffix}")
        return
    for kind, name in find_targets(what, scope):
        if not name:
            raise click.UsageError(f"which {kind.name}?  Give its name")
        _delete_one(client, kind, name, force=force, ignore_not_found=ignore_not_found, how=how)
        click.echo(f"{short(name, kind)} deleted{suffix}")


def _delete_one(
    client: Client, kind: Kind, name: str, *, force: bool, ignore_not_found: bool, how: dict[str, Any]
) -> None:
    if kind.name == "switch":
        if how["validate_only"]:
            raise click.UsageError("deleting a switch knows no --dry-run")
        client.switches.delete(name, allow_missing=ignore_not_found)
    elif kind.owned:
        collection = getattr(client, kind.plural)
        forced = force and kind.name != "pipe"
        settle(
            client, lambda **o: collection.delete(name, force=forced, allow_missing=ignore_not_found, **o), **how
        )
    else:
        raise click.UsageError(f"{kind.plural} cannot be deleted: they are observed")
