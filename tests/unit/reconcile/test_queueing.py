"""Grants become queues: what each port is to have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from controller.fabric.declared import LinkSettings
from controller.fabric.graph import EndPoint, LinkDeclared, LinkLost, LinkSeen
from controller.model.bandwidth import BandwidthPolicy, TrafficClass
from controller.model.network import Pipe
from controller.model.queues import BEST_EFFORT, EXPLICIT, Grant, OfPair, OfSlice, OfSource, leaf_queue
from controller.pipeline.world import World
from controller.reconcile.queueing import Plans, port_queues, rate_kbps
from tests.support.worlds import Lab

RED, PIPE = "tenants/red", "tenants/red/pipes/p"
A, B = "tenants/red/networks/net/ports/a", "tenants/red/networks/net/ports/b"
INSIDE = EndPoint(11, 1)
"""a link of A's leaf, whose ports report no speed: 1 Gbit/s"""


def world_of_two() -> World:
    """Ports a and b of red on two leaves, and a pipe between them."""
    lab = Lab.leaf_spine()
    lab.network("blue")
    lab.network("red")
    lab.port("red", "a", at=(11, 3), mac="02:00:00:00:00:0a")
    lab.port("red", "b", at=(12, 3), mac="02:00:00:00:00:0b")
    lab.create(Pipe(name=PIPE, a=A, b=B))
    return lab.world


WORLD = world_of_two()
GRANTS = st.dictionaries(
    st.sampled_from([RED, "tenants/blue", PIPE, "tenants/gone"]),
    st.builds(Grant, guarantee_kbps=st.integers(0, 2_000_000), ceiling_kbps=st.integers(0, 2_000_000),
              weight=st.integers(0, 10**9), traffic_class=st.sampled_from(TrafficClass)))


@pytest.fixture
def world() -> World:
    return WORLD


def test_tenant_is_told_by_its_slice_and_a_pipe_by_mac_and_key_both_ways(world: World) -> None:
    """Numbers are those that the tenant and the pipe hold; best effort has what is left."""
    grants = {RED: Grant(guarantee_kbps=100_000), PIPE: Grant(guarantee_kbps=50_000, ceiling_kbps=60_000)}
    found = port_queues(world, INSIDE, grants)
    assert found is not None
    keys = world.intent.keys
    slice_, key_a, key_b = keys.slice_of(f"{RED}/networks/net"), keys.port_key(A), keys.port_key(B)
    assert key_a and key_b
    rest, red, pipe = found.queues
    assert (rest.number, rest.whose, rest.guarantee_kbps) == (BEST_EFFORT, (), found.rate_kbps - 150_000)
    assert (red.number, red.whose) == (leaf_queue(keys.queue_id(RED)), (OfSlice(slice_),))
    assert red.ceiling_kbps == found.rate_kbps
    assert (pipe.number, pipe.ceiling_kbps) == (leaf_queue(keys.queue_id(PIPE)), 60_000)
    assert set(pipe.whose) == {
        OfPair(mac, key.key24, edge_id) for mac, key in ((0x02000000000A, key_b), (0x02000000000B, key_a))
        for edge_id in (keys.edge_id(key.dpid), EXPLICIT)}


def test_pipe_between_networks_is_told_by_whose_gateway_sent_into_which_slice() -> None:
    """Both ways, on links of the fabric; where a frame leaves for its port nobody can tell."""
    lab = Lab.leaf_spine()
    lab.network("red")
    lab.network("red", "far", ipv4="10.1.0.0/24", ipv6="fd01::/64")
    lab.port("red", "a", at=(11, 3))
    lab.port(f"{RED}/networks/far", "b", at=(12, 3))
    lab.join("red", "p", BandwidthPolicy(guarantee_out_kbps=1_000))
    world, keys = lab.world, lab.intent.keys
    found = port_queues(world, INSIDE, {PIPE: Grant(guarantee_kbps=1_000)})
    assert found is not None
    near, far = (keys.slice_of(f"{RED}/networks/{name}") for name in ("net", "far"))
    assert [(queue.number, set(queue.whose)) for queue in found.queues[1:]] == [(leaf_queue(keys.queue_id(PIPE)), {
        OfSource(far, 0x02005E000000 | near << 10), OfSource(near, 0x02005E000000 | far << 10)})]
    assert port_queues(world, EndPoint(12, 3), {PIPE: Grant(guarantee_kbps=1_000)}) is None


def test_access_port_has_queues_only_for_pipes_that_end_there(world: World) -> None:
    """By the MAC of the other end; a tenant is alone there, and a pipe that ends elsewhere is none of its business."""
    at = world.placement.at[B]
    assert port_queues(world, at, {RED: Grant(guarantee_kbps=10)}) is None
    found = port_queues(world, at, {RED: Grant(guarantee_kbps=10), PIPE: Grant(guarantee_kbps=10)})
    assert found is not None
    assert [queue.whose for queue in found.queues] == [(), (OfPair(0x02000000000A, 0, 0),)]
    assert port_queues(world, EndPoint(13, 4), {PIPE: Grant(guarantee_kbps=10)}) is None


def test_rate_is_the_declared_capacity_or_a_little_below_the_speed(world: World) -> None:
    """So that the queue is ours, not the wire's."""
    assert rate_kbps(world.fabric, INSIDE) == 980_000
    declared, _ = world.fabric.apply(LinkDeclared(src=INSIDE, settings=LinkSettings(capacity_kbps=50_000)))
    assert rate_kbps(declared, INSIDE) == 50_000


@given(GRANTS)
def test_best_effort_has_its_share_and_nothing_is_promised_twice(grants: dict[str, Grant]) -> None:
    """Whatever was granted: guarantees fit, best effort has 5 %, ceilings lie between guarantee and rate."""
    found = port_queues(WORLD, INSIDE, grants)
    if found is None:
        assert all(not grant.guarantee_kbps or owner == "tenants/gone" for owner, grant in grants.items())
        return
    assert [queue.number for queue in found.queues] == sorted({queue.number for queue in found.queues})
    assert sum(queue.guarantee_kbps for queue in found.queues) == found.rate_kbps
    rest = next(queue for queue in found.queues if queue.number == BEST_EFFORT)
    assert rest.guarantee_kbps >= int(0.05 * found.rate_kbps)
    for queue in found.queues:
        assert 0 <= queue.guarantee_kbps <= queue.ceiling_kbps <= found.rate_kbps
        assert queue.weight >= 1


def test_update_names_what_changed_and_nothing_else(world: World) -> None:
    """A change of a grant, of a capacity, of a pipe's end; the same again is no change, and what goes is named once."""
    plans, at_b = Plans(), world.placement.at[B]
    red = Map({RED: Grant(guarantee_kbps=1_000)})
    grants = Map({INSIDE: red, at_b: Map({PIPE: Grant(guarantee_kbps=7)})})
    first = plans.update(world, grants)
    assert first == {at: port_queues(world, at, grants[at]) for at in (INSIDE, at_b)}
    assert plans.update(world, Map(dict(grants))) == {}
    more = grants.set(INSIDE, Map({RED: Grant(guarantee_kbps=2_000)}))
    assert plans.update(world, more).keys() == {INSIDE}
    port = replace(world.intent.ports[A], mac="02:00:00:00:00:99")
    moved = replace(world, intent=world.intent.put(port))
    assert plans.update(moved, more).keys() == {at_b}
    fabric, _ = world.fabric.apply(LinkDeclared(src=INSIDE, settings=LinkSettings(capacity_kbps=50_000)))
    assert plans.update(replace(moved, fabric=fabric), more).keys() == {INSIDE}
    assert plans.update(world, Map()) == {INSIDE: None, at_b: None}
    assert plans.update(world, Map()) == {}


def test_link_that_is_down_keeps_its_queues_as_long_as_their_owners(world: World) -> None:
    """Frames may pass it still; up again it has what is granted, and a link in use loses them as soon as it may."""
    plans, grants = Plans(), Map({INSIDE: Map({RED: Grant(guarantee_kbps=1_000), PIPE: Grant(guarantee_kbps=7)})})
    queues = plans.update(world, grants)[INSIDE]
    down = replace(world, fabric=world.fabric.apply(LinkLost(src=INSIDE))[0])
    assert plans.update(down, Map()) == {}
    changed = plans.update(replace(down, intent=world.intent.delete(PIPE)), Map())
    assert changed == {INSIDE: port_queues(world, INSIDE, {RED: Grant(guarantee_kbps=1_000)})}
    seen = LinkSeen(src=INSIDE, dst=world.fabric.links[INSIDE].dst)
    up = replace(down, fabric=down.fabric.apply(seen)[0])
    assert plans.update(up, grants) == {INSIDE: queues}
    assert plans.update(down, Map()) == {}
    assert plans.update(up, Map()) == {INSIDE: None}
