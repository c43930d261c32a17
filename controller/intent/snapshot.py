"""What tenants asked for, at one generation: every object, and the indexes that make each rule a look-up.

Knows objects, who is whose child, and who has which address, MAC and switch port.  Refuses to know whether an edit is
allowed (rules.py), what a new object gets (edits.py), or anything observed.  Persistent: put and delete share all but
the touched branches with the old snapshot and cost O(log n).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from immutables import Map

from controller.intent.keys import NO_KEYS, Keys
from controller.intent.promises import DIRECTIONS, NO_SUMS, Pledge, Sums, pledge_of, pledges_of
from controller.model.ids import parent_of, tenant_of
from controller.model.network import Address, Network, Peering, Pipe, Port, Subnet
from controller.model.tenancy import Tenant

Resource: TypeAlias = Tenant | Network | Subnet | Port | Peering | Pipe
KINDS: dict[type[Resource], str] = {
    Tenant: "tenant", Network: "network", Subnet: "subnet", Port: "port", Peering: "peering", Pipe: "pipe",
}
"""Parents before children, and what is referred to before what refers to it."""
Names: TypeAlias = Map[str, None]
"""A persistent set of resource names."""
NO_NAMES: Names = Map()
NO_PEERS: Map[str, str] = Map()


class Range(NamedTuple):
    """The addresses of a subnet's CIDR as integers, both ends included."""

    first: int
    last: int
    subnet: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Asked state.  Every map but the six of objects, and `keys`, follows from the objects; `rebuild` proves it."""

    generation: int = 0
    tenants: Map[str, Tenant] = Map()
    networks: Map[str, Network] = Map()
    subnets: Map[str, Subnet] = Map()
    ports: Map[str, Port] = Map()
    peerings: Map[str, Peering] = Map()
    pipes: Map[str, Pipe] = Map()
    keys: Keys = NO_KEYS

    networks_by_tenant: Map[str, Names] = Map()
    subnets_by_network: Map[str, Names] = Map()
    ports_by_network: Map[str, Names] = Map()
    ports_by_subnet: Map[str, Names] = Map()
    peerings_by_tenant: Map[str, Names] = Map()
    peers: Map[str, Map[str, str]] = Map()
    """network -> {network it reaches: the peering that joins them}"""
    pipes_by_tenant: Map[str, Names] = Map()
    pipes_by_end: Map[str, Names] = Map()
    """port or network -> the pipes that end at it"""
    pipe_between: Map[tuple[str, str], str] = Map()
    """its two ends, sorted -> the pipe between them"""
    addresses: Map[str, Map[Address, str]] = Map()
    """network -> {address: the port that has it, or the subnet whose gateway it is}"""
    macs: Map[str, Map[str, str]] = Map()
    """network -> {MAC: port}"""
    attachments: Map[tuple[int, str | int], str] = Map()
    """(dpid, interface name or port_no as the port spells it) -> port"""
    ranges: Map[tuple[str, int], tuple[Range, ...]] = Map()
    """(network, IP version) -> its CIDRs, disjoint and sorted"""
    counts: Map[tuple[str, str], int] = Map()
    """(tenant, kind) -> objects of that kind; (subnet, "ipv4" or "ipv6") -> addresses in use, gateway included"""
    promises: Map[tuple[str, str], Sums] = Map()
    """(tenant, network or port, "in" or "out") -> what all that is below it is guaranteed"""
    address_cursors: Map[tuple[str, int], int] = field(default=Map(), compare=False)
    """(subnet, IP version) -> where the search for a free address goes on.  Saves work; no part of what was asked."""

    # -- look-ups

    def get(self, name: str) -> Resource | None:
        """The object of that name, whatever its kind; None for an unknown or malformed name."""
        found: Resource | None = self.ports.get(name) or self.networks.get(name) or self.tenants.get(name)
        return found or self.subnets.get(name) or self.pipes.get(name) or self.peerings.get(name)

    def objects(self) -> tuple[Resource, ...]:
        """Every object: parents first, each kind sorted by name."""
        kinds: tuple[Map[str, Any], ...] = (
            self.tenants, self.networks, self.subnets, self.ports, self.peerings, self.pipes)
        return tuple(objects[name] for objects in kinds for name in sorted(objects))

    def children_of(self, name: str) -> Iterator[str]:
        """Names directly below a tenant or network, ports with an address in a subnet, pipes that end at a port or a
        network, peerings of a network, the pipe that a peering carries.  No order.
        """
        for index in self._children:
            yield from index.get(name, NO_NAMES)
        yield from self.peers.get(name, NO_PEERS).values()
        yield from self._pipes_on(name)

    def count_children(self, name: str) -> int:
        listed = sum(len(index.get(name, NO_NAMES)) for index in self._children)
        return listed + len(self.peers.get(name, NO_PEERS)) + len(self._pipes_on(name))

    def peers_of(self, network: str) -> Iterable[str]:
        """The networks that the network's ports reach beside their own.  No order."""
        return self.peers.get(network, NO_PEERS).keys()

    def peerings_below(self, name: str) -> tuple[str, ...]:
        """The peerings of a tenant, or of a network; sorted."""
        return tuple(sorted((*self.peerings_by_tenant.get(name, NO_NAMES), *self.peers.get(name, NO_PEERS).values())))

    def pipes_below(self, name: str) -> tuple[str, ...]:
        """The pipes of a tenant, on a peering, or with an end at or in a port, subnet or network; sorted."""
        found = {*self.pipes_by_tenant.get(name, NO_NAMES), *self.pipes_by_end.get(name, NO_NAMES)}
        found.update(self._pipes_on(name))
        for index in (self.ports_by_network, self.ports_by_subnet):
            for port in index.get(name, NO_NAMES):
                found.update(self.pipes_by_end.get(port, NO_NAMES))
        return tuple(sorted(found))

    def _pipes_on(self, name: str) -> tuple[str, ...]:
        """The pipe between the networks of a peering, if it is one and has one."""
        peering = self.peerings.get(name)
        pipe = self.pipe_between.get(ends_of(peering)) if peering is not None else None
        return () if pipe is None else (pipe,)

    @property
    def _children(self) -> tuple[Map[str, Names], ...]:
        return (
            self.networks_by_tenant, self.peerings_by_tenant, self.pipes_by_tenant, self.subnets_by_network,
            self.ports_by_network, self.ports_by_subnet, self.pipes_by_end,
        )

    def overlapping(self, network: str, first: Address, last: Address) -> str | None:
        """A subnet of the network with an address between `first` and `last`, or None."""
        ranges = self.ranges.get((network, first.version), ())
        at = bisect_left(ranges, int(first), key=lambda r: r.last)
        return ranges[at].subnet if at < len(ranges) and ranges[at].first <= int(last) else None

    # -- edits

    def put(self, obj: Resource) -> Snapshot:
        """With the object in the place of the one of its name, if there was one."""
        draft = _Draft(self)
        before = self.get(obj.name)
        if before is not None:
            draft.remove(before)
        draft.add(obj)
        return draft.result()

    def delete(self, name: str) -> Snapshot:
        """Without the object; KeyError if there is none."""
        before = self.get(name)
        if before is None:
            raise KeyError(name)
        draft = _Draft(self)
        draft.remove(before)
        draft.forget_cursors(name)
        return draft.result()

    def with_keys(self, keys: Keys) -> Snapshot:
        return self if keys is self.keys else replace(self, keys=keys)

    def at_generation(self, generation: int) -> Snapshot:
        return self if generation == self.generation else replace(self, generation=generation)

    @staticmethod
    def rebuild(objects: Iterable[Resource], keys: Keys = NO_KEYS, generation: int = 0) -> Snapshot:
        """From nothing but the objects, in any order, and their keys."""
        draft = _Draft(EMPTY)
        for obj in objects:
            draft.add(obj)
        return draft.result().with_keys(keys).at_generation(generation)


EMPTY = Snapshot()


def ends_of(joint: Peering | Pipe) -> tuple[str, str]:
    """The two that it joins, sorted: from b to a is the same as from a to b."""
    return (joint.a, joint.b) if joint.a < joint.b else (joint.b, joint.a)


class _Fact(NamedTuple):
    """One entry that an object makes in an index: map `into`, under `owner` (None: directly), key -> value."""

    into: str
    owner: Hashable
    key: Hashable
    value: Any


def _facts(obj: Resource) -> Iterator[_Fact]:
    name = obj.name
    match obj:
        case Tenant():
            yield _Fact("tenants", None, name, obj)
        case Network():
            yield _Fact("networks", None, name, obj)
            yield _Fact("networks_by_tenant", parent_of(name), name, None)
        case Subnet(network=network):
            yield _Fact("subnets", None, name, obj)
            yield _Fact("subnets_by_network", network, name, None)
            for gateway in obj.gateways:
                yield _Fact("addresses", network, gateway, name)
        case Port(network=network, attachment=attachment):
            yield _Fact("ports", None, name, obj)
            yield _Fact("ports_by_network", network, name, None)
            yield _Fact("ports_by_subnet", obj.subnet, name, None)
            yield _Fact("macs", network, obj.mac, name)
            for address in obj.addresses:
                yield _Fact("addresses", network, address, name)
            if attachment:
                yield _Fact("attachments", None, (attachment.dpid, attachment.interface or attachment.port_no), name)
        case Peering(tenant=tenant, a=a, b=b):
            yield _Fact("peerings", None, name, obj)
            yield _Fact("peerings_by_tenant", tenant, name, None)
            yield _Fact("peers", a, b, name)
            yield _Fact("peers", b, a, name)
        case Pipe(tenant=tenant, a=a, b=b):
            yield _Fact("pipes", None, name, obj)
            yield _Fact("pipes_by_tenant", tenant, name, None)
            yield _Fact("pipes_by_end", a, name, None)
            yield _Fact("pipes_by_end", b, name, None)
            yield _Fact("pipe_between", None, ends_of(obj), name)


def _tallies(obj: Resource) -> Iterator[tuple[str, str]]:
    """What the object adds one to in `counts`."""
    match obj:
        case Network() | Port() | Peering() | Pipe():
            yield obj.tenant, KINDS[type(obj)]
        case Subnet(name=name):
            yield parent_of(parent_of(name)), "subnet"
            yield from ((name, f"ipv{gateway.version}") for gateway in obj.gateways)
    if isinstance(obj, Port):
        yield from ((obj.subnet, f"ipv{address.version}") for address in obj.addresses)


def _ranges(obj: Resource) -> Iterator[tuple[tuple[str, int], Range]]:
    if isinstance(obj, Subnet):
        for cidr in (obj.ipv4_cidr, obj.ipv6_cidr):
            if cidr is not None:
                yield (obj.network, cidr.version), Range(int(cidr[0]), int(cidr[-1]), obj.name)


class _Draft:
    """A snapshot being edited: the maps that changed so far."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._maps: dict[str, Map[Any, Any]] = {}

    def result(self) -> Snapshot:
        changed: dict[str, Any] = dict(self._maps)
        return replace(self._snapshot, **changed)

    def add(self, obj: Resource) -> None:
        for index, owner, key, value in _facts(obj):
            entries = self._get(index)
            if owner is None:
                self._maps[index] = entries.set(key, value)
            else:
                self._maps[index] = entries.set(owner, entries.get(owner, NO_NAMES).set(key, value))
        for tally in _tallies(obj):
            counts = self._get("counts")
            self._maps["counts"] = counts.set(tally, counts.get(tally, 0) + 1)
        for owner, added in _ranges(obj):
            ranges = self._get("ranges")
            sorted_ranges = list(ranges.get(owner, ()))
            insort(sorted_ranges, added)
            self._maps["ranges"] = ranges.set(owner, tuple(sorted_ranges))
        self._promise(obj, sign=1)

    def remove(self, obj: Resource) -> None:
        for index, owner, key, _ in _facts(obj):
            entries = self._get(index)
            rest = entries.delete(key) if owner is None else entries[owner].delete(key)
            if owner is None:
                self._maps[index] = rest
            else:
                self._maps[index] = entries.set(owner, rest) if rest else entries.delete(owner)
        for tally in _tallies(obj):
            counts = self._get("counts")
            self._maps["counts"] = counts.set(tally, counts[tally] - 1) if counts[tally] > 1 else counts.delete(tally)
        for owner, removed in _ranges(obj):
            ranges = self._get("ranges")
            left = tuple(r for r in ranges[owner] if r != removed)
            self._maps["ranges"] = ranges.set(owner, left) if left else ranges.delete(owner)
        self._promise(obj, sign=-1)

    def _promise(self, obj: Resource, *, sign: int) -> None:
        """Add what the object is guaranteed to the sums of those above it (sign 1), or take it out of them (-1)."""
        match obj:
            case Network(name=name):
                for direction in DIRECTIONS:
                    pool = pledge_of(obj.bandwidth, direction)
                    if pool is None:
                        continue
                    self._sum(obj.tenant, direction, pool, sign)
                    # Its pool stands for what is in it, which counts itself only as long as there is none.
                    for whens, levels in self._get("promises").get((name, direction), NO_SUMS).by_schedule.items():
                        self._sum(obj.tenant, direction, Pledge(whens, levels), -sign)
            case Port() | Pipe():
                for owner, direction, pledge in pledges_of(obj):
                    self._sum(owner, direction, pledge, sign)
                    network = self._get("networks").get(owner)
                    pooled = network is not None and pledge_of(network.bandwidth, direction) is not None
                    if "/ports/" not in owner and not pooled:
                        self._sum(tenant_of(owner), direction, pledge, sign)

    def _sum(self, owner: str, direction: str, pledge: Pledge, sign: int) -> None:
        promises = self._get("promises")
        key = (owner, direction)
        sums = promises.get(key, NO_SUMS).with_pledge(pledge, sign=sign)
        self._maps["promises"] = promises.set(key, sums) if sums.by_schedule else promises.delete(key)

    def forget_cursors(self, subnet: str) -> None:
        for key in ((subnet, 4), (subnet, 6)):
            cursors = self._get("address_cursors")
            if key in cursors:
                self._maps["address_cursors"] = cursors.delete(key)

    def _get(self, index: str) -> Map[Any, Any]:
        if index not in self._maps:
            self._maps[index] = getattr(self._snapshot, index)
        return self._maps[index]
