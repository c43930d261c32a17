"""Options that several commands have, and the types of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
from google.protobuf.duration_pb2 import Duration
from pliant.v1.common_pb2 import BandwidthPolicy, FailurePolicy, TrafficClass
from pliant.v1.network_pb2 import Attachment, PathSpread

from apps.cli.document import enum_text
from apps.cli.kinds import Scope, pad_dpid
from apps.cli.rates import NONE, parse_rate
from apps.cli.schedule import Window

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_TIMEOUT_S = 30.0
MOST = (1 << 31) - 1
"""What a whole number of the contract holds at least; what is too much for its meaning the controller says."""
COUNT = click.IntRange(min=0, max=MOST)


class Rate(click.ParamType[int]):
    """A rate in kbit/s."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_rate(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from error


class Enum(click.ParamType[int]):
    """A value of an enum of the contract, in lower case and without its prefix."""

    name = "choice"

    def __init__(self, enum: Any) -> None:
        self.numbers: dict[str, int] = {
            enum_text(enum.DESCRIPTOR, number).lower().replace("_", "-"): number for number in enum.values() if number
        }

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        number = self.numbers.get(value.lower().replace("_", "-"))
        if number is None:
            raise click.BadParameter(f"{value!r} must be one of {', '.join(self.numbers)}", ctx, param)
        return number

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "|".join(self.numbers)


class Latency(click.ParamType[int]):
    """Microseconds, as 300us or 1.5ms; 0 for "none"."""

    name = "latency"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if value == NONE:
            return 0
        for unit, size_us in (("us", 1), ("ms", 1_000)):
            number = value.removesuffix(unit).strip()
            is_number = number.isascii() and number.replace(".", "", 1).isdigit()
            if value.endswith(unit) and is_number and (latency_us := float(number) * size_us) <= MOST:
                return round(latency_us)
        raise click.BadParameter(f"{value[:40]!r} is no latency: write 300us or 1.5ms", ctx, param)


class AttachmentType(click.ParamType[Attachment]):
    """INTERFACE@DPID or DPID:PORT_NUMBER."""

    name = "attachment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Attachment:
        if isinstance(value, Attachment):
            return value
        interface, at, dpid = value.rpartition("@")
        if at and interface and dpid:
            return Attachment(switch=pad_dpid(dpid), interface=interface)
        dpid, colon, port_number = value.rpartition(":")
        if colon and dpid and port_number.isascii() and port_number.isdigit() and int(port_number) < 1 << 32:
            return Attachment(switch=pad_dpid(dpid), port_number=int(port_number))
        raise click.BadParameter(f"{value!r} is no switch port: write INTERFACE@DPID or DPID:PORT_NUMBER", ctx, param)


class Pair(click.ParamType[tuple[str, str | None]]):
    """KEY=VALUE; with `removable` also KEY- for its removal, as (key, None)."""

    name = "pair"

    def __init__(self, *, removable: bool = False) -> None:
        self.removable = removable

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str | None]:
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if equals and key:
            return key, text
        if self.removable and not equals and len(value) > 1 and value.endswith("-"):
            return value[:-1], None
        or_remove = ", or KEY- to remove it" if self.removable else ""
        raise click.BadParameter(f"{value!r} must be KEY=VALUE{or_remove}", ctx, param)


class Timeout(click.ParamType[float]):
    """Seconds, as 30, 30s or 2m."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        number, unit_s = (value[:-1], {"s": 1, "m": 60, "h": 3600}[value[-1]]) if value[-1:] in "smh" else (value, 1)
        if value and number.replace(".", "", 1).isdigit() and number.isascii():
            return float(number) * unit_s
        raise click.BadParameter(f"{value!r} is no duration: write 30s or 2m", ctx, param)


def options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in their order."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


tenant_option = click.option(
    "-t", "--tenant", default="", envvar="PLIANT_TENANT", metavar="TENANT", help="The tenant.  [$PLIANT_TENANT]"
)
network_option = click.option(
    "-n", "--network", default="", envvar="PLIANT_NETWORK", metavar="NETWORK", help="The network.  [$PLIANT_NETWORK]"
)
scope_options = options(tenant_option, network_option)

timeout_option = click.option(
    "--timeout", "timeout_s", type=Timeout(), default=DEFAULT_TIMEOUT_S, metavar="TIME",
    help="How long to wait at most.  [30s]",
)
wait_options = options(
    click.option("--wait/--no-wait", default=True, help="Wait until the switches have confirmed it.  [--wait]"),
    timeout_option,
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Have the controller check it all, and change nothing.")

bandwidth_options = options(
    click.option("--guarantee-in", type=Rate(), metavar="RATE", help="Always free to receive, like 10Mbps; or none."),
    click.option("--guarantee-out", type=Rate(), metavar="RATE", help="Always free to send; or none."),
    click.option("--ceiling-in", type=Rate(), metavar="RATE", help="At most this is received, like 10Mbps; or none."),
    click.option("--ceiling-out", type=Rate(), metavar="RATE", help="At most this is sent; or none."),
    click.option("--burst-ms", type=COUNT, metavar="MS", help="How long full speed may last first."),
    click.option("--weight", type=COUNT, metavar="N", help="Share of what is spare; 0: the guarantee."),
    click.option("--class", "traffic_class", type=Enum(TrafficClass), help="Who borrows first what is spare."),
    click.option("--on-failure", type=Enum(FailurePolicy), help="What becomes of the guarantee if links fail."),
    click.option(
        "--schedule", type=Window(), multiple=True, metavar="WINDOW",
        help="Other rates at other times: 'CRON for 8h in ZONE: ceiling-in=10Mbps', or 'START to END: ...'; or none.  "
        "May be repeated.",
    ),
)
path_options = options(
    click.option("--tree", "trees", multiple=True, metavar="N", help="Only this tree (repeatable), 0 to 3; or any."),
    click.option(
        "--avoid-zone", "avoid_zones", multiple=True, metavar="ZONE", help="No path through it (repeatable); or none."
    ),
    click.option("--max-latency", type=Latency(), metavar="TIME", help="Of a whole path, like 1.5ms; or none."),
    click.option("--spread", type=Enum(PathSpread), help="How connections use several paths."),
)
quota_options = options(
    click.option("--max-networks", type=COUNT, metavar="N", help="Quota of networks."),
    click.option("--max-subnets", type=COUNT, metavar="N", help="Quota of subnets."),
    click.option("--max-ports", type=COUNT, metavar="N", help="Quota of ports."),
    click.option("--max-pipes", type=COUNT, metavar="N", help="Quota of pipes."),
    click.option("--max-peerings", type=COUNT, metavar="N", help="Quota of peerings."),
)
label_option = click.option(
    "-l", "--label", "labels", type=Pair(), multiple=True, metavar="KEY=VALUE", help="A mark of yours; may be repeated."
)
display_name_option = click.option("--display-name", metavar="TEXT", help="A name for people.")
attach_option = click.option(
    "--attach", type=AttachmentType(), metavar="WHERE", help="The switch port: INTERFACE@DPID or DPID:PORT_NUMBER."
)
ip_option = click.option(
    "--ip", "addresses", multiple=True, metavar="ADDRESS", help="An address of the port; may be repeated."
)
mac_option = click.option("--mac", metavar="MAC", help="The MAC address of the port.")


def scope_of(given: Mapping[str, Any]) -> Scope:
    return Scope(tenant=given.get("tenant") or "", network=given.get("network") or "")


BANDWIDTH_FIELDS = {
    "guarantee_in": "guarantee_in_kbps", "guarantee_out": "guarantee_out_kbps", "ceiling_in": "ceiling_in_kbps",
    "ceiling_out": "ceiling_out_kbps", "burst_ms": "burst_ms", "weight": "weight", "traffic_class": "traffic_class",
    "on_failure": "on_failure", "schedule": "schedule",
}
PATH_FIELDS = {"trees": "trees", "avoid_zones": "avoid_zones", "max_latency": "max_latency", "spread": "spread"}
QUOTA_FIELDS = {
    "max_networks": "networks", "max_subnets": "subnets", "max_ports": "ports", "max_pipes": "pipes",
    "max_peerings": "peerings",
}


def chosen(given: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Field -> value of those options that were given."""
    return {field: given[option] for option, field in fields.items() if given.get(option) not in (None, ())}


def bandwidth_chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a BandwidthPolicy; a schedule of "none" is an empty one."""
    fields = chosen(given, BANDWIDTH_FIELDS)
    if "schedule" in fields:
        fields["schedule"] = [window for window in fields["schedule"] if window is not None]
    return fields


def paths_chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a PathPolicy; "any" tree, and "none" of the zones, are empty lists."""
    fields = chosen(given, PATH_FIELDS)
    if "trees" in fields:
        fields["trees"] = [_tree(text) for text in fields["trees"] if text != "any"]
    if "avoid_zones" in fields:
        fields["avoid_zones"] = [zone for zone in fields["avoid_zones"] if zone != NONE]
    if "max_latency" in fields:
        latency = Duration()
        latency.FromMicroseconds(fields["max_latency"])
        fields["max_latency"] = latency
    return fields


def _tree(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise click.BadParameter(f"{text[:20]!r} is no tree: write 0 to 3, or any", param_hint="--tree")
    return int(text)


def bandwidth_of(given: Mapping[str, Any]) -> BandwidthPolicy | None:
    """The policy that the options ask for; None if they ask for none."""
    policy = {field: value for field, value in bandwidth_chosen(given).items() if value}
    return BandwidthPolicy(**policy) if policy else None


def labels_of(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return dict(pairs)
