"""The use cases of asked state as pure functions: create, update, delete, and a batch of them that needs no order.

Knows how an object becomes complete (uid, times, MAC, addresses, gateways, keys) and in which order a batch is done.
Refuses to know the store, threads and clocks: time, generation, floor and uids are arguments.  An error leaves nothing
half-done, because the old snapshot stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from controller.intent.addresses import assign_addresses, assign_mac, with_gateways
from controller.intent.guarantees import check_guarantees
from controller.intent.rules import check_create, check_delete, check_update, get_resource
from controller.intent.snapshot import KINDS, NO_NAMES, Resource, Snapshot
from controller.model.errors import InvalidArgument, PliantError
from controller.model.ids import rank_of
from controller.model.network import Port, Subnet

_RANK: dict[type[Resource], int] = {cls: rank for rank, cls in enumerate(KINDS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a batch did: the objects put, as they now stand and in the order asked, and every name that is gone."""

    snapshot: Snapshot
    objects: tuple[Resource, ...] = ()
    deleted: tuple[str, ...] = ()


def create(
    snapshot: Snapshot, obj: Resource, *, floor: int, generation: int, now_s: float, uid: str,
) -> tuple[Snapshot, Resource]:
    """With the object, made complete.  Raises what rules.check_create does, SUBNET_EXHAUSTED, POOL_EXHAUSTED."""
    check_create(snapshot, obj)
    meta = replace(obj.meta, uid=uid, created_s=now_s, generation=generation)
    snapshot, complete = _complete(snapshot, replace(obj, meta=meta))
    return _put(snapshot, None, complete, floor=floor, generation=generation), complete


def update(snapshot: Snapshot, obj: Resource, *, floor: int, generation: int) -> tuple[Snapshot, Resource]:
    """With `obj` in the place of the object of its name.

    What the server assigned stays: uid, time of creation, and a MAC, addresses or gateways that are empty in `obj`.  If
    nothing changes, the snapshot and the object come back as they were, generation included.
    """
    before = get_resource(snapshot, obj.name)
    after = _kept(before, obj)
    if after == before:
        return snapshot, before
    return _replace(snapshot, before, after, floor=floor, generation=generation)


def delete(
    snapshot: Snapshot, name: str, *, force: bool = False, floor: int, generation: int,
) -> tuple[Snapshot, tuple[str, ...]]:
    """Without the object, and with `force` without all below it; the names that went, children first."""
    obj = get_resource(snapshot, name)
    if not force:
        check_delete(snapshot, obj)
    names = tuple(_with_descendants(snapshot, name))
    for gone in names:
        keys = snapshot.keys.sync(snapshot.get(gone), None, floor=floor, generation=generation)
        snapshot = snapshot.delete(gone).with_keys(keys)
    return snapshot.at_generation(generation), names


def apply(
    snapshot: Snapshot, puts: Sequence[Resource], deletes: Sequence[str] = (), *, floor: int, generation: int,
    now_s: float, new_uid: Callable[[], str], force: bool = False, path: str = "resources",
) -> Applied:
    """Make every object of `puts` exist as given and every name of `deletes` gone, in whatever order they are listed.

    Names to delete that do not exist are no error.  An error says which element of the request is bad: its message,
    fields and metadata carry `path`[index] and the name.

    Order: deletes, children first; then what changes lets go of its addresses, MACs and switch ports, so that two ports
    can swap them; then puts, parents first, updates before creations (so that quotas count right), and what chooses its
    own addresses before what is given some.
    """
    _check_distinct(puts, deletes, path)
    index_of = {name: index for index, name in enumerate(deletes)}
    deleted: list[str] = []
    for name in sorted(index_of, key=lambda n: (-rank_of(n), n)):
        if snapshot.get(name) is not None:
            with _located("deletes", index_of[name], name):
                snapshot, gone = delete(snapshot, name, force=force, floor=floor, generation=generation)
            deleted += gone
    steps = sorted((_Step.of(snapshot, index, obj) for index, obj in enumerate(puts)), key=_Step.order)
    for step in steps:
        if step.before is not None and step.before != step.after:
            snapshot = snapshot.delete(step.before.name)
    done: dict[int, Resource] = {}
    for step in steps:
        with _located(path, step.index, step.after.name):
            if step.before is None:
                snapshot, done[step.index] = create(
                    snapshot, step.after, floor=floor, generation=generation, now_s=now_s, uid=new_uid(),
                )
            elif step.before == step.after:
                done[step.index] = step.before
            else:
                snapshot, done[step.index] = _replace(
                    snapshot, step.before, step.after, floor=floor, generation=generation,
                )
    return Applied(snapshot=snapshot, objects=tuple(done[i] for i in range(len(puts))), deleted=tuple(deleted))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One put of a batch: a creation if `before` is None, else an update."""

    index: int
    before: Resource | None
    after: Resource

    @staticmethod
    def of(snapshot: Snapshot, index: int, obj: Resource) -> _Step:
        before = snapshot.get(obj.name)
        return _Step(index=index, before=before, after=obj if before is None else _kept(before, obj))

    def order(self) -> tuple[int, bool, bool, str]:
        automatic = isinstance(self.after, Port) and not (self.after.mac and self.after.addresses)
        return _RANK[type(self.after)], self.before is None, automatic, self.after.name


def _kept(before: Resource, obj: Resource) -> Resource:
    """`obj` with what `before` was assigned and `obj` leaves empty."""
    meta = replace(
        obj.meta, uid=before.meta.uid, created_s=before.meta.created_s, generation=before.meta.generation,
    )
    match before, obj:
        case Subnet(), Subnet():
            return replace(
                obj, meta=meta, ipv4_gateway=obj.ipv4_gateway or before.ipv4_gateway,
                ipv6_gateway=obj.ipv6_gateway or before.ipv6_gateway,
            )
        case Port(), Port():
            return replace(obj, meta=meta, mac=obj.mac or before.mac, addresses=obj.addresses or before.addresses)
    return replace(obj, meta=meta)


def _replace(
    snapshot: Snapshot, before: Resource, after: Resource, *, floor: int, generation: int,
) -> tuple[Snapshot, Resource]:
    check_update(snapshot, before, after)
    after = replace(after, meta=replace(after.meta, generation=generation))
    return _put(snapshot, before, after, floor=floor, generation=generation), after


def _put(snapshot: Snapshot, before: Resource | None, after: Resource, *, floor: int, generation: int) -> Snapshot:
    keys = snapshot.keys.sync(before, after, floor=floor, generation=generation)
    snapshot = snapshot.put(after).with_keys(keys).at_generation(generation)
    check_guarantees(snapshot, after)
    return snapshot


def _complete(snapshot: Snapshot, obj: Resource) -> tuple[Snapshot, Resource]:
    """The object with gateways, MAC and addresses where it has none."""
    match obj:
        case Subnet():
            return snapshot, with_gateways(obj)
        case Port():
            addresses = obj.addresses
            if not addresses:
                snapshot, addresses = assign_addresses(snapshot, snapshot.subnets[obj.subnet])
            mac = obj.mac or assign_mac(snapshot, obj.network, obj.meta.uid)
            return snapshot, replace(obj, mac=mac, addresses=addresses)
    return snapshot, obj


def _with_descendants(snapshot: Snapshot, name: str) -> Iterator[str]:
    """All names below, children first, then the name itself.

    A port is below its network and its subnet, a peering below its tenant and its two networks, a pipe below its tenant
    and its two ends; if these are networks, below their peering, too.
    """
    yield from snapshot.pipes_below(name)
    yield from snapshot.peerings_below(name)
    for network in sorted(snapshot.networks_by_tenant.get(name, NO_NAMES)):
        for each in _with_descendants(snapshot, network):
            if each not in snapshot.pipes and each not in snapshot.peerings:
                yield each
    for index in (snapshot.ports_by_network, snapshot.ports_by_subnet, snapshot.subnets_by_network):
        yield from sorted(index.get(name, NO_NAMES))
    yield name


def _check_distinct(puts: Sequence[Resource], deletes: Iterable[str], path: str) -> None:
    seen = {name: f"deletes[{index}]" for index, name in enumerate(deletes)}
    for index, obj in enumerate(puts):
        if obj.name in seen:
            message = f"{obj.name} is also {seen[obj.name]}; name each object once"
            with _located(path, index, obj.name):
                raise InvalidArgument(
                    "INVALID_FIELD", message, subject=obj.name, fields={f"{KINDS[type(obj)]}.name": message},
                )
        seen[obj.name] = f"{path}[{index}]"


@contextmanager
def _located(path: str, index: int, name: str) -> Iterator[None]:
    """Errors raised inside say which element of the request they are about."""
    try:
        yield
    except PliantError as error:
        raise type(error)(
            error.reason,
            f"{path}[{index}] ({name}): {error.message}",
            subject=error.subject or name,
            fields={f"{path}[{index}].{field}": what for field, what in error.fields.items()},
            metadata={**error.metadata, "index": str(index), "object": name},
        ) from error
