"""The operator's view of the fabric: what switches report on request, and what the operator declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Lock

from controller.fabric.events import LinkDeclared, RoleDeclared
from controller.fabric.graph import Fabric
from controller.fabric.ports import EndPoint, PortRole
from controller.model.status import DropCount, SwitchSync
from controller.openflow import decode, messages
from controller.pipeline.drops import read_drops
from controller.pipeline.tables import DROP
from controller.reconcile.loop import Loop


class Operator:
    """Every method may be called from any thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def fabric(self) -> Fabric:
        return self._loop.fabric()

    def sync(self, dpid: int) -> SwitchSync:
        return self._loop.view().sync(dpid)

    def drops(self) -> Future[Sequence[DropCount]]:
        """Asks every connected switch; one that does not answer is left out."""
        keys = self._loop.view().world.intent.keys
        tenants = {slice_: tenant for tenant, slice_ in keys.slices.items()}
        request = messages.flow_stats_request(DROP.number)
        asked = {dpid: datapath.request(request) for dpid, datapath in self._loop.datapaths().items()}
        return _gather(asked, tenants)

    def declare_roles(self, dpid: int, roles: Mapping[str, PortRole]) -> Future[None]:
        """Replace all declarations for the interfaces of a switch, which need not have connected yet."""
        before: Mapping[str, PortRole] = self._loop.fabric().declared_roles.get(dpid, {})
        events = [RoleDeclared(dpid=dpid, interface=name, role=None) for name in before.keys() - roles.keys()]
        events += [RoleDeclared(dpid=dpid, interface=name, role=role) for name, role in roles.items()]
        return self._loop.declare(events)

    def declare_capacity(self, src: EndPoint, capacity_kbps: int | None) -> Future[None]:
        """Set, or with None withdraw, the capacity of the link that leaves `src`."""
        return self._loop.declare([LinkDeclared(src=src, capacity_kbps=capacity_kbps)])

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
