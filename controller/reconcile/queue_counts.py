"""What the queues of full ports dropped, and of whom.  Runs on the telemetry thread.

    queue of a tenant, network, port or pipe    lost by it and those above it, to the link
    any queue of an access port                 lost by the port that is there too, if the queues are its ceiling

A queue counts the packets that it dropped, not their bytes: they are taken to be as long as those that it sent at the
same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial

from immutables import Map

from controller.fabric.ports import EndPoint
from controller.intent.snapshot import NO_NAMES
from controller.model.queues import Grant, QueueCount, leaf_queue
from controller.pipeline.world import World
from controller.qos.accounts import QUEUE_KIND, Accounts, SourceKey
from controller.qos.counters import NS_PER_S, Reading
from controller.qos.sums import Entry, Way
from controller.reconcile.owners import lineage, link_name
from controller.reconcile.status import View

PERIOD_S = 5.0
NOT_LOOKED = QueueCount(0, 0, 0)
NOTHING: Map[str, Grant] = Map()
Counts = Mapping[int, QueueCount]


class QueueCounts:
    """`tick` is the telemetry thread's; `post` has something called there."""

    def __init__(
        self, view: Callable[[], View], ask: Callable[[EndPoint], Future[Counts]], accounts: Accounts, *,
        post: Callable[[Callable[[], None]], None], wall_clock: Callable[[], float],
    ) -> None:
        self._view = view
        self._ask = ask
        self._accounts = accounts
        self._post = post
        self._wall_clock = wall_clock
        self._asked: set[EndPoint] = set()
        self._last: dict[EndPoint, Counts] = {}
        """the last look at each port"""
        self._next_s = 0.0

    def tick(self, now_s: float) -> None:
        """Ask all ports that have queues; not one that did not answer yet."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + PERIOD_S
        grants = self._view().grants
        for at in [at for at in self._last if at not in grants]:
            del self._last[at]
        for at in set(grants) - self._asked:
            self._asked.add(at)
            self._ask(at).add_done_callback(
                lambda answer, at=at: self._post(partial(self._answered, at, answer, now_s)))  # type: ignore[misc]

    def _answered(self, at: EndPoint, answer: Future[Counts], asked_s: float) -> None:
        self._asked.discard(at)
        if answer.cancelled() or answer.exception() is not None:
            return  # its switch, or database, is away
        kind, seen = f"{QUEUE_KIND} {at.port_no}", set()
        here = self._here(at)
        owners, at_s = dict(self._owners(at, here)), self._wall_clock()
        last, self._last[at] = self._last.get(at, {}), answer.result()
        for number, count in self._last[at].items():
            key = SourceKey(at.dpid, kind, number)
            seen.add(key)
            reading = self._reading(key, count, _frame_bytes(count, last.get(number, NOT_LOOKED)), asked_s)
            self._accounts.look(key, reading, owners.get(number, here), at_s)
        self._accounts.looked(at.dpid, {kind}, seen)

    def _reading(self, key: SourceKey, count: QueueCount, frame_bytes: int, asked_s: float) -> Reading:
        """What was dropped; by our own clock, for how long the queue is there, nobody says."""
        dropped, before, clock_ns = count.dropped_packets, self._accounts.last(key), int(asked_s * NS_PER_S)
        if before is None or dropped < before.packets:
            return Reading(dropped * frame_bytes, dropped, clock_ns)
        return Reading(before.bytes + (dropped - before.packets) * frame_bytes, dropped, clock_ns)

    def _here(self, at: EndPoint) -> tuple[Entry, ...]:
        """Whose drops all queues of a port count."""
        world = self._view().world
        if at in world.fabric.links:
            return (Entry(link_name(at), "", "out", "link"),)
        receivers = (owner for owner in self._view().grants.get(at, ()) if world.placement.at.get(owner) == at)
        return tuple(Entry(name, uid, "in", "port") for port in receivers for name, uid in lineage(world, port))

    def _owners(self, at: EndPoint, here: tuple[Entry, ...]) -> Iterator[tuple[int, tuple[Entry, ...]]]:
        """number of the queue -> whose drops it counts, beside those of all."""
        world, granted = self._view().world, self._view().grants.get(at, NOTHING)
        for owner, grant in granted.items():
            if owner not in world.intent.keys.queue_ids:
                continue
            networks = world.intent.networks_by_tenant.get(owner, NO_NAMES)
            # A tenant's only network has no queue of its own, for it is all of the tenant's.
            yield self._queue(world, next(iter(networks)) if len(networks) == 1 else owner, here, owner=owner)
            for network, part in grant.networks.items():
                if len(networks) > 1 and network in networks:
                    yield self._queue(world, network, here)
                for port, own in part.ports.items():
                    if port in world.intent.keys.queue_ids:
                        yield self._queue(world, port, here, way="out" if own.sends else "in")

    @staticmethod
    def _queue(
        world: World, name: str, here: tuple[Entry, ...], *, owner: str = "", way: Way = "out",
    ) -> tuple[int, tuple[Entry, ...]]:
        """The leaf of this owner, by default the named one's own; what of a port it does not send it does not get."""
        number = leaf_queue(world.intent.keys.queue_id(owner or name))
        lost = (Entry(each, uid, way if each == name else "out", "link", was_counted=way == "out" or each != name)
                for each, uid in lineage(world, name))
        return number, (*lost, *here)


def _frame_bytes(now: QueueCount, last: QueueCount) -> int:
    """How long the frames were that it sent since the last look; where it sent none, or is another one, all of them."""
    octets, packets = now.bytes - last.bytes, now.packets - last.packets
    if octets < 0 or packets <= 0:
        octets, packets = now.bytes, now.packets
    return octets // packets if packets else 0
