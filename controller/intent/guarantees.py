"""Whether guarantees fit those above them: into their pools, and below their ceilings, at every time.

A tenant's or network's guarantee is a pool for all that is below it, so what is below is guaranteed no more than that
at any time; without one, no more than its ceiling.  A port's guarantee and those of its pipes are together at most the
port's ceiling.  Every check is a look-up of sums that the snapshot keeps (promises.py).

Refuses to know links: whether they can carry it is observed, and asked by a gate.
"""

from __future__ import annotations

from collections.abc import Callable

from controller.intent.promises import (
    DIRECTIONS,
    NO_SUMS,
    Direction,
    ceilings_of,
    guarantees_of,
    whens_of,
)
from controller.intent.snapshot import KINDS, Resource, Snapshot
from controller.model.errors import FailedPrecondition
from controller.model.ids import network_of, tenant_of
from controller.model.network import Network, Peering, Pipe, Port, Subnet
from controller.model.tenancy import Tenant

Owner = Tenant | Network | Port


def check_guarantees(snapshot: Snapshot, obj: Resource) -> None:
    """Raise if `obj`, which the snapshot holds already, asks for more than those above it have, or less than those
    below it were promised.
    """
    _check_pool(snapshot, obj)
    _check_bounds(snapshot, obj)


def is_within_bounds(snapshot: Snapshot, obj: Resource) -> bool:
    """Whether `obj`, which the snapshot holds already, asks for no more than its ceiling and those above it allow."""
    return _passes(_check_bounds, snapshot, obj)


def is_enough_below(snapshot: Snapshot, obj: Resource) -> bool:
    """Whether `obj`, which the snapshot holds already, asks for what those below it were promised."""
    return _passes(_check_pool, snapshot, obj)


def _passes(check: Callable[[Snapshot, Resource], None], snapshot: Snapshot, obj: Resource) -> bool:
    try:
        check(snapshot, obj)
    except FailedPrecondition:
        return False
    return True


def _check_pool(snapshot: Snapshot, obj: Resource) -> None:
    if isinstance(obj, Tenant | Network):
        _check_below(snapshot, obj, obj)


def _check_bounds(snapshot: Snapshot, obj: Resource) -> None:
    if isinstance(obj, Port):
        _check_below(snapshot, obj, obj)
    if not isinstance(obj, Subnet | Peering | Tenant) and obj.bandwidth.may_guarantee:
        for name in _above(obj):
            owner = snapshot.get(name)
            assert isinstance(owner, Owner), f"{name} is above {obj}"
            _check_below(snapshot, owner, obj)


def _above(obj: Network | Port | Pipe) -> tuple[str, ...]:
    tenant = tenant_of(obj.name)
    match obj:
        case Network():
            return (tenant,)
        case Port(network=network):
            return network, tenant
        case Pipe(a=a, b=b):
            return tuple(dict.fromkeys((a, b, network_of(a), network_of(b), tenant)))


def _check_below(snapshot: Snapshot, owner: Owner, cause: Resource) -> None:
    policy = owner.bandwidth
    if not (policy.may_guarantee or policy.may_limit):
        return
    for direction in DIRECTIONS:
        promised = snapshot.promises.get((owner.name, direction), NO_SUMS).at_most(whens_of(policy))
        pools, ceilings = guarantees_of(policy, direction), ceilings_of(policy, direction)
        for stage, (below, pool, ceiling) in enumerate(zip(promised, pools, ceilings, strict=True)):
            if isinstance(owner, Port):
                if ceiling and below + pool > ceiling:
                    raise _over_ceiling(owner, cause, direction, stage, below + pool, ceiling)
            elif any(pools):
                if below > pool:
                    raise _over_pool(owner, cause, direction, stage, below, pool)
            elif ceiling and below > ceiling:
                raise _over_ceiling(owner, cause, direction, stage, below, ceiling)


def _over_pool(
    owner: Owner, cause: Resource, direction: Direction, stage: int, below: int, pool: int
) -> FailedPrecondition:
    has = f"its guarantee of {pool} kbit/s" if pool else "none then, though it has at other times"
    return _refused(
        "GUARANTEE_OVER_PARENT", owner, cause, direction, stage, below, pool,
        f"guarantees below {_shown(owner)} come to {below} kbit/s {_when(owner, direction, stage)}, and it has {has}",
    )


def _over_ceiling(
    owner: Owner, cause: Resource, direction: Direction, stage: int, below: int, ceiling: int
) -> FailedPrecondition:
    whose = "of the port and its pipes" if isinstance(owner, Port) else "below it"
    return _refused(
        "GUARANTEE_OVER_CEILING", owner, cause, direction, stage, below, ceiling,
        f"{_shown(owner)} has a ceiling of {ceiling} kbit/s {_when(owner, direction, stage)}, and guarantees {whose} "
        f"come to {below} kbit/s",
    )


def _refused(
    reason: str, owner: Owner, cause: Resource, direction: Direction, stage: int, below: int, bound: int, what: str
) -> FailedPrecondition:
    over = below - bound
    advice = (
        f"lower those first, by {over} kbit/s in all" if cause is owner
        else f"ask for {over} kbit/s less, or change {owner.name} first"
    )
    field = f"{KINDS[type(cause)]}.bandwidth"
    return FailedPrecondition(
        reason, f"{what}: {advice}", subject=cause.name, fields={field: f"is {over} kbit/s too much for {owner.name}"},
        metadata={
            "parent": owner.name, "direction": direction, "window": str(stage - 1) if stage else "",
            "guaranteed_kbps": str(below), "at_most_kbps": str(bound),
        },
    )


def _shown(owner: Owner) -> str:
    return f"{KINDS[type(owner)]} {owner.name}"


def _when(owner: Owner, direction: Direction, stage: int) -> str:
    """Which way, and when in the terms of the owner's own schedule."""
    way = "inward" if direction == "in" else "outward"
    if not owner.bandwidth.schedule:
        return way
    return f"{way} in its window {stage - 1}" if stage else f"{way} outside its windows"
