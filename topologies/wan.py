"""A wide-area network that exists or existed: one switch with hosts for each of its sites, and its links.

    sudo mn --custom topologies/wan.py --topo wan,name=b4 --controller remote

    name=b4         Google's, 12 sites and 19 links
    name=abilene    the research network of the United States in 2004, 11 sites and 14 links
    name=polska     or any other of SNDlib and the Internet Topology Zoo, by the name it has there; a network that both
                    have as topozoo/Geant2012 or sndlib/geant.  These come with the Python package topohub.

Switch s<i> is the i-th site and has dpid i; its links are on ports 1 and up in the order of the table, its hosts on the
ports after them.  The switch option `site` is what the network's owner calls the site.

Real links carry 10 Gbit/s and more, and Mininet does not.  So the widest link carries `mbps` (20), and every other one
in proportion, but at least 1 Mbit/s; where capacities are not known (b4, topohub's) all are alike.  mbps=0 sets no
rates; shape=0 only notes them, for a controller that makes its own queues (see _wire_options).
"""

from __future__ import annotations

import difflib
import importlib.resources
import socket
import struct
import sys
from typing import Any

from mininet.link import TCIntf, TCLink
from mininet.node import OVSSwitch
from mininet.topo import Topo


class Wan(Topo):  # type: ignore[misc]
    """`wan,name=b4,hosts=1,mbps=20,shape=1`; hosts are counted per site."""

    def build(self, name: str = "b4", hosts: int = 1, mbps: int = 20, shape: int = 1) -> None:
        """Mininet calls this with what the command line says."""
        sites, links = _NETWORKS.get(str(name).lower()) or _from_topohub(str(name))
        each = _count("hosts", hosts, 100)
        rate = _count("mbps", mbps, 1000, lowest=0)
        shaped = _count("shape", shape, 1, lowest=0)
        ports = dict.fromkeys(sites, 0)
        switches = {site: f"s{number}" for number, site in enumerate(sites, start=1)}
        for number, site in enumerate(sites, start=1):
            self.addSwitch(switches[site], site=site, **_switch_options(number))
        widest = max(capacity for _, _, capacity in links)
        for one, other, capacity in links:
            ports[one] += 1
            ports[other] += 1
            wire = _wire_options(rate and max(1, rate * capacity / widest), shaped)
            self.addLink(switches[one], switches[other], port1=ports[one], port2=ports[other], **wire)
        for place, site in enumerate(sites):
            for index in range(1, each + 1):
                number = place * each + index
                host = self.addHost(f"h{number}", **_host_options(number, of=len(sites) * each))
                self.addLink(host, switches[site], port1=0, port2=ports[site] + index, **_wire_options())


topos = {"wan": Wan}

_Network = tuple[tuple[str, ...], tuple[tuple[str, str, float], ...]]
"""Sites, and links with what they carry in Mbit/s, or 1 each where nobody says."""

# S. Jain et al., "B4: Experience with a globally-deployed software defined WAN", SIGCOMM 2013, figure 1; the pairs as
# numbered in the data of TEAVAR (SIGCOMM 2019).  Capacities are not published.
_B4 = "1-2 1-3 2-5 3-4 3-6 4-5 4-7 4-8 5-6 6-7 6-8 7-8 7-11 8-10 9-10 9-11 10-11 10-12 11-12"

# SNDlib, network "abilene", without the second switch that it has at Atlanta.
_ABILENE = """
Seattle-Sunnyvale 9920      Seattle-Denver 9920          Sunnyvale-LosAngeles 9920       Sunnyvale-Denver 9920
LosAngeles-Houston 9920     Denver-KansasCity 9920       KansasCity-Houston 9920         KansasCity-Indianapolis 9920
Houston-Atlanta 9920        Chicago-Indianapolis 9920    Indianapolis-Atlanta 2480       Chicago-NewYork 9920
Atlanta-Washington 9920     NewYork-Washington 9920
"""


def _read(pairs: list[str], capacities: list[float]) -> _Network:
    ends = [tuple(pair.split("-")) for pair in pairs]
    sites = tuple(dict.fromkeys(site for pair in ends for site in pair))
    return sites, tuple((one, other, each) for (one, other), each in zip(ends, capacities, strict=True))


_NETWORKS = {
    "b4": (tuple(str(site) for site in range(1, 13)), _read(_B4.split(), [1] * 19)[1]),
    "abilene": _read(_ABILENE.split()[::2], [float(each) for each in _ABILENE.split()[1::2]]),
}


def _from_topohub(name: str) -> _Network:
    """ValueError says how to get topohub, or which names are like this one."""
    try:
        import topohub
    except ImportError:
        raise ValueError(
            f"name={name}: {' and '.join(sorted(_NETWORKS))} are built in; others are in the package topohub, which "
            f"{sys.executable} does not have.  `make lab TOPO=wan,name={name}` does; for plain mn: "
            "pip install --target DIR topohub, and sudo PYTHONPATH=DIR mn ..."
        ) from None
    known = {}
    for group in ("topozoo", "sndlib"):  # the later one has a name that both have: its networks come with demands
        for file in (importlib.resources.files(topohub) / "data" / group).iterdir():
            stem, dot, _ = file.name.partition(".json")
            if dot:
                known[stem.lower()] = known[f"{group}/{stem}".lower()] = f"{group}/{stem}"
    if name.lower() not in known:
        near = ", ".join(difflib.get_close_matches(name.lower(), [*_NETWORKS, *sorted(known)], n=5))
        raise ValueError(f"name={name}: no such network{'; there is ' if near else ''}{near}")
    found = topohub.get(known[name.lower()])
    sites = {node["id"]: f"{node.get('name') or node['id']}" for node in found["nodes"]}
    if len(set(sites.values())) < len(sites):
        sites = {node: f"{site} ({node})" for node, site in sites.items()}
    return tuple(sites.values()), tuple((sites[edge["source"]], sites[edge["target"]], 1) for edge in found["edges"])


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
