"""The reconcile thread: the only one that owns the world.

    commits ──┐
    switches ─┤                                                    ┌─► cache of what was observed, first of all
    punts ────┼─► inbox ─► note what happened ─► one engine step ──┼─► mailbox of each touched switch (driver.py)
    confirms ─┤            (all that is waiting)                   ├─► view that any thread may read
    ticks ────┘                                                    └─► waiters and watchers

Whatever arrives while a step runs is worked into the next one: a burst costs one step, a lone change starts at once.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import structlog

from controller.fabric.discovery import Discovery
from controller.fabric.events import (
    Event,
    HostHeard,
    LinkLost,
    LinkSeen,
    PortObserved,
    PortRemoved,
    QueuesFound,
    SwitchConnected,
    SwitchDisconnected,
)
from controller.fabric.graph import Fabric
from controller.fabric.hearing import shows_host
from controller.fabric.holddown import HoldDown
from controller.fabric.labels import EdgeLabels
from controller.fabric.liveness import is_refuted, lost_with
from controller.fabric.observed import Alarm
from controller.fabric.ports import EndPoint, PortRole
from controller.intent.snapshot import Snapshot
from controller.model.errors import PliantError
from controller.model.network import Attachment
from controller.model.status import Status
from controller.pipeline.world import Share
from controller.reconcile.datapath import Datapath
from controller.reconcile.deadlines import Deadlines, new_waiter, release
from controller.reconcile.driver import Confirmed, Mailbox, Readings, deliver, drive, slow
from controller.reconcile.granting import Regrant
from controller.reconcile.keeper import Keeper
from controller.reconcile.metrics import APPLY_SECONDS, COMPILE_SECONDS
from controller.reconcile.opening import Offers
from controller.reconcile.probing import Probing
from controller.reconcile.reconciler import Commit, Outcome, Reconciler
from controller.reconcile.reports import report_alarm, report_regrant, report_step
from controller.reconcile.status import View, Waiter

log = structlog.get_logger()

TICK_S = 0.1
AGE_S = 0.5
"""Longer than any frame takes to cross the fabric: a label that nobody writes any more goes after one to two."""
STEP_RETRY_S = 1.0
LLDP_ETHERTYPE = b"\x88\xcc"


@dataclass(slots=True)
class _Connection:
    datapath: Datapath
    mailbox: Mailbox | None = None


class Loop:
    """Load it with what was stored, start it, feed it from any thread; read `view()` from any thread."""

    def __init__(
        self, fabric: Fabric, labels: Mapping[int, EdgeLabels], keeper: Keeper, *, discovery: Discovery,
        holddown: HoldDown, io_loop: asyncio.AbstractEventLoop, clock: Callable[[], float],
        wall_clock: Callable[[], float], drift_period_s: float,
    ) -> None:
        self._reconciler = Reconciler(fabric, labels, keeper)
        self.journal = self._reconciler.journal
        self._holddown = holddown
        self._io_loop = io_loop
        self._clock = clock
        self._wall_clock = wall_clock
        self._drift_period_s = drift_period_s
        self._readings = Readings()
        self._status_changed: Callable[[frozenset[str]], None] = lambda names: None
        self._fabric_changed: Callable[[], None] = lambda: None
        self._view_changed: Callable[[], None] = lambda: None
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._probing = Probing(discovery, self._inbox.put)
        self._thread = threading.Thread(target=self._run, name="reconcile", daemon=True)
        self._connections: dict[int, _Connection] = {}
        self._confirmations: list[Confirmed] = []
        """belongs to the I/O loop"""
        self._handed_out_s: dict[int, float] = {}
        """epoch -> when it went to the switches, until all of them confirmed it"""
        self._dead: frozenset[EndPoint] = frozenset()
        self._deadlines = Deadlines()
        self._next_tick = self._next_age = 0.0
        self._next_try: float | None = None
        """when to repeat a step that failed"""

    def load(self, intent: Snapshot, status_changed: Callable[[frozenset[str]], None],
             fabric_changed: Callable[[], None] = lambda: None,
             view_changed: Callable[[], None] = lambda: None) -> None:
        """Compile what was stored.  Once, before `start`; `status_changed` is called with names.  None may block."""
        self._status_changed, self._fabric_changed, self._view_changed = status_changed, fabric_changed, view_changed
        self._reconciler.load(intent, self._wall_clock())
        self._step()

    # -- any thread

    def start(self) -> None:
        """Take events.  No switch is written to before it has connected and was read."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Take no more events; True if the thread ended in time.  The switches keep forwarding as they are."""
        self._inbox.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def committed(self, commit: Commit) -> None:
        self._inbox.put(lambda: self._reconciler.commit(commit.snapshot, commit.changed))

    def connected(self, datapath: Datapath) -> None:
        self._inbox.put(lambda: self._on_connected(datapath))

    def disconnected(self, datapath: Datapath) -> None:
        self._inbox.put(lambda: self._on_disconnected(datapath))

    def port_changed(self, datapath: Datapath, port_no: int) -> None:
        """The switch reported that this port came, changed or went."""
        self._inbox.put(lambda: self._on_port(datapath, port_no))

    def punted(self, dpid: int, port_no: int, frame: bytes) -> None:
        """A frame that the program sends to the controller came in on a switch port."""
        self._inbox.put(lambda: self._on_punt(EndPoint(dpid, port_no), frame))

    def wires_dead(self, dead: frozenset[EndPoint]) -> None:
        """All switch ports that are up, but that nothing comes through any more, as a switch knows by itself."""
        self._inbox.put(lambda: self._on_wires_dead(dead))

    def queues_found(self, found: QueuesFound) -> None:
        """How guarantees are enforced on a switch, as of now."""
        self._inbox.put(lambda: self._observe(found))

    def declare(self, events: Sequence[Event], *, force: bool = True) -> Future[None]:
        """The operator says something about the fabric; done when it is kept.  WOULD_PARTITION unless `force`."""
        done: Future[None] = Future()
        self._inbox.put(lambda: self._on_declared(events, done, force=force))
        return done

    def forget(self, dpid: int) -> Future[None]:
        """Remove a switch for good.  FailedPrecondition while it is connected, NotFound if it never was."""
        done: Future[None] = Future()
        self._inbox.put(lambda: self._on_forget(dpid, done))
        return done

    def wait(self, generation: int, timeout_s: float) -> Waiter:
        """Completes with () when every switch that this generation touches confirmed it (and what followed from it).

        After `timeout_s` it completes with the switches that have not.  Never fails.
        """
        waiter, deadline = new_waiter(), self._clock() + timeout_s
        self._inbox.put(lambda: self._on_wait(generation, deadline, waiter))
        return waiter

    def set_shares(self, changed: Mapping[tuple[int, str], Share | None], timeout_s: float) -> Waiter:
        """Other parts of the ceilings of (dpid, tenant or network); None: the whole.  Completes as `wait` does."""
        waiter, deadline = new_waiter(), self._clock() + timeout_s
        self._inbox.put(lambda: self._on_shares(changed, deadline, waiter))
        return waiter

    def set_offers(self, offers: Offers) -> None:
        """What tenants and networks send where, also ahead of `load`.  Changes nothing by itself."""
        self._reconciler.engine.offers = offers

    def view(self) -> View:
        return self._reconciler.view

    def fabric(self) -> Fabric:
        return self._reconciler.view.world.fabric

    def status(self, name: str) -> Status:
        return self._reconciler.view.status(name)

    def floor(self) -> int:
        return self._reconciler.view.floor

    def datapath(self, dpid: int) -> Datapath | None:
        """The live connection of a switch, if it has one."""
        connection = self._connections.get(dpid)
        return connection.datapath if connection else None

    def datapaths(self) -> dict[int, Datapath]:
        """All live connections."""
        return {dpid: connection.datapath for dpid, connection in self._connections.copy().items()}

    def attachable(self, attachment: Attachment, port: str) -> str | None:
        return self._reconciler.view.attachable(attachment, port)

    # -- the reconcile thread

    def _run(self) -> None:
        self._next_tick = self._clock()
        while True:
            try:
                first = self._inbox.get(timeout=max(0.0, self._next_tick - self._clock()))
            except queue.Empty:
                self._safely(self._tick)
                continue
            if not self._handle_all(first):
                return
            if self._reconciler.is_due:
                self._safely(self._step)  # whoever is told of it may fail, too
            if self._clock() >= self._next_tick:
                self._safely(self._tick)

    def _safely(self, deed: Callable[[], object]) -> None:  # one bad event must not stop the fabric
        try:
            deed()
        except Exception:
            log.exception("event_failed")

    def _handle_all(self, message: Callable[[], None] | None) -> bool:
        """Handle this message and all that wait behind it; False when told to stop."""
        while message is not None:
            self._safely(message)
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                return True
        return False

    def _step(self) -> Exception | None:
        """Work in what happened, and let everybody know; the error if that failed and will be tried again."""
        before = self.fabric()
        try:
            with COMPILE_SECONDS.time():
                outcome = self._reconciler.step(self._connections.keys())
        except Exception as error:
            log.exception("step_failed", generation=self._reconciler.view.world.intent.generation)
            self._next_try = self._clock() + STEP_RETRY_S
            return error
        self._next_try = None
        report_step(outcome)
        self._hand_out(outcome)
        regrant = self._reconciler.regrant()
        report_regrant(regrant)
        self._release(outcome, regrant)
        if self.fabric() is not before:
            self._fabric_changed()
        self._view_changed()
        if outcome.not_kept is not None:
            log.error("observed_not_kept", error=str(outcome.not_kept))
            self._next_try = self._clock() + STEP_RETRY_S
        return outcome.not_kept

    def _hand_out(self, outcome: Outcome) -> None:
        if outcome.targets:
            self._handed_out_s[outcome.epoch] = self._clock()
        letters = [(to.mailbox, changes) for dpid, changes in outcome.targets.items()
                   if (to := self._connections.get(dpid)) is not None and to.mailbox is not None]
        if letters:
            self._io_loop.call_soon_threadsafe(deliver, outcome.epoch, letters)
        for dpid, connection in self._connections.items():
            if connection.mailbox is None:
                connection.mailbox = mailbox = Mailbox()
                mailbox.put(outcome.epoch, self._reconciler.program(dpid))
                asyncio.run_coroutine_threadsafe(
                    drive(connection.datapath, mailbox, self._confirmed, drift_period_s=self._drift_period_s,
                          readings=self._readings), self._io_loop)

    def _release(self, outcome: Outcome, regrant: Regrant) -> None:
        for record in outcome.closed:
            if (handed_out_s := self._handed_out_s.pop(record.epoch, None)) is not None:
                APPLY_SECONDS.observe(self._clock() - handed_out_s)
        release(outcome.released)
        if names := outcome.names | regrant.names:
            self._status_changed(names)

    def _tick(self) -> None:
        now = self._clock()
        self._next_tick = now + TICK_S
        self._deadlines.pass_time(now)
        self._reconciler.pass_time(self._wall_clock())
        fabric = self._reconciler.fabric
        is_slow = slow({dpid: connection.mailbox for dpid, connection in self._connections.items()}, now)
        self._lose(self._probing.tick(now, fabric, self.datapaths(), is_slow), "probes unanswered")
        if self._next_age <= now:
            self._next_age = now + AGE_S
            self._reconciler.age()
        is_retry = self._next_try is not None and self._next_try <= now
        if self._reconciler.is_due or self._reconciler.is_stale or is_retry:
            self._step()

    def _confirmed(self, confirmed: Confirmed) -> None:
        """Called on the I/O loop, which hands over together what switches say at about the same time."""
        self._confirmations.append(confirmed)
        if len(self._confirmations) == 1:
            self._io_loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        confirmations, self._confirmations = self._confirmations, []
        self._inbox.put(lambda: self._on_confirmed(confirmations))

    # -- what happened, on the reconcile thread

    def _observe(self, event: Event) -> None:
        before = self._reconciler.fabric
        change = self._reconciler.observe(event)
        self._holddown.follow(self._clock(), before, self._reconciler.fabric, change)

    def _on_connected(self, datapath: Datapath) -> None:
        self._connections[datapath.dpid] = _Connection(datapath)
        self._reconciler.is_due = True  # it wants its program, even if nothing is new about it
        ports = datapath.switch_ports()
        self._observe(SwitchConnected(dpid=datapath.dpid, features=datapath.features, ports=ports))

    def _on_disconnected(self, datapath: Datapath) -> None:
        if self.datapath(datapath.dpid) is datapath:
            del self._connections[datapath.dpid]
            self._observe(SwitchDisconnected(dpid=datapath.dpid))

    def _on_port(self, datapath: Datapath, port_no: int) -> None:
        if self.datapath(datapath.dpid) is not datapath:
            return
        port = datapath.switch_port(port_no)
        if port is None:
            self._observe(PortRemoved(dpid=datapath.dpid, port_no=port_no))
        else:
            self._observe(PortObserved(dpid=datapath.dpid, port=port))

    def _on_punt(self, at: EndPoint, frame: bytes) -> None:
        if frame[12:14] != LLDP_ETHERTYPE:
            # Punted before the port was known to be fabric, it may arrive after: then it says nothing.
            if self._reconciler.fabric.role(at) is PortRole.AUTO and shows_host(frame):
                self._observe(HostHeard(at=at))
            return
        match self._probing.received(self._clock(), at, frame):
            case LinkSeen() as seen if not is_refuted(self._reconciler.fabric, seen, self._dead):
                if self._holddown.admits(self._clock(), seen, self._reconciler.fabric):
                    self._observe(seen)
            case Alarm() as alarm:
                report_alarm(alarm)

    def _on_wires_dead(self, dead: frozenset[EndPoint]) -> None:
        self._dead = dead
        self._lose(lost_with(self._reconciler.fabric, dead), "dead wire")

    def _lose(self, lost: Sequence[LinkLost], cause: str) -> None:
        for event in lost:
            log.warning("link_lost", link=str(self._reconciler.fabric.links[event.src]), cause=cause)
            self._observe(event)

    def _on_declared(self, events: Sequence[Event], done: Future[None], *, force: bool) -> None:
        refusal = None
        if not force:
            self._step()  # for what was asked for before may be among what would be cut off
            refusal = self._reconciler.refusal(events)
        for event in events if refusal is None else ():
            self._observe(event)
        self._finish(done, refusal)

    def _on_forget(self, dpid: int, done: Future[None]) -> None:
        refusal = self._reconciler.refusal_to_forget(dpid, self._connections.keys())
        if refusal is None:
            self._reconciler.forget(dpid)
        self._finish(done, refusal)

    def _finish(self, done: Future[None], refusal: PliantError | None) -> None:
        """Tell who declared something whether it is refused, or kept."""
        error = refusal or self._step()
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def _on_wait(self, generation: int, deadline: float, waiter: Waiter) -> None:
        if self._reconciler.ledger.wait(generation, waiter):
            self._deadlines.add(deadline, waiter, lambda: self._reconciler.ledger.lagging(generation))
        else:
            waiter.set_result(())

    def _on_shares(self, changed: Mapping[tuple[int, str], Share | None], deadline: float, waiter: Waiter) -> None:
        self._reconciler.set_shares(changed, waiter)
        self._deadlines.add(deadline, waiter, lambda: self._reconciler.ledger.lagging_for(waiter))

    def _on_confirmed(self, confirmations: Sequence[Confirmed]) -> None:
        for each in confirmations:
            if self.datapath(each.dpid) is each.datapath:
                self._reconciler.confirm(each.dpid, each.epoch, each.refused, clean=each.clean)
