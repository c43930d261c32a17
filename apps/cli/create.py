"""pliant create: one resource, from flags."""

from __future__ import annotations

from typing import Any

import click
from pliant.v1.network_pb2 import Attachment, Network, PathPolicy, Port, Subnet
from pliant.v1.peering_pb2 import Peering
from pliant.v1.pipe_pb2 import Pipe
from pliant.v1.tenant_pb2 import Quota, Tenant

from apps.cli.kinds import Scope, full_name, kind_of
from apps.cli.manifest import Resource
from apps.cli.options import (
    QUOTA_FIELDS,
    attach_option,
    bandwidth_of,
    bandwidth_options,
    chosen,
    display_name_option,
    dry_run_option,
    ip_option,
    label_option,
    labels_of,
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
from apps.cli.output import output_option, print_messages
from apps.cli.session import Session
from apps.cli.settle import settle

about_options = options(display_name_option, label_option)
how_options = options(wait_options, dry_run_option, output_option)


@click.group()
def create() -> None:
    """Create a tenant, network, subnet, port, peering or pipe."""


@create.command()
@click.argument("name")
@bandwidth_options
@quota_options
@about_options
@how_options
@click.pass_obj
def tenant(session: Session, /, name: str, **given: Any) -> None:
    """Create a tenant; its bandwidth is for all its ports together."""
    quota = chosen(given, QUOTA_FIELDS)
    _create(
        session, Tenant(bandwidth=bandwidth_of(given), quota=Quota(**quota) if quota else None), name, **given
    )


@create.command()
@click.argument("name")
@tenant_option
@bandwidth_options
@path_options
@about_options
@how_options
@click.pass_obj
def network(session: Session, /, name: str, **given: Any) -> None:
    """Create a virtual network; its bandwidth is for all its ports together."""
    paths = paths_chosen(given)
    policy = PathPolicy(**paths) if paths else None
    _create(session, Network(bandwidth=bandwidth_of(given), path_policy=policy), name, **given)


@create.command()
@click.argument("name")
@scope_options
@click.option("--cidr", "cidrs", multiple=True, required=True, metavar="CIDR", help="IPv4, IPv6, or one of each.")
@click.option("--gateway", "gateways", multiple=True, metavar="ADDRESS", help="Its first hop.  [the first address]")
@about_options
@how_options
@click.pass_obj
def subnet(session: Session, /, name: str, cidrs: tuple[str, ...], gateways: tuple[str, ...], **given: Any) -> None:
    """Create a subnet: the addresses of a network."""
    message = Subnet()
    for option, suffix, values in (("--cidr", "cidr", cidrs), ("--gateway", "gateway", gateways)):
        for value in values:
            field = f"{'ipv6' if ':' in value else 'ipv4'}_{suffix}"
            if getattr(message, field):
                raise click.UsageError(f"{option}: {getattr(message, field)} and {value} are of the same family")
            setattr(message, field, value)
    _create(session, message, name, **given)


@create.command()
@click.argument("name")
@scope_options
@click.option("--subnet", required=True, metavar="SUBNET", help="Where its addresses are from.")
@attach_option
@ip_option
@mac_option
@bandwidth_options
@about_options
@how_options
@click.pass_obj
def port(
    session: Session, /, name: str, subnet: str, attach: Attachment | None, addresses: tuple[str, ...], mac: str | None,
    **given: Any,
) -> None:
    """Create a port, a tenant's attachment point.

    \b
    pliant create port web-1 -t red -n net1 --subnet s1 --attach s1-eth1@1 --ceiling-out 20Mbps
    pliant create port web-2 -t red -n net1 --subnet s1 --attach 0000000000000001:3 --ip 10.0.0.7
    """
    message = Port(
        subnet=full_name(kind_of("Subnet"), subnet, scope_of(given)),
        mac_address=mac or "",
        addresses=addresses,
        attachment=attach,
        bandwidth=bandwidth_of(given),
    )
    _create(session, message, name, **given)


@create.command()
@click.argument("name")
@tenant_option
@click.option("--between", nargs=2, required=True, metavar="A B", help="The two networks.")
@about_options
@how_options
@click.pass_obj
def peering(session: Session, /, name: str, between: tuple[str, str], **given: Any) -> None:
    """Create a peering: the ports of two networks of a tenant reach each other.

    \b
    pliant create peering web-db -t red --between web db
    """
    a, b = (full_name(kind_of("Network"), side, scope_of(given)) for side in between)
    _create(session, Peering(a=a, b=b), name, **given)


@create.command()
@click.argument("name")
@scope_options
@click.option("--between", nargs=2, metavar="A B", help="Its ends: two ports of one network.")
@click.option("--between-networks", "networks", nargs=2, metavar="A B", help="Its ends: two networks with a peering.")
@bandwidth_options
@about_options
@how_options
@click.pass_obj
def pipe(
    session: Session, /, name: str, between: tuple[str, str] | None, networks: tuple[str, str] | None, **given: Any,
) -> None:
    """Create a pipe: bandwidth between two ports or networks, out from A to B and in from B to A.

    \b
    pliant create pipe backup -t red -n net1 --between web-1 db-1 --guarantee-out 40Mbps
    pliant create pipe shop -t red --between-networks web db --guarantee-out 40Mbps --ceiling-in 10Mbps
    """
    if bool(between) == bool(networks):
        raise click.UsageError("say what it joins: either --between two ports or --between-networks")
    kind = kind_of("Port" if between else "Network")
    a, b = (full_name(kind, end, scope_of(given)) for end in between or networks or ())
    _create(session, Pipe(a=a, b=b, bandwidth=bandwidth_of(given)), name, **given)


def _create(
    session: Session, message: Resource, name: str, *, display_name: str | None, labels: tuple[tuple[str, str], ...],
    wait: bool, timeout_s: float, dry_run: bool, format_: str, **given: Any,
) -> None:
    kind = kind_of(message.DESCRIPTOR.name)
    message.name = full_name(kind, name, Scope(tenant=given.get("tenant", ""), network=given.get("network", "")))
    message.display_name = display_name or ""
    message.labels.update(labels_of(labels))
    collection = getattr(session.client, kind.plural)
    made = settle(
        session.client, lambda **how: collection.create(message, **how), wait=wait, timeout_s=timeout_s,
        validate_only=dry_run,
    )
    if format_ == "table":
        click.echo(f"{kind.name}/{name} created{' (dry run)' if dry_run else ''}")
    else:
        print_messages([made], format_, one=True)
