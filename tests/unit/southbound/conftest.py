"""A runtime on loopback, fake switches, and an application that remembers what it was told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from apps.pliantd.base import DEAD, MAIN, App, ofp_event, set_ev_cls
from controller.southbound.datapath import SwitchDatapath
from controller.southbound.runtime import Runtime
from controller.southbound.timing import Timing
from tests.fakes.openflow_switch import FakeSwitch, Switches
from tests.support.eventually import eventually

LOOPBACK = "127.0.0.1"
FAST = Timing(handshake_s=0.6, probe_s=0.1, dead_s=0.4, answer_s=0.8, duplicate_s=0.3)


class Recorder(App):
    """Remembers every event; `fail_on` makes its handlers raise for packets with that content."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[tuple[int, str]] = []
        self.packets: list[tuple[int, bytes]] = []
        self.port_changes: list[int] = []
        self.fail_on: bytes | None = None

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN, DEAD])
    def state_changed(self, event: Any) -> None:
        self.states.append((event.datapath.dpid, event.datapath.state if event.state == MAIN else DEAD))

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN)
    def packet_in(self, event: Any) -> None:
        if event.msg.data == self.fail_on:
            raise RuntimeError("the handler fails, as the test wants")
        self.packets.append((event.msg.packet.in_port, event.msg.data))

    @set_ev_cls(ofp_event.EventOFPPortStateChange, MAIN)
    def port_changed(self, event: Any) -> None:
        self.port_changes.append(event.port_no)


@dataclass
class Rig:
    """A started runtime that listens on loopback, its recorder, and the loop of the fake switches."""

    runtime: Runtime
    app: Recorder
    port: int
    switches: Switches

    def connect(self, switch: FakeSwitch) -> FakeSwitch:
        return self.switches.connect(switch, LOOPBACK, self.port)

    def datapath(self, dpid: int) -> SwitchDatapath:
        """The datapath of that switch, once its handshake is done."""
        return eventually(lambda: self.runtime.datapaths().get(dpid), what=f"switch {dpid} connected")

    def up(self, switch: FakeSwitch) -> SwitchDatapath:
        self.connect(switch)
        return self.datapath(switch.dpid)


@pytest.fixture
def switches() -> Iterator[Switches]:
    with Switches() as fakes:
        yield fakes


def _rig(timing: Timing, switches: Switches) -> Iterator[Rig]:
    runtime = Runtime(timing=timing)
    try:
        app = runtime.add(Recorder)
        runtime.start()
        yield Rig(runtime, app, runtime.listen(LOOPBACK, 0), switches)
    finally:
        runtime.stop()


@pytest.fixture
def rig(switches: Switches) -> Iterator[Rig]:
    """With the deadlines of production."""
    yield from _rig(Timing(), switches)


@pytest.fixture
def hasty(switches: Switches) -> Iterator[Rig]:
    """With deadlines of tenths of a second."""
    yield from _rig(FAST, switches)
