"""When BFD called a wire dead that was only full, and when it is believed."""

from __future__ import annotations

from controller.fabric.graph import EndPoint, PortObserved, SwitchDisconnected, SwitchPort
from controller.southbound.ovsdb.bfd import find_alive, find_places
from controller.southbound.ovsdb.doubts import BACK_S, DOUBT_S, Doubts
from tests.unit.southbound.ovsdb.test_liveness import LINK, ON, OURS, database, fabric, told

ENDS = frozenset(LINK)
NONE: frozenset[EndPoint] = frozenset()


def test_wire_that_is_back_soon_is_doubted_for_a_while() -> None:
    """It is back when both ends say so; the doubt ends by itself."""
    doubts, now = Doubts(), fabric(LINK)
    assert doubts.follow(0.0, NONE, ENDS, now) == []
    assert doubts.follow(1.0, {LINK[0]}, {LINK[1]}, now) == []
    assert doubts.follow(2.0, ENDS, NONE, now) == []
    assert doubts.follow(3.0, {LINK[1]}, {LINK[0]}, now) == []
    assert doubts.ends(3.0) == NONE
    assert doubts.follow(1.0 + BACK_S, NONE, ENDS, now) == [ENDS]
    assert doubts.ends(BACK_S + DOUBT_S) == ENDS
    assert doubts.ends(1.0 + BACK_S + DOUBT_S) == NONE
    assert doubts.follow(2_000.0, NONE, ENDS, now) == []


def test_wire_that_stays_dead_or_lost_its_carrier_or_its_switch_is_not_doubted() -> None:
    """Nor one that BFD says nothing of any more."""
    cut = fabric(LINK)
    port = SwitchPort(port_no=5, name="p5", mac="02:00:00:00:00:05", up=False)
    unplugged, _ = cut.apply(PortObserved(dpid=2, port=port))
    away, _ = cut.apply(SwitchDisconnected(dpid=1))
    for now, back_s in ((cut, 1.1 + BACK_S), (unplugged, 2.0), (away, 2.0), (fabric(), 2.0)):
        doubts = Doubts()
        doubts.follow(1.0, ENDS, NONE, now)
        assert doubts.follow(back_s, NONE, ENDS, cut) == []
    doubts = Doubts()
    doubts.follow(1.0, ENDS, NONE, cut)
    doubts.follow(2.0, NONE, NONE, cut)
    assert doubts.follow(3.0, NONE, ENDS, cut) == []


def test_doubted_wire_is_not_watched() -> None:
    """Whichever of its ends is named; other links are as before."""
    other = EndPoint(1, 6), EndPoint(2, 6)
    now, held = fabric(LINK, other), database(1, 2, bfd=ON, external_ids=OURS)
    assert told(now, held) == {"i1-6": True, "i2-6": True}
    for end in LINK:
        assert told(now, held, doubted={end}) == {
            "i1-5": False, "i2-5": False, "i1-6": True, "i2-6": True}


def test_alive_is_only_what_says_so() -> None:
    """No word is neither."""
    assert find_alive(find_places([database(1, bfd_status={"forwarding": "true"})])) == {EndPoint(1, 5)}
    for status in ({"forwarding": "false"}, {}):
        assert find_alive(find_places([database(1, bfd_status=status)])) == NONE
