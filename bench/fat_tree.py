"""A fat-tree of 80 switches, as switches in memory that speak OpenFlow to pliantd over real sockets.

What pliantd does is real: it finds every link by its own probes, which the switches carry from one to the next, and
sends every program, which they confirm by barrier.  They forward no packets and answer at once: the times are
pliantd's, and those of 80 switches that share the machine with it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct

import pliant
from pliant.v1 import network_pb2, tenant_pb2

from bench.figures import Report
from controller.fabric.graph import EndPoint, Fabric, LinkLost
from controller.fabric.labels import LabelHop, TreeVersion, label_hops
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.plan import Planner
from tests.fakes.openflow_switch import FakePort, FakeSwitch, Switches
from tests.support.eventually import eventually
from tests.support.topologies import fabric_of, host_ports
from topologies.fat_tree import FatTree

_PACKET_OUT, _FLOW_MOD, _GROUP_MOD = 13, 14, 15
_DELETE = {_FLOW_MOD: (25, (3, 4)), _GROUP_MOD: (9, (2,))}
"""by type: where the command stands, and which commands delete"""
_OUTPUT = Struct("!HHI")
QUIET_S = 4.0
"""Longer than anything that follows from a change waits: draining, the hold-down, a probe"""
ENV = {"PLIANT_FABRIC__HOLD_DOWN_S": "0.5"}


@dataclass(eq=False)
class Wired(FakeSwitch):
    """A switch in memory whose ports lead somewhere, and that remembers when it was told what."""

    wires: dict[int, tuple[Wired, int]] = field(default_factory=dict)
    writes: list[tuple[float, bool]] = field(default_factory=list)
    """(when, whether it deletes) of every flow and group mod"""

    def _answer(self, kind: int, xid: int, frame: bytes) -> Iterable[bytes]:
        if kind == _PACKET_OUT:
            self._carry(frame)
        elif kind in _DELETE:
            place, deletes = _DELETE[kind]
            self.writes.append((time.monotonic(), frame[place] in deletes))
        return super()._answer(kind, xid, frame)

    def _carry(self, frame: bytes) -> None:
        """Over the wire of the one port that it is put out of; whoever has no program yet tells nobody of it."""
        actions_bytes = int.from_bytes(frame[16:18], "big")
        _, _, port_no = _OUTPUT.unpack_from(frame, 24)
        peer, peer_port_no = self.wires.get(port_no, (None, 0))
        if peer is not None and peer.flows and self.ports[port_no].up and peer.ports[peer_port_no].up:
            peer.packet_in(peer_port_no, frame[24 + actions_bytes:])

    def entries(self) -> dict[tuple[object, ...], object]:
        held: dict[tuple[object, ...], object] = {(self.dpid, *key): entry for key, entry in self.flows.items()}
        return held | {(self.dpid, group_id): group for group_id, group in self.groups.items()}


@dataclass(kw_only=True)
class Tree:
    """The running fat-tree."""

    client: pliant.Client
    switches: Switches
    fabric: Fabric
    """as it should be found"""
    by_dpid: Mapping[int, Wired]
    edges: list[EndPoint]
    """where a tenant port goes, one on each edge switch"""

    def connect(self, port: int) -> None:
        self.switches.connect_all(self.by_dpid.values(), "127.0.0.1", port)

    def wait_known(self) -> None:
        """Until every link is up and every switch in sync."""
        def known() -> bool:
            info = self.client.server_info()
            assert info.switches_in_sync == len(self.by_dpid), f"{info.switches_in_sync} in sync"
            up = sum(link.up for link in self.client.links.list(page_size=1_000))
            assert up == len(self.fabric.links), f"{up} links"
            return True

        eventually(known, 120, "the whole fat-tree known", pause_s=0.1)

    def create_ports(self) -> None:
        """A port on every edge, in one network."""
        network = "tenants/red/networks/n"
        self.client.apply([
            tenant_pb2.Tenant(name="tenants/red"), network_pb2.Network(name=network),
            network_pb2.Subnet(name=f"{network}/subnets/s", ipv4_cidr="10.0.0.0/24"),
        ])
        self.client.ports.batch_create(network, [
            network_pb2.Port(
                name=f"{network}/ports/p{at.dpid}", subnet=f"{network}/subnets/s",
                attachment=network_pb2.Attachment(switch=f"{at.dpid:016x}", port_number=at.port_no))
            for at in self.edges
        ], wait=True)

    @property
    def n_writes(self) -> int:
        return sum(len(switch.writes) for switch in self.by_dpid.values())

    def wait_quiet(self) -> None:
        """Until nothing was written for a while."""
        def quiet() -> bool:
            last_s = max(switch.writes[-1][0] for switch in self.by_dpid.values() if switch.writes)
            return time.monotonic() - last_s > QUIET_S

        eventually(quiet, 120, "nothing more written", pause_s=0.2)

    def entries(self) -> dict[tuple[object, ...], object]:
        return {key: entry for switch in self.by_dpid.values() for key, entry in switch.entries().items()}

    def set_link(self, link: tuple[EndPoint, EndPoint], *, up: bool) -> None:
        for end in link:
            self.switches.call(self.by_dpid[end.dpid].set_port_up, end.port_no, up=up)


def run(*, quick: bool) -> Iterator[Report]:
    topo = FatTree(k=4 if quick else 8)
    with _fat_tree(topo) as (tree, port):
        count, links = len(tree.by_dpid), len(tree.fabric.links)
        report = Report(
            title=f"Fat-tree of {count} switches and {links // 2} wires, {len(tree.edges)} edges with a tenant port",
            columns=("", "seconds", "entries added", "deleted", "differ", "hops that differ"),
            notes=[
                "seconds: until the last switch confirmed; for a link, until all send by the best paths",
                "differ: flows and groups that are others before and after; what had to be written",
                "hops that differ: of all labels' hops those that the other plan changes; without versions no more "
                "would have to be written",
            ],
        )
        began_s = time.monotonic()
        tree.connect(port)
        tree.wait_known()
        report.add("all switches connect: every link found, every switch in sync", f"{time.monotonic() - began_s:.1f}",
                   f"{tree.n_writes:,}", "0", "", "")
        began_s, before = time.monotonic(), tree.n_writes
        tree.create_ports()
        report.add("a port on every edge: labels toward all of them", f"{time.monotonic() - began_s:.1f}",
                   f"{tree.n_writes - before:,}", "0", "", "")
        for name, link in _links(tree.fabric).items():
            hops = f"{_hops_that_differ(tree.fabric, [at.dpid for at in tree.edges], link):,}"
            report.add(f"a link between {name} dies", *_change(tree, link, up=False), hops)
            report.add("and returns", *_change(tree, link, up=True), hops)
        yield report


def _change(tree: Tree, link: tuple[EndPoint, EndPoint], *, up: bool) -> list[str]:
    tree.wait_quiet()
    before, written = tree.entries(), {dpid: len(switch.writes) for dpid, switch in tree.by_dpid.items()}
    began_s = time.monotonic()
    tree.set_link(link, up=up)
    eventually(lambda: tree.n_writes > sum(written.values()), 30, "something is written", pause_s=0.05)
    tree.wait_quiet()
    after = tree.entries()
    writes = [w for dpid, switch in tree.by_dpid.items() for w in switch.writes[written[dpid]:]]
    added = [at for at, deletes in writes if not deletes]
    differ = sum(before.get(key) != after.get(key) for key in before.keys() | after.keys())
    return [f"{max(added) - began_s:.2f}", f"{len(added):,}", f"{len(writes) - len(added):,}", f"{differ:,}"]


def _links(fabric: Fabric) -> dict[str, tuple[EndPoint, EndPoint]]:
    """One of each kind; the kind of a switch is the first digit of its dpid."""
    kinds = {(1, 2): "core and aggregation", (2, 3): "aggregation and edge"}
    found = {}
    for link in sorted(fabric.links.values(), key=lambda link: link.src, reverse=True):
        kind = (link.src.dpid >> 12, link.dst.dpid >> 12)
        if kind in kinds:
            found[kinds[kind]] = (link.src, link.dst)
    return found


def _hops_that_differ(fabric: Fabric, edges: Iterable[int], link: tuple[EndPoint, EndPoint]) -> int:
    """Of what all switches do with all labels, how much the loss of this link changes."""
    without = fabric
    for end in link:
        without, _ = without.apply(LinkLost(src=end))
    old, new = Planner(Topology.of(fabric)), Planner(Topology.of(without))
    count = 0
    for edge in edges:
        one, other = (_by_number(planner, edge) for planner in (old, new))
        count += sum(one.get(key) != other.get(key) for key in one.keys() | other.keys())
    return count


def _by_number(planner: Planner, edge: int) -> dict[tuple[int, int], LabelHop]:
    version = TreeVersion(version=0, hops=planner.toward(edge), pending=frozenset())
    return {(dpid, n): hop for dpid, hops in label_hops((version,)).items() for n, hop in hops.items()}


@contextmanager
def _fat_tree(topo: FatTree) -> Iterator[tuple[Tree, int]]:
    """The switches, not yet connected, and pliantd that waits for them at a port."""
    fabric = fabric_of(topo)
    by_dpid = {
        dpid: Wired(dpid, {n: FakePort(n, name=port.name, mac=port.mac) for n, port in switch.ports.items()})
        for dpid, switch in fabric.switches.items()
    }
    for link in fabric.links.values():
        by_dpid[link.src.dpid].wires[link.src.port_no] = by_dpid[link.dst.dpid], link.dst.port_no
    edges = {at.dpid: at for at in host_ports(topo).values()}
    with tempfile.TemporaryDirectory() as directory, Switches() as switches, _pliantd(Path(directory)) as pliantd:
        client, port = pliantd
        yield Tree(client=client, switches=switches, fabric=fabric, by_dpid=by_dpid,
                   edges=[edges[dpid] for dpid in sorted(edges)]), port


@contextmanager
def _pliantd(directory: Path) -> Iterator[tuple[pliant.Client, int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [sys.executable, "-m", "apps.pliantd", "--state-dir", str(directory), "--openflow", f"127.0.0.1:{port}",
            "--grpc", ""]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **ENV})
    client = pliant.Client(f"unix:{directory}/pliantd.sock", token="")
    try:
        eventually(lambda: _answers(client), 30, "pliantd answers", pause_s=0.1)
        yield client, port
    finally:
        client.close()
        process.terminate()
        process.wait(15)


def _answers(client: pliant.Client) -> bool:
    try:
        return bool(client.server_info().version)
    except pliant.ApiError as error:
        raise AssertionError(str(error)) from error
