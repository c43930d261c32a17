"""What every switch has, whoever is attached: table misses, guards, drop counters, the way into a label, the canary."""

from __future__ import annotations

from controller.openflow import actions
from controller.pipeline import tables
from controller.pipeline.draft import Draft, apply, goto, resubmit
from controller.pipeline.tables import Kind, Priority, Reason, Table, where
from controller.pipeline.views import chooses_queues, find_features
from controller.pipeline.world import Fragment, World

IPV4, ARP, IPV6, LLDP = 0x0800, 0x0806, 0x86DD, 0x88CC
ICMP, UDP, ICMPV6 = 1, 17, 58
ND_ROUTER_ADVERTISEMENT, ND_SOLICIT, ND_ADVERTISE, ND_REDIRECT = 134, 135, 136, 137
TAG_PRESENT = 0x1000
LINK_LOCAL = 0xFE80 << 112, 0xFFC0 << 112
NO_SUCH_PORT = 0xFEFF
"""The highest number a port can have and, on any switch we have seen, has not."""
_BY_NUMBER = {table.number: table for table in tables.TABLES}


def compile_switch(world: World, dpid: int) -> Fragment | None:
    features = find_features(world, dpid)
    if features is None:
        return None
    draft = Draft(Kind.SWITCH, features)
    _misses(draft)
    _guards(draft)
    _steps(draft, fabric=tables.QUEUE if chooses_queues(world, dpid) else tables.FABRIC)
    draft.flow(tables.META, Priority.MISS, where(metadata=tables.SCHEMA_VERSION))
    return draft.fragment()


def _misses(draft: Draft) -> None:
    for table in tables.TABLES:
        match table.miss:
            case Reason() as reason:
                draft.drop(table, Priority.MISS, where(), reason)
            case int(number):
                draft.flow(table, Priority.MISS, where(), goto(_BY_NUMBER[number]))
    for reason in Reason:
        draft.flow(tables.DROP, Priority.REASON, where((tables.REASON, reason)))
    draft.flow(tables.DROP, Priority.MISS, where())


def _guards(draft: Draft) -> None:
    """What no tenant port may send, reasons for what port security does not admit, and what no router passes on."""
    draft.drop(tables.CLASSIFY, Priority.GUARD, where(in_port=actions.LOCAL), Reason.LOCAL_PORT)
    security = tables.PORT_SECURITY
    icmpv6 = {"eth_type": IPV6, "ip_proto": ICMPV6}
    for reason, match in (
        (Reason.TAGGED, where(vlan_vid=(TAG_PRESENT, TAG_PRESENT))),
        (Reason.WIRE_ON_EDGE, where(eth_type=LLDP)),
        (Reason.ROUTER_ADVERTISEMENT, where(**icmpv6, icmpv6_type=ND_ROUTER_ADVERTISEMENT)),
        (Reason.ROUTER_ADVERTISEMENT, where(**icmpv6, icmpv6_type=ND_REDIRECT)),
        (Reason.DHCP, where(eth_type=IPV4, ip_proto=UDP, udp_src=67)),
        (Reason.DHCP, where(eth_type=IPV4, ip_proto=UDP, ipv4_src=0, udp_dst=67)),
        (Reason.DHCP, where(eth_type=IPV6, ip_proto=UDP, udp_src=547)),
    ):
        draft.drop(security, Priority.GUARD, match, reason)
    # ND that was not admitted for exactly what it claims must not pass as mere IPv6.
    draft.drop(security, Priority.EXACT, where(**icmpv6, icmpv6_type=ND_SOLICIT), Reason.SPOOFED_ND)
    draft.drop(security, Priority.EXACT, where(**icmpv6, icmpv6_type=ND_ADVERTISE), Reason.SPOOFED_ND)
    draft.drop(security, Priority.REASON, where(eth_type=ARP), Reason.SPOOFED_ARP)
    draft.drop(security, Priority.REASON, where(eth_type=IPV4), Reason.SPOOFED_IPV4)
    draft.drop(security, Priority.REASON, where(eth_type=IPV6), Reason.SPOOFED_IPV6)
    for eth_type in (IPV4, IPV6):
        for ttl in (0, 1):
            draft.drop(tables.ROUTE, Priority.EXACT, where(eth_type=eth_type, ip_ttl=ttl), Reason.TTL_EXPIRED)
    # Nobody behind a router could answer to a link-local address (RFC 4291, 2.5.6).
    draft.drop(tables.ROUTE, Priority.EXACT, where(eth_type=IPV6, ipv6_src=LINK_LOCAL), Reason.NO_ROUTE)


def _steps(draft: Draft, *, fabric: Table) -> None:
    draft.flow(tables.PLACE, Priority.NORMAL, where((tables.EDGE, 0)), goto(tables.RX_PORT))
    for match, kind in (
        (where((tables.BUM, 0), (tables.ROUTED, 0)), tables.LABEL_UNICAST),
        (where((tables.BUM, 0), (tables.ROUTED, 1)), tables.LABEL_ROUTED),
        (where((tables.BUM, 1)), tables.LABEL_BUM),
    ):
        draft.flow(tables.LABEL, Priority.NORMAL, match, apply(
            actions.set_field("eth_dst", tables.label_head(kind)),
            tables.LABEL16.move_to("eth_dst", tables.LABEL_BIT),
            tables.DESTINATION.move_to("eth_dst", tables.KEY_BIT),
            resubmit(fabric),
        ))
    # What a meter drops is gone for all that follows, unless it dropped a clone; and OVS makes a real clone only for
    # actions that it cannot undo, such as truncation.  So truncate for a port that does not exist: nothing is sent, and
    # each receiver's meters judge a packet of their own (ofproto/trace shows "clone(meter(0),3),...").
    draft.flow(tables.COPY, Priority.MISS, where(), apply(
        actions.clone(actions.output_truncated(NO_SUCH_PORT, 14), resubmit(tables.RX_PORT)),
    ))
