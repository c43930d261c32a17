"""What a network and its ports say of the network's path policy."""

from __future__ import annotations

from collections.abc import Iterable

from controller.model.ids import format_dpid
from controller.model.status import Condition
from controller.reconcile.steering import PolicyState, Violation

MAX_NAMED = 3


def policy_conditions(state: PolicyState, here: int | None) -> list[Condition]:
    """`here`: only what concerns that switch."""
    violated = [v for v in state.violations if here in (None, v.src, v.dst)]
    conditions = []
    for dropped, what in ((True, "frames there are dropped"), (False, "frames there take the best other way")):
        some = [v for v in violated if v.dropped is dropped]
        if some:
            conditions.append(Condition(
                reason="PATH_POLICY_VIOLATED", message=f"{_shown([v.why for v in some])}: {what}",
                switches=_switches((v.src, v.dst) for v in some)))
    for pairs, what in ((state.waiting, "frames still go as before"), (state.held_back, "frames are dropped")):
        ours = [pair for pair in pairs if here is None or here in pair]
        if ours:
            between = _shown([f"{format_dpid(src)} to {format_dpid(dst)}" for src, dst in ours])
            conditions.append(Condition(
                reason="PATH_POLICY_PENDING", switches=_switches(ours),
                message=f"{what} from {between}: the switches on the new paths have not confirmed them"))
    return conditions


def _shown(texts: list[str]) -> str:
    more = len(texts) - MAX_NAMED
    return "; ".join(texts[:MAX_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _switches(pairs: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    return tuple(sorted({dpid for pair in pairs for dpid in pair}))


__all__ = ["PolicyState", "Violation", "policy_conditions"]
