"""What a Mininet that runs on this machine consists of: hosts, and what they are plugged into.

Mininet keeps no record to read, but each of its hosts is a shell called `mininet:NAME` in a network namespace of its
own.  The wires are pairs of virtual interfaces whose ends know each other's number:

    namespace of h1                    where the switches are (ours)
    2: h1-eth0 @ 7  ────────────────►  7: s1-eth1 @ 2

Refuses to know Mininet's Python, which is another interpreter's, and switches: whose port an interface is, the
controller tells.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path
from typing import Any

from apps.cli.errors import PRECONDITION, Failure

MARK = "mininet:"
_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class HostInterface:
    """One interface of a host, and the interface out here that its wire leads to."""

    host: str
    name: str
    mac: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    """with their prefix lengths; none of link scope"""
    peer: str


def find_interfaces(proc: Path = Path("/proc")) -> list[HostInterface]:
    """Every interface of a Mininet host that is wired to here, by host and name.  Failure if that cannot be seen."""
    if os.geteuid() != 0:
        raise Failure(
            "only root can look into the network namespaces of Mininet's hosts", PRECONDITION,
            advice="run it again with sudo",
        )
    hosts = find_hosts(proc)
    if not hosts:
        raise Failure(
            "no Mininet host is running on this machine", PRECONDITION,
            advice="start one: mn --custom topologies/single.py --topo single --controller remote",
        )
    here = _ip("link")
    found = [
        interface
        for host, pid in sorted(hosts.items())
        for interface in interfaces_of(host, _ip("addr", pid=pid), here)
    ]
    return sorted(found, key=lambda interface: (_natural(interface.host), interface.name))


def find_hosts(proc: Path = Path("/proc")) -> dict[str, int]:
    """Host -> pid of its shell.  Switches and controllers have shells as well, but no namespace of their own."""
    own = _netns(proc / "self")
    hosts = {}
    for directory in proc.iterdir():
        if not directory.name.isdigit():
            continue
        try:
            argv = (directory / "cmdline").read_bytes().split(b"\0")
            names = [arg.decode() for arg in argv if arg.startswith(MARK.encode())]
            if names and _netns(directory) != own:
                hosts[names[-1].removeprefix(MARK)] = int(directory.name)
        except (OSError, UnicodeDecodeError):
            continue  # it ended while we looked, or is not ours to look at
    return hosts


def interfaces_of(
    host: str, inside: Iterable[Mapping[str, Any]], here: Iterable[Mapping[str, Any]]
) -> list[HostInterface]:
    """The wired interfaces of a host, from what `ip -json` says inside and out here."""
    by_number = {link["ifindex"]: link for link in here}
    found = []
    for link in inside:
        peer = by_number.get(link.get("link_index"))
        if "LOOPBACK" in link["flags"] or peer is None or peer.get("link_index") != link["ifindex"]:
            continue
        addresses = tuple(
            ip_interface(f"{address['local']}/{address['prefixlen']}")
            for address in link.get("addr_info", ())
            if address.get("scope") != "link" and not address.get("temporary")
        )
        found.append(
            HostInterface(
                host=host, name=link["ifname"], mac=link["address"], addresses=addresses, peer=peer["ifname"]
            )
        )
    return found


def _netns(process: Path) -> str:
    return os.readlink(process / "ns" / "net")


def _natural(name: str) -> tuple[str, int, str]:
    """h2 before h10."""
    stem = name.rstrip("0123456789")
    number = name[len(stem) :]
    return stem, int(number or 0), name


def _ip(what: str, *, pid: int | None = None) -> list[dict[str, Any]]:
    """`ip -json addr` or `link`, in the network namespace of a process."""
    argv = ["ip", "-json", what, "show"]
    if pid is not None:
        argv = ["nsenter", "--target", str(pid), "--net", "--", *argv]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except FileNotFoundError as error:
        raise Failure(f"{error.filename} is not installed", advice="apt install iproute2 util-linux") from error
    if done.returncode != 0:
        raise Failure(f"{' '.join(argv)}: {done.stderr.strip()}", PRECONDITION)
    answer: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return answer
