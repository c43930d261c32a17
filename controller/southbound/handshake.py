"""What is asked of a switch before it is announced, and how its answers read as the fabric's values."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from struct import Struct
from typing import Any, Protocol

import structlog

from controller.fabric.ports import SwitchFeatures, SwitchPort
from controller.model.ids import format_dpid
from controller.openflow import decode
from controller.openflow import messages as openflow
from controller.southbound.framing import HEADER, SET_CONFIG
from controller.southbound.transactions import Refused

log = structlog.get_logger()

_FEATURES = Struct("!8xQIB")
_CONFIG = Struct("!HH")
_WHOLE_PACKETS = 0xFFFF
TAP_KBPS = 10_000
"""What a virtual machine's tap says before Linux 5.17, whatever it carries: nobody is to be held to that."""


class Asked(Protocol):
    """The connection, as far as the handshake needs it."""

    @property
    def dpid(self) -> int: ...

    def ask(self, frame: bytes, read: Callable[[bytes], Sequence[Any]]) -> Future[list[Any]]: ...

    def send(self, frame: bytes) -> bool: ...


def features_of(frame: bytes) -> tuple[int, int]:
    """FEATURES_REPLY -> (dpid, number of tables)."""
    dpid, _, n_tables = _FEATURES.unpack_from(frame)
    return dpid, n_tables


def switch_port(port: decode.PortDesc) -> SwitchPort:
    speed_kbps = port.speed_kbps if port.speed_kbps > TAP_KBPS else 0
    return SwitchPort(port_no=port.port_no, name=port.name, mac=port.mac, up=port.up, speed_kbps=speed_kbps)


async def describe(switch: Asked, n_tables: int, ports: Callable[[bytes], Sequence[Any]]) -> SwitchFeatures:
    """Ask for everything at once; `ports` gets the port descriptions as they arrive.  Raises Disconnected.

    Ports are a must.  A switch that refuses one of the other questions has none of what it asks for.
    """
    # Punted packets shall come whole, whichever way they are punted.
    switch.send(HEADER.pack(openflow.VERSION, SET_CONFIG, 12, 0) + _CONFIG.pack(0, _WHOLE_PACKETS))
    described, meters, groups, about = await asyncio.gather(
        *(asyncio.wrap_future(switch.ask(frame, read)) for frame, read in (
            (openflow.port_desc_request(), ports),
            (openflow.meter_features_request(), lambda frame: [decode.meter_features([frame])]),
            (openflow.group_features_request(), lambda frame: [decode.max_groups([frame])]),
            (openflow.desc_request(), lambda frame: [decode.description([frame])]),
        )),
        return_exceptions=True,
    )
    for answer in (described, meters, groups, about):
        if isinstance(answer, BaseException) and (not isinstance(answer, Refused) or answer is described):
            raise answer
    if isinstance(meters, Refused):
        log.warning("switch_without_meters", switch=format_dpid(switch.dpid), reason=meters.text,
                    consequence="ceilings are not enforced on its ports")
    meter = None if isinstance(meters, BaseException) or not meters else meters[0]
    text = None if isinstance(about, BaseException) or not about else about[0]
    return SwitchFeatures(
        n_tables=n_tables,
        max_meters=meter.max_meters if meter else 0,
        meter_pktps=bool(meter and meter.pktps),
        max_groups=0 if isinstance(groups, BaseException) or not groups else max(groups[0]),
        manufacturer=text.manufacturer if text else "",
        software=text.software if text else "",
    )
