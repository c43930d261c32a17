"""Guarantees and those above them: pools and ceilings bound the sum of what is below, at every time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.intent.promises import DIRECTIONS, NO_SUMS
from controller.intent.snapshot import Resource, Snapshot
from controller.model.bandwidth import BandwidthPolicy, Rates, Recurring, Window
from controller.model.errors import PliantError
from controller.model.network import Network, Pipe, Port
from controller.model.tenancy import Tenant
from tests.unit.intent.builders import Author, N, S, T, network, port, subnet, tenant

A, B = f"{N}/ports/a", f"{N}/ports/b"
NIGHT = Recurring(cron="0 20 * * *", duration_s=3_600)
WEEKEND = Recurring(cron="0 0 * * 6", duration_s=86_400)


def policy(*, at: Recurring | None = None, then: int = 0, **rates: int) -> BandwidthPolicy:
    """Of outward guarantees `then` inside the window."""
    windows = (Window(when=at, rates=Rates(guarantee_out_kbps=then)),) if at else ()
    return BandwidthPolicy(schedule=windows, **rates)  # type: ignore[arg-type]


def of(obj: Resource, bandwidth: BandwidthPolicy) -> Resource:
    return replace(obj, bandwidth=bandwidth)  # type: ignore[arg-type]


def out(obj: Resource, kbps: int) -> Resource:
    return of(obj, BandwidthPolicy(guarantee_out_kbps=kbps))


def pipe(kbps_out: int = 0, kbps_in: int = 0) -> Pipe:
    rates = BandwidthPolicy(guarantee_out_kbps=kbps_out, guarantee_in_kbps=kbps_in)
    return Pipe(name=f"{T}/pipes/p", a=A, b=B, bandwidth=rates)


def author_of(tenant_policy: BandwidthPolicy, network_policy: BandwidthPolicy) -> Author:
    author = Author(of(tenant(), tenant_policy), of(network(), network_policy), subnet())
    author.create(port("a"))
    author.create(port("b"))
    return author


def refused(author: Author, obj: Resource) -> PliantError:
    with pytest.raises(PliantError) as caught:
        author.apply([obj])
    return caught.value


NONE = BandwidthPolicy()
POOL = BandwidthPolicy(guarantee_out_kbps=1_000)


@pytest.mark.parametrize(("tenant_policy", "network_policy", "owner"), [(NONE, POOL, N), (POOL, NONE, T)])
def test_ports_share_the_pool_above_them(
    tenant_policy: BandwidthPolicy, network_policy: BandwidthPolicy, owner: str
) -> None:
    """Up to the last bit, and not one more: the error names the pool and what is too much."""
    author = author_of(tenant_policy, network_policy)
    author.apply([out(author.snapshot.ports[A], 600), out(author.snapshot.ports[B], 400)])
    error = refused(author, out(author.snapshot.ports[A], 601))
    assert (error.reason, error.subject) == ("GUARANTEE_OVER_PARENT", f"{A}")
    assert error.metadata["parent"] == owner
    assert (error.metadata["guaranteed_kbps"], error.metadata["at_most_kbps"]) == ("1001", "1000")
    assert "1 kbit/s less" in error.message


@pytest.mark.parametrize("owner", [T, N])
def test_pool_cannot_shrink_below_what_was_promised_out_of_it(owner: str) -> None:
    """Lowering the parent is refused like raising a child, unless both change together."""
    author = author_of(POOL if owner == T else NONE, POOL if owner == N else NONE)
    author.apply([out(author.snapshot.ports[A], 1_000)])
    parent = author.snapshot.get(owner)
    assert parent is not None
    assert refused(author, out(parent, 900)).reason == "GUARANTEE_OVER_PARENT"
    author.apply([out(parent, 900), out(author.snapshot.ports[A], 900)])


def test_pool_can_be_given_up() -> None:
    """Without a guarantee of its own a network bounds nothing, and what is in it counts itself."""
    author = author_of(POOL, POOL)
    author.apply([out(author.snapshot.ports[A], 500)])
    author.apply([of(network(), NONE)])
    assert refused(author, out(author.snapshot.ports[B], 501)).metadata["parent"] == T
    author.apply([out(author.snapshot.ports[B], 500)])


def test_network_with_a_pool_counts_once_and_whole() -> None:
    """Its ports come out of its pool; its pool comes out of the tenant's, used or not."""
    author = author_of(POOL, BandwidthPolicy(guarantee_out_kbps=900))
    author.apply([out(author.snapshot.ports[A], 900)])
    other = network(f"{T}/networks/m")
    assert refused(author, out(other, 101)).reason == "GUARANTEE_OVER_PARENT"
    author.apply([out(other, 100)])


def test_ceiling_bounds_the_sum_where_there_is_no_pool() -> None:
    """Two guarantees that a ceiling cannot let through at once are no guarantees."""
    author = author_of(BandwidthPolicy(ceiling_out_kbps=1_000), NONE)
    author.apply([out(author.snapshot.ports[A], 600)])
    error = refused(author, out(author.snapshot.ports[B], 500))
    assert (error.reason, error.metadata["parent"]) == ("GUARANTEE_OVER_CEILING", T)


def test_directions_are_told_apart() -> None:
    """An outward pool says nothing of what is received."""
    author = author_of(POOL, NONE)
    author.apply([of(author.snapshot.ports[A], BandwidthPolicy(guarantee_in_kbps=5_000))])
    assert refused(author, out(author.snapshot.ports[A], 1_001)).metadata["direction"] == "out"


def test_pipe_takes_from_the_tenant_in_both_directions() -> None:
    """What one end sends the other receives."""
    author = author_of(BandwidthPolicy(guarantee_out_kbps=1_000, guarantee_in_kbps=300), NONE)
    author.apply([pipe(kbps_out=200, kbps_in=100)])
    error = refused(author, pipe(kbps_out=201, kbps_in=100))
    assert (error.metadata["parent"], error.metadata["direction"]) == (T, "in")


def test_pipe_and_port_fit_below_the_ceiling_of_the_port_together() -> None:
    """Each direction at each end: what a sends through the pipe, b receives."""
    author = author_of(NONE, NONE)
    ceilings = BandwidthPolicy(ceiling_in_kbps=1_000, guarantee_in_kbps=700)
    author.apply([of(author.snapshot.ports[B], ceilings)])
    author.apply([pipe(kbps_out=300)])
    error = refused(author, pipe(kbps_out=301))
    assert (error.reason, error.metadata["parent"], error.metadata["direction"]) == ("GUARANTEE_OVER_CEILING", B, "in")
    lower = replace(ceilings, ceiling_in_kbps=999)
    assert refused(author, of(author.snapshot.ports[B], lower)).reason == "GUARANTEE_OVER_CEILING"
    author.apply([pipe(kbps_in=5_000)])


def test_equal_windows_are_compared_window_by_window() -> None:
    """A pool that is large at night lends itself to guarantees of the same nights."""
    author = author_of(policy(guarantee_out_kbps=100, at=NIGHT, then=1_000), NONE)
    author.apply([of(author.snapshot.ports[A], policy(guarantee_out_kbps=100, at=NIGHT, then=1_000))])
    error = refused(author, of(author.snapshot.ports[B], policy(at=NIGHT, then=1)))
    assert error.metadata["window"] == "0"
    assert "window 0" in error.message


def test_different_windows_count_at_their_highest() -> None:
    """Whether two windows meet is not looked at: what could be too much is refused."""
    author = author_of(POOL, NONE)
    author.apply([of(author.snapshot.ports[A], policy(at=NIGHT, then=600))])
    assert refused(author, of(author.snapshot.ports[B], policy(at=WEEKEND, then=500))).reason == "GUARANTEE_OVER_PARENT"
    author.apply([of(author.snapshot.ports[B], policy(at=NIGHT, then=400))])


def test_pool_of_some_nights_guarantees_nothing_by_day() -> None:
    """At times when the parent has no guarantee its children have none either."""
    author = author_of(policy(at=NIGHT, then=1_000), NONE)
    error = refused(author, out(author.snapshot.ports[A], 1))
    assert error.metadata["window"] == ""
    assert "outward outside its windows, and it has none then, though it has at other times" in error.message
    author.apply([of(author.snapshot.ports[A], policy(at=NIGHT, then=1_000))])


RATES = st.sampled_from([0, 0, 10, 70])
POLICIES = st.builds(
    lambda rates, at, then: replace(rates, schedule=(Window(when=at, rates=then),) if at else ()),
    st.builds(BandwidthPolicy, guarantee_in_kbps=RATES, guarantee_out_kbps=RATES),
    st.sampled_from([None, NIGHT, WEEKEND]),
    st.builds(Rates, guarantee_in_kbps=RATES, guarantee_out_kbps=RATES),
)


@given(st.lists(st.tuples(st.sampled_from(range(5)), POLICIES), max_size=12), st.randoms(use_true_random=False))
def test_sums_follow_from_the_objects_in_whatever_order_they_came(
    edits: list[tuple[int, BandwidthPolicy]], random: object
) -> None:
    """Edits one by one, or all objects at once in any order: the same sums, and nothing left when all are gone."""
    objects: list[Resource] = [
        Tenant(name=T), Network(name=N), subnet(S), Port(name=A, subnet=S, mac="02:00:00:00:00:01"),
        Port(name=B, subnet=S, mac="02:00:00:00:00:02"), Pipe(name=f"{T}/pipes/p", a=A, b=B),
    ]
    snapshot = Snapshot.rebuild(objects)
    editable = [obj for obj in objects if obj.name != S]
    for index, bandwidth in edits:
        snapshot = snapshot.put(of(editable[index], bandwidth))
    shuffled = list(snapshot.objects())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Snapshot.rebuild(shuffled).promises == snapshot.promises
    for obj in shuffled:
        snapshot = snapshot.delete(obj.name)
    assert not snapshot.promises


@given(st.lists(POLICIES, min_size=3, max_size=3))
def test_sums_are_never_below_what_is_promised_at_some_time(policies: list[BandwidthPolicy]) -> None:
    """Whichever window is open: base, one of them, or both at once."""
    ports = [Port(name=f"{N}/ports/{n}", subnet=S, mac=f"02:00:00:00:00:0{n}", bandwidth=bandwidth)
             for n, bandwidth in enumerate(policies)]
    snapshot = Snapshot.rebuild([Tenant(name=T), Network(name=N), subnet(S), *ports])
    for direction in DIRECTIONS:
        bound = snapshot.promises.get((N, direction), NO_SUMS).at_most((NIGHT,))
        for is_open in ([], [NIGHT], [WEEKEND], [NIGHT, WEEKEND]):
            total = 0
            for bandwidth in policies:
                windows = [window.rates for window in bandwidth.schedule if window.when in is_open]
                total += getattr((windows or [bandwidth.rates])[0], f"guarantee_{direction}_kbps")
            assert total <= bound[NIGHT in is_open]
