"""Real switches and hosts for one test: Open vSwitch in a sandbox, bridges, hosts in namespaces of their own.

Built on the lab's sandbox, so that what the tests exercise is what the demo runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.lab import measure
from apps.lab.openvswitch import OpenVSwitch
from apps.lab.sandbox import Process

_ROOT = Path(__file__).resolve().parents[2]
_OWN_TMP = f"""
mkdir /run/checkout
mount --rbind {_ROOT} /run/checkout
mount -t tmpfs tmpfs /tmp
mkdir -p {_ROOT}
mount --rbind /run/checkout {_ROOT}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine behind a switch port: a network namespace with one interface, eth0."""

    rig: Rig
    name: str
    bridge: str
    interface: str
    port_no: int
    mac: str
    ip: str
    """Without the prefix length; "" if the host has none."""

    def popen(self, argv: Sequence[str], **pipes: Any) -> Process:
        """Start a command on this host."""
        pipes.pop("text", None)
        return self.rig.sandbox.popen(*argv, netns=self.name, **pipes)

    def run(self, *argv: str, timeout_s: float = 30.0) -> str:
        """Run a command on this host; SandboxError if it fails."""
        return self.rig.sandbox.run(*argv, netns=self.name, timeout_s=timeout_s)

    def ping(self, target: Host | str, *, count: int = 3, interval_s: float = 0.1) -> measure.Ping:
        """Ping a host, or an address."""
        return measure.ping(self, _address(target), count=count, interval_s=interval_s)

    def arping(self, target: Host | str, *, count: int = 3) -> measure.Arping:
        """ARP for a host, or an address."""
        return measure.arping(self, _address(target), count=count)

    def tcp_rate_to(self, server: Host, *, duration_s: int = 5) -> measure.Rate:
        """TCP to another host by iperf3, as received."""
        return measure.tcp_rate(self, server, server.ip, duration_s=duration_s)

    def udp_rate_to(self, server: Host, *, offered_kbps: int, duration_s: int = 5) -> measure.Rate:
        """UDP to another host by iperf3, as received."""
        return measure.udp_rate(self, server, server.ip, offered_kbps=offered_kbps, duration_s=duration_s)

    def probe(self, server: Host, *, packets_per_s: int = 1000, size_bytes: int = 64) -> measure.Probe:
        """Start a stream of numbered packets to another host; `finish()` counts the lost ones."""
        return measure.Probe(self, server, server.ip, packets_per_s=packets_per_s, size_bytes=size_bytes)

    def capture(self) -> measure.Capture:
        """Begin recording the frames that arrive here; `finish()` returns them."""
        return measure.Capture(self)

    def send_frame(self, frame: bytes, *, count: int = 1) -> None:
        """Put a raw Ethernet frame on the wire, whatever addresses it claims."""
        measure.send_frame(self, frame, count=count)


class Rig(OpenVSwitch):
    """A running Open vSwitch with helpers to wire up a test."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts: dict[str, Host] = {}

    def add_host(
        self,
        name: str,
        bridge: str,
        port_no: int,
        *,
        mac: str | None = None,
        ip: str = "",
        gateway: str = "",
        ipv6: str = "",
    ) -> Host:
        """A host on a switch port `<bridge>-<name>` with the asked OpenFlow number.

        Checksum offload is off at both ends: without that, ping works on the userspace datapath and TCP and UDP do not.

        Args:
            mac: default 02:00:00:00:xx:xx, numbered by order of creation.
            ip: with prefix length, "10.0.0.1/24".
            gateway: default route.
            ipv6: with prefix length; the host has IPv6 only when this is given.
        """
        number = len(self.hosts) + 1
        mac = mac or f"02:00:00:00:{number >> 8:02x}:{number & 0xFF:02x}"
        interface = f"{bridge}-{name}"
        assert len(interface) <= 15, f"interface name {interface!r} is longer than the kernel's 15 characters"
        script = [
            f"ip netns add {name}",
            f"ip link add {interface} type veth peer name eth0 netns {name} address {mac}",
            f"ethtool -K {interface} tx off >/dev/null",
            f"ip link set {interface} up",
        ]
        inside = [
            f"echo {0 if ipv6 else 1} > /proc/sys/net/ipv6/conf/eth0/disable_ipv6",
            "ethtool -K eth0 tx off >/dev/null",
            "ip link set lo up",
            "ip link set eth0 up",
        ]
        inside += [f"ip address add {ip} dev eth0"] if ip else []
        inside += [f"ip -6 address add {ipv6} dev eth0 nodad"] if ipv6 else []
        inside += [f"ip route add default via {gateway}"] if gateway else []
        script.append(f"ip netns exec {name} sh -ec '{'; '.join(inside)}'")
        self.sandbox.run("sh", "-ec", "\n".join(script))
        self.vsctl(
            "add-port", bridge, interface, "--", "set", "interface", interface, f"ofport_request={port_no}"
        )
        host = Host(
            rig=self,
            name=name,
            bridge=bridge,
            interface=interface,
            port_no=port_no,
            mac=mac,
            ip=ip.partition("/")[0],
        )
        self.hosts[name] = host
        return host

    def own_tmp(self) -> None:
        """From here on /tmp is the sandbox's own: a failing `mn` deletes /tmp/*.log and more, whosesoever they are.

        The checkout stays where it is, also if that is in /tmp.
        """
        self.sandbox.run("sh", "-ec", _OWN_TMP)

    def remove_host(self, host: Host) -> None:
        """The host and its switch port disappear."""
        self.vsctl("del-port", host.bridge, host.interface)
        self.sandbox.run("ip", "netns", "delete", host.name)
        del self.hosts[host.name]

    def add_link(self, one: str, one_port_no: int, other: str, other_port_no: int) -> tuple[str, str]:
        """A wire between two bridges; returns the names of its two ends."""
        ends = (f"{one}-{other}-{one_port_no}", f"{other}-{one}-{other_port_no}")
        assert all(len(end) <= 15 for end in ends), f"interface names {ends} are longer than the kernel's 15 characters"
        self.sandbox.run("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for end, bridge, port_no in zip(ends, (one, other), (one_port_no, other_port_no), strict=True):
            self.sandbox.run("ip", "link", "set", end, "up")
            self.vsctl("add-port", bridge, end, "--", "set", "interface", end, f"ofport_request={port_no}")
        return ends

    def set_link(self, interface: str, *, up: bool) -> None:
        """Take a switch port's wire down or up; the other end sees its carrier go."""
        self.sandbox.run("ip", "link", "set", interface, "up" if up else "down")

    def flows(self, bridge: str) -> list[str]:
        """The bridge's flows in ovs-ofctl's text, without counters, sorted."""
        lines = self.ofctl("--no-stats", "--no-names", "dump-flows", bridge).splitlines()
        return sorted(line.strip() for line in lines if "actions=" in line)

    def trace(self, bridge: str, flow: str) -> str:
        """What OVS itself says would happen to a packet (ofproto/trace)."""
        return self.appctl("ofproto/trace", bridge, flow)

    def describe(self) -> str:
        """Everything that helps to understand a failure: bridges, flows, groups, meters, the daemon's log."""
        if not self.sandbox.running:
            return "(the sandbox is gone)"
        parts = [self.vsctl("show")]
        for bridge in self.vsctl("list-br").split():
            for what in ("dump-flows", "dump-groups", "dump-meters", "dump-ports"):
                parts.append(f"--- {what} {bridge}\n{self.ofctl(what, bridge).strip()}")
        parts.append(f"--- the end of ovs-vswitchd.log\n{self.log_tail()}")
        return "\n".join(parts)


def _address(target: Host | str) -> str:
    return target if isinstance(target, str) else target.ip


