"""What a hose needs of each link, against the worst traffic that a linear program can find."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import hypothesis.strategies as st
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import linprog

from controller.qos.hose import UNBOUNDED, Footprint, Hose, Need

Pair = tuple[int, int]
RATES = (0, 1, 5, 10)


@st.composite
def crossings(draw: st.DrawFn, edges: int, pairs: list[Pair] | None = None) -> dict[Pair, dict[str, float]]:
    """Any split of any pair over any links."""
    fraction = st.sampled_from((0.25, 0.5, 0.75, 1.0))
    pairs = [(s, d) for s in range(edges) for d in range(edges) if s != d] if pairs is None else pairs
    return {pair: draw(st.dictionaries(st.sampled_from("abcd"), fraction, max_size=3)) for pair in pairs}


@st.composite
def hoses(draw: st.DrawFn, edges: int) -> Hose:
    rates = st.dictionaries(st.integers(0, edges - 1), st.sampled_from(RATES[1:]))
    some = st.frozensets(st.integers(0, edges - 1))
    limit = draw(st.sampled_from((UNBOUNDED, 12.0, 3.0)))
    return Hose(sent=draw(rates), received=draw(rates), open_senders=draw(some), open_receivers=draw(some),
                pool=draw(st.sampled_from((0.0, 4.0))), limit=limit)


def worst(hose: Hose, crossing: Mapping[Pair, Mapping[str, float]], link: str) -> float:
    """The most that guaranteed traffic can load the link with.

    Guaranteed is: between two ports that both have a guarantee; with one at either end; and the pool's.
    """
    kinds = ["both", "sender", "receiver", "pool"]
    columns = [(kind, pair) for pair in crossing for kind in kinds if kind == "pool"
               or (kind == "both" and pair[0] in hose.sent and pair[1] in hose.received)
               or (kind == "sender" and pair[0] in hose.sent and pair[1] in hose.open_receivers)
               or (kind == "receiver" and pair[1] in hose.received and pair[0] in hose.open_senders)]
    rows, bounds = [], []
    for edge, kbps in hose.sent.items():
        rows.append([float(kind in ("both", "sender") and pair[0] == edge) for kind, pair in columns])
        bounds.append(kbps)
    for edge, kbps in hose.received.items():
        rows.append([float(kind in ("both", "receiver") and pair[1] == edge) for kind, pair in columns])
        bounds.append(kbps)
    rows.append([float(kind == "pool") for kind, _ in columns])
    bounds.append(hose.pool)
    if hose.limit < UNBOUNDED:
        rows.append([1.0] * len(columns))
        bounds.append(hose.limit)
    gain = [-crossing[pair].get(link, 0.0) for _, pair in columns]
    if not columns:
        return 0.0
    return -float(linprog(gain, A_ub=np.array(rows), b_ub=np.array(bounds), method="highs").fun)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(2, 4))
def test_need_is_enough_for_any_traffic_and_any_split(data: st.DataObject, edges: int) -> None:
    """No traffic that keeps to the guarantees loads a link with more than its need; nor while a failure lasts."""
    crossing = data.draw(crossings(edges))
    otherwise = data.draw(st.lists(st.sampled_from(sorted(crossing)), unique=True, max_size=3))
    failure = data.draw(crossings(edges, otherwise))
    hose = data.draw(hoses(edges))
    need = Footprint(crossing, (failure,)).need(hose)
    for link in "abcd":
        found = need.get(link, Need(0.0, 0.0))
        assert worst(hose, crossing, link) <= found.working + 1e-6
        assert worst(hose, {**crossing, **failure}, link) <= found.reserved + 1e-6
        assert found.working <= found.reserved


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 8), st.randoms(use_true_random=False), st.integers(1, 20))
def test_need_on_a_tree_is_that_of_oktopus(n: int, random: object, kbps: int) -> None:
    """min(m, N - m) * B on a link with m of the N machines behind it."""
    tree = nx.random_labeled_tree(n, seed=random)
    machines = {edge: 1 + edge % 3 for edge in tree}
    paths = dict(nx.all_pairs_shortest_path(tree))
    crossing = {(s, d): dict.fromkeys(pairwise(paths[s][d]), 1.0)
                for s in tree for d in tree if s != d}
    rates = {edge: float(kbps * count) for edge, count in machines.items()}
    need = Footprint(crossing).need(Hose(sent=rates, received=rates, open_senders=(), open_receivers=()))
    for a, b in tree.edges:
        apart = nx.restricted_view(tree, [], [(a, b)])
        behind = sum(machines[edge] for edge in nx.node_connected_component(apart, a))
        for link in ((a, b), (b, a)):
            assert need[link].working == min(behind, sum(machines.values()) - behind) * kbps


def test_guarantee_holds_whoever_is_at_the_other_end() -> None:
    """A server's guarantee to receive is kept free although its clients have none to send."""
    crossing = {("client", "server"): {"up": 1.0}, ("server", "client"): {"down": 1.0}}
    hose = Hose(sent={}, received={"server": 40.0}, open_senders=["client"], open_receivers=["client"])
    assert Footprint(crossing).need(hose) == {"up": Need(40.0, 40.0)}


def test_smaller_of_two_guarantees_counts() -> None:
    """What one end may send is no use beyond what the other may receive."""
    hose = Hose(sent={"a": 40.0}, received={"b": 10.0}, open_senders=(), open_receivers=())
    assert Footprint({("a", "b"): {"l": 1.0}}).need(hose) == {"l": Need(10.0, 10.0)}


def test_pool_over_equal_paths_needs_its_share_of_each() -> None:
    """A pool of 100 over two trees loads no link with more than 50, whichever ports use it."""
    crossing = {(s, d): {f"{s}-x": 0.5, f"x-{d}": 0.5, f"{s}-y": 0.5, f"y-{d}": 0.5}
                for s, d in [(1, 2), (2, 1), (1, 3)]}
    hose = Hose(sent={}, received={}, open_senders=(1, 2, 3), open_receivers=(1, 2, 3), pool=100.0, limit=100.0)
    assert {need.working for need in Footprint(crossing).need(hose).values()} == {50.0}


@pytest.mark.parametrize("hose", [
    Hose(sent={}, received={}, open_senders=(1,), open_receivers=(2,)),
    Hose(sent={9: 5.0}, received={9: 5.0}, open_senders=(), open_receivers=()),
])
def test_whoever_has_no_guarantee_on_these_edges_needs_nothing(hose: Hose) -> None:
    """Ports without a guarantee, and guarantees of ports that are nowhere here."""
    assert Footprint({(1, 2): {"l": 1.0}}).need(hose) == {}


def test_footprint_of_one_edge_is_empty() -> None:
    """Local traffic crosses no link."""
    hose = Hose(sent={1: 5.0}, received={1: 5.0}, open_senders=(), open_receivers=())
    assert Footprint({}).need(hose) == {}
