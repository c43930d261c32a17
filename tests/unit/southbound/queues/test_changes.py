"""From one tree of queues to another: what is ordered, in which order, and what frames meet on the way."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from pyroute2.netlink import nlmsg
from pyroute2.netlink.rtnl import RTM_DELTCLASS, RTM_DELTFILTER, RTM_NEWTCLASS

from controller.model.queues import OfSlice, PortQueues, inner_queue, leaf_queue
from controller.southbound.queues import answers, changes, tree
from controller.southbound.queues.messages import Class
from controller.southbound.queues.tree import STAND_IN, Tree
from tests.support.queue_trees import port, ports, queue
from tests.unit.southbound.queues.kernel import TrafficControl, received


def tree_of(queues: PortQueues) -> Tree:
    return tree.tree_of(queues, 8)


def having(queues: PortQueues) -> TrafficControl:
    """A device that has them."""
    kernel = TrafficControl()
    for order in changes.orders(7, kernel.read(), tree_of(queues)):
        kernel.follow(order)
    return kernel


def leads(kernel: TrafficControl) -> dict[object, int]:
    return {(each.table, each.keys): each.minor for each in kernel.filters.values() if each.minor}


@settings(max_examples=60)
@given(ports(), ports(), st.data())
def test_any_tree_becomes_any_other(before: PortQueues, after: PortQueues, data: st.DataObject) -> None:
    """The kernel takes each order; at the end it has what was asked for; and read back, as after a restart, nothing is
    left to do.  Also from where an earlier change was cut off.

    On the way each filter leads to a class that is there, frames that need no other class always have theirs, and those
    that do have their old one, the new one, or a stand-in where both are in the way.
    """
    kernel, wanted = having(before), tree_of(after)
    earlier = changes.orders(7, kernel.read(), tree_of(data.draw(ports())))
    for order in earlier[:data.draw(st.just(0) | st.integers(0, len(earlier)))]:
        kernel.follow(order)
    stay, at_first, steps = staying(kernel.read().classes, wanted.classes), leads(kernel), []
    for order in changes.orders(7, kernel.read(), wanted):
        kernel.follow(order)
        steps.append(leads(kernel))
    found, at_last = kernel.read(), leads(kernel)
    assert {minor: each[:5] for minor, each in found.classes.items()} == {
        minor: each[:5] for minor, each in wanted.classes.items()}
    assert all(found.classes[minor] == wanted.classes[minor] for minor in wanted.limits)
    assert found.limits == wanted.limits
    assert at_last == {(entry.table.number, entry.keys): minor for entry, minor in wanted.entries.items()}
    assert changes.orders(7, found, wanted) == []
    for frame in at_first.keys() & at_last.keys():
        ways = {step[frame] for step in steps}
        assert ways <= {at_first[frame], at_last[frame], STAND_IN}
        if at_first[frame] in stay or at_last[frame] in stay:
            assert STAND_IN not in ways - {at_first[frame]}, "it had no need to"


def staying(before: Mapping[int, Class], after: Mapping[int, Class]) -> set[int]:
    """The classes that are in both, in the same place."""
    stay: set[int] = set()
    for minor, each in after.items():
        parent = each.parent & 0xFFFF
        if minor in before and before[minor].parent == each.parent and (parent == minor or parent in stay):
            stay.add(minor)
    return stay


def test_owner_divided_and_undivided_is_never_without_a_class_of_its_own() -> None:
    """With its parts under it and back, also where a class has to be made anew: no frame goes to the rest."""
    whole = port(queue(leaf_queue(5), OfSlice(5), OfSlice(6), guarantee_kbps=30))
    parts = port(
        queue(inner_queue(5), guarantee_kbps=30),
        queue(leaf_queue(5), OfSlice(6), guarantee_kbps=10, parent=inner_queue(5)),
        queue(leaf_queue(7), OfSlice(5), guarantee_kbps=20, parent=inner_queue(5)))
    kernel = having(whole)
    seen = set[int]()
    for wanted in (parts, whole):
        for order in changes.orders(7, kernel.read(), tree_of(wanted)):
            kernel.follow(order)
            seen |= {minor for (number, keys), minor in leads(kernel).items() if keys[0].value == 5 << 10}
    assert seen == {leaf_queue(5), leaf_queue(7), STAND_IN}


def test_nothing_is_written_where_all_is_right() -> None:
    """And a rate that changes is one order, whatever else there is."""
    wanted = tree_of(port(queue(10, OfSlice(5)), queue(12, OfSlice(6))))
    found = having(port(queue(10, OfSlice(5)), queue(12, OfSlice(6)))).read()
    assert changes.orders(7, found, wanted) == []
    later = Tree(classes={**wanted.classes, 10: wanted.classes[10]._replace(rate=99)}, limits=wanted.limits,
                 entries=wanted.entries)
    (order,) = changes.orders(7, found, later)
    assert read(order) == (10, later.classes[10])


def test_filters_go_before_the_classes_they_lead_to_and_rates_fall_before_they_rise() -> None:
    """In one batch: nobody is promised what somebody else still has."""
    six, seven = queue(12, OfSlice(6)), queue(14, OfSlice(7))
    before, wanted = having(port(queue(10, OfSlice(5), guarantee_kbps=90), six, seven)).read(), tree_of(port(
        queue(12, OfSlice(6), guarantee_kbps=80), queue(14, OfSlice(7), guarantee_kbps=2)))
    kinds = [(order["header"]["type"], order) for order in changes.orders(7, before, wanted)]
    rates = [read(order) for kind, order in kinds if kind == RTM_NEWTCLASS]
    grown = [each.rate - before.classes[minor].rate for minor, each in rates]
    assert grown[0] < 0 < min(grown[1:])
    assert [kind for kind, _ in kinds] == [RTM_NEWTCLASS, RTM_DELTFILTER, RTM_DELTCLASS, RTM_NEWTCLASS, RTM_NEWTCLASS]


def read(order: nlmsg) -> tuple[int, Class]:
    handle, each, _ = answers.read_class(received(order))
    return handle & 0xFFFF, each
