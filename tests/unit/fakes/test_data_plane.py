"""The switch in memory behaves like Open vSwitch where that surprises; tests/switch holds both against each other."""

from __future__ import annotations

import pytest

from controller.openflow import actions, instructions, messages
from controller.openflow.entries import GROUP_FAST_FAILOVER, Bucket, Flow, Group, Meter, flow
from controller.openflow.match import match
from tests.fakes import packets
from tests.fakes.data_plane import FakeSwitch, Refused

FRAME = packets.udp("02:00:00:00:00:01", "02:00:00:00:00:02", "10.0.0.1", "10.0.0.2", data=b"x")


def _flow(table: int, *parts: bytes, priority: int = 1, **fields: int) -> Flow:
    return flow(0, table, priority, match(**fields), instructions.join(*parts))


def test_frame_does_not_leave_by_the_port_it_came_in_by() -> None:
    """Unless the flow says in_port, or has cleared it."""
    outputs = actions.output(1) + actions.output(2)
    plain = FakeSwitch(1, (1, 2)).install(flows=[_flow(0, instructions.apply(outputs))])
    assert plain.forward(FRAME, 1) == [(2, FRAME)]
    back = FakeSwitch(1, (1, 2)).install(flows=[_flow(0, instructions.apply(actions.in_port()))])
    assert back.forward(FRAME, 1) == [(1, FRAME)]
    cleared = instructions.apply(actions.load("in_port", 0), outputs)
    assert len(FakeSwitch(1, (1, 2)).install(flows=[_flow(0, cleared)]).forward(FRAME, 1)) == 2


def test_meter_drops_for_all_that_follows_unless_in_a_real_clone() -> None:
    """A clone that OVS can undo shares the packet's fate; one that truncates does not."""
    metered = _flow(1, instructions.meter(7), instructions.apply(actions.output(2)))
    cut = actions.output_truncated(99, 14)
    for inner, survives in ((actions.resubmit(1), False), (cut + actions.resubmit(1), True)):
        rest = instructions.apply(actions.clone(inner), actions.output(3))
        switch = FakeSwitch(1, (1, 2, 3)).install(flows=[_flow(0, rest), metered], meters=[Meter(7, 1, 1)])
        assert [port_no for port_no, _ in switch.forward(FRAME, 1)] == [2, 3]
        switch.exhausted.add(7)
        assert [port_no for port_no, _ in switch.forward(FRAME, 1)] == ([3] if survives else [])


def test_more_resubmits_than_ovs_allows_lose_the_whole_frame() -> None:
    """Nothing leaves, not even the copies that came first."""
    for n_copies, delivered in ((2_000, 2_000), (4_100, 0)):
        groups = [Group(i, 0, (Bucket(actions.resubmit(1)),) * (n_copies // 4)) for i in range(4)]
        copies = instructions.apply(*(actions.group(i) for i in range(4)))
        flows = [_flow(0, copies), _flow(1, instructions.apply(actions.output(2)))]
        assert len(FakeSwitch(1, (1, 2)).install(flows=flows, groups=groups).forward(FRAME, 1)) == delivered


def test_fast_failover_takes_the_first_port_with_carrier() -> None:
    """With none, the frame is dropped."""
    buckets = tuple(Bucket(actions.output(port_no), watch_port=port_no) for port_no in (2, 3))
    switch = FakeSwitch(1, (1, 2, 3)).install(
        groups=[Group(5, GROUP_FAST_FAILOVER, buckets)], flows=[_flow(0, instructions.apply(actions.group(5)))]
    )
    for down, out in (((), [2]), ((2,), [3]), ((2, 3), [])):
        switch.down = set(down)
        assert [port_no for port_no, _ in switch.forward(FRAME, 1)] == out


def test_what_a_switch_refuses_is_refused() -> None:
    """Unknown groups and meters, a goto backward, and a bucket that is no action set."""
    switch = FakeSwitch(1, (1, 2))
    for bad in (
        _flow(0, instructions.apply(actions.group(9))), _flow(0, instructions.meter(9)), _flow(5, instructions.goto(5)),
    ):  # fmt: skip
        with pytest.raises(Refused):
            switch.add_flow(bad)
    for bucket in (actions.output(1) + actions.output(2), actions.clone(actions.output(1))):
        with pytest.raises(Refused):
            switch.put_group(Group(1, 0, (Bucket(bucket),)))


def test_messages_edit_the_tables_as_they_would_a_switch() -> None:
    """Add, replace, strict delete; and with a group or meter the flows that use it go."""
    switch = FakeSwitch(1, (1, 2))
    group, meter = Group(5, 0, (Bucket(actions.output(2)),)), Meter(6, 1_000, 100)
    by_group, by_meter = _flow(0, instructions.apply(actions.group(5))), _flow(0, instructions.meter(6), priority=2)
    switch.apply([
        messages.meter_mod(messages.ADD, meter), messages.group_mod(messages.ADD, group),
        messages.flow_add(by_group), messages.flow_add(by_meter),
    ])  # fmt: skip
    assert set(switch.flows.values()) == {by_group, by_meter}
    with pytest.raises(Refused):
        switch.apply([messages.group_mod(messages.ADD, group)])
    switch.apply([messages.meter_mod(messages.DELETE, 6)])
    assert set(switch.flows.values()) == {by_group}
    assert switch.forward(FRAME, 1) == [(2, FRAME)]
    assert switch.packets[by_group.key] == 1
    replaced = _flow(0, instructions.apply(actions.in_port()))
    switch.apply([messages.flow_add(replaced), messages.group_mod(messages.DELETE, 5)])
    assert set(switch.flows.values()) == {replaced}
    switch.apply([messages.flow_delete_strict(replaced.key)])
    assert switch.flows == {}
