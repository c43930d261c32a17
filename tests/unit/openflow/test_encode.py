"""Canonical matches, actions and instructions, and what the builders refuse."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.openflow import actions as act
from controller.openflow import instructions as ins
from controller.openflow import messages
from controller.openflow.entries import Bucket, Group, Meter, flow
from controller.openflow.match import MatchValue, match
from controller.openflow.parts import decode_match
from tests.support import of_strategies as some


def test_match_has_one_encoding_whatever_the_order_of_its_fields() -> None:
    """The order is OVS's, not the caller's."""
    fields = {"metadata": 9, "reg6": 1, "eth_type": 0x0800, "ipv4_src": 0x0A000001}
    expected = bytes.fromhex("80000a020800 800016040a000001 00010c0400000001 800004080000000000000009")
    for order in permutations(fields.items()):
        assert match(**dict(order)) == expected


def test_match_drops_masks_that_say_nothing() -> None:
    """A full mask is an exact match and an empty one is no match, as OVS returns them."""
    assert match(ipv4_src=(0x0A000001, 0xFFFFFFFF)) == match(ipv4_src=0x0A000001)
    assert match(ipv4_src=(0, 0), reg1=2) == match(reg1=2)
    assert match(vlan_vid=(0x1005, 0x1FFF)) == match(vlan_vid=0x1005)
    assert match() == b""


def test_match_takes_integers_and_bytes_alike() -> None:
    """Bytes of the field's width, so that packed addresses need no conversion."""
    mac = bytes.fromhex("020000000001")
    assert match(eth_src=mac) == match(eth_src=0x020000000001)
    assert match(eth_dst=(mac, b"\xff" * 5 + b"\x01")) == match(eth_dst=(0x020000000001, 0xFFFFFFFFFF01))


@given(some.match_fields())
def test_match_decodes_to_what_was_asked(fields: dict[str, MatchValue]) -> None:
    """Nothing is lost, nothing added, in canonical order."""
    decoded = decode_match(match(**fields))
    for name, value in fields.items():
        plain, mask = value if isinstance(value, tuple) else (value, None)
        if mask == 0:
            assert name not in decoded
        elif isinstance(decoded[name], tuple):
            assert decoded.pop(name) == (plain, mask)
        else:
            assert decoded.pop(name) == plain
    assert not decoded


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: match(no_such_field=1), "no_such_field"),
        (lambda: match(xxreg0=1), "xxreg0"),
        (lambda: match(ip_proto=256), "ip_proto takes 8 bits"),
        (lambda: match(vlan_vid=0x2000), "vlan_vid takes 13 bits"),
        (lambda: match(reg0=-1), "reg0"),
        (lambda: match(eth_src=b"\x02"), "eth_src takes 6 bytes"),
        (lambda: match(ipv4_src=(0x0A000001, 0xFFFFFF00)), "outside its mask"),
        (lambda: act.set_field("no_such_field", 1), "no_such_field"),
        (lambda: act.set_field("ip_ttl", 256), "ip_ttl"),
        (lambda: act.load("reg0", 2, 0, 1), "into 1 bits"),
        (lambda: act.load("reg0", 0, 31, 2), "no bits 31..32"),
        (lambda: act.load("xxreg0", 0), "into 128 bits"),
        (lambda: act.move("metadata", "reg0"), "no bits 0..63"),
        (lambda: act.move("reg0", "in_port"), "in_port"),
        (lambda: ins.write_metadata(3, 1), "outside its mask"),
        (lambda: ins.join(ins.goto(1), ins.goto(2)), "at most one"),
        (lambda: messages.group_mod(messages.ADD, 5), "delete"),
        (lambda: messages.meter_mod(messages.MODIFY, 5), "delete"),
        (lambda: messages.group_mod(messages.ADD, Group(1, 0, (Bucket(act.output(1)),) * 3000)), "do not fit"),
        (lambda: messages.packet_out(bytes(65_600), b""), "do not fit"),
    ],
)
def test_builders_refuse_what_a_switch_cannot_hold(build: Callable[[], bytes], says: str) -> None:
    """A ValueError that names what is wrong, instead of bytes that a switch would refuse."""
    with pytest.raises(ValueError, match=says):
        build()


def test_join_puts_instructions_in_the_order_of_execution() -> None:
    """Meter, actions, metadata, goto: so OVS returns them; an apply of nothing vanishes."""
    pieces = (ins.meter(5), ins.apply(act.output(1)), ins.write_metadata(1, 1), ins.goto(7))
    for order in permutations(pieces):
        assert ins.join(*order) == b"".join(pieces)
    assert ins.join(ins.apply(), ins.apply(act.drop()), ins.goto(3)) == ins.goto(3)
    assert ins.join() == b""


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (act.load("in_port", 0), "ffff0018 00002320 0007 000f 00000002 0000000000000000"),
        (act.load("eth_dst", 0x42, 24, 16), "ffff0018 00002320 0007 060f 00000206 0000000000000042"),
        (act.set_field("nd_reserved", 0x60000000), "00190010 10000204 60000000 00000000"),
        (act.set_field("nd_options_type", 2), "00190010 10000401 02 00000000000000"),
        (act.controller(meter_id=9), "ffff0018 00002320 0025 000000000000 0005 0008 00000009"),
        (
            act.controller(128, meter_id=9),
            "ffff0020 00002320 0025 000000000000 0000 0008 0080 0000 0005 0008 00000009",
        ),
        (act.controller(128), "00000010 fffffffd 0080 000000000000"),
        (act.clone(act.group(7)), "ffff0018 00002320 002a 000000000000 00160008 00000007"),
        (act.in_port(), "00000010 fffffff8 0000 000000000000"),
    ],
)
def test_action_has_the_bytes_that_ovs_returns(action: bytes, expected: str) -> None:
    """Those that os-ken lacks or writes differently; tests/switch/test_readback.py shows the same on a switch."""
    assert action == bytes.fromhex(expected)


def test_frames_carry_xid_zero_and_their_length() -> None:
    """The transport stamps the xid."""
    frames = [
        messages.flow_add(flow(1, 2, 3, match(reg1=1), ins.goto(3))),
        messages.group_mod(messages.ADD, Group(1, 0)),
        messages.meter_mod(messages.ADD, Meter(1, 2, 3)),
        messages.packet_out(b"abc", act.output(1)),
        messages.flow_stats_request(),
        messages.barrier(),
    ]
    for frame in frames:
        assert frame[0] == 4
        assert int.from_bytes(frame[2:4], "big") == len(frame)
        assert frame[4:8] == bytes(4)


@given(st.lists(some.ACTIONS, max_size=5))
def test_apply_is_a_multiple_of_eight_bytes(actions: list[bytes]) -> None:
    """As everything in OpenFlow 1.3."""
    assert len(ins.apply(*actions)) % 8 == 0
