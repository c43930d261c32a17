"""The law of incremental compiling: recompiling only what `affected` names gives what a compile from scratch gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

import hypothesis.strategies as st
from hypothesis import given, settings
from immutables import Map

from controller.fabric.declared import SwitchSettings
from controller.fabric.graph import (
    EndPoint,
    HostHeard,
    LinkLost,
    LinkSeen,
    PortRole,
    QueuesFound,
    SwitchDeclared,
    SwitchFeatures,
    SwitchForgotten,
)
from controller.model.bandwidth import NO_POLICY, BandwidthPolicy, Rates
from controller.model.errors import PliantError
from controller.model.network import ANY_PATH, Attachment, Network, PathPolicy, Peering, Pipe, Subnet
from controller.model.tenancy import Tenant
from controller.pipeline.affected import affected
from controller.pipeline.compiler import compile_fragment
from controller.pipeline.world import Share, World
from tests.support.worlds import FEATURES, LEAVES, Lab, Programs, compile_all

PATH_POLICIES = (
    ANY_PATH, PathPolicy(avoid_zones=("x",)), PathPolicy(avoid_zones=("x", "y")), PathPolicy(trees=(1,)),
)
POLICIES = (NO_POLICY, BandwidthPolicy(ceiling_in_kbps=1_000), BandwidthPolicy(ceiling_out_kbps=2_000, burst_ms=100),
            BandwidthPolicy(guarantee_out_kbps=500, ceiling_in_kbps=3_000))
NETWORKS = tuple(f"tenants/{tenant}/networks/{network}" for tenant in ("red", "blue") for network in ("one", "two"))


def create_network(lab: Lab, a: int, _b: int) -> None:
    name = NETWORKS[a % 4]
    tenant = name.split("/networks/")[0]
    if tenant not in lab.intent.tenants:
        lab.create(Tenant(name=tenant))
    lab.create(Network(name=name))
    cidrs = IPv4Network(f"10.{a % 2}.0.0/24"), IPv6Network(f"fd0{a % 2}::/64")
    lab.create(Subnet(name=f"{name}/subnets/sub", ipv4_cidr=cidrs[0], ipv6_cidr=cidrs[1]))


def create_subnet(lab: Lab, a: int, b: int) -> None:
    cidr = IPv4Network(f"10.{a % 2}.{1 + b % 3}.0/24")
    lab.create(Subnet(name=f"{NETWORKS[a % 4]}/subnets/s{b % 3}", ipv4_cidr=cidr))


def delete_subnet(lab: Lab, a: int, b: int) -> None:
    lab.delete(f"{NETWORKS[a % 4]}/subnets/s{b % 3}")


def create_port(lab: Lab, a: int, b: int) -> None:
    lab.port(NETWORKS[a % 4], f"p{b % 7}", at=(LEAVES[b % 3], 3 + a % 5), bandwidth=POLICIES[a % 4], bind=a % 6 != 0)


def create_port_in_other_subnet(lab: Lab, a: int, b: int) -> None:
    at = LEAVES[b % 3], 3 + a % 5
    lab.port(NETWORKS[a % 4], f"p{b % 7}", at=at, subnet=f"s{b // 3 % 3}")


def create_peering(lab: Lab, a: int, b: int) -> None:
    """Of the two networks of a tenant."""
    tenant = NETWORKS[a % 4].split("/networks/")[0]
    ends = sorted((name for name in NETWORKS if name.startswith(tenant)), reverse=b % 2 == 0)
    lab.create(Peering(name=f"{tenant}/peerings/p{b % 3}", a=ends[0], b=ends[1]))


def delete_peering(lab: Lab, a: int, _b: int) -> None:
    lab.delete(sorted(lab.intent.peerings)[a % len(lab.intent.peerings)])


def create_unattached_port(lab: Lab, a: int, b: int) -> None:
    lab.port(NETWORKS[a % 4], f"p{b % 7}", at=None)


def _any_port(lab: Lab, a: int) -> str:
    return sorted(lab.intent.ports)[a % len(lab.intent.ports)]


def move_port(lab: Lab, a: int, b: int) -> None:
    name, to = _any_port(lab, a), EndPoint(LEAVES[b % 3], 3 + b % 5)
    port = lab.intent.ports[name]
    lab.update(replace(port, attachment=Attachment(dpid=to.dpid, port_no=to.port_no)))
    lab.unbind(name)
    if to.dpid in lab.fabric.switches and to not in lab.fabric.bound:
        lab.bind(name, to)


def unbind_port(lab: Lab, a: int, _b: int) -> None:
    lab.unbind(_any_port(lab, a))


def bind_port(lab: Lab, a: int, _b: int) -> None:
    name = _any_port(lab, a)
    asked = lab.intent.ports[name].attachment
    if asked and name not in lab.placement.at and lab.fabric.port(at := EndPoint(asked.dpid, asked.port_no)):
        lab.bind(name, at)


def change_port(lab: Lab, a: int, b: int) -> None:
    port = lab.intent.ports[_any_port(lab, a)]
    changed = replace(port, bandwidth=POLICIES[b % 4], mac=f"02:00:00:00:01:{b % 256:02x}" if b % 2 else port.mac)
    lab.update(replace(changed, addresses=port.addresses[: 1 + b % 2]))


def delete_port(lab: Lab, a: int, _b: int) -> None:
    lab.delete(_any_port(lab, a))


def delete_network(lab: Lab, a: int, _b: int) -> None:
    lab.delete(NETWORKS[a % 4])


def delete_tenant(lab: Lab, a: int, _b: int) -> None:
    lab.delete(NETWORKS[a % 4].split("/networks/")[0])


def change_tenant(lab: Lab, a: int, b: int) -> None:
    lab.set_tenant_bandwidth(NETWORKS[a % 4].split("/")[1], POLICIES[b % 4])


def change_network(lab: Lab, a: int, b: int) -> None:
    lab.update(replace(lab.intent.networks[NETWORKS[a % 4]], bandwidth=POLICIES[b % 4]))


def _any_name(lab: Lab, a: int, b: int) -> str:
    if b % 4 == 3:
        return _any_pipe(lab, a).name
    return (_any_port(lab, a), NETWORKS[a % 4], NETWORKS[a % 4].split("/networks/")[0])[b % 4]


def change_rates(lab: Lab, a: int, b: int) -> None:
    name, rates = _any_name(lab, a, b), Rates(ceiling_in_kbps=64 * (a % 3), ceiling_out_kbps=100 * (b % 4))
    if b % 5:
        lab.rates[name] = rates
    else:
        lab.rates.pop(name, None)


def change_shares(lab: Lab, a: int, b: int) -> None:
    key = LEAVES[a % 3], _any_name(lab, a, b)
    if b % 5:
        lab.shares[key] = Share(in_kbps=64 * (a % 3), out_kbps=100 * (b % 4))
    else:
        lab.shares.pop(key, None)


def change_driver(lab: Lab, a: int, b: int) -> None:
    lab.observe(QueuesFound(dpid=LEAVES[a % 3], driver=("ovsdb", "tc", "")[b % 3],
                            shaped=Map({3 + a % 5: (1_000, 3_000)[b % 2]} if b % 4 else {})))


def change_path_policy(lab: Lab, a: int, b: int) -> None:
    network = lab.intent.networks[NETWORKS[a % 4]]
    lab.update(replace(network, path_policy=PATH_POLICIES[b % len(PATH_POLICIES)]))


def declare_zone(lab: Lab, a: int, b: int) -> None:
    dpid = sorted(lab.fabric.switches)[a % len(lab.fabric.switches)]
    lab.observe(SwitchDeclared(dpid=dpid, settings=SwitchSettings(zone=("", "x", "y")[b % 3])))


def create_pipe(lab: Lab, a: int, b: int) -> None:
    """Between two ports of one network, of one switch or of two."""
    ends = [port for port in sorted(lab.intent.ports) if port.startswith(NETWORKS[a % 4])]
    one = lab.intent.ports[ends[a % len(ends)]]
    lab.create(Pipe(
        name=f"{one.tenant}/pipes/p{b % 3}", a=one.name, b=ends[b % len(ends)], bandwidth=POLICIES[1 + b % 3]))


def create_pipe_on_peering(lab: Lab, a: int, b: int) -> None:
    peering = lab.intent.peerings[sorted(lab.intent.peerings)[a % len(lab.intent.peerings)]]
    ends = (peering.a, peering.b) if b % 2 else (peering.b, peering.a)
    lab.create(Pipe(name=f"{peering.tenant}/pipes/p{b % 3}", a=ends[0], b=ends[1], bandwidth=POLICIES[1 + b % 3]))


def _any_pipe(lab: Lab, a: int) -> Pipe:
    return lab.intent.pipes[sorted(lab.intent.pipes)[a % len(lab.intent.pipes)]]


def change_pipe(lab: Lab, a: int, b: int) -> None:
    lab.update(replace(_any_pipe(lab, a), bandwidth=POLICIES[b % 4]))


def delete_pipe(lab: Lab, a: int, _b: int) -> None:
    lab.delete(_any_pipe(lab, a).name)


def toggle_reach(lab: Lab, a: int, b: int) -> None:
    lab.unreachable ^= {(LEAVES[a % 3], LEAVES[b % 3])}


def renumber_trees(lab: Lab, a: int, _b: int) -> None:
    lab.version = a % 8


def toggle_link(lab: Lab, a: int, _b: int) -> None:
    src, dst = lab.wires[a % len(lab.wires)]
    link = lab.fabric.links.get(src)
    lab.observe(LinkLost(src=src) if link and link.up else LinkSeen(src=src, dst=dst))


def hear_host(lab: Lab, a: int, b: int) -> None:
    lab.observe(HostHeard(at=EndPoint(LEAVES[a % 3], 3 + b % 5)))


def change_features(lab: Lab, a: int, b: int) -> None:
    lab.connect(LEAVES[a % 3], features=(FEATURES, SwitchFeatures())[b % 2])


def forget_switch(lab: Lab, a: int, _b: int) -> None:
    dpid = LEAVES[a % 3]
    for name, at in list(lab.placement.at.items()):
        if at.dpid == dpid:
            lab.unbind(name)
    lab.observe(SwitchForgotten(dpid=dpid))


EDITS: tuple[Callable[[Lab, int, int], None], ...] = (
    create_network, create_subnet, delete_subnet, create_port, create_port, create_port, create_unattached_port,
    create_port_in_other_subnet, create_peering, create_peering, delete_peering,
    move_port, unbind_port, bind_port, change_port, delete_port, delete_network, delete_tenant, change_tenant,
    create_pipe, create_pipe, change_pipe, delete_pipe, create_pipe_on_peering, create_pipe_on_peering,
    change_network, change_rates, change_shares, change_driver, change_path_policy, change_path_policy, declare_zone,
    toggle_reach, renumber_trees, toggle_link, hear_host, change_features, forget_switch,
)  # fmt: skip


def _edit(lab: Lab, edit: Callable[[Lab, int, int], None], a: int, b: int) -> None:
    """An edit that the rules refuse, or that has nothing to work on, is no edit."""
    try:
        edit(lab, a, b)
    except (PliantError, ZeroDivisionError, KeyError):
        return


def _start() -> Lab:
    lab = Lab.leaf_spine(default_role=PortRole.AUTO)
    for i in range(4):
        create_network(lab, i, 0)
        for j in range(3):
            _edit(lab, create_port, 4 * j + i, i + j)
        _edit(lab, create_pipe, i, 1 + i)
    create_peering(lab, 0, 0)
    _edit(lab, create_pipe_on_peering, 0, 2)
    return lab


def _follow(lab: Lab, programs: Programs, before: World) -> World:
    """One step of an engine: recompile what may have changed."""
    after = lab.world
    for key in affected(before, after, lab.changed(before, after)):
        fragment = compile_fragment(after, key)
        if fragment is None:
            programs.pop(key, None)
        else:
            programs[key] = fragment
    lab.begin()
    return after


def _assert_disjoint(programs: Programs) -> None:
    """No two fragments of a switch hold the same flow, group or meter."""
    held: Counter[tuple[int, str, object]] = Counter()
    for key, fragment in programs.items():
        held.update((key.dpid, "flow", flow.key) for flow in fragment.flows)
        held.update((key.dpid, "group", group.id) for group in fragment.groups)
        held.update((key.dpid, "meter", meter.id) for meter in fragment.meters)
    assert [what for what, n in held.items() if n > 1] == []


_STEP = st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 255), st.integers(0, 255)), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(_STEP, min_size=1, max_size=8))
def test_incremental_programs_equal_programs_from_scratch(
    steps: list[list[tuple[Callable[[Lab, int, int], None], int, int]]],
) -> None:
    """After every step of random edits, squashed as they come, both hold the same fragments, byte for byte."""
    lab = _start()
    world = lab.world
    programs = compile_all(world)
    lab.begin()
    for step in steps:
        for edit, a, b in step:
            _edit(lab, edit, a, b)
        world = _follow(lab, programs, world)
        fresh = compile_all(world)
        assert programs.keys() == fresh.keys(), [edit.__name__ for edit, _, _ in step]
        assert [key for key in fresh if programs[key] != fresh[key]] == [], [edit.__name__ for edit, _, _ in step]
        _assert_disjoint(fresh)


def test_edge_that_gets_another_id_within_one_step_is_renamed_everywhere() -> None:
    """Its last port leaves and a port of another network comes: labels, choices and copies name the new edge id."""
    lab = Lab.leaf_spine()
    for tenant in ("red", "blue"):
        lab.network(tenant)
        lab.port(tenant, "here", at=(11, 3 if tenant == "red" else 4))
    last = lab.port("red", "there", at=(12, 3))
    world = lab.world
    programs = compile_all(world)
    lab.begin()
    lab.delete(last.name)
    lab.port("blue", "there", at=(12, 4))
    after = _follow(lab, programs, world)
    assert world.intent.keys.edge_id(12) != after.intent.keys.edge_id(12)
    assert programs == compile_all(after)


def test_port_costs_the_same_number_of_fragments_at_any_size() -> None:
    """One more port recompiles as many fragments in a network of 150 as in a network of 9."""
    costs = []
    for size in (9, 150):
        lab = Lab.leaf_spine(leaves=())
        for leaf in LEAVES:
            lab.connect(leaf, ports=range(1, 100))
        lab.network("red")
        for i in range(size):
            lab.port("red", f"p{i}", at=(LEAVES[i % 3], 10 + i // 3))
        before = lab.world
        lab.begin()
        lab.port("red", "new", at=(11, 99))
        after = lab.world
        costs.append(len(affected(before, after, lab.changed(before, after))))
    assert costs[0] == costs[1] <= 10


def test_pipe_concerns_its_own_fragments_only() -> None:
    """Its name is as long as a network's, and it is none."""
    lab = Lab.leaf_spine()
    lab.network("red")
    ends = [lab.port("red", f"p{leaf}", at=(leaf, 3)).name for leaf in (11, 12)]
    lab.create(Pipe(name="tenants/red/pipes/p", a=ends[0], b=ends[1], bandwidth=POLICIES[1]))
    before = lab.world
    lab.begin()
    lab.update(replace(_any_pipe(lab, 0), bandwidth=POLICIES[2]))
    found = affected(before, lab.world, lab.changed(before, lab.world))
    assert {(key.kind, key.dpid) for key in found} == {("pipe", 11), ("pipe", 12)}


def test_network_has_no_flows_where_it_is_not_present() -> None:
    """A switch learns a network's ports when its first port comes there, and forgets them all with the last."""
    lab = Lab.leaf_spine()
    lab.network("red")
    for i, leaf in enumerate((11, 11, 12)):
        lab.port("red", f"p{i}", at=(leaf, 3 + i))

    every = {"peer", "network", "route", "flood", "port", "tenant"}

    def known_on(dpid: int) -> set[str]:
        return {key.kind for key in lab.programs() if key.dpid == dpid} & every

    assert known_on(13) == set()
    port = lab.port("red", "late", at=(13, 3))
    assert known_on(13) == every
    lab.delete(port.name)
    assert known_on(13) == set()
