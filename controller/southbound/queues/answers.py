"""What the kernel's traffic control says: its answers -> values.  Pure; messages.py is the way there.

There may be a thousand classes on a port, each with a filter and a leaf, and all are read for each change.  So what is
said of them is taken out of the bytes where it stands; pyroute2 would make an object of each of its attributes, which
takes ten times as long.  The little that is asked else is pyroute2's to read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from struct import Struct, error
from typing import Any

from pyroute2.netlink import NETLINK_ROUTE, NETLINK_SOCK_DIAG, nlmsg, rtnl
from pyroute2.netlink.diag import SOCK_DIAG_BY_FAMILY
from pyroute2.netlink.exceptions import NetlinkDecodeError

from controller.model.queues import QueueCount
from controller.southbound.queues.layouts import PacketSocketMessage, TcAnswer
from controller.southbound.queues.messages import LEAF, Class, Device, Filter, Key, PacketSocket, Qdisc

ANSWERS = {
    NETLINK_ROUTE: {
        rtnl.RTM_NEWQDISC: TcAnswer, rtnl.RTM_NEWTCLASS: TcAnswer, rtnl.RTM_NEWTFILTER: TcAnswer},
    NETLINK_SOCK_DIAG: {SOCK_DIAG_BY_FAMILY: PacketSocketMessage},
}
"""By netlink family and type, what pyroute2 is to make of what comes."""
# <linux/rtnetlink.h>, <linux/pkt_sched.h>, <linux/pkt_cls.h>, <linux/gen_stats.h>; numbers as the machine has them
_TC = Struct("=B3xiIII")
"""tcmsg: family, device, handle, parent, info"""
_ATTRIBUTE = Struct("=HH")
_U32, _U64 = Struct("=I"), Struct("=Q")
_KIND, _OPTIONS, _STATS2 = 1, 2, 7
_HTB_PARMS, _HTB_INIT, _HTB_RATE64, _HTB_CEIL64 = 1, 2, 6, 7
_HTB_OPT = Struct("=8xI8xIIII4xI")
"""tc_htb_opt: rate, ceil, buffer, cbuffer, quantum, prio"""
_HTB_GLOB = Struct("=8xI")
"""tc_htb_glob: defcls"""
_STATS_BASIC, _STATS_QUEUE, _STATS_PKT64 = 1, 3, 8
_BASIC, _QUEUE = Struct("=QI"), Struct("=8xI")
"""bytes, packets; drops"""
_U32_CLASSID, _U32_LINK, _U32_DIVISOR, _U32_SEL = 1, 3, 4, 5
_SELECTOR = Struct("=2xB7xh4s")
"""tc_u32_sel: nkeys, hoff, hmask"""
_KEY = Struct("=4s4si4x")
"""tc_u32_key: mask, val, off"""


class MalformedError(Exception):
    """What came is no message of the kernel's."""


def read_device(message: nlmsg) -> Device:
    with _bounds():
        found = _named(message)
        return Device(message["index"], found["IFLA_IFNAME"].value, _value(found, "IFLA_ADDRESS", ""),
                      _value(found, "IFLA_MASTER", 0))


def read_packet_socket(message: nlmsg) -> PacketSocket:
    with _bounds():
        found = _named(message)
        return PacketSocket(message["pdiag_num"], found["PACKET_DIAG_INFO"].value["pdi_index"],
                            found["PACKET_DIAG_MEMINFO"].value["sndbuf"])


def read_qdisc(message: TcAnswer) -> Qdisc:
    with _bounds():
        _, device, handle, parent, _ = _TC.unpack_from(message.body)
        found = _attributes(message.body[_TC.size:])
        kind, number = _text(found[_KIND]), 0
        if kind == "htb":
            (number,) = _HTB_GLOB.unpack_from(_attributes(found[_OPTIONS])[_HTB_INIT])
        elif kind == LEAF:
            (number,) = _U32.unpack_from(found[_OPTIONS])
        return Qdisc(device, handle, parent, kind, number)


def read_class(message: TcAnswer) -> tuple[int, Class, QueueCount]:
    """Handle, what it is, and what it counted.  Of a class that is not HTB's nothing but zeros."""
    with _bounds():
        _, _, handle, parent, _ = _TC.unpack_from(message.body)
        found = _attributes(message.body[_TC.size:])
        if _text(found[_KIND]) != "htb":
            return handle, Class(parent, 0, 0, 0, 0, 0, 0), QueueCount(0, 0, 0)
        options = _attributes(found[_OPTIONS])
        rate, ceiling, *more = _HTB_OPT.unpack_from(options[_HTB_PARMS])
        if _HTB_RATE64 in options:
            (rate,) = _U64.unpack_from(options[_HTB_RATE64])
        if _HTB_CEIL64 in options:
            (ceiling,) = _U64.unpack_from(options[_HTB_CEIL64])
        return handle, Class(parent, rate, ceiling, *more), _read_count(found.get(_STATS2))


def read_filter(message: TcAnswer) -> Filter | None:
    """None: it only says that there are filters of some priority.  Of another kind than u32 no more than that."""
    with _bounds():
        _, _, handle, _, info = _TC.unpack_from(message.body)
        found = _attributes(message.body[_TC.size:])
        if _OPTIONS not in found or not handle:
            return None
        kind, priority, protocol = _text(found[_KIND]), info >> 16, info & 0xFFFF
        if kind != "u32":
            return Filter(priority, handle, protocol=protocol, kind=kind)
        options = _attributes(found[_OPTIONS])
        table, bucket = handle >> 20, handle >> 12 & 0xFF
        if _U32_DIVISOR in options:
            return Filter(priority, handle, table, divisor=_number(options, _U32_DIVISOR), protocol=protocol)
        n_keys, hash_at, hash_mask = _SELECTOR.unpack_from(options[_U32_SEL])
        keys = tuple(Key(at, int.from_bytes(mask), int.from_bytes(value)) for mask, value, at in (
            _KEY.unpack_from(options[_U32_SEL], _SELECTOR.size + n * _KEY.size) for n in range(n_keys)))
        return Filter(
            priority, handle, table, bucket, link=_number(options, _U32_LINK) >> 20, hash_at=hash_at,
            hash_mask=int.from_bytes(hash_mask), keys=keys, minor=_number(options, _U32_CLASSID) & 0xFFFF,
            protocol=protocol)


# -- parts


def _attributes(data: memoryview) -> dict[int, memoryview]:
    """By type."""
    found: dict[int, memoryview] = {}
    at, end = 0, len(data)
    while at < end:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= end - at:
            raise MalformedError(f"an attribute of {length} bytes where {end - at} are left")
        found[kind & 0x3FFF] = data[at + _ATTRIBUTE.size:at + length]
        at += length + 3 & ~3
    return found


def _number(attributes: Mapping[int, memoryview], kind: int) -> int:
    """0 if it is not there."""
    if kind not in attributes:
        return 0
    number: int
    (number,) = _U32.unpack_from(attributes[kind])
    return number


def _text(data: memoryview) -> str:
    return bytes(data).rstrip(b"\0").decode()


def _read_count(stats: memoryview | None) -> QueueCount:
    if stats is None:
        return QueueCount(0, 0, 0)
    found = _attributes(stats)
    octets, packets = _BASIC.unpack_from(found[_STATS_BASIC])
    if _STATS_PKT64 in found:
        (packets,) = _U64.unpack_from(found[_STATS_PKT64])
    (dropped,) = _QUEUE.unpack_from(found[_STATS_QUEUE])
    return QueueCount(octets, packets, dropped)


def _named(message: Any) -> dict[str, Any]:
    """By name; each is decoded when its value is looked at."""
    return {slot.name: slot for slot in message["attrs"]}


def _value(attributes: Mapping[str, Any], name: str, nothing: Any) -> Any:
    return attributes[name].value if name in attributes else nothing


@contextmanager
def _bounds() -> Iterator[None]:
    """Whatever is missing, or too short: then pyroute2 gives None, or bytes, or fails."""
    try:
        yield
    except (error, NetlinkDecodeError, KeyError, IndexError, TypeError, ValueError, AttributeError) as what:
        raise MalformedError(str(what)) from what
