"""A switch returns exactly what was sent: the ground under comparing bytes instead of decoding them.

If a new version of Open vSwitch orders or writes something differently, it shows here first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from controller.openflow import actions as act
from controller.openflow import decode, messages, text
from controller.openflow import instructions as ins
from controller.openflow.entries import COOKIE_OWNER, COOKIE_OWNER_MASK, Bucket, Flow, Group, Meter, flow
from controller.openflow.fields import FIELDS
from controller.openflow.match import MatchValue, match
from tests.support.of_client import OpenFlowClient
from tests.support.rig import Rig

_IP, _ARP, _IPV6 = 0x0800, 0x0806, 0x86DD
_ETHERNET: dict[str, MatchValue] = {"eth_src": 0x020000000001, "eth_dst": (0x0200, 0xFFFFFF00), "vlan_vid": 0x1005}
_REGISTERS: dict[str, MatchValue] = {f"reg{i}": (i, 0xFFFF) if i % 2 else i for i in range(16)}
_STATE: dict[str, MatchValue] = {
    "conj_id": 7,
    "in_port": 3,
    "tunnel_id": (0x100, 0xFF00),
    "tun_src": 0x0A000001,
    "tun_dst": (0x0A000000, 0xFF000000),
    "pkt_mark": 5,
    "ct_state": (0x21, 0x23),
    "ct_zone": 9,
    "ct_mark": (1, 3),
    "ct_label": (1 << 100, 3 << 100),
    "metadata": (0x0A << 24, 0xFFFFFF << 24),
    **_REGISTERS,
}
_TOS: dict[str, MatchValue] = {"ip_dscp": 46, "ip_ecn": 1, "ip_ttl": 64, "ip_frag": 1}
_V6: dict[str, MatchValue] = {"eth_type": _IPV6, "ipv6_src": 1, "ipv6_dst": (0xFD << 120, 0xFF << 120)}
_ND: dict[str, MatchValue] = {"nd_target": 7, "nd_reserved": 1 << 30, "nd_options_type": 1}

_FRAGMENTS: tuple[dict[str, MatchValue], ...] = tuple(
    {"eth_type": _IP, "ip_frag": fragment} for fragment in ((0, 3), (1, 1), (1, 3), (3, 3), (0, 2))
)

MATCHES: tuple[dict[str, MatchValue], ...] = (
    {},
    {"vlan_vid": 0},
    {"vlan_vid": (0x1000, 0x1000)},
    {"vlan_vid": 0x1005, "vlan_pcp": 3},
    {"eth_type": 0x88CC, **_STATE, **_ETHERNET},
    {"eth_type": _IP, "ipv4_src": 1, "ipv4_dst": (0x0A000000, 0xFFFFFF00), **_TOS, **_STATE},
    {"eth_type": _IP, "ip_proto": 6, "tcp_src": 1, "tcp_dst": (0x50, 0xFFF0), **_TOS, **_ETHERNET},
    {"eth_type": _IP, "ip_proto": 17, "udp_src": 68, "udp_dst": 67, "ipv4_src": 0, "ipv4_dst": 0xFFFFFFFF},
    *_FRAGMENTS,
    {"eth_type": _IP, "ip_proto": 1, "icmpv4_type": 8, "icmpv4_code": 0, **_STATE},
    {"eth_type": _ARP, "arp_op": 1, "arp_spa": 1, "arp_tpa": (256, 0xFF00), "arp_sha": 3, "arp_tha": 4, **_STATE},
    {**_V6, **_TOS, "ip_proto": 17, "udp_src": 5, "udp_dst": 6, "ipv6_label": 9, **_STATE},
    {**_V6, "ip_proto": 6, "tcp_dst": 6},
    {**_V6, "ip_proto": 58, "icmpv6_type": 135, "icmpv6_code": 0, **_ND, "nd_sll": 5, **_STATE, **_ETHERNET},
    {**_V6, "ip_proto": 58, "icmpv6_type": 136, "icmpv6_code": 0, **_ND, "nd_tll": (5, 0xFF)},
)

_ND_REPLY = match(eth_type=_IPV6, ip_proto=58, icmpv6_type=136, icmpv6_code=0)
_PREREQUISITES = {
    "tcp": match(eth_type=_IP, ip_proto=6),
    "udp": match(eth_type=_IP, ip_proto=17),
    "icmpv4": match(eth_type=_IP, ip_proto=1),
    "icmpv6": match(eth_type=_IPV6, ip_proto=58),
    "ipv6": match(eth_type=_IPV6),
    "ip": match(eth_type=_IP),
    "arp": match(eth_type=_ARP),
    "vlan": match(vlan_vid=(0x1000, 0x1000)),
    "nd_sll": match(eth_type=_IPV6, ip_proto=58, icmpv6_type=135, icmpv6_code=0),
    "nd": _ND_REPLY,
}
# OVS writes ct_* only through ct(exec(...)), and never these.
_READ_ONLY = {"conj_id", "eth_type", "ip_frag", "ip_proto", "ct_state", "ct_zone", "ct_mark", "ct_label"}
_WRITABLE = sorted(set(FIELDS) - _READ_ONLY)

GROUPS = (
    Group(7, 0, (Bucket(act.output(3) + act.output(4)), Bucket(act.load("in_port", 0) + act.output(5)))),
    Group(8, 3, (Bucket(act.output(3), watch_port=3), Bucket(act.group(7), watch_group=7))),
    Group(9, 1, (Bucket(act.output(3), weight=2), Bucket(act.output(5), weight=1, watch_port=5))),
    Group(10, 2, (Bucket(act.load("eth_dst", 0x42, 24, 16) + act.resubmit(2)),)),
    Group(11, 0),
)
METERS = (Meter(5, 100, 10, "pktps"), Meter(6, 10_000, 2_500), Meter(messages.CONTROLLER_METER, 1000, 100, "pktps"))


def _prerequisite(field: str) -> bytes:
    return next((found for prefix, found in _PREREQUISITES.items() if field.startswith(prefix)), b"")


def _program() -> Iterator[tuple[bytes, bytes]]:
    """(match, instructions) with all that the codec can say."""
    for fields in MATCHES:
        yield match(**fields), ins.goto(9)
    for name in _WRITABLE:
        field = FIELDS[name]
        oxm, bits = _prerequisite(name), min(64, field.subfield_bits)
        if name != "in_port":
            value = {"vlan_vid": 0x1005, "arp_op": 2}.get(name, (1 << field.bits) - 2)
            yield oxm, ins.apply(act.set_field(name, value))
        yield oxm, ins.apply(act.load(name, 1, 0, bits))
        yield oxm, ins.apply(act.load(name, 1, bits // 2, 1))
        yield oxm, ins.apply(act.move(name, "xxreg0", bits=1))
        yield oxm, ins.apply(act.move("xxreg0", name, src_bit=3, bits=bits))
    for action in (
        act.output(5), act.in_port(), act.controller(), act.controller(128), act.controller(meter_id=5),
        act.controller(64, meter_id=messages.CONTROLLER_METER), act.group(7), act.set_queue(5), act.resubmit(0),
        act.clone(act.group(7), act.set_field("reg1", 3)), act.output_truncated(5, 64), act.spread("reg4", 4, 16, 2),
        act.set_field("metadata", 5),
    ):  # fmt: skip
        yield b"", ins.apply(action)
    yield match(eth_type=_IP), ins.apply(act.dec_ttl(), act.output(4))
    yield b"", b""
    yield b"", ins.meter(6)
    yield b"", ins.write_metadata(5)
    yield b"", ins.join(ins.meter(6), ins.apply(act.output(3)), ins.write_metadata(3, 7), ins.goto(9))


def program() -> tuple[Flow, ...]:
    """Every flow at a priority of its own, so that all fit in one table."""
    return tuple(flow(1, 2, number, *parts) for number, parts in enumerate(_program(), start=1))


def _provision() -> list[bytes]:
    """What flows refer to, first; group 8 refers to group 7."""
    return [
        *(messages.meter_mod(messages.ADD, meter) for meter in METERS),
        *(messages.group_mod(messages.ADD, group) for group in GROUPS),
    ]


@contextmanager
def connected(ovs: Rig, bridge: str) -> Iterator[OpenFlowClient]:
    ovs.add_bridge(bridge, 0x11)
    with OpenFlowClient(ovs.sandbox.path(f"/run/openvswitch/{bridge}.mgmt")) as client:
        yield client


def _flows(client: OpenFlowClient) -> tuple[Flow, ...]:
    asked = messages.flow_stats_request(cookie=COOKIE_OWNER, cookie_mask=COOKIE_OWNER_MASK)
    stats = decode.flow_stats(client.request(asked))
    return tuple(sorted((stat.flow for stat in stats), key=lambda one: one.key))


def test_switch_returns_flows_groups_and_meters_byte_for_byte(ovs: Rig) -> None:
    """Add everything that the codec can encode, dump it, and compare."""
    flows = program()
    with connected(ovs, "s1") as client:
        assert client.submit([*_provision(), *map(messages.flow_add, flows)]) == []
        assert _flows(client) == flows
        assert {*decode.group_desc(client.request(messages.group_desc_request()))} == {*GROUPS}
        assert {*decode.meter_config(client.request(messages.meter_config_request()))} == {*METERS}


def test_text_of_every_flow_is_accepted_by_ovs_ofctl_and_gives_the_same_bytes(ovs: Rig) -> None:
    """Written as text, fed to `ovs-ofctl`, dumped: the same flows, groups and meters."""
    flows = program()
    with connected(ovs, "s1") as client:
        for meter in METERS[:2]:
            ovs.ofctl("add-meter", "s1", text.meter_text(meter))
        client.submit([messages.meter_mod(messages.ADD, METERS[2])])
        ovs.ofctl("add-groups", "s1", "-", stdin="\n".join(map(text.group_text, GROUPS)))
        ovs.ofctl("add-flows", "s1", "-", stdin="\n".join(map(text.flow_text, flows)))
        for got, sent in zip(_flows(client), flows, strict=True):
            assert got == sent, text.flow_text(sent)
        assert {*decode.group_desc(client.request(messages.group_desc_request()))} == {*GROUPS}
        assert {*decode.meter_config(client.request(messages.meter_config_request()))} == {*METERS}


def test_deletes_and_dumps_touch_only_what_carries_the_mark(ovs: Rig) -> None:
    """Somebody else's flows are neither read nor deleted; a delete by an old cookie deletes nothing."""
    one, two = flow(1, 3, 10, match(reg1=1), ins.goto(4)), flow(1, 3, 10, match(reg1=2), ins.goto(4))
    with connected(ovs, "s1") as client:
        ovs.ofctl("add-flow", "s1", "cookie=0x42,table=3,priority=10,reg1=3,actions=drop")
        assert client.submit(map(messages.flow_add, (one, two))) == []
        assert _flows(client) == (one, two)
        client.submit([messages.flow_delete_strict(one.key, two.cookie)])
        assert _flows(client) == (one, two)
        client.submit([messages.flow_delete_strict(one.key, one.cookie)])
        assert _flows(client) == (two,)
        client.submit([messages.flow_delete(COOKIE_OWNER, COOKIE_OWNER_MASK)])
        assert _flows(client) == ()
        assert len(ovs.flows("s1")) == 1


def test_meter_and_group_are_modified_and_deleted(ovs: Rig) -> None:
    """MODIFY replaces the whole; DELETE by id."""
    meter, group = Meter(6, 20_000, 5_000), Group(7, 0, (Bucket(act.output(9)),))
    with connected(ovs, "s1") as client:
        assert client.submit(_provision()) == []
        changes = [messages.meter_mod(messages.MODIFY, meter), messages.group_mod(messages.MODIFY, group)]
        assert client.submit(changes) == []
        assert meter in decode.meter_config(client.request(messages.meter_config_request()))
        assert group in decode.group_desc(client.request(messages.group_desc_request()))
        client.submit(
            [messages.meter_mod(messages.DELETE, 6), messages.group_mod(messages.DELETE, messages.ALL_GROUPS)]
        )
        assert meter not in decode.meter_config(client.request(messages.meter_config_request()))
        assert decode.group_desc(client.request(messages.group_desc_request())) == []


def test_refusals_name_the_frame(ovs: Rig) -> None:
    """A flow that uses a group that is not there: the error's xid tells which frame, its data which flow."""
    good, bad = flow(1, 3, 10, b"", ins.goto(4)), flow(1, 3, 11, b"", ins.apply(act.group(99)))
    with connected(ovs, "s1") as client:
        (error,) = client.submit(map(messages.flow_add, (good, bad)))
        assert (error.xid, error.type) == (1, 2)
        assert messages.flow_add(bad)[8:].startswith(error.data[8:64])
        assert _flows(client) == (good,)


def test_switch_tells_what_it_is_and_can_do(ovs: Rig) -> None:
    """Features of meters and groups, ports, description."""
    with connected(ovs, "s1") as client:
        meters = decode.meter_features(client.request(messages.meter_features_request()))
        assert meters.max_meters > 10_000
        assert meters.kbps
        assert meters.pktps
        assert min(decode.max_groups(client.request(messages.group_features_request()))) > 10_000
        told = decode.description(client.request(messages.desc_request()))
        assert told.hardware == "Open vSwitch"
        host = ovs.add_host("h1", "s1", 5)
        ports = {port.port_no: port for port in decode.port_desc(client.request(messages.port_desc_request()))}
        assert ports[5].name == host.interface
        assert ports[5].up
        assert ports[5].speed_kbps == 10_000_000
