"""Flows as values with a mark."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from controller.openflow import actions as act
from controller.openflow import entries
from controller.openflow import instructions as ins
from controller.openflow.entries import Bucket, Flow, FlowKey, Group, Meter, flow
from controller.openflow.match import match

MATCH = match(in_port=3, reg6=0x11)
INSTRUCTIONS = ins.join(ins.apply(act.output(7)), ins.goto(9))


def test_flow_cookie_carries_owner_kind_and_fingerprint() -> None:
    """The owner is the first byte, the kind the second; the rest is stable over processes and machines."""
    one = flow(0x2A, 4, 100, MATCH, INSTRUCTIONS)
    assert one.cookie >> 56 == ord("P")
    assert entries.is_ours(one.cookie)
    assert entries.kind_of(one.cookie) == 0x2A
    assert one.cookie & 0xFFFFFFFFFFFF == 0x55D8CF9C2717
    assert not entries.is_ours(one.cookie ^ 1 << 60)
    assert not entries.is_ours(0)


@pytest.mark.parametrize(
    "other",
    [
        flow(1, 5, 100, MATCH, INSTRUCTIONS),
        flow(1, 4, 101, MATCH, INSTRUCTIONS),
        flow(1, 4, 100, match(in_port=4, reg6=0x11), INSTRUCTIONS),
        flow(1, 4, 100, MATCH, ins.goto(9)),
        flow(1, 4, 100, MATCH + INSTRUCTIONS[:8], INSTRUCTIONS[8:]),
    ],
)
def test_fingerprint_changes_with_everything_a_flow_is(other: Flow) -> None:
    """Table, priority, match, instructions, and where the one ends and the other begins."""
    assert other.cookie != flow(1, 4, 100, MATCH, INSTRUCTIONS).cookie


def test_flow_with_rewritten_actions_is_not_intact() -> None:
    """What `ovs-ofctl mod-flows` leaves behind: other actions under the old cookie."""
    one = flow(1, 4, 100, MATCH, INSTRUCTIONS)
    assert entries.is_intact(one)
    assert not entries.is_intact(replace(one, instructions=b""))


def test_flow_key_is_table_priority_and_match() -> None:
    """Two flows with one key replace each other on a switch."""
    one, two = flow(1, 4, 100, MATCH, INSTRUCTIONS), flow(2, 4, 100, MATCH, b"")
    assert one.key == two.key == FlowKey(4, 100, MATCH) == (4, 100, MATCH)
    assert one != two


def test_entries_are_values() -> None:
    """Equal contents are equal, hash alike, and cannot be changed."""
    for make in (
        lambda: flow(1, 4, 100, MATCH, INSTRUCTIONS),
        lambda: Group(1, entries.GROUP_ALL, (Bucket(act.output(3)), Bucket(b""))),
        lambda: Meter(1, 1000, 250),
    ):
        assert make() == make()
        assert len({make(), make()}) == 1
        assert pickle.loads(pickle.dumps(make())) == make()
        with pytest.raises((AttributeError, TypeError)):
            setattr(make(), "table" if isinstance(make(), Flow) else "id", 5)
