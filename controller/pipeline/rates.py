"""Ceilings as chained meters: port, network, tenant, on the way out and on the way in; and those of pipes between
networks, which many ports on many edges have together, too.  Those of pipes between two ports: pipes.py.

No ceiling: no meter, no flow, a table miss; and the tables of networks are passed only where one of them has a ceiling.
A switch without meters (features.max_meters 0) enforces none of them: its fragments simply hold none.
"""

from __future__ import annotations

from controller.model.bandwidth import DEFAULT_BURST_MS, burst_kbit
from controller.model.network import Network, Pipe
from controller.model.tenancy import Tenant
from controller.pipeline import tables
from controller.pipeline.draft import Draft, goto, through
from controller.pipeline.tables import Condition, Kind, MeterKind, Priority, Table, where
from controller.pipeline.views import (
    BoundPort,
    LocalNetwork,
    find_features,
    find_local_network,
    find_local_tenant,
    present,
    rates_of,
    shaped_kbps,
)
from controller.pipeline.world import Fragment, World


def limit_port(draft: Draft, world: World, bound: BoundPort) -> None:
    """Where queues hold what the port receives to its ceiling, a meter before them would drop without regard to whose
    guarantee it is: it goes when they are in force, and comes back before they go.
    """
    rates = rates_of(world, bound.port)
    in_kbps = 0 if shaped_kbps(world, bound.at) == rates.ceiling_in_kbps else rates.ceiling_in_kbps
    burst_ms = bound.port.bandwidth.burst_ms
    sent, received = (tables.SOURCE, bound.key24), (tables.DESTINATION, bound.key24)
    out_id, in_id = _meter_ids(bound.slot)
    limit(draft, tables.TX_PORT, where(sent), out_id, rates.ceiling_out_kbps, burst_ms, then=tables.TX_NETWORK)
    limit(draft, tables.RX_PORT, where(received), in_id, in_kbps, burst_ms, then=tables.RX_NETWORK)


def compile_ceiling(world: World, dpid: int, name: str) -> Fragment | None:
    """The ceilings of a tenant, network, or pipe between networks, or their shares of them, for all ports on this edge
    that they concern together.

    Nothing else is in this fragment, because shares move all the time.
    """
    features = find_features(world, dpid)
    if features is None:
        return None
    draft = Draft(Kind.CEILING, features)
    if (network := find_local_network(world, dpid, name)) is not None:
        _limit_network(draft, world, dpid, network)
    elif (tenant := find_local_tenant(world, dpid, name)) is not None:
        own = (tables.TENANT, tenant.tenant_id)
        _limit_together(draft, world, dpid, tenant.tenant, tenant.slot, own,
                        out=tables.TX_TENANT, into=tables.RX_TENANT)
    elif (pipe := world.intent.pipes.get(name)) is not None and pipe.joins_networks:
        _limit_between(draft, world, dpid, pipe)
    fragment = draft.fragment()
    return None if fragment == Fragment() else fragment


def _limit_network(draft: Draft, world: World, dpid: int, local: LocalNetwork) -> None:
    own = (tables.NETWORK, local.key)
    _limit_together(draft, world, dpid, world.intent.networks[local.name], local.slot, own,
                    out=tables.TX_NETWORK, into=tables.RX_NETWORK)
    # Whoever has no ceiling of its own would pass these tables by.
    for meter_id, port_table, table in zip(
        _meter_ids(local.slot), (tables.TX_PORT, tables.RX_PORT), (tables.TX_NETWORK, tables.RX_NETWORK), strict=True,
    ):
        if draft.has_meter(meter_id):
            draft.flow(port_table, Priority.FALLBACK, where(own), goto(table))


def _limit_together(
    draft: Draft, world: World, dpid: int, owner: Tenant | Network, slot: int, own: Condition, *,
    out: Table, into: Table,
) -> None:
    """One meter in each direction for all ports of the owner here.

    A share's bucket holds as long a burst as a whole ceiling's, up to 250 ms.  OVS fills the bucket whenever a meter is
    modified, so each move of a share may let that much pass once, which those who move them count (qos/fills.py); but
    with a shorter one TCP never gets its rate at all.  One cubic flow through a meter of 10 (28) Mbit/s, per cent of
    the meter, by the burst:

        50 ms   37 (44)      100 ms   54 (60)      150 ms   74 (74)      200 ms   97 (95)      250 ms   101 (99)
    """
    out_kbps, in_kbps, burst_ms = _held(world, dpid, owner)
    out_id, in_id = _meter_ids(slot)
    limit(draft, out, where(own), out_id, out_kbps, burst_ms, then=tables.after(out))
    limit(draft, into, where(own), in_id, in_kbps, burst_ms, then=tables.after(into))


def _limit_between(draft: Draft, world: World, dpid: int, pipe: Pipe) -> None:
    """One meter for all that ports here send through the pipe: by its one end if they are of its one network, else by
    its other.
    """
    keys, (out_kbps, in_kbps, burst_ms) = world.intent.keys, _held(world, dpid, pipe)
    for source, target, kind, kbps in (
        (pipe.a, pipe.b, MeterKind.OUT, out_kbps), (pipe.b, pipe.a, MeterKind.IN, in_kbps),
    ):
        if present(world, dpid, source):
            passes = where((tables.NETWORK, keys.network_key(source)), (tables.TARGET, keys.network_key(target)))
            limit_pipe(draft, pipe, passes, tables.pipe_meter_id(keys.pipe_id(pipe.name), kind), kbps, burst_ms)


def limit_pipe(draft: Draft, pipe: Pipe, passes: bytes, meter_id: int, rate_kbps: int, burst_ms: int) -> None:
    """One direction of a pipe.  With a guarantee alone the meter only counts: no switch port knows what it carries."""
    then = tables.after(tables.PIPE)
    if rate_kbps or not pipe.bandwidth.may_guarantee:
        limit(draft, tables.PIPE, passes, meter_id, rate_kbps, burst_ms, then=then)
    elif (meter := draft.meter(meter_id, tables.COUNTING_KBPS, tables.COUNTING_KBIT, "kbps")) is not None:
        draft.flow(tables.PIPE, Priority.NORMAL, passes, through(meter), goto(then))


def _held(world: World, dpid: int, owner: Tenant | Network | Pipe) -> tuple[int, int, int]:
    """What the edge holds of the ceilings out and in, and the burst that goes with it."""
    rates, burst_ms = rates_of(world, owner), owner.bandwidth.burst_ms
    share = world.shares.get((dpid, owner.name))
    if share is None:
        return rates.ceiling_out_kbps, rates.ceiling_in_kbps, burst_ms
    return (_part(rates.ceiling_out_kbps, share.out_kbps), _part(rates.ceiling_in_kbps, share.in_kbps),
            min(burst_ms, DEFAULT_BURST_MS))


def _part(ceiling_kbps: int, share_kbps: int) -> int:
    """Never more than the ceiling, whatever the share; and no ceiling has no parts."""
    return min(ceiling_kbps, share_kbps) if share_kbps else ceiling_kbps


def limit(
    draft: Draft, table: Table, whose: bytes, meter_id: int, rate_kbps: int, burst_ms: int, *, then: Table,
) -> None:
    """Frames that match pass a meter of this rate, if there is one."""
    meter = draft.meter(meter_id, rate_kbps, burst_kbit(rate_kbps, burst_ms), "kbps") if rate_kbps else None
    if meter is not None:
        draft.flow(table, Priority.NORMAL, whose, through(meter), goto(then))


def _meter_ids(slot: int) -> tuple[int, int]:
    return tables.meter_id(slot, MeterKind.OUT), tables.meter_id(slot, MeterKind.IN)
