"""Worlds for tests of the pipeline: asked state by the real edits, observed state by events, labels from real trees.

    lab = Lab.leaf_spine()                             spines 1, 2; leaves 11, 12, 13; hosts on ports 3.. of a leaf
    lab.network("red")                                 tenant, network and subnet at once: 10.0.0.0/24 and fd00::/64
    lab.port("red", "a", at=(11, 3))                   created, attached, bound
    lab.world                                          what the compiler sees
    lab.fake_network()                                 every switch programmed, hosts where no wire is
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any, TypeVar

from immutables import Map

from controller.fabric.explicit import Steer
from controller.fabric.graph import (
    EndPoint,
    Event,
    Fabric,
    LinkSeen,
    PortRole,
    PortsBound,
    RoleDeclared,
    SwitchConnected,
    SwitchFeatures,
    SwitchPort,
)
from controller.fabric.labels import Choice, LabelHop, TreeVersion, label_hops
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.plan import Planner
from controller.fabric.paths.policy import PolicyPaths
from controller.intent import edits
from controller.intent.snapshot import EMPTY, Resource, Snapshot
from controller.model.bandwidth import NO_POLICY, BandwidthPolicy, Rates
from controller.model.ids import tenant_of
from controller.model.network import ANY_PATH, Attachment, Network, Peering, Pipe, Port, Subnet
from controller.model.tenancy import Tenant
from controller.pipeline.affected import Changed
from controller.pipeline.compiler import all_fragments, compile_fragment
from controller.pipeline.views import policy_of, reached_by
from controller.pipeline.world import Fragment, FragmentKey, Placement, Share, World
from controller.reconcile.path_pool import PathPool
from controller.reconcile.placing import displace, place
from tests.fakes.data_plane import FakeNetwork, FakeSwitch

SPINES, LEAVES = (1, 2), (11, 12, 13)
LEAF_PORTS = range(1, 9)
HOST_PORTS = range(3, 9)
FEATURES = SwitchFeatures(max_meters=262_144, meter_pktps=True, max_groups=0xFFFFFF00)

K = TypeVar("K")
Programs = dict[FragmentKey, Fragment]


class Lab:
    """A world that is edited step by step; `changed` gathers what an engine would have noted since `begin`."""

    def __init__(self, *, default_role: PortRole = PortRole.EDGE) -> None:
        self.intent: Snapshot = EMPTY
        self.fabric = Fabric(default_role=default_role)
        self.placement = Placement()
        self.version = 1
        self.unreachable: set[tuple[int, int]] = set()
        """(dpid, edge) without a usable label"""
        self.wires: list[tuple[EndPoint, EndPoint]] = []
        self.rates: dict[str, Rates] = {}
        self.shares: dict[tuple[int, str], Share] = {}
        self.begin()

    @classmethod
    def leaf_spine(
        cls, *, features: SwitchFeatures = FEATURES, default_role: PortRole = PortRole.EDGE,
        spines: Iterable[int] = SPINES, leaves: Iterable[int] = LEAVES,
    ) -> Lab:
        lab = cls(default_role=default_role)
        for dpid in (*spines, *leaves):
            lab.connect(dpid, features=features)
        for i, leaf in enumerate(leaves, start=1):
            for j, spine in enumerate(spines, start=1):
                lab.wire(EndPoint(leaf, j), EndPoint(spine, i))
        return lab

    # -- observed

    def observe(self, event: Event) -> None:
        self.fabric, change = self.fabric.apply(event)
        self._switch_ports |= change.ports
        self._switches |= change.switches

    def connect(self, dpid: int, *, features: SwitchFeatures = FEATURES, ports: Iterable[int] = LEAF_PORTS) -> None:
        listed = tuple(
            SwitchPort(port_no=n, name=f"s{dpid}-{n}", mac=f"0e:00:00:00:{dpid:02x}:{n:02x}", up=True) for n in ports
        )
        self.observe(SwitchConnected(dpid=dpid, features=features, ports=listed))

    def wire(self, one: EndPoint, other: EndPoint) -> None:
        for at in (one, other):
            if self.fabric.role(at) is PortRole.EDGE:
                self._declare_fabric(at)
        self.observe(LinkSeen(src=one, dst=other))
        self.observe(LinkSeen(src=other, dst=one))
        self.wires.append((one, other))

    def _declare_fabric(self, at: EndPoint) -> None:
        self.observe(RoleDeclared(dpid=at.dpid, interface=f"s{at.dpid}-{at.port_no}", role=PortRole.FABRIC))

    # -- asked

    def create(self, obj: Resource) -> Resource:
        generation = self.intent.generation + 1
        uid = f"uid-{generation}"
        intent, made = edits.create(self.intent, obj, floor=generation - 1, generation=generation, now_s=0.0, uid=uid)
        self._commit(intent, obj.name)
        return made

    def update(self, obj: Resource) -> None:
        generation = self.intent.generation + 1
        intent, _ = edits.update(self.intent, obj, floor=generation - 1, generation=generation)
        self._commit(intent, obj.name)

    def delete(self, name: str) -> None:
        generation = self.intent.generation + 1
        intent, gone = edits.delete(self.intent, name, force=True, floor=generation - 1, generation=generation)
        for one in gone:
            self.unbind(one)
        self._commit(intent, *gone)

    def _commit(self, intent: Snapshot, *names: str) -> None:
        self.intent = intent.at_generation(self.intent.generation + 1)
        self._objects.update(names)

    def network(self, tenant: str, network: str = "net", *, ipv4: str = "10.0.0.0/24", ipv6: str = "fd00::/64") -> str:
        """The tenant (if new), the network and one subnet of it; returns the network's name."""
        name = f"tenants/{tenant}/networks/{network}"
        if f"tenants/{tenant}" not in self.intent.tenants:
            self.create(Tenant(name=f"tenants/{tenant}"))
        self.create(Network(name=name))
        self.subnet(name, "sub", ipv4, ipv6)
        return name

    def subnet(self, network: str, subnet: str, ipv4: str, ipv6: str = "") -> str:
        """Another subnet of a network (by its full name); returns its name."""
        cidrs: dict[str, Any] = {"ipv4_cidr": ip_network(ipv4)} if ipv4 else {}
        cidrs |= {"ipv6_cidr": ip_network(ipv6)} if ipv6 else {}
        name = f"{network}/subnets/{subnet}"
        self.create(Subnet(name=name, **cidrs))
        return name

    def port(
        self, network: str, port: str, *, at: tuple[int, int] | None, mac: str = "", addresses: Iterable[str] = (),
        bandwidth: BandwidthPolicy = NO_POLICY, bind: bool = True, subnet: str = "sub",
    ) -> Port:
        """A port of `network` (a full name, or a tenant whose network is "net"), bound where it is attached."""
        parent = network if "/" in network else f"tenants/{network}/networks/net"
        asked = Port(
            name=f"{parent}/ports/{port}", subnet=f"{parent}/subnets/{subnet}", mac=mac,
            addresses=tuple(map(ip_address, addresses)), bandwidth=bandwidth,
            attachment=Attachment(dpid=at[0], port_no=at[1]) if at else None,
        )
        made = self.create(asked)
        assert isinstance(made, Port)
        if at and bind:
            self.bind(made.name, EndPoint(*at))
        return made

    def pipe(self, tenant: str, pipe: str, a: str, b: str, bandwidth: BandwidthPolicy) -> Pipe:
        """Between two ports of the tenant's network "net"."""
        a, b = (f"tenants/{tenant}/networks/net/ports/{end}" for end in (a, b))
        made = self.create(Pipe(name=f"tenants/{tenant}/pipes/{pipe}", a=a, b=b, bandwidth=bandwidth))
        assert isinstance(made, Pipe)
        return made

    def join(self, tenant: str, pipe: str, bandwidth: BandwidthPolicy, *, a: str = "net", b: str = "far") -> Pipe:
        """A peering of two of the tenant's networks, and a pipe between them."""
        a, b = (f"tenants/{tenant}/networks/{end}" for end in (a, b))
        if b not in self.intent.peers_of(a):
            self.create(Peering(name=f"tenants/{tenant}/peerings/{pipe}", a=a, b=b))
        made = self.create(Pipe(name=f"tenants/{tenant}/pipes/{pipe}", a=a, b=b, bandwidth=bandwidth))
        assert isinstance(made, Pipe)
        return made

    def set_tenant_bandwidth(self, tenant: str, bandwidth: BandwidthPolicy) -> None:
        self.update(replace(self.intent.tenants[f"tenants/{tenant}"], bandwidth=bandwidth))

    # -- bindings

    def bind(self, name: str, at: EndPoint) -> None:
        key = self.intent.keys.port_key(name)
        assert key is not None
        self.placement = place(self.placement, name, at, key.key24)
        self._ports.add(name)
        self.observe(PortsBound(added=frozenset({at})))

    def unbind(self, name: str) -> None:
        at = self.placement.at.get(name)
        if at is not None:
            self.placement = displace(self.placement, name)
            self._ports.add(name)
            self.observe(PortsBound(removed=frozenset({at})))

    # -- what follows

    @property
    def world(self) -> World:
        labels: dict[tuple[int, int], Map[int, LabelHop]] = {}
        choices: dict[tuple[int, int], Choice] = {}
        planner = Planner(Topology.of(self.fabric))
        for edge in self.intent.keys.edges():
            plan = planner.toward(edge)
            version = TreeVersion(version=self.version, hops=plan, pending=frozenset())
            for dpid, hops in label_hops((version,)).items():
                labels[dpid, edge] = Map(hops)
                if dpid != edge and (dpid, edge) not in self.unreachable:
                    choices[dpid, edge] = Choice(self.version, len(plan[edge].working))
        return self._steered(World(
            intent=self.intent, fabric=self.fabric, placement=self.placement, labels=Map(labels), choices=Map(choices),
            rates=Map(self.rates), shares=Map(self.shares), guaranteed=guaranteed(self.intent),
        ))

    def _steered(self, world: World) -> World:
        """With what path policies want, all of it installed."""
        paths, pool = PolicyPaths(Topology.of(self.fabric)), PathPool({})
        steers: dict[int, dict[tuple[str, int], Steer]] = {}
        for name, network in sorted(self.intent.networks.items()):
            if network.path_policy == ANY_PATH:
                continue
            for src, dst in product(sorted(self.placement.presence.get(name, ())), sorted(reached_by(world, name))):
                if src == dst:
                    continue
                verdict = paths.verdict(src, dst, network.path_policy)
                if (src, dst) in world.choices and not verdict.any_tree:
                    steers.setdefault(src, {})[name, dst] = pool.steer(verdict.ways, self.version)
        explicit = {dpid: Map({label: hop for label, hop in hops.items() if hop is not None})
                    for dpid, hops in pool.map(1).items()}
        return replace(world, explicit=Map(explicit), steers=Map({dpid: Map(here) for dpid, here in steers.items()}))

    def begin(self) -> None:
        self._switch_ports: frozenset[EndPoint] = frozenset()
        self._switches: frozenset[int] = frozenset()
        self._objects: set[str] = set()
        self._ports: set[str] = set()

    def changed(self, before: World, after: World) -> Changed:
        return Changed(
            ports=frozenset(self._ports), objects=frozenset(self._objects), switch_ports=self._switch_ports,
            switches=self._switches, rates=_differing(before.rates, after.rates),
            shares=_differing(before.shares, after.shares), labels=_differing(before.labels, after.labels),
            choices=_differing(before.choices, after.choices),
            explicit=_differing_within(before.explicit, after.explicit),
            steers=frozenset((dpid, *key) for dpid, key in _differing_within(before.steers, after.steers)),
        )

    def programs(self) -> Programs:
        return compile_all(self.world)

    def fake_network(self) -> FakeNetwork:
        programs = self.programs()
        switches = [program_switch(FakeSwitch(s.dpid, s.ports), programs) for s in self.fabric.switches.values()]
        return FakeNetwork(switches, self.wires)


def compile_all(world: World) -> Programs:
    programs = {key: compile_fragment(world, key) for key in all_fragments(world)}
    return {key: fragment for key, fragment in programs.items() if fragment is not None}


def program_switch(switch: FakeSwitch, programs: Programs) -> FakeSwitch:
    own = [fragment for key, fragment in programs.items() if key.dpid == switch.dpid]
    return switch.install(
        flows=(flow for fragment in own for flow in fragment.flows),
        groups=(group for fragment in own for group in fragment.groups),
        meters=(meter for fragment in own for meter in fragment.meters),
    )


def guaranteed(intent: Snapshot) -> Map[str, Map[str, None]]:
    """World.guaranteed, from scratch."""
    found: dict[str, dict[str, None]] = {}
    for obj in intent.objects():
        if policy_of(intent, obj.name).may_guarantee:
            found.setdefault(tenant_of(obj.name), {})[obj.name] = None
    return Map({tenant: Map(names) for tenant, names in found.items()})


def _differing_within(before: Map[int, Any], after: Map[int, Any]) -> frozenset[tuple[int, Any]]:
    return frozenset(
        (dpid, key) for dpid in {*before, *after} for key in {*before.get(dpid, ()), *after.get(dpid, ())}
        if before.get(dpid, Map()).get(key) != after.get(dpid, Map()).get(key))


def _differing(before: Map[K, Any], after: Map[K, Any]) -> frozenset[K]:
    return frozenset(k for k in {*before, *after} if before.get(k) != after.get(k))

