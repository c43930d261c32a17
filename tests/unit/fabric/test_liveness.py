"""What follows for links when wires are known to be dead."""

from __future__ import annotations

from controller.fabric.graph import EndPoint, Fabric, LinkLost, LinkSeen, SwitchConnected, SwitchFeatures, SwitchPort
from controller.fabric.liveness import is_refuted, lost_with

A, B, C = EndPoint(1, 1), EndPoint(2, 1), EndPoint(3, 1)


def wired() -> Fabric:
    """Port 1 of switches 1 and 2 joined, and switch 3 with a free one."""
    now = Fabric()
    for dpid in (1, 2, 3):
        port = SwitchPort(port_no=1, name="p1", mac=f"02:00:00:00:00:0{dpid}", up=True)
        now, _ = now.apply(SwitchConnected(dpid=dpid, features=SwitchFeatures(), ports=(port,)))
    for src, dst in ((A, B), (B, A)):
        now, _ = now.apply(LinkSeen(src=src, dst=dst))
    return now


def test_dead_wire_loses_its_link_in_both_directions() -> None:
    """Whichever end knows; a link that is down already is not lost again, and ports without one lose nothing."""
    both = [LinkLost(src=A), LinkLost(src=B)]
    assert lost_with(wired(), {A}) == lost_with(wired(), {B}) == lost_with(wired(), {A, B, C}) == both
    half, _ = wired().apply(LinkLost(src=A))
    assert lost_with(half, {A}) == [LinkLost(src=B)]
    assert lost_with(wired(), {C}) == lost_with(wired(), set()) == []


def test_probe_through_a_dead_wire_proves_no_link_but_one_through_another_wire_does() -> None:
    """A cable moved from a dead port's old place to a new one must be found."""
    assert is_refuted(wired(), LinkSeen(src=A, dst=B), {B})
    assert is_refuted(wired(), LinkSeen(src=A, dst=B), {A})
    assert not is_refuted(wired(), LinkSeen(src=A, dst=B), {C})
    assert not is_refuted(wired(), LinkSeen(src=A, dst=C), {A})
    assert not is_refuted(wired(), LinkSeen(src=C, dst=A), {A})
