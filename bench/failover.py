"""What a dead link costs: packets lost of 1,000 a second that cross it, each link of a fabric in turn.

Three in the same run, on the same ovs-vswitchd: pliantd running; pliantd killed, the switches by themselves;
and four bridges without any controller whose fast-failover groups were written by hand, as short as they can be.  The
last ones' links fail in between the others', so that whatever else the machine does meets all.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mininet.topo import Topo

from apps.lab.measure import Stream
from bench.figures import Report, median
from controller.fabric.graph import EndPoint
from tests.support.eventually import eventually
from tests.support.fabric import Fabric
from tests.support.pliantd import CONTROLLER, Pliantd
from tests.support.rig import Host, Rig
from tests.support.topologies import dpid_of, host_ports
from topologies.leaf_spine import LeafSpine
from topologies.wan import Wan

ENV = {"PLIANT_FABRIC__HOLD_DOWN_S": "0.5"}
CROSSES_S, DEAD_S, BACK_S = 0.2, 1.2, 1.0
MAX_TRIES = 30
RUNNING, STOPPED, BY_HAND = "pliantd running", "pliantd killed", "groups written by hand"

Wire = tuple[EndPoint, EndPoint]


@dataclass(slots=True)
class Losses:
    """Of one fabric under one regime."""

    down: list[int] = field(default_factory=list)
    gaps_ms: list[float] = field(default_factory=list)
    up: list[int] = field(default_factory=list)
    duplicates: int = 0

    def note(self, down: Stream, up: Stream) -> None:
        self.down.append(down.lost)
        self.gaps_ms.append(down.longest_gap_ms)
        self.up.append(up.lost)
        self.duplicates += down.duplicates + up.duplicates


def run(*, quick: bool) -> Iterator[Report]:
    for title, topo in (("leaf-spine, 2 x 3", LeafSpine()), ("B4, 12 sites and 19 links", Wan(name="b4"))):
        report = Report(
            title=f"1,000 packets per second over each link of {title} in turn, while it dies and comes back",
            columns=("", "failures", "lost: median", "worst", "longest gap", "lost on return: median", "worst",
                     "duplicates"),
        )
        results = _measure(topo, every=4 if quick else 1)
        for who, losses in results.items():
            report.add(who, str(len(losses.down)), str(median(losses.down)), str(max(losses.down)),
                       f"{max(losses.gaps_ms):.0f} ms", str(median(losses.up)), str(max(losses.up)),
                       str(losses.duplicates))
        report.notes = ["1 packet is 1 ms; aim: at most 50, and at most twice what groups written by hand lose"]
        yield report


def _measure(topo: Topo, *, every: int) -> dict[str, Losses]:
    results: dict[str, Losses] = defaultdict(Losses)
    with Rig() as rig:
        wires, places = _build(rig, topo)
        by_hand = HandMade(rig)
        with Pliantd(rig, env=ENV) as pliantd:
            pliantd.wait_for_links(2 * len(wires))
            fabric = Fabric(rig, pliantd, [dpid_of(topo, name) for name in topo.switches()], (), {})
            hosts = _hosts(fabric, places)
            trials = _trials(wires, hosts)[::every]
            for regime in (RUNNING, STOPPED):
                if regime == STOPPED:
                    fabric.wait_in_sync()
                    pliantd.kill()
                for number, (wire, sender, receiver) in enumerate(trials):
                    results[regime].note(*_trial(rig, wire, sender, receiver, fabric if regime == RUNNING else None))
                    if number % 2:
                        results[BY_HAND].note(*by_hand.trial(number // 2))
    return results


def _build(rig: Rig, topo: Topo) -> tuple[list[Wire], dict[int, EndPoint]]:
    """The bridges and wires of a topology; where a host may hang, by switch."""
    for name in topo.switches():
        rig.add_bridge(_bridge(dpid_of(topo, name)), dpid_of(topo, name), CONTROLLER)
    wires = []
    for _, _, info in topo.links(withInfo=True):
        if topo.isSwitch(info["node1"]) and topo.isSwitch(info["node2"]):
            one, other = (EndPoint(dpid_of(topo, info[f"node{end}"]), info[f"port{end}"]) for end in (1, 2))
            rig.add_link(_bridge(one.dpid), one.port_no, _bridge(other.dpid), other.port_no)
            wires.append((one, other))
    return wires, {at.dpid: at for at in host_ports(topo).values()}


def _bridge(dpid: int) -> str:
    return f"s{dpid}"


def _interface(wire: Wire) -> str:
    one, other = wire
    return f"{_bridge(one.dpid)}-{_bridge(other.dpid)}-{one.port_no}"


def _hosts(fabric: Fabric, places: dict[int, EndPoint]) -> dict[int, Host]:
    """One host on each edge, all in one network."""
    network = fabric.create_network("red")
    hosts = {
        dpid: fabric.add_host(f"h{number}", dpid, at.port_no, 10 + number)
        for number, (dpid, at) in enumerate(sorted(places.items()))
    }
    fabric.create_ports(network, hosts.values())
    fabric.wait_in_sync()
    return hosts


def _trials(wires: Sequence[Wire], hosts: dict[int, Host]) -> list[tuple[Wire, Host, Host]]:
    """Each wire with hosts whose packets may cross it: both ways where only one end has hosts, for that is a U-turn."""
    trials = []
    for number, wire in enumerate(wires):
        ends = [end.dpid for end in wire if end.dpid in hosts]
        if len(ends) == 2:
            sender, receiver = ends[:: 1 if number % 2 else -1]
            trials.append((wire, hosts[sender], hosts[receiver]))
        else:
            others = [host for dpid, host in hosts.items() if dpid not in ends]
            other = others[number % len(others)]
            trials += [(wire, hosts[ends[0]], other), (wire, other, hosts[ends[0]])]
    return trials


def _trial(rig: Rig, wire: Wire, sender: Host, receiver: Host, fabric: Fabric | None) -> tuple[Stream, Stream]:
    """What the stream lost when the wire died, and when it came back."""
    interface = _interface(wire)
    for _ in range(MAX_TRIES):
        with sender.probe(receiver) as probe:
            # Every stream has a UDP port of its own, and so a tree of its own: not every one crosses the wire.
            before = _carried(rig, interface)
            time.sleep(CROSSES_S)
            if _carried(rig, interface) - before < CROSSES_S * 500:
                continue
            rig.set_link(interface, up=False)
            time.sleep(DEAD_S)
            down = probe.finish()
        break
    else:
        raise AssertionError(f"no stream from {sender.name} to {receiver.name} crosses {interface}")
    if fabric is not None:
        fabric.wait_in_sync()
    with sender.probe(receiver) as probe:
        time.sleep(CROSSES_S)
        rig.set_link(interface, up=True)
        if fabric is not None:
            client = fabric.client
            eventually(lambda: all(link.up for link in client.links.list()), 60, "the link is used again", pause_s=0.2)
            fabric.wait_in_sync()
        time.sleep(BACK_S)
        up = probe.finish()
    return down, up


def _carried(rig: Rig, interface: str) -> int:
    """Packets that passed the interface, both ways."""
    stats = rig.ofctl("dump-ports", interface.split("-")[0], interface)
    return sum(map(int, re.findall(r"pkts=(\d+)", stats)))


class HandMade:
    """Two leaves, two spines, two hosts; groups as the manual has them: the link, or else the other one.

    A spine whose way down is dead sends the frame back, and the leaf it came from sends what comes back to the other
    spine.
    """

    LEAVES, SPINES = ("x1", "x2"), ("x11", "x12")

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        for number, name in enumerate((*self.LEAVES, *self.SPINES), start=0x7001):
            rig.add_bridge(name, number)
        for leaf_no, leaf in enumerate(self.LEAVES, start=1):
            for spine_no, spine in enumerate(self.SPINES, start=101):
                rig.add_link(leaf, spine_no, spine, leaf_no)
        self._a, self._b = (
            rig.add_host(f"x{leaf}h", leaf, 1, ip=f"10.9.0.{number}/24")
            for number, leaf in enumerate(self.LEAVES, start=1)
        )
        for leaf, host in zip(self.LEAVES, (self._a, self._b), strict=True):
            self._program(
                leaf, groups=["group_id=1,type=ff,bucket=watch_port:101,output:101,bucket=watch_port:102,output:102"],
                flows=["in_port=1,actions=group:1", "in_port=102,actions=output:1",
                       f"in_port=101,priority=9,dl_dst={host.mac},actions=output:1",
                       "in_port=101,priority=9,dl_dst=ff:ff:ff:ff:ff:ff,actions=output:1",
                       "in_port=101,priority=1,actions=output:102"])
        for spine in self.SPINES:
            groups = [f"group_id={to},type=ff,bucket=watch_port:{to},output:{to},bucket=watch_port:{3 - to},in_port"
                      for to in (1, 2)]
            self._program(spine, groups=groups, flows=["in_port=1,actions=group:2", "in_port=2,actions=group:1"])
        assert self._a.ping(self._b).lost == 0

    def _program(self, bridge: str, *, groups: Sequence[str], flows: Sequence[str]) -> None:
        for group in groups:
            self._rig.ofctl("add-group", bridge, group)
        for flow in flows:
            self._rig.ofctl("add-flow", bridge, flow)

    def trial(self, number: int) -> tuple[Stream, Stream]:
        """Alternately the link that the first leaf sends by, and the one that the spine does."""
        interface = f"{self.LEAVES[number % 2]}-x11-101"
        streams = []
        for up in (False, True):
            with self._a.probe(self._b) as probe:
                time.sleep(CROSSES_S)
                self._rig.set_link(interface, up=up)
                time.sleep(DEAD_S)
                streams.append(probe.finish())
        return streams[0], streams[1]
