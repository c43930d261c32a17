"""The reconcile thread: the only one that owns the world.

    commits ──┐
    switches ─┤                                                    ┌─► mailbox of each touched switch (driver.py)
    punts ────┼─► inbox ─► note what happened ─► one engine step ──┼─► cache of what was observed (kept before any target)
    confirms ─┤            (all that is waiting)                   ├─► view that any thread may read
    ticks ────┘                                                    └─► waiters and watchers

Whatever arrives while a step runs is worked into the next one, so a burst costs one step and a lone change starts at once.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import structlog
from immutables import Map

from controller.fabric.discovery import Discovery
from controller.fabric.events import (
    Event,
    HostHeard,
    LinkSeen,
    PortObserved,
    PortRemoved,
    SwitchConnected,
    SwitchDisconnected,
    SwitchForgotten,
)
from controller.fabric.graph import Fabric
from controller.fabric.observed import Alarm, Change
from controller.fabric.ports import EndPoint, PortRole
from controller.intent.snapshot import Snapshot
from controller.model.errors import FailedPrecondition, NotFound
from controller.model.ids import format_dpid
from controller.model.network import Attachment
from controller.model.status import Status
from controller.openflow import actions, messages
from controller.reconcile.datapath import Datapath
from controller.reconcile.driver import Confirmed, Mailbox, drive
from controller.reconcile.engine import Engine, Step
from controller.reconcile.status import Ledger, View, Waiter, by_name

log = structlog.get_logger()

TICK_S = 0.1
LLDP_ETHERTYPE = b"\x88\xcc"


class Commit(Protocol):
    """What the loop reads of a commit of intent."""

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def changed(self) -> frozenset[str]: ...


class Keeper(Protocol):
    """Keeps what was observed and derived across restarts.  Both are called on the reconcile thread and return when it is durable."""

    def keep_fabric(self, fabric: Fabric, change: Change) -> None: ...

    def keep_labels(self, labels: Mapping[int, object]) -> None: ...


@dataclass(slots=True)
class _Connection:
    datapath: Datapath
    mailbox: Mailbox | None = None


class Loop:
    """Start it with what was stored; feed it from any thread; read `view()` from any thread."""

    def __init__(
        self, engine: Engine, discovery: Discovery, keeper: Keeper, *, io_loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float], status_changed: Callable[[frozenset[str]], None], drift_period_s: float,
    ) -> None:
        self._engine = engine
        self._discovery = discovery
        self._keeper = keeper
        self._io_loop = io_loop
        self._clock = clock
        self._status_changed = status_changed
        self._drift_period_s = drift_period_s
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="reconcile", daemon=True)
        self._connections: dict[int, _Connection] = {}
        self._refused: dict[int, dict[str, str]] = {}
        self._ledger = Ledger(engine.world.intent.generation)
        self._changed: Map[str, int] = Map()
        self._to_tell: set[str] = set()
        self._deadlines: list[tuple[float, int, Waiter]] = []
        self._next_tick = 0.0
        self._view = View(world=engine.world)

    # -- any thread ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Compile what was stored, then take events.  No switch is written to before it has connected and was read."""
        self._step()
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Take no more events; True if the thread ended in time.  The switches keep forwarding as they are."""
        self._inbox.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def committed(self, commit: Commit) -> None:
        self._inbox.put(lambda: self._engine.commit(commit.snapshot, commit.changed))

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

    def declare(self, event: Event) -> Future[Change]:
        """The operator says something about the fabric; done when it is kept."""
        done: Future[Change] = Future()
        self._inbox.put(lambda: self._on_declared(event, done))
        return done

    def forget(self, dpid: int) -> Future[Change]:
        """Remove a switch for good.  FailedPrecondition while it is connected, NotFound if it never was."""
        done: Future[Change] = Future()
        self._inbox.put(lambda: self._on_forget(dpid, done))
        return done

    def wait(self, generation: int, timeout_s: float) -> Waiter:
        """Completes with () when every switch that this generation touches confirmed it (and what followed from it).

        After `timeout_s` it completes with the switches that have not.  Never fails.
        """
        waiter = Waiter()
        deadline = self._clock() + timeout_s
        self._inbox.put(lambda: self._on_wait(generation, deadline, waiter))
        return waiter

    def view(self) -> View:
        return self._view

    def fabric(self) -> Fabric:
        return self._view.world.fabric

    def status(self, name: str) -> Status:
        return self._view.status(name)

    def floor(self) -> int:
        return self._view.floor

    def datapath(self, dpid: int) -> Datapath | None:
        """The live connection of a switch, if it has one."""
        connection = self._connections.get(dpid)
        return connection.datapath if connection else None

    def attachable(self, attachment: Attachment, port: str) -> str | None:
        """None, or why `port` cannot attach there: the wire is fabric's, or another port has it under its other spelling."""
        world = self._view.world
        switch = world.fabric.switches.get(attachment.dpid)
        found = switch.find_port(attachment.interface, attachment.port_no) if switch else None
        if found is None:
            return None
        at = EndPoint(attachment.dpid, found.port_no)
        if world.fabric.role(at) is PortRole.FABRIC:
            return "ATTACHMENT_IS_FABRIC"
        for spelling in (found.name, found.port_no):
            holder = world.intent.attachments.get((attachment.dpid, spelling))
            if holder is not None and holder != port:
                return "ATTACHMENT_IN_USE"
        return None

    # -- the reconcile thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._next_tick = self._clock()
        while True:
            try:
                first = self._inbox.get(timeout=max(0.0, self._next_tick - self._clock()))
            except queue.Empty:
                self._tick()
                continue
            if not self._handle_all(first):
                return
            self._step()
            if self._clock() >= self._next_tick:
                self._tick()

    def _handle_all(self, message: Callable[[], None] | None) -> bool:
        """Handle this message and all that wait behind it; False when told to stop."""
        while message is not None:
            try:
                message()
            except Exception:
                # One bad event must not stop the fabric; what it would have changed is looked at again by the next re-read.
                log.exception("event_failed")
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                return True
        return False

    def _step(self) -> None:
        epoch = self._ledger.epoch + 1
        try:
            step = self._engine.step(epoch)
        except Exception:
            log.exception("step_failed", generation=self._engine.world.intent.generation)
            self._engine.start_over()
            return
        self._keep(step)
        generation = self._engine.world.intent.generation
        names = frozenset(step.names)
        self._to_tell |= names
        if step.targets or names or generation != self._ledger.generation:
            self._ledger.advance(generation, step.targets, names, frozenset(self._connections))
            self._changed = self._changed.update(dict.fromkeys(names, self._ledger.epoch))
        self._hand_out(step)
        self._publish()

    def _keep(self, step: Step) -> None:
        """Before a switch may hold anything that follows from it: a restart must recognise what it finds."""
        for alarm in step.fabric.alarms:
            log.warning("fabric_alarm", reason=alarm.reason, at=str(alarm.at), message=alarm.message)
        self._keeper.keep_fabric(self._engine.world.fabric, step.fabric)
        if step.edges:
            self._keeper.keep_labels({edge: self._engine.labelling.versions.get(edge, ()) for edge in step.edges})

    def _hand_out(self, step: Step) -> None:
        for dpid, changes in step.targets.items():
            connection = self._connections.get(dpid)
            if connection and connection.mailbox:
                connection.mailbox.put(self._ledger.epoch, changes)
        for dpid, connection in self._connections.items():
            if connection.mailbox is None:
                connection.mailbox = Mailbox(self._io_loop)
                connection.mailbox.put(self._ledger.epoch, dict(self._engine.programs.get(dpid, Map())))
                self._drive(connection)

    def _drive(self, connection: _Connection) -> None:
        datapath, mailbox = connection.datapath, connection.mailbox
        assert mailbox is not None
        task = asyncio.run_coroutine_threadsafe(
            drive(datapath, mailbox, self._confirmed, drift_period_s=self._drift_period_s), self._io_loop)

        def ended(done: Future[None]) -> None:
            if not done.cancelled() and (error := done.exception()) is not None:
                log.error("session_failed", switch=format_dpid(datapath.dpid), exc_info=error)
                datapath.disconnect("its session failed")

        task.add_done_callback(ended)

    def _publish(self) -> None:
        world = self._engine.world
        self._view = View(
            world=world, unbound=self._engine.unbound, changed=self._changed, confirmed=self._ledger.confirmed,
            refused=by_name(self._refused), floor=self._ledger.floor(world.fabric.switches),
        )
        for waiter in self._ledger.close():
            waiter.set_result(())
        if self._to_tell:
            names, self._to_tell = frozenset(self._to_tell), set()
            self._status_changed(names)

    def _tick(self) -> None:
        now = self._clock()
        self._next_tick = now + TICK_S
        for deadline, generation, waiter in self._deadlines:
            if deadline <= now and not waiter.done():
                waiter.set_result(self._ledger.lagging(generation))
        self._deadlines = [item for item in self._deadlines if not item[2].done()]
        fabric = self._engine.world.fabric
        for at, frame in self._discovery.due(now, fabric):
            connection = self._connections.get(at.dpid)
            if connection:
                connection.datapath.send(messages.packet_out(frame, actions.output(at.port_no)))

    def _confirmed(self, confirmed: Confirmed) -> None:
        """Called on the I/O loop."""
        self._inbox.put(lambda: self._on_confirmed(confirmed))

    # -- what happened, on the reconcile thread -------------------------------------------------------------------------

    def _on_connected(self, datapath: Datapath) -> None:
        self._connections[datapath.dpid] = _Connection(datapath)
        self._engine.observe(SwitchConnected(dpid=datapath.dpid, features=datapath.features, ports=datapath.switch_ports()))
        log.info("switch_connected", switch=format_dpid(datapath.dpid), ports=len(datapath.switch_ports()))

    def _on_disconnected(self, datapath: Datapath) -> None:
        connection = self._connections.get(datapath.dpid)
        if connection is None or connection.datapath is not datapath:
            return
        del self._connections[datapath.dpid]
        self._engine.observe(SwitchDisconnected(dpid=datapath.dpid))
        log.info("switch_disconnected", switch=format_dpid(datapath.dpid))

    def _on_port(self, datapath: Datapath, port_no: int) -> None:
        if self.datapath(datapath.dpid) is not datapath:
            return
        port = datapath.switch_port(port_no)
        if port is None:
            self._engine.observe(PortRemoved(dpid=datapath.dpid, port_no=port_no))
        else:
            self._engine.observe(PortObserved(dpid=datapath.dpid, port=port))

    def _on_punt(self, at: EndPoint, frame: bytes) -> None:
        if frame[12:14] != LLDP_ETHERTYPE:
            # Punted before the port was known to be fabric, it may arrive after: then it says nothing.
            if self._engine.world.fabric.role(at) is PortRole.AUTO:
                self._engine.observe(HostHeard(at=at))
            return
        match self._discovery.received(self._clock(), at, frame):
            case LinkSeen() as seen:
                self._engine.observe(seen)
            case Alarm() as alarm:
                log.warning("fabric_alarm", reason=alarm.reason, at=str(alarm.at), message=alarm.message)

    def _on_declared(self, event: Event, done: Future[Change]) -> None:
        change = self._engine.observe(event)
        self._step()
        done.set_result(change)

    def _on_forget(self, dpid: int, done: Future[Change]) -> None:
        name = f"switches/{format_dpid(dpid)}"
        if dpid in self._connections:
            done.set_exception(FailedPrecondition(
                "SWITCH_CONNECTED", f"{name} is connected; stop it or point it elsewhere before it is forgotten", subject=name))
        elif dpid not in self._engine.world.fabric.switches:
            done.set_exception(NotFound("NOT_FOUND", f"{name} never connected to this controller", subject=name))
        else:
            self._ledger.forget(dpid)
            self._engine.labelling.forget(dpid)
            self._on_declared(SwitchForgotten(dpid=dpid), done)

    def _on_wait(self, generation: int, deadline: float, waiter: Waiter) -> None:
        if self._ledger.wait(generation, waiter):
            self._deadlines.append((deadline, generation, waiter))
        else:
            waiter.set_result(())

    def _on_confirmed(self, confirmed: Confirmed) -> None:
        dpid = confirmed.dpid
        if self.datapath(dpid) is not confirmed.datapath:
            return
        self._engine.confirm(dpid, confirmed.epoch, confirmed.refused)
        before = self._refused.pop(dpid, {})
        refused = {str(key.subject[0]): text for key, text in confirmed.refused.items() if key.subject}
        if refused:
            self._refused[dpid] = refused
        names = self._ledger.confirm(dpid, confirmed.epoch) | before.keys() | refused.keys()
        self._to_tell |= names
