"""What the kernel's traffic control is asked and told: values -> pyroute2's messages.  Pure; answers.py goes back.

Only what Pliant uses: devices; qdiscs HTB and pfifo_head_drop; HTB classes with counters; u32 filters with hash tables;
packet sockets.  Orders carry their type and flags; whoever sends them numbers them.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import NamedTuple

from pyroute2.netlink import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    nlmsg,
    rtnl,
)
from pyroute2.netlink.diag import SOCK_DIAG_BY_FAMILY
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from controller.southbound.queues.layouts import PacketSocketRequest, TcMessage

LEAF = "pfifo_head_drop"
"""The queue of a class.  One that is full lets go of its oldest frame and takes the new one, and so never refuses any:
ovs-vswitchd hands over what came in on a port in one batch, and gives up the rest of a batch when the kernel refuses a
frame of it.  With `pfifo` a tenant's flood would take with it the frames of those that came over the same link.
"""
MAJOR = 0x5011
"""Of our qdisc's handle: by this, everybody knows whose it is."""
HANDLE = MAJOR << 16
ROOT_PARENT: int = rtnl.TC_H_ROOT
BUCKETS = 256
EVERY_PROTOCOL = socket.htons(3)
"""ETH_P_ALL, as it stands in a frame"""
_SKIP_STATS = 8
_ETHERNET = 1
_TERMINAL = 1
_MAX_U32 = 0xFFFFFFFF
_SHOW_INFO, _SHOW_MEMORY = 0x01, 0x10


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


class PacketSocket(NamedTuple):
    """`device` 0: it is bound to none."""

    protocol: int
    device: int
    send_bytes: int


# -- questions


def get_device(name: str) -> nlmsg:
    message = ifinfmsg()
    message["attrs"] = [("IFLA_EXT_MASK", _SKIP_STATS), ("IFLA_IFNAME", name)]
    return _typed(message, rtnl.RTM_GETLINK, 0)


def get_qdiscs() -> nlmsg:
    """Of all devices: the kernel knows no other question."""
    return _tc(rtnl.RTM_GETQDISC, NLM_F_DUMP, 0)


def get_classes(device: int) -> nlmsg:
    return _tc(rtnl.RTM_GETTCLASS, NLM_F_DUMP, device)


def get_filters(device: int) -> nlmsg:
    return _tc(rtnl.RTM_GETTFILTER, NLM_F_DUMP, device, parent=HANDLE)


def get_packet_sockets() -> nlmsg:
    message = PacketSocketRequest()
    message.update(sdiag_family=socket.AF_PACKET, pdiag_show=_SHOW_INFO | _SHOW_MEMORY)
    return _typed(message, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP)


# -- orders


def add_root(device: int, rest: int) -> nlmsg:
    """Our qdisc; refused if the device has one that somebody else asked for.  `rest`: the minor of the default class.
    """
    options = {"attrs": [("TCA_HTB_INIT", {"version": 3, "rate2quantum": 10, "defcls": rest})]}
    return _tc(rtnl.RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, device, HANDLE, ROOT_PARENT, kind="htb", options=options)


def delete_root(device: int) -> nlmsg:
    """Our qdisc and all below it."""
    return _tc(rtnl.RTM_DELQDISC, 0, device, HANDLE, ROOT_PARENT)


def put_class(device: int, minor: int, wanted: Class) -> nlmsg:
    """Make it so, whether it is there or not; frames that wait in it stay."""
    attributes: list[tuple[str, object]] = [("TCA_HTB_PARMS", {
        "rate": min(wanted.rate, _MAX_U32), "ceil": min(wanted.ceiling, _MAX_U32),
        "rate___reserved": _ETHERNET, "ceil___reserved": _ETHERNET,  # with it, the kernel needs no tables
        "buffer": wanted.burst, "cbuffer": wanted.ceiling_burst, "quantum": wanted.quantum, "prio": wanted.priority})]
    if wanted.rate > _MAX_U32:
        attributes.append(("TCA_HTB_RATE64", wanted.rate))
    if wanted.ceiling > _MAX_U32:
        attributes.append(("TCA_HTB_CEIL64", wanted.ceiling))
    return _tc(rtnl.RTM_NEWTCLASS, NLM_F_CREATE, device, HANDLE | minor, wanted.parent, kind="htb",
               options={"attrs": attributes})


def delete_class(device: int, minor: int) -> nlmsg:
    return _tc(rtnl.RTM_DELTCLASS, 0, device, HANDLE | minor)


def put_leaf(device: int, minor: int, limit: int) -> nlmsg:
    """The queue of a class holds so many frames."""
    return _tc(rtnl.RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, device, 0, HANDLE | minor, kind=LEAF,
               options={"limit": limit})


def add_filter(device: int, wanted: Filter) -> nlmsg:
    handle = 0
    if wanted.divisor:
        handle = wanted.table << 20
        attributes: list[tuple[str, object]] = [("TCA_U32_DIVISOR", wanted.divisor)]
    elif wanted.link:
        attributes = [
            ("TCA_U32_LINK", wanted.link << 20),
            ("TCA_U32_SEL", {"hoff": wanted.hash_at, "hmask": wanted.hash_mask, "keys": []})]
    else:
        keys = [{"key_mask": key.mask, "key_val": key.value, "key_off": key.at} for key in wanted.keys]
        attributes = [
            ("TCA_U32_CLASSID", HANDLE | wanted.minor), ("TCA_U32_HASH", wanted.table << 20 | wanted.bucket << 12),
            ("TCA_U32_SEL", {"flags": _TERMINAL, "keys": keys})]
    return _tc(rtnl.RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, device, handle, HANDLE,
               wanted.priority << 16 | EVERY_PROTOCOL, kind="u32", options={"attrs": attributes})


def lead_filter(device: int, wanted: Filter) -> nlmsg:
    """The filter of this handle leads to another class from now on: at no time to none."""
    return _tc(rtnl.RTM_NEWTFILTER, 0, device, wanted.handle, HANDLE, wanted.priority << 16 | EVERY_PROTOCOL,
               kind="u32", options={"attrs": [("TCA_U32_CLASSID", HANDLE | wanted.minor)]})


def delete_filter(device: int, there: Filter) -> nlmsg:
    return _tc(rtnl.RTM_DELTFILTER, 0, device, there.handle, HANDLE, there.priority << 16 | there.protocol,
               kind=there.kind)


# -- parts


def _tc(
    type_: int, flags: int, device: int, handle: int = 0, parent: int = 0, info: int = 0, *, kind: str = "",
    options: Mapping[str, object] | None = None,
) -> nlmsg:
    message = TcMessage()
    message.update(index=device, handle=handle, parent=parent, info=info)
    message["attrs"] = [("TCA_KIND", kind)] if kind else []
    if options is not None:
        message["attrs"].append(("TCA_OPTIONS", options))
    return _typed(message, type_, flags)


def _typed(message: nlmsg, type_: int, flags: int) -> nlmsg:
    message["header"].update(type=type_, flags=NLM_F_REQUEST | flags)
    return message
