"""The small integers that the data plane carries instead of names: tenant ids, slices, edge ids, port keys, slots,
pipe ids, queue ids.

    key of 24 bits, in labels and registers      slice of the network 14 . index 10      0: the network; else a port of
                                                                                            it, counted on each edge

Knows who holds which number, which numbers rest in quarantine, and which records (records.py) changed in the last
generation.  Refuses to know flows, which switches are connected, or the store: a generation and a floor come as
arguments.

Why quarantine: a switch out of reach goes on writing a deleted port's key on frames.  Were the key given away
meanwhile, those frames would reach another tenant.  So a number freed at generation g rests until the floor, the lowest
generation that every known switch confirmed, has reached g.  When a network goes, the pools of its slice go with it:
the slice itself rests.
"""

from __future__ import annotations

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
    TENANTS,
    Exhausted,
    Pool,
    PoolId,
    Pools,
    ports_in,
    scope_of,
    slots_on,
)
from controller.model.errors import ResourceExhausted
from controller.model.ids import format_dpid, network_of, tenant_of
from controller.model.network import Network, Peering, Pipe, Port, Subnet
from controller.model.tenancy import Tenant

NO_TOUCHED: Map[str, None] = Map()
EDGE = ""
"""The name under which `Keys.counts` counts all ports attached to a switch."""


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
    tenant_ids: Map[str, int] = Map()
    slices: Map[str, int] = Map()
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

    def tenant_id(self, tenant: str) -> int:
        """KeyError for an unknown tenant."""
        return self.tenant_ids[tenant]

    def slice_of(self, network: str) -> int:
        """What the keys of the network and of all its ports begin with; KeyError for an unknown network."""
        return self.slices[network]

    def network_key(self, network: str) -> int:
        """The key of the network itself: no port has index 0."""
        return self.slices[network] << INDEX_BITS

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
                change.open_tenant(name)
            case Tenant(name=name), None:
                change.close_tenant(name)
            case None, Network(name=name):
                change.open_slice(name)
            case Network(name=name), None:
                change.close_slice(name)
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


NO_KEYS = Keys()


class _Change:
    """One edit in the making: the maps of a Keys, replaced one by one."""

    def __init__(self, keys: Keys, *, floor: int, generation: int) -> None:
        self._keys = keys
        self._floor = floor
        self._generation = generation
        self._pools = keys.pools
        self._tenant_ids = keys.tenant_ids
        self._slices = keys.slices
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
            pools=self._pools, tenant_ids=self._tenant_ids, slices=self._slices, edge_ids=self._edge_ids,
            port_keys=self._port_keys, slots=self._slots, counts=self._counts, pipe_ids=self._pipe_ids,
            queue_ids=self._queue_ids, touched=touched, generation=self._generation,
            since=old.since if same else old.generation,
        )

    def open_tenant(self, tenant: str) -> None:
        self._tenant_ids = self._tenant_ids.set(tenant, self._take(TENANTS))
        self._touched.add(f"tenant/{tenant}")

    def close_tenant(self, tenant: str) -> None:
        self._give_back(TENANTS, self._tenant_ids[tenant])
        self._tenant_ids = self._tenant_ids.delete(tenant)
        self._touched.add(f"tenant/{tenant}")

    def open_slice(self, network: str) -> None:
        self._slices = self._slices.set(network, self._take(SLICES))
        self._touched.add(f"slice/{network}")

    def close_slice(self, network: str) -> None:
        slice_ = self._slices[network]
        self._slices = self._slices.delete(network)
        self._touched.add(f"slice/{network}")
        self._give_back(SLICES, slice_)
        self._drop_scope(scope_of(slice_))

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
        slice_ = self._slices[network_of(port)]
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
