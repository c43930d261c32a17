"""The first shares of a ceiling on several edges: nobody is told the whole of it beside others."""

from __future__ import annotations

from dataclasses import replace

from immutables import Map

from controller.model.bandwidth import BandwidthPolicy, Rates, entry_kbps
from controller.pipeline.world import AS_IT_IS, Share, World
from controller.qos.sharing import shared_kbps
from controller.reconcile.opening import NOT_KNOWN, Offer, Offers, opening_shares
from tests.sequences.simulation import Simulation
from tests.sequences.states import tenant
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


def opened(before: World, after: World, offers: Offers = NOT_KNOWN) -> dict[tuple[int, str], Share]:
    return opening_shares(before, after, [RED, *after.intent.ports], offers)


def test_edge_that_joins_holds_little() -> None:
    """The first one goes on with the whole ceiling, until elastic takes a part of it."""
    made = lab(11)
    before = made.world
    assert opened(World(intent=before.intent, fabric=before.fabric), before) == {}
    made.port("red", "p12", at=(12, 3))
    assert opened(before, made.world) == {(12, RED): Share(0, entry_kbps(9_000))}


def test_ceiling_of_whom_nothing_is_known_is_divided() -> None:
    """Also when a window of the schedule opens, and when several edges come at once."""
    made = lab(11, 12, 13, policy=BandwidthPolicy())
    before = made.world
    assert opened(before, before) == {}
    by_window = replace(before, rates=Map({RED: Rates(ceiling_out_kbps=9_000)}))
    limit(made, CEILING)
    parts = {(dpid, RED): Share(0, shared_kbps(9_000, 3, 0) // 3) for dpid in (11, 12, 13)}
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
    half = Share(shared_kbps(1_000, 2, 0) // 2, 0)
    assert opened(before, made.world) == {(11, network): half, (12, network): half}


def test_ceiling_of_a_pipe_between_networks_is_shared_where_each_sends() -> None:
    """Out where its one network is, in where its other is; who is alone there has the whole, and whoever joins little.
    """
    made, far = lab(11, 12, policy=BandwidthPolicy()), f"{RED}/networks/far"
    made.network("red", "far", ipv4="10.1.0.0/24", ipv6="fd01::/64")
    made.port(far, "q13", at=(13, 3))
    before = made.world
    pipe = made.join("red", "x", BandwidthPolicy(ceiling_out_kbps=9_000, ceiling_in_kbps=4_000)).name
    part = Share(0, shared_kbps(9_000, 2, 0) // 2)
    named = [*made.intent.ports, pipe]
    shares = opening_shares(before, made.world, named, NOT_KNOWN)
    assert shares == {(11, pipe): part, (12, pipe): part}
    held = replace(made.world, shares=Map(shares))
    made.port(far, "q11", at=(11, 4))
    later = opening_shares(held, replace(made.world, shares=held.shares), [f"{far}/ports/q11"], NOT_KNOWN)
    assert later == {(11, pipe): Share(entry_kbps(4_000), part.out_kbps)}


def test_ceiling_opens_where_it_is_wanted() -> None:
    """Who sends alone has nearly all of it in the same step; the silent ones hold little, the other way its own."""
    made = lab(11, 12, 13, policy=BandwidthPolicy())
    before = made.world
    limit(made, BandwidthPolicy(ceiling_out_kbps=9_000, ceiling_in_kbps=9_000))
    offers = {(11, RED): Offer(0, 60_000), (12, RED): Offer(8_000, 0), (13, RED): Offer(0, 0)}
    shares = opened(before, made.world, offers)
    assert shares[11, RED].out_kbps >= 0.92 * 9_000
    assert shares[12, RED].in_kbps >= 8_000
    assert all(sum(share[way] for share in shares.values()) <= 9_000 for way in (0, 1))
    assert all(kbps >= entry_kbps(9_000) for share in shares.values() for kbps in share)


def test_guaranteed_port_opens_with_its_guarantee() -> None:
    """Whatever the others want, and also where nobody knows what it wants."""
    made = lab(11, 12, 13, policy=BandwidthPolicy())
    port = made.intent.ports[f"{RED}/networks/net/ports/p12"]
    made.update(replace(port, bandwidth=BandwidthPolicy(guarantee_out_kbps=6_000)))
    before = made.world
    limit(made, CEILING)
    flood = {(11, RED): Offer(0, 60_000), (12, RED): Offer(0, 7_000), (13, RED): Offer(0, 60_000)}
    for offers in (flood, NOT_KNOWN):
        assert opened(before, made.world, offers)[12, RED].out_kbps >= 6_000


def test_lower_ceiling_is_divided_in_the_same_step() -> None:
    """As it was held, with what is guaranteed to ports; who joins a moment later, or a higher ceiling, changes nothing.
    """
    made = lab(11, 12, 13)
    port = made.intent.ports[f"{RED}/networks/net/ports/p12"]
    made.update(replace(port, bandwidth=BandwidthPolicy(guarantee_out_kbps=1_500)))
    held = replace(made.world, shares=Map({
        (11, RED): Share(0, 6_000), (12, RED): Share(0, 2_000), (13, RED): Share(0, 180)}))
    for ceiling in (9_500, 8_500):
        limit(made, BandwidthPolicy(ceiling_out_kbps=ceiling))
        assert opened(held, replace(made.world, shares=held.shares)) == {}
    limit(made, BandwidthPolicy(ceiling_out_kbps=3_000))
    divided = held.shares.update(opened(held, replace(made.world, shares=held.shares)))
    assert sum(share.out_kbps for share in divided.values()) <= 3_000
    assert divided[12, RED].out_kbps >= 1_500 and divided[11, RED].out_kbps >= 700


def test_lower_ceiling_holds_whatever_is_told_too_late() -> None:
    """Shares of the ceiling before, told when it is already a lower one: the sum of what switches hold is within it."""
    sim = Simulation()
    sim.apply(tenant("red", {"a": (11, 3), "b": (12, 3)}, BandwidthPolicy(ceiling_out_kbps=9_000)).values())
    sim.settle()
    sim.set_shares({(11, RED): Share(0, 8_000)})
    sim.set_shares({(12, RED): Share(0, 900)})
    sim.apply([replace(sim.intent.tenants[RED], bandwidth=BandwidthPolicy(ceiling_out_kbps=4_000))])
    sim.settle()
    assert held_by(sim) <= 4_000
    sim.set_shares({(12, RED): Share(0, 3_900)})
    sim.settle()
    assert held_by(sim) <= 4_000
    shares = sim.reconciler.engine.world.shares
    assert shares[11, RED].out_kbps > 1_000, "nobody is shut out by it"


def test_share_is_told_in_one_direction_and_stays_in_the_other() -> None:
    """What opened there in the same moment is not taken for the whole."""
    sim = Simulation()
    sim.apply(tenant("red", {"a": (11, 3), "b": (12, 3)}, BandwidthPolicy(ceiling_out_kbps=9_000)).values())
    sim.settle()
    sim.apply([replace(sim.intent.tenants[RED],
                       bandwidth=BandwidthPolicy(ceiling_out_kbps=9_000, ceiling_in_kbps=6_000))])
    sim.set_shares({(11, RED): Share(AS_IT_IS, 3_000)})
    sim.settle()
    share = sim.reconciler.engine.world.shares[11, RED]
    assert share == Share(shared_kbps(6_000, 2, 0) // 2, 3_000)


def held_by(sim: Simulation) -> int:
    """What the tenant may send by all switches together."""
    return sum(meter.rate for switch in sim.switches.values() for meter in switch.meters.values()
               if meter.unit == "kbps")
