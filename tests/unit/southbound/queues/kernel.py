"""The other end of a netlink socket: what arrives there, and what traffic control makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pyroute2.netlink import NLM_F_CREATE, nlmsg
from pyroute2.netlink.rtnl import (
    RTM_DELTCLASS,
    RTM_DELTFILTER,
    RTM_NEWQDISC,
    RTM_NEWTCLASS,
    RTM_NEWTFILTER,
)

from controller.southbound.queues import answers
from controller.southbound.queues.changes import Found
from controller.southbound.queues.layouts import TcAnswer
from controller.southbound.queues.messages import HANDLE, ROOT_PARENT, Class, Filter

OTHER_LEAF = -1
"""In place of a limit: a leaf that the kernel gave a class by itself."""


def received(message: nlmsg, layout: type[nlmsg] = TcAnswer) -> nlmsg:
    """What comes out there."""
    message.reset()
    message.encode()
    read = layout(bytes(message.data))
    read.decode()
    return read


@dataclass(slots=True)
class TrafficControl:
    """One device's HTB as the kernel keeps it.  What the kernel refuses is an AssertionError."""

    found: Found = field(default_factory=Found)
    filters: dict[int, Filter] = field(default_factory=dict)
    """by handle"""
    _last: int = 0

    def read(self) -> Found:
        return replace(self.found, classes=dict(self.found.classes), limits=dict(self.found.limits),
                       filters=list(self.filters.values()))

    def follow(self, order: nlmsg) -> None:
        match order["header"]["type"]:
            case int(kind) if kind == RTM_NEWTCLASS:
                handle, each, _ = answers.read_class(received(order))
                self._put_class(handle & 0xFFFF, each)
            case int(kind) if kind == RTM_DELTCLASS:
                self._delete_class(order["handle"] & 0xFFFF)
            case int(kind) if kind == RTM_NEWQDISC:
                leaf = answers.read_qdisc(received(order))
                minor = leaf.parent & 0xFFFF
                assert minor in self.found.classes and not self._below(minor), "a leaf where none can be"
                self.found.limits[minor] = leaf.number
            case int(kind) if kind == RTM_NEWTFILTER:
                self._put_filter(order)
            case int(kind) if kind == RTM_DELTFILTER:
                self._delete_filter(order["handle"])
            case kind:
                raise AssertionError(kind)

    def _below(self, minor: int) -> set[int]:
        return {each for each, other in self.found.classes.items() if other.parent == HANDLE | minor}

    def _put_class(self, minor: int, wanted: Class) -> None:
        there = self.found.classes.get(minor)
        if there is None:
            if wanted.parent != ROOT_PARENT:
                assert wanted.parent & 0xFFFF in self.found.classes, "no such parent"
                self.found.limits.pop(wanted.parent & 0xFFFF, None)
            self.found.limits[minor] = OTHER_LEAF
        else:
            wanted = wanted._replace(parent=there.parent)  # it stays where it is, whatever is asked
            if self._below(minor):
                wanted = wanted._replace(quantum=there.quantum, priority=there.priority)
        self.found.classes[minor] = wanted

    def _delete_class(self, minor: int) -> None:
        assert minor in self.found.classes and not self._below(minor), "classes are below it"
        assert all(each.minor != minor for each in self.filters.values()), "filters lead to it"
        parent = self.found.classes.pop(minor).parent & 0xFFFF
        del self.found.limits[minor]
        if parent in self.found.classes and not self._below(parent):
            self.found.limits[parent] = OTHER_LEAF

    def _put_filter(self, order: nlmsg) -> None:
        options = dict(dict(order["attrs"])["TCA_OPTIONS"]["attrs"])
        if order["header"]["flags"] & NLM_F_CREATE:
            self._last += 1
            order["handle"] = order["handle"] or options.get("TCA_U32_HASH", 0) | 0x800 + self._last
            new = answers.read_filter(received(order))
            assert new is not None and new.handle not in self.filters, "it is there"
            if not new.divisor:
                assert any(each.divisor and each.table == (new.link or new.table) for each in self.filters.values())
        else:
            new = self.filters[order["handle"]]._replace(minor=options["TCA_U32_CLASSID"] & 0xFFFF)
        assert not new.minor or new.minor in self.found.classes, "it leads to no class"
        self.filters[new.handle] = new

    def _delete_filter(self, handle: int) -> None:
        gone = self.filters.pop(handle)
        if gone.divisor:
            assert all(gone.table not in (each.table, each.link) for each in self.filters.values()), "it is in use"
