"""Guarantees under the failure of each of B4's 19 wires (after FFC, SIGCOMM'14).

Pipes between random sites ask for random guarantees, both ways, and are admitted by the ledger until it refuses many in
a row: once as CRITICAL, which is admitted for the loss of any one wire too, and once as STANDARD, which is not.  Then
each wire fails in turn, while every pipe sends as much as it can and so does best effort between all sites.  What each
pipe gets is what the allocator gives it over the links that its frames then take:

    failover   the working tree to the dead wire and from there its backup, as switches do alone and at once
    anew       the paths that the planner gives for what is left

Lost is what a pipe gets less than its guarantee, and all of it if some of its frames cannot arrive.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, count, permutations
from math import inf
from typing import NamedTuple

from immutables import Map

from bench.figures import Report
from controller.fabric.graph import EndPoint, Fabric, LinkLost
from controller.intent.snapshot import Snapshot
from controller.model.bandwidth import BandwidthPolicy, TrafficClass
from controller.model.network import Pipe
from controller.qos.allocation import Aggregate, Allocator
from controller.qos.ledger import shortfalls
from controller.reconcile.book import NO_BOOK, Book
from controller.reconcile.claims import BookEdit
from controller.reconcile.courses import Foreseen
from controller.reconcile.grants import capacity_kbps
from controller.reconcile.loads import Course, Ground, Loads, Route, crossing
from tests.support.topologies import fabric_of
from tests.support.worlds import Lab
from topologies.wan import Wan

REFUSALS = 60
"""in a row, before the network counts as full"""
SMALLEST, LARGEST = 50_000, 1_000_000
"""kbit/s asked for, on links of 10 Gbit/s"""
ACCESS_PORT = 1_000
"""and the ones after it: of no known speed, so that only links refuse"""


class Promise(NamedTuple):
    """One direction of a pipe."""

    src: int
    dst: int
    kbps: int


def run(*, quick: bool = False) -> Iterator[Report]:
    """One row for each class."""
    report = Report(
        title="Guarantees lost when each of B4's wires fails in turn",
        columns=(
            "", "pipes", "guaranteed", "of capacity", "failures", "with loss: failover", "anew", "worst loss", "anew",
        ),
        notes=(
            "with loss: failures in which any pipe gets less than its guarantee; worst loss: of all that is guaranteed",
            "of capacity: what the guarantees load the links with while all is well",
            "FFC (SIGCOMM'14, two WANs): loses 7 to 130 times less than without, protected traffic nothing",
        ),
    )
    fabric = fabric_of(Wan(name="b4", mbps=0))
    for traffic_class in (TrafficClass.CRITICAL, TrafficClass.STANDARD):
        promises, book = _admitted(fabric, traffic_class, refusals=REFUSALS // 10 if quick else REFUSALS)
        losses = [_losses(fabric, wire, promises, traffic_class) for wire in sorted(_wires(fabric))]
        total, capacity = sum(each.kbps for each in promises), sum(each.capacity_kbps for each in fabric.links.values())
        working = sum(claim.working_kbps for claims in book.ledger.by_owner.values() for claim in claims.values())
        hurt = [sum(loss[i] > 1 for loss in losses) for i in (0, 1)]
        worst = [max(loss[i] for loss in losses) / total for i in (0, 1)]
        report.add(
            traffic_class, str(len(promises) // 2), f"{total / 1e6:.1f} Gbit/s", f"{working / capacity:.0%}",
            str(len(losses)), *map(str, hurt), *(f"{share:.1%}" for share in worst),
        )
    yield report


def _wires(fabric: Fabric) -> set[EndPoint]:
    return {min(link.src, link.dst) for link in fabric.links.values()}


def _admitted(fabric: Fabric, traffic_class: TrafficClass, *, refusals: int) -> tuple[list[Promise], Book]:
    """Fill the network with pipes: in each virtual network one between any two sites, until too many are refused."""
    chance, lab, sites = random.Random(4), Lab(), sorted(fabric.switches)
    loads, book, promises, refused = Loads(Foreseen(fabric, {}), Ground(fabric=fabric)), NO_BOOK, list[Promise](), 0
    pairs = list(combinations(sites, 2))
    for number in count():
        network = lab.network("red", f"n{number}")
        ports = {dpid: lab.port(network, f"p{dpid}", at=(dpid, ACCESS_PORT + number), bind=False) for dpid in sites}
        for one, other in chance.sample(pairs, len(pairs)):
            out, inward = (chance.randint(SMALLEST, LARGEST) for _ in range(2))
            policy = BandwidthPolicy(
                guarantee_out_kbps=out, guarantee_in_kbps=inward, traffic_class=traffic_class
            )
            name = f"tenants/red/pipes/n{number}-{one}-{other}"
            lab.create(Pipe(name=name, a=ports[one].name, b=ports[other].name, bandwidth=policy))
            if (larger := _if_it_fits(book, loads, fabric, lab.intent, name)) is None:
                lab.delete(name)
                refused += 1
            else:
                book, refused = larger, 0
                promises += [Promise(one, other, out), Promise(other, one, inward)]
            if refused == refusals:
                return promises, book
    raise AssertionError("without end")


def _if_it_fits(book: Book, loads: Loads, fabric: Fabric, intent: Snapshot, pipe: str) -> Book | None:
    edit = BookEdit(book, loads, fabric).update(intent, Map(), {pipe})
    larger = edit.result()
    excess = shortfalls(
        book.ledger, larger.ledger, edit.resources, edit.owners, lambda resource: capacity_kbps(fabric, resource)
    )
    return None if excess else larger


def _losses(
    fabric: Fabric, wire: EndPoint, promises: Sequence[Promise], traffic_class: TrafficClass
) -> tuple[float, float]:
    """What is lost, kbit/s: by the switches' own failover, and over new paths."""
    ground, after = Ground(fabric=fabric).without(wire), fabric
    for end in (wire, fabric.links[wire].dst):
        after, _ = after.apply(LinkLost(src=end))
    return (
        _lost(Foreseen(fabric, {}), ground, promises, traffic_class),
        _lost(Foreseen(after, {}), Ground(fabric=after), promises, traffic_class),
    )


def _lost(
    courses: Callable[[Route], Sequence[Course]], ground: Ground, promises: Sequence[Promise],
    traffic_class: TrafficClass,
) -> float:
    allocator: Allocator[int | tuple[int, int]] = Allocator()
    for link in ground.fabric.links.values():
        allocator.set_capacity(link.src, 0 if ground.is_dead(link.src) else link.capacity_kbps)
    ways = {(src, dst): courses(("", src, dst)) for src, dst in permutations(ground.fabric.switches, 2)}
    for pair, way in ways.items():  # best effort
        allocator.put(pair, Aggregate(traffic_class=TrafficClass.BULK, resources=crossing(way, ground)))
    for i, (src, dst, kbps) in enumerate(promises):
        allocator.put(i, Aggregate(
            guarantee_kbps=kbps, demand_kbps=inf, weight=kbps, traffic_class=traffic_class,
            resources=crossing(ways[src, dst], ground),
        ))
    allocator.solve()
    lost = 0.0
    for i, (src, dst, kbps) in enumerate(promises):
        arrives = all(strand.links(ground)[1] for course in ways[src, dst] for strand in course)
        lost += max(0.0, kbps - allocator.allotment(i).rate_kbps) if arrives else kbps
    return lost
