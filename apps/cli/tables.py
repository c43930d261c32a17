"""Which columns the table of each kind has."""

from __future__ import annotations

import time
from typing import Any

from pliant.v1.common_pb2 import State
from pliant.v1.fabric_pb2 import PORT_ROLE_EDGE, PORT_ROLE_FABRIC, LinkState

from apps.cli.document import end_of
from apps.cli.kinds import last_id
from apps.cli.output import Column
from apps.cli.rates import format_load, format_rate

_AGE_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


def columns(title: str, *, wide: bool = False, live: bool = False) -> list[Column]:
    """The columns of the kind whose message is called that; `live` are those that are for a watch."""
    return [each for each in _COLUMNS[title] if wide or (live and each.live) or not (each.wide or each.live)]


def ceilings(message: Any) -> str:
    policy = message.bandwidth
    return _both(policy.ceiling_in_kbps, policy.ceiling_out_kbps)


def guarantees(message: Any) -> str:
    policy = message.bandwidth
    return _both(policy.guarantee_in_kbps, policy.guarantee_out_kbps)


def _both(in_kbps: int, out_kbps: int) -> str:
    """'10 Mbit/s / -': in and out; '-' if there are none."""
    return f"{format_rate(in_kbps)} / {format_rate(out_kbps)}" if in_kbps or out_kbps else "-"


def attachment(port: Any) -> str:
    """As --attach takes it."""
    at = port.attachment
    match at.WhichOneof("at"):
        case "interface":
            return f"{at.interface}@{last_id(at.switch)}"
        case "port_number":
            return f"{last_id(at.switch)}:{at.port_number}"
    return "-"


def state(message: Any) -> str:
    return State.Name(message.state).removeprefix("STATE_")


def reasons(message: Any) -> str:
    return ",".join(condition.reason for condition in message.conditions)


def _scope(message: Any) -> str:
    """tenant/network, or the tenant alone."""
    return "/".join(message.name.split("/")[1:-2:2])


def _age(message: Any) -> str:
    if not message.HasField("create_time"):
        return "-"
    age_s = max(time.time() - message.create_time.ToMilliseconds() / 1_000, 0)
    return next((f"{age_s / size_s:.0f}{unit}" for size_s, unit in _AGE_UNITS if age_s >= size_s), f"{age_s:.0f}s")


def _labels(message: Any) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(message.labels.items()))


def _quota(tenant: Any) -> str:
    quota = tenant.quota
    return f"{quota.networks}/{quota.subnets}/{quota.ports}/{quota.pipes}/{quota.peerings}"


def _end(end: Any) -> str:
    return f"{end.interface or end.port_number}@{last_id(end.switch)}"


def _roles(switch: Any) -> str:
    roles = [port.role for port in switch.switch_ports]
    return f"{roles.count(PORT_ROLE_EDGE)}/{roles.count(PORT_ROLE_FABRIC)}"


def format_latency(message: Any) -> str:
    """'1.5 ms' of what has latency_us; '-' if it is not known."""
    return f"{message.latency_us / 1_000:g} ms" if message.HasField("latency_us") else "-"


def _load(link: Any) -> str:
    if not link.HasField("usage") or not link.capacity_kbps:
        return "-"
    return f"{100 * link.usage.rate_kbps / link.capacity_kbps:.0f} %"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


_NAME = Column("NAME", lambda message: last_id(message.name))
_STATE = (Column("STATE", state), Column("REASON", reasons))
_WIDE = (
    Column("LABELS", _labels, wide=True),
    Column("GENERATION", lambda message: str(message.generation), wide=True),
    Column("AGE", _age),
)
_GUARANTEES = Column("GUARANTEE IN/OUT", guarantees)
_CEILINGS = Column("CEILING IN/OUT", ceilings)

_COLUMNS: dict[str, tuple[Column, ...]] = {
    "Tenant": (
        _NAME, _GUARANTEES, _CEILINGS, Column("QUOTA NET/SUB/PORT/PIPE/PEERING", _quota, wide=True), *_STATE, *_WIDE),
    "Network": (_NAME, Column("TENANT", _scope), _GUARANTEES, _CEILINGS, *_STATE, *_WIDE),
    "Subnet": (
        _NAME,
        Column("TENANT/NETWORK", _scope),
        Column("CIDR", lambda subnet: ",".join(filter(None, (subnet.ipv4_cidr, subnet.ipv6_cidr)))),
        Column("GATEWAY", lambda subnet: ",".join(filter(None, (subnet.ipv4_gateway, subnet.ipv6_gateway)))),
        *_STATE,
        *_WIDE,
    ),
    "Port": (
        _NAME,
        Column("TENANT/NETWORK", _scope),
        Column("SUBNET", lambda port: last_id(port.subnet), wide=True),
        Column("ADDRESSES", lambda port: ",".join(port.addresses)),
        Column("MAC", lambda port: port.mac_address),
        Column("ATTACHMENT", attachment),
        _GUARANTEES,
        _CEILINGS,
        *_STATE,
        *_WIDE,
    ),
    "Peering": (
        _NAME,
        Column("TENANT", _scope),
        Column("A", lambda peering: end_of(peering.a)),
        Column("B", lambda peering: end_of(peering.b)),
        *_STATE,
        *_WIDE,
    ),
    "Pipe": (
        _NAME,
        Column("TENANT", _scope),
        Column("A", lambda pipe: end_of(pipe.a)),
        Column("B", lambda pipe: end_of(pipe.b)),
        _GUARANTEES,
        _CEILINGS,
        *_STATE,
        *_WIDE,
    ),
    "Switch": (
        Column("DPID", lambda switch: last_id(switch.name)),
        Column("CONNECTED", lambda switch: _yes(switch.connected)),
        Column("PORTS", lambda switch: str(len(switch.switch_ports))),
        Column("EDGE/FABRIC", _roles),
        Column("IN SYNC", lambda switch: _yes(switch.in_sync)),
        Column("REVISION", lambda switch: str(switch.confirmed_revision), wide=True),
        Column("ZONE", lambda switch: switch.zone, wide=True),
        Column("DRAINED", lambda switch: _yes(switch.drained), wide=True),
        Column("METERS", lambda switch: str(switch.meter_count_max), wide=True),
        Column("SOFTWARE", lambda switch: f"{switch.manufacturer} {switch.software}".strip(), wide=True),
    ),
    "Link": (
        Column("NAME", lambda link: last_id(link.name), wide=True),
        Column("SRC", lambda link: _end(link.source)),
        Column("DST", lambda link: _end(link.destination)),
        Column("CAPACITY", lambda link: format_rate(link.capacity_kbps)),
        Column("OVERRIDE", lambda link: format_rate(link.capacity_override_kbps), wide=True),
        Column("COST", lambda link: str(link.cost), wide=True),
        Column("LATENCY", format_latency, wide=True),
        Column("RATE", lambda link: format_load(link.usage.rate_kbps) if link.HasField("usage") else "-", live=True),
        Column("LOAD", _load, live=True),
        Column("STATE", lambda link: LinkState.Name(link.state).removeprefix("LINK_STATE_")),
    ),
    "DropCount": (
        Column("SWITCH", lambda drop: last_id(drop.switch)),
        Column("TENANT", lambda drop: last_id(drop.tenant)),
        Column("REASON", lambda drop: drop.reason),
        Column("PACKETS", lambda drop: str(drop.packets)),
        Column("BYTES", lambda drop: str(drop.bytes), wide=True),
    ),
}
