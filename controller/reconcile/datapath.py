"""What the reconcile loop needs from a live switch connection.

Implemented by controller/southbound; here only the contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from controller.fabric.graph import SwitchFeatures, SwitchPort
from controller.openflow.entries import Flow, Group, Meter


class Disconnected(Exception):
    """The connection ended before the answer came."""


@dataclass(frozen=True, slots=True)
class FrameError:
    """A switch refused frame number `index` of a submit.

    `type` and `code` are OpenFlow's; `text` names them ("FLOW_MOD_FAILED/TABLE_FULL").
    """

    index: int
    type: int
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the switch holds that carries our mark: flows by cookie owner, groups and meters by id range."""

    flows: tuple[Flow, ...]
    groups: tuple[Group, ...]
    meters: tuple[Meter, ...]


class Datapath(Protocol):
    """A connected, handshaken switch.

    Every method may be called from any thread; futures are completed on the I/O loop.
    """

    @property
    def dpid(self) -> int: ...

    @property
    def features(self) -> SwitchFeatures: ...

    def switch_ports(self) -> tuple[SwitchPort, ...]:
        """The switch's physical ports as of its last port description or status message (LOCAL left out)."""
        ...

    def switch_port(self, port_no: int) -> SwitchPort | None:
        """One of them, or None if there is no such port (any more)."""
        ...

    def submit(self, frames: Sequence[bytes]) -> Future[list[FrameError]]:
        """Send frames (xids are stamped here) and a barrier;

        completes when the barrier reply came, with what was refused.  Disconnected if the channel went.
        """
        ...

    def read_back(self, parts: int = 1) -> Future[ReadBack]:
        """Ask what the switch holds, in about so many parts: what is submitted meanwhile goes out between two."""
        ...

    def request(self, frame: bytes) -> Future[list[bytes]]:
        """Send one multipart request; completes with all its raw replies."""
        ...

    def send(self, frame: bytes) -> bool:
        """Send without confirmation (packet-out).  False if the channel is gone or its buffer is full."""
        ...

    def disconnect(self, reason: str) -> None: ...
