"""Reads back what a switch holds of ours.

Each reply is decoded as it arrives, so that a dump of 20,000 flows never holds up the loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from controller.fabric.ports import SwitchFeatures
from controller.openflow import decode
from controller.openflow import messages as openflow
from controller.openflow.entries import COOKIE_OWNER, COOKIE_OWNER_MASK, Flow, Group, Meter
from controller.reconcile.datapath import Disconnected, ReadBack
from controller.southbound.transactions import Refused, promise


def _any(_: int) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Which group and meter ids are ours.  (Flows say it themselves, in their cookie.)"""

    group: Callable[[int], bool] = _any
    meter: Callable[[int], bool] = _any


class Readable(Protocol):
    """The connection, as far as reading back needs it."""

    features: SwitchFeatures

    def ask(self, frame: bytes, read: Callable[[bytes], Sequence[Any]]) -> Future[list[Any]]: ...

    def disconnect(self, reason: str) -> None: ...


def read_back(switch: Readable, ownership: Ownership, parts: int) -> Future[ReadBack]:
    """Ask for flows, groups and meters, one after the other on the wire; fails with Disconnected only.

    The flows are asked for in about so many parts, each when the one before is here: whatever is written meanwhile
    waits for one part, not for all.  A part is what the low bits of the cookie say, the fingerprint's; every flow is in
    one.  A switch that refuses to tell its flows cannot be kept in line: it is disconnected.
    """
    bits = (parts - 1).bit_length()
    cookies = [COOKIE_OWNER | low for low in range(1 << bits)]
    mask = COOKIE_OWNER_MASK | (1 << bits) - 1

    def flows(reply: bytes) -> list[Flow]:
        return [stat.flow for stat in decode.flow_stats([reply])]

    def groups(reply: bytes) -> list[Group]:
        return [group for group in decode.group_desc([reply]) if ownership.group(group.id)]

    def meters(reply: bytes) -> list[Meter]:
        return [meter for meter in decode.meter_config([reply]) if ownership.meter(meter.id)]

    questions: deque[tuple[bytes, Callable[[bytes], Sequence[Any]], list[Any]]] = deque()
    held: tuple[list[Flow], list[Group], list[Meter]] = [], [], []
    questions.extend((openflow.flow_stats_request(cookie=each, cookie_mask=mask), flows, held[0]) for each in cookies)
    if switch.features.max_groups > 0:
        questions.append((openflow.group_desc_request(), groups, held[1]))
    if switch.features.max_meters > 0:
        questions.append((openflow.meter_config_request(), meters, held[2]))
    promised: Future[ReadBack] = promise()

    def ask() -> None:
        if questions:
            frame, read, _ = questions[0]
            switch.ask(frame, read).add_done_callback(answered)
        else:
            promised.set_result(ReadBack(flows=tuple(held[0]), groups=tuple(held[1]), meters=tuple(held[2])))

    def answered(answer: Future[list[Any]]) -> None:
        failure = answer.exception()
        if failure is None:
            questions.popleft()[2].extend(answer.result())
            ask()
            return
        if isinstance(failure, Refused):
            switch.disconnect(f"it does not tell what it holds: {failure.text}")
        promised.set_exception(Disconnected(str(failure)))

    ask()
    return promised
