"""What the queue keeper needs from whoever can make queues on switch ports.

Implemented by controller/southbound/queues; here only the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from controller.fabric.ports import Switch, SwitchPort
from controller.model.queues import PortQueues, QueueCount


class Brought(NamedTuple):
    """What came of it."""

    faults: Mapping[int, str]
    """port number -> why its queues are not as they should be"""
    written: int
    """how many changes it took; 0 where all was right"""


class Driver(Protocol):
    """Its coroutines run on the keeper's loop and do not fail: what goes wrong is a fault of a port."""

    @property
    def name(self) -> str: ...

    def expect(self, n_families: int) -> bool:
        """So many families of queues there are (PortQueues.families), on all ports of all switches.  True if that makes
        all others than they were.
        """
        ...

    async def bring(self, dpid: int, wanted: Mapping[SwitchPort, PortQueues | None]) -> Brought:
        """Make the queues of these ports so (None: none of ours), write only what differs, and look whether it is so.
        """
        ...

    async def count(self, dpid: int, port: SwitchPort) -> Mapping[int, QueueCount]:
        """By number of the queue, what it counted since it is there; nothing if there are none."""
        ...


class Choice(NamedTuple):
    """Who makes the queues of a switch."""

    driver: Driver | None
    why_not: str = ""


class Chooser(Protocol):
    """Knows what works where."""

    def __call__(self, switch: Switch) -> Choice: ...
