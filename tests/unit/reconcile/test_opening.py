"""The first shares of a ceiling on several edges: nobody is told the whole of it beside others."""

from __future__ import annotations

from dataclasses import replace

from immutables import Map

from controller.model.bandwidth import BandwidthPolicy, Rates, entry_kbps
from controller.pipeline.world import Share, World
from controller.reconcile.opening import opening_shares
from tests.support.worlds import Lab

RED = "tenants/red"
CEILING = BandwidthPolicy(ceiling_out_kbps=9_000)


def lab(*leaves: int, policy: BandwidthPolicy = CEILING) -> Lab:
    """Tenant red with a port on each of these leaves."""
    made = Lab.leaf_spine()
    made.network("red")
    limit(made, policy)
    for leaf in leaves:
        made.port("red", f"p{leaf}", at=(leaf, 3))
    return made


def limit(made: Lab, policy: BandwidthPolicy) -> None:
    made.update(replace(made.intent.tenants[RED], bandwidth=policy))


def opened(before: World, after: World) -> dict[tuple[int, str], Share]:
    return opening_shares(before, after, [RED, *after.intent.ports])


def test_edge_that_joins_holds_little() -> None:
    """The first one goes on with the whole ceiling, until elastic takes a part of it."""
    made = lab(11)
    before = made.world
    assert opened(World(intent=before.intent, fabric=before.fabric), before) == {}
    made.port("red", "p12", at=(12, 3))
    assert opened(before, made.world) == {(12, RED): Share(0, entry_kbps(9_000))}


def test_ceiling_that_comes_to_several_edges_is_divided() -> None:
    """Also when a window of the schedule opens, and when several edges come at once."""
    made = lab(11, 12, 13, policy=BandwidthPolicy())
    before = made.world
    assert opened(before, before) == {}
    by_window = replace(before, rates=Map({RED: Rates(ceiling_out_kbps=9_000)}))
    limit(made, CEILING)
    parts = {(dpid, RED): Share(0, 3_000) for dpid in (11, 12, 13)}
    assert opened(before, made.world) == opened(before, by_window) == parts
    assert opened(World(intent=before.intent, fabric=before.fabric), made.world) == parts


def test_shares_that_are_held_stay() -> None:
    """Only who has none is given one."""
    made = lab(11, 12)
    held = replace(made.world, shares=Map({(11, RED): Share(0, 8_000), (12, RED): Share(0, 900)}))
    assert opened(held, held) == {}
    made.port("red", "p13", at=(13, 3))
    assert opened(held, replace(made.world, shares=held.shares)) == {(13, RED): Share(0, entry_kbps(9_000))}


def test_network_has_shares_of_its_own() -> None:
    """Its ceiling, where it is present."""
    made = lab(11, 12, policy=BandwidthPolicy())
    before, network = made.world, f"{RED}/networks/net"
    made.update(replace(made.intent.networks[network], bandwidth=BandwidthPolicy(ceiling_in_kbps=1_000)))
    assert opened(before, made.world) == {(dpid, network): Share(500, 0) for dpid in (11, 12)}
