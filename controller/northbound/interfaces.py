"""What the servicers need from reconcile: confirmation by the switches, the operator's view of the fabric, bandwidth.

controller/reconcile implements them, controller/build.py joins them.  Every method may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import Future
from typing import Protocol

from controller.fabric.events import Event
from controller.fabric.graph import EndPoint, Fabric
from controller.fabric.paths.path import Path
from controller.intent.snapshot import Resource
from controller.model.bandwidth import BandwidthStatus
from controller.model.status import DropCount, SwitchSync
from controller.model.usage import Quote, Usage
from controller.reconcile.rates import Rate
from controller.reconcile.ways import Way


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

    def declare(self, events: Sequence[Event], *, force: bool = False) -> Future[None]:
        """Durable when it completes.

        FailedPrecondition WOULD_PARTITION, unless `force`, if tenants would lose paths by it.
        """
        ...

    def ways(self, src: int, dst: int, network: str = "") -> tuple[Way, ...]:
        """How frames go now from one switch to another, of a network or else of all without a path policy.

        Never blocks.
        """
        ...

    def alternatives(self, src: int, dst: int, k: int) -> tuple[Path, ...]:
        """The k best paths there are.  Takes a while in a big fabric."""
        ...

    def place_of(self, port: str) -> EndPoint | None:
        """Where a tenant's port is bound now.  Never blocks."""
        ...

    def in_use(self) -> Set[EndPoint]:
        """The ports that some program may still send frames of tenants to.  Never blocks."""
        ...

    def rates(self) -> Mapping[EndPoint, Rate]:
        """What left ports lately, as far as it is known: kept fresh while somebody follows.  Never blocks."""
        ...

    def follow_rates(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Keep the rates fresh and notify when they are, from whatever thread, until the returned function is called.
        """
        ...

    def follow(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Notify of every new fabric, from whatever thread, until the returned function is called."""
        ...

    def forget(self, dpid: int) -> Future[None]:
        """Forget all about a switch.  NotFound, or FailedPrecondition SWITCH_CONNECTED."""
        ...


class Bandwidth(Protocol):
    def status(self, name: str) -> BandwidthStatus | None:
        """What a tenant, network, port or pipe gets, as of the last look; None if nobody looked yet.  Never blocks."""
        ...

    def usage(self, kind: str, parent: str) -> Sequence[Usage]:
        """Of every "tenant", "network", "port", "pipe" or "link" at or below `parent` ("" is everywhere), in any order.

        As of the last look.  Links are under no parent.  Never blocks.
        """
        ...

    def follow(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Notify after every look, from whatever thread, until the returned function is called."""
        ...

    def quote(self, obj: Resource) -> Quote:
        """Whether the guarantee of `obj`, complete as a commit would make it, could be admitted now, and what could.

        As admission would decide it.  Takes a while in a big fabric.
        """
        ...
