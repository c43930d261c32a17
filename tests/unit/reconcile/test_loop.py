"""The reconcile thread and its sessions, for real, on switches in memory: an I/O loop in a thread, and short times."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

import pytest

from controller.fabric.discovery import Discovery
from controller.fabric.events import RoleDeclared
from controller.fabric.holddown import HoldDown
from controller.fabric.ports import PortRole, SwitchFeatures, SwitchPort
from controller.intent import edits
from controller.intent.snapshot import EMPTY, Resource, Snapshot
from controller.model.bandwidth import BandwidthPolicy, Interval, Rates, Window
from controller.model.errors import FailedPrecondition, NotFound
from controller.model.status import State as Is
from controller.pipeline.world import Share
from controller.qos.sharing import shared_kbps
from controller.reconcile import driver
from controller.reconcile.datapath import Disconnected, FrameError, ReadBack
from controller.reconcile.keeper import Keeper
from controller.reconcile.loop import Loop
from controller.service.interfaces import StoreFailed
from tests.fakes.data_plane import FakeSwitch, Refused
from tests.sequences.simulation import FEATURES, MemoryCache
from tests.sequences.states import port, port_name, tenant
from tests.support.eventually import eventually

WAIT_S = 10.0
PORTS = range(1, 5)


class Wire:
    """A connection to a switch in memory.  Answers at once, or, once `gate` is closed, when it is opened."""

    def __init__(self, switch: FakeSwitch, io: asyncio.AbstractEventLoop) -> None:
        self.switch, self.io = switch, io
        self.features: SwitchFeatures = FEATURES
        self.submitted: queue.SimpleQueue[int] = queue.SimpleQueue()
        """number of frames of each submit, as they come"""
        self.refuses: Callable[[bytes], bool] = lambda frame: False
        self._is_open = True
        self.reads = 0
        self.tells = True
        self.untold: queue.SimpleQueue[tuple[Future[ReadBack], ReadBack]] = queue.SimpleQueue()
        """what was read while it does not tell"""
        self.reason: str | None = None
        self._pending: list[tuple[Future[list[FrameError]], Sequence[bytes]]] = []

    @property
    def dpid(self) -> int:
        return self.switch.dpid

    def switch_ports(self) -> tuple[SwitchPort, ...]:
        return tuple(self._port(n) for n in PORTS)

    def switch_port(self, port_no: int) -> SwitchPort | None:
        return self._port(port_no) if port_no in PORTS else None

    def _port(self, n: int) -> SwitchPort:
        return SwitchPort(port_no=n, name=f"s{self.dpid}-{n}", mac=f"0e:00:00:00:{self.dpid:02x}:{n:02x}", up=True)

    def submit(self, frames: Sequence[bytes]) -> Future[list[FrameError]]:
        done: Future[list[FrameError]] = Future()
        if self.reason is not None:
            done.set_exception(Disconnected(self.reason))
            return done
        self.submitted.put(len(frames))
        self._pending.append((done, frames))
        if self._is_open:
            self._answer()
        return done

    def _apply(self, frames: Sequence[bytes]) -> list[FrameError]:
        errors = []
        for index, frame in enumerate(frames):
            try:
                if self.refuses(frame):
                    raise Refused("FLOW_MOD_FAILED/TABLE_FULL")
                self.switch.apply([frame])
            except Refused as refused:
                errors.append(FrameError(index, 5, 1, str(refused)))
        return errors

    def read_back(self, parts: int = 1) -> Future[ReadBack]:
        self.reads += 1
        done: Future[ReadBack] = Future()
        s = self.switch
        back = ReadBack(tuple(s.flows.values()), tuple(s.groups.values()), tuple(s.meters.values()))
        if self.tells:
            done.set_result(back)
        else:
            self.untold.put((done, back))
        return done

    def request(self, frame: bytes) -> Future[list[bytes]]:
        raise NotImplementedError

    def send(self, frame: bytes) -> bool:
        return self.reason is None

    def disconnect(self, reason: str) -> None:
        self.reason = reason
        self.io.call_soon_threadsafe(self._fail, reason)

    def _fail(self, reason: str) -> None:
        while self._pending:
            self._pending.pop(0)[0].set_exception(Disconnected(reason))

    def close_gate(self) -> None:
        self._is_open = False

    def open_gate(self) -> None:
        self._is_open = True
        self.io.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        while self._pending:
            done, frames = self._pending.pop(0)
            done.set_result(self._apply(frames))


@dataclass(frozen=True)
class Commit:
    snapshot: Snapshot
    changed: frozenset[str]


class Rig:
    def __init__(self, *, drift_period_s: float = 60.0) -> None:
        self.io = asyncio.new_event_loop()
        self.io_thread = threading.Thread(target=self.io.run_forever, daemon=True)
        self.io_thread.start()
        self.intent = EMPTY
        self.cache = MemoryCache()
        self.told: list[frozenset[str]] = []
        self.now_s = 0.0
        """what the clock on the wall says"""
        keeper = Keeper(self.cache)  # type: ignore[arg-type]
        self.loop = Loop(
            *keeper.restore(PortRole.AUTO), keeper, discovery=Discovery(b"k" * 32, lambda: b"n" * 8),
            holddown=HoldDown(0.0), io_loop=self.io, clock=time.monotonic,
            wall_clock=lambda: self.now_s, drift_period_s=drift_period_s)
        self.loop.load(self.intent, self.told.append)
        self.loop.start()

    def close(self) -> None:
        assert self.loop.stop()
        self.io.call_soon_threadsafe(self.io.stop)
        self.io_thread.join()

    def apply(self, *puts: Resource, deletes: Sequence[str] = ()) -> int:
        generation = self.intent.generation + 1
        applied = edits.apply(
            self.intent, puts, deletes, floor=self.loop.floor(), generation=generation, now_s=0.0,
            new_uid=lambda: "uid")
        self.intent = applied.snapshot.at_generation(generation)
        names = {obj.name for obj in applied.objects} | set(applied.deleted)
        self.loop.committed(Commit(self.intent, frozenset(names)))
        return generation

    def wire(self, dpid: int, switch: FakeSwitch | None = None) -> Wire:
        return Wire(switch or FakeSwitch(dpid, PORTS), self.io)

    def wait(self, generation: int, timeout_s: float = WAIT_S) -> tuple[int, ...]:
        return self.loop.wait(generation, timeout_s).result(WAIT_S)

    def in_sync(self, *dpids: int) -> None:
        eventually(lambda: all(self.loop.view().sync(dpid).in_sync for dpid in dpids), what="switches in sync")


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(driver, "FIRST_RETRY_S", 0.01)
    rig = Rig()
    yield rig
    rig.close()


RED = tuple(tenant("red", {"a": (11, 3)}).values())


def test_loop_brings_a_switch_in_line_and_says_so(rig: Rig) -> None:
    """A port is created before its switch connects; the wait is over when the switch confirmed it, and it is ACTIVE."""
    generation = rig.apply(*RED)
    waiting = rig.wire(11)
    assert rig.wait(generation) == ()
    assert rig.loop.status(port_name("red", "a")).conditions[0].reason == "SWITCH_UNKNOWN"
    rig.loop.connected(waiting)
    rig.in_sync(11)
    assert rig.loop.status(port_name("red", "a")).state is Is.ACTIVE
    assert waiting.switch.flows
    assert any(port_name("red", "a") in names for names in rig.told)


def test_newest_target_wins_while_a_switch_is_slow(rig: Rig) -> None:
    """Ten commits while the switch works on one: they reach it as a single further change."""
    wire = rig.wire(11)
    rig.loop.connected(wire)
    rig.wait(rig.apply(*RED))
    rig.in_sync(11)
    while not wire.submitted.empty():
        wire.submitted.get()
    wire.close_gate()
    rig.apply(port("red", "b", (11, 4)))
    wire.submitted.get(timeout=WAIT_S)
    for i in range(10):
        rig.apply(replace(port("red", "b", (11, 4)), mac=f"02:00:00:00:01:{i:02x}"))
    last = rig.intent.generation
    eventually(lambda: rig.loop.view().world.intent.generation == last)
    wire.open_gate()
    assert rig.wait(last) == ()
    assert wire.submitted.qsize() <= 3, "the rest of the first change, then one step to build up and one to clear away"


CEILING = BandwidthPolicy(ceiling_in_kbps=8_000, ceiling_out_kbps=4_000)
RED_TENANT, RED_METERS = "tenants/red", (4096, 4097)
"""the first slot of a switch goes to the tenant of the first port"""


def tenant_kbps(wire: Wire) -> tuple[int, ...]:
    """The rates of red's meters on the switch, out and in."""
    meters = wire.switch.meters
    return tuple(meters[meter_id].rate for meter_id in RED_METERS if meter_id in meters)


def test_shares_are_there_when_the_switches_confirmed_them(rig: Rig) -> None:
    """Once it is said, the meters have them.  None: nobody has one, and the ceiling is divided anew."""
    wires = [rig.wire(11), rig.wire(12)]
    for wire in wires:
        rig.loop.connected(wire)
    rig.wait(rig.apply(*tenant("red", {"a": (11, 3), "b": (12, 3)}, CEILING).values()))
    rig.in_sync(11, 12)
    shares = {(11, RED_TENANT): Share(in_kbps=5_000, out_kbps=1_000),
              (12, RED_TENANT): Share(in_kbps=3_000, out_kbps=2_500)}
    assert rig.loop.set_shares(shares, WAIT_S).result(WAIT_S) == ()
    assert [tenant_kbps(wire) for wire in wires] == [(1_000, 5_000), (2_500, 3_000)]
    assert rig.loop.set_shares(dict.fromkeys(shares), WAIT_S).result(WAIT_S) == ()
    assert [tenant_kbps(wire) for wire in wires] == [
        (shared_kbps(4_000, 2, 0) // 2, shared_kbps(8_000, 2, 0) // 2)] * 2


def test_shares_that_a_switch_does_not_confirm_name_it_at_the_deadline(rig: Rig) -> None:
    """Nobody waits longer than they asked to, and whoever is away gets its share when it is back."""
    wires = {dpid: rig.wire(dpid) for dpid in (11, 12)}
    for wire in wires.values():
        rig.loop.connected(wire)
    rig.wait(rig.apply(*tenant("red", {"a": (11, 3), "b": (12, 3)}, CEILING).values()))
    rig.in_sync(11, 12)
    wires[12].close_gate()
    shares = {(dpid, RED_TENANT): Share(in_kbps=3_000, out_kbps=1_000) for dpid in (11, 12, 99)}
    assert rig.loop.set_shares(shares, 0.3).result(WAIT_S) == (12,)
    wires[12].open_gate()
    eventually(lambda: tenant_kbps(wires[12]) == (1_000, 3_000))


def test_shares_set_before_the_start_are_in_the_first_program(rig: Rig) -> None:
    """A restart raises no meter to the whole ceiling for an instant: the switch is never told anything else."""
    rig.wait(rig.apply(*tenant("red", {"a": (11, 3)}, CEILING).values()))
    rig.loop.set_shares({(11, RED_TENANT): Share(in_kbps=2_000, out_kbps=1_000)}, WAIT_S)
    wire = rig.wire(11)
    rig.loop.connected(wire)
    rig.in_sync(11)
    assert tenant_kbps(wire) == (1_000, 2_000)


def test_window_of_a_schedule_opens_and_closes_by_the_clock_on_the_wall(rig: Rig) -> None:
    """Nobody commits anything: the tick sees that it is time, whichever way the clock went."""
    wire = rig.wire(11)
    rig.loop.connected(wire)
    window = Window(when=Interval(start_s=1_000.0, end_s=2_000.0), rates=Rates(ceiling_out_kbps=64))
    rig.wait(rig.apply(*tenant("red", {"a": (11, 3)}, replace(CEILING, schedule=(window,))).values()))
    rig.in_sync(11)
    assert tenant_kbps(wire) == (4_000, 8_000)
    rig.now_s = 1_000.0
    eventually(lambda: wire.switch.meters[4096].rate == 64 and 4097 not in wire.switch.meters)
    rig.now_s = 999.0
    eventually(lambda: tenant_kbps(wire) == (4_000, 8_000))


def test_refused_flow_degrades_its_object_and_is_offered_again(rig: Rig) -> None:
    """DEGRADED with the switch's words; the back-off passes, the switch has room, and it is ACTIVE."""
    wire = rig.wire(11)
    wire.refuses = lambda frame: len(frame) > 150
    rig.loop.connected(wire)
    rig.wait(rig.apply(*RED))
    status = eventually(lambda: (s := rig.loop.status(port_name("red", "a"))).state is Is.DEGRADED and s)
    refusal = next(c for c in status.conditions if c.reason == "FLOW_REFUSED")
    assert "TABLE_FULL" in refusal.message and refusal.switches == (11,)
    wire.refuses = lambda frame: False
    eventually(lambda: rig.loop.status(port_name("red", "a")).state is Is.ACTIVE)


def test_drift_is_repaired_when_the_switch_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows that somebody deleted come back with the next re-read."""
    rig = Rig(drift_period_s=0.05)
    wire = rig.wire(11)
    rig.loop.connected(wire)
    rig.wait(rig.apply(*RED))
    rig.in_sync(11)
    wanted = dict(wire.switch.flows)
    for key in list(wanted)[:5]:
        wire.switch.delete_flow(key)
    eventually(lambda: wire.switch.flows == wanted)
    rig.close()


def test_change_goes_on_while_the_switch_is_read_again_and_is_not_taken_for_drift() -> None:
    """The reading says what was there before; what was written since stands, what drifted is repaired."""
    rig = Rig(drift_period_s=0.05)
    wire = rig.wire(11)
    rig.loop.connected(wire)
    rig.wait(rig.apply(*RED))
    rig.in_sync(11)
    wire.tells = False
    before = dict(wire.switch.flows)
    lost = next(iter(before))
    wire.switch.delete_flow(lost)
    done, back = wire.untold.get(timeout=WAIT_S)
    while len(back.flows) == len(before):  # it began before the flow was lost
        rig.io.call_soon_threadsafe(done.set_result, back)
        done, back = wire.untold.get(timeout=WAIT_S)
    assert rig.wait(rig.apply(port("red", "b", (11, 4)))) == ()
    held = dict(wire.switch.flows)
    assert lost not in held and held.keys() - before.keys()
    rig.io.call_soon_threadsafe(done.set_result, back)
    eventually(lambda: wire.switch.flows.keys() == held.keys() | {lost})
    assert [wire.submitted.get_nowait() for _ in range(wire.submitted.qsize())][-1] == 1
    rig.close()


def test_new_connection_of_a_switch_replaces_the_old(rig: Rig) -> None:
    """The end of the old one, seen late, does not take the new one away."""
    old = rig.wire(11)
    rig.loop.connected(old)
    rig.wait(rig.apply(*RED))
    rig.in_sync(11)
    new = rig.wire(11, old.switch)
    rig.loop.connected(new)
    old.disconnect("replaced")
    rig.loop.disconnected(old)
    assert rig.wait(rig.apply(port("red", "b", (11, 4)))) == ()
    assert rig.loop.datapath(11) is new
    assert new.submitted.qsize() > 0


def test_session_that_fails_ends_its_connection_and_no_other(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect while one switch is served: it is disconnected, so that it comes back; the others go on."""
    bad, good = rig.wire(11), rig.wire(12)
    monkeypatch.setattr(bad, "read_back", lambda parts=1: [].pop())
    rig.loop.connected(bad)
    rig.loop.connected(good)
    eventually(lambda: bad.reason == "its session failed")
    rig.in_sync(12)
    assert good.reason is None


def test_wait_ends_in_time_with_the_switches_that_lag(rig: Rig) -> None:
    """A switch that drops off in the middle of a step is named; when it is back, the same wait succeeds."""
    wire = rig.wire(11)
    rig.loop.connected(wire)
    rig.wait(rig.apply(*RED))
    rig.in_sync(11)
    wire.close_gate()
    generation = rig.apply(port("red", "b", (11, 4)))
    assert rig.wait(generation, timeout_s=0.2) == (11,)
    wire.disconnect("pulled")
    rig.loop.disconnected(wire)
    assert rig.wait(generation, timeout_s=0.2) == (11,)
    status = rig.loop.status(port_name("red", "b"))
    assert (status.state, status.conditions[0].reason) == (Is.PENDING, "SWITCH_NOT_CONFIRMED")
    rig.loop.connected(rig.wire(11, wire.switch))
    assert rig.wait(generation) == ()
    assert rig.loop.status(port_name("red", "b")).state is Is.ACTIVE


def test_declared_role_is_kept_and_obeyed(rig: Rig) -> None:
    """A port on an interface declared fabric is not bound, and says why."""
    rig.loop.connected(rig.wire(11))
    event = RoleDeclared(dpid=11, interface="s11-3", role=PortRole.FABRIC)
    rig.loop.declare([event]).result(WAIT_S)
    assert any(key.startswith("declared/") for key in rig.cache.records)
    rig.wait(rig.apply(*RED))
    assert rig.loop.status(port_name("red", "a")).conditions[0].reason == "ATTACHMENT_IS_FABRIC"


def test_forgotten_switch_is_gone_and_nobody_waits_for_it(rig: Rig) -> None:
    """Not while it is connected, not if it never was; afterwards its ports say that their switch is unknown."""
    wire = rig.wire(11)
    rig.loop.connected(wire)
    rig.wait(rig.apply(*RED))
    rig.in_sync(11)
    with pytest.raises(FailedPrecondition):
        rig.loop.forget(11).result(WAIT_S)
    with pytest.raises(NotFound):
        rig.loop.forget(99).result(WAIT_S)
    wire.disconnect("off")
    rig.loop.disconnected(wire)
    generation = rig.apply(port("red", "b", (11, 4)))
    rig.loop.forget(11).result(WAIT_S)
    assert rig.wait(generation) == ()
    assert rig.loop.status(port_name("red", "a")).conditions[0].reason == "SWITCH_UNKNOWN"
    assert rig.loop.floor() == generation


def test_broken_store_stops_no_forwarding_and_loses_nothing_to_keep(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be kept, switches are programmed all the same; once it can, everything is kept."""

    def broken(records: object) -> None:
        raise StoreFailed("disk full")

    monkeypatch.setattr("controller.reconcile.loop.STEP_RETRY_S", 0.01)
    keep, rig.cache.save_cache = rig.cache.save_cache, broken  # type: ignore[method-assign]
    rig.loop.connected(rig.wire(11))
    assert rig.wait(rig.apply(*RED)) == ()
    rig.in_sync(11)
    assert rig.cache.records == {}
    rig.cache.save_cache = keep  # type: ignore[method-assign]
    eventually(lambda: {key.partition("/")[0] for key in rig.cache.records} >= {"switch", "labels"})


def test_readings_take_turns_and_a_share_of_the_time() -> None:
    """One at a time; after one that took a second nobody begins for nineteen."""
    readings = driver.Readings()
    assert readings.begin(10.0) and not readings.begin(10.5)
    readings.end(11.0)
    assert not readings.begin(29.9) and readings.begin(30.1)


def test_mailbox_emptied_before_its_wake_up_does_not_spin() -> None:
    """The wake-up may come after what it was for has been taken: one idle turn, then sleep."""

    async def scene() -> int:
        loop, turns = asyncio.get_running_loop(), 0
        mailbox = driver.Mailbox()
        mailbox.put(1, {})
        assert mailbox.take() is not None
        for _ in range(5):
            started = loop.time()
            await mailbox.wait(0.02)
            turns += loop.time() - started < 0.01
            assert mailbox.take() is None
        return turns

    assert asyncio.run(scene()) <= 1
