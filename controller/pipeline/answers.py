"""Answers that a switch gives itself, tables 8 and 9: ARP and ND for every known address, echo for gateways.

    8 services   a query of a bound port passes the port's packet meter; an ND query is turned into an advertisement
    9 answers    whoever is asked for, in the querier's network, answers through the port the query came in by

Whether an echo is for a gateway, or only sent by way of it, is for table `route` to know; that sends it back to 8.

Two tables, because each answer is an upcall and has to be metered by who asks, not by who is asked for; and because
OVS lets a flow write the target's link-layer option only where it has matched an advertisement.
Every answer is a unicast frame back to the one port that asked, so none can be used to reach anybody else.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from controller.model.network import Address, Subnet
from controller.openflow import actions
from controller.pipeline import tables
from controller.pipeline.base import ARP, ICMP, ICMPV6, IPV4, IPV6, ND_ADVERTISE, ND_SOLICIT
from controller.pipeline.draft import Draft, apply, goto, resubmit, through
from controller.pipeline.security import ARP_REQUEST
from controller.pipeline.tables import ANSWERS, ROUTE, SERVICES, MeterKind, Priority, where
from controller.pipeline.views import BoundPort, LocalNetwork

_ARP_REPLY = 2
_ECHO, _ECHO_REPLY = 8, 0
_ECHO6, _ECHO6_REPLY = 128, 129
_TTL = 64
_ROUTER_SOLICITED_OVERRIDE, _SOLICITED_OVERRIDE = 0xE0000000, 0x60000000
_TARGET_LINK_LAYER = 2


def serve_port(draft: Draft, bound: BoundPort) -> None:
    """The port's way to the answers, through its own packet meter."""
    meter_id = tables.meter_id(bound.slot, MeterKind.SERVICE)
    meter = through(draft.meter(meter_id, tables.SERVICE_PPS, tables.SERVICE_BURST, "pktps"))
    source = (tables.SOURCE, bound.key24)
    echo = where(source, (tables.TO_GATEWAY, 1))
    draft.flow(SERVICES, Priority.NORMAL, echo, meter, goto(ANSWERS))
    if bound.ipv4:
        request = where(source, eth_type=ARP, arp_op=ARP_REQUEST)
        draft.flow(SERVICES, Priority.NORMAL, request, meter, goto(ANSWERS))
    if bound.ipv6:
        query = where(source, eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=ND_SOLICIT, icmpv6_code=0)
        advertise = apply(actions.set_field("icmpv6_type", ND_ADVERTISE))
        draft.flow(SERVICES, Priority.NORMAL, query, meter, advertise, goto(ANSWERS))


def answer_for_peer(draft: Draft, peer: BoundPort) -> None:
    for address in peer.ipv4:
        _answer_arp(draft, peer.network_key, address, peer.mac)
    for address in peer.ipv6:
        _answer_nd(draft, peer.network_key, address, peer.mac, _SOLICITED_OVERRIDE)


def answer_for_gateways(draft: Draft, network: LocalNetwork, subnets: list[Subnet]) -> None:
    """Who the gateways of the network's own subnets are."""
    mac = network.gateway_mac
    for gateway in _gateways(subnets):
        if isinstance(gateway, IPv4Address):
            _answer_arp(draft, network.key, int(gateway), mac)
        else:
            _answer_nd(draft, network.key, int(gateway), mac, _ROUTER_SOLICITED_OVERRIDE)


def answer_echoes(draft: Draft, network: LocalNetwork, subnets: list[Subnet]) -> None:
    """The network's router answers for the gateways of these subnets, from table `route` by way of the services."""
    for gateway in _gateways(subnets):
        if isinstance(gateway, IPv4Address):
            _answer_echo(draft, network, int(gateway))
        else:
            _answer_echo6(draft, network, int(gateway))


def _gateways(subnets: list[Subnet]) -> list[Address]:
    return sorted((g for subnet in subnets for g in subnet.gateways), key=lambda g: (g.version, int(g)))


def _answer_arp(draft: Draft, network_key: int, address: int, mac: int) -> None:
    asked = where((tables.NETWORK, network_key), eth_type=ARP, arp_op=ARP_REQUEST, arp_tpa=address)
    draft.flow(ANSWERS, Priority.NORMAL, asked, apply(
        *_turn_round(mac),
        actions.set_field("arp_op", _ARP_REPLY),
        actions.move("arp_sha", "arp_tha"),
        actions.move("arp_spa", "arp_tpa"),
        actions.set_field("arp_sha", mac),
        actions.set_field("arp_spa", address),
        actions.in_port(),
    ))


def _answer_nd(draft: Draft, network_key: int, address: int, mac: int, flags: int) -> None:
    asked = where(
        (tables.NETWORK, network_key),
        eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=ND_ADVERTISE, icmpv6_code=0, nd_target=address,
    )
    draft.flow(ANSWERS, Priority.NORMAL, asked, apply(
        *_turn_round(mac),
        actions.move("ipv6_src", "ipv6_dst"),
        actions.set_field("ipv6_src", address),
        actions.set_field("nd_options_type", _TARGET_LINK_LAYER),
        actions.set_field("nd_reserved", flags),
        actions.set_field("nd_tll", mac),
        actions.in_port(),
    ))


def _answer_echo(draft: Draft, network: LocalNetwork, address: int) -> None:
    asked = where(
        (tables.NETWORK, network.key),
        eth_type=IPV4, ip_proto=ICMP, ipv4_dst=address, icmpv4_type=_ECHO, icmpv4_code=0,
    )
    draft.flow(ROUTE, Priority.OWN, asked, apply(tables.TO_GATEWAY.load(1), resubmit(SERVICES)))
    draft.flow(ANSWERS, Priority.NORMAL, asked, apply(
        *_turn_round(network.gateway_mac),
        actions.move("ipv4_src", "ipv4_dst"),
        actions.set_field("ipv4_src", address),
        actions.set_field("ip_ttl", _TTL),
        actions.set_field("icmpv4_type", _ECHO_REPLY),
        actions.in_port(),
    ))


def _answer_echo6(draft: Draft, network: LocalNetwork, address: int) -> None:
    asked = where(
        (tables.NETWORK, network.key),
        eth_type=IPV6, ip_proto=ICMPV6, ipv6_dst=address, icmpv6_type=_ECHO6, icmpv6_code=0,
    )
    draft.flow(ROUTE, Priority.OWN, asked, apply(tables.TO_GATEWAY.load(1), resubmit(SERVICES)))
    draft.flow(ANSWERS, Priority.NORMAL, asked, apply(
        *_turn_round(network.gateway_mac),
        actions.move("ipv6_src", "ipv6_dst"),
        actions.set_field("ipv6_src", address),
        actions.set_field("ip_ttl", _TTL),
        actions.set_field("icmpv6_type", _ECHO6_REPLY),
        actions.in_port(),
    ))


def _turn_round(mac: int) -> tuple[bytes, bytes]:
    return actions.move("eth_src", "eth_dst"), actions.set_field("eth_src", mac)
