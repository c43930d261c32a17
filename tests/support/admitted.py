"""A fabric in memory whose every change has to pass admission, and guarantees in few words.

Spines 1 and 2, leaves 11 to 13, every link 100 Mbit/s.
"""

from __future__ import annotations

from controller.fabric.declared import LinkSettings
from controller.fabric.events import LinkDeclared
from controller.fabric.ports import EndPoint
from controller.intent.snapshot import Resource
from controller.model.bandwidth import BandwidthPolicy
from controller.reconcile.admission import Admission
from tests.sequences.simulation import Simulation
from tests.sequences.states import tenant

NOW_S = 1_800_000_000.0
LINK_KBPS, FREE_KBPS = 100_000, 95_000


class Fabric(Simulation):
    """A simulation whose commits have to pass admission, as those of the service do."""

    def __init__(self) -> None:
        super().__init__()
        for end in (end for wire in self.wires for end in wire):
            self.observe(LinkDeclared(src=end, settings=LinkSettings(capacity_kbps=LINK_KBPS)))
        self.settle()
        self.admission = Admission(lambda: self.reconciler.view, lambda: self.intent, lambda: NOW_S)
        self.gates = (self.admission,)

    def promised(self) -> dict[EndPoint, int]:
        """What queues keep free on each link inside the fabric."""
        grants = self.reconciler.view.grants
        return {at: sum(each.guarantee_kbps for each in here.values()) for at, here in grants.items()}

    def reasons(self, name: str) -> list[str]:
        return [condition.reason for condition in self.reconciler.view.status(name).conditions]


def both(kbps: int, **how: object) -> BandwidthPolicy:
    return BandwidthPolicy(guarantee_in_kbps=kbps, guarantee_out_kbps=kbps, **how)  # type: ignore[arg-type]


def everywhere(name: str, policy: BandwidthPolicy) -> list[Resource]:
    """A tenant with a port on each leaf, at a place of its own."""
    n = 3 + ("red", "blue", "green").index(name)
    return [*tenant(name, {"a": (11, n), "b": (12, n), "c": (13, n)}, policy).values()]


def alone(name: str, policy: BandwidthPolicy) -> Resource:
    return tenant(name, {}, policy)[f"tenants/{name}"]
