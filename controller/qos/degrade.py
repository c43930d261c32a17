"""Who keeps how much of a resource when a failure leaves less of it than was promised.

    protected    who was admitted for the loss of a link comes before all who were not, or that was for nothing:
                 the others' traffic is on the same detour.  Within both,
        KEEP         first
        DEGRADE_FAIR then, everyone the same share of its claim
        SHED         then
    reserves     last of all, in the same order: what is only for the next failure

A function of the claims as they are: when the link is back, so are the guarantees.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import product

from controller.model.bandwidth import OnFailure
from controller.qos.ledger import Claim

_ORDER = OnFailure.KEEP, OnFailure.DEGRADE_FAIR, OnFailure.SHED


def share_out(
    claims: Mapping[str, Claim], on_failure: Mapping[str, OnFailure], budget_kbps: int, *, protected: Collection[str]
) -> dict[str, Claim]:
    """owner -> what it keeps; their sum is at most the budget, and all of every claim if all fit."""
    if sum(claim.reserved_kbps for claim in claims.values()) <= budget_kbps:
        return dict(claims)
    left = budget_kbps
    working: dict[str, int] = {}
    spare: dict[str, int] = {}
    turns = [
        {owner: claim for owner, claim in claims.items() if (owner in protected, on_failure[owner]) == turn}
        for turn in product((True, False), _ORDER)
    ]
    for turn in turns:
        kept, left = _fairly({owner: claim.working_kbps for owner, claim in turn.items()}, left)
        working |= kept
    for turn in turns:
        asked = {owner: claim.reserved_kbps - claim.working_kbps for owner, claim in turn.items()}
        kept, left = _fairly(asked, left)
        spare |= kept
    return {owner: Claim(working[owner], working[owner] + spare[owner]) for owner in claims}


def _fairly(asked: Mapping[str, int], budget_kbps: int) -> tuple[dict[str, int], int]:
    """All they ask for, or of it the same share to each; and what that leaves for later turns: of crumbs, nothing."""
    total = sum(asked.values())
    if total <= budget_kbps:
        return dict(asked), budget_kbps - total
    return {owner: kbps * budget_kbps // total for owner, kbps in asked.items()}, 0
