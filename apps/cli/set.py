"""pliant set: change some fields of a resource, and leave the others as they are."""

from __future__ import annotations

from typing import Any

import click
from pliant.v1.fabric_pb2 import Link, PortRole, Switch
from pliant.v1.network_pb2 import Attachment, Network, Port, Subnet
from pliant.v1.tenant_pb2 import Tenant

from apps.cli.kinds import full_name, kind_of
from apps.cli.manifest import Resource
from apps.cli.options import (
    BANDWIDTH_FIELDS,
    QUOTA_FIELDS,
    Pair,
    Rate,
    attach_option,
    bandwidth_options,
    chosen,
    display_name_option,
    dry_run_option,
    ip_option,
    mac_option,
    options,
    quota_options,
    scope_of,
    scope_options,
    tenant_option,
    wait_options,
)
from apps.cli.session import Session
from apps.cli.settle import settle

about_options = options(
    display_name_option,
    click.option(
        "-l", "--label", "labels", type=Pair(removable=True), multiple=True, metavar="KEY=VALUE",
        help="Set a mark, or remove it with KEY-; may be repeated.",
    ),
)
how_options = options(wait_options, dry_run_option)


@click.group("set")
def set_() -> None:
    """Change bandwidth, labels and attachments."""


@set_.command()
@click.argument("name")
@bandwidth_options
@quota_options
@about_options
@how_options
@click.pass_obj
def tenant(session: Session, /, name: str, **given: Any) -> None:
    """Change a tenant's ceilings, quota or labels."""
    message = Tenant()
    _set_inside(message, "bandwidth", chosen(given, BANDWIDTH_FIELDS), given)
    _set_inside(message, "quota", chosen(given, QUOTA_FIELDS), given)
    _update(session, message, name, given)


@set_.command()
@click.argument("name")
@tenant_option
@about_options
@how_options
@click.pass_obj
def network(session: Session, /, name: str, **given: Any) -> None:
    """Change a network's labels."""
    _update(session, Network(), name, given)


@set_.command()
@click.argument("name")
@scope_options
@click.option("--gateway", "gateways", multiple=True, metavar="ADDRESS", help="Its first hop.")
@about_options
@how_options
@click.pass_obj
def subnet(session: Session, /, name: str, gateways: tuple[str, ...], **given: Any) -> None:
    """Change a subnet's gateways or labels."""
    message = Subnet()
    for gateway in gateways:
        field = "ipv6_gateway" if ":" in gateway else "ipv4_gateway"
        setattr(message, field, gateway)
        given.setdefault("mask", []).append(field)
    _update(session, message, name, given)


@set_.command()
@click.argument("name")
@scope_options
@attach_option
@click.option("--detach", is_flag=True, help="Take it off its switch port.")
@ip_option
@mac_option
@bandwidth_options
@about_options
@how_options
@click.pass_obj
def port(
    session: Session, /, name: str, attach: Attachment | None, detach: bool, addresses: tuple[str, ...],
    mac: str | None, **given: Any,
) -> None:
    """Change a port, also while it carries traffic.

    \b
    pliant set port web-1 -t red -n net1 --ceiling-out 5Mbps
    pliant set port web-1 -t red -n net1 --ceiling-out none --label tier=gold --label old-
    """
    if attach is not None and detach:
        raise click.UsageError("--attach and --detach exclude each other")
    message = Port(attachment=attach, addresses=addresses, mac_address=mac or "")
    changed = {"attachment": attach is not None or detach, "addresses": bool(addresses), "mac_address": bool(mac)}
    given["mask"] = [field for field, is_changed in changed.items() if is_changed]
    _set_inside(message, "bandwidth", chosen(given, BANDWIDTH_FIELDS), given)
    _update(session, message, name, given)


@set_.command()
@click.argument("dpid")
@click.option(
    "--role", "roles", type=Pair(removable=True), multiple=True, required=True, metavar="INTERFACE=ROLE",
    help="EDGE, FABRIC or AUTO; INTERFACE- withdraws what was declared.  May be repeated.",
)
@click.pass_obj
def switch(session: Session, dpid: str, roles: tuple[tuple[str, str | None], ...]) -> None:
    """Declare who is behind interfaces of a switch."""
    known = [role.removeprefix("PORT_ROLE_") for role in PortRole.keys()[1:]]
    name, switches = full_name(kind_of("Switch"), dpid, scope_of({})), session.client.switches
    declared = dict(switches.get(name).declared_roles)
    for interface, role in roles:
        if role is None:
            declared.pop(interface, None)
        elif role.upper() in known:
            declared[interface] = PortRole.Value(f"PORT_ROLE_{role.upper()}")
        else:
            raise click.BadParameter(f"{role!r} must be one of {', '.join(known)}", param_hint="--role")
    switches.update(Switch(name=name, declared_roles=declared), ["declared_roles"])
    click.echo(f"switch/{dpid} configured")


@set_.command()
@click.argument("link")
@click.option("--capacity", type=Rate(), required=True, metavar="RATE", help="None takes its speed.")
@click.pass_obj
def link(session: Session, link: str, capacity: int) -> None:
    """Declare the capacity of a link, named DPID-PORT_NUMBER after its source."""
    name = full_name(kind_of("Link"), link, scope_of({}))
    session.client.links.update(Link(name=name, capacity_override_kbps=capacity), ["capacity_override_kbps"])
    click.echo(f"link/{link} configured")


def _set_inside(message: Any, field: str, values: dict[str, int], given: dict[str, Any]) -> None:
    """Set fields of a message inside the message, and note them in the mask."""
    inner = getattr(message, field)
    for name, value in values.items():
        setattr(inner, name, value)
        given.setdefault("mask", []).append(f"{field}.{name}")


def _update(session: Session, message: Resource, name: str, given: dict[str, Any]) -> None:
    kind = kind_of(message.DESCRIPTOR.name)
    message.name = full_name(kind, name, scope_of(given))
    mask: list[str] = given.get("mask", [])
    if given["display_name"] is not None:
        message.display_name = given["display_name"]
        mask.append("display_name")
    if not mask and not given["labels"]:
        raise click.UsageError(f"nothing to change: see pliant set {kind.name} --help")
    collection = getattr(session.client, kind.plural)
    if given["labels"]:
        # Labels are replaced as a whole, so what is there is read; its etag makes sure that nobody's change is lost.
        current = collection.get(message.name)
        message.etag = current.etag
        message.labels.update(current.labels)
        for key, value in given["labels"]:
            if value is None:
                message.labels.pop(key, None)
            else:
                message.labels[key] = value
        mask.append("labels")
    settle(
        session.client, lambda **how: collection.update(message, mask, **how), wait=given["wait"],
        timeout_s=given["timeout_s"], validate_only=given["dry_run"],
    )
    click.echo(f"{kind.name}/{name} configured{' (dry run)' if given['dry_run'] else ''}")
