"""One switch, from connection to disconnection: what it should hold, what it confirmed, what to send next.

A session is pure: it is told what was wanted, read and refused, and answers with steps.  driver.py performs them.

    retarget(...)  what changed in the target       read(...)    what the switch holds (on connect; to find drift)
    steps()        frames to send now, in order     settle(...)  what the switch said to one step
                                                   begin_read() from here on steps may overtake what is read

Nothing counts as installed before the barrier that closed its step.  A frame that was refused stays different, so the
next steps() offers it again; the driver waits longer and longer before it asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from controller.openflow.entries import Flow, FlowKey, Group, Meter
from controller.pipeline.world import Fragment, FragmentKey
from controller.reconcile.datapath import FrameError, ReadBack
from controller.reconcile.delta import Tracker
from controller.reconcile.plan import Mark, Step, plan


class Session:
    """The reconciliation of one connected switch.  Touched by one task only."""

    def __init__(self, dpid: int) -> None:
        self.dpid = dpid
        self.target_epoch = 0
        self.refused: dict[FragmentKey, str] = {}
        """fragment -> what the switch said to a part of it, as of the last attempt"""
        self._fragments: dict[FragmentKey, Fragment] = {}
        self._owners: dict[tuple[str, FlowKey | int], FragmentKey] = {}
        self._flows: Tracker[FlowKey, Flow] = Tracker()
        self._groups: Tracker[int, Group] = Tracker()
        self._meters: Tracker[int, Meter] = Tracker()

    @property
    def in_sync(self) -> bool:
        return self._flows.in_sync and self._groups.in_sync and self._meters.in_sync

    @property
    def is_clean(self) -> bool:
        """The switch holds nothing that is not wanted: no flow of an object that is gone, none that changed since."""
        return self._flows.is_clean and self._groups.is_clean and self._meters.is_clean

    @property
    def flow_count(self) -> int:
        return len(self._flows.installed)

    def retarget(self, epoch: int, changes: Mapping[FragmentKey, Fragment | None]) -> None:
        """The target as of `epoch` differs from the last one by these fragments (None: gone)."""
        self.target_epoch = epoch
        # All that goes first, then all that comes: an entry may move from one fragment to another in one change.
        for key in changes:
            gone = self._fragments.pop(key, None)
            self.refused.pop(key, None)
            if gone is not None:
                self._want(key, gone, present=False)
        for key, fragment in changes.items():
            if fragment is not None:
                self._fragments[key] = fragment
                self._want(key, fragment, present=True)

    def begin_read(self) -> None:
        """The switch is being read; what it confirms until `read` is newer than what it tells, or the same."""
        for tracker in (self._flows, self._groups, self._meters):
            tracker.begin_read()

    def read(self, back: ReadBack) -> int:
        """The switch was read; returns how many entries differ from what it had confirmed (drift)."""
        return (
            self._flows.found_all((flow.key, flow) for flow in back.flows)
            + self._groups.found_all((group.id, group) for group in back.groups)
            + self._meters.found_all((meter.id, meter) for meter in back.meters)
        )

    def steps(self) -> list[Step]:
        return plan(self._flows, self._groups, self._meters)

    def settle(self, step: Step, errors: Sequence[FrameError]) -> None:
        """The barrier of `step` was answered; all its frames were accepted but those in `errors`."""
        failed = {error.index: error for error in errors}
        for index, mark in enumerate(step.marks):
            error = failed.get(index)
            if error is None:
                self._found(mark)
            elif (owner := self._owners.get((mark.table, mark.key))) is not None:
                # What refers to a thing that was refused is refused, too: the first is the cause.
                self.refused.setdefault(owner, f"{_describe(mark)} refused: {error.text}")

    def clear_refusals(self) -> None:
        """A new attempt begins; what is refused again will say so again."""
        self.refused.clear()

    def _want(self, key: FragmentKey, fragment: Fragment, *, present: bool) -> None:
        for table, entry_key, entry in _entries(fragment):
            mine = (table, entry_key)
            if present:
                self._owners[mine] = key
            else:
                self._owners.pop(mine, None)
            wanted = entry if present else None
            match entry:
                case Flow():
                    self._flows.want(entry.key, wanted if isinstance(wanted, Flow) else None)
                case Group():
                    self._groups.want(entry.id, wanted if isinstance(wanted, Group) else None)
                case Meter():
                    self._meters.want(entry.id, wanted if isinstance(wanted, Meter) else None)

    def _found(self, mark: Mark) -> None:
        if mark.table == "flow":
            assert isinstance(mark.key, FlowKey) and (mark.value is None or isinstance(mark.value, Flow))
            self._flows.found(mark.key, mark.value)
        elif mark.table == "group":
            assert isinstance(mark.key, int) and (mark.value is None or isinstance(mark.value, Group))
            self._groups.found(mark.key, mark.value)
        else:
            assert isinstance(mark.key, int) and (mark.value is None or isinstance(mark.value, Meter))
            self._meters.found(mark.key, mark.value)


def _entries(fragment: Fragment) -> Iterable[tuple[str, FlowKey | int, Flow | Group | Meter]]:
    for meter in fragment.meters:
        yield "meter", meter.id, meter
    for group in fragment.groups:
        yield "group", group.id, group
    for flow in fragment.flows:
        yield "flow", flow.key, flow


def _describe(mark: Mark) -> str:
    if isinstance(mark.key, FlowKey):
        return f"flow in table {mark.key.table} at priority {mark.key.priority}"
    return f"{mark.table} {mark.key}"
