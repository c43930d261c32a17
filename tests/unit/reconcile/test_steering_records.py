"""What a restart must know of steering comes back from its records."""

from __future__ import annotations

import json

import pytest

from controller.fabric.explicit import ExplicitPath, Leg, Route, Steer, explicit_label, free_number, route_hops
from controller.fabric.labels import LabelHop
from controller.fabric.ports import EndPoint
from controller.reconcile.steering import Kept
from controller.reconcile.steering_records import records, restore

A = EndPoint


def leg(src: tuple[int, int], dst: tuple[int, int]) -> Leg:
    return Leg(A(*src), A(*dst))


ROUTE = Route(working=(leg((1, 1), (2, 1)), leg((2, 2), (3, 1))), backup=(leg((1, 2), (4, 1)), leg((4, 2), (3, 2))))
KEPT = Kept(
    paths={7: ExplicitPath(route=ROUTE, pending=frozenset({2, 4}))},
    steers={"tenants/a/networks/n": {(1, 3): Steer((0, 2), 1, (7,)), (3, 1): Steer()}},
)


def test_records_read_back_as_what_was_kept() -> None:
    """Through JSON, beside records of other kinds; what is gone has none."""
    stored = json.loads(json.dumps(records(KEPT)))
    assert restore({**stored, "switch/0000000000000001": {"features": {}}}) == KEPT
    gone = records(Kept(paths={7: None}, steers={"tenants/a/networks/n": {}}))
    assert gone == dict.fromkeys(stored)
    assert restore(gone) == Kept()


@pytest.mark.parametrize("damage", [{"explicit/7": {}}, {"explicit/x": []}, {"steer/n": [[1, 2]]}])
def test_record_that_cannot_be_read_is_named(damage: dict[str, object]) -> None:
    """It is a defect, or somebody else's file."""
    with pytest.raises(ValueError, match=next(iter(damage))):
        restore(damage)


def test_route_as_labels_of_every_switch_on_it() -> None:
    """The working path fails over to the backup, which leads back to where the other path leaves."""
    working, backup = explicit_label(7), explicit_label(7, backup=True)
    assert route_hops(7, ROUTE) == {
        1: {working: LabelHop(1, 2, backup), backup: LabelHop(2)},
        2: {working: LabelHop(2, 1, backup), backup: LabelHop(1)},
        4: {backup: LabelHop(2)},
        3: {working: LabelHop(0), backup: LabelHop(0)},
    }
    alone = route_hops(7, Route(working=ROUTE.working))
    assert alone == {1: {working: LabelHop(1)}, 2: {working: LabelHop(2)}, 3: {working: LabelHop(0)}}


def test_route_whose_paths_meet_leaves_the_working_one_where_they_do() -> None:
    """They share a switch, no wire: from there the backup goes on by its own link, not back."""
    shared = Route(
        working=(leg((1, 1), (2, 1)), leg((2, 2), (3, 1)), leg((3, 2), (5, 1))),
        backup=(leg((1, 2), (2, 3)), leg((2, 4), (5, 2))))
    hops = route_hops(0, shared)
    backup = explicit_label(0, backup=True)
    assert {dpid: here[backup].port_no for dpid, here in hops.items()} == {1: 2, 2: 4, 3: 1, 5: 0}


def test_numbers_are_used_again_as_late_as_possible() -> None:
    """In turn, and none when all are taken."""
    assert free_number({0, 1}, 1) == 2
    assert free_number({0, 2047}, 2046) == 1
    assert free_number(range(2048), 5) is None
