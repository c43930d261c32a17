"""Performs one switch session: the only task that touches it, on the I/O loop, from connection to disconnection.

    reconcile thread --deliver--> Mailbox --take--> drive() --submit--> switch
                     <-------------- Confirmed ---------------'

One task per connected switch, never a thread.  The mailbox holds one merged change: the newest wins, and nothing queues
up behind a slow switch.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from controller.pipeline.world import Fragment, FragmentKey
from controller.reconcile.datapath import Datapath, Disconnected, ReadBack
from controller.reconcile.session import Session

log = structlog.get_logger()

Changes = Mapping[FragmentKey, Fragment | None]

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0
ERRORS_LOGGED = 5
PART_FLOWS = 1_000
"""When a switch is read for drift, a change waits for about so many flows to come in: some 20 ms."""
READINGS_SHARE = 0.05
"""How much of the time drift readings may take, all together."""
SLOW_S = 0.5
"""Who answers a barrier no sooner than this is slow to send and hand over probes, too."""
TURN_S = 0.5
"""A switch whose turn it is not asks again after so long."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """A switch holds its target of `epoch`, as its barrier says, except for what it refused.

    `clean`: and nothing else.
    """

    dpid: int
    datapath: Datapath
    epoch: int
    refused: Mapping[FragmentKey, str] = field(default_factory=dict)
    clean: bool = True
    frames: int = 0


class Mailbox:
    """The one pending change of a switch's target.  Belongs to the I/O loop, so it needs no lock."""

    asked_s: float | None = None
    """since when the switch owes an answer, by the I/O loop's clock; any thread may look"""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._changes: dict[FragmentKey, Fragment | None] = {}
        self._rung = asyncio.Event()

    def put(self, epoch: int, changes: Changes) -> None:
        """Merge a change in; a later value for the same fragment replaces the earlier one."""
        self._epoch = epoch
        self._changes.update(changes)
        self.ring()

    def ring(self) -> None:
        """Wake whoever waits."""
        self._rung.set()

    def take(self) -> tuple[int, dict[FragmentKey, Fragment | None]] | None:
        """What was put since the last call."""
        self._rung.clear()
        if self._epoch is None:
            return None
        taken = self._epoch, self._changes
        self._epoch, self._changes = None, {}
        return taken

    async def wait(self, timeout_s: float) -> None:
        """Return when something was put or it was rung since the last `take`, or after `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return


def slow(mailboxes: Mapping[int, Mailbox | None], now: float) -> frozenset[int]:
    """The switches (dpid) that owe an answer for long."""
    asked = {dpid: None if mailbox is None else mailbox.asked_s for dpid, mailbox in mailboxes.items()}
    return frozenset(dpid for dpid, asked_s in asked.items() if asked_s is not None and now - asked_s > SLOW_S)


def deliver(epoch: int, letters: Sequence[tuple[Mailbox, Changes]]) -> None:
    """On the I/O loop.  One call for all switches of a step: to wake the loop for each costs more than the delivery."""
    for mailbox, changes in letters:
        mailbox.put(epoch, changes)


class Readings:
    """Lets one switch after the other be read for drift, so that all readings together take a share of the time only.

    To read 25,000 flows takes half a second of work.  Belongs to the I/O loop.
    """

    def __init__(self) -> None:
        self._began_s = self._next_s = 0.0

    def begin(self, now_s: float) -> bool:
        """Whether one may begin now; if so, `end` must follow."""
        if now_s < self._next_s:
            return False
        self._began_s, self._next_s = now_s, math.inf
        return True

    def end(self, now_s: float) -> None:
        self._next_s = now_s + (now_s - self._began_s) * (1 / READINGS_SHARE - 1)


async def drive(
    datapath: Datapath, mailbox: Mailbox, report: Callable[[Confirmed], None], *, drift_period_s: float,
    readings: Readings,
) -> None:
    """Read the switch, bring it to its target, keep it there; returns when the connection is gone.

    The mailbox must hold the whole target before this starts.  Nothing is written before the switch was read.  When it
    is read again, for drift, changes go on.
    """
    session = Session(datapath.dpid)
    clock = asyncio.get_running_loop().time
    retry_s = 0.0
    first = True
    reading: Future[ReadBack] | None = None
    try:
        session.read(await _answer(datapath.read_back()))
        # Each at its own time within the period: a whole fabric read at once would hold up every change.
        next_read = clock() + drift_period_s * _phase(datapath.dpid)
        while True:
            taken = mailbox.take()
            if taken is not None:
                session.retarget(*taken)
                retry_s = 0.0
            if reading is not None and reading.done():
                drifted = session.read(reading.result())
                reading, next_read = None, clock() + drift_period_s
                readings.end(clock())
                if drifted:
                    log.warning("drift_found", switch=f"{datapath.dpid:016x}", entries=drifted)
            elif reading is None and clock() >= next_read:
                if readings.begin(clock()):
                    session.begin_read()
                    reading = datapath.read_back(1 + session.flow_count // PART_FLOWS)
                    reading.add_done_callback(lambda _: mailbox.ring())
                else:
                    next_read = clock() + TURN_S
            frames = await _bring_in_line(session, datapath, mailbox)
            if first and session.in_sync:
                first = False
                log.info("switch_in_sync", switch=f"{datapath.dpid:016x}", flows=session.flow_count, frames=frames)
            if taken is not None or frames:
                report(Confirmed(dpid=datapath.dpid, datapath=datapath, epoch=session.target_epoch,
                                 refused=dict(session.refused), clean=session.is_clean, frames=frames))
            wait_s = next_read - clock() if reading is None else LAST_RETRY_S
            if not session.in_sync:
                retry_s = min(max(FIRST_RETRY_S, retry_s * 2), LAST_RETRY_S)
                wait_s = min(wait_s, retry_s)
            await mailbox.wait(max(0.0, wait_s))
    except Disconnected:
        log.info("session_ended", switch=f"{datapath.dpid:016x}")
    except Exception:
        log.exception("session_failed", switch=f"{datapath.dpid:016x}")
        datapath.disconnect("its session failed")  # it comes back and is read anew
    finally:
        if reading is not None:
            readings.end(clock())


def _phase(dpid: int) -> float:
    """A number from 0 to 1 that is far from its neighbours'."""
    return (dpid * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) / 2**64


async def _answer(future: Future[T]) -> T:
    """As asyncio.wrap_future, for a future that is completed on this loop: no need to wake it through a socket."""
    answered = asyncio.get_running_loop().create_future()

    def wake(_: Future[T]) -> None:
        if not answered.done():
            answered.set_result(None)

    future.add_done_callback(wake)
    await answered
    return future.result()


async def _bring_in_line(session: Session, datapath: Datapath, mailbox: Mailbox) -> int:
    """Send what differs, step by step, each closed by a barrier; returns the number of frames sent."""
    clock = asyncio.get_running_loop().time
    frames = 0
    session.clear_refusals()
    for step in session.steps():
        frames += len(step.frames)
        mailbox.asked_s = clock()
        errors = await _answer(datapath.submit(step.frames))
        mailbox.asked_s = None
        for error in errors[:ERRORS_LOGGED]:
            what = str(step.marks[error.index].key)
            log.error("frame_refused", switch=f"{datapath.dpid:016x}", what=what, error=error.text)
        if len(errors) > ERRORS_LOGGED:
            log.error("frames_refused", switch=f"{datapath.dpid:016x}", count=len(errors), shown=ERRORS_LOGGED)
        session.settle(step, errors)
    return frames
