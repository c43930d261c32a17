"""How a tenant's grant on a link is divided among its networks and ports, and which queues that makes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from controller.fabric.declared import LinkSettings
from controller.fabric.events import LinkDeclared
from controller.fabric.ports import EndPoint
from controller.intent.snapshot import Resource
from controller.model.bandwidth import NO_POLICY, BandwidthPolicy, TrafficClass
from controller.model.network import Network, Subnet
from controller.model.queues import (
    BEST_EFFORT,
    Grant,
    NetworkGrant,
    OfDestination,
    OfSlice,
    OfSource,
    PortQueues,
    Queue,
    inner_queue,
    leaf_queue,
)
from controller.reconcile.members import MAX_PORTS
from controller.reconcile.queueing import Plans, port_queues
from tests.sequences.states import far_name, far_pipe, peered, port, tenant
from tests.support.admitted import Fabric, alone, both

RED, NET, SECOND = "tenants/red", "tenants/red/networks/net", "tenants/red/networks/second"
UP, DOWN = EndPoint(11, 1), EndPoint(1, 2)
"""from leaf 11 to spine 1, and from there to leaf 12; half of all goes by it"""


def fabric(*objects: Resource, policy: BandwidthPolicy = NO_POLICY) -> Fabric:
    found = Fabric()
    found.apply([*tenant("red", {}, policy).values(), *objects])
    found.settle()
    return found


def sends(kbps: int, **how: object) -> BandwidthPolicy:
    return BandwidthPolicy(guarantee_out_kbps=kbps, **how)  # type: ignore[arg-type]


def receives(kbps: int) -> BandwidthPolicy:
    return BandwidthPolicy(guarantee_in_kbps=kbps)


def granted(found: Fabric, at: EndPoint) -> Grant:
    return found.reconciler.view.grants[at][RED]


def parts(network: NetworkGrant) -> dict[str, tuple[int, bool, bool]]:
    return {name.rpartition("/")[2]: (each.guarantee_kbps, each.sends, each.receives)
            for name, each in network.ports.items()}


def second_network(*ports: Resource, policy: BandwidthPolicy = NO_POLICY) -> list[Resource]:
    subnet = Subnet(name=f"{SECOND}/subnets/sub", ipv4_cidr=IPv4Network("10.0.0.0/16"))
    moved = [replace(each, name=each.name.replace(NET, SECOND), subnet=subnet.name, addresses=each.addresses[:1])
             for each in ports]  # type: ignore[type-var, union-attr]
    return [Network(name=SECOND, bandwidth=policy), subnet, *moved]


def test_sibling_ports_have_parts_of_their_own_where_both_send() -> None:
    """By source on the way up; those without a guarantee share what is left of the tenant's."""
    found = fabric(port("red", "a", (11, 3), sends(40_000)), port("red", "b", (11, 4), sends(20_000)),
                   port("red", "c", (11, 5)), port("red", "d", (12, 3)), policy=both(80_000))
    grant = granted(found, UP)
    assert grant.guarantee_kbps == 40_000
    (network,) = grant.networks.values()
    assert network.by_source
    assert parts(network) == {"a": (20_000, True, False), "b": (10_000, True, False)}


def test_receivers_are_told_apart_where_that_is_what_is_guaranteed() -> None:
    """On the way down to two of them; on the way up they would be told apart too, for anybody sends to either."""
    found = fabric(port("red", "a", (11, 3)), port("red", "b", (11, 4)), port("red", "c", (12, 3), receives(30_000)),
                   port("red", "d", (12, 4), receives(10_000)))
    for at in (UP, DOWN):
        (network,) = granted(found, at).networks.values()
        assert parts(network) == {"c": (15_000, False, True), "d": (5_000, False, True)}


def test_port_alone_on_a_link_has_its_tenants_queue() -> None:
    """Nobody is to be told from it."""
    found = fabric(port("red", "a", (11, 3), sends(40_000)), port("red", "b", (12, 3)))
    assert granted(found, UP) == Grant(guarantee_kbps=20_000, weight=20_000)


def test_change_of_one_port_costs_nobody_elses_grants_and_no_links_that_it_does_not_load() -> None:
    """All of these are the very values of before: nothing was worked out again, and no queue is another one."""
    objects = [port(name, each, at, sends(1_000)) for name in ("red", "blue") for each, at in (
        ("a", (11, 3 + (name == "blue"))), ("b", (12, 3 + (name == "blue"))), ("c", (13, 3 + (name == "blue"))))]
    found = fabric(*tenant("blue", {}).values(), *objects)
    before = found.reconciler.view.grants
    found.apply([port("red", "a", (11, 3), sends(2_000))])
    found.settle()
    after = found.reconciler.view.grants
    assert all(after[at]["tenants/blue"] is here["tenants/blue"] for at, here in before.items())
    others = {at for at, here in before.items() if after[at][RED] == here[RED]}
    assert others == {at for at in before if at.dpid in (12, 13) or (at.dpid in (1, 2) and at.port_no == 1)}
    assert after[UP][RED].guarantee_kbps == 2 * before[UP][RED].guarantee_kbps


def test_networks_have_what_each_needs_and_the_others_what_the_tenant_has_beyond() -> None:
    """A network without a guarantee is one of the others."""
    first = [port("red", "a", (11, 3), sends(40_000)), port("red", "b", (12, 3))]
    second = second_network(port("red", "a", (11, 4)), port("red", "b", (12, 4)))
    found = fabric(*first, *second, policy=both(60_000))
    grant = granted(found, UP)
    assert grant.guarantee_kbps == 30_000
    assert {name: each.guarantee_kbps for name, each in grant.networks.items()} == {NET: 20_000}
    found.apply([Network(name=SECOND, bandwidth=both(20_000))])
    found.settle()
    assert {name: each.guarantee_kbps for name, each in granted(found, UP).networks.items()} == {
        NET: 20_000, SECOND: 10_000}


def test_crowded_link_keeps_one_queue_for_all_and_says_so() -> None:
    """More guaranteed ports than have queues of their own: where few of them pass, they have."""
    many = [replace(port("red", "a", (11, 3 + i), sends(1_000)), name=f"{NET}/ports/p{i}",
                    mac=f"02:00:00:00:01:{i:02x}", addresses=(IPv4Address(f"10.0.1.{i}"),))
            for i in range(MAX_PORTS + 1)]
    few = [port("red", "x", (12, 3), sends(1_000)), port("red", "y", (12, 4), sends(1_000)), port("red", "z", (13, 3))]
    found = fabric(*many, *few)
    assert not granted(found, UP).networks
    assert parts(granted(found, EndPoint(12, 1)).networks[NET]).keys() == {"x", "y"}
    assert UP in found.reconciler.view.granted.crowded[NET]
    assert "GUARANTEE_CROWDED" in found.reasons(NET) and "GUARANTEE_CROWDED" in found.reasons(f"{NET}/ports/p1")
    assert "GUARANTEE_CROWDED" not in found.reasons(f"{NET}/ports/z")
    found.apply((), [f"{NET}/ports/p0"])
    found.settle()
    assert len(granted(found, UP).networks[NET].ports) == MAX_PORTS
    assert NET in found.reconciler.view.granted.crowded  # toward leaf 13 there are still more
    assert UP not in found.reconciler.view.granted.crowded[NET]


def test_class_is_the_ports_own_unless_the_tenants_guarantee_says_which() -> None:
    """Whoever is guaranteed as a whole has one class; else each its own."""
    ports = [port("red", "a", (11, 3), sends(4_000, traffic_class=TrafficClass.BULK)),
             port("red", "b", (11, 4), sends(4_000)), port("red", "c", (12, 3))]
    found = fabric(*ports)

    def classes() -> list[TrafficClass]:
        (network,) = granted(found, UP).networks.values()
        return [each.traffic_class for _, each in sorted(network.ports.items())]

    assert classes() == [TrafficClass.BULK, TrafficClass.STANDARD]
    found.apply([alone("red", both(8_000))])
    found.settle()
    assert classes() == [TrafficClass.STANDARD, TrafficClass.STANDARD]


def queues(found: Fabric, at: EndPoint) -> PortQueues:
    view = found.reconciler.view
    made = port_queues(view.world, at, view.grants[at])
    assert made is not None
    return made


def test_only_network_of_a_tenant_is_the_tenant_itself_in_queues() -> None:
    """Its ports below the tenant's inner queue, and the rest of it by the slice."""
    found = fabric(port("red", "a", (11, 3), sends(40_000)), port("red", "b", (11, 4)), port("red", "c", (12, 3)))
    keys = found.intent.keys
    tenant_id, port_id = keys.queue_id(RED), keys.queue_id(f"{NET}/ports/a")
    made = {queue.number: queue for queue in queues(found, UP).queues}
    assert made.keys() == {BEST_EFFORT, inner_queue(tenant_id), leaf_queue(tenant_id), leaf_queue(port_id)}
    slice_ = keys.network_key(NET) >> 10
    top, rest, own = (made[number] for number in (inner_queue(tenant_id), leaf_queue(tenant_id), leaf_queue(port_id)))
    assert (top.whose, top.guarantee_kbps, top.parent) == ((), 20_000, 0)
    assert own.whose == (OfSource(slice_, 0x020000000061),)
    assert (own.guarantee_kbps, own.parent) == (20_000, top.number)
    assert rest.whose == (OfSlice(slice_),)
    assert (rest.guarantee_kbps, rest.parent) == (0, top.number)


def test_networks_are_inner_queues_of_their_tenants_with_ports_below() -> None:
    """Three levels; what is asked first is what the need is charged by."""
    first = [port("red", "a", (11, 3)), port("red", "c", (12, 3), receives(30_000)),
             port("red", "d", (12, 4), receives(10_000))]
    found = fabric(*first, *second_network(port("red", "a", (11, 4)), port("red", "b", (12, 5))))
    keys = found.intent.keys
    made = {queue.number: queue for queue in queues(found, DOWN).queues}
    top, network = inner_queue(keys.queue_id(RED)), inner_queue(keys.queue_id(NET))
    assert made[network].parent == top and not made[network].whose
    key = keys.port_key(f"{NET}/ports/c")
    assert key is not None
    edge_id = keys.edge_id(12)
    assert edge_id is not None
    leaf = made[leaf_queue(keys.queue_id(f"{NET}/ports/c"))]
    assert (leaf.whose, leaf.guarantee_kbps, leaf.parent) == ((OfDestination(edge_id, key.key24),), 15_000, network)
    assert made[leaf_queue(keys.queue_id(NET))].parent == network
    rest = made[leaf_queue(keys.queue_id(RED))]
    assert (rest.whose, rest.parent) == ((OfSlice(keys.network_key(SECOND) >> 10),), top)


def test_what_peers_send_is_no_part_of_what_a_network_has() -> None:
    """It is the tenant's; or the pipe's, as soon as there is one with a guarantee."""
    found = fabric(port("red", "a", (11, 3), sends(40_000)), port("red", "c", (12, 3)), port("red", "d", (11, 4)))
    found.apply([*peered("red", {"b": (12, 4)}).values()])
    found.settle()
    keys, plans = found.intent.keys, Plans()
    view = found.reconciler.view
    made = plans.update(view.world, view.grants)[UP]
    assert made is not None
    near, far = keys.slice_of(NET), keys.slice_of(far_name("red"))
    rest = next(queue for queue in made.queues if queue.number == leaf_queue(keys.queue_id(RED)))
    assert rest.whose == (OfSlice(far), OfSource(near, 0x02005E000000 | far << 10))
    found.apply([far_pipe("red", sends(5_000))])
    found.settle()
    view = found.reconciler.view
    made = plans.update(view.world, view.grants)[UP]
    assert made is not None
    whose = {queue.number: queue.whose for queue in made.queues}
    assert whose[leaf_queue(keys.queue_id(RED))] == (OfSlice(far),)
    pipe = leaf_queue(found.intent.keys.queue_id(f"{RED}/pipes/far"))
    assert OfSource(near, 0x02005E000000 | far << 10) in whose[pipe]
    found.apply((), [f"{RED}/peerings/far"])
    found.settle()
    view = found.reconciler.view
    made = plans.update(view.world, view.grants)[UP]
    assert made is not None
    assert (OfSlice(far),) in {queue.whose for queue in made.queues}


def test_parts_of_a_tenant_weigh_together_what_it_weighs() -> None:
    """However many there are, it borrows no more of others than by one queue."""
    found = fabric(port("red", "a", (11, 3), sends(40_000)), port("red", "b", (11, 4), sends(10_000)),
                   port("red", "c", (11, 5)), port("red", "d", (12, 3)), policy=both(50_000, weight=7))
    made = queues(found, UP)
    inner = {queue.parent for queue in made.queues}
    leaves = [queue for queue in made.leaves if queue.number != BEST_EFFORT]
    (best_effort,) = (queue for queue in made.queues if queue.number == BEST_EFFORT)
    assert len(leaves) == 3 and inner > {0}
    assert 0.99 * 7 * best_effort.weight <= sum(queue.weight for queue in leaves) <= 7 * best_effort.weight + 1
    weights: dict[int, Queue] = {queue.guarantee_kbps: queue for queue in leaves}
    assert weights[20_000].weight // weights[5_000].weight in (3, 4)


def test_sums_of_parts_never_exceed_what_they_are_parts_of() -> None:
    """Also where a link carries less than was promised: each has the same share."""
    found = fabric(port("red", "a", (11, 3), sends(40_000)), port("red", "b", (11, 4), sends(30_000)),
                   port("red", "c", (12, 3)))
    found.observe(LinkDeclared(src=UP, settings=LinkSettings(capacity_kbps=20_000)))
    found.settle()
    (network,) = granted(found, UP).networks.values()
    assert network.guarantee_kbps == granted(found, UP).guarantee_kbps == 19_000
    assert parts(network) == {"a": (10_857, True, False), "b": (8_142, True, False)}
    by_number = {queue.number: queue for queue in queues(found, UP).queues}
    for number in {queue.parent for queue in by_number.values()} - {0}:
        below = sum(queue.guarantee_kbps for queue in by_number.values() if queue.parent == number)
        assert below <= by_number[number].guarantee_kbps


def test_another_mac_or_the_same_sum_otherwise_divided_is_noticed() -> None:
    """What a tenant claims is the same then; its parts are not."""
    found = fabric(port("red", "a", (11, 3), sends(40_000)), port("red", "b", (11, 4), sends(10_000)),
                   port("red", "c", (12, 3)))
    own = leaf_queue(found.intent.keys.queue_id(f"{NET}/ports/a"))
    plans = Plans()
    plans.update(found.reconciler.view.world, found.reconciler.view.grants)
    found.apply([replace(found.intent.ports[f"{NET}/ports/a"], mac="02:00:00:00:00:99")])
    found.settle()
    made = plans.update(found.reconciler.view.world, found.reconciler.view.grants)[UP]
    assert made is not None
    (leaf,) = (queue for queue in made.queues if queue.number == own)
    assert leaf.whose == (OfSource(found.intent.keys.network_key(NET) >> 10, 0x020000000099),)
    found.apply([replace(found.intent.ports[f"{NET}/ports/{name}"], bandwidth=sends(25_000)) for name in "ab"])
    found.settle()
    assert parts(granted(found, UP).networks[NET]) == {"a": (12_500, True, False), "b": (12_500, True, False)}


def test_change_of_one_guarantee_touches_only_links_that_it_crosses() -> None:
    """What is granted elsewhere is the same value, so no queue there is looked at."""
    found = fabric(port("red", "a", (11, 3), sends(4_000)), port("red", "b", (11, 4)), port("red", "c", (12, 3)),
                   port("red", "d", (13, 3), sends(4_000)), port("red", "e", (13, 4)))
    before = found.reconciler.view.grants
    found.apply([replace(found.intent.ports[f"{NET}/ports/a"], bandwidth=sends(5_000))])
    found.settle()
    after = found.reconciler.view.grants
    other_way_up = EndPoint(13, 1)
    assert after[UP] != before[UP]
    assert after[other_way_up] is before[other_way_up]
