"""CRITICAL guarantees through the loss of any one link, on rings and on Google's B4."""

from __future__ import annotations

from itertools import permutations

import pytest
from immutables import Map
from mininet.topo import Topo

from controller.fabric.graph import Fabric
from controller.fabric.ports import EndPoint
from controller.intent.snapshot import Resource, Snapshot
from controller.model.bandwidth import BandwidthPolicy, TrafficClass
from controller.model.ids import network_of
from controller.model.network import ANY_PATH
from controller.qos.hose import Footprint, Hose
from controller.reconcile.book import NO_BOOK, Book
from controller.reconcile.claims import BookEdit
from controller.reconcile.courses import Foreseen
from controller.reconcile.loads import Ground, Loads, Route, crossing
from tests.sequences.states import port, tenant
from tests.support.topologies import fabric_of
from topologies.ring import Ring
from topologies.wan import Wan

KBPS = 1_000


def book_of(fabric: Fabric, edges: list[int], traffic_class: TrafficClass) -> Book:
    """A tenant with a port of its own guarantee on each edge."""
    policy = BandwidthPolicy(guarantee_in_kbps=KBPS, guarantee_out_kbps=KBPS, traffic_class=traffic_class)
    objects: list[Resource] = [*tenant("red", {}).values()]
    objects += [port("red", chr(97 + i), (dpid, 99), policy) for i, dpid in enumerate(edges)]
    loads = Loads(Foreseen(fabric, {}), Ground(fabric=fabric))
    names = [obj.name for obj in objects]
    return BookEdit(NO_BOOK, loads, fabric).update(Snapshot.rebuild(objects), Map(), names).result()


@pytest.mark.parametrize(("topo", "edges"), [
    (Ring(switches=5), [1, 2, 4]), (Wan(name="b4", mbps=0), list(range(1, 13))),
])
def test_reserves_hold_whichever_link_fails(topo: Topo, edges: list[int]) -> None:
    """While nobody but the switches has noticed, no link carries more of the guarantees than is reserved there."""
    fabric = fabric_of(topo)
    reserved = book_of(fabric, edges, TrafficClass.CRITICAL).ledger.by_owner["tenants/red"]
    plain = book_of(fabric, edges, TrafficClass.STANDARD).ledger.by_owner["tenants/red"]
    courses, rates = Foreseen(fabric, {}), {dpid: float(KBPS) for dpid in edges}
    hose = Hose(sent=rates, received=rates, open_senders=(), open_receivers=())
    assert {link: claim.working_kbps for link, claim in reserved.items() if claim.working_kbps} == {
        link: claim.working_kbps for link, claim in plain.items()}
    for wire in {min(link.src, link.dst) for link in fabric.links.values()}:
        ground = Ground(fabric=fabric).without(wire)
        crossings = {}
        for src, dst in permutations(edges, 2):
            every = courses(Route("", ANY_PATH, src, dst))
            assert all(strand.links(ground)[1] for course in every for strand in course)
            crossings[src, dst] = crossing(every, ground)
        for link, need in Footprint(crossings).need(hose).items():
            assert need.working <= reserved[link].reserved_kbps + 1e-6


def test_guarantee_without_another_way_is_said_to_be_exposed() -> None:
    """A chain has no way around: nothing is reserved for what cannot be survived, and the links are named."""
    fabric = fabric_of(Ring(switches=4))
    wire = next(iter(sorted(fabric.links.values(), key=lambda link: link.src)))
    cut = Ground(fabric=fabric).without(wire.src).cut
    chain = Fabric(switches=fabric.switches, links=Map(
        {src: link for src, link in fabric.links.items() if src not in cut}), into=fabric.into)
    book = book_of(chain, sorted(chain.switches), TrafficClass.CRITICAL)
    exposed = book.exposed[network_of("tenants/red/networks/net/ports/a")]
    assert set(exposed) == {min(link.src, link.dst) for link in chain.links.values()}
    assert all(isinstance(link, EndPoint) for link in exposed)
