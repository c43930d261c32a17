"""In which order a difference is written to one switch.

    step 1   meters, groups, flows to add or change        then a barrier
    step 2   flows, groups, meters to delete               then a barrier

What is referred to comes before what refers to it, and goes after it.  Within a step:
- groups are added by ascending id and deleted by descending id: the id layout (pipeline/tables.py) gives a group that
  another one uses the smaller id;
- flows are added from the last table to the first, so that a frame that enters at table 0 never meets a half-built
  program, and deleted from the first table to the last;
- in a table what is for some frames is added before what is for all, and deleted after it: no frame takes the new way
  of all others because its own is not there yet, or is gone already.

A bundle would make step 1 atomic, but one refused flow would then take down every other change: the order gives the
same guarantee for new ports and keeps an error small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from controller.openflow import messages
from controller.openflow.entries import Flow, FlowKey, Group, Meter
from controller.reconcile.delta import Tracker


class Mark(NamedTuple):
    """What one frame does when the switch accepts it:

    the table ("flow", "group", "meter"), the key, and the value it then holds.
    """

    table: str
    key: FlowKey | int
    value: Flow | Group | Meter | None


@dataclass(frozen=True, slots=True)
class Step:
    """Frames to send together and close with a barrier; marks[i] says what frames[i] does."""

    frames: tuple[bytes, ...]
    marks: tuple[Mark, ...]


def plan(flows: Tracker[FlowKey, Flow], groups: Tracker[int, Group], meters: Tracker[int, Meter]) -> list[Step]:
    """The steps that bring the switch from installed to desired, in order; empty when they agree."""
    return [step for step in (_build_up(flows, groups, meters), _clear_away(flows, groups, meters)) if step.frames]


def _build_up(flows: Tracker[FlowKey, Flow], groups: Tracker[int, Group], meters: Tracker[int, Meter]) -> Step:
    frames: list[bytes] = []
    marks: list[Mark] = []
    for meter_id, meter, old in sorted(meters.puts(), key=lambda put: put[0]):
        frames.append(messages.meter_mod(messages.ADD if old is None else messages.MODIFY, meter))
        marks.append(Mark("meter", meter_id, meter))
    for group_id, group, held in sorted(groups.puts(), key=lambda put: put[0]):
        frames.append(messages.group_mod(messages.ADD if held is None else messages.MODIFY, group))
        marks.append(Mark("group", group_id, group))
    for key, flow, _ in sorted(flows.puts(), key=lambda put: (-put[0].table, -put[0].priority, put[0].match)):
        frames.append(messages.flow_add(flow))
        marks.append(Mark("flow", key, flow))
    return Step(tuple(frames), tuple(marks))


def _clear_away(flows: Tracker[FlowKey, Flow], groups: Tracker[int, Group], meters: Tracker[int, Meter]) -> Step:
    frames: list[bytes] = []
    marks: list[Mark] = []
    for key in sorted(flows.deletes()):
        frames.append(messages.flow_delete_strict(key))
        marks.append(Mark("flow", key, None))
    for group_id in sorted(groups.deletes(), reverse=True):
        frames.append(messages.group_mod(messages.DELETE, group_id))
        marks.append(Mark("group", group_id, None))
    for meter_id in sorted(meters.deletes()):
        frames.append(messages.meter_mod(messages.DELETE, meter_id))
        marks.append(Mark("meter", meter_id, None))
    return Step(tuple(frames), tuple(marks))
