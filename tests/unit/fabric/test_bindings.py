"""Bindings: each reason, conflicts, and that what is kept up to date equals what is worked out from scratch."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.fabric.bindings import UNATTACHED, Binding, Bindings, Unbound, locate
from controller.fabric.cache import everything
from controller.fabric.graph import (
    NO_CHANGE,
    EndPoint,
    Event,
    Fabric,
    LinkSeen,
    PortObserved,
    PortRemoved,
    PortRole,
    PortsBound,
    RoleDeclared,
    SwitchDisconnected,
    SwitchForgotten,
)
from controller.model.network import Attachment, Port
from controller.model.tenancy import Meta
from tests.unit.fabric.fabrics import after, applied, connected, switch_port, wire

P, Q = (f"tenants/t/networks/n/ports/{p}" for p in "pq")


def port(name: str, attachment: Attachment | None, *, created_s: float = 0.0) -> Port:
    subnet, mac = "tenants/t/networks/n/subnets/s", "02:00:00:00:00:01"
    return Port(name=name, subnet=subnet, mac=mac, attachment=attachment, meta=Meta(created_s=created_s))


def by_name(dpid: int, interface: str) -> Attachment:
    return Attachment(dpid=dpid, interface=interface)


def by_number(dpid: int, port_no: int) -> Attachment:
    return Attachment(dpid=dpid, port_no=port_no)


def from_scratch(fabric: Fabric, *ports: Port) -> dict[str, Binding]:
    bindings = Bindings()
    bindings.update(fabric, everything(fabric), {p.name: p for p in ports})
    return bindings.bound


def reason(binding: Binding | None) -> str | None:
    return binding.reason if isinstance(binding, Unbound) else None


@pytest.mark.parametrize("attachment", [by_name(1, "s1-eth2"), by_number(1, 2)])
def test_port_is_bound_where_its_attachment_leads(attachment: Attachment) -> None:
    """By interface name or by number, it is the same switch port."""
    assert from_scratch(after(Fabric(), connected(1)), port(P, attachment)) == {P: EndPoint(1, 2)}


def test_each_reason_says_what_to_do() -> None:
    """A port that is not bound says why, which object, and what to do."""
    fabric = after(Fabric(), connected(1), connected(2), *wire(EndPoint(1, 1), EndPoint(2, 1)))
    fabric = after(fabric, RoleDeclared(dpid=1, interface="s1-eth2", role=PortRole.FABRIC))
    cases = {
        "SWITCH_UNKNOWN": (by_name(9, "x"), "switch 0000000000000009 never connected"),
        "INTERFACE_UNKNOWN": (by_name(1, "x"), "switch 0000000000000001 has no interface x"),
        "ATTACHMENT_IS_FABRIC": (by_number(1, 1), "s1-eth1 of switch 0000000000000001 carries the link"),
    }
    for expected, (attachment, text) in cases.items():
        result = locate(fabric, attachment)
        assert isinstance(result, Unbound)
        assert result.reason == expected
        assert text in result.message
        assert ": " in result.message
    declared = locate(fabric, by_name(1, "s1-eth2"))
    assert isinstance(declared, Unbound)
    assert "is declared fabric" in declared.message
    assert "no port 77" in str(locate(fabric, by_number(1, 77)))
    assert from_scratch(fabric, port(P, None)) == {P: UNATTACHED}


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_ports_at_one_switch_port_the_older_keeps_it(*, swapped: bool) -> None:
    """Whatever the order in which they are learned; the other names the winner, and gets the place when it goes."""
    fabric = after(Fabric(), connected(1))
    old, new = port(Q, by_name(1, "s1-eth2"), created_s=1), port(P, by_number(1, 2), created_s=2)
    bindings = Bindings()
    for p in (new, old) if swapped else (old, new):
        bindings.update(fabric, NO_CHANGE, {p.name: p})
    assert bindings.bound[Q] == EndPoint(1, 2)
    assert reason(bindings.bound[P]) == "ATTACHMENT_CONFLICT"
    assert Q in str(bindings.bound[P])
    assert bindings.update(fabric, NO_CHANGE, {Q: None}) == {Q: None, P: EndPoint(1, 2)}


def test_update_returns_only_what_differs() -> None:
    """A port that changed without moving, and a fabric that changed elsewhere, give nothing."""
    fabric = after(Fabric(), connected(1), connected(2))
    bindings = Bindings()
    assert bindings.update(fabric, everything(fabric), {P: port(P, by_number(1, 2))}) == {P: EndPoint(1, 2)}
    assert bindings.update(fabric, NO_CHANGE, {P: port(P, by_name(1, "s1-eth2"))}) == {}
    fabric, change = applied(fabric, PortRemoved(dpid=2, port_no=1), SwitchDisconnected(dpid=1))
    assert bindings.update(fabric, change, {}) == {}
    fabric, change = fabric.apply(PortRemoved(dpid=1, port_no=2))
    assert reason(bindings.update(fabric, change, {})[P]) == "INTERFACE_UNKNOWN"
    assert bindings.update(fabric, NO_CHANGE, {P: None}) == {P: None}
    assert bindings.bound == {}


def test_port_follows_its_interface_to_another_number() -> None:
    """Attached by name, it is bound wherever that interface is now."""
    fabric = after(Fabric(), connected(1))
    bindings = Bindings()
    bindings.update(fabric, everything(fabric), {P: port(P, by_name(1, "s1-eth2"))})
    fabric, change = applied(
        fabric, PortRemoved(dpid=1, port_no=2), PortObserved(dpid=1, port=switch_port(9, name="s1-eth2"))
    )
    assert bindings.update(fabric, change, {}) == {P: EndPoint(1, 9)}


def test_port_waits_for_its_switch_then_its_interface() -> None:
    """PENDING until it appears: the reason moves on with what is missing."""
    bindings = Bindings()
    bindings.update(Fabric(), NO_CHANGE, {P: port(P, by_name(1, "late"))})
    assert reason(bindings.bound[P]) == "SWITCH_UNKNOWN"
    fabric, change = Fabric().apply(connected(1))
    assert reason(bindings.update(fabric, change, {})[P]) == "INTERFACE_UNKNOWN"
    fabric, change = fabric.apply(PortObserved(dpid=1, port=switch_port(5, name="late")))
    assert bindings.update(fabric, change, {}) == {P: EndPoint(1, 5)}
    fabric, change = fabric.apply(SwitchForgotten(dpid=1))
    assert reason(bindings.update(fabric, change, {})[P]) == "SWITCH_UNKNOWN"


DPIDS, NUMBERS = st.integers(1, 2), st.integers(1, 3)
INTERFACES = st.sampled_from(["s1-eth1", "s1-eth2", "s2-eth1", "a"])
NAMES = st.sampled_from([f"tenants/t/networks/n/ports/{i}" for i in range(4)])
ATTACHMENTS = st.none() | st.builds(by_name, DPIDS, INTERFACES) | st.builds(by_number, DPIDS, NUMBERS)
PORTS = st.builds(port, NAMES, ATTACHMENTS, created_s=st.integers(0, 2))
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(connected, DPIDS, st.lists(NUMBERS, unique=True)),
    st.builds(PortObserved, dpid=DPIDS, port=st.builds(switch_port, NUMBERS, name=st.sampled_from(["", "a"]))),
    st.builds(PortRemoved, dpid=DPIDS, port_no=NUMBERS),
    st.builds(LinkSeen, src=st.builds(EndPoint, DPIDS, NUMBERS), dst=st.builds(EndPoint, DPIDS, NUMBERS)),
    st.builds(RoleDeclared, dpid=DPIDS, interface=INTERFACES, role=st.sampled_from([*PortRole, None])),
    st.builds(SwitchForgotten, dpid=DPIDS),
)


@settings(deadline=None)
@given(st.lists(st.lists(EVENTS | PORTS | NAMES, min_size=1, max_size=4), max_size=12))
def test_kept_up_to_date_equals_worked_out_from_scratch(batches: list[list[Event | Port | str]]) -> None:
    """After any batches of changes of both sides, bindings are those of a fresh start, every difference told."""
    fabric, ports, bindings = after(Fabric(), connected(1), connected(2)), dict[str, Port](), Bindings()
    bindings.update(fabric, everything(fabric), {})
    told: dict[str, Binding] = {}
    for batch in batches:
        changed: dict[str, Port | None] = {}
        change = NO_CHANGE
        for item in batch:
            if isinstance(item, Port):
                changed[item.name] = item
            elif isinstance(item, str):
                changed[item] = None
            else:
                fabric, one = fabric.apply(item)
                change |= one
        ports.update({name: p for name, p in changed.items() if p})
        for name in [name for name, p in changed.items() if p is None]:
            ports.pop(name, None)
        differing = bindings.update(fabric, change, changed)
        told.update({name: b for name, b in differing.items() if b is not None})
        for name in [name for name, b in differing.items() if b is None]:
            del told[name]
        assert told == bindings.bound == from_scratch(fabric, *ports.values())
        places = [b for b in told.values() if isinstance(b, EndPoint)]
        assert len(places) == len(set(places))
        # as the engine does: what is bound becomes edge, which must not change where it is bound
        before = {at for at in fabric.bound if at not in places}
        fabric, change = fabric.apply(PortsBound(added=frozenset(places), removed=frozenset(before)))
        assert bindings.update(fabric, change, {}) == {}


def test_change_costs_what_it_touches() -> None:
    """With a thousand ports bound, another one looks at itself alone."""
    fabric = after(Fabric(), connected(1, range(1, 1_201)))
    bindings = Bindings()
    many = {name: port(name, by_number(1, i)) for i in range(1, 1_001) if (name := f"tenants/t/networks/n/ports/{i}")}
    assert len(bindings.update(fabric, everything(fabric), many)) == 1_000
    looked_at: list[str] = []
    place = bindings._place
    bindings._place = lambda f, name: (looked_at.append(name), place(f, name))[1]  # type: ignore[method-assign]
    bindings.update(fabric, NO_CHANGE, {P: port(P, by_number(1, 1_100))})
    fabric, change = fabric.apply(PortObserved(dpid=1, port=switch_port(7, speed_kbps=5)))
    bindings.update(fabric, change, {})
    assert looked_at == [P, "tenants/t/networks/n/ports/7"]
