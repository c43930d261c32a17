"""A switch that only counts: what a test says its ports, meters and flows carry, told as OpenFlow tells it.

    switch = CountingSwitch(11)
    switch.carry(port_no=3, rx=1_000)        bytes; packets are a hundredth
    switch.drop(meter_id=4099, dropped=500)
    switch.pass_s(2.5)                       its own clock
    switch.answers = False                   questions pile up; `tell` answers them
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from controller.fabric.ports import SwitchFeatures
from controller.openflow import messages
from controller.openflow.decode import MeterStat, PortStat
from controller.openflow.entries import Flow
from controller.reconcile.datapath import Disconnected
from tests.support import of_replies

S = 1_000_000_000
Told = Future[list[bytes]]
FEATURES = SwitchFeatures(max_meters=100)


@dataclass(eq=False)
class CountingSwitch:
    """Answers at once, unless told otherwise."""

    dpid: int
    ports: Iterable[int] = (1, 2, 3)
    features: SwitchFeatures = FEATURES
    answers: bool = True
    is_gone: bool = False
    now_ns: int = S
    asked: list[bytes] = field(default_factory=list)
    waiting: list[tuple[Told, bytes]] = field(default_factory=list)
    flows: dict[Flow, int] = field(default_factory=dict)
    """bytes"""
    before_look: Callable[[], None] = lambda: None
    """called ahead of telling what the ports carried"""

    def __post_init__(self) -> None:
        self.rx = dict.fromkeys(self.ports, 0)
        self.tx = dict.fromkeys(self.ports, 0)
        self.born_ns = dict.fromkeys(self.ports, 0)
        self.meters: dict[int, tuple[int, int]] = {}
        """id -> bytes that came in, that were dropped"""

    def carry(self, port_no: int, *, rx: int = 0, tx: int = 0) -> None:
        self.rx[port_no] += rx
        self.tx[port_no] += tx

    def police(self, meter_id: int, came_in: int, dropped: int) -> None:
        before = self.meters.get(meter_id, (0, 0))
        self.meters[meter_id] = before[0] + came_in, before[1] + dropped

    def pass_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * S)

    def remake_port(self, port_no: int) -> None:
        """As if the interface was deleted and made again."""
        self.rx[port_no] = self.tx[port_no] = 0
        self.born_ns[port_no] = self.now_ns

    def restart(self) -> None:
        """As if ovs-vswitchd was started again: its ports' devices went on counting."""
        self.born_ns = dict.fromkeys(self.ports, self.now_ns)
        self.meters.clear()

    # -- as a datapath

    def request(self, frame: bytes) -> Told:
        self.asked.append(frame)
        told: Told = Future()
        self.waiting.append((told, frame))
        if self.answers or self.is_gone:
            self.tell()
        return told

    def tell(self) -> None:
        """Answer what waits, as things are now."""
        waiting, self.waiting = self.waiting, []
        for told, frame in waiting:
            if self.is_gone:
                told.set_exception(Disconnected("gone"))
            else:
                told.set_result([self._answer(frame)])

    @staticmethod
    def is_whole(frame: bytes) -> bool:
        """Whether it asks for all ports."""
        return frame[8:] == messages.port_stats_request()[8:]

    def _answer(self, frame: bytes) -> bytes:
        kind = int.from_bytes(frame[8:10], "big")
        if kind == messages.PORT_STATS:
            self.before_look()
            return of_replies.port_stats(
                PortStat(n, self.rx[n] // 100, self.tx[n] // 100, self.rx[n], self.tx[n], self.now_ns - self.born_ns[n])
                for n in self.ports if frame == messages.port_stats_request(n) or self.is_whole(frame))
        if kind == messages.METER_STATISTICS:
            return of_replies.meter_stats(
                MeterStat(one, came_in // 100, came_in, dropped // 100, dropped, self.now_ns)
                for one, (came_in, dropped) in self.meters.items())
        table = frame[16]
        return of_replies.multipart(messages.FLOW_STATS, [
            of_replies.flow_stat(flow, packets=octets // 100, octets=octets, duration_ns=self.now_ns)
            for flow, octets in self.flows.items() if flow.table == table])
