"""The law of the engine: after every step of any order of events, incremental equals full, byte for byte.

And more that must hold on the way: a step's targets are exactly what differs, what switches refuse comes back, nobody
hears another tenant, no frame circles.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from itertools import product

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings
from immutables import Map

from controller.fabric.declared import LinkSettings, SwitchSettings
from controller.fabric.events import HostHeard, LinkDeclared, QueuesFound, RoleDeclared, SwitchDeclared
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.policy import PolicyPaths
from controller.fabric.ports import EndPoint, PortRole, SwitchFeatures
from controller.model.bandwidth import NO_POLICY, BandwidthPolicy, OnFailure, Rates, TrafficClass
from controller.model.errors import PliantError
from controller.model.network import ANY_PATH, Network, PathPolicy, Pipe, Port, Spread
from controller.pipeline.tables import QUEUE
from controller.pipeline.views import reached_by
from controller.pipeline.world import Share, World
from controller.reconcile.owners import OwnersBook, owners_on
from controller.reconcile.reconciler import Outcome
from controller.reconcile.spread import Spread as OwnersSpread
from controller.reconcile.steering import PolicyState
from controller.reconcile.touched import EVERYTHING
from tests.sequences.simulation import FEATURES, LEAVES, Simulation
from tests.sequences.states import far_pipe, far_port, network_name, peered, port, port_name, tenant
from tests.sequences.traffic import check_isolation, expected_reach, reach

TENANTS, PORTS = ("red", "blue", "green"), "abcd"
PATH_POLICIES = (
    ANY_PATH, PathPolicy(avoid_zones=("x",)), PathPolicy(avoid_zones=("x", "y"), max_latency_us=5),
    PathPolicy(trees=(1,)), PathPolicy(spread=Spread.TOGETHER), PathPolicy(trees=(0, 3), avoid_zones=("y",)),
)
POLICIES = (
    NO_POLICY, NO_POLICY, NO_POLICY, BandwidthPolicy(ceiling_in_kbps=1_000, ceiling_out_kbps=2_000),
    # More than a link carries, of two of them together.
    BandwidthPolicy(guarantee_in_kbps=500_000, guarantee_out_kbps=600_000),
    BandwidthPolicy(guarantee_out_kbps=300_000, traffic_class=TrafficClass.CRITICAL, on_failure=OnFailure.KEEP),
)


class Course:
    """A simulation, the books of its engine, and every port that ever was."""

    def __init__(self) -> None:
        self.sim = Simulation()
        self.hosts: dict[Port, None] = {}
        self.programs: dict[int, dict[object, object]] = {}
        self.turns = 0
        self.spread, self.owners, self.facts = OwnersSpread(), OwnersBook(), dict[tuple[str, Hashable], object]()
        self.journal = self.sim.reconciler.journal
        self.touched = self.journal.reader()
        self.sim.after_step = self.check_step
        for one in TENANTS[:2]:
            self.put(one, "a", 11, 3 + TENANTS.index(one))
            self.put(one, "b", 12, 3 + TENANTS.index(one))
        self.sim.settle()

    def put(self, tenant_name: str, name: str, dpid: int, port_no: int, policy: BandwidthPolicy = NO_POLICY) -> None:
        objects = {} if f"tenants/{tenant_name}" in self.sim.intent.tenants else tenant(tenant_name, {})
        made = port(tenant_name, name, (dpid, port_no), policy)
        self.sim.apply([*objects.values(), made])
        self.hosts[made] = None

    def check_step(self, outcome: Outcome) -> None:
        """Incremental equals full, and the targets are exactly what differs from the step before."""
        self.sim.check_programs()
        engine = self.sim.reconciler.engine
        for dpid in self.programs.keys() | engine.programs.keys():
            before, after = self.programs.get(dpid, {}), dict(engine.programs.get(dpid, {}))
            keys = (key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
            differing = {key: after.get(key) for key in keys}
            if dpid in self.sim.reconciler.fabric.switches:
                assert outcome.targets.get(dpid, {}) == differing
            else:
                assert not after and dpid not in outcome.targets
        self.programs = {dpid: dict(program) for dpid, program in engine.programs.items()}
        self.check_journal()

    def check_journal(self) -> None:
        """Nothing is other than before that the journal does not name; and who follows it has what a fresh walk finds.
        """
        reconciler = self.sim.reconciler
        if self.journal is not reconciler.journal:  # it was restarted
            self.journal = reconciler.journal
            self.touched = self.journal.reader()
        world, touched = reconciler.view.world, self.touched()
        before, self.facts = self.facts, facts(world)
        if not touched.everything:
            known = {*(("object", name) for name in touched.names), *(("switch", dpid) for dpid in touched.switches),
                     *(("link", src) for src in touched.links)}
            differing = {what for what in before.keys() | self.facts.keys()
                         if before.get(what) != self.facts.get(what)}
            assert differing <= known
        fresh = OwnersSpread()
        fresh.follow(world, EVERYTHING)
        self.spread.follow(world, touched)
        assert self.spread == fresh
        self.owners.follow(world, touched)
        assert all(self.owners.on(dpid) == owners_on(world, dpid) for dpid in world.fabric.switches)

    def restart(self) -> None:
        self.programs = {}
        self.sim.restart()


def facts(world: World) -> dict[tuple[str, Hashable], object]:
    """What threads beside the reconcile thread keep something about."""
    names = {*(obj.name for obj in world.intent.objects()), *world.placement.at, *world.rates}
    return {
        **{("object", name): (world.intent.get(name), world.placement.at.get(name), world.rates.get(name))
           for name in names},
        **{("switch", dpid): switch for dpid, switch in world.fabric.switches.items()},
        **{("link", src): link for src, link in world.fabric.links.items()}}


def put_port(course: Course, a: int, b: int) -> None:
    course.put(TENANTS[a % 3], PORTS[b % 4], LEAVES[a // 3 % 3], 3 + b // 4 % 3, POLICIES[b % 6])


def delete_port(course: Course, a: int, b: int) -> None:
    course.sim.apply((), [port_name(TENANTS[a % 3], PORTS[b % 4])])


def limit_port(course: Course, a: int, b: int) -> None:
    """Another policy for a port, and nothing else."""
    name = port_name(TENANTS[a % 3], PORTS[b % 4])
    if (found := course.sim.intent.ports.get(name)) is not None:
        course.sim.apply([replace(found, bandwidth=POLICIES[a // 3 % 6])])


def detach_port(course: Course, a: int, b: int) -> None:
    course.sim.apply([port(TENANTS[a % 3], PORTS[b % 4], None)])


def delete_tenant(course: Course, a: int, _: int) -> None:
    course.sim.apply((), [f"tenants/{TENANTS[a % 3]}"])


def renew_network(course: Course, a: int, b: int) -> None:
    """Gone and there again, with a port, within one step."""
    one = TENANTS[a % 3]
    course.sim.apply((), [network_name(one)])
    course.sim.apply([*tenant(one, {}).values()])
    course.put(one, PORTS[b % 4], LEAVES[b % 3], 3 + a % 3)


def change_tenant(course: Course, a: int, b: int) -> None:
    course.sim.apply([tenant(TENANTS[a % 3], {}, POLICIES[b % 6])[f"tenants/{TENANTS[a % 3]}"]])


def put_pipe(course: Course, a: int, b: int) -> None:
    """Between any two ports of a tenant, if both are there."""
    one = TENANTS[a % 3]
    a_port, b_port = port_name(one, PORTS[b % 4]), port_name(one, PORTS[(b + 1 + b // 4 % 3) % 4])
    course.sim.apply([Pipe(name=f"tenants/{one}/pipes/p{b % 2}", a=a_port, b=b_port, bandwidth=POLICIES[a % 6])])


def delete_pipe(course: Course, a: int, b: int) -> None:
    course.sim.apply((), [f"tenants/{TENANTS[a % 3]}/pipes/p{b % 2}"])


def put_far(course: Course, a: int, b: int) -> None:
    """A port of the tenant's other network, which is its network's peer."""
    one = TENANTS[a % 3]
    objects = {**tenant(one, {}), **peered(one, {})}
    at = LEAVES[a // 3 % 3], 6 + b // 4 % 3
    missing = [obj for name, obj in objects.items() if course.sim.intent.get(name) is None]
    course.sim.apply([*missing, far_port(one, PORTS[b % 4], at if b % 8 else None)])


def put_far_pipe(course: Course, a: int, b: int) -> None:
    course.sim.apply([far_pipe(TENANTS[a % 3], POLICIES[b % 6])])


def delete_peering(course: Course, a: int, _: int) -> None:
    course.sim.apply((), [f"tenants/{TENANTS[a % 3]}/peerings/far"])


def change_rates(course: Course, a: int, b: int) -> None:
    """A window opens or closes: for a port, a network, a tenant, a pipe, or one that does not exist."""
    one = TENANTS[a % 3]
    name = (port_name(one, PORTS[b % 4]), network_name(one), f"tenants/{one}", f"tenants/{one}/pipes/far")[b % 4]
    course.sim.set_rates({name: (None, Rates(), Rates(ceiling_in_kbps=500, ceiling_out_kbps=64 + a))[a % 3]})


def change_shares(course: Course, a: int, b: int) -> None:
    """Shares move: wherever the tenant is, was, or never was."""
    share = (None, Share(), Share(in_kbps=100 + a, out_kbps=64), Share(out_kbps=100_000))[b % 4]
    one = TENANTS[b % 3]
    name = (f"tenants/{one}", network_name(one), f"tenants/{one}/pipes/far")[a % 3]
    course.sim.set_shares({(_any(course, a), name): share})


def change_network(course: Course, a: int, b: int) -> None:
    one = network_name(TENANTS[a % 3])
    course.sim.apply([replace(tenant(TENANTS[a % 3], {})[one], bandwidth=POLICIES[b % 6])])


def find_queues(course: Course, a: int, b: int) -> None:
    course.sim.observe(QueuesFound(dpid=_any(course, a), driver=("ovsdb", "tc", "")[b % 3],
                                   shaped=Map({10 + a % 9: 2_000} if b % 2 else {})))


def change_path_policy(course: Course, a: int, b: int) -> None:
    course.sim.apply([Network(name=network_name(TENANTS[a % 3]), path_policy=PATH_POLICIES[b % len(PATH_POLICIES)])])


def declare_zone(course: Course, a: int, b: int) -> None:
    course.sim.observe(SwitchDeclared(dpid=_any(course, a), settings=SwitchSettings(zone=("", "x", "y")[b % 3])))


def lose_link(course: Course, a: int, _: int) -> None:
    course.sim.link_lost(course.sim.wires[a % 6])


def find_link(course: Course, a: int, _: int) -> None:
    course.sim.link_seen(course.sim.wires[a % 6])


def fail_port(course: Course, a: int, b: int) -> None:
    course.sim.port_down(EndPoint(LEAVES[a % 3], 1 + b % 4))


def mend_port(course: Course, a: int, b: int) -> None:
    course.sim.port_up(EndPoint(LEAVES[a % 3], 1 + b % 4))


def hear_host(course: Course, a: int, b: int) -> None:
    course.sim.observe(HostHeard(at=EndPoint(LEAVES[a % 3], 3 + b % 3)))


def declare_role(course: Course, a: int, b: int) -> None:
    dpid, role = LEAVES[a % 3], (None, PortRole.EDGE, PortRole.FABRIC)[b % 3]
    course.sim.observe(RoleDeclared(dpid=dpid, interface=f"s{dpid}-{1 + a % 5}", role=role))


def drain_link(course: Course, a: int, b: int) -> None:
    settings = LinkSettings(drained=b % 3 != 0, cost=1 + b % 2)
    course.sim.observe(LinkDeclared(src=course.sim.wires[a % 6][b % 2], settings=settings))


def drain_switch(course: Course, a: int, b: int) -> None:
    course.sim.observe(SwitchDeclared(dpid=_any(course, a), settings=SwitchSettings(drained=b % 2 == 0)))


def disconnect(course: Course, a: int, b: int) -> None:
    course.sim.disconnect(_any(course, a), arriving=b % 20)


def connect(course: Course, a: int, b: int) -> None:
    course.sim.features = (FEATURES, SwitchFeatures(max_groups=0xFFFFFF00))[b % 8 == 0]
    course.sim.connect(_any(course, a))
    course.sim.features = FEATURES


def wipe(course: Course, a: int, _: int) -> None:
    course.sim.wipe(_any(course, a))


def forget(course: Course, a: int, _: int) -> None:
    """The operator takes a switch away, which has been switched off for that."""
    dpid = _any(course, a)
    course.sim.disconnect(dpid)
    course.sim.switches[dpid].__init__(dpid, course.sim.port_numbers)  # type: ignore[misc]
    course.sim.forget(dpid)


def restart(course: Course, _a: int, b: int) -> None:
    course.restart()
    for dpid in sorted(course.sim.switches)[b % 3 :]:
        course.sim.connect(dpid)


def refuse(course: Course, a: int, b: int) -> None:
    course.sim.refuses = lambda dpid, mark: hash((dpid, mark.table, mark.key, a)) % (4 + b % 16) == 0


def accept(course: Course, _a: int, _b: int) -> None:
    course.sim.refuses = lambda dpid, mark: False
    for dpid, channel in course.sim.channels.items():
        if channel.is_read and not channel.steps and not channel.session.in_sync:
            course.sim.retry(dpid)


def turn(course: Course, a: int, b: int) -> None:
    for _ in range(1 + b % 40):
        course.sim.turn(_any(course, a))


def run(course: Course, a: int, _: int) -> None:
    course.sim.run(_any(course, a))


def reconcile(course: Course, _a: int, _b: int) -> None:
    course.sim.reconcile()


def settle(course: Course, _a: int, _b: int) -> None:
    course.sim.settle()


def _any(course: Course, a: int) -> int:
    return sorted(course.sim.switches)[a % len(course.sim.switches)]


def check_steers(sim: Simulation) -> None:
    """What is written on the frames of each network is what its policy wants of the labels that stand now."""
    engine = sim.reconciler.engine
    paths = PolicyPaths(Topology.of(engine.world.fabric))
    for name, network in engine.world.intent.networks.items():
        state = engine.steering.states.get(name, PolicyState())
        assert not (state.waiting or state.held_back)
        for src, dst in product(engine.world.placement.presence.get(name, ()), reached_by(engine.world, name)):
            if src == dst:
                continue
            steer = engine.world.steers.get(src, Map()).get((name, dst))
            version, policy = engine.labelling.in_use(src, dst), network.path_policy
            if version is None or policy == ANY_PATH:
                assert steer is None
                continue
            verdict = paths.verdict_for(name, src, dst, policy, version.hops, is_settled=not version.earlier)
            if verdict.any_tree:
                assert steer is None
                continue
            assert steer is not None
            assert [*steer.trees] == [way.tree for way in verdict.ways if way.tree is not None]
            explicit = [way.route for way in verdict.ways if way.tree is None]
            assert [engine.steering.route(number) for number in steer.numbers] == explicit
            assert not steer.trees or steer.version == version.version


Act = Callable[[Course, int, int], None]
ACTS: tuple[Act, ...] = (
    put_port, put_port, put_port, delete_port, delete_port, limit_port, limit_port, detach_port, delete_tenant,
    renew_network, change_tenant,
    change_network, change_rates, change_shares, find_queues, change_path_policy, change_path_policy, declare_zone,
    put_pipe, put_pipe, delete_pipe, put_far, put_far, put_far_pipe, delete_peering, lose_link, find_link, fail_port,
    mend_port, hear_host, declare_role, drain_link, drain_switch, disconnect, connect, connect, wipe, forget,
    restart, refuse, accept, turn, turn, turn, turn, run, run, reconcile, reconcile, settle,
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 255), st.integers(0, 255)), min_size=5, max_size=30))
def test_incremental_equals_full_after_every_step(acts: list[tuple[Act, int, int]]) -> None:
    """Over random commits, failures, connections, restarts, refusals and confirmations in any order.

    On the way nobody hears a network that is not theirs and no frame circles; in the end every switch in reach holds
    what a compile from scratch makes, and whoever the fabric joins reaches each other.
    """
    course = Course()
    sim = course.sim
    for act, a, b in acts:
        try:
            act(course, a, b)
        except PliantError:
            continue
        course.turns += 1
        check_isolation(sim, course.hosts, of=12, turn=course.turns)
    accept(course, 0, 0)
    sim.settle()
    accept(course, 0, 0)
    sim.settle()
    sim.check_installed()
    for dpid in sim.switches:
        for at in [EndPoint(dpid, n) for n in sim.switches[dpid].down]:
            sim.port_up(at)
        sim.observe(RoleDeclared(dpid=dpid, interface="", role=None))
        if dpid not in sim.channels:
            sim.connect(dpid)
    sim.settle()
    sim.check_installed()
    check_steers(sim)
    if not sim.reconciler.fabric.declared_roles:
        for wire in sim.wires:
            sim.link_seen(wire)
        sim.settle()
        sim.check_installed()
        assert reach(sim) <= expected_reach(sim.placed)


def test_port_that_went_and_came_back_between_two_steps_has_its_new_key_everywhere() -> None:
    """It stands where it stood and is bound as it was, but its number is another one: the copies of floods, too."""
    course = Course()
    sim, name = course.sim, port_name("red", "a")
    before = sim.intent.keys.port_keys[name]
    sim.apply((), [name])
    sim.apply([port("red", "a", (11, 3))])
    assert sim.intent.keys.port_keys[name].key24 != before.key24
    sim.settle()
    sim.check_installed()
    assert reach(sim) <= expected_reach(sim.placed)


def test_queues_follow_networks_and_guarantees_where_flows_choose_them() -> None:
    """A network comes, goes and comes back; the tenant's guarantee goes and returns: a flow for each while it is there.
    """
    course = Course()
    sim, plain = course.sim, port("red", "a", (11, 3))
    promised = replace(plain, bandwidth=BandwidthPolicy(guarantee_out_kbps=1_000))
    sim.observe(QueuesFound(dpid=11, driver="ovsdb"))
    late = Network(name="tenants/red/networks/late")
    for objects, gone, expected in (
        ([promised], (), 1), ([late], (), 2), ([], [late.name], 1), ([late], (), 2), ([plain], (), 0),
        ([promised], (), 2),
    ):
        sim.apply(objects, gone)
        sim.settle()  # incremental equals full after each step
        flows = [flow for flow in sim.switches[11].flows if flow.table == QUEUE.number and flow.priority]
        assert len(flows) == expected
