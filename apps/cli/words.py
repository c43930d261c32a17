"""What a resource gets of its bandwidth, in words.

    out    39 Mbit/s of 40 Mbit/s allotted; limited by the tenant's ceiling; 40 Mbit/s spare on all its links
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from apps.cli.kinds import last_id
from apps.cli.rates import format_load

if TYPE_CHECKING:
    from pliant.v1.common_pb2 import BandwidthStatus, DirectionStatus

_DROPPERS = {
    "port_bytes": "the port's ceiling",
    "network_bytes": "the network's ceiling",
    "tenant_bytes": "the tenant's ceiling",
    "pipe_bytes": "the pipe's ceiling",
    "link_bytes": "full links",
}
_SIZES = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))
KEPT = 0.995
"""From here on a fulfilment is told as 100 %."""


def bandwidth_words(status: BandwidthStatus, own_name: str) -> Iterator[str]:
    """A line or two for each direction."""
    for way, direction in (("in", status.inward), ("out", status.outward)):
        yield f"{way + ':':<4} {'; '.join(_direction(direction, own_name))}"
        if dropped := _dropped(direction):
            yield f"     dropped so far: {dropped}"


def limit(bottleneck: str, own_name: str) -> str:
    """'the tenant's ceiling': what holds somebody back, seen from it; '' if nothing does."""
    if not bottleneck:
        return ""
    if bottleneck.startswith("links/"):
        return f"link {last_id(bottleneck)}"
    if bottleneck == own_name:
        return "its own ceiling"
    kind = bottleneck.split("/")[-2].removesuffix("s")
    above = own_name.startswith(f"{bottleneck}/")
    return f"the {kind}'s ceiling" if above else f"the ceiling of {kind} {last_id(bottleneck)}"


def _direction(direction: DirectionStatus, own_name: str) -> Iterator[str]:
    yield f"{format_load(direction.delivered_kbps)} of {format_load(direction.allotted_kbps)} allotted"
    if direction.guarantee_kbps:
        kept = "" if direction.fulfilment >= KEPT else f", of which it has {100 * direction.fulfilment:.0f} %"
        yield f"guaranteed {format_load(direction.guarantee_kbps)}{kept}"
    if direction.ceiling_kbps:
        yield f"at most {format_load(direction.ceiling_kbps)}"
    held = limit(direction.bottleneck, own_name)
    yield f"limited by {held}" if held else f"limited by nothing: it wants {format_load(direction.demand_kbps)}"
    if direction.HasField("spare_kbps"):
        yield f"{format_load(direction.spare_kbps)} spare on all its links"


def _dropped(direction: DirectionStatus) -> str:
    counted = [(what, getattr(direction.dropped, field)) for field, what in _DROPPERS.items()]
    return ", ".join(f"{format_bytes(count)} by {what}" for what, count in counted if count)


def format_bytes(count: int) -> str:
    """'1.5 MB'."""
    size, unit = next((item for item in _SIZES if count >= item[0]), (1, "B"))
    return f"{float(f'{count / size:.3g}'):g} {unit}"
