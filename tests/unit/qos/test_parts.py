"""The first parts of a ceiling: within it, by what is wanted, and with what is guaranteed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.bandwidth import entry_kbps
from controller.qos.demand import HEADROOM
from controller.qos.parts import Want, first_parts
from controller.qos.sharing import floor_kbps, shared_kbps

ceilings = st.integers(64, 400_000_000)
known = st.builds(Want, st.floats(0, 1e9), st.integers(0, 400_000_000), st.integers(1, 1_000))
wants = st.one_of(known, st.builds(Want, st.none(), st.integers(0, 400_000_000), st.integers(1, 1_000)))


def by_edge(each: st.SearchStrategy[Want]) -> st.SearchStrategy[dict[int, Want]]:
    return st.dictionaries(st.integers(1, 99), each, min_size=2, max_size=16)


@given(ceilings, st.integers(0, 400_000_000), by_edge(wants))
def test_parts_are_within_the_ceiling(ceiling: int, guarantee: int, edges: dict[int, Want]) -> None:
    """With room for one edge more; and everybody holds a little, whatever others want."""
    parts = first_parts(ceiling, guarantee, edges)
    assert parts.keys() == edges.keys()
    guarantee = max(min(ceiling, guarantee), min(ceiling, sum(want.guarantee_kbps for want in edges.values())))
    total = shared_kbps(ceiling, len(edges), guarantee)
    assert sum(parts.values()) <= total < ceiling
    assert min(parts.values()) >= floor_kbps(ceiling, len(edges), ceiling) > 0
    assert sum(parts.values()) >= total - len(edges) - 1e-6 * ceiling, "all is given out"


@given(ceilings, by_edge(known), st.floats(0, 1))
def test_guarantee_of_all_together_is_kept(ceiling: int, edges: dict[int, Want], part: float) -> None:
    """Where it sends, the owner has all that it sends, or its guarantee: but for an entry on every edge, if that is as
    high as the ceiling, and for what edges are taken to want above what they send, if not all of that fits."""
    edges = {edge: want._replace(guarantee_kbps=0) for edge, want in edges.items()}
    guarantee = part * ceiling
    parts = first_parts(ceiling, guarantee, edges)
    used = sum(min(parts[edge], want.demand_kbps or 0.0) for edge, want in edges.items())
    demand = sum(want.demand_kbps or 0.0 for want in edges.values())
    entries = (len(edges) + 1) * (entry_kbps(ceiling) + 1)
    room = ceiling - max((ceiling - guarantee) / 2, 0.0) - entries - (HEADROOM - 1) * demand
    assert used >= min(demand, guarantee, room) * (1 - 1e-6) - len(edges)


@given(ceilings, by_edge(known))
def test_guarantee_of_a_port_is_kept(ceiling: int, edges: dict[int, Want]) -> None:
    """As far as all guarantees together fit what is shared out: then each edge has it, or all that it sends."""
    entries = (len(edges) + 1) * entry_kbps(ceiling)
    promised = sum(want.guarantee_kbps for want in edges.values())
    fits = promised <= ceiling - max((ceiling - promised) / 2, 0) - entries
    parts = first_parts(ceiling, 0.0, edges)
    for edge, want in edges.items() if fits else ():
        assert parts[edge] >= min(want.demand_kbps or 0.0, want.guarantee_kbps) - 1 - 1e-6 * ceiling


@given(ceilings, by_edge(st.builds(Want, st.just(1e9), st.just(0), st.integers(1, 1_000))))
def test_who_wants_all_shares_by_ports(ceiling: int, edges: dict[int, Want]) -> None:
    """As those who share it later do: the ports alike, beyond what everybody holds."""
    floor, total = floor_kbps(ceiling, len(edges), 0.0), shared_kbps(ceiling, len(edges), 0.0)
    weight = sum(want.weight for want in edges.values())
    for edge, kbps in first_parts(ceiling, 0.0, edges).items():
        more = (total - floor * len(edges)) * edges[edge].weight / weight
        assert kbps == pytest.approx(floor + more, abs=1 + 1e-6 * ceiling)


@given(ceilings, st.dictionaries(st.integers(1, 99), st.integers(1, 1_000_000), min_size=2, max_size=16))
def test_where_nothing_is_known_guarantees_count(ceiling: int, guarantees: dict[int, int]) -> None:
    """More is guaranteed, more is held; and nothing guaranteed to anybody: equal parts."""
    parts = first_parts(ceiling, 0.0, {edge: Want(None, kbps) for edge, kbps in guarantees.items()})
    for one, other in zip(sorted(parts, key=guarantees.__getitem__), sorted(parts, key=parts.__getitem__), strict=True):
        assert abs(parts[one] - parts[other]) <= 1
    equal = first_parts(ceiling, 0.0, {edge: Want(None) for edge in guarantees}).values()
    assert max(equal) - min(equal) <= 1


def test_small_sender_beside_a_flood_has_what_it_wants() -> None:
    """Three leaves, one floods, one sends 2 Mbit/s, one is silent."""
    parts = first_parts(15_000, 10_000, {1: Want(60_000.0), 2: Want(2_000.0), 3: Want(0.0)})
    assert parts[2] >= 2_000 and parts[1] >= 11_500
