"""pliant wait: until objects are as they should be."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import click

from apps.cli.errors import NOT_FOUND, UNAVAILABLE, Failure
from apps.cli.kinds import OWNED, Scope, find_targets
from apps.cli.options import scope_options, timeout_option
from apps.cli.session import Session
from apps.cli.tables import reasons, state

if TYPE_CHECKING:
    from pliant import Client, Watch

STATES = ("PENDING", "ACTIVE", "DEGRADED", "ERROR")


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="KIND NAME... | KIND/NAME...")
@scope_options
@click.option("--for", "goal", default="state=ACTIVE", metavar="GOAL", help="state=STATE or delete.  [state=ACTIVE]")
@timeout_option
@click.pass_obj
def wait(
    session: Session, what: tuple[str, ...], tenant: str, network: str, goal: str, timeout_s: float
) -> None:
    """Wait until resources are in a state, or gone.

    \b
    pliant wait port web-1 web-2 -t red -n net1 --timeout 1m
    pliant wait network/net1 -t red --for delete
    """
    wanted = _wanted(goal)
    targets = find_targets(what, Scope(tenant=tenant, network=network), OWNED)
    deadline_s = time.monotonic() + timeout_s
    for kind, name in targets:
        if not name:
            raise click.UsageError(f"which {kind.name}?  Give its name")
        _await(session.client, name, wanted, deadline_s)
        click.echo(f"{name} {'deleted' if wanted is None else wanted}")


def _wanted(goal: str) -> str | None:
    """A state; None to be deleted."""
    if goal == "delete":
        return None
    key, _, value = goal.partition("=")
    if key != "state" or value.upper() not in STATES:
        raise click.BadParameter(f"{goal!r} must be delete or state= one of {', '.join(STATES)}", param_hint="--for")
    return value.upper()


def _await(client: Client, name: str, wanted: str | None, deadline_s: float) -> None:
    with client.watch(name) as events:
        left_s = max(deadline_s - time.monotonic(), 0.05)
        alarm = threading.Timer(left_s, events.close)
        alarm.daemon = True
        alarm.start()
        try:
            seen = _follow(events, name, wanted)
        finally:
            alarm.cancel()
    if seen is not None:
        raise Failure(
            f"{name} is {seen} and not {wanted or 'deleted'} after the time to wait", UNAVAILABLE,
            advice=f"pliant describe {name}",
        )


def _follow(events: Watch, name: str, wanted: str | None) -> str | None:
    """Read events until it is as wanted (None), or until somebody closes them: what was seen last."""
    from pliant.v1 import watch_pb2

    seen = ""
    for event in events:
        field = event.resource.WhichOneof("kind")
        message = getattr(event.resource, field) if field else None
        if event.type == watch_pb2.EVENT_TYPE_SYNCED and not seen:
            if wanted is None:
                return None
            raise Failure(f"{name} does not exist", NOT_FOUND)
        if message is None or message.name != name:
            continue
        if event.type == watch_pb2.EVENT_TYPE_DELETED:
            if wanted is None:
                return None
            raise Failure(f"{name} was deleted while waiting for it", NOT_FOUND)
        seen = state(message)
        if wanted == seen and not message.reconciling:
            return None
        seen += f" ({reasons(message)})" if message.conditions else ""
    return seen or "unknown"
