"""Whose guarantee does not hold, or would not through the next failure, or not against others of its own network, said
as conditions of the objects concerned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from controller.fabric.graph import Fabric
from controller.fabric.ports import EndPoint
from controller.model.ids import network_of, tenant_of
from controller.model.network import Network, Pipe, Port
from controller.model.status import Condition
from controller.model.tenancy import Tenant
from controller.reconcile.grants import Apart, Degraded, Granted, list_apart, list_named
from controller.reconcile.members import MAX_PORTS


def conditions(granted: Granted, fabric: Fabric, obj: object) -> Iterator[Condition]:
    """GUARANTEE_DEGRADED, GUARANTEE_UNPROTECTED and GUARANTEE_CROWDED of a tenant, network, port or pipe."""
    if not isinstance(obj, Tenant | Network | Port | Pipe):
        return
    owners = {obj.name, tenant_of(obj.name)} if not isinstance(obj, Pipe) else {obj.name}
    for owner in sorted(owners):
        found = granted.degraded.get(owner)
        if found is not None:
            links, apart = _touched(granted, obj, owner, found.links), _cut_off(obj, owner, found.apart)
            if links or apart:
                yield _degraded(fabric, owner, replace(found, links=links, apart=apart))
        if bare := _touched(granted, obj, owner, granted.bare.get(owner, ())):
            text = f"if another link fails, {list_named(fabric, bare)} cannot carry what is guaranteed then"
            yield Condition(reason="GUARANTEE_UNPROTECTED", message=text, switches=_switches(bare))
    if exposed := tuple(sorted(_exposed(granted, obj))):
        text = f"there is no other way if {list_named(fabric, exposed)} fails"
        yield Condition(reason="GUARANTEE_UNPROTECTED", message=text, switches=_switches(exposed))
    if crowded := _crowded(granted, obj):
        text = (f"more than {MAX_PORTS} ports of {network_of(obj.name)} with a guarantee cross "
                f"{list_named(fabric, crowded)}: there they share what the network has")
        yield Condition(reason="GUARANTEE_CROWDED", message=text, switches=_switches(crowded))
    elif _is_crowded_where_it_ends(granted, obj):
        text = (f"more than {MAX_PORTS} ports of {network_of(obj.name)} are guaranteed to send: where a port receives "
                "more than it may, they are not told from others")
        yield Condition(reason="GUARANTEE_CROWDED", message=text)


def _crowded(granted: Granted, obj: object) -> tuple[EndPoint, ...]:
    """Links where the ports of the network, or of the port's network, are too many for each to have a queue."""
    if not isinstance(obj, Network | Port):
        return ()
    links = granted.crowded.get(network_of(obj.name), ())
    if isinstance(obj, Port) and not (links and obj.bandwidth.may_guarantee):
        return ()
    return _touched(granted, obj, obj.tenant if isinstance(obj, Port) else obj.name, links)


def _is_crowded_where_it_ends(granted: Granted, obj: object) -> bool:
    """Of a network, or a port with a guarantee: whether its senders are too many to have queues at access ports."""
    return (isinstance(obj, Network) or (isinstance(obj, Port) and obj.bandwidth.may_guarantee)) and (
        network_of(obj.name) in granted.crowded_ends)


def _degraded(fabric: Fabric, owner: str, found: Degraded) -> Condition:
    why = [f"there is no path {list_apart(found.apart)}"] if found.apart else []
    why += [f"{list_named(fabric, found.links)} cannot carry all that is guaranteed there"] if found.links else []
    kept = "0%" if found.apart else f"at least {found.share:.0%}"
    text = f"{owner} keeps {kept} of its guarantee: {', and '.join(why)}; it recovers by itself when the fabric does"
    switches = {*_switches(found.links), *(dpid for _, src, dst in found.apart for dpid in (src, dst))}
    return Condition(reason="GUARANTEE_DEGRADED", message=text, switches=tuple(sorted(switches)))


def _cut_off(obj: Tenant | Network | Port | Pipe, owner: str, apart: tuple[Apart, ...]) -> tuple[Apart, ...]:
    """Of these pairs of switches those that the object's traffic goes between."""
    if not apart or obj.name == owner:
        return apart
    of_network = tuple(each for each in apart if each.network == network_of(obj.name))
    if not isinstance(obj, Port):
        return of_network
    edge = obj.attachment.dpid if obj.attachment is not None else None
    return tuple(each for each in of_network if edge in (each.src, each.dst))


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
        return {link for name, links in exposed if "/pipes/" not in name and tenant_of(name) == obj.name
                for link in links}
    return ()


def _switches(links: Iterable[EndPoint]) -> tuple[int, ...]:
    return tuple(sorted({link.dpid for link in links}))
