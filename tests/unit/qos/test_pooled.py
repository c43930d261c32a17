"""Claims of several networks together, whatever was claimed before: against the same sums, one link at a time."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
from hypothesis import given

from controller.qos.hose import UNBOUNDED, Footprint, Hose, Need
from controller.qos.ledger import Claim, claim
from controller.qos.pooled import Pooled
from tests.unit.qos.test_hose import crossings, hoses

EDGES, FOOTPRINTS = 3, 3


def summed(footprints: Sequence[Footprint], asked: Sequence[Hose], pool: float, limit: float) -> dict[str, Claim]:
    """Link by link."""
    total: dict[str, Need] = {}
    for footprint, hose in zip(footprints, asked, strict=False):
        for link, need in footprint.need(hose).items():
            known = total.get(link, Need(0.0, 0.0))
            total[link] = Need(known.working + need.working, known.reserved + need.reserved)
    largest: dict[str, Need] = {}
    for footprint in footprints:
        for link, share in footprint.largest.items():
            most = largest.get(link, share)
            largest[link] = Need(max(most.working, share.working), max(most.reserved, share.reserved))
    for link, share in largest.items() if pool else ():
        known = total.get(link, Need(0.0, 0.0))
        total[link] = Need(known.working + pool * share.working, known.reserved + pool * share.reserved)
    claims = {link: claim(min(need.working, limit), min(need.reserved, limit)) for link, need in total.items()}
    return {link: each for link, each in claims.items() if each.reserved_kbps}


@given(
    st.lists(crossings(EDGES), min_size=FOOTPRINTS, max_size=FOOTPRINTS), crossings(EDGES, [(0, 1)]),
    st.lists(st.tuples(st.lists(hoses(EDGES), min_size=2, max_size=2), st.sampled_from((0.0, 0.3, 4.0)),
                       st.sampled_from((UNBOUNDED, 15.0, 2.0))), min_size=1, max_size=4),
)  # fmt: skip
def test_claims_are_the_same_whatever_was_claimed_before(
    crossed: list[dict[tuple[int, int], dict[str, float]]], failure: dict[tuple[int, int], dict[str, float]],
    turns: list[tuple[list[Hose], float, float]],
) -> None:
    """With failures, a footprint that is there for the pool alone, a pool, and a limit."""
    footprints = [Footprint(crossing, (failure,)) for crossing in crossed]
    pooled = Pooled(footprints)
    for asked, pool, limit in turns:
        assert pooled.claims(asked, pool=pool, limit=limit) == summed(footprints, asked, pool, limit)


def test_only_claims_that_differ_are_made_anew() -> None:
    """Edges of a star on links of their own: one sends more, and a hundred others claim what they did, by identity."""
    edges = range(101)
    crossing = {(s, d): {f"up{s}": 1.0, f"down{d}": 1.0} for s in edges for d in edges if s != d}
    pooled = Pooled([Footprint(crossing)])
    rates = dict.fromkeys(edges, 10.0)
    before = pooled.claims([Hose(sent=rates, received=rates, open_senders=(), open_receivers=())])
    after = pooled.claims([Hose(sent=rates | {7: 15.0}, received=rates, open_senders=(), open_receivers=())])
    assert len(before) == 202 and after["up7"] == Claim(15, 15) and before["up7"] == Claim(10, 10)
    assert [link for link, each in after.items() if each is not before[link]] == ["up7"]
