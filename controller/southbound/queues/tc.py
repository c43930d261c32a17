"""Queues by the kernel's traffic control: classes on the devices that are a switch's ports.

It works where pliantd runs on the machine, and in the network namespace, of the switch, and may change devices
(CAP_NET_ADMIN).  A device is a switch port if both its name and its MAC are those that the switch reports.  What has
another handle than ours somebody else made: it is left alone, and the port has no queues of ours.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog
from pyroute2.netlink import NETLINK_ROUTE, NETLINK_SOCK_DIAG, nlmsg

from controller.fabric.ports import Switch, SwitchPort
from controller.model.queues import BEST_EFFORT, PortQueues, QueueCount
from controller.reconcile.queue_driver import Brought
from controller.southbound.queues import answers, changes, messages, tree
from controller.southbound.queues.answers import MalformedError
from controller.southbound.queues.changes import Found
from controller.southbound.queues.messages import HANDLE, MAJOR, ROOT_PARENT, Device, Qdisc
from controller.southbound.queues.netlink import KernelRefused, Netlink
from controller.southbound.queues.sockets import frames_at_once
from controller.southbound.queues.tree import CONTROL, MIN_LEAF_FRAMES, REST, Tree

log = structlog.get_logger()

_GONE = frozenset({errno.ENODEV, errno.ENXIO})
_FORBIDDEN = frozenset({errno.EPERM, errno.EACCES})
_NO_DEVICE = 0x7FFFFFFF
_FAILURES = KernelRefused, MalformedError, OSError


@dataclass(slots=True)
class _Qdiscs:
    """All there are, at one time."""

    roots: dict[int, Qdisc] = field(default_factory=dict)
    """by device"""
    limits: dict[int, dict[int, int]] = field(default_factory=dict)
    """device -> {minor of a class of ours: how many frames its leaf holds; -1: another kind of leaf}"""


class Tc:
    """For one thread; its coroutines never wait."""

    name = "tc"

    def __init__(self, connect: Callable[[int], Netlink] = Netlink) -> None:
        """Args: connect: to one of the kernel's netlink families."""
        self._connect = connect
        self._open: Netlink | None = None
        self._shared_limit = MIN_LEAF_FRAMES
        self._is_warned = False

    # -- for the probe

    def why_not(self, switch: Switch) -> str:
        """Why this cannot be the driver of a switch; "" if it can.  Changes nothing."""
        try:
            # Whoever may not do it is told so before the kernel looks for the device.
            refused = self._netlink().order([messages.delete_root(_NO_DEVICE)])
            if refused and refused[0].error.number in _FORBIDDEN:
                return "pliantd may not change network devices (it needs CAP_NET_ADMIN)"
            if any(self._find(port) for port in switch.ports.values()):
                return ""
        except _FAILURES as error:
            return self._failed(error)
        return "none of its ports is a network device where pliantd runs"

    # -- the driver

    def expect(self, n_families: int) -> bool:
        """So many share the socket of a userspace switch.  True if the leaves have to be of another length."""
        frames, before = self._frames_at_once(), self._shared_limit
        self._shared_limit = tree.shared_limit(frames, n_families)
        if self._shared_limit == MIN_LEAF_FRAMES and not self._is_warned:
            self._is_warned = True
            log.warning("queues_are_short", owners=n_families, frames_each=MIN_LEAF_FRAMES, frames_at_once=frames,
                        remedy="a larger net.core.wmem_default before ovs-vswitchd is started")
        return self._shared_limit != before

    async def bring(self, dpid: int, wanted: Mapping[SwitchPort, PortQueues | None]) -> Brought:
        """Make the queues of these ports so."""
        # Those that go come first: a device may be another port now.
        todo = sorted(wanted.items(), key=lambda item: item[1] is not None)
        try:
            return self._bring(todo)
        except _FAILURES as error:
            text = self._failed(error)
            return Brought({port.port_no: text for port, queues in todo if queues}, 0)

    async def count(self, dpid: int, port: SwitchPort) -> Mapping[int, QueueCount]:
        """What each queue of a port counted; nothing if it has none."""
        try:
            device = self._find(port)
            found = self._read_classes(device) if device else Found()
        except _FAILURES as error:
            self._failed(error)
            return {}
        counts = changes.leaf_counts(found).items()
        return {minor if minor != REST else BEST_EFFORT: count for minor, count in counts if minor != CONTROL}

    # -- how

    def _bring(self, todo: Iterable[tuple[SwitchPort, PortQueues | None]]) -> Brought:
        faults: dict[int, str] = {}
        changed: dict[int, tuple[Device, Tree]] = {}
        qdiscs, written = self._read_qdiscs(), 0
        for port, queues in todo:
            device = self._find(port)
            if device is None:
                if queues:
                    faults[port.port_no] = f"there is no device {port.name} with MAC {port.mac} where pliantd runs"
                continue
            root = qdiscs.roots.get(device.number)
            is_ours = root is not None and root.handle == HANDLE
            if queues is None:
                written += self._remove(device) if is_ours else 0
            elif root is not None and root.handle and not is_ours:
                faults[port.port_no] = _foreign(device, root)
            else:
                limit = tree.leaf_limit(queues.rate_kbps)
                # What belongs to another device is a port of a kernel datapath.
                wanted = tree.tree_of(queues, limit, None if device.master else self._shared_limit)
                try:
                    count = self._change(device, wanted, root if is_ours else None, qdiscs)
                except KernelRefused as error:
                    faults[port.port_no] = f"the kernel refused the queues of {device.name}: {error}"
                    continue
                if count:
                    changed[port.port_no] = device, wanted
                written += count
        return Brought(faults | self._verify(changed), written)

    def _change(self, device: Device, wanted: Tree, root: Qdisc | None, qdiscs: _Qdiscs) -> int:
        """Bring a device to this tree; how many orders it took.  KernelRefused, and then it has no queues of ours."""
        orders: list[nlmsg] = []
        found = self._read(device, qdiscs) if root is not None and changes.is_right(root) else Found()
        if not changes.is_whole(found):
            found = Found()
            orders += [messages.delete_root(device.number)] if root is not None else []
            orders.append(messages.add_root(device.number, REST))
        orders += changes.orders(device.number, found, wanted)
        refused = self._netlink().order(orders)
        if not refused:
            return len(orders)
        # Half a tree is worse than none: whom no filter chooses would share the little that best effort has.
        log.info("queues_refused", device=device.name, order=refused[0].position, reason=str(refused[0].error))
        self._remove(device)
        if root is None:
            raise refused[0].error
        return len(orders) + self._change(device, wanted, None, qdiscs)  # somebody put there what is in the way

    def _verify(self, changed: Mapping[int, tuple[Device, Tree]]) -> dict[int, str]:
        """Look again: the kernel may have taken what it does not keep."""
        faults: dict[int, str] = {}
        qdiscs = self._read_qdiscs() if changed else _Qdiscs()
        for port_no, (device, wanted) in changed.items():
            if changes.orders(device.number, self._read(device, qdiscs), wanted):
                faults[port_no] = f"the kernel took the queues of {device.name}, and has others"
        return faults

    def _remove(self, device: Device) -> int:
        refused = self._netlink().order([messages.delete_root(device.number)])
        return 1 - len(refused)  # gone already, by itself or with its device

    def _find(self, port: SwitchPort) -> Device | None:
        """The device that is this switch port."""
        if not self._netlink().has_device(port.name):
            return None
        try:
            (device,) = self._netlink().ask(messages.get_device(port.name), answers.read_device)
        except KernelRefused as error:
            if error.number in _GONE:
                return None
            raise
        return device if device.mac == port.mac else None

    def _read(self, device: Device, qdiscs: _Qdiscs) -> Found:
        """What is below our qdisc, if that is there."""
        found = self._read_classes(device)
        found.limits = qdiscs.limits.get(device.number, {})
        filters = self._netlink().ask(messages.get_filters(device.number), answers.read_filter)
        found.filters = [each for each in filters if each is not None]
        return found

    def _read_classes(self, device: Device) -> Found:
        found = Found()
        for handle, each, count in self._netlink().ask(messages.get_classes(device.number), answers.read_class):
            if handle >> 16 == MAJOR:
                found.classes[handle & 0xFFFF], found.counts[handle & 0xFFFF] = each, count
        return found

    def _read_qdiscs(self) -> _Qdiscs:
        qdiscs = _Qdiscs()
        for each in self._netlink().ask(messages.get_qdiscs(), answers.read_qdisc):
            if each.parent == ROOT_PARENT:
                qdiscs.roots[each.device] = each
            elif each.parent >> 16 == MAJOR:
                limit = each.number if each.kind == messages.LEAF else -1
                qdiscs.limits.setdefault(each.device, {})[each.parent & 0xFFFF] = limit
        return qdiscs

    def _netlink(self) -> Netlink:
        if self._open is None:
            self._open = self._connect(NETLINK_ROUTE)
        return self._open

    def _frames_at_once(self) -> int:
        try:
            netlink = self._connect(NETLINK_SOCK_DIAG)
            try:
                return frames_at_once(netlink.ask(messages.get_packet_sockets(), answers.read_packet_socket))
            finally:
                netlink.close()
        except _FAILURES:  # a kernel that does not say, or forbids to ask
            return frames_at_once(())

    def _failed(self, error: Exception) -> str:
        """Answers that are still to be read there are of no use: begin anew the next time."""
        if self._open is not None:
            self._open.close()
            self._open = None
        return f"the kernel's traffic control cannot be used: {error}"


def _foreign(device: Device, root: Qdisc) -> str:
    return (
        f"{device.name} has queues of somebody else's ({root.kind} {root.handle >> 16:x}:), which are left alone; "
        f"`tc qdisc del dev {device.name} root` removes them")
