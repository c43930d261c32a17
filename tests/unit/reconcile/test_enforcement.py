"""Guarantees that are promised and not enforced: who says so, and how."""

from __future__ import annotations

from dataclasses import replace

from immutables import Map

from controller.fabric.events import QueuesFound
from controller.fabric.graph import EndPoint, Fabric
from controller.model.bandwidth import BandwidthPolicy, TrafficClass
from controller.model.network import Pipe
from controller.model.queues import Grant, NetworkGrant, PortGrant
from controller.reconcile.enforcement import concerned, conditions, unenforced
from controller.reconcile.grants import Granted, Grants, places_of
from tests.support.worlds import Lab

RED, BLUE, PIPE = "tenants/red", "tenants/blue", "tenants/red/pipes/p"
NET = "tenants/red/networks/net"
GRANT = Grant(guarantee_kbps=10)
POLICY = BandwidthPolicy(guarantee_out_kbps=10)


def lab_of_two() -> Lab:
    lab = Lab.leaf_spine()
    for tenant in ("red", "blue"):
        lab.network(tenant)
    lab.port("red", "a", at=(11, 3), bandwidth=POLICY)
    lab.port("red", "b", at=(12, 3))
    lab.create(Pipe(name=PIPE, a=f"{NET}/ports/a", b=f"{NET}/ports/b", bandwidth=POLICY))
    return lab


LAB = lab_of_two()
GRANTS = Map({EndPoint(11, 1): Map({RED: GRANT}), EndPoint(1, 2): Map({RED: GRANT, BLUE: GRANT}),
              EndPoint(12, 3): Map({RED: GRANT, PIPE: GRANT})})


def granted(grants: Grants) -> Granted:
    return Granted(grants=grants, places=places_of(grants))


GRANTED = granted(GRANTS)


def found(*events: QueuesFound) -> Fabric:
    fabric = LAB.fabric
    for event in events:
        fabric, _ = fabric.apply(event)
    return fabric


def test_switch_without_a_driver_enforces_nothing_and_one_with_a_fault_not_there() -> None:
    """Where nobody looked yet nothing is said; a fault of a port without grants matters to nobody."""
    assert unenforced(LAB.fabric, GRANTED, RED) == {}
    fabric = found(QueuesFound(dpid=11, driver="", why_not="far away"),
                   QueuesFound(dpid=1, driver="tc", faults=Map({2: "foreign", 3: "other"})))
    assert unenforced(fabric, GRANTED, RED) == {11: "far away", 1: "foreign"}
    assert unenforced(fabric, GRANTED, BLUE) == {1: "foreign"}
    assert unenforced(found(QueuesFound(dpid=1, driver="tc", faults=Map({3: "other"}))), GRANTED, RED) == {}


def test_tenant_needs_no_queue_on_its_access_port_but_a_pipe_does() -> None:
    """There it is alone."""
    fabric = found(QueuesFound(dpid=12, driver="", why_not="far away"))
    assert unenforced(fabric, GRANTED, RED) == {}
    assert unenforced(fabric, GRANTED, PIPE) == {12: "far away"}


def test_condition_names_switches_and_why_to_whoever_has_a_guarantee() -> None:
    """Tenant, and its ports that have one; those that have none say nothing."""
    fabric = found(QueuesFound(dpid=1, driver="tc", faults=Map({2: "foreign"})))
    tenant = replace(LAB.intent.tenants[RED], bandwidth=POLICY)
    (condition,) = conditions(fabric, LAB.intent, GRANTED, tenant)
    assert condition.reason == "GUARANTEE_NOT_ENFORCED" and condition.switches == (1,)
    assert condition.message == "the guarantee is not enforced on 0000000000000001 (foreign)"
    assert conditions(fabric, LAB.intent, GRANTED, LAB.intent.ports[f"{NET}/ports/a"]) == [condition]
    for other in (LAB.intent.tenants[RED], LAB.intent.ports[f"{NET}/ports/b"], LAB.intent.pipes[PIPE]):
        assert conditions(fabric, LAB.intent, GRANTED, other) == []


def test_parts_of_a_tenant_are_not_enforced_where_queues_have_none() -> None:
    """By rows of a database tenants are kept apart, and not what is inside them; the only network is the tenant."""
    terms = {"guarantee_kbps": 5, "weight": 1, "traffic_class": TrafficClass.STANDARD}
    port = f"{NET}/ports/a"
    part = NetworkGrant(**terms, ports=Map({port: PortGrant(**terms, sends=True, receives=False)}))
    grants = granted(Map({EndPoint(11, 1): Map({RED: Grant(guarantee_kbps=10, networks=Map({NET: part}))})}))
    tenant, network = (replace(obj, bandwidth=POLICY) for obj in (LAB.intent.tenants[RED], LAB.intent.networks[NET]))
    fabric = found(QueuesFound(dpid=11, driver="ovsdb"))
    (condition,) = conditions(fabric, LAB.intent, grants, LAB.intent.ports[port])
    assert condition.reason == "GUARANTEE_NOT_ENFORCED" and "nothing inside a tenant" in condition.message
    assert conditions(fabric, LAB.intent, grants, tenant) == conditions(fabric, LAB.intent, grants, network) == []
    several = LAB.intent.put(replace(network, name=f"{RED}/networks/other"))
    assert conditions(fabric, several, grants, network) == [condition]
    assert conditions(found(QueuesFound(dpid=11, driver="tc")), several, grants, LAB.intent.ports[port]) == []


def test_sender_says_where_a_receivers_port_does_not_hold_its_guarantee() -> None:
    """No driver there, or one whose flows do not tell ports apart; of the receiver's own ceiling nothing is said."""
    port = f"{NET}/ports/a"
    limited = Grant(guarantee_kbps=0, ceiling_kbps=99)
    grants = granted(Map({EndPoint(12, 3): Map({port: GRANT, f"{NET}/ports/b": limited})}))
    for event in (QueuesFound(dpid=12, driver="", why_not="far away"), QueuesFound(dpid=12, driver="ovsdb"),
                  QueuesFound(dpid=12, driver="tc", faults=Map({3: "foreign"}))):
        (condition,) = conditions(found(event), LAB.intent, grants, LAB.intent.ports[port])
        assert condition.switches == (12,)
        assert conditions(found(event), LAB.intent, grants, LAB.intent.ports[f"{NET}/ports/b"]) == []
    assert conditions(found(QueuesFound(dpid=12, driver="tc")), LAB.intent, grants, LAB.intent.ports[port]) == []


def test_all_are_told_whose_condition_depends_on_the_switch() -> None:
    """Owners with grants there, and what of theirs has a guarantee."""
    assert concerned(LAB.intent, GRANTS, 1) == {RED, BLUE, NET, "tenants/blue/networks/net", f"{NET}/ports/a"}
    assert concerned(LAB.intent, GRANTS, 12) == {RED, PIPE, NET, f"{NET}/ports/a"}
    assert concerned(LAB.intent, GRANTS, 13) == set()
