"""A row of switches, each with hosts: what crosses several hops with no second way.

    h1      h2      h3
    │       │       │
    s1 ──── s2 ──── s3 ...

    sudo mn --custom topologies/linear.py --topo linear,switches=3,hosts=1 --controller remote

Switch s<i> has dpid i.  Its port 1 leads to the left, port 2 to the right, its hosts are on ports 3 and up; hosts are
numbered along the row.
"""

from __future__ import annotations

import socket
import struct

from mininet.link import TCLink
from mininet.node import OVSSwitch
from mininet.topo import Topo


class Linear(Topo):  # type: ignore[misc]
    """`linear,switches=2,hosts=1`; hosts are counted per switch."""

    def build(self, switches: int = 2, hosts: int = 1) -> None:
        """Mininet calls this with what the command line says."""
        length = _count("switches", switches, 254)
        each = _count("hosts", hosts, 254 // length)
        for place in range(1, length + 1):
            switch = self.addSwitch(f"s{place}", **_switch_options(place))
            if place > 1:
                self.addLink(f"s{place - 1}", switch, port1=2, port2=1, **_wire_options())
            for index in range(1, each + 1):
                number = (place - 1) * each + index
                host = self.addHost(f"h{number}", **_host_options(number))
                self.addLink(host, switch, port1=0, port2=2 + index, **_wire_options())


topos = {"linear": Linear}


# Below this line all topology files are the same: `mn` executes each by itself, so they cannot share a module.


def _count(name: str, value: object, highest: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= highest:
        return value
    raise ValueError(f"{name}={value}: must be a whole number from 1 to {highest}")


def _switch_options(dpid: int) -> dict[str, object]:
    """An explicit dpid, and a switch that forwards nothing until a controller says so."""
    options = {"cls": OVSSwitch, "failMode": "secure", "protocols": "OpenFlow13", "datapath": _datapath()}
    return {"dpid": f"{dpid:016x}", **options}


def _host_options(number: int) -> dict[str, str]:
    """The MACs that `mn --mac` would give, and 10.0.0.<number>/24."""
    return {"ip": f"10.0.0.{number}/24", "mac": f"00:00:00:00:00:{number:02x}"}


def _wire_options() -> dict[str, object]:
    """Checksum offload off: with it ping works through a userspace switch, but TCP and UDP do not."""
    return {"cls": TCLink, "txo": False}


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
