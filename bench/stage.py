"""A fabric to measure on: every leaf a machine of its own, as in a data centre, and pliantd as users run it.

    hub: pliantd and the spines ─┬─ wires of leaf 1 (two links, management) ── leaf 1: its own ovs-vswitchd
                                 └─ ...

A leaf is a sandbox with an ovs-vswitchd of its own, for one goes through all the ports it has after every flow-mod:
with 5,000 in one process that costs it 10 ms and more.  Tenants' switch ports are patch ports: real OpenFlow ports that
cost nothing while no packet passes.  Five thousand veths would be polled all the time, and the bench would measure it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pliant.v1 import network_pb2, tenant_pb2

from apps.lab.openvswitch import RUN_DIR
from apps.lab.sandbox import Sandbox
from controller.openflow import messages
from controller.openflow.entries import Flow
from controller.openflow.match import match
from tests.support.eventually import eventually
from tests.support.of_client import OpenFlowClient
from tests.support.pliantd import CONTROLLER, Pliantd
from tests.support.rig import Rig

METRICS = "127.0.0.1:9100"
_OPENFLOW_PORT = 6653
SPINES = 2
_UNUSED_TABLE = 250
FIRST_FABRIC_PORT = 20_001
_FETCH = f"import urllib.request as u; print(u.urlopen('http://{METRICS}/metrics').read().decode())"
_SUM = re.compile(r"^pliant_(commit|compile|apply)_seconds_sum (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a tenant's port goes: a leaf and the number of a switch port there."""

    leaf: int
    port_no: int


class Stage:
    """A running fabric; `stage()` makes one."""

    def __init__(self, hub: Rig, pliantd: Pliantd, leaves: Sequence[Rig]) -> None:
        self.hub = hub
        self.pliantd = pliantd
        self.leaves = leaves
        """leaf number i is bridge "leaf{i}" of leaves[i - 1]"""
        self._wired = 0

    def leaf(self, number: int) -> Rig:
        return self.leaves[number - 1]

    def wire(self, count: int) -> None:
        """Have at least so many switch ports for tenants, spread evenly over the leaves."""
        each = -(-count // len(self.leaves))
        for leaf, ovs in enumerate(self.leaves, start=1):
            transaction: list[str] = []
            for number in range(self._wired + 1, each + 1):
                name = f"l{leaf}p{number}"
                transaction += _patch(f"leaf{leaf}", name, number, f"{name}x")
            # One transaction: ovs-vswitchd walks over all its ports after each.
            ovs.sandbox.run("ovs-vsctl", *transaction, timeout_s=120)
        self._wired = max(self._wired, each)
        self.settle(ports=self._wired)

    def place(self, index: int) -> Place:
        """The switch port of tenant port number `index`: leaf by leaf, so that neighbours are on different leaves."""
        return Place(leaf=index % len(self.leaves) + 1, port_no=index // len(self.leaves) + 1)

    def settle(self, *, ports: int = 0) -> None:
        """Until pliantd knows all switches, their ports and links, and every switch is in sync."""
        client = self.pliantd.client

        def settled() -> bool:
            info = client.server_info()
            assert info.switches_in_sync == len(self.leaves) + SPINES, f"{info.switches_in_sync} switches in sync"
            up = sum(link.up for link in client.links.list())
            assert up == 2 * len(self.leaves) * SPINES, f"{up} links up"
            for leaf in range(1, len(self.leaves) + 1):
                known = len(client.switches.get(f"switches/{leaf:016x}").switch_ports)
                assert known >= ports + SPINES, f"leaf {leaf} has {known} ports"
            return True

        eventually(settled, timeout_s=120, what="the fabric is known and in sync")

    def switches_alone_s(self, times: int) -> list[float]:
        """What the switches take by themselves, without pliantd: two flow-mods and a barrier on every leaf at once."""
        frames = [messages.flow_add(Flow(_UNUSED_TABLE, 1, match(eth_dst=number), b"", 0)) for number in range(2)]
        with ExitStack() as stack:
            sockets = [ovs.sandbox.path(f"{RUN_DIR}/leaf{leaf}.mgmt") for leaf, ovs in enumerate(self.leaves, start=1)]
            clients = [stack.enter_context(OpenFlowClient(path)) for path in sockets]
            threads = stack.enter_context(ThreadPoolExecutor(len(clients)))
            seconds = []
            for _ in range(times):
                began_s = time.perf_counter()
                list(threads.map(lambda client: client.submit(frames), clients))
                seconds.append(time.perf_counter() - began_s)
        return seconds

    def flow_count(self, leaf: int) -> int:
        """How many flows the leaf holds, by its own account."""
        aggregate = self.leaf(leaf).ofctl("dump-aggregate", f"leaf{leaf}")
        return int(aggregate.rpartition("flow_count=")[2])

    def spent_s(self) -> Mapping[str, float]:
        """Seconds spent so far in commit, compile and apply, by pliantd's own account."""
        text = self.hub.sandbox.run(sys.executable, "-c", _FETCH)
        return {part: float(seconds) for part, seconds in _SUM.findall(text)}


@contextmanager
def stage(*, leaves: int) -> Iterator[Stage]:
    """Two spines, so many leaves, every leaf on both; all known to pliantd and in sync."""
    with ExitStack() as stack:
        hub, *edges = [stack.enter_context(Rig()) for _ in range(1 + leaves)]
        for spine in range(1, SPINES + 1):
            hub.add_bridge(f"spine{spine}", 0x1000 + spine, CONTROLLER)
        for leaf, ovs in enumerate(edges, start=1):
            _add_leaf(hub, ovs, leaf)
        pliantd = stack.enter_context(Pliantd(hub, "--openflow", f"0.0.0.0:{_OPENFLOW_PORT}", "--metrics", METRICS))
        running = Stage(hub, pliantd, edges)
        running.settle()
        yield running


def _add_leaf(hub: Rig, ovs: Rig, leaf: int) -> None:
    """The leaf's bridge, its wires to the spines, and the wire that it reaches pliantd by."""
    near, far = f"10.255.{leaf}.1", f"10.255.{leaf}.2"
    _wire(hub.sandbox, f"m{leaf}", ovs.sandbox, "m0")
    hub.sandbox.run("ip", "address", "add", f"{near}/30", "dev", f"m{leaf}")
    ovs.sandbox.run("ip", "address", "add", f"{far}/30", "dev", "m0")
    ovs.add_bridge(f"leaf{leaf}", leaf, f"tcp:{near}:{_OPENFLOW_PORT}")
    for spine in range(1, SPINES + 1):
        down, up = f"s{spine}l{leaf}", f"l{leaf}s{spine}"
        _wire(hub.sandbox, down, ovs.sandbox, up)
        hub.vsctl(*_port(f"spine{spine}", down, leaf))
        ovs.vsctl(*_port(f"leaf{leaf}", up, FIRST_FABRIC_PORT + spine))


def _wire(here: Sandbox, name: str, there: Sandbox, other_name: str) -> None:
    """A veth from one sandbox to another, up."""
    one = ["name", name, "netns", str(here.pid)]
    subprocess.run(["ip", "link", "add", *one, "type", "veth", "peer", other_name, "netns", str(there.pid)], check=True)
    here.run("ip", "link", "set", name, "up")
    there.run("ip", "link", "set", other_name, "up")


def port_message(network: str, index: int, place: Place) -> network_pb2.Port:
    """A port of the network, its MAC and address left to the controller."""
    return network_pb2.Port(
        name=f"{network}/ports/p{index}", subnet=f"{network}/subnets/s",
        attachment=network_pb2.Attachment(switch=f"{place.leaf:016x}", port_number=place.port_no),
    )


def make_networks(running: Stage, tenants: int, networks: int) -> list[str]:
    """So many networks, spread over so many tenants, each with a /16; returns their names."""
    resources: list[tenant_pb2.Tenant | network_pb2.Network | network_pb2.Subnet] = []
    names = []
    quota = tenant_pb2.Quota(networks=1_000, subnets=1_000, ports=100_000)
    for tenant in range(tenants):
        resources.append(tenant_pb2.Tenant(name=f"tenants/t{tenant}", quota=quota))
    for number in range(networks):
        name = f"tenants/t{number % tenants}/networks/n{number}"
        names.append(name)
        resources.append(network_pb2.Network(name=name))
        resources.append(network_pb2.Subnet(name=f"{name}/subnets/s", ipv4_cidr="10.0.0.0/16"))
    for start in range(0, len(resources), 200):
        running.pliantd.client.apply(resources[start:start + 200])
    return names


def _port(bridge: str, name: str, number: int, *settings: str) -> list[str]:
    return ["--", "add-port", bridge, name, "--", "set", "interface", name, f"ofport_request={number}", *settings]


def _patch(bridge: str, name: str, number: int, peer: str) -> list[str]:
    return _port(bridge, name, number, "type=patch", f"options:peer={peer}")
