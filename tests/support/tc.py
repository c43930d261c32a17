"""Queues by the kernel's traffic control, for tests on real devices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

from controller.fabric.labels import label16
from controller.fabric.ports import SwitchPort
from controller.model.queues import BEST_EFFORT, OfSlice, PortQueues, Queue
from controller.reconcile.queue_driver import Brought
from controller.southbound.queues.netlink import Netlink
from controller.southbound.queues.tc import Tc
from tests.support.netns import inside
from tests.support.rig import Rig

LINK_KBPS = 30_000
SEND_BUFFER_FORCE = 32
X, Z = 5, 300
"""slices"""


def best_effort(rate_kbps: int, guarantee_kbps: int) -> Queue:
    return Queue(number=BEST_EFFORT, whose=(), guarantee_kbps=guarantee_kbps, ceiling_kbps=rate_kbps)


def tenants(guarantees: Mapping[int, int], *, rate_kbps: int = LINK_KBPS) -> PortQueues:
    """Queues for tenants by slice, best effort with the rest."""
    rest = best_effort(rate_kbps, rate_kbps - sum(guarantees.values()))
    queues = [
        Queue(number=slice_, whose=(OfSlice(slice_),), guarantee_kbps=kbps, ceiling_kbps=rate_kbps, weight=kbps)
        for slice_, kbps in sorted(guarantees.items())]
    return PortQueues(rate_kbps=rate_kbps, queues=(rest, *queues))


def mac_of(rig: Rig, device: str) -> str:
    (link,) = json.loads(rig.sandbox.run("ip", "-j", "link", "show", device))
    return str(link["address"])


def add_device(rig: Rig) -> str:
    """With another end, on no switch."""
    rig.sandbox.run("ip", "link", "add", "p1", "type", "veth", "peer", "name", "p2")
    rig.sandbox.run("sh", "-ec", "ip link set p1 up; ip link set p2 up")
    return "p1"


def switch_port(rig: Rig, device: str, port_no: int = 1) -> SwitchPort:
    return SwitchPort(port_no=port_no, name=device, mac=mac_of(rig, device), up=True)


def driver(rig: Rig) -> Tc:
    """One that works where the switches are."""
    return Tc(lambda family: inside(rig.sandbox, lambda: Netlink(family)))


def bring(tc: Tc, wanted: Mapping[SwitchPort, PortQueues | None]) -> Brought:
    return asyncio.run(tc.bring(1, wanted))


def tc_show(rig: Rig, what: str, device: str) -> str:
    return rig.sandbox.run("tc", what, "show", "dev", device)


@dataclass(frozen=True)
class Sent:
    """A frame as it leaves a port."""

    source_mac: int = 0x020000000099
    edge_id: int = 1
    key24: int = 0
    explicit: int = 0
    """the label of an explicit path, if it has one"""

    def raw(self, size: int = 114) -> bytes:
        label = self.explicit or label16(self.edge_id, 9)
        head = b"\x02" + label.to_bytes(2) + self.key24.to_bytes(3) + self.source_mac.to_bytes(6) + b"\x08\x00"
        return head.ljust(size, b"\0")
