"""A fat-tree: a data centre of switches that all have k ports, with as much capacity between its parts as in them.

    core1   core2   core3   core4            (k/2)² cores: each is wired to every pod
       each agg to its k/2 cores
     agg1   agg2  │  agg3   agg4 ...         k pods, each with k/2 aggregation switches
       │  ╳  │    │    │  ╳  │
     edge1 edge2  │ edge3  edge4 ...         and k/2 edge switches
     h1 h2 h3 h4  │ h5 h6  h7 h8             with k/2 hosts each

    sudo mn --custom topologies/fat_tree.py --topo fat_tree,k=4 --controller remote

It has loops: it needs a controller that knows how to live with them.  core<i> has dpid 0x1000+i, agg<i> 0x2000+i,
edge<i> 0x3000+i, all counted pod by pod.  Ports up come first: port c of an agg leads to the c-th of its cores, port a
of an edge to the a-th agg of its pod, and port p of a core to pod p.  k=4 makes 20 switches and 16 hosts, k=8 80 and
128.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from mininet.link import TCIntf, TCLink
from mininet.node import OVSSwitch
from mininet.topo import Topo


class FatTree(Topo):  # type: ignore[misc]
    """`fat_tree,k=4`; `hosts=1` for fewer than k/2 hosts on each edge switch."""

    def build(self, k: int = 4, hosts: int | None = None) -> None:
        """Mininet calls this with what the command line says."""
        if _count("k", k, 32, lowest=2) % 2:
            raise ValueError(f"k={k}: must be even")
        half = k // 2
        each = half if hosts is None else _count("hosts", hosts, half)
        for core in range(1, half * half + 1):
            self.addSwitch(f"core{core}", **_switch_options(0x1000 + core))
        for pod in range(k):
            self._add_pod(pod, half=half, hosts=each)

    def _add_pod(self, pod: int, half: int, hosts: int) -> None:
        aggs = [f"agg{pod * half + place}" for place in range(1, half + 1)]
        for place, agg in enumerate(aggs):
            self.addSwitch(agg, **_switch_options(0x2001 + pod * half + place))
            for up in range(1, half + 1):
                core = f"core{place * half + up}"
                self.addLink(core, agg, port1=pod + 1, port2=up, **_wire_options())
        for place in range(half):
            number = pod * half + place
            edge = self.addSwitch(f"edge{number + 1}", **_switch_options(0x3001 + number))
            for up, agg in enumerate(aggs, start=1):
                self.addLink(agg, edge, port1=half + 1 + place, port2=up, **_wire_options())
            for index in range(1, hosts + 1):
                count = number * hosts + index
                host = self.addHost(f"h{count}", **_host_options(count, of=2 * half * half * hosts))
                self.addLink(host, edge, port1=0, port2=half + index, **_wire_options())


topos = {"fat_tree": FatTree}


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
