"""Reads back what a switch holds of ours.

Each reply is decoded as it arrives, so that a dump of 20,000 flows never holds up the loop.
"""

from __future__ import annotations

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


def read_back(switch: Readable, ownership: Ownership) -> Future[ReadBack]:
    """Ask for flows, groups and meters, one after the other on the wire; fails with Disconnected only.

    A switch that refuses to tell its flows cannot be kept in line: it is disconnected.
    """

    def flows(reply: bytes) -> list[Flow]:
        return [stat.flow for stat in decode.flow_stats([reply])]

    def groups(reply: bytes) -> list[Group]:
        return [group for group in decode.group_desc([reply]) if ownership.group(group.id)]

    def meters(reply: bytes) -> list[Meter]:
        return [meter for meter in decode.meter_config([reply]) if ownership.meter(meter.id)]

    has_groups, has_meters = switch.features.max_groups > 0, switch.features.max_meters > 0
    asked = [switch.ask(openflow.flow_stats_request(cookie=COOKIE_OWNER, cookie_mask=COOKIE_OWNER_MASK), flows)]
    if has_groups:
        asked.append(switch.ask(openflow.group_desc_request(), groups))
    if has_meters:
        asked.append(switch.ask(openflow.meter_config_request(), meters))
    promised: Future[ReadBack] = promise()

    def answered(_: Future[list[Any]]) -> None:
        if promised.done() or not all(future.done() for future in asked):
            return
        failure = next((error for future in asked if (error := future.exception()) is not None), None)
        if failure is None:
            parts = [tuple(future.result()) for future in asked]
            held_groups = parts[1] if has_groups else ()
            held_meters = parts[-1] if has_meters else ()
            promised.set_result(ReadBack(flows=parts[0], groups=held_groups, meters=held_meters))
            return
        if isinstance(failure, Refused):
            switch.disconnect(f"it does not tell what it holds: {failure.text}")
        promised.set_exception(Disconnected(str(failure)))

    for future in asked:
        future.add_done_callback(answered)
    return promised
