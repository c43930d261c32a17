"""Guarantees against the links of real switches: refused with numbers, admitted, degraded by a cut, whole again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pliant
import pytest
from pliant.v1 import common_pb2, fabric_pb2, tenant_pb2

from tests.support.eventually import eventually
from tests.support.fabric import Fabric, Policy, leaf_spine
from tests.support.rig import Rig

LINK_KBPS = 100_000
FAIR, SHED = common_pb2.FAILURE_POLICY_DEGRADE_FAIR, common_pb2.FAILURE_POLICY_SHED


@pytest.fixture
def fabric(ovs: Rig) -> Iterator[Fabric]:
    """Two leaves, two spines, links of 100 Mbit/s, and tenants red and blue with a port on each leaf."""
    with leaf_spine(ovs, leaves=(1, 2)) as fabric:
        for link in fabric.client.links.list():
            message = fabric_pb2.Link(name=link.name, capacity_override_kbps=LINK_KBPS)
            fabric.client.links.update(message, ["capacity_override_kbps"])
        for number, tenant in enumerate(("red", "blue"), start=1):
            network = fabric.create_network(tenant)
            hosts = [fabric.add_host(f"{tenant}{leaf}", leaf, number, 10 * leaf + number) for leaf in (1, 2)]
            fabric.create_ports(network, hosts)
        yield fabric


def tenant(name: str, kbps: int, on_failure: common_pb2.FailurePolicy = FAIR) -> tenant_pb2.Tenant:
    return tenant_pb2.Tenant(name=f"tenants/{name}", bandwidth=Policy(
        guarantee_in_kbps=kbps, guarantee_out_kbps=kbps, on_failure=on_failure))


def guarantee(fabric: Fabric, name: str, kbps: int, on_failure: common_pb2.FailurePolicy = FAIR) -> None:
    fabric.client.tenants.update(tenant(name, kbps, on_failure), ["bandwidth"], wait=True)


def degraded(fabric: Fabric, name: str) -> str:
    """What the tenant says of it, or nothing."""
    found = fabric.client.tenants.get(f"tenants/{name}")
    texts = [each.message for each in found.conditions if each.reason == "GUARANTEE_DEGRADED"]
    assert (found.state == common_pb2.STATE_DEGRADED) == bool(texts), found
    return "".join(texts)


def test_guarantee_is_refused_admitted_degraded_and_whole_again(fabric: Fabric) -> None:
    """Each of two spines carries half of a guarantee; with one uplink cut, the other has to carry all of it;
    with both cut nothing is left.  Whoever sheds gives way first, also in the queues.
    """
    guarantee(fabric, "red", 100_000)
    with pytest.raises(pliant.ApiError) as caught:
        guarantee(fabric, "blue", 95_000)
    assert caught.value.reason == "GUARANTEE_DOES_NOT_FIT"
    assert "no 47.5 Mbit/s left on link" in caught.value.message
    assert "only 45 Mbit/s" in caught.value.message
    assert "90 Mbit/s would fit" in caught.value.message
    assert caught.value.metadata["largest_guarantee_out_kbps"] == "90000"
    quote = fabric.client.quote(tenant("blue", 95_000))
    assert (quote.fits, quote.largest_guarantee_in_kbps, quote.largest_guarantee_out_kbps) == (False, 90_000, 90_000)
    assert {(each.needed_kbps, each.left_kbps) for each in quote.shortfalls} == {(47_500, 45_000)}
    guarantee(fabric, "red", 60_000)
    guarantee(fabric, "blue", 95_000)
    assert not degraded(fabric, "red") + degraded(fabric, "blue")
    switch = fabric_pb2.Switch(name=f"switches/{11:016x}", drained=True)
    with pytest.raises(pliant.ApiError) as caught:
        fabric.client.switches.update(switch, ["drained"])
    assert caught.value.reason == "WOULD_BREAK_GUARANTEES"
    assert caught.value.metadata["owners"] == "tenants/blue,tenants/red"
    fabric.rig.set_link("s1-s11-101", up=False)
    eventually(lambda: "61% of its guarantee" in degraded(fabric, "red"), 30, "red says what it keeps")
    eventually(lambda: "61% of its guarantee" in degraded(fabric, "blue"), 30, "blue says what it keeps")
    fabric.rig.set_link("s1-s12-102", up=False)
    eventually(lambda: "keeps 0% of its guarantee: there is no path" in degraded(fabric, "red"), 30, "red has nothing")
    fabric.rig.set_link("s1-s12-102", up=True)
    fabric.rig.set_link("s1-s11-101", up=True)
    eventually(lambda: not degraded(fabric, "red") + degraded(fabric, "blue"), 30, "both have all of theirs again")
    guarantee(fabric, "red", 60_000, SHED)
    guarantee(fabric, "blue", 60_000)
    fabric.rig.set_link("s1-s11-101", up=False)
    eventually(lambda: "58% of its guarantee" in degraded(fabric, "red"), 30, "red gives what is lacking")
    eventually(lambda: {"rate 60Mbit", "rate 35Mbit"} <= rates(fabric, "s1-s12-102"), 30, "and blue's queue has all")
    assert not degraded(fabric, "blue")
    fabric.rig.set_link("s1-s11-101", up=True)
    eventually(lambda: not degraded(fabric, "red"), 30, "red has all of its own again")
    eventually(lambda: {"rate 30Mbit"} == rates(fabric, "s1-s12-102") & {f"rate {rate}Mbit" for rate in (30, 35, 60)},
               30, "and half of either goes here")


def rates(fabric: Fabric, device: str) -> set[str]:
    """Of the device's queues."""
    return set(re.findall(r"rate \d+\w+", fabric.rig.sandbox.run("tc", "class", "show", "dev", device)))
