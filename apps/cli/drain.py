"""pliant drain, undrain: take a link or a switch out of use without losing a frame, and back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click
from pliant.v1 import watch_pb2
from pliant.v1.fabric_pb2 import LINK_STATE_DRAINING, Link, Switch

from apps.cli.errors import UNAVAILABLE, Failure
from apps.cli.kinds import KINDS, Kind, Scope, find_targets, last_id
from apps.cli.options import timeout_option
from apps.cli.session import Session

if TYPE_CHECKING:
    from pliant import Client, Watch

DRAINABLE = tuple(kind for kind in KINDS if kind.name in ("link", "switch"))


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="link|switch NAME...")
@click.option("--force", is_flag=True, help="Even if tenants lose their paths or guarantees.")
@click.option("--wait/--no-wait", default=True, help="Wait until no frame of a tenant can be on it.  [--wait]")
@timeout_option
@click.pass_obj
def drain(session: Session, what: tuple[str, ...], force: bool, wait: bool, timeout_s: float) -> None:
    """Take links or switches out of use, with no frame lost.

    Traffic moves to other paths, make before break; a link is both its directions, and its name is DPID-PORT_NUMBER
    of either.  Refused if tenants would lose their paths or guarantees.  What is drained stays so until
    pliant undrain, through failures and restarts.

    \b
    pliant drain link 1-101
    pliant drain switch 11 --timeout 1m
    """
    for kind, name in _targets(what):
        _declare(session.client, kind, name, drained=True, force=force)
        if wait:
            _await(session.client, kind, name, timeout_s)
        click.echo(f"{kind.name}/{last_id(name)} drained")


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="link|switch NAME...")
@click.pass_obj
def undrain(session: Session, what: tuple[str, ...]) -> None:
    """Use drained links or switches again."""
    for kind, name in _targets(what):
        _declare(session.client, kind, name, drained=False, force=False)
        click.echo(f"{kind.name}/{last_id(name)} in use")


def _targets(what: tuple[str, ...]) -> list[tuple[Kind, str]]:
    targets = find_targets(what, Scope(), DRAINABLE)
    for kind, name in targets:
        if not name:
            raise click.UsageError(f"which {kind.name}?  Give its name")
    return targets


def _declare(client: Client, kind: Kind, name: str, *, drained: bool, force: bool) -> None:
    if kind.name == "link":
        client.links.update(Link(name=name, drained=drained), ["drained"], force=force)
    else:
        client.switches.update(Switch(name=name, drained=drained), ["drained"], force=force)


def _await(client: Client, kind: Kind, name: str, timeout_s: float) -> None:
    with client.watch(kinds=[watch_pb2.KIND_LINK]) as events:
        alarm = threading.Timer(timeout_s, events.close)
        alarm.daemon = True
        alarm.start()
        try:
            busy = _follow(events, kind, name)
        finally:
            alarm.cancel()
    if busy:
        raise Failure(
            f"{kind.name}/{last_id(name)} is drained, but frames may still be sent over {', '.join(busy)}", UNAVAILABLE,
            advice="pliant get switches shows who is out of reach; who was left no other path stays on this one",
        )


def _follow(events: Watch, kind: Kind, name: str) -> list[str]:
    """Read events until no link of it is still draining (none), or somebody closes them: those that are."""
    draining: dict[str, bool] = {}
    synced = False
    for event in events:
        synced |= event.type == watch_pb2.EVENT_TYPE_SYNCED
        if event.HasField("link") and _is_of(event.link, kind, name):
            gone = event.type == watch_pb2.EVENT_TYPE_DELETED
            draining[event.link.name] = not gone and event.link.state == LINK_STATE_DRAINING
        if synced and not any(draining.values()):
            return []
    return sorted(last_id(link) for link, busy in draining.items() if busy)


def _is_of(link: Link, kind: Kind, name: str) -> bool:
    ends = link.source, link.destination
    if kind.name == "switch":
        return any(end.switch == name for end in ends)
    return any(f"links/{last_id(end.switch)}-{end.port_number}" == name for end in ends)
