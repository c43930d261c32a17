"""A session's decisions: what is sent, in which order, and what counts as installed."""

from __future__ import annotations

from controller.openflow import instructions, messages
from controller.openflow.entries import Bucket, Flow, Group, Meter, flow
from controller.openflow.match import match
from controller.pipeline.world import Fragment, FragmentKey
from controller.reconcile.datapath import FrameError, ReadBack
from controller.reconcile.session import Session

A = FragmentKey("port", 1, ("a",))
B = FragmentKey("port", 1, ("b",))
NOTHING = ReadBack((), (), ())


def _flow(table: int, port: int, to: int = 100) -> Flow:
    return flow(1, table, 10, match(in_port=port), instructions.goto(to))


def _session(**fragments: Fragment) -> Session:
    session = Session(1)
    session.read(NOTHING)
    session.retarget(1, {FragmentKey("port", 1, (name,)): fragment for name, fragment in fragments.items()})
    return session


def _confirm_all(session: Session) -> int:
    sent = 0
    for step in session.steps():
        session.settle(step, [])
        sent += len(step.frames)
    return sent


def test_session_builds_up_before_it_clears_away() -> None:
    """Meters, groups and flows are added, users after what they use, table 0 last; deletes follow, reversed."""
    old_groups, new_groups = (Group(7, 0), Group(9, 0)), (Group(2, 0, (Bucket(b""),)), Group(1, 0))
    old = Fragment(flows=(_flow(0, 1), _flow(4, 1)), groups=old_groups, meters=(Meter(5, 1, 1),))
    new = Fragment(flows=(_flow(0, 2), _flow(4, 2)), groups=new_groups, meters=(Meter(6, 1, 1),))
    session = _session(a=old)
    _confirm_all(session)
    session.retarget(2, {A: None, B: new})
    up, down = session.steps()
    assert [(m.table, m.key if isinstance(m.key, int) else m.key.table) for m in up.marks] == [
        ("meter", 6), ("group", 1), ("group", 2), ("flow", 4), ("flow", 0)]
    assert [(m.table, m.key if isinstance(m.key, int) else m.key.table) for m in down.marks] == [
        ("flow", 0), ("flow", 4), ("group", 9), ("group", 7), ("meter", 5)]


def test_session_adds_the_exception_before_the_rule_and_deletes_it_after() -> None:
    """What is for some frames has the higher priority: they never go the new way of all others meanwhile."""
    rule, exception = (flow(1, 4, priority, match(in_port=1), instructions.goto(9)) for priority in (10, 20))
    session = _session(a=Fragment(flows=(rule, exception)))
    assert [mark.key for step in session.steps() for mark in step.marks] == [exception.key, rule.key]
    _confirm_all(session)
    session.retarget(2, {A: None})
    assert [mark.key for step in session.steps() for mark in step.marks] == [rule.key, exception.key]


def test_session_moves_an_entry_between_fragments_without_a_frame() -> None:
    """An entry that one fragment gives up and another takes over in one change is not touched on the switch."""
    shared = _flow(0, 1)
    session = _session(a=Fragment(flows=(shared,)))
    _confirm_all(session)
    session.retarget(2, {B: Fragment(flows=(shared,)), A: None})
    assert session.steps() == []


def test_session_writes_nothing_to_a_switch_that_is_right() -> None:
    """Read back equal to the target: no frame."""
    fragment = Fragment(flows=(_flow(0, 1),), groups=(Group(1, 0, ()),), meters=(Meter(5, 1, 1),))
    session = Session(1)
    session.read(ReadBack(fragment.flows, fragment.groups, fragment.meters))
    session.retarget(1, {A: fragment})
    assert session.steps() == []
    assert session.in_sync


def test_session_sweeps_what_nobody_wants() -> None:
    """Entries with our mark that no fragment asks for are deleted."""
    session = Session(1)
    session.read(ReadBack((_flow(0, 1),), (), ()))
    session.retarget(1, {})
    (step,) = session.steps()
    assert step.frames == (messages.flow_delete_strict(_flow(0, 1).key),)


def test_session_repairs_actions_that_somebody_changed() -> None:
    """A flow with other instructions under the same cookie is drift and is written again."""
    right = _flow(0, 1)
    session = _session(a=Fragment(flows=(right,)))
    _confirm_all(session)
    wrong = Flow(right.table, right.priority, right.match, instructions.goto(50), right.cookie)
    assert session.read(ReadBack((wrong,), (), ())) == 1
    (step,) = session.steps()
    assert step.frames == (messages.flow_add(right),)


def test_session_modifies_meters_and_groups_in_place() -> None:
    """A meter or group that exists is modified, never deleted and added: flows that use it stay."""
    session = _session(a=Fragment(groups=(Group(1, 0, ()),), meters=(Meter(5, 1, 1),)))
    _confirm_all(session)
    session.retarget(2, {A: Fragment(groups=(Group(1, 0, (Bucket(b""),)),), meters=(Meter(5, 2, 2),))})
    (step,) = session.steps()
    assert step.frames == (
        messages.meter_mod(messages.MODIFY, Meter(5, 2, 2)),
        messages.group_mod(messages.MODIFY, Group(1, 0, (Bucket(b""),))),
    )


def test_session_names_the_fragment_of_a_refused_frame() -> None:
    """A refused flow leaves its object refused and everything else installed; the next steps offer it again, alone."""
    session = _session(a=Fragment(flows=(_flow(0, 1),)), b=Fragment(flows=(_flow(0, 2),)))
    (step,) = session.steps()
    refused = next(i for i, mark in enumerate(step.marks) if mark.value == _flow(0, 2))
    session.settle(step, [FrameError(refused, 5, 1, "FLOW_MOD_FAILED/TABLE_FULL")])
    assert set(session.refused) == {B}
    assert "TABLE_FULL" in session.refused[B]
    assert not session.in_sync
    (again,) = session.steps()
    assert [mark.value for mark in again.marks] == [_flow(0, 2)]
    session.clear_refusals()
    session.settle(again, [])
    assert session.in_sync
    assert session.refused == {}
