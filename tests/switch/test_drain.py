"""Links and switches drained and used again under traffic: none lost, none doubled; refused where it would cut."""

from __future__ import annotations

import time
from collections.abc import Callable

import pliant
import pytest
from pliant.v1 import fabric_pb2 as pb
from pliant.v1 import watch_pb2

from apps.lab.measure import Probe
from tests.support.eventually import eventually
from tests.support.fabric import Fabric
from tests.support.rig import Host

LEAF, FAR, SPINES = 1, 3, (11, 12)


def two_hosts(fabric: Fabric) -> tuple[Host, Host]:
    network = fabric.create_network("red")
    a, b = fabric.add_host("a", LEAF, 1, 11), fabric.add_host("b", FAR, 1, 12)
    fabric.create_ports(network, (a, b))
    assert a.ping(b).lost == 0
    return a, b


def used_uplink(fabric: Fabric) -> pb.Link:
    """The link out of the first leaf that carries most, as the API shows it."""
    links = fabric.client.links.list(filter=f"source.switch = switches/{LEAF:016x}", usage=True)
    return max(links, key=lambda link: link.usage.packets_per_second)


def in_paths(fabric: Fabric) -> set[str]:
    """The links that frames from the first leaf to the last may take now."""
    answer = fabric.client.paths(f"switches/{LEAF:016x}", f"switches/{FAR:016x}")
    return {hop.link for path in answer.current for hop in path.hops}


def drain_link(fabric: Fabric, link: pb.Link, *, drained: bool) -> None:
    fabric.client.links.update(pb.Link(name=link.name, drained=drained), ["drained"])


def drain_switch(fabric: Fabric, dpid: int, *, drained: bool) -> None:
    fabric.client.switches.update(pb.Switch(name=f"switches/{dpid:016x}", drained=drained), ["drained"])


def states(fabric: Fabric) -> dict[str, pb.LinkState.ValueType]:
    return {link.name: link.state for link in fabric.client.links.list()}


def under_traffic(a: Host, b: Host, deed: Callable[[], None], what: str) -> None:
    """Numbered packets while something is done: each arrives once."""
    with a.probe(b, packets_per_s=1000) as probe:
        _let_flow(probe)
        deed()
        _let_flow(probe)
        result = probe.finish()
    print(f"{what}: {result.sent} sent, {result.lost} lost, {result.duplicates} doubled, {result.reordered} reordered")
    assert (result.lost, result.duplicates) == (0, 0), result


def _let_flow(probe: Probe) -> None:
    time.sleep(0.5)  # of traffic before and after


def test_drained_link_loses_nothing_and_falls_silent(fabric: Fabric) -> None:
    """The uplink in use is drained: traffic moves to the other spine, the link says when it is free, and comes back."""
    a, b = two_hosts(fabric)
    used: list[pb.Link] = []

    def drain() -> None:
        used.append(used_uplink(fabric))
        assert used[0].usage.packets_per_second > 500
        drain_link(fabric, used[0], drained=True)
        eventually(lambda: states(fabric)[used[0].name] == pb.LINK_STATE_DRAINED, 10, "nobody sends over it")

    under_traffic(a, b, drain, "link drained")
    link = fabric.client.links.get(used[0].name)
    assert link.name not in in_paths(fabric)
    assert link.up and link.drained
    back = f"links/{link.destination.switch.removeprefix('switches/')}-{link.destination.port_number}"
    assert fabric.client.links.get(back).drained, "a wire is drained both ways"
    with a.probe(b, packets_per_s=1000) as probe:
        eventually(lambda: used_uplink(fabric).usage.packets_per_second > 500, 5, "the other uplink carries it")
        now = {each.name: each.usage.packets_per_second for each in fabric.client.links.list(usage=True)}
        assert now[link.name] < 10
        assert probe.finish().lost == 0

    def undrain() -> None:
        drain_link(fabric, link, drained=False)
        fabric.wait_in_sync()
        eventually(lambda: link.name in in_paths(fabric), 10, "it is used again")

    under_traffic(a, b, undrain, "link used again")


def test_drained_switch_loses_nothing_and_can_be_taken_away(fabric: Fabric) -> None:
    """The spine in use is drained and its wires pulled: nothing is lost in any of it; nor when it is used again."""
    a, b = two_hosts(fabric)
    spine: list[int] = []

    def drain() -> None:
        spine.append(int(used_uplink(fabric).destination.switch.removeprefix("switches/"), 16))
        drain_switch(fabric, spine[0], drained=True)
        name = f"switches/{spine[0]:016x}"
        eventually(lambda: all(
            link.state == pb.LINK_STATE_DRAINED for link in fabric.client.links.list()
            if name in (link.source.switch, link.destination.switch)
        ), 10, "all its links are free")

    under_traffic(a, b, drain, "switch drained")

    def pull() -> None:
        for leaf in fabric.leaves:
            fabric.rig.set_link(f"s{spine[0]}-s{leaf}-{leaf}", up=False)

    under_traffic(a, b, pull, "its wires pulled")
    for leaf in fabric.leaves:
        fabric.rig.set_link(f"s{spine[0]}-s{leaf}-{leaf}", up=True)
    fabric.pliantd.wait_for_links(12)
    under_traffic(a, b, lambda: drain_switch(fabric, spine[0], drained=False), "switch used again")


def test_drain_that_would_cut_tenants_off_is_refused_and_names_them(fabric: Fabric) -> None:
    """The last spine, and a leaf with ports: refused with the networks' names, done if forced, kept over a restart."""
    two_hosts(fabric)
    drain_switch(fabric, SPINES[0], drained=True)
    for dpid in (SPINES[1], FAR):
        with pytest.raises(pliant.ApiError, match="tenants/red/networks/n") as refused:
            drain_switch(fabric, dpid, drained=True)
        assert refused.value.reason == "WOULD_PARTITION"
    fabric.client.switches.update(
        pb.Switch(name=f"switches/{SPINES[1]:016x}", drained=True), ["drained"], force=True
    )
    port = "tenants/red/networks/n/ports/a"
    eventually(lambda: [c.reason for c in fabric.client.ports.get(port).conditions] == ["NO_PATH"], 5, "a says so")
    fabric.pliantd.kill()
    fabric.pliantd.start()
    assert all(fabric.client.switches.get(f"switches/{spine:016x}").drained for spine in SPINES)
    for spine in SPINES:
        drain_switch(fabric, spine, drained=False)
    fabric.wait_in_sync()
    eventually(lambda: not fabric.client.ports.get(port).conditions, 10, "a has its paths again")


def test_paths_show_what_carries_the_traffic(fabric: Fabric) -> None:
    """The links of the paths in use are those whose counters move, their shares are of all flows, each has a backup."""
    a, b = two_hosts(fabric)
    network = "tenants/red/networks/n"
    answer = fabric.client.paths(f"{network}/ports/a", f"{network}/ports/b")
    assert sum(path.flow_permille for path in answer.current) == 1_000
    assert all(len(path.hops) == 2 and path.hops[0].backup_links for path in answer.current)
    assert len(answer.alternatives) == 3
    with a.probe(b, packets_per_s=1000) as probe:
        _let_flow(probe)
        load = {link.name: link.usage.packets_per_second for link in fabric.client.links.list(usage=True)}
    taken = [path for path in answer.current if all(load[hop.link] > 500 for hop in path.hops)]
    assert len(taken) == 1, (load, answer)


def test_watch_tells_of_a_cut_link(fabric: Fabric) -> None:
    """Both directions of a wire that is cut come as events, with their new state, within a second or two."""
    with fabric.client.watch(kinds=[watch_pb2.KIND_LINK, watch_pb2.KIND_SWITCH]) as events:
        kinds = []
        for event in events:
            if event.type == watch_pb2.EVENT_TYPE_SYNCED:
                break
            kinds.append("link" if event.HasField("link") else "switch")
        assert (kinds.count("link"), kinds.count("switch")) == (12, 5)
        fabric.rig.set_link("s1-s11-101", up=False)
        down: set[str] = set()
        for event in events:
            if event.HasField("link") and event.link.state == pb.LINK_STATE_DOWN:
                down.add(event.link.source.interface)
            if down == {"s1-s11-101", "s11-s1-1"}:
                break
