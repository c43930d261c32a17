"""Performs one switch session: the only task that touches it, on the I/O loop, from connection to disconnection.

    reconcile thread --deliver--> Mailbox --take--> drive() --submit--> switch
                     <-------------- Confirmed ---------------'

One task per connected switch, never a thread.  The mailbox holds one merged change: the newest wins, and nothing queues
up behind a slow switch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from controller.pipeline.world import Fragment, FragmentKey
from controller.reconcile.datapath import Datapath, Disconnected
from controller.reconcile.session import Session

log = structlog.get_logger()

Changes = Mapping[FragmentKey, Fragment | None]

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0
ERRORS_LOGGED = 5


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

    def __init__(self) -> None:
        self._epoch = 0
        self._changes: dict[FragmentKey, Fragment | None] = {}
        self._full = asyncio.Event()

    def put(self, epoch: int, changes: Changes) -> None:
        """Merge a change in; a later value for the same fragment replaces the earlier one."""
        self._epoch = epoch
        self._changes.update(changes)
        self._full.set()

    def take(self) -> tuple[int, dict[FragmentKey, Fragment | None]] | None:
        if not self._full.is_set():
            return None
        taken = self._epoch, self._changes
        self._changes = {}
        self._full.clear()
        return taken

    async def wait(self, timeout_s: float) -> None:
        """Return when something was put, or after `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._full.wait()
        except TimeoutError:
            return


def deliver(epoch: int, letters: Sequence[tuple[Mailbox, Changes]]) -> None:
    """On the I/O loop.  One call for all switches of a step: to wake the loop for each costs more than the delivery."""
    for mailbox, changes in letters:
        mailbox.put(epoch, changes)


async def drive(
    datapath: Datapath, mailbox: Mailbox, report: Callable[[Confirmed], None], *, drift_period_s: float,
) -> None:
    """Read the switch, bring it to its target, keep it there; returns when the connection is gone.

    The mailbox must hold the whole target before this starts.  Nothing is written before the switch was read.
    """
    session = Session(datapath.dpid)
    clock = asyncio.get_running_loop().time
    retry_s = 0.0
    first = True
    try:
        session.read(await asyncio.wrap_future(datapath.read_back()))
        # Each at its own time within the period: a whole fabric read at once would hold up every change.
        next_read = clock() + drift_period_s * _phase(datapath.dpid)
        while True:
            taken = mailbox.take()
            if taken is not None:
                session.retarget(*taken)
                retry_s = 0.0
            if clock() >= next_read:
                drifted = session.read(await asyncio.wrap_future(datapath.read_back()))
                next_read = clock() + drift_period_s
                if drifted:
                    log.warning("drift_found", switch=f"{datapath.dpid:016x}", entries=drifted)
            frames = await _bring_in_line(session, datapath)
            if first and session.in_sync:
                first = False
                log.info("switch_in_sync", switch=f"{datapath.dpid:016x}", flows=session.flow_count, frames=frames)
            if taken is not None or frames:
                report(Confirmed(dpid=datapath.dpid, datapath=datapath, epoch=session.target_epoch,
                                 refused=dict(session.refused), clean=session.is_clean, frames=frames))
            wait_s = next_read - clock()
            if not session.in_sync:
                retry_s = min(max(FIRST_RETRY_S, retry_s * 2), LAST_RETRY_S)
                wait_s = min(wait_s, retry_s)
            await mailbox.wait(max(0.0, wait_s))
    except Disconnected:
        log.info("session_ended", switch=f"{datapath.dpid:016x}")


def _phase(dpid: int) -> float:
    """A number from 0 to 1 that is far from its neighbours'."""
    return (dpid * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) / 2**64


async def _bring_in_line(session: Session, datapath: Datapath) -> int:
    """Send what differs, step by step, each closed by a barrier; returns the number of frames sent."""
    frames = 0
    session.clear_refusals()
    for step in session.steps():
        frames += len(step.frames)
        errors = await asyncio.wrap_future(datapath.submit(step.frames))
        for error in errors[:ERRORS_LOGGED]:
            what = str(step.marks[error.index].key)
            log.error("frame_refused", switch=f"{datapath.dpid:016x}", what=what, error=error.text)
        if len(errors) > ERRORS_LOGGED:
            log.error("frames_refused", switch=f"{datapath.dpid:016x}", count=len(errors), shown=ERRORS_LOGGED)
        session.settle(step, errors)
    return frames
