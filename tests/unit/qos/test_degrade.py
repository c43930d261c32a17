"""Who keeps what of its claim when claims do not fit."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.bandwidth import OnFailure
from controller.qos.degrade import share_out
from controller.qos.ledger import Claim

FAIR, KEEP, SHED = OnFailure.DEGRADE_FAIR, OnFailure.KEEP, OnFailure.SHED
_owners = st.sampled_from("abcdef")
_kinds = st.fixed_dictionaries(dict.fromkeys("abcdef", st.sampled_from(OnFailure)))
_claims = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda both: Claim(both[0], both[0] + both[1]))


def _shares(budget: int, protected: str = "", **owners: tuple[int, OnFailure]) -> dict[str, int]:
    claims = {owner: Claim(kbps, kbps) for owner, (kbps, _) in owners.items()}
    kept = share_out(claims, {owner: kind for owner, (_, kind) in owners.items()}, budget, protected=protected)
    return {owner: claim.working_kbps for owner, claim in kept.items()}


def test_degrade_leaves_all_alone_while_all_fit() -> None:
    """Whatever they say."""
    assert _shares(100, A=(60, SHED), B=(40, FAIR)) == {"A": 60, "B": 40}


def test_degrade_serves_keep_first_and_shed_last() -> None:
    """And between them everyone keeps the same share."""
    owners = {"A": (30, KEEP), "B": (60, FAIR), "C": (20, FAIR), "D": (30, SHED)}
    assert _shares(70, **owners) == {"A": 30, "B": 30, "C": 10, "D": 0}
    assert _shares(120, **owners) == {"A": 30, "B": 60, "C": 20, "D": 10}


def test_degrade_serves_who_was_admitted_for_the_failure_first() -> None:
    """The detour was reserved for A; B's traffic takes it too, and may not push A off it, not even by KEEP."""
    assert _shares(70, "A", A=(60, FAIR), B=(40, FAIR)) == {"A": 60, "B": 10}
    assert _shares(70, "A", A=(60, SHED), B=(40, KEEP)) == {"A": 60, "B": 10}


def test_degrade_gives_up_reserves_before_what_is_in_use() -> None:
    """What A keeps for the next failure is B's now."""
    claims = {"A": Claim(20, 50), "B": Claim(60, 60)}
    kept = share_out(claims, dict.fromkeys(claims, FAIR), 90, protected={"A"})
    assert kept == {"A": Claim(20, 30), "B": Claim(60, 60)}


@settings(deadline=None)
@given(
    claims=st.dictionaries(_owners, _claims), kinds=_kinds, protected=st.frozensets(_owners), budget=st.integers(0, 300)
)
def test_degrade_never_shares_out_more_than_there_is_nor_than_was_claimed(
    claims: dict[str, Claim], kinds: dict[str, OnFailure], protected: frozenset[str], budget: int
) -> None:
    """And what the protected have in use is theirs whenever that alone fits."""
    kept = share_out(claims, kinds, budget, protected=protected)
    assert kept.keys() == claims.keys()
    assert sum(claim.reserved_kbps for claim in kept.values()) <= budget
    for owner, claim in kept.items():
        assert 0 <= claim.working_kbps <= claims[owner].working_kbps
        assert 0 <= claim.reserved_kbps - claim.working_kbps <= claims[owner].reserved_kbps - claims[owner].working_kbps
    if sum(claims[owner].working_kbps for owner in claims if owner in protected) <= budget:
        assert all(kept[owner].working_kbps == claims[owner].working_kbps for owner in claims if owner in protected)
