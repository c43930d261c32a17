"""Options that several commands have, and the types of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
from pliant.v1.common_pb2 import BandwidthPolicy
from pliant.v1.network_pb2 import Attachment

from apps.cli.kinds import Scope, pad_dpid
from apps.cli.rates import parse_rate

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_TIMEOUT_S = 30.0


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
    click.option("--ceiling-in", type=Rate(), metavar="RATE", help="At most this is received, like 10Mbps; or none."),
    click.option("--ceiling-out", type=Rate(), metavar="RATE", help="At most this is sent; or none."),
    click.option("--burst-ms", type=click.IntRange(min=0), metavar="MS", help="How long full speed may last first."),
)
quota_options = options(
    click.option("--max-networks", type=click.IntRange(min=0), metavar="N", help="Quota of networks."),
    click.option("--max-subnets", type=click.IntRange(min=0), metavar="N", help="Quota of subnets."),
    click.option("--max-ports", type=click.IntRange(min=0), metavar="N", help="Quota of ports."),
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


BANDWIDTH_FIELDS = {"ceiling_in": "ceiling_in_kbps", "ceiling_out": "ceiling_out_kbps", "burst_ms": "burst_ms"}
QUOTA_FIELDS = {"max_networks": "networks", "max_subnets": "subnets", "max_ports": "ports"}


def chosen(given: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Field -> value of those options that were given."""
    return {field: given[option] for option, field in fields.items() if given.get(option) is not None}


def bandwidth_of(given: Mapping[str, Any]) -> BandwidthPolicy | None:
    """The policy that the options ask for; None if they ask for none."""
    policy = {field: value for field, value in chosen(given, BANDWIDTH_FIELDS).items() if value}
    return BandwidthPolicy(**policy) if policy else None


def labels_of(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return dict(pairs)
