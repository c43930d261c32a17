"""A hose divided among those it talks to (ElasticSwitch's guarantee partitioning) is one allocation: I11."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.qos.allocation import Aggregate, Allocator
from controller.qos.hose import Footprint, Hose

Pair = tuple[int, int]
_EDGES = 4
_PAIRS = [(src, dst) for src in range(_EDGES) for dst in range(_EDGES) if src != dst]
_guarantees = st.fixed_dictionaries({edge: st.sampled_from([1.0, 5.0, 10.0, 1 / 3]) for edge in range(_EDGES)})
_demands = st.dictionaries(st.sampled_from(_PAIRS), st.sampled_from([0.0, 0.5, 3.0, 50.0]))
_links = st.dictionaries(st.sampled_from("abc"), st.sampled_from([0.25, 0.5, 1.0]), max_size=2)
_crossings = st.fixed_dictionaries(dict.fromkeys(_PAIRS, _links))


@settings(deadline=None)
@given(sent=_guarantees, received=_guarantees, demands=_demands, crossings=_crossings)
def test_hose_partition_i11_stays_inside_both_hoses_and_what_was_admitted(
    sent: dict[int, float], received: dict[int, float], demands: dict[Pair, float],
    crossings: dict[Pair, dict[str, float]],
) -> None:
    """I11: whoever wants to talk to whom, the parts are within both ends' hoses, so no link carries more of them than
    was admitted; and nobody who wants more is left with less than both its hoses have.
    """
    allocator: Allocator[Pair] = Allocator()
    for edge in range(_EDGES):
        allocator.set_capacity(("out", edge), sent[edge])
        allocator.set_capacity(("in", edge), received[edge])
    for (src, dst), kbps in demands.items():
        allocator.put((src, dst), Aggregate(demand_kbps=kbps, resources={("out", src): 1.0, ("in", dst): 1.0}))
    part = {pair: allotment.rate_kbps for pair, allotment in allocator.solve().items()}

    by_source = {edge: sum(kbps for (src, _), kbps in part.items() if src == edge) for edge in sent}
    by_destination = {edge: sum(kbps for (_, dst), kbps in part.items() if dst == edge) for edge in received}
    assert all(by_source[edge] <= sent[edge] + 1e-9 for edge in sent)
    assert all(by_destination[edge] <= received[edge] + 1e-9 for edge in received)
    for (src, dst), kbps in part.items():
        is_full = by_source[src] >= sent[src] - 1e-9 or by_destination[dst] >= received[dst] - 1e-9
        assert kbps == demands[src, dst] or is_full

    hose = Hose(sent=sent, received=received, open_senders=(), open_receivers=())
    admitted = Footprint(crossings).need(hose)
    for link in "abc":
        load = sum(crossings[pair].get(link, 0.0) * kbps for pair, kbps in part.items())
        assert load <= (admitted[link].working if link in admitted else 0.0) + 1e-9
