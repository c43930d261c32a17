"""Port security, table 4: a frame's source must be the port's own, in every header that states one.

    IPv4    MAC and address
    ARP     the same in Ethernet header and ARP body
    IPv6    MAC and address; the link-local address that the MAC gives counts as one, if the port has any IPv6 address
    ND      also the link-layer option, and an advertised target must be the sender's own address
    MLD     also from `::`, while a host still tests its addresses

A host's questions about its own addresses (duplicate detection) end here uncounted as spoofing: nobody else can have
them, and silence says so.
"""

from __future__ import annotations

from controller.pipeline import tables
from controller.pipeline.base import ARP, ICMPV6, IPV4, IPV6, ND_ADVERTISE, ND_SOLICIT
from controller.pipeline.draft import Draft, goto
from controller.pipeline.tables import PORT_SECURITY, Priority, Reason, where
from controller.pipeline.views import BoundPort

ARP_REQUEST = 1
_MLD_REPORT_V2 = 143


def secure_port(draft: Draft, bound: BoundPort) -> None:
    _secure_ipv4(draft, bound)
    _secure_ipv6(draft, bound)


def _secure_ipv4(draft: Draft, bound: BoundPort) -> None:
    source, mac = (tables.SOURCE, bound.key24), bound.mac
    for address in bound.ipv4:
        for match in (
            where(source, eth_src=mac, eth_type=IPV4, ipv4_src=address),
            where(source, eth_src=mac, eth_type=ARP, arp_spa=address, arp_sha=mac),
        ):
            draft.flow(PORT_SECURITY, Priority.NORMAL, match, goto(tables.SERVICES))
        about_itself = where(source, eth_src=mac, eth_type=ARP, arp_op=ARP_REQUEST, arp_sha=mac, arp_tpa=address)
        draft.drop(PORT_SECURITY, Priority.OWN, about_itself, Reason.OWN_ADDRESS)


def _secure_ipv6(draft: Draft, bound: BoundPort) -> None:
    source, mac = (tables.SOURCE, bound.key24), bound.mac
    icmpv6 = {"eth_src": mac, "eth_type": IPV6, "ip_proto": ICMPV6}
    for address in bound.ipv6:
        admitted = where(source, eth_src=mac, eth_type=IPV6, ipv6_src=address)
        query = where(source, **icmpv6, icmpv6_type=ND_SOLICIT, ipv6_src=address, nd_sll=mac)
        claim = where(source, **icmpv6, icmpv6_type=ND_ADVERTISE, ipv6_src=address, nd_target=address, nd_tll=mac)
        draft.flow(PORT_SECURITY, Priority.NORMAL, admitted, goto(tables.SERVICES))
        draft.flow(PORT_SECURITY, Priority.TENANT, query, goto(tables.SERVICES))
        draft.flow(PORT_SECURITY, Priority.TENANT, claim, goto(tables.SERVICES))
        about_itself = where(source, **icmpv6, icmpv6_type=ND_SOLICIT, nd_target=address)
        draft.drop(PORT_SECURITY, Priority.OWN, about_itself, Reason.OWN_ADDRESS)
    if bound.ipv6:
        joins = where(source, **icmpv6, icmpv6_type=_MLD_REPORT_V2, ipv6_src=0)
        draft.flow(PORT_SECURITY, Priority.NORMAL, joins, goto(tables.SERVICES))
