"""A fragment while it is being written: what every compile function calls, so that each reads like the datasheet.

Knows the bytes of flows and that a switch may have no meters.  Refuses to know what any flow is for.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.fabric.graph import SwitchFeatures
from controller.openflow import actions, instructions
from controller.openflow.entries import GROUP_ALL, GROUP_FAST_FAILOVER, Bucket, Flow, Group, Meter, MeterUnit, flow
from controller.pipeline import tables
from controller.pipeline.tables import Kind, Priority, Reason, Table
from controller.pipeline.world import Fragment


def goto(table: Table) -> bytes:
    return instructions.goto(table.number)


def resubmit(table: Table) -> bytes:
    return actions.resubmit(table.number)


def apply(*parts: bytes) -> bytes:
    return instructions.apply(*parts)


class Draft:
    """Collects the flows, groups and meters of one fragment, all under one kind of cookie."""

    def __init__(self, kind: Kind, features: SwitchFeatures) -> None:
        self._kind = kind
        self._features = features
        self._flows: list[Flow] = []
        self._groups: list[Group] = []
        self._meters: list[Meter] = []

    def flow(self, table: Table, priority: Priority, match: bytes, *parts: bytes) -> None:
        """Instructions may come in any order, empty ones vanish; none at all drops without a counter of its own."""
        self._flows.append(flow(self._kind, table.number, priority, match, instructions.join(*parts)))

    def drop(self, table: Table, priority: Priority, match: bytes, reason: Reason) -> None:
        self.flow(table, priority, match, apply(tables.REASON.load(reason)), goto(tables.DROP))

    def copy_to_all(self, group_id: int, buckets: Iterable[tuple[bytes, ...]]) -> None:
        """A group that hands a copy of the frame to each bucket."""
        self._groups.append(Group(group_id, GROUP_ALL, tuple(Bucket(b"".join(parts)) for parts in buckets)))

    def first_alive(self, group_id: int, buckets: tuple[Bucket, ...]) -> bytes:
        """A group that hands the frame to the first bucket whose watched port is alive; the action that uses it."""
        self._groups.append(Group(group_id, GROUP_FAST_FAILOVER, buckets))
        return actions.group(group_id)

    @property
    def has_groups(self) -> bool:
        return self._features.max_groups > 0

    def meter(self, meter_id: int, rate: int, burst: int, unit: MeterUnit) -> int | None:
        """The meter's id; None where the switch cannot have it, and frames pass unmetered."""
        if not self._features.max_meters or (unit == "pktps" and not self._features.meter_pktps):
            return None
        self._meters.append(Meter(meter_id, rate, burst, unit))
        return meter_id

    def has_meter(self, meter_id: int) -> bool:
        return any(meter.id == meter_id for meter in self._meters)

    def fragment(self) -> Fragment:
        return Fragment(tuple(self._flows), tuple(self._groups), tuple(self._meters))


def through(meter_id: int | None) -> bytes:
    """The instruction to pass a meter, if there is one."""
    return b"" if meter_id is None else instructions.meter(meter_id)
