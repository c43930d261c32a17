"""What the servicers need from reconcile: confirmation by the switches, and the operator's view of the fabric.

controller/reconcile implements both, controller/build.py joins them.  Every method may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

from controller.fabric.graph import EndPoint, Fabric, PortRole
from controller.model.status import DropCount, SwitchSync


class Confirmations(Protocol):
    def wait(self, generation: int, timeout_s: float) -> Future[tuple[int, ...]]:
        """Completes with () once every switch that the generation touches confirmed it.

        After `timeout_s` it completes with the dpids of those that have not.  Never fails, and never waits for an
        object that has yet to be attached.
        """
        ...


class Operator(Protocol):
    def fabric(self) -> Fabric:
        """The newest fabric.  Never blocks."""
        ...

    def sync(self, dpid: int) -> SwitchSync:
        """Never blocks."""
        ...

    def drops(self) -> Future[Sequence[DropCount]]:
        """Asks every connected switch; one that does not answer is left out."""
        ...

    def declare_roles(self, dpid: int, roles: Mapping[str, PortRole]) -> Future[None]:
        """Replace all declarations for a switch, which need not have connected yet.  Durable when it completes."""
        ...

    def declare_capacity(self, src: EndPoint, capacity_kbps: int | None) -> Future[None]:
        """Set, or with None withdraw, the capacity of the link that leaves `src`.  Durable when it completes."""
        ...

    def forget(self, dpid: int) -> Future[None]:
        """Forget all about a switch.  NotFound, or FailedPrecondition SWITCH_CONNECTED."""
        ...
