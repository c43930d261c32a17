"""Two switches with hosts and one wire between them, which all that cross it must share.

    h1 ╲                ╱ h3
        left ════ right
    h2 ╱                ╲ h4

    sudo mn --custom topologies/dumbbell.py --topo dumbbell,hosts=2,mbps=20 --controller remote

left has dpid 1, right dpid 2; the wire between them is on port 1 of both, hosts are on ports 2 and up, first those of
the left.  With mbps that wire carries so many Mbit/s in each direction; with shape=0 besides, Mininet sets no rate, for
a controller that makes its own queues (see _wire_options).
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from mininet.link import TCIntf, TCLink
from mininet.node import OVSSwitch
from mininet.topo import Topo


class Dumbbell(Topo):  # type: ignore[misc]
    """`dumbbell,hosts=2,mbps=0,shape=1`; hosts are counted per side."""

    def build(self, hosts: int = 2, mbps: int = 0, shape: int = 1) -> None:
        """Mininet calls this with what the command line says."""
        each = _count("hosts", hosts, 127)
        rate = _count("mbps", mbps, 1000, lowest=0)
        for place, side in enumerate(("left", "right")):
            self.addSwitch(side, **_switch_options(1 + place))
            for index in range(1, each + 1):
                number = place * each + index
                host = self.addHost(f"h{number}", **_host_options(number))
                self.addLink(host, side, port1=0, port2=1 + index, **_wire_options())
        middle = _wire_options(rate, _count("shape", shape, 1, lowest=0))
        self.addLink("left", "right", port1=1, port2=1, **middle)


topos = {"dumbbell": Dumbbell}


# Below this line all topology files are the same: `mn` executes each by itself, so they cannot share a module.


class _ShapedPort(TCIntf):  # type: ignore[misc]
    """A port with a rate, and a queue of 20 frames in front of it.

    Mininet's queue would hold 1,000.  On the userspace datapath all ports send through one socket that has room for
    some 90 frames, so one full queue of that size stops the whole switch.
    """

    def config(self, *args: Any, **params: Any) -> Any:
        """Mininet calls this, and sets the rate in it.  The queue of a rate takes the interface's length."""
        self.cmd("ip", "link", "set", "dev", self.name, "txqueuelen", "20")
        return TCIntf.config(self, *args, **params)

    def bwCmds(self, *args: Any, **params: Any) -> Any:
        """With a quantum of one frame: with Linux's guess it warns, and Mininet prints that as an error."""
        commands, parent = TCIntf.bwCmds(self, *args, **params)
        return [f"{each} quantum 1514" if " class add " in each else each for each in commands], parent


def _count(name: str, value: object, highest: int, lowest: int = 1) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
        return value
    raise ValueError(f"{name}={value}: must be a whole number from {lowest} to {highest}")


def _switch_options(dpid: int) -> dict[str, object]:
    """An explicit dpid, and a switch that forwards nothing until a controller says so."""
    options = {"cls": OVSSwitch, "failMode": "secure", "protocols": "OpenFlow13", "datapath": _datapath()}
    return {"dpid": f"{dpid:016x}", **options}


def _host_options(number: int, of: int = 254) -> dict[str, str]:
    """The MACs that `mn --mac` would give, and 10.0.0.<number>/24; in a network `of` more than 254 hosts a /16."""
    high, low = divmod(number, 256)
    return {"ip": f"10.0.{high}.{low}/{24 if of <= 254 else 16}", "mac": f"00:00:00:00:{high:02x}:{low:02x}"}


def _wire_options(mbps: float = 0, shape: int = 1) -> dict[str, object]:
    """Checksum offload off: with it ping works through a userspace switch, but TCP and UDP do not.

    `mbps` is what the wire carries in each direction; 0 is as much as it can.  With shape=0 that is only noted, in the
    link's option capacity_mbps, and the queues of its ports are left to a controller that makes its own: both on one
    port would fight.
    """
    options: dict[str, object] = {"cls": TCLink, "txo": False}
    if mbps:
        options["capacity_mbps"] = mbps
    if mbps and shape:
        options.update(bw=mbps, cls1=_ShapedPort, cls2=_ShapedPort)
    return options


def _datapath() -> str:
    """ "kernel" where the kernel has Open vSwitch's datapath, else "user".

    Asks the kernel for the generic-netlink family `ovs_datapath`.  Neither OVS's list of datapath types nor the list of
    loaded modules tells: the first is what OVS was built with, the second lacks what is built in.
    """
    name = b"ovs_datapath\0".ljust(16, b"\0")
    ask = struct.pack("=BBHHH", 3, 1, 0, 4 + 13, 2) + name  # CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as kernel:  # NETLINK_GENERIC
        kernel.send(struct.pack("=IHHII", 16 + len(ask), 16, 1, 1, 0) + ask)  # GENL_ID_CTRL, NLM_F_REQUEST
        (kind,) = struct.unpack_from("=H", kernel.recv(65536), 4)
    return "user" if kind == 2 else "kernel"  # NLMSG_ERROR
