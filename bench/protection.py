"""Guarantees under the failure of each of B4's 19 wires (after FFC, SIGCOMM'14).

Pipes between random sites ask for random guarantees, both ways, and are admitted by the ledger until it refuses many in
a row: CRITICAL ones, which are admitted for the loss of any one wire too, STANDARD ones, which are not, and STANDARD
ones in the room that CRITICAL ones leave.  Then each wire fails in turn, while every pipe sends as much as it can and
so does best effort between all sites.  What each pipe gets is what the allocator gives it over the links that its
frames then take:

    failover   the working tree to the dead wire and from there its backup, as switches do alone and at once
    anew       the paths that the planner gives for what is left

Lost is what a pipe gets less than its guarantee, and all of it if some of its frames cannot arrive.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, count, permutations
from typing import NamedTuple

from immutables import Map

from bench.figures import Report
from controller.fabric.graph import EndPoint, Fabric, LinkLost
from controller.intent.snapshot import Snapshot
from controller.model.bandwidth import BandwidthPolicy, TrafficClass
from controller.model.network import ANY_PATH, Pipe
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


CRITICAL, STANDARD = TrafficClass.CRITICAL, TrafficClass.STANDARD


class Promise(NamedTuple):
    """One direction of a pipe."""

    src: int
    dst: int
    kbps: int
    traffic_class: TrafficClass


Losses = dict[TrafficClass, float]
"""kbit/s lost of the guarantees of each class"""


def run(*, quick: bool = False) -> Iterator[Report]:
    """One row for each class of each mixture."""
    report = Report(
        title="Guarantees lost when each of B4's wires fails in turn",
        columns=("", "pipes", "guaranteed", "failures", "with loss: failover", "anew", "worst: failover", "anew"),
        notes=(
            "with loss: failures in which any pipe gets less than its guarantee; worst: of all that the row guarantees",
            "FFC (SIGCOMM'14, two WANs): no congestion by the failures protected against, 7 to 130 times less lost",
        ),
    )
    fabric = fabric_of(Wan(name="b4", mbps=0))
    wires = sorted({min(link.src, link.dst) for link in fabric.links.values()})
    for classes in ((CRITICAL,), (STANDARD,), (CRITICAL, STANDARD)):
        promises = _admitted(fabric, classes, refusals=REFUSALS // 10 if quick else REFUSALS)
        losses = [_losses(fabric, wire, promises) for wire in wires]
        for traffic_class in classes:
            rates = [each.kbps for each in promises if each.traffic_class is traffic_class]
            lost = [[each[phase][traffic_class] for each in losses] for phase in (0, 1)]
            others = ", ".join(other for other in classes if other is not traffic_class)
            report.add(
                f"{traffic_class} beside {others}" if others else traffic_class,
                str(len(rates) // 2), f"{sum(rates) / 1e6:.1f} Gbit/s", str(len(wires)),
                *(str(sum(kbps > 1 for kbps in each)) for each in lost),
                *(f"{max(each) / sum(rates):.1%}" for each in lost),
            )
    yield report


def _admitted(fabric: Fabric, classes: Sequence[TrafficClass], *, refusals: int) -> list[Promise]:
    """Fill the network with pipes of one class after the other, each until too many are refused in a row."""
    chance, lab, sites = random.Random(4), Lab(), sorted(fabric.switches)
    loads, book, promises, refused = Loads(Foreseen(fabric, {}), Ground(fabric=fabric)), NO_BOOK, list[Promise](), 0
    pairs, turns = list(combinations(sites, 2)), iter(classes)
    traffic_class = next(turns)
    for number in count():  # virtual networks, for in each there is one pipe at most between two ports
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
                promises += [Promise(one, other, out, traffic_class), Promise(other, one, inward, traffic_class)]
            if refused == refusals:
                refused = 0
                if (following := next(turns, None)) is None:
                    return promises
                traffic_class = following
    raise AssertionError("without end")


def _if_it_fits(book: Book, loads: Loads, fabric: Fabric, intent: Snapshot, pipe: str) -> Book | None:
    edit = BookEdit(book, loads, fabric).update(intent, Map(), {pipe})
    larger = edit.result()
    excess = shortfalls(
        book.ledger, larger.ledger, edit.resources, edit.owners, lambda resource: capacity_kbps(fabric, resource)
    )
    return None if excess else larger


def _losses(fabric: Fabric, wire: EndPoint, promises: Sequence[Promise]) -> tuple[Losses, Losses]:
    """By the switches' own failover, and over new paths."""
    ground, after = Ground(fabric=fabric).without(wire), fabric
    for end in (wire, fabric.links[wire].dst):
        after, _ = after.apply(LinkLost(src=end))
    return (
        _lost(Foreseen(fabric, {}), ground, promises),
        _lost(Foreseen(after, {}), Ground(fabric=after), promises),
    )


def _lost(courses: Callable[[Route], Sequence[Course]], ground: Ground, promises: Sequence[Promise]) -> Losses:
    allocator: Allocator[int | tuple[int, int]] = Allocator()
    for link in ground.fabric.links.values():
        allocator.set_capacity(link.src, 0 if ground.is_dead(link.src) else link.capacity_kbps)
    ways = {(src, dst): courses(Route("", ANY_PATH, src, dst)) for src, dst in permutations(ground.fabric.switches, 2)}
    for pair, way in ways.items():  # best effort
        allocator.put(pair, Aggregate(traffic_class=TrafficClass.BULK, resources=crossing(way, ground)))
    for i, (src, dst, kbps, traffic_class) in enumerate(promises):
        allocator.put(i, Aggregate(
            guarantee_kbps=kbps, weight=kbps, traffic_class=traffic_class, resources=crossing(ways[src, dst], ground)
        ))
    allocator.solve()
    lost = dict.fromkeys(TrafficClass, 0.0)
    for i, (src, dst, kbps, traffic_class) in enumerate(promises):
        arrives = all(strand.links(ground)[1] for course in ways[src, dst] for strand in course)
        lost[traffic_class] += max(0.0, kbps - allocator.allotment(i).rate_kbps) if arrives else kbps
    return lost
