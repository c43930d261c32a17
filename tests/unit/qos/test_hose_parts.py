"""Which part of a link each port's guarantee needs for itself, against a slow reference and the worst traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from scipy.optimize import linprog

from controller.qos.hose import UNBOUNDED, Footprint, Hose, Need, Parts
from tests.unit.qos.test_hose import Pair, crossings, hoses

LINKS = "abcd"
MANY = 100
Crossings = Mapping[Pair, Mapping[str, float]]


def parts_of(footprint: Footprint, hose: Hose, at_most: int = MANY) -> dict[str, Parts | None]:
    """With one port at each edge that has a guarantee, and another where there are open ones, too."""
    ones = dict.fromkeys(hose.sent, 1), dict.fromkeys(hose.received, 1)
    return footprint.parts(hose, *ones, at_most=at_most)


def slow(hose: Hose, rows: list[Crossings], link: str) -> Parts:
    """The definition, word by word; the first row is as things are."""

    def fraction(crossing: Crossings, edge: int, partners: object, *, sends: bool) -> float:
        return max((share.get(link, 0.0) for (s, d), share in crossing.items()
                    if (s if sends else d) == edge and (partners is None or (d if sends else s) in partners)),  # type: ignore[operator]
                   default=0.0)

    def charges(crossing: Crossings) -> tuple[float, float]:
        found = []
        for by_source in (True, False):
            to, of = (None, hose.open_senders) if by_source else (hose.open_receivers, None)
            sent = [kbps * fraction(crossing, edge, to, sends=True) for edge, kbps in hose.sent.items()]
            received = [kbps * fraction(crossing, edge, of, sends=False) for edge, kbps in hose.received.items()]
            found.append(sum(sent + received))
        return found[0], found[1]

    is_used = any(share.get(link) for share in rows[0].values())
    both = [charges(row) for row in (rows[:1] if is_used else rows)]
    by_source = max(first for first, _ in both) <= max(second for _, second in both)
    to, of = (None, hose.open_senders) if by_source else (hose.open_receivers, None)
    ends: list[dict[int, Need]] = []
    for rates, partners, sends in ((hose.sent, to, True), (hose.received, of, False)):
        each = {edge: [fraction(row, edge, partners, sends=sends) for row in rows] for edge in rates}
        ends.append({edge: Need(all_[0], max(all_)) for edge, all_ in each.items() if max(all_)})
    return Parts(by_source, ends[0], ends[1])


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(2, 4))
def test_parts_are_those_of_the_definition(data: st.DataObject, edges: int) -> None:
    """Also under failures; a link is left out only where at most one class of frames could be told apart."""
    crossing = data.draw(crossings(edges))
    otherwise = data.draw(st.lists(st.sampled_from(sorted(crossing)), unique=True, max_size=3))
    failure = data.draw(crossings(edges, otherwise))
    hose = data.draw(hoses(edges))
    found = parts_of(Footprint(crossing, (failure,)), hose)
    for link in LINKS:
        expected = slow(hose, [crossing, {**crossing, **failure}], link)
        parts, n_own = found.get(link), len(expected.sent) + len(expected.received)
        others = any(share.get(link) for row in (crossing, {**crossing, **failure}) for (s, d), share in row.items()
                     if s in hose.open_senders and d in hose.open_receivers)
        assert (parts is not None) == (n_own > 0 and n_own + others > 1)
        assert parts is None or parts == expected


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(2, 4))
def test_parts_together_are_within_the_need(data: st.DataObject, edges: int) -> None:
    """As things are they are all of it, but for the pool, and unless a limit makes it smaller."""
    crossing, hose = data.draw(crossings(edges)), data.draw(hoses(edges))
    need = Footprint(crossing).need(replace(hose, limit=UNBOUNDED, pool=0.0))
    for link, parts in parts_of(Footprint(crossing), hose).items():
        assert parts is not None
        own = sum(hose.sent[edge] * part.working for edge, part in parts.sent.items())
        own += sum(hose.received[edge] * part.working for edge, part in parts.received.items())
        assert np.isclose(own, need[link].working if link in need else 0.0)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(2, 4))
def test_no_guaranteed_traffic_exceeds_the_part_of_whom_it_is_charged_to(data: st.DataObject, edges: int) -> None:
    """Whoever sends to whom: within its guarantees nobody's frames are more than its own part carries."""
    crossing, hose = data.draw(crossings(edges)), data.draw(hoses(edges))
    for link, parts in parts_of(Footprint(crossing), hose).items():
        assert parts is not None
        for edge, part in parts.sent.items():
            assert worst_of(hose, crossing, link, edge, by_source=parts.by_source, sends=True) <= (
                hose.sent[edge] * part.working + 1e-6)
        for edge, part in parts.received.items():
            assert worst_of(hose, crossing, link, edge, by_source=parts.by_source, sends=False) <= (
                hose.received[edge] * part.working + 1e-6)


def worst_of(hose: Hose, crossing: Crossings, link: str, edge: int, *, by_source: bool, sends: bool) -> float:
    """The most that guaranteed traffic that is charged to this end can load the link with."""
    own = ({"both", "sender"} if by_source else {"sender"}) if sends else (
        {"receiver"} if by_source else {"both", "receiver"})
    columns = [(kind, pair) for pair in crossing for kind in ("both", "sender", "receiver")
               if (kind == "both" and pair[0] in hose.sent and pair[1] in hose.received)
               or (kind == "sender" and pair[0] in hose.sent and pair[1] in hose.open_receivers)
               or (kind == "receiver" and pair[1] in hose.received and pair[0] in hose.open_senders)]
    if not columns:
        return 0.0
    rows = [[float(kind != "receiver" and pair[0] == each) for kind, pair in columns] for each in hose.sent]
    rows += [[float(kind != "sender" and pair[1] == each) for kind, pair in columns] for each in hose.received]
    gain = [-crossing[pair].get(link, 0.0) if kind in own and pair[0 if sends else 1] == edge else 0.0
            for kind, pair in columns]
    bounds = [*hose.sent.values(), *hose.received.values()]
    return -float(linprog(gain, A_ub=np.array(rows), b_ub=np.array(bounds), method="highs").fun)


def test_more_ports_than_allowed_are_not_told_apart() -> None:
    """They share what their network has there; where fewer pass, they are."""
    crossing = {(1, 9): {"one": 1.0, "both": 1.0}, (2, 9): {"both": 1.0}}
    hose = Hose(sent={1: 5.0, 2: 5.0}, received={}, open_senders=(1,), open_receivers=(9,))
    found = Footprint(crossing).parts(hose, {1: 2, 2: 1}, {}, at_most=2)
    assert found["both"] is None
    assert found["one"] == Parts(by_source=True, sent={1: Need(1.0, 1.0)}, received={})


def test_one_port_alone_on_a_link_needs_no_part_of_its_own() -> None:
    """Nobody else of its network is there."""
    hose = Hose(sent={1: 5.0}, received={}, open_senders=(9,), open_receivers=(9,))
    assert Footprint({(1, 9): {"l": 1.0}}).parts(hose, {1: 1}, {}, at_most=MANY) == {}
