"""The small integers that the data plane carries instead of names: slices, network keys, edge ids, port keys, slots,
pipe ids, queue ids.

Knows who holds which number, which numbers rest in quarantine, and which records changed in the last generation.
Refuses to know flows, which switches are connected, or the store: a generation and a floor come as arguments.

Why quarantine: a switch out of reach goes on writing a deleted port's key on frames.  Were the key given away
meanwhile, those frames would reach another tenant.  So a number freed at generation g rests until the floor, the lowest
generation that every known switch confirmed, has reached g.  When a tenant goes, the pools of its slice go with it: the
slice itself rests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from immutables import Map

from controller.intent.pools import (
    EDGES,
    INDEX_BITS,
    INDEX_MASK,
    NO_POOLS,
    PIPES,
    QUEUES,
    SLICES,
    Exhausted,
    Pool,
    PoolId,
    PoolLoader,
    Pools,
    Resting,
    networks_in,
    ports_in,
    slots_on,
)
from controller.model.errors import ResourceExhausted
from controller.model.ids import format_dpid, network_of, tenant_of
from controller.model.network import Network, Peering, Pipe, Port, Subnet
from controller.model.tenancy import Tenant

NO_TOUCHED: Map[str, None] = Map()
EDGE = ""
"""The name under which `Keys.counts` counts all ports attached to a switch."""

Record = dict[str, int]
"""What the store keeps under one record id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortKey:
    """What an attached port holds on its switch."""

    key24: int
    slot: int
    dpid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Every number in use.  Persistent: an edit costs what it touches and leaves the old value as it was.

    `counts` says how many attached ports keep an edge, or a tenant or network on a switch, alive.
    `touched` lists the record ids changed after generation `since`, so that `diff` costs the size of the change.
    """

    pools: Pools = NO_POOLS
    slices: Map[str, int] = Map()
    network_keys: Map[str, int] = Map()
    edge_ids: Map[int, int] = Map()
    port_keys: Map[str, PortKey] = Map()
    slots: Map[tuple[int, str], int] = Map()
    counts: Map[tuple[int, str], int] = Map()
    pipe_ids: Map[str, int] = Map()
    queue_ids: Map[str, int] = Map()
    generation: int = field(default=0, compare=False)
    since: int = field(default=0, compare=False)
    touched: Map[str, None] = field(default=NO_TOUCHED, compare=False)

    # -- what the compiler asks

    def slice_of(self, tenant: str) -> int:
        """The tenant's slice; KeyError for an unknown tenant."""
        return self.slices[tenant]

    def network_key(self, network: str) -> int:
        """The network's 24-bit key; KeyError for an unknown network."""
        return self.network_keys[network]

    def edge_id(self, dpid: int) -> int | None:
        """None: no port is attached there, so the switch is no edge."""
        return self.edge_ids.get(dpid)

    def edges(self) -> Map[int, int]:
        """dpid -> edge id."""
        return self.edge_ids

    def port_key(self, port: str) -> PortKey | None:
        """None: the port has no attachment."""
        return self.port_keys.get(port)

    def pipe_id(self, pipe: str) -> int:
        """KeyError for an unknown pipe."""
        return self.pipe_ids[pipe]

    def queue_id(self, name: str) -> int:
        """Tells its queues from all others; KeyError for whoever can have none: a port without a guarantee."""
        return self.queue_ids[name]

    def tenant_slot(self, dpid: int, tenant: str) -> int | None:
        return self.slots.get((dpid, tenant))

    def network_slot(self, dpid: int, network: str) -> int | None:
        return self.slots.get((dpid, network))

    # -- edits

    def sync(
        self, before: Tenant | Network | Subnet | Port | Peering | Pipe | None,
        after: Tenant | Network | Subnet | Port | Peering | Pipe | None, *, floor: int, generation: int,
    ) -> Keys:
        """The keys after an object went from `before` to `after` (None: absent).

        Only appearing, disappearing, a port's move to another switch, and its first or last guarantee change anything.
        ResourceExhausted names the pool that is used up.  Generations must not go down from call to call.
        """
        change = _Change(self, floor=floor, generation=generation)
        if (obj := after or before) is not None:
            change.have_queue(obj.name, wanted=_may_have_queue(after))
        old, new = _dpid_of(before), _dpid_of(after)
        match before, after:
            case None, Tenant(name=name):
                change.open_slice(name)
            case Tenant(name=name), None:
                change.close_slice(name)
            case None, Network(name=name):
                change.open_network(name)
            case Network(name=name), None:
                change.close_network(name)
            case None, Pipe(name=name):
                change.open_pipe(name)
            case Pipe(name=name), None:
                change.close_pipe(name)
            case (Port(name=name), _) | (None, Port(name=name)) if old != new:
                if old is not None:
                    change.detach(name, old)
                if new is not None:
                    change.attach(name, new)
        return change.result()

    # -- records, for the store

    def record(self, record_id: str) -> Record | None:
        """What the store should hold under `record_id`; None if nothing.

        slice/{tenant}, network/{network}, edge/{dpid}, slot/{dpid}/{tenant or network}, port/{port}, pipe/{pipe},
        queue/{tenant, network, pipe or port}: who holds what
        cursor/{pool}, resting/{pool}/{position in the queue}: what the pools must remember
        """
        kind, _, rest = record_id.partition("/")
        if kind == "port":
            key = self.port_keys.get(rest)
            return None if key is None else {"dpid": key.dpid, "key24": key.key24, "slot": key.slot}
        if kind == "resting":
            pool_name, _, position = rest.rpartition("/")
            resting = self.pools.get(PoolId.parse(pool_name)).resting.get(int(position))
            return None if resting is None else {"value": resting.value, "generation": resting.generation}
        value: int | None
        match kind:
            case "slice":
                value = self.slices.get(rest)
            case "network":
                value = self.network_keys.get(rest)
            case "pipe":
                value = self.pipe_ids.get(rest)
            case "queue":
                value = self.queue_ids.get(rest)
            case "edge":
                value = self.edge_ids.get(int(rest, 16))
            case "slot":
                dpid, _, holder = rest.partition("/")
                value = self.slots.get((int(dpid, 16), holder))
            case "cursor":
                cursor = self.pools.get(PoolId.parse(rest)).cursor
                value = None if cursor < 0 else cursor
            case _:
                raise LookupError(record_id)
        return None if value is None else {"value": value}

    @staticmethod
    def load(records: Mapping[str, Mapping[str, int]], generation: int = 0) -> Keys:
        """The keys that wrote these records, as they stood at `generation`."""
        slices: dict[str, int] = {}
        network_keys: dict[str, int] = {}
        edge_ids: dict[int, int] = {}
        port_keys: dict[str, PortKey] = {}
        slots: dict[tuple[int, str], int] = {}
        counts: Counter[tuple[int, str]] = Counter()
        pipe_ids: dict[str, int] = {}
        queue_ids: dict[str, int] = {}
        pools = PoolLoader()
        for record_id, record in records.items():
            kind, _, rest = record_id.partition("/")
            match kind:
                case "slice":
                    slices[rest] = record["value"]
                    pools.take(SLICES, record["value"])
                case "network":
                    network_keys[rest] = key24 = record["value"]
                    pools.take(networks_in(key24 >> INDEX_BITS), key24 & INDEX_MASK)
                case "pipe":
                    pipe_ids[rest] = record["value"]
                    pools.take(PIPES, record["value"])
                case "queue":
                    queue_ids[rest] = record["value"]
                    pools.take(QUEUES, record["value"])
                case "edge":
                    edge_ids[int(rest, 16)] = record["value"]
                    pools.take(EDGES, record["value"])
                case "slot":
                    dpid_text, _, holder = rest.partition("/")
                    slots[int(dpid_text, 16), holder] = record["value"]
                    pools.take(slots_on(int(dpid_text, 16)), record["value"])
                case "port":
                    port_keys[rest] = key = PortKey(**record)
                    pools.take(ports_in(key.key24 >> INDEX_BITS, key.dpid), key.key24 & INDEX_MASK)
                    pools.take(slots_on(key.dpid), key.slot)
                    counts.update((key.dpid, name) for name in (EDGE, tenant_of(rest), network_of(rest)))
                case "cursor":
                    pools.point(PoolId.parse(rest), record["value"])
                case "resting":
                    pool_name, _, position = rest.rpartition("/")
                    pools.rest(PoolId.parse(pool_name), int(position), Resting(record["value"], record["generation"]))
                case _:
                    raise LookupError(record_id)
        return Keys(
            pools=pools.result(), slices=Map(slices), network_keys=Map(network_keys), edge_ids=Map(edge_ids),
            port_keys=Map(port_keys), slots=Map(slots), counts=Map(counts), pipe_ids=Map(pipe_ids),
            queue_ids=Map(queue_ids), generation=generation, since=generation,
        )


NO_KEYS = Keys()


def diff(old: Keys, new: Keys) -> dict[str, Record | None]:
    """Records to write (None: to delete) so that a store holding `old` holds `new`.  Costs the size of the change.

    `old` must be the keys `new` was made from, at most one generation back; ValueError otherwise.
    """
    if new is old:
        return {}
    if not new.since <= old.generation <= new.generation:
        raise ValueError(f"changes since generation {new.since} are known, not since {old.generation}")
    pairs = ((record_id, old.record(record_id), new.record(record_id)) for record_id in sorted(new.touched))
    return {record_id: after for record_id, before, after in pairs if before != after}


class _Change:
    """One edit in the making: the maps of a Keys, replaced one by one."""

    def __init__(self, keys: Keys, *, floor: int, generation: int) -> None:
        self._keys = keys
        self._floor = floor
        self._generation = generation
        self._pools = keys.pools
        self._slices = keys.slices
        self._network_keys = keys.network_keys
        self._edge_ids = keys.edge_ids
        self._port_keys = keys.port_keys
        self._slots = keys.slots
        self._counts = keys.counts
        self._pipe_ids = keys.pipe_ids
        self._queue_ids = keys.queue_ids
        self._touched: set[str] = set()

    def result(self) -> Keys:
        old = self._keys
        if not self._touched:
            return old
        same = old.generation == self._generation
        touched = (old.touched if same else NO_TOUCHED).update(dict.fromkeys(self._touched))
        return Keys(
            pools=self._pools, slices=self._slices, network_keys=self._network_keys, edge_ids=self._edge_ids,
            port_keys=self._port_keys, slots=self._slots, counts=self._counts, pipe_ids=self._pipe_ids,
            queue_ids=self._queue_ids, touched=touched, generation=self._generation,
            since=old.since if same else old.generation,
        )

    def open_slice(self, tenant: str) -> None:
        self._slices = self._slices.set(tenant, self._take(SLICES))
        self._touched.add(f"slice/{tenant}")

    def close_slice(self, tenant: str) -> None:
        slice_ = self._slices[tenant]
        self._slices = self._slices.delete(tenant)
        self._touched.add(f"slice/{tenant}")
        self._give_back(SLICES, slice_)
        self._drop_scope(networks_in(slice_).scope)

    def open_network(self, network: str) -> None:
        slice_ = self._slices[tenant_of(network)]
        self._network_keys = self._network_keys.set(network, slice_ << INDEX_BITS | self._take(networks_in(slice_)))
        self._touched.add(f"network/{network}")

    def close_network(self, network: str) -> None:
        key24 = self._network_keys[network]
        self._network_keys = self._network_keys.delete(network)
        self._touched.add(f"network/{network}")
        self._give_back(networks_in(key24 >> INDEX_BITS), key24 & INDEX_MASK)

    def open_pipe(self, pipe: str) -> None:
        self._pipe_ids = self._pipe_ids.set(pipe, self._take(PIPES))
        self._touched.add(f"pipe/{pipe}")

    def close_pipe(self, pipe: str) -> None:
        self._give_back(PIPES, self._pipe_ids[pipe])
        self._pipe_ids = self._pipe_ids.delete(pipe)
        self._touched.add(f"pipe/{pipe}")

    def have_queue(self, name: str, *, wanted: bool) -> None:
        if wanted == (name in self._queue_ids):
            return
        if wanted:
            self._queue_ids = self._queue_ids.set(name, self._take(QUEUES))
        else:
            self._give_back(QUEUES, self._queue_ids[name])
            self._queue_ids = self._queue_ids.delete(name)
        self._touched.add(f"queue/{name}")

    def attach(self, port: str, dpid: int) -> None:
        for name in (EDGE, tenant_of(port), network_of(port)):
            count = self._counts.get((dpid, name), 0)
            self._counts = self._counts.set((dpid, name), count + 1)
            if count == 0:
                self._arrive(dpid, name)
        slice_ = self._slices[tenant_of(port)]
        key24 = slice_ << INDEX_BITS | self._take(ports_in(slice_, dpid))
        self._port_keys = self._port_keys.set(port, PortKey(key24=key24, slot=self._take(slots_on(dpid)), dpid=dpid))
        self._touched.add(f"port/{port}")

    def detach(self, port: str, dpid: int) -> None:
        key = self._port_keys[port]
        self._port_keys = self._port_keys.delete(port)
        self._touched.add(f"port/{port}")
        self._give_back(ports_in(key.key24 >> INDEX_BITS, dpid), key.key24 & INDEX_MASK)
        self._give_back(slots_on(dpid), key.slot)
        for name in (network_of(port), tenant_of(port), EDGE):
            count = self._counts[dpid, name]
            if count > 1:
                self._counts = self._counts.set((dpid, name), count - 1)
            else:
                self._counts = self._counts.delete((dpid, name))
                self._leave(dpid, name)

    def _arrive(self, dpid: int, name: str) -> None:
        """The first port of an edge, a tenant or a network on the switch."""
        if name == EDGE:
            self._edge_ids = self._edge_ids.set(dpid, self._take(EDGES))
            self._touched.add(f"edge/{format_dpid(dpid)}")
        else:
            self._slots = self._slots.set((dpid, name), self._take(slots_on(dpid)))
            self._touched.add(f"slot/{format_dpid(dpid)}/{name}")

    def _leave(self, dpid: int, name: str) -> None:
        """The last one went."""
        if name == EDGE:
            self._give_back(EDGES, self._edge_ids[dpid])
            self._edge_ids = self._edge_ids.delete(dpid)
            self._touched.add(f"edge/{format_dpid(dpid)}")
        else:
            self._give_back(slots_on(dpid), self._slots[dpid, name])
            self._slots = self._slots.delete((dpid, name))
            self._touched.add(f"slot/{format_dpid(dpid)}/{name}")

    def _take(self, pool_id: PoolId) -> int:
        before = self._pools.get(pool_id)
        try:
            after, value = before.allocate(self._floor)
        except Exhausted as exhausted:
            raise _exhausted(pool_id, before, exhausted) from None
        released = len(before.resting) - len(after.resting)
        self._touched.update(f"resting/{pool_id}/{before.head + i}" for i in range(released))
        self._touched.add(f"cursor/{pool_id}")
        self._pools = self._pools.put(pool_id, after)
        return value

    def _give_back(self, pool_id: PoolId, value: int) -> None:
        pool = self._pools.get(pool_id)
        self._touched.add(f"resting/{pool_id}/{pool.tail}")
        self._pools = self._pools.put(pool_id, pool.free(value, self._generation))

    def _drop_scope(self, scope: str) -> None:
        for name, pool in self._pools.in_scope(scope).items():
            pool_id = PoolId(scope, name)
            self._touched.add(f"cursor/{pool_id}")
            self._touched.update(f"resting/{pool_id}/{position}" for position in pool.resting)
        self._pools = self._pools.drop(scope)


def _dpid_of(obj: object) -> int | None:
    return obj.attachment.dpid if isinstance(obj, Port) and obj.attachment else None


def _may_have_queue(obj: object) -> bool:
    return obj.bandwidth.may_guarantee if isinstance(obj, Port) else isinstance(obj, Tenant | Network | Pipe)


def _exhausted(pool_id: PoolId, pool: Pool, why: Exhausted) -> ResourceExhausted:
    size = pool.last - pool.first + 1
    return ResourceExhausted(
        "POOL_EXHAUSTED",
        f"pool {pool_id} is used up: {why.in_use} of {size} numbers are in use and {why.resting} rest until every "
        "known switch confirmed their removal; delete what is not needed, or bring back (or forget) the switch that is "
        "out of reach",
        subject=str(pool_id),
        metadata={"pool": str(pool_id), "size": str(size), "in_use": str(why.in_use), "resting": str(why.resting)},
    )
