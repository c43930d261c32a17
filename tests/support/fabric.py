"""A leaf-spine of real switches with pliantd in charge, and the few words a test needs to fill it with tenants.

         s11      s12             spines
        /  |  ╲ ╱  |  ╲
      s1   s2    s3               leaves; hosts on ports 1 to 99, spines on 101 and 102
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import pliant
from pliant.v1 import common_pb2, network_pb2, tenant_pb2

from tests.support.eventually import eventually
from tests.support.pliantd import CONTROLLER, OPENFLOW, Pliantd
from tests.support.relay import Relay
from tests.support.rig import Host, Rig

ACTIVE, PENDING = common_pb2.STATE_ACTIVE, common_pb2.STATE_PENDING
Policy = common_pb2.BandwidthPolicy


class Fabric:
    """Spines, leaves, the controller, and relays through which the control channel of some leaves can be cut."""

    def __init__(self, rig: Rig, pliantd: Pliantd, leaves: Sequence[int], spines: Sequence[int],
                 relays: Mapping[int, Relay]) -> None:
        self.rig = rig
        self.pliantd = pliantd
        self.leaves = leaves
        self.spines = spines
        self.relays = relays

    @property
    def client(self) -> pliant.Client:
        return self.pliantd.client

    @property
    def switches(self) -> list[str]:
        return [f"s{number}" for number in (*self.leaves, *self.spines)]

    # -- what is asked

    def create_network(
        self, tenant: str, *, network: str = "n", ipv6: bool = False, policy: Policy | None = None,
    ) -> str:
        """A tenant (if it is new) with a network of 10.0.0.0/24, and fd00::/64 if asked for; the network's name."""
        name = f"tenants/{tenant}/networks/{network}"
        ipv6_cidr = "fd00::/64" if ipv6 else ""
        self.client.apply([
            tenant_pb2.Tenant(name=f"tenants/{tenant}", bandwidth=policy),
            network_pb2.Network(name=name),
            network_pb2.Subnet(name=f"{name}/subnets/s", ipv4_cidr="10.0.0.0/24", ipv6_cidr=ipv6_cidr),
        ])
        return name

    def port(self, network: str, host: Host, *, policy: Policy | None = None, ipv6: bool = False) -> network_pb2.Port:
        """The port that this host needs, not yet created."""
        addresses = [host.ip] + ([_ipv6(host.ip)] if ipv6 else [])
        return network_pb2.Port(
            name=f"{network}/ports/{host.name}", subnet=f"{network}/subnets/s", mac_address=host.mac,
            addresses=addresses, attachment=at(int(host.bridge[1:]), host.port_no), bandwidth=policy)

    def create_ports(self, network: str, hosts: Iterable[Host], *, ipv6: bool = False) -> list[network_pb2.Port]:
        """Ports for these hosts; returns when the switches have confirmed them."""
        ports = [self.port(network, host, ipv6=ipv6) for host in hosts]
        created = list(self.client.ports.batch_create(network, ports, wait=True))
        assert [port.state for port in created] == [ACTIVE] * len(created), created
        return created

    # -- what is there

    def add_host(self, name: str, leaf: int, port_no: int, number: int, *, mac: str = "", ipv6: bool = False) -> Host:
        """A machine 10.0.0.<number> (and fd00::<number>) on a leaf, not yet anybody's."""
        ip = f"10.0.0.{number}"
        return self.rig.add_host(
            name, f"s{leaf}", port_no, mac=mac or f"02:00:00:00:00:{number:02x}", ip=f"{ip}/24",
            ipv6=f"{_ipv6(ip)}/64" if ipv6 else "")

    def flows(self) -> dict[str, list[str]]:
        """All flows of all switches, without counters."""
        return {name: self.rig.flows(name) for name in self.switches}

    def groups(self) -> dict[str, list[str]]:
        """All groups and meters of all switches."""
        return {name: sorted(self.rig.ofctl("dump-groups", name).splitlines()[1:]
                             + self.rig.ofctl("dump-meters", name).splitlines()[1:]) for name in self.switches}

    def drops(self, tenant: str, reason: str) -> int:
        """Packets of a tenant dropped for this reason, on all switches."""
        return sum(drop.packets for drop in self.client.drops(tenant=f"tenants/{tenant}") if drop.reason == reason)

    def wait_in_sync(self, *, timeout_s: float = 20.0) -> None:
        """Until every switch is connected and holds what it should."""
        self._wait_in_sync(len(self.switches), timeout_s)

    def _wait_in_sync(self, count: int, timeout_s: float) -> None:
        def in_sync() -> bool:
            info = self.client.server_info()
            assert info.switches_in_sync == count, info
            return True

        eventually(in_sync, timeout_s=timeout_s, what=f"{count} switches in sync")

    def wait_connected(self, number: int, *, connected: bool, timeout_s: float = 20.0) -> None:
        """Until the controller knows that it reaches, or no longer reaches, this switch."""
        name = f"switches/{number:016x}"
        wanted = f"{name} connected: {connected}"

        def reached() -> bool:
            known = {switch.name: switch.connected for switch in self.client.switches.list()}
            return known.get(name, False) is connected

        eventually(reached, timeout_s, wanted)


def at(switch: int, where: int | str) -> network_pb2.Attachment:
    """A place on a switch, by port number or by interface name."""
    if isinstance(where, int):
        return network_pb2.Attachment(switch=f"{switch:016x}", port_number=where)
    return network_pb2.Attachment(switch=f"{switch:016x}", interface=where)


def age_s(stats: str) -> list[float]:
    """How long each flow of an `ovs-ofctl dump-flows` has been there."""
    return [float(found) for found in re.findall(r"duration=([\d.]+)s", stats)]


@contextmanager
def leaf_spine(
    rig: Rig, *, leaves: Sequence[int] = (1, 2, 3), spines: Sequence[int] = (11, 12), relayed: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[Fabric]:
    """The fabric, all its links known; `relayed` switches reach the controller through a relay of their own."""
    relays = {number: Relay(rig.sandbox, 7000 + number, OPENFLOW) for number in relayed}
    with ExitStack() as stack:
        for relay in relays.values():
            stack.enter_context(relay)
        for number in (*spines, *leaves):
            rig.add_bridge(f"s{number}", number, relays[number].target if number in relays else CONTROLLER)
        for leaf in leaves:
            for i, spine in enumerate(spines):
                rig.add_link(f"s{leaf}", 101 + i, f"s{spine}", leaf)
        pliantd = stack.enter_context(Pliantd(rig, env=env))
        pliantd.wait_for_links(2 * len(leaves) * len(spines))
        yield Fabric(rig, pliantd, leaves, spines, relays)


def _ipv6(ip: str) -> str:
    return f"fd00::{ip.rpartition('.')[2]}"
