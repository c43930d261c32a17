"""The operator's view of the fabric: what switches report on request, and what the operator declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Lock

from immutables import Map

from controller.fabric.events import Event
from controller.fabric.graph import Fabric
from controller.fabric.paths.alternatives import alternatives
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.path import Path
from controller.fabric.paths.shortest import all_pairs
from controller.fabric.ports import EndPoint
from controller.model.status import DropCount, SwitchSync
from controller.openflow import decode, messages
from controller.pipeline.drops import read_drops
from controller.pipeline.tables import DROP
from controller.reconcile.followers import Followers
from controller.reconcile.loop import Loop
from controller.reconcile.rates import Rate
from controller.reconcile.telemetry import Telemetry
from controller.reconcile.ways import Way, in_use, ways


class Operator:
    """Every method may be called from any thread."""

    def __init__(self, loop: Loop, telemetry: Telemetry) -> None:
        self._loop = loop
        self._telemetry = telemetry
        self._followers = Followers()

    def fabric(self) -> Fabric:
        return self._loop.fabric()

    def sync(self, dpid: int) -> SwitchSync:
        return self._loop.view().sync(dpid)

    def drops(self) -> Future[Sequence[DropCount]]:
        """Asks every connected switch; one that does not answer is left out."""
        keys = self._loop.view().world.intent.keys
        tenants = {tenant_id: tenant for tenant, tenant_id in keys.tenant_ids.items()}
        request = messages.flow_stats_request(DROP.number)
        asked = {dpid: datapath.request(request) for dpid, datapath in self._loop.datapaths().items()}
        return _gather(asked, tenants)

    def declare(self, events: Sequence[Event], *, force: bool = False) -> Future[None]:
        """FailedPrecondition WOULD_PARTITION, unless `force`, if tenants would lose paths by it.  Durable when done."""
        return self._loop.declare(events, force=force)

    def ways(self, src: int, dst: int, network: str = "") -> tuple[Way, ...]:
        """How frames go now, of a network or else of all that have no path policy."""
        return ways(self._loop.view().world, src, dst, network)

    def alternatives(self, src: int, dst: int, k: int) -> tuple[Path, ...]:
        """The k best paths there are.  Takes a while in a big fabric."""
        return alternatives(all_pairs(Topology.of(self._loop.fabric())), src, dst, k)

    def place_of(self, port: str) -> EndPoint | None:
        """Where a tenant's port is bound now."""
        return self._loop.view().world.placement.at.get(port)

    def in_use(self) -> set[EndPoint]:
        """The ports that some program may still send frames of tenants to."""
        return in_use(self._loop.view().world)

    def rates(self) -> Map[EndPoint, Rate]:
        """What ports carry, as far as it is known; see follow_rates."""
        return self._telemetry.rates

    def follow_rates(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Keep the rates fresh, and notify when they are, until the returned function is called."""
        return self._telemetry.follow(notify)

    def follow(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Notify of every new fabric, from whatever thread, until the returned function is called."""
        return self._followers.join(notify)

    def fabric_changed(self) -> None:
        """For the loop to call."""
        self._followers.tell()

    def forget(self, dpid: int) -> Future[None]:
        """Forget all about a switch.  NotFound, or FailedPrecondition SWITCH_CONNECTED."""
        return self._loop.forget(dpid)


def _gather(asked: Mapping[int, Future[list[bytes]]], tenants: Mapping[int, str]) -> Future[Sequence[DropCount]]:
    """One future of all answers; it completes with the last of them."""
    result: Future[Sequence[DropCount]] = Future()
    drops: list[DropCount] = []
    left = set(asked)
    lock = Lock()

    def answered(dpid: int, future: Future[list[bytes]]) -> None:
        # A switch that went away meanwhile has no counters to tell.
        counted = [] if future.exception() else read_drops(dpid, decode.flow_stats(future.result()), tenants)
        with lock:
            drops.extend(counted)
            left.discard(dpid)
            done = not left
        if done:
            result.set_result(sorted(drops, key=lambda drop: (drop.dpid, drop.tenant, drop.reason)))

    for dpid, future in asked.items():
        future.add_done_callback(partial(answered, dpid))
    if not asked:
        result.set_result([])
    return result
