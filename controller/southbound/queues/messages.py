"""What the kernel's traffic control is told and says: rtnetlink messages <-> values.  Pure.

    header (16 bytes) · tcmsg or ifinfomsg · attributes, each: length, type, value, padded to 4

Only what Pliant uses: devices; qdiscs HTB and pfifo_head_drop; HTB classes with counters; u32 filters with hash tables.
The layouts are the kernel's <linux/rtnetlink.h> and <linux/pkt_sched.h>; `tc` and this must agree, which a test holds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from struct import Struct, error
from typing import NamedTuple

from controller.model.queues import QueueCount

LEAF = "pfifo_head_drop"
"""The queue of a class.  One that is full lets go of its oldest frame and takes the new one, and so never refuses any:
ovs-vswitchd hands over what came in on a port in one batch, and gives up the rest of a batch when the kernel refuses a
frame of it.  With `pfifo` a tenant's flood would take with it the frames of those that came over the same link.
"""
MAJOR = 0x5011
"""Of our qdisc's handle: by this, everybody knows whose it is."""
HANDLE = MAJOR << 16
ROOT_PARENT = 0xFFFFFFFF

DONE, ERROR = 3, 2
_NEW_LINK, _GET_LINK = 16, 18
_NEW_QDISC, _DEL_QDISC, _GET_QDISC = 36, 37, 38
_NEW_CLASS, _DEL_CLASS, _GET_CLASS = 40, 41, 42
_NEW_FILTER, _DEL_FILTER, _GET_FILTER = 44, 45, 46
REQUEST, ACK, DUMP, DUMP_INTERRUPTED = 1, 4, 0x300, 0x10
_REPLACE, _EXCL, _CREATE = 0x100, 0x200, 0x400
_CAPPED, _EXPLAINED = 0x100, 0x200

HEADER = Struct("=IHHII")
_TC = Struct("=BxxxiIII")
_LINK = Struct("=BxHiII")
_ATTRIBUTE = Struct("=HH")
_U32 = Struct("=I")
_U64 = Struct("=Q")
_RATE = Struct("=BBHhHI")
_HTB_CLASS = Struct("=12s12sIIIII")
_HTB_GLOBAL = Struct("=IIIII")
_SELECTOR = Struct("=BBBxHHhh4s")
_KEY = Struct("=4s4sii")
_STATS_BASIC = Struct("=QI")
_STATS_QUEUE = Struct("=IIIII")

_KIND, _OPTIONS, _STATS2 = 1, 2, 7
_IF_ADDRESS, _IF_NAME, _IF_MASTER, _IF_EXT_MASK = 1, 3, 10, 29
_SKIP_STATS = 8
_HTB_PARAMETERS, _HTB_INIT, _HTB_RATE64, _HTB_CEIL64 = 1, 2, 6, 7
_U32_CLASS, _U32_HASH, _U32_LINK, _U32_DIVISOR, _U32_SELECTOR = 1, 2, 3, 4, 5
_BASIC, _QUEUE, _PACKETS64 = 1, 3, 8
_ETHERNET = 1
EVERY_PROTOCOL = int.from_bytes((3).to_bytes(2), sys.byteorder)
"""ETH_P_ALL, as it stands in a frame"""
_TERMINAL = 1
BUCKETS = 256
_MAX_U32 = 0xFFFFFFFF


class MalformedError(Exception):
    """What came is no message of the kernel's."""


class Device(NamedTuple):
    """A network interface.  `master` 0: it is part of nothing, such as a kernel datapath or a bridge."""

    number: int
    name: str
    mac: str
    master: int


class Qdisc(NamedTuple):
    """A queueing discipline.  `handle` 0: the kernel's own, which nobody asked for."""

    device: int
    handle: int
    parent: int
    kind: str
    number: int
    """HTB: the minor of the class that the rest goes to; a leaf: the limit, packets"""


class Class(NamedTuple):
    """An HTB class.  Rates are bytes per second; bursts are times, in the kernel's ticks of 64 ns."""

    parent: int
    rate: int
    ceiling: int
    burst: int
    ceiling_burst: int
    quantum: int
    priority: int


class Key(NamedTuple):
    """Four bytes of a frame: where they are, from the network header on, which bits count, and what these are."""

    at: int
    mask: int
    value: int


class Filter(NamedTuple):
    """One u32 filter.  Of the numbers those that do not concern it are 0.

    a hash table      `table`, divisor BUCKETS
    the way into one  `link`, and which bits choose the bucket: `hash_mask` at `hash_at`
    an entry          `table` and `bucket` where it is, `keys`, and the minor of the class it leads to
    """

    priority: int
    handle: int = 0
    """which the kernel gives"""
    table: int = 0
    bucket: int = 0
    divisor: int = 0
    link: int = 0
    hash_at: int = 0
    hash_mask: int = 0
    keys: tuple[Key, ...] = ()
    minor: int = 0
    protocol: int = EVERY_PROTOCOL
    kind: str = "u32"


# -- questions


def get_device(name: str) -> bytes:
    body = _LINK.pack(0, 0, 0, 0, 0) + _attribute(_IF_EXT_MASK, _U32.pack(_SKIP_STATS))
    return _message(_GET_LINK, 0, body + _attribute(_IF_NAME, name.encode() + b"\0"))


def get_qdiscs() -> bytes:
    """Of all devices: the kernel knows no other question."""
    return _message(_GET_QDISC, DUMP, _TC.pack(0, 0, 0, 0, 0))


def get_classes(device: int) -> bytes:
    return _message(_GET_CLASS, DUMP, _TC.pack(0, device, 0, 0, 0))


def get_filters(device: int) -> bytes:
    return _message(_GET_FILTER, DUMP, _TC.pack(0, device, 0, HANDLE, 0))


# -- orders


def add_root(device: int, rest: int) -> bytes:
    """Our qdisc; refused if the device has one that somebody else asked for.  `rest`: the minor of the default class.
    """
    options = _attribute(_HTB_INIT, _HTB_GLOBAL.pack(3, 10, rest, 0, 0))
    return _tc(_NEW_QDISC, _CREATE | _EXCL, device, HANDLE, ROOT_PARENT, 0, "htb", options)


def delete_root(device: int) -> bytes:
    """Our qdisc and all below it."""
    return _tc(_DEL_QDISC, 0, device, HANDLE, ROOT_PARENT, 0, "")


def put_class(device: int, minor: int, wanted: Class) -> bytes:
    """Make it so, whether it is there or not; frames that wait in it stay."""
    parameters = _HTB_CLASS.pack(
        _rate(wanted.rate), _rate(wanted.ceiling), wanted.burst, wanted.ceiling_burst, wanted.quantum, 0,
        wanted.priority)
    options = _attribute(_HTB_PARAMETERS, parameters)
    if wanted.rate > _MAX_U32:
        options += _attribute(_HTB_RATE64, _U64.pack(wanted.rate))
    if wanted.ceiling > _MAX_U32:
        options += _attribute(_HTB_CEIL64, _U64.pack(wanted.ceiling))
    return _tc(_NEW_CLASS, _CREATE, device, HANDLE | minor, wanted.parent, 0, "htb", options)


def delete_class(device: int, minor: int) -> bytes:
    return _tc(_DEL_CLASS, 0, device, HANDLE | minor, 0, 0, "")


def put_leaf(device: int, minor: int, limit: int) -> bytes:
    """The queue of a class holds so many frames."""
    return _tc(_NEW_QDISC, _CREATE | _REPLACE, device, 0, HANDLE | minor, 0, LEAF, _U32.pack(limit))


def add_filter(device: int, wanted: Filter) -> bytes:
    handle, options = 0, b""
    if wanted.divisor:
        handle = wanted.table << 20
        options = _attribute(_U32_DIVISOR, _U32.pack(wanted.divisor))
    elif wanted.link:
        options = _attribute(_U32_LINK, _U32.pack(wanted.link << 20))
        options += _attribute(_U32_SELECTOR, _selector(0, (), wanted.hash_at, wanted.hash_mask))
    else:
        options = _attribute(_U32_CLASS, _U32.pack(HANDLE | wanted.minor))
        options += _attribute(_U32_HASH, _U32.pack(wanted.table << 20 | wanted.bucket << 12))
        options += _attribute(_U32_SELECTOR, _selector(_TERMINAL, wanted.keys, 0, 0))
    info = wanted.priority << 16 | EVERY_PROTOCOL
    return _tc(_NEW_FILTER, _CREATE | _EXCL, device, handle, HANDLE, info, "u32", options)


def delete_filter(device: int, there: Filter) -> bytes:
    return _tc(_DEL_FILTER, 0, device, there.handle, HANDLE, there.priority << 16 | there.protocol, there.kind)


def stamp(message: bytes, sequence: int, *, acknowledge: bool) -> bytes:
    """The message with its number, and whether it is to be answered also if all is well."""
    length, kind, flags, _, _ = HEADER.unpack_from(message)
    return HEADER.pack(length, kind, flags | (ACK if acknowledge else 0), sequence, 0) + message[HEADER.size:]


def is_dump(message: bytes) -> bool:
    """Whether it is a question with many answers."""
    flags: int = HEADER.unpack_from(message)[2]
    return flags & DUMP == DUMP


# -- answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of what came."""

    kind: int
    flags: int
    sequence: int
    body: bytes


def split(data: bytes) -> Iterator[Message]:
    at = 0
    while at < len(data):
        if len(data) - at < HEADER.size:
            raise MalformedError("a header that is cut off")
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, at)
        if not HEADER.size <= length <= len(data) - at:
            raise MalformedError(f"a message of {length} bytes in {len(data) - at}")
        yield Message(kind=kind, flags=flags, sequence=sequence, body=data[at + HEADER.size:at + length])
        at += length + -length % 4


def refusal(message: Message) -> tuple[int, str]:
    """From an ERROR: the errno (0: done as asked) and what the kernel has to say, if it does."""
    body = message.body
    if len(body) < 4 + HEADER.size:
        raise MalformedError("an error that is cut off")
    number = -int.from_bytes(body[:4], sys.byteorder, signed=True)
    # What was asked is repeated, in whole or only its header.
    asked = HEADER.size if not number or message.flags & _CAPPED else HEADER.unpack_from(body, 4)[0]
    if not message.flags & _EXPLAINED:
        return number, ""
    return number, _text(dict(attributes(body[4 + asked + -asked % 4:])).get(1, b""))


def read_device(body: bytes) -> Device:
    with _bounds():
        _, _, number, _, _ = _LINK.unpack_from(body)
        found = dict(attributes(body[_LINK.size:]))
        master = _U32.unpack(found[_IF_MASTER])[0] if _IF_MASTER in found else 0
        mac = found.get(_IF_ADDRESS, b"").hex(":")
        return Device(number, found[_IF_NAME].rstrip(b"\0").decode(errors="replace"), mac, master)


def read_qdisc(body: bytes) -> Qdisc:
    with _bounds():
        _, device, handle, parent, _ = _TC.unpack_from(body)
        found = dict(attributes(body[_TC.size:]))
        kind, options = _text(found[_KIND]), found.get(_OPTIONS, b"")
        number = 0
        if kind == "htb":
            number = _HTB_GLOBAL.unpack(dict(attributes(options))[_HTB_INIT])[2]
        elif kind == LEAF:
            (number,) = _U32.unpack(options)
        return Qdisc(device, handle, parent, kind, number)


def read_class(body: bytes) -> tuple[int, Class, QueueCount]:
    """Handle, what it is, and what it counted.  Of a class that is not HTB's nothing but zeros."""
    with _bounds():
        _, _, handle, parent, _ = _TC.unpack_from(body)
        found = dict(attributes(body[_TC.size:]))
        if _text(found[_KIND]) != "htb":
            return handle, Class(parent, 0, 0, 0, 0, 0, 0), QueueCount(0, 0, 0)
        options = dict(attributes(found[_OPTIONS]))
        rate, ceiling, burst, ceiling_burst, quantum, _, priority = _HTB_CLASS.unpack(options[_HTB_PARAMETERS])
        wide, wide_ceiling = options.get(_HTB_RATE64), options.get(_HTB_CEIL64)
        rate = _U64.unpack(wide)[0] if wide else _RATE.unpack(rate)[5]
        ceiling = _U64.unpack(wide_ceiling)[0] if wide_ceiling else _RATE.unpack(ceiling)[5]
        kept = Class(parent, rate, ceiling, burst, ceiling_burst, quantum, priority)
        return handle, kept, _read_count(found.get(_STATS2, b""))


def read_filter(body: bytes) -> Filter | None:
    """None: it only says that there are filters of some priority.  Of another kind than u32 no more than that."""
    with _bounds():
        _, _, handle, _, info = _TC.unpack_from(body)
        found = dict(attributes(body[_TC.size:]))
        kind, priority, protocol = _text(found[_KIND]), info >> 16, info & 0xFFFF
        if _OPTIONS not in found or not handle:
            return None
        if kind != "u32":
            return Filter(priority, handle, protocol=protocol, kind=kind)
        options = dict(attributes(found[_OPTIONS]))
        table, bucket = handle >> 20, handle >> 12 & 0xFF
        if _U32_DIVISOR in options:
            return Filter(priority, handle, table, divisor=_U32.unpack(options[_U32_DIVISOR])[0], protocol=protocol)
        selector = options[_U32_SELECTOR]
        _, _, count, _, _, _, hash_at, hash_mask = _SELECTOR.unpack_from(selector)
        read = (_KEY.unpack_from(selector, _SELECTOR.size + _KEY.size * n) for n in range(count))
        keys = tuple(Key(at, int.from_bytes(mask), int.from_bytes(value)) for mask, value, at, _ in read)
        link = _U32.unpack(options[_U32_LINK])[0] >> 20 if _U32_LINK in options else 0
        minor = _U32.unpack(options[_U32_CLASS])[0] & 0xFFFF if _U32_CLASS in options else 0
        return Filter(priority, handle, table, bucket, link=link, hash_at=hash_at,
                      hash_mask=int.from_bytes(hash_mask), keys=keys, minor=minor, protocol=protocol)


# -- parts


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, REQUEST | flags, 0, 0) + body


def _tc(
    kind: int, flags: int, device: int, handle: int, parent: int, info: int, name: str, options: bytes = b"",
) -> bytes:
    body = _TC.pack(0, device, handle, parent, info)
    if name:
        body += _attribute(_KIND, name.encode() + b"\0")
    return _message(kind, flags, body + _attribute(_OPTIONS, options) if options else body)


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each."""
    at = 0
    while len(data) - at >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= len(data) - at:
            raise MalformedError(f"an attribute of {length} bytes in {len(data) - at}")
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size:at + length]
        at += length + -length % 4


def _rate(rate: int) -> bytes:
    return _RATE.pack(0, _ETHERNET, 0, 0, 0, min(rate, _MAX_U32))


def _selector(flags: int, keys: Sequence[Key], hash_at: int, hash_mask: int) -> bytes:
    head = _SELECTOR.pack(flags, 0, len(keys), 0, 0, 0, hash_at, hash_mask.to_bytes(4))
    return head + b"".join(_KEY.pack(key.mask.to_bytes(4), key.value.to_bytes(4), key.at, 0) for key in keys)


def _read_count(stats: bytes) -> QueueCount:
    found = dict(attributes(stats))
    octets, packets = _STATS_BASIC.unpack_from(found[_BASIC]) if _BASIC in found else (0, 0)
    if _PACKETS64 in found:
        (packets,) = _U64.unpack(found[_PACKETS64])
    dropped = _STATS_QUEUE.unpack(found[_QUEUE])[2] if _QUEUE in found else 0
    return QueueCount(octets, packets, dropped)


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


@contextmanager
def _bounds() -> Iterator[None]:
    """Whatever is missing, or too short, or too long."""
    try:
        yield
    except (error, KeyError, IndexError, ValueError) as what:
        raise MalformedError(str(what)) from what
