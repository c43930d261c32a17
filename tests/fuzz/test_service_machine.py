"""Any sequence of use cases, restarts and confirmations keeps the promises of the intent."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.intent.keys import Keys
from controller.intent.snapshot import Resource, Snapshot
from controller.model.bandwidth import BandwidthPolicy, Rates, Recurring, Window
from controller.model.errors import Internal, PliantError
from controller.model.network import Attachment, Network, Peering, Pipe, Port
from controller.model.tenancy import Quota, Tenant
from controller.service.archive import Archive
from controller.service.engine import Outcome
from controller.service.watch import EventKind
from tests.support.service import TIMEOUT_S, Service, assert_same, subnet

# So few names, addresses and switch ports that they collide all the time.
TENANTS = [f"tenants/t{n}" for n in range(2)]
NETWORKS = [f"{tenant}/networks/n{n}" for tenant in TENANTS for n in range(2)]
SUBNETS = [f"{network}/subnets/s{n}" for network in NETWORKS for n in range(2)]
PORTS = [f"{network}/ports/p{n}" for network in NETWORKS for n in range(4)]
PIPES = [f"{tenant}/pipes/x{n}" for tenant in TENANTS for n in range(2)]
PEERINGS = [f"{tenant}/peerings/y{n}" for tenant in TENANTS for n in range(2)]
NAMES = TENANTS + NETWORKS + SUBNETS + PORTS + PIPES + PEERINGS

NIGHT = Recurring(cron="0 20 * * *", duration_s=3_600)
windows = st.builds(Window, when=st.just(NIGHT), rates=st.builds(Rates, guarantee_in_kbps=st.sampled_from([0, 600])))
bandwidths = st.builds(
    BandwidthPolicy, ceiling_in_kbps=st.sampled_from([0, 0, 1_000]), guarantee_in_kbps=st.sampled_from([0, 0, 400]),
    schedule=st.lists(windows, max_size=1).map(tuple),
)
attachments = st.none() | st.builds(Attachment, dpid=st.integers(1, 2), port_no=st.integers(1, 3))


@st.composite
def ports(draw: st.DrawFn) -> Port:
    name = draw(st.sampled_from(PORTS))
    return Port(
        name=name, subnet=f"{name.rpartition('/ports/')[0]}/subnets/s{draw(st.integers(0, 1))}", mac="",
        addresses=draw(st.sampled_from([(), (IPv4Address("10.0.0.2"),), (IPv4Address("10.0.0.6"),)])),
        attachment=draw(attachments), bandwidth=draw(bandwidths),
    )


def sides(name: str) -> st.SearchStrategy[list[str]]:
    """The two networks of a tenant, either way round."""
    return st.permutations([network for network in NETWORKS if network.startswith("/".join(name.split("/")[:2]))])


@st.composite
def peerings(draw: st.DrawFn) -> Peering:
    name = draw(st.sampled_from(PEERINGS))
    a, b = draw(sides(name))
    return Peering(name=name, a=a, b=b)


@st.composite
def pipes(draw: st.DrawFn) -> Pipe:
    name = draw(st.sampled_from(PIPES))
    network = f"{name.rpartition('/pipes/')[0]}/networks/n{draw(st.integers(0, 1))}"
    a, b = draw(st.permutations(range(4)))[:2]
    if draw(st.integers(0, 2)) == 0:
        return Pipe(name=name, **dict(zip("ab", draw(sides(name)), strict=True)), bandwidth=draw(bandwidths))
    return Pipe(name=name, a=f"{network}/ports/p{a}", b=f"{network}/ports/p{b}", bandwidth=draw(bandwidths))


tenants = st.builds(
    Tenant, name=st.sampled_from(TENANTS), quota=st.builds(Quota, ports=st.integers(2, 9)), bandwidth=bandwidths)
networks = st.builds(Network, name=st.sampled_from(NETWORKS), bandwidth=bandwidths)
subnets = st.builds(
    subnet, st.sampled_from(SUBNETS), st.sampled_from(["10.0.0.0/29", "10.0.0.8/29", "10.0.0.0/28", "10.0.1.0/29"]))
objects: st.SearchStrategy[Resource] = st.one_of(
    ports(), ports(), pipes(), peerings(), subnets, networks, tenants)

Holder = tuple[str, ...]


class ServiceMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="pliant-machine-"))
        self.service = Service(self.directory / "p.db")
        self.watch = self.service.engine.watch()
        self.view: dict[str, Resource] = {}
        self.freed_at: dict[Holder, int] = {}
        self.requests: dict[str, Outcome] = {}
        self.checked = 0

    def teardown(self) -> None:
        self.service.stop()
        shutil.rmtree(self.directory)

    def perform(self, call: Callable[..., Future[Outcome]], *arguments: object, **how: object) -> None:
        """Any refusal is fine, and changes nothing; a defect is not."""
        before = self.service.engine.snapshot()
        request_id = f"r{len(self.requests)}"
        future = call(*arguments, request_id=request_id, digest=b"", **how)
        error = future.exception(TIMEOUT_S)
        if error is None:
            self.requests[request_id] = future.result()
            return
        assert isinstance(error, PliantError), error
        assert not isinstance(error, Internal), error
        assert self.service.engine.snapshot() is before

    @initialize()
    def begin_with_something(self) -> None:
        """Two networks of each tenant, so that ports find a place from the first step on."""
        begin: list[Resource] = [Tenant(name=name) for name in TENANTS]
        begin += [Network(name=name) for name in NETWORKS]
        begin += [subnet(name, f"10.0.{number % 2}.0/29") for number, name in enumerate(SUBNETS[::2])]
        self.perform(self.service.engine.apply, begin)

    @rule(obj=objects)
    def create(self, obj: Resource) -> None:
        self.perform(self.service.engine.create, obj)

    @rule(batch=st.lists(ports(), max_size=4))
    def create_many(self, batch: list[Port]) -> None:
        self.perform(self.service.engine.create_many, batch)

    @rule(name=st.sampled_from(PORTS), attachment=attachments, bandwidth=bandwidths)
    def update_port(self, name: str, attachment: Attachment | None, bandwidth: BandwidthPolicy) -> None:
        def edit(port: Port) -> Port:
            return replace(port, attachment=attachment, bandwidth=bandwidth)

        self.perform(self.service.engine.update, name, edit)

    @rule(name=st.sampled_from(TENANTS + NETWORKS + PORTS + PIPES), bandwidth=bandwidths)
    def update_bandwidth(self, name: str, bandwidth: BandwidthPolicy) -> None:
        def edit(obj: Tenant | Network | Port | Pipe) -> Resource:
            return replace(obj, bandwidth=bandwidth)

        self.perform(self.service.engine.update, name, edit)

    @rule(name=st.sampled_from(NAMES), force=st.booleans(), allow_missing=st.booleans())
    def delete(self, name: str, force: bool, allow_missing: bool) -> None:
        self.perform(self.service.engine.delete, name, force=force, allow_missing=allow_missing)

    @rule(puts=st.lists(objects, max_size=8), deletes=st.lists(st.sampled_from(NAMES), max_size=3), force=st.booleans())
    def apply(self, puts: list[Resource], deletes: list[str], force: bool) -> None:
        self.perform(self.service.engine.apply, puts, deletes, force=force)

    @rule(name=st.sampled_from(TENANTS + NETWORKS + PORTS))
    def recreate(self, name: str) -> None:
        """What is deleted and created again holds other numbers, or the quarantine has a hole."""
        again = [obj for obj in self.service.engine.snapshot().objects() if f"{obj.name}/".startswith(f"{name}/")]
        self.perform(self.service.engine.delete, name, force=True)
        self.perform(self.service.engine.apply, again)

    @rule(obj=objects)
    def validate(self, obj: Resource) -> None:
        before = self.service.engine.snapshot()
        self.perform(self.service.engine.create, obj, validate_only=True)
        self.requests.pop(f"r{len(self.requests) - 1}", None)
        assert self.service.engine.snapshot() is before

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Whatever the repeated call says, it gets the first outcome."""
        request_id = data.draw(st.sampled_from(sorted(self.requests)))
        again = self.service.engine.delete(TENANTS[0], force=True, request_id=request_id, digest=b"").result(TIMEOUT_S)
        assert again == replace(self.requests[request_id], replayed=True)

    @rule(behind=st.integers(0, 5))
    def switches_confirm(self, behind: int) -> None:
        newest = self.service.engine.snapshot().generation
        self.service.status.confirmed = max(self.service.status.confirmed, newest - behind)

    @rule()
    def restart(self) -> None:
        before = self.service.engine.snapshot()
        self.follow()
        self.service.restart()
        assert_same(self.service.engine.snapshot(), before)
        self.watch = self.service.engine.watch(start_revision=before.generation)

    @invariant()
    def store_holds_what_memory_holds(self) -> None:
        assert_same(Archive(self.service.store).newest, self.service.engine.snapshot())

    @invariant()
    def indexes_follow_from_the_objects(self) -> None:
        snapshot = self.service.engine.snapshot()
        assert Snapshot.rebuild(snapshot.objects(), snapshot.keys, snapshot.generation) == snapshot

    @invariant()
    def pools_and_ceilings_hold_what_is_promised(self) -> None:
        """Walked object by object, where the rules look sums up."""
        snapshot = self.service.engine.snapshot()
        for stage in range(2):
            for network in snapshot.networks.values():
                inward_kbps = promised(snapshot, network.name, stage)
                assert_within(network.bandwidth, inward_kbps, stage)
            for tenant in snapshot.tenants.values():
                total = 0
                for name in snapshot.networks_by_tenant.get(tenant.name, ()):
                    pool = snapshot.networks[name].bandwidth
                    total += at(pool, stage).guarantee_in_kbps if pooled(pool) else promised(snapshot, name, stage)
                assert_within(tenant.bandwidth, total, stage)

    @invariant()
    def no_number_is_reused_before_all_switches_let_go(self) -> None:
        for commit in self.service.commits[self.checked:]:
            before, after = holders(commit.previous.keys), holders(commit.snapshot.keys)
            for number in before.keys() | after.keys():
                if before.get(number) == after.get(number):
                    continue
                if number in after:
                    assert self.freed_at.get(number, 0) <= self.service.status.confirmed, number
                    assert number not in before, f"{number} changed hands within one generation"
                else:
                    self.freed_at[number] = commit.generation
        self.checked = len(self.service.commits)

    @invariant()
    def generations_are_contiguous(self) -> None:
        assert [commit.generation for commit in self.service.commits] == list(range(1, len(self.service.commits) + 1))
        assert self.service.store.revision() == self.service.engine.snapshot().generation

    @invariant()
    def watcher_sees_what_is(self) -> None:
        self.follow()
        assert self.view == {obj.name: obj for obj in self.service.engine.snapshot().objects()}

    def follow(self) -> None:
        while events := self.watch.take():
            for event in events:
                if event.kind is EventKind.DELETED:
                    del self.view[event.name]
                elif event.resource is not None:
                    self.view[event.name] = event.resource


def at(policy: BandwidthPolicy, stage: int) -> Rates:
    """Outside the night (0), or inside it (1)."""
    return policy.schedule[0].rates if stage and policy.schedule else policy.rates


def pooled(policy: BandwidthPolicy) -> bool:
    return any(at(policy, stage).guarantee_in_kbps for stage in range(2))


def promised(snapshot: Snapshot, network: str, stage: int) -> int:
    """What the ports and pipes of a network are guaranteed to receive."""
    inside = [obj.bandwidth for obj in snapshot.ports.values() if obj.network == network]
    inside += [obj.bandwidth for obj in snapshot.pipes.values() if obj.a.startswith(f"{network}/")]
    return sum(at(policy, stage).guarantee_in_kbps for policy in inside)


def assert_within(policy: BandwidthPolicy, inward_kbps: int, stage: int) -> None:
    rates = at(policy, stage)
    if pooled(policy):
        assert inward_kbps <= rates.guarantee_in_kbps
    elif rates.ceiling_in_kbps:
        assert inward_kbps <= rates.ceiling_in_kbps


def holders(keys: Keys) -> dict[Holder, str]:
    """Every number in use, named by its pool and value -> who has it."""
    held: dict[Holder, str] = {}

    def hold(holder: str, *number: object) -> None:
        assert held.setdefault(tuple(map(str, number)), holder) == holder, f"{number} has two holders"

    for tenant, value in keys.tenant_ids.items():
        hold(tenant, "tenant", value)
    for network, value in keys.slices.items():
        hold(network, "slice", value)
    for dpid, value in keys.edge_ids.items():
        hold(str(dpid), "edge", value)
    for port, key in keys.port_keys.items():
        hold(port, "port", key.dpid, key.key24)
        hold(port, "slot", key.dpid, key.slot)
    for pipe, value in keys.pipe_ids.items():
        hold(pipe, "pipe", value)
    for name, value in keys.queue_ids.items():
        hold(name, "queue", value)
    for (dpid, name), value in keys.slots.items():
        hold(name, "slot", dpid, value)
    return held


TestServiceMachine = ServiceMachine.TestCase
TestServiceMachine.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
