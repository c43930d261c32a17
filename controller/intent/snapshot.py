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
from controller.model.ids import parent_of
from controller.model.network import Address, Network, Port, Subnet
from controller.model.tenancy import Tenant

Resource: TypeAlias = Tenant | Network | Subnet | Port
KINDS: dict[type[Resource], str] = {Tenant: "tenant", Network: "network", Subnet: "subnet", Port: "port"}
"""Parents before children."""
Names: TypeAlias = Map[str, None]
"""A persistent set of resource names."""
NO_NAMES: Names = Map()


class Range(NamedTuple):
    """The addresses of a subnet's CIDR as integers, both ends included."""

    first: int
    last: int
    subnet: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Asked state.  Every map but the four of objects, and `keys`, follows from the objects; `rebuild` proves it."""

    generation: int = 0
    tenants: Map[str, Tenant] = Map()
    networks: Map[str, Network] = Map()
    subnets: Map[str, Subnet] = Map()
    ports: Map[str, Port] = Map()
    keys: Keys = NO_KEYS

    networks_by_tenant: Map[str, Names] = Map()
    subnets_by_network: Map[str, Names] = Map()
    ports_by_network: Map[str, Names] = Map()
    ports_by_subnet: Map[str, Names] = Map()
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
    address_cursors: Map[tuple[str, int], int] = field(default=Map(), compare=False)
    """(subnet, IP version) -> where the search for a free address goes on.  Saves work; no part of what was asked."""

    # -- look-ups

    def get(self, name: str) -> Resource | None:
        """The object of that name, whatever its kind; None for an unknown or malformed name."""
        return self.tenants.get(name) or self.networks.get(name) or self.ports.get(name) or self.subnets.get(name)

    def objects(self) -> tuple[Resource, ...]:
        """Every object: parents first, each kind sorted by name."""
        kinds: tuple[Map[str, Any], ...] = (self.tenants, self.networks, self.subnets, self.ports)
        return tuple(objects[name] for objects in kinds for name in sorted(objects))

    def children_of(self, name: str) -> Iterator[str]:
        """Names directly below a tenant or network, and the ports with an address in a subnet.  No order."""
        for index in (self.networks_by_tenant, self.ports_by_network, self.ports_by_subnet, self.subnets_by_network):
            yield from index.get(name, NO_NAMES)

    def count_children(self, name: str) -> int:
        indexes = (self.networks_by_tenant, self.subnets_by_network, self.ports_by_network, self.ports_by_subnet)
        return sum(len(index.get(name, NO_NAMES)) for index in indexes)

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


def _tallies(obj: Resource) -> Iterator[tuple[str, str]]:
    """What the object adds one to in `counts`."""
    match obj:
        case Network() | Port():
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

    def forget_cursors(self, subnet: str) -> None:
        for key in ((subnet, 4), (subnet, 6)):
            cursors = self._get("address_cursors")
            if key in cursors:
                self._maps["address_cursors"] = cursors.delete(key)

    def _get(self, index: str) -> Map[Any, Any]:
        if index not in self._maps:
            self._maps[index] = getattr(self._snapshot, index)
        return self._maps[index]
