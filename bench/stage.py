"""A fabric to measure on: leaves and spines of one ovs-vswitchd in a sandbox, and pliantd as users run it.

Links and tenants' switch ports are patch ports: real OpenFlow ports that cost ovs-vswitchd nothing while no packet
passes.  Five thousand veths would be polled all the time, and the bench would measure that.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pliant.v1 import network_pb2, tenant_pb2

from apps.lab.openvswitch import RUN_DIR
from controller.openflow import messages
from controller.openflow.entries import Flow
from controller.openflow.match import match
from tests.support.eventually import eventually
from tests.support.of_client import OpenFlowClient
from tests.support.pliantd import CONTROLLER, Pliantd
from tests.support.rig import Rig

METRICS = "127.0.0.1:9100"
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

    def __init__(self, ovs: Rig, pliantd: Pliantd, leaves: int) -> None:
        self.ovs = ovs
        self.pliantd = pliantd
        self.leaves = leaves
        self._wired = 0

    def wire(self, count: int) -> None:
        """Have at least so many switch ports for tenants, spread evenly over the leaves."""
        each = -(-count // self.leaves)
        transaction: list[str] = []
        for leaf in range(1, self.leaves + 1):
            for number in range(self._wired + 1, each + 1):
                name = f"l{leaf}p{number}"
                transaction += _patch(f"leaf{leaf}", name, number, f"{name}x")
        # One transaction: ovs-vswitchd walks over all its ports after each.
        self.ovs.sandbox.run("ovs-vsctl", *transaction, timeout_s=120)
        self._wired = max(self._wired, each)
        self.settle(ports=self._wired)

    def place(self, index: int) -> Place:
        """The switch port of tenant port number `index`: leaf by leaf, so that neighbours are on different leaves."""
        return Place(leaf=index % self.leaves + 1, port_no=index // self.leaves + 1)

    def settle(self, *, ports: int = 0) -> None:
        """Until pliantd knows all switches, their ports and links, and every switch is in sync."""
        client = self.pliantd.client

        def settled() -> bool:
            info = client.server_info()
            assert info.switches_in_sync == self.leaves + SPINES, f"{info.switches_in_sync} switches in sync"
            up = sum(link.up for link in client.links.list())
            assert up == 2 * self.leaves * SPINES, f"{up} links up"
            for leaf in range(1, self.leaves + 1):
                known = len(client.switches.get(f"switches/{leaf:016x}").switch_ports)
                assert known >= ports + SPINES, f"leaf {leaf} has {known} ports"
            return True

        eventually(settled, timeout_s=120, what="the fabric is known and in sync")

    def switches_alone_s(self, times: int) -> list[float]:
        """What the switches take by themselves, without pliantd: two flow-mods and a barrier on every leaf at once."""
        frames = [messages.flow_add(Flow(_UNUSED_TABLE, 1, match(eth_dst=number), b"", 0)) for number in range(2)]
        with ExitStack() as stack:
            paths = [self.ovs.sandbox.path(f"{RUN_DIR}/leaf{leaf}.mgmt") for leaf in range(1, self.leaves + 1)]
            clients = [stack.enter_context(OpenFlowClient(path)) for path in paths]
            threads = stack.enter_context(ThreadPoolExecutor(self.leaves))
            seconds = []
            for _ in range(times):
                began_s = time.perf_counter()
                list(threads.map(lambda client: client.submit(frames), clients))
                seconds.append(time.perf_counter() - began_s)
        return seconds

    def flow_count(self, bridge: str) -> int:
        """How many flows the bridge holds, by its own account."""
        aggregate = self.ovs.ofctl("dump-aggregate", bridge)
        return int(aggregate.rpartition("flow_count=")[2])

    def spent_s(self) -> Mapping[str, float]:
        """Seconds spent so far in commit, compile and apply, by pliantd's own account."""
        text = self.ovs.sandbox.run(sys.executable, "-c", _FETCH)
        return {part: float(seconds) for part, seconds in _SUM.findall(text)}


@contextmanager
def stage(*, leaves: int) -> Iterator[Stage]:
    """Two spines, so many leaves, every leaf on both; all known to pliantd and in sync."""
    with Rig() as ovs:
        for spine in range(1, SPINES + 1):
            ovs.add_bridge(f"spine{spine}", 0x1000 + spine, CONTROLLER)
        for leaf in range(1, leaves + 1):
            ovs.add_bridge(f"leaf{leaf}", leaf, CONTROLLER)
            for spine in range(1, SPINES + 1):
                down, up = f"l{leaf}s{spine}", f"s{spine}l{leaf}"
                ovs.vsctl(*_patch(f"leaf{leaf}", down, FIRST_FABRIC_PORT + spine, up),
                          *_patch(f"spine{spine}", up, leaf, down))
        with Pliantd(ovs, "--metrics", METRICS) as pliantd:
            running = Stage(ovs, pliantd, leaves)
            running.settle()
            yield running


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


def _patch(bridge: str, name: str, number: int, peer: str) -> list[str]:
    return ["--", "add-port", bridge, name, "--", "set", "interface", name, "type=patch", f"options:peer={peer}",
            f"ofport_request={number}"]
