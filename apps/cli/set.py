"""pliant set: change some fields of a resource, and leave the others as they are."""

from __future__ import annotations

from typing import Any

import click
from pliant.v1.fabric_pb2 import Link, PortRole, Switch
from pliant.v1.network_pb2 import Attachment, Network, Port, Subnet
from pliant.v1.peering_pb2 import Peering
from pliant.v1.pipe_pb2 import Pipe
from pliant.v1.tenant_pb2 import Tenant

from apps.cli.kinds import full_name, kind_of
from apps.cli.manifest import Resource
from apps.cli.options import (
    MOST,
    QUOTA_FIELDS,
    Latency,
    Pair,
    Rate,
    attach_option,
    bandwidth_chosen,
    bandwidth_options,
    chosen,
    display_name_option,
    dry_run_option,
    ip_option,
    mac_option,
    options,
    path_options,
    paths_chosen,
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
    """Change bandwidth, labels, attachments, and what is declared of the fabric."""


@set_.command()
@click.argument("name")
@bandwidth_options
@quota_options
@about_options
@how_options
@click.pass_obj
def tenant(session: Session, /, name: str, **given: Any) -> None:
    """Change a tenant's bandwidth, quota or labels."""
    message = Tenant()
    _set_inside(message, "bandwidth", bandwidth_chosen(given), given)
    _set_inside(message, "quota", chosen(given, QUOTA_FIELDS), given)
    _update(session, message, name, given)


@set_.command()
@click.argument("name")
@tenant_option
@bandwidth_options
@path_options
@about_options
@how_options
@click.pass_obj
def network(session: Session, /, name: str, **given: Any) -> None:
    """Change a network's bandwidth, path policy or labels."""
    message = Network()
    _set_inside(message, "bandwidth", bandwidth_chosen(given), given)
    _set_inside(message, "path_policy", paths_chosen(given), given)
    _update(session, message, name, given)


@set_.command()
@click.argument("name")
@tenant_option
@about_options
@how_options
@click.pass_obj
def peering(session: Session, /, name: str, **given: Any) -> None:
    """Change a peering's labels."""
    _update(session, Peering(), name, given)


@set_.command()
@click.argument("name")
@tenant_option
@bandwidth_options
@about_options
@how_options
@click.pass_obj
def pipe(session: Session, /, name: str, **given: Any) -> None:
    """Change a pipe's bandwidth or labels."""
    message = Pipe()
    _set_inside(message, "bandwidth", bandwidth_chosen(given), given)
    _update(session, message, name, given)


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
    _set_inside(message, "bandwidth", bandwidth_chosen(given), given)
    _update(session, message, name, given)


@set_.command()
@click.argument("dpid")
@click.option(
    "--role", "roles", type=Pair(removable=True), multiple=True, metavar="INTERFACE=ROLE",
    help="EDGE, FABRIC or AUTO; INTERFACE- withdraws what was declared.  May be repeated.",
)
@click.option("--zone", metavar="ZONE", help="Where it is, for path policies; none takes it away.")
@click.pass_obj
def switch(session: Session, dpid: str, roles: tuple[tuple[str, str | None], ...], zone: str | None) -> None:
    """Declare who is behind interfaces of a switch, and its zone."""
    name, switches = full_name(kind_of("Switch"), dpid, scope_of({})), session.client.switches
    mask = ["declared_roles"] * bool(roles) + ["zone"] * (zone is not None)
    if not mask:
        raise click.UsageError("nothing to change: see pliant set switch --help")
    declared = _roles(dict(switches.get(name).declared_roles), roles)
    switches.update(Switch(name=name, declared_roles=declared, zone="" if zone == "none" else zone or ""), mask)
    click.echo(f"switch/{dpid} configured")


def _roles(declared: dict[str, Any], roles: tuple[tuple[str, str | None], ...]) -> dict[str, Any]:
    """What was declared, changed."""
    known = [role.removeprefix("PORT_ROLE_") for role in PortRole.keys()[1:]]
    for interface, role in roles:
        if role is None:
            declared.pop(interface, None)
        elif role.upper() in known:
            declared[interface] = PortRole.Value(f"PORT_ROLE_{role.upper()}")
        else:
            raise click.BadParameter(f"{role!r} must be one of {', '.join(known)}", param_hint="--role")
    return declared


@set_.command()
@click.argument("link")
@click.option("--capacity", type=Rate(), metavar="RATE", help="What it carries; none takes its speed.")
@click.option("--cost", type=click.IntRange(-MOST, MOST), metavar="N",
              help="Paths of the least cost are taken; 1 is what every link has.")
@click.option("--latency", type=Latency(), metavar="TIME", help="Like 300us or 1.5ms; none is not known.")
@click.option("--force", is_flag=True, help="Even if tenants lose guarantees by it.")
@click.pass_obj
def link(
    session: Session, link: str, capacity: int | None, cost: int | None, latency: int | None, force: bool,
) -> None:
    """Declare capacity, cost and latency of a link, named DPID-PORT_NUMBER after its source.

    Each direction is a link of its own.  Refused if links would then carry less than is guaranteed on them.
    """
    name = full_name(kind_of("Link"), link, scope_of({}))
    fields = {"capacity_override_kbps": capacity, "cost": cost, "latency_us": latency}
    mask = [field for field, value in fields.items() if value is not None]
    if not mask:
        raise click.UsageError("nothing to change: see pliant set link --help")
    if cost == 0:
        raise click.BadParameter("the least cost is 1", param_hint="--cost")
    message = Link(name=name, capacity_override_kbps=capacity or 0, cost=cost or 1)
    if latency:
        message.latency_us = latency
    session.client.links.update(message, mask, force=force)
    click.echo(f"link/{link} configured")


def _set_inside(message: Any, field: str, values: dict[str, Any], given: dict[str, Any]) -> None:
    """Set fields of a message inside the message, and note them in the mask."""
    inner = getattr(message, field)
    inner.MergeFrom(type(inner)(**values))
    for name in values:
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
