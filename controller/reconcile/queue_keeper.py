"""Keeps the queues of all switch ports as they should be.

    view ──wake──► which ports' queues are others (queueing.py) ──┐
    ports come and go ────────────────────────────────────────────┼─► one task for each switch that has work:
    time: what failed again, what was right once more, one by one ┘     driver ─► faults ─► QueuesFound to the loop

A thread of its own, with a loop of its own: a driver may take its time there, and no switch or client waits for it.
What a port has when it is told so is kept; what it has without need goes a little later, for after a restart it takes
a moment until all is known, and where queues held a ceiling its meter has to come back first.  A switch out of reach
keeps its queues.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

import structlog
from immutables import Map
from prometheus_client import Counter

from controller.fabric.events import QueuesFound
from controller.fabric.ports import EndPoint, Switch, SwitchPort
from controller.model.ids import format_dpid
from controller.model.queues import PortQueues, QueueCount
from controller.reconcile.queue_driver import Choice, Chooser
from controller.reconcile.queueing import Plans
from controller.reconcile.status import View

log = structlog.get_logger()

WRITES = Counter("pliant_queue_writes", "Changes written to the queues of switch ports.")
LOOK_GAP_S = 0.05
"""Between two looks at the view: a burst of changes costs a few."""
REMOVE_AFTER_S = 3.0
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
CHECK_PERIOD_S = 30.0
"""Each switch is looked at again so often, unless that took more than CHECK_SHARE of the time."""
CHECK_SHARE = 0.05
NOT_LOOKED = Choice(None)


@dataclass(slots=True)
class _Switch:
    """What is known of one switch's queues."""

    ports: Map[int, SwitchPort] = Map()
    is_connected: bool = False
    choice: Choice = NOT_LOOKED
    is_chosen: bool = False
    wanted: dict[int, PortQueues] = field(default_factory=dict)
    n_families: int = 0
    """of all that are wanted"""
    dirty: set[int] = field(default_factory=set)
    """port numbers to be brought in line"""
    left: set[SwitchPort] = field(default_factory=set)
    """ports that were there and are no more, or are others now"""
    faults: dict[int, str] = field(default_factory=dict)
    shaped: dict[int, int] = field(default_factory=dict)
    """port number -> the ceiling that its queues hold"""
    told: QueuesFound | None = None
    took_s: float = 0.0
    """the last work on it"""
    retry_s: float = FIRST_RETRY_S
    task: asyncio.Task[None] | None = None


class QueueKeeper:
    """Start it, wake it when the view is another one, stop it.  The queues stay when it stops."""

    def __init__(
        self, view: Callable[[], View], choose: Chooser, report: Callable[[QueuesFound], None], *,
        switched_off: bool = False, check_period_s: float = CHECK_PERIOD_S, remove_after_s: float = REMOVE_AFTER_S,
    ) -> None:
        """Args: switched_off: no port is to have queues, and those of before are removed."""
        self._view = view
        self._choose = choose
        self._report = report
        self._switched_off = switched_off
        self._check_period_s = check_period_s
        self._remove_after_s = remove_after_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="queues", daemon=True)
        self._plans = Plans()
        self._switches: dict[int, _Switch] = {}
        self._look_due = False
        self._checked = 0

    # -- any thread

    def start(self) -> None:
        self._thread.start()
        self.wake()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """True if the thread ended in time."""
        if self._thread.ident is None:
            self._loop.close()
            return True
        self._call(self._loop.stop)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def wake(self) -> None:
        """The view is another one."""
        self._call(self._changed)

    def choose_again(self) -> None:
        """What the choice of drivers depends on is different."""
        self._call(self._unchoose)

    def statistics(self, at: EndPoint) -> Future[Mapping[int, QueueCount]]:
        """By number of the queue, what it counted; nothing if the port has none.  Counters begin anew with the queue.
        """
        counting = self._count(at)
        try:
            return asyncio.run_coroutine_threadsafe(counting, self._loop)
        except RuntimeError:  # the loop is closed: Pliant stops
            counting.close()
            nothing: Future[Mapping[int, QueueCount]] = Future()
            nothing.set_result({})
            return nothing

    def _call(self, deed: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: Pliant stops
            self._loop.call_soon_threadsafe(deed)

    # -- the thread

    def _run(self) -> None:
        self._loop.call_later(self._check_period_s, self._check)
        try:
            self._loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks))
            self._loop.close()

    def _unchoose(self) -> None:
        for kept in self._switches.values():
            kept.is_chosen = False
        self._changed()

    def _changed(self) -> None:
        if not self._look_due:
            self._look_due = True
            self._loop.call_later(LOOK_GAP_S, self._look)

    def _look(self) -> None:
        """Note what changed since the last look, and set to work whoever has some."""
        self._look_due = False
        view = self._view()
        switches = view.world.fabric.switches
        for dpid in [dpid for dpid in self._switches if dpid not in switches]:
            del self._switches[dpid]
        for dpid in switches.keys() - self._switches.keys():
            # What a pliantd before this one brought is trusted until all is known here, too.
            self._switches[dpid] = _Switch(shaped=dict(switches[dpid].shaped))
            self._loop.call_later(self._remove_after_s, self._trust_no_longer, dpid)
        for at, queues in self._plans.update(view.world, Map() if self._switched_off else view.grants).items():
            self._want(at, queues)
        for dpid, switch in switches.items():
            self._note_reach(self._switches[dpid], is_connected=switch.connected)
        connected = [(switch, self._switches[dpid]) for dpid, switch in switches.items() if switch.connected]
        for switch, kept in connected:
            if kept.ports is not switch.ports:
                self._compare(switch.dpid, kept, switch.ports)
            if not kept.is_chosen:
                self._choose_for(switch, kept)
        self._expect()
        for switch, kept in connected:
            self._look_at(switch, kept)

    def _trust_no_longer(self, dpid: int) -> None:
        if (kept := self._switches.get(dpid)) is not None:
            kept.shaped = {port_no: kbps for port_no, kbps in kept.shaped.items() if port_no in kept.wanted}
            self._changed()

    @staticmethod
    def _note_reach(kept: _Switch, *, is_connected: bool) -> None:
        """Open vSwitch removes the queues of its ports when it starts, and whoever connects may have started."""
        if is_connected and not kept.is_connected:
            kept.dirty.update(kept.wanted)
        kept.is_connected = is_connected

    def _expect(self) -> None:
        """Tell the drivers how many queues there are to be, before they make any."""
        n_families = sum(kept.n_families for kept in self._switches.values())
        drivers = {kept.choice.driver for kept in self._switches.values()}
        resized = {driver for driver in drivers if driver is not None and driver.expect(n_families)}
        for kept in self._switches.values():
            if kept.choice.driver in resized:
                kept.dirty.update(kept.wanted)

    def _look_at(self, switch: Switch, kept: _Switch) -> None:
        # It was forgotten, and came back, if it does not say what we told.
        is_told = kept.told is not None and kept.told == QueuesFound(
            dpid=switch.dpid, driver=switch.queue_driver, why_not=switch.no_queues, faults=switch.queue_faults,
            shaped=switch.shaped)
        if not is_told or kept.dirty or kept.left or switch.shaped != Map(kept.shaped):
            self._set_to_work(switch.dpid)

    def _want(self, at: EndPoint, queues: PortQueues | None) -> None:
        kept = self._switches.get(at.dpid)
        if kept is None:
            return
        if queues is None or not queues.is_ceiling or queues.rate_kbps != kept.shaped.get(at.port_no):
            kept.shaped.pop(at.port_no, None)
        kept.n_families += sum(
            sign * len(each.families) for sign, each in ((1, queues), (-1, kept.wanted.get(at.port_no))) if each)
        if queues is not None:
            kept.wanted[at.port_no] = queues
            kept.dirty.add(at.port_no)
        elif kept.wanted.pop(at.port_no, None):
            self._loop.call_later(self._remove_after_s, self._mark, at)

    def _compare(self, dpid: int, kept: _Switch, ports: Map[int, SwitchPort]) -> None:
        """Ports came, went, or are others under the same number.  Also one that went and came back as it was, which
        shows in being another value only, has lost its queues.
        """
        for port_no, port in kept.ports.items():
            if (now := ports.get(port_no)) is None or not now.is_same_port(port):
                kept.left.add(port)
                kept.faults.pop(port_no, None)
                kept.shaped.pop(port_no, None)
                kept.is_chosen = False
        for port_no, port in ports.items():
            before = kept.ports.get(port_no)
            if before is port:
                continue
            is_another = before is None or not before.is_same_port(port)
            kept.is_chosen &= not is_another
            if port_no in kept.wanted:
                kept.dirty.add(port_no)
            elif is_another:
                self._loop.call_later(self._remove_after_s, self._mark, EndPoint(dpid, port_no))
        kept.ports = ports

    def _mark(self, at: EndPoint) -> None:
        """Look at this port, if it still is there."""
        kept = self._switches.get(at.dpid)
        if kept is not None and at.port_no in kept.ports:
            kept.dirty.add(at.port_no)
            self._changed()

    def _choose_for(self, switch: Switch, kept: _Switch) -> None:
        """If it gets another driver, that has to do all that is wanted."""
        choice, kept.is_chosen = self._choose(switch), True
        if choice != kept.choice:
            log.info("queue_driver", switch=format_dpid(switch.dpid), why_not=choice.why_not,
                     driver=choice.driver.name if choice.driver else "none")
            if kept.choice.driver is not None or choice.driver is None:
                kept.shaped = {}
            kept.choice, kept.faults = choice, {}
            kept.dirty.update(kept.wanted)

    # -- one task for each switch

    def _set_to_work(self, dpid: int) -> None:
        kept = self._switches[dpid]
        if kept.task is None:
            kept.task = self._loop.create_task(self._work(dpid, kept))

    async def _work(self, dpid: int, kept: _Switch) -> None:
        begun_s = self._loop.time()
        try:
            while kept.dirty or kept.left:
                await self._bring(dpid, kept)
            kept.took_s = self._loop.time() - begun_s
            self._tell(dpid, kept)
            if kept.faults and kept.choice.driver:
                self._loop.call_later(kept.retry_s, self._again, dpid)
                kept.retry_s = min(2 * kept.retry_s, LAST_RETRY_S)
            else:
                kept.retry_s = FIRST_RETRY_S
        except Exception:
            log.exception("queues_failed", switch=format_dpid(dpid))
            self._loop.call_later(LAST_RETRY_S, self._again, dpid)
        finally:
            kept.task = None

    async def _bring(self, dpid: int, kept: _Switch) -> None:
        """Once what there is to do."""
        todo: dict[SwitchPort, PortQueues | None] = dict.fromkeys(kept.left)
        todo.update((kept.ports[n], kept.wanted.get(n)) for n in kept.dirty if n in kept.ports)
        kept.left, kept.dirty = set(), set()
        if (driver := kept.choice.driver) is None or not todo:
            return
        brought = await driver.bring(dpid, todo)
        for port in todo:
            kept.faults.pop(port.port_no, None)
        kept.faults.update(brought.faults)
        for port, queues in todo.items():
            if queues is None or not queues.is_ceiling or port.port_no in kept.faults:
                kept.shaped.pop(port.port_no, None)
            elif kept.wanted.get(port.port_no) == queues:
                kept.shaped[port.port_no] = queues.rate_kbps
        if brought.written:
            WRITES.inc(brought.written)
            log.info("queues_set", switch=format_dpid(dpid), driver=driver.name, ports=len(todo),
                     changes=brought.written)

    def _tell(self, dpid: int, kept: _Switch) -> None:
        driver, why_not = kept.choice
        if self._switched_off:
            driver, why_not, kept.shaped = None, "queues are switched off in pliantd's configuration", {}
        found = QueuesFound(
            dpid=dpid, driver=driver.name if driver else "", why_not=why_not, faults=Map(kept.faults),
            shaped=Map(kept.shaped))
        new = {port_no: text for port_no, text in kept.faults.items()
               if kept.told is None or kept.told.faults.get(port_no) != text}
        for port_no, text in sorted(new.items()):
            log.warning("queues_not_as_asked", port=str(EndPoint(dpid, port_no)), why=text)
        kept.told = found
        self._report(found)

    def _again(self, dpid: int) -> None:
        """Try once more what failed."""
        kept = self._switches.get(dpid)
        if kept is not None:
            kept.dirty.update(kept.faults)
            self._changed()

    def _check(self) -> None:
        """Have the next switch looked at, whether all is right there."""
        dpids = sorted(self._switches)
        wait_s = self._check_period_s / max(1, len(dpids))
        if dpids:
            self._checked = (self._checked + 1) % len(dpids)
            kept = self._switches[dpids[self._checked]]
            kept.dirty.update(kept.wanted)
            kept.is_chosen = False
            wait_s = max(wait_s, kept.took_s / CHECK_SHARE)
            self._changed()
        self._loop.call_later(wait_s, self._check)

    async def _count(self, at: EndPoint) -> Mapping[int, QueueCount]:
        kept = self._switches.get(at.dpid)
        port = kept.ports.get(at.port_no) if kept else None
        if kept is None or port is None or kept.choice.driver is None or at.port_no not in kept.wanted:
            return {}
        counted = await kept.choice.driver.count(at.dpid, port)
        if not counted and kept.is_connected and at.port_no not in kept.faults:
            self._mark(at)  # somebody removed them, and with them maybe the only thing that holds a ceiling
        return counted
