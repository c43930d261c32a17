"""pliant lab: ports for the hosts of a Mininet that runs on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from apps.cli import adopt as adoption
from apps.cli.apply import apply_items
from apps.cli.document import document
from apps.cli.errors import NOT_FOUND, PRECONDITION, Failure
from apps.cli.kinds import kind_of
from apps.cli.manifest import Item, Resource
from apps.cli.mininet import HostInterface, find_interfaces
from apps.cli.options import wait_options
from apps.cli.output import print_yaml, say
from apps.cli.session import Session

if TYPE_CHECKING:
    from pliant import Client


@click.group()
def lab() -> None:
    """Work with a Mininet that runs on this machine."""


@lab.command()
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option("-t", "--tenant", default="lab", show_default=True, metavar="TENANT", help="Whose network it is.")
@click.option("-n", "--network", default="net1", show_default=True, metavar="NETWORK", help="The network to join.")
@click.option(
    "--name", "template", default="", metavar="TEMPLATE",
    help="What ports are called, from {host} and {interface}.  [{host}, or {interface} if a host has several]",
)
@wait_options
@click.option("--dry-run", is_flag=True, help="Print the manifest, and change nothing.")
@click.pass_obj
def adopt(
    session: Session, hosts: tuple[str, ...], tenant: str, network: str, template: str, wait: bool, timeout_s: float,
    dry_run: bool,
) -> None:
    """Create ports for the hosts of a running Mininet, so that pingall works.

    Each host keeps its MAC and its addresses.  All hosts, or those named, become ports of one network; name others in
    another run with -t or -n to keep them apart.  Run again, it brings ports up to date, and without HOST removes
    those that it made in this network for hosts that are gone.

    \b
    sudo mn --custom topologies/leaf_spine.py --topo leaf_spine --controller remote
    sudo pliant lab adopt
    """
    interfaces = _addressed(_chosen(find_interfaces(), hosts))
    resources = adoption.plan(
        interfaces, session.client.switches.list(), tenant=tenant, network=network, template=template
    )
    if dry_run:
        print_yaml([_manifest(resource) for resource in resources])
        return
    kept = _kept(session.client, resources)
    items = [Item(kind=kind_of(each.DESCRIPTOR.name), message=each, source="adopted") for each in kept]
    gone = [] if hosts else _gone(session.client, resources)
    apply_items(session, items, deletes=gone, wait=wait, timeout_s=timeout_s, dry_run=False)


def _chosen(interfaces: list[HostInterface], hosts: tuple[str, ...]) -> list[HostInterface]:
    known = {interface.host for interface in interfaces}
    for host in hosts:
        if host not in known:
            raise Failure(
                f"there is no Mininet host {host!r} that is wired to a switch", NOT_FOUND,
                advice=f"there are {', '.join(sorted(known))}" if known else "",
            )
    return [interface for interface in interfaces if not hosts or interface.host in hosts]


def _addressed(interfaces: list[HostInterface]) -> list[HostInterface]:
    """Those that have an address; a port of any other could not send."""
    for interface in interfaces:
        if not interface.addresses:
            say(f"left out: {interface.name} of {interface.host} has no address")
    found = [interface for interface in interfaces if interface.addresses]
    if not found:
        raise Failure("no Mininet host here has an address on a wire to a switch", PRECONDITION)
    return found


def _kept(client: Client, resources: list[Resource]) -> list[Resource]:
    """Without the tenant and network if they exist, since what they are for others is not ours to replace."""
    from pliant import ApiError

    kept = list(resources)
    for resource, collection in ((resources[0], client.tenants), (resources[1], client.networks)):
        try:
            collection.get(resource.name)
        except ApiError as error:
            if error.reason != "NOT_FOUND":
                raise
        else:
            kept.remove(resource)
    return kept


def _gone(client: Client, resources: list[Resource]) -> list[str]:
    """Ports that were adopted into this network and have no host any more."""
    from pliant import ApiError

    network, names = resources[1].name, {resource.name for resource in resources}
    ((key, value),) = adoption.ADOPTED.items()
    try:
        adopted = client.ports.list(network, filter=f"labels.{key} = {value}", page_size=1_000)
        return [port.name for port in adopted if port.name not in names]
    except ApiError as error:
        if error.reason != "PARENT_NOT_FOUND":
            raise
        return []


def _manifest(resource: Resource) -> dict[str, object]:
    return {key: value for key, value in document(resource).items() if key != "status"}


