"""The record of the fabric: what each event changes, and what it must not."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from controller.fabric.declared import LinkSettings, SwitchSettings
from controller.fabric.graph import (
    NO_CHANGE,
    UNKNOWN_SPEED_KBPS,
    Change,
    EndPoint,
    Event,
    Fabric,
    GroupsRefused,
    HostHeard,
    LinkDeclared,
    LinkLost,
    LinkSeen,
    PortObserved,
    PortRemoved,
    PortRole,
    PortsBound,
    QueuesFound,
    RoleDeclared,
    SwitchDeclared,
    SwitchDisconnected,
    SwitchForgotten,
)
from tests.unit.fabric.fabrics import after, applied, connected, fabric_of, switch_port, wire

A, B, C = EndPoint(1, 1), EndPoint(2, 1), EndPoint(3, 1)
HOST = EndPoint(1, 3)


@pytest.fixture
def trio() -> Fabric:
    """Three switches of three ports, one wire A <-> B."""
    return after(Fabric(), connected(1), connected(2), connected(3), *wire(A, B))


def test_connected_switch_appears_with_its_ports_by_number_and_name() -> None:
    """A switch that connects is known with the ports it listed, and is a node of the graph."""
    fabric, change = Fabric().apply(connected(7, [1, 2]))
    assert set(fabric.switches[7].ports) == {1, 2}
    assert fabric.switches[7].find_port("s7-eth2") == fabric.switches[7].find_port("", 2)
    assert change.switches == {7}
    assert change.ports == {EndPoint(7, 1), EndPoint(7, 2)}
    assert change.topology
    assert list(fabric.graph()) == [7]


def test_repeated_event_changes_nothing(trio: Fabric) -> None:
    """What is known already gives the same fabric back, and an empty change."""
    for event in (connected(1), LinkSeen(src=A, dst=B), PortObserved(dpid=1, port=switch_port(1))):
        assert trio.apply(event) == (trio, NO_CHANGE)
        assert trio.apply(event)[0] is trio


def test_disconnected_switch_keeps_ports_and_links(trio: Fabric) -> None:
    """Unknown is not down: losing the control channel reroutes nothing."""
    fabric, change = trio.apply(SwitchDisconnected(dpid=1))
    assert not fabric.switches[1].connected
    assert (fabric.links, fabric.switches[1].ports) == (trio.links, trio.switches[1].ports)
    assert (change.topology, change.ports, change.links) == (False, frozenset(), frozenset())
    assert change.switches == {1}


@pytest.mark.parametrize("end", [A, B])
def test_port_down_takes_both_directions_down_until_probed_again(trio: Fabric, end: EndPoint) -> None:
    """Either end's carrier loss is the wire's; carrier alone does not bring it back, probes both ways do."""
    down, change = trio.apply(PortObserved(dpid=end.dpid, port=switch_port(1, dpid=end.dpid, up=False)))
    assert not down.links[A].up
    assert not down.links[B].up
    assert change.links == {A, B}
    assert change.topology
    assert down.graph().size() == 0
    up = after(down, PortObserved(dpid=end.dpid, port=switch_port(1, dpid=end.dpid)))
    assert up.graph().size() == 0
    half = after(up, LinkSeen(src=A, dst=B))
    assert half.links[A].seen and half.graph().size() == 0
    assert set(after(half, LinkSeen(src=B, dst=A)).graph().edges) == {(1, 2), (2, 1)}
    assert after(up, *wire(A, B)).links == trio.links


def test_queues_of_a_switch_are_noted_until_somebody_looks_again(trio: Fabric) -> None:
    """The driver, and where it fails, are the switch's; they stay when its channel goes, and the whole is replaced."""
    fabric, change = applied(trio, QueuesFound(dpid=1, driver="tc", faults=Map({2: "foreign"})))
    assert change == Change(switches=frozenset({1}))
    fabric = after(fabric, SwitchDisconnected(dpid=1))
    assert (fabric.switches[1].queue_driver, fabric.switches[1].queue_faults) == ("tc", Map({2: "foreign"}))
    fabric = after(fabric, QueuesFound(dpid=1, driver="", why_not="not local"))
    found = fabric.switches[1]
    assert (found.queue_driver, found.no_queues, found.queue_faults) == ("", "not local", Map())


def test_probe_that_was_under_way_does_not_raise_a_link_at_a_down_port(trio: Fabric) -> None:
    """A probe sent before the port went down arrives after it: it proves nothing."""
    down = after(trio, PortObserved(dpid=1, port=switch_port(1, up=False)))
    assert down.apply(LinkSeen(src=A, dst=B)) == (down, NO_CHANGE)
    assert down.apply(LinkSeen(src=B, dst=A)) == (down, NO_CHANGE)


def test_ports_of_a_link_that_is_down_stay_fabric(trio: Fabric) -> None:
    """Frames still under way on a failing link are not taken for a host's."""
    down = after(trio, LinkLost(src=A), LinkLost(src=B))
    assert down.role(A) is down.role(B) is PortRole.FABRIC
    assert down.apply(HostHeard(at=B)) == (down, NO_CHANGE)
    assert down.graph().size() == 0


def test_removed_port_takes_its_links_along(trio: Fabric) -> None:
    """A port that is gone has no links; its number and name are free again."""
    fabric, change = trio.apply(PortRemoved(dpid=2, port_no=1))
    assert not fabric.links
    assert not fabric.into
    assert 1 not in fabric.switches[2].ports
    assert "s2-eth1" not in fabric.switches[2].by_name
    assert change.links == {A, B}
    assert change.ports == {A, B}
    assert change.topology


def test_reconnect_applies_the_difference(trio: Fabric) -> None:
    """On reconnect, ports not listed are gone, new ones appear, those that went down take links down, others stay."""
    gone = after(trio, SwitchDisconnected(dpid=1))
    fabric, change = gone.apply(connected(1, [switch_port(1, up=False), 2, 4]))
    assert set(fabric.switches[1].ports) == {1, 2, 4}
    assert change.ports == {EndPoint(1, 1), EndPoint(1, 3), EndPoint(1, 4)}
    assert not fabric.links[A].up
    assert gone.apply(connected(1))[0].links == trio.links


def test_number_given_to_another_port_forgets_what_was_known() -> None:
    """Same number, another MAC or name (a new lab with the same dpids): heard host and links were the old port's."""
    old = after(Fabric(), connected(1), connected(2), *wire(A, B), HostHeard(at=HOST))
    assert old.role(HOST) is PortRole.EDGE
    new = after(
        old,
        PortObserved(dpid=1, port=replace(switch_port(1), mac="02:00:00:00:99:01")),
        PortObserved(dpid=1, port=switch_port(3, name="other")),
    )
    assert new.role(HOST) is PortRole.AUTO
    assert not new.links
    assert new.role(B) is PortRole.AUTO


def test_swapped_interface_names_are_followed() -> None:
    """Two ports that exchange their names on a reconnect are found under the new ones."""
    fabric = after(Fabric(), connected(1, [switch_port(1, name="a"), switch_port(2, name="b")]))
    fabric = after(fabric, connected(1, [switch_port(1, name="b"), switch_port(2, name="a")]))
    assert dict(fabric.switches[1].by_name) == {"a": 2, "b": 1}


def test_moved_cable_replaces_every_link_it_contradicts(trio: Fabric) -> None:
    """A now leads to C: the link to B, in both directions, cannot be."""
    moved, change = trio.apply(LinkSeen(src=A, dst=C))
    assert {(link.src, link.dst) for link in moved.links.values()} == {(A, C)}
    assert moved.role(B) is PortRole.AUTO
    assert change.links == {A, B}
    assert change.ports == {A, B, C}
    arrived = after(trio, LinkSeen(src=C, dst=A))
    assert {(link.src, link.dst) for link in arrived.links.values()} == {(C, A)}


def test_self_loop_is_an_alarm_and_no_link(trio: Fabric) -> None:
    """A wire between two ports of one switch never enters the graph."""
    fabric, change = trio.apply(LinkSeen(src=EndPoint(1, 2), dst=EndPoint(1, 3)))
    assert fabric is trio
    assert [alarm.reason for alarm in change.alarms] == ["SELF_LOOP"]


@pytest.mark.parametrize(
    "event",
    [
        HostHeard(at=EndPoint(3, 2)),
        PortsBound(added=frozenset({EndPoint(3, 2)})),
        RoleDeclared(dpid=3, interface="s3-eth2", role=PortRole.EDGE),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_wire_seen_on_an_edge_port_is_an_alarm_and_no_link(trio: Fabric, event: Event, *, reverse: bool) -> None:
    """A host that relays a signed probe gets an alarm raised, from either side, and no link."""
    edge = after(trio, event)
    ends = [EndPoint(1, 2), EndPoint(3, 2)]
    src, dst = reversed(ends) if reverse else ends
    fabric, change = edge.apply(LinkSeen(src=src, dst=dst))
    assert fabric is edge
    assert [(alarm.reason, alarm.at) for alarm in change.alarms] == [("WIRE_ON_EDGE_PORT", EndPoint(3, 2))]


def test_port_once_bound_is_never_promoted_after_release(trio: Fabric) -> None:
    """Releasing the tenant's port does not make its switch port trustworthy."""
    at = EndPoint(3, 2)
    fabric = after(trio, PortsBound(added=frozenset({at})), PortsBound(removed=frozenset({at})))
    assert at not in fabric.bound
    assert fabric.role(at) is PortRole.EDGE
    assert fabric.apply(LinkSeen(src=EndPoint(1, 2), dst=at))[1].alarms


def test_role_precedence() -> None:
    """declared > bound or heard > link > default; with default EDGE nothing is promoted by a probe."""
    at = EndPoint(1, 2)
    fabric = after(Fabric(), connected(1), connected(2))
    assert fabric.role(at) is PortRole.AUTO
    assert fabric.role(EndPoint(9, 9)) is PortRole.AUTO
    heard = after(fabric, HostHeard(at=at))
    assert heard.role(at) is PortRole.EDGE
    declared = after(heard, RoleDeclared(dpid=1, interface="s1-eth2", role=PortRole.FABRIC))
    assert declared.role(at) is PortRole.FABRIC
    assert not declared.apply(LinkSeen(src=EndPoint(2, 2), dst=at))[1].alarms
    assert after(declared, RoleDeclared(dpid=1, interface="s1-eth2", role=None)).role(at) is PortRole.EDGE
    strict = after(Fabric(default_role=PortRole.EDGE), connected(1), connected(2))
    assert strict.apply(LinkSeen(src=A, dst=B))[1].alarms


def test_role_declared_before_the_port_exists_waits_for_it() -> None:
    """A declaration is the operator's word and holds whenever the interface appears, also after it was gone."""
    fabric = after(Fabric(), RoleDeclared(dpid=1, interface="s1-eth2", role=PortRole.FABRIC), connected(1))
    assert fabric.role(EndPoint(1, 2)) is PortRole.FABRIC
    fabric = after(fabric, PortRemoved(dpid=1, port_no=2), PortObserved(dpid=1, port=switch_port(2)))
    assert fabric.role(EndPoint(1, 2)) is PortRole.FABRIC


def test_declaring_an_end_edge_drops_its_links(trio: Fabric) -> None:
    """The operator's way to turn a fabric port over to a host."""
    fabric, change = trio.apply(RoleDeclared(dpid=1, interface="s1-eth1", role=PortRole.EDGE))
    assert not fabric.links
    assert change.links == {A, B}
    assert change.topology


def test_capacity_is_declared_else_that_of_the_slower_port() -> None:
    """min of both ports' speeds, 1 Gbit/s where a port does not say, the operator's word above all, and live."""
    ports = [switch_port(1, speed_kbps=0), switch_port(2, speed_kbps=100_000), switch_port(3)]
    fabric = after(Fabric(), connected(1, ports), connected(2), *wire(A, B), *wire(EndPoint(1, 2), EndPoint(2, 2)))
    assert fabric.links[A].capacity_kbps == UNKNOWN_SPEED_KBPS
    assert fabric.links[EndPoint(2, 2)].capacity_kbps == 100_000
    fabric, change = fabric.apply(PortObserved(dpid=1, port=switch_port(2, speed_kbps=40_000_000)))
    assert fabric.links[EndPoint(2, 2)].capacity_kbps == 10_000_000
    assert change.topology
    fabric = after(fabric, LinkDeclared(src=A, settings=LinkSettings(capacity_kbps=5_000)))
    assert (fabric.links[A].capacity_kbps, fabric.links[B].capacity_kbps) == (5_000, UNKNOWN_SPEED_KBPS)
    fabric = after(fabric, PortRemoved(dpid=1, port_no=1), PortObserved(dpid=1, port=ports[0]), *wire(A, B))
    assert fabric.links[A].declared_capacity_kbps == 5_000
    fabric = after(fabric, LinkDeclared(src=A, settings=LinkSettings(capacity_kbps=None)))
    assert fabric.links[A].capacity_kbps == UNKNOWN_SPEED_KBPS
    assert not fabric.declared_links


def test_graph_takes_the_best_of_parallel_links_and_only_those_up() -> None:
    """The widest of parallel links stands for all; when it goes down the next does."""
    fabric = fabric_of([(1, 2), (1, 2), (1, 2)])
    assert fabric.graph().edges[1, 2]["port_no"] == 1
    fabric = after(fabric, LinkDeclared(src=EndPoint(1, 2), settings=LinkSettings(capacity_kbps=99_000_000)))
    assert fabric.graph().edges[1, 2]["port_no"] == 2
    assert fabric.graph().edges[1, 2]["dst"] == EndPoint(2, 2)
    assert fabric.graph().edges[2, 1]["port_no"] == 1
    fabric = after(fabric, LinkLost(src=EndPoint(1, 2)), LinkLost(src=EndPoint(1, 1)))
    assert fabric.graph().edges[1, 2]["port_no"] == 3
    assert nx.is_frozen(fabric.graph())
    assert fabric.graph() is fabric.graph()


def test_forgotten_switch_leaves_nothing(trio: Fabric) -> None:
    """Ports, links and declarations of a switch the operator removed are gone."""
    declared = after(
        trio,
        LinkDeclared(src=A, settings=LinkSettings(capacity_kbps=1)),
        SwitchDeclared(dpid=1, settings=SwitchSettings(zone="east")),
        RoleDeclared(dpid=1, interface="x", role=PortRole.EDGE),
    )
    fabric, change = declared.apply(SwitchForgotten(dpid=1))
    assert set(fabric.switches) == {2, 3}
    assert not (fabric.links or fabric.declared_roles or fabric.declared_links or fabric.declared_switches)
    assert change.topology
    assert change.links == {A, B}


def test_events_about_unknown_switches_and_ports_are_ignored(trio: Fabric) -> None:
    """Late events of what is gone change nothing and raise nothing."""
    ghost = EndPoint(9, 9)
    for event in (
        SwitchDisconnected(dpid=9),
        SwitchForgotten(dpid=9),
        PortObserved(dpid=9, port=switch_port(1)),
        PortRemoved(dpid=9, port_no=1),
        PortRemoved(dpid=1, port_no=99),
        HostHeard(at=ghost),
        LinkSeen(src=ghost, dst=A),
        LinkLost(src=ghost),
        LinkDeclared(src=ghost, settings=LinkSettings(capacity_kbps=None)),
        RoleDeclared(dpid=9, interface="x", role=None),
    ):
        assert trio.apply(event) == (trio, NO_CHANGE)


END_POINTS = st.builds(EndPoint, st.integers(1, 3), st.integers(1, 3))
ROLES = st.sampled_from(PortRole) | st.none()
PORTS = st.builds(
    lambda port_no, up, speed_kbps, name: switch_port(port_no, up=up, speed_kbps=speed_kbps, name=name),
    st.integers(1, 3), st.booleans(), st.sampled_from([0, 1_000]), st.sampled_from(["", "a", "b"]),
)
LINK_SETTINGS = st.builds(
    LinkSettings, capacity_kbps=st.sampled_from([None, 5, 7]), cost=st.integers(1, 2),
    latency_us=st.sampled_from([None, 9]), drained=st.booleans(),
)
SWITCH_SETTINGS = st.builds(SwitchSettings, zone=st.sampled_from(["", "east"]), drained=st.booleans())
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(connected, st.integers(1, 3), st.lists(PORTS, unique_by=(lambda p: p.port_no, lambda p: p.name))),
    st.builds(SwitchDisconnected, dpid=st.integers(1, 3)),
    st.builds(SwitchForgotten, dpid=st.integers(1, 3)),
    st.builds(PortObserved, dpid=st.integers(1, 3), port=PORTS),
    st.builds(PortRemoved, dpid=st.integers(1, 3), port_no=st.integers(1, 3)),
    st.builds(PortsBound, added=st.frozensets(END_POINTS, max_size=2), removed=st.frozensets(END_POINTS, max_size=2)),
    st.builds(HostHeard, at=END_POINTS),
    st.builds(LinkSeen, src=END_POINTS, dst=END_POINTS),
    st.builds(LinkSeen, src=END_POINTS, dst=END_POINTS),
    st.builds(LinkLost, src=END_POINTS),
    st.builds(RoleDeclared, dpid=st.integers(1, 3), interface=st.sampled_from(["s1-eth1", "a", "b"]), role=ROLES),
    st.builds(LinkDeclared, src=END_POINTS, settings=LINK_SETTINGS),
    st.builds(SwitchDeclared, dpid=st.integers(1, 3), settings=SWITCH_SETTINGS),
    st.builds(GroupsRefused, dpid=st.integers(1, 3), why=st.just("refused")),
    st.builds(QueuesFound, dpid=st.integers(1, 3), driver=st.sampled_from(["", "tc"]),
              shaped=st.sampled_from([Map(), Map({1: 5_000})])),
)


@given(st.lists(EVENTS, max_size=25))
def test_invariants_hold_after_any_events_and_change_names_all_that_differs(events: list[Event]) -> None:
    """Ends of links exist, are no edge ports, and are up if the link is; indexes agree; nothing changes unannounced."""
    fabric = after(Fabric(), connected(1), connected(2), connected(3))
    for event in events:
        before, (fabric, change) = fabric, fabric.apply(event)
        assert {link.dst: src for src, link in fabric.links.items()} == dict(fabric.into)
        for src, link in fabric.links.items():
            ends = [fabric.port(src), fabric.port(link.dst)]
            assert src == link.src
            assert src.dpid != link.dst.dpid
            assert all(ends)
            assert not link.up or all(end is not None and end.up for end in ends)
            assert PortRole.EDGE not in (fabric.role(src), fabric.role(link.dst))
            for at in (src, link.dst):
                neighbours = {e for e in (fabric.links.get(at), fabric.links.get(fabric.into.get(at, at))) if e}
                assert len({frozenset({e.src, e.dst}) for e in neighbours}) == 1
        for switch in fabric.switches.values():
            assert {port.name: no for no, port in switch.ports.items()} == dict(switch.by_name)
        _assert_all_differences_are_named(before, fabric, change)
        assert fabric.apply(event)[0].links == fabric.links or isinstance(event, LinkSeen)


def _assert_all_differences_are_named(before: Fabric, now: Fabric, change: Change) -> None:
    every = {EndPoint(d, p) for d in range(1, 4) for p in range(1, 4)}
    differs = {at for at in every if (before.port(at), before.role(at)) != (now.port(at), now.role(at))}
    assert differs <= change.ports
    assert {at for at in every if before.links.get(at) != now.links.get(at)} == change.links
    assert {d for d in range(1, 4) if before.switches.get(d) != now.switches.get(d)} <= change.switches
    same_graph = nx.utils.graphs_equal(before.graph(), now.graph())
    assert same_graph or change.topology


def test_applied_changes_add_up() -> None:
    """The union of changes is what a batch of events changed."""
    _, change = applied(Fabric(), connected(1), connected(2), *wire(A, B), HostHeard(at=HOST))
    assert change.switches == {1, 2}
    assert change.links == {A, B}
