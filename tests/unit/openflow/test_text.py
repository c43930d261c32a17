"""How flows, groups and meters read.  That ovs-ofctl accepts it is shown in tests/switch/test_readback.py."""

from __future__ import annotations

import pytest
from hypothesis import given

from controller.openflow import actions as act
from controller.openflow import instructions as ins
from controller.openflow import text
from controller.openflow.entries import Bucket, Flow, Group, Meter, flow
from controller.openflow.match import match
from tests.support import of_strategies as some

TABLES = {0: "classify", 2: "fabric", 4: "port_security", 84: "class"}


def test_flow_reads_as_ovs_ofctl_writes_it() -> None:
    """Without table names: everything, the cookie too, so that it can be put back."""
    one = flow(3, 0, 100, match(in_port=1, vlan_vid=0), ins.join(ins.apply(act.set_field("reg6", 0x11)), ins.goto(4)))
    assert text.flow_text(one) == (
        f"cookie={one.cookie:#x},table=0,priority=100,in_port=1,vlan_tci=0x0000/0x1fff"
        " actions=set_field:0x11->reg6,goto_table:4"
    )


def test_flow_reads_with_table_names_in_golden_files() -> None:
    """Names for tables, and no cookie: it repeats the rest and would drown a diff."""
    one = flow(3, 4, 90, b"", ins.join(ins.apply(act.resubmit(2)), ins.goto(84)))
    assert text.flow_text(one, TABLES) == "table=port_security,priority=90 actions=resubmit(,fabric),goto_table:class"
    unnamed = flow(3, 9, 90, b"", ins.goto(84))
    assert text.flow_text(unnamed, TABLES) == "table=9,priority=90 actions=goto_table:class"


@pytest.mark.parametrize(
    ("oxm", "expected"),
    [
        (match(eth_type=0x0800, ipv4_src=0x0A000001), "ip,ip_src=10.0.0.1"),
        (match(eth_type=0x0800, ipv4_dst=(0x0A000000, 0xFFFF0000)), "ip,ip_dst=10.0.0.0/16"),
        (match(eth_type=0x0800, ipv4_dst=(1, 0x000000FF)), "ip,ip_dst=0.0.0.1/0.0.0.255"),
        (match(eth_type=0x0800, ip_proto=6, tcp_dst=(80, 0xFFF0)), "tcp,tcp_dst=80/65520"),
        (match(eth_type=0x0800, ip_proto=89), "ip,nw_proto=89"),
        (match(eth_type=0x86DD, ipv6_src=(0xFD << 120, 0xFF << 120)), "ipv6,ipv6_src=fd00::/8"),
        (match(eth_type=0x86DD, ip_proto=58, icmpv6_type=135, nd_target=1), "icmp6,icmpv6_type=135,nd_target=::1"),
        (match(eth_type=0x0806, arp_op=1, arp_tpa=0x0A000002), "arp,arp_op=1,arp_tpa=10.0.0.2"),
        (match(eth_type=0x88CC), "eth_type=0x88cc"),
        (match(ip_proto=6), "nw_proto=6"),
        (match(eth_dst=(1 << 40, 1 << 40)), "eth_dst=01:00:00:00:00:00/01:00:00:00:00:00"),
        (match(in_port=act.LOCAL), "in_port=local"),
        (match(vlan_vid=0x1064), "vlan_vid=0x1064"),
        (match(ct_state=(0x21, 0x23)), "ct_state=+new-est+trk"),
        (match(eth_type=0x0800, ip_frag=(0, 2)), "ip,ip_frag=not_later"),
        (match(metadata=(5 << 24, 0x3FFF << 24), reg0=(1, 1)), "reg0=0x1/0x1,metadata=0x5000000/0x3fff000000"),
        (bytes.fromhex("80005401 07"), "oxm_0x8000_42=0x7"),
    ],
)
def test_match_reads_as_words(oxm: bytes, expected: str) -> None:
    """Protocols by name, addresses as addresses, prefixes as prefixes, registers in hex."""
    assert ",".join(text.match_words(oxm)) == expected


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (act.drop(), "drop"),
        (act.output(7), "output:7"),
        (act.output(act.LOCAL), "output:local"),
        (act.in_port(), "IN_PORT"),
        (act.controller(128), "CONTROLLER:128"),
        (act.controller(128, meter_id=9), "controller(max_len=128,meter_id=9)"),
        (act.group(7), "group:7"),
        (act.set_queue(3), "set_queue:3"),
        (act.set_field("eth_src", 0x020000000001), "set_field:02:00:00:00:00:01->eth_src"),
        (act.set_field("arp_spa", 0x0A000001), "set_field:10.0.0.1->arp_spa"),
        (act.set_field("metadata", 0xA000101), "set_field:0xa000101->metadata"),
        (act.load("in_port", 0), "load:0x0->in_port[]"),
        (act.load("reg0", 1, 0, 1), "load:0x1->reg0[0]"),
        (act.load("eth_dst", 0x42, 24, 16), "load:0x42->eth_dst[24..39]"),
        (act.move("arp_sha", "arp_tha"), "move:arp_sha[]->arp_tha[]"),
        (act.move("reg7", "eth_dst", bits=24), "move:reg7[0..23]->eth_dst[0..23]"),
        (act.clone(act.group(7), act.dec_ttl()), "clone(group:7,dec_ttl)"),
        (act.output_truncated(5, 64), "output(port=5,max_len=64)"),
        (act.spread("reg4", 4, 16, 2), "multipath(symmetric_l3l4+udp,0,modulo_n,4,0,reg4[16..17])"),
        (bytes.fromhex("0011000888a80000"), "unknown_action(0011000888a80000)"),
    ],
)
def test_action_reads_as_words(action: bytes, expected: str) -> None:
    """One word an action."""
    assert text.actions_text(action) == expected


def test_instructions_read_in_the_order_of_execution() -> None:
    """Meter first, goto last."""
    done = ins.join(ins.goto(4), ins.write_metadata(1, 3), ins.apply(act.output(2)), ins.meter(8))
    assert text.instructions_text(done) == "meter:8,output:2,write_metadata:0x1/0x3,goto_table:4"
    assert text.instructions_text(b"") == "drop"


def test_group_reads_bucket_by_bucket() -> None:
    """What a bucket watches is named only where it watches something."""
    group = Group(8, 3, (Bucket(act.output(3), watch_port=3), Bucket(act.resubmit(2), watch_group=7)))
    assert text.group_text(group, TABLES) == (
        "group_id=8,type=fast_failover,bucket=watch_port:3,actions=output:3,bucket=watch_group:7,actions=resubmit(,fabric)"
    )
    assert (
        text.group_text(Group(9, 1, (Bucket(b"", weight=2),))) == "group_id=9,type=select,bucket=weight:2,actions=drop"
    )
    assert text.group_text(Group(11, 0)) == "group_id=11,type=all"


def test_meter_reads_with_its_unit() -> None:
    """One drop band."""
    assert text.meter_text(Meter(6, 10_000, 2_500)) == (
        "meter=6,kbps,burst,stats,bands=type=drop,rate=10000,burst_size=2500"
    )


@given(some.FLOWS, some.GROUPS)
def test_everything_that_can_be_encoded_can_be_written(one: Flow, group: Group) -> None:
    """One line each, and different flows read differently."""
    line = text.flow_text(one)
    assert "\n" not in line
    assert "unknown" not in line
    assert "\n" not in text.group_text(group)
