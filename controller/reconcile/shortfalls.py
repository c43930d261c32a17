"""Whose guarantee does not hold, or would not through the next failure, said as conditions of the objects concerned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controller.fabric.graph import Fabric
from controller.fabric.ports import EndPoint
from controller.model.ids import network_of, tenant_of
from controller.model.network import Network, Pipe, Port
from controller.model.status import Condition
from controller.model.tenancy import Tenant
from controller.reconcile.grants import Degraded, Granted, list_named


def conditions(granted: Granted, fabric: Fabric, obj: object) -> Iterator[Condition]:
    """GUARANTEE_DEGRADED and GUARANTEE_UNPROTECTED of a tenant, network, port or pipe."""
    if not isinstance(obj, Tenant | Network | Port | Pipe):
        return
    owners = {obj.name, tenant_of(obj.name)} if not isinstance(obj, Pipe) else {obj.name}
    for owner in sorted(owners):
        found = granted.degraded.get(owner)
        if found is not None and (links := _touched(granted, obj, owner, found.links)):
            yield _degraded(fabric, owner, found, links)
        if bare := _touched(granted, obj, owner, granted.bare.get(owner, ())):
            text = f"if another link fails, {list_named(fabric, bare)} cannot carry what is guaranteed then"
            yield Condition(reason="GUARANTEE_UNPROTECTED", message=text, switches=_switches(bare))
    if exposed := tuple(sorted(_exposed(granted, obj))):
        text = f"there is no other way if {list_named(fabric, exposed)} fails"
        yield Condition(reason="GUARANTEE_UNPROTECTED", message=text, switches=_switches(exposed))


def _degraded(fabric: Fabric, owner: str, found: Degraded, links: tuple[EndPoint, ...]) -> Condition:
    text = (f"{owner} keeps at least {found.share:.0%} of its guarantee: {list_named(fabric, links)} cannot carry all "
            "that is guaranteed there; it recovers by itself when the fabric does")
    return Condition(reason="GUARANTEE_DEGRADED", message=text, switches=_switches(links))


def _touched(
    granted: Granted, obj: Tenant | Network | Port | Pipe, owner: str, links: tuple[EndPoint, ...],
) -> tuple[EndPoint, ...]:
    """Of these links those that the object's traffic may cross."""
    if not links or obj.name == owner:
        return links
    footprint = granted.book.footprints.get(network_of(obj.name))
    if footprint is None:
        return ()
    edge = obj.attachment.dpid if isinstance(obj, Port) and obj.attachment is not None else None
    if isinstance(obj, Port) and edge is None:
        return ()
    crossings = [crossing for pair, crossing in footprint.crossings.items() if edge is None or edge in pair]
    return tuple(link for link in links if any(link in crossing for crossing in crossings))


def _exposed(granted: Granted, obj: object) -> Iterable[EndPoint]:
    if isinstance(obj, Network | Pipe):
        return granted.book.exposed.get(obj.name, ())
    if isinstance(obj, Tenant):
        exposed = granted.book.exposed.items()
        return {link for name, links in exposed if "/networks/" in name and tenant_of(name) == obj.name
                for link in links}
    return ()


def _switches(links: Iterable[EndPoint]) -> tuple[int, ...]:
    return tuple(sorted({link.dpid for link in links}))
