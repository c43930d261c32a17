"""Hold-down of links that return."""

from __future__ import annotations

from dataclasses import replace

from controller.fabric.events import Event, LinkLost, LinkSeen, PortObserved
from controller.fabric.graph import Fabric
from controller.fabric.holddown import HoldDown
from controller.fabric.ports import EndPoint
from tests.unit.fabric.fabrics import leaf_spine

LEAF, SPINE = EndPoint(101, 1), EndPoint(1, 1)
THERE, BACK = LinkSeen(src=LEAF, dst=SPINE), LinkSeen(src=SPINE, dst=LEAF)


class Wire:
    """One wire of a fabric, seen through a hold-down of 2 seconds, as the loop would."""

    def __init__(self) -> None:
        self.fabric: Fabric = leaf_spine(2, 3)
        self.holddown = HoldDown(2.0)
        self.changes = 0

    def lose(self, now: float) -> None:
        self._observe(now, LinkLost(src=LEAF))
        self._observe(now, LinkLost(src=SPINE))

    def port(self, now: float, *, up: bool, at: EndPoint = LEAF) -> None:
        port = self.fabric.port(at)
        assert port is not None
        self._observe(now, PortObserved(dpid=at.dpid, port=replace(port, up=up)))

    def probe(self, now: float) -> bool:
        """Both directions are probed; whether the wire is up then."""
        for seen in (THERE, BACK):
            if self.holddown.admits(now, seen, self.fabric):
                self._observe(now, seen)
        return self.fabric.links[LEAF].up

    def _observe(self, now: float, event: Event) -> None:
        before = self.fabric
        self.fabric, change = before.apply(event)
        self.changes += change.topology
        self.holddown.follow(now, before, self.fabric, change)


def test_new_link_is_used_at_once() -> None:
    """Nothing is held that never was."""
    assert HoldDown(2.0).admits(0.0, THERE, Fabric())


def test_returning_link_waits_until_it_was_quiet() -> None:
    """Down at 10: not at 11.9, but at 12."""
    wire = Wire()
    wire.lose(10.0)
    assert not wire.probe(10.1)
    assert not wire.probe(11.9)
    assert wire.probe(12.0)
    assert wire.probe(12.1), "once up, every probe counts"


def test_flapping_link_is_held_twice_as_long_each_time() -> None:
    """2, 4, 8 seconds; after a long quiet time 2 again."""
    wire, now = Wire(), 0.0
    for hold_s in (2, 4, 8, 16, 32, 64, 64):
        wire.lose(now)
        assert not wire.probe(now + hold_s - 0.1)
        assert wire.probe(now + hold_s)
        now += hold_s + 1
    now += 1000
    wire.lose(now)
    assert wire.probe(now + 2)


def test_hundred_flaps_in_ten_seconds_change_the_paths_a_few_times() -> None:
    """Bounded work: two flaps get through, the rest changes nothing."""
    wire = Wire()
    wire.changes = 0
    for i in range(100):
        wire.lose(i / 10)
        wire.probe(i / 10 + 0.05)
    assert wire.changes <= 8, wire.changes


def test_wire_that_is_not_quiet_is_held_on() -> None:
    """Its port goes down again while it is held: another two seconds from then, not four."""
    wire = Wire()
    wire.lose(10.0)
    wire.port(11.0, up=False)
    wire.port(11.1, up=True)
    assert not wire.probe(12.5)
    assert wire.probe(13.0)


def test_port_of_another_wire_holds_nothing_on() -> None:
    """Each wire has its own quiet."""
    wire = Wire()
    wire.lose(10.0)
    wire.port(11.0, up=False, at=EndPoint(101, 2))
    assert wire.probe(12.0)


def test_moved_cable_is_another_wire() -> None:
    """What is held is the wire, not its ports: to another port it is new and used at once."""
    wire = Wire()
    wire.lose(0.0)
    moved = LinkSeen(src=LEAF, dst=EndPoint(2, 9))
    assert wire.holddown.admits(0.1, moved, wire.fabric)
