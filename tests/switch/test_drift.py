"""Switches changed, emptied or restarted behind the controller's back come back to what they should hold."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from controller.pipeline import tables
from tests.support.eventually import eventually
from tests.support.fabric import Fabric, leaf_spine
from tests.support.rig import Host, Rig

pytestmark = pytest.mark.ovs

OURS, FOREIGN = 0x50FE << 48, 0xBEEF
DRIFT_PERIOD_S = 1.0
Held = dict[str, list[str]]


@pytest.fixture(scope="module")
def watchful() -> Iterator[Fabric]:
    """The fabric, read back every second, with hosts a and b."""
    with Rig() as rig, leaf_spine(rig, env={"PLIANT_RECONCILE__DRIFT_PERIOD_S": f"{DRIFT_PERIOD_S}"}) as fabric:
        two_hosts(fabric)
        yield fabric


def two_hosts(fabric: Fabric) -> tuple[Host, Host]:
    """Two hosts of red on leaves 1 and 3 that reach each other."""
    network = fabric.create_network("red", ipv6=True)
    hosts = fabric.add_host("a", 1, 1, 11, ipv6=True), fabric.add_host("b", 3, 1, 12, ipv6=True)
    fabric.create_ports(network, hosts, ipv6=True)
    assert hosts[0].ping(hosts[1]).lost == 0
    return hosts


def held(fabric: Fabric) -> tuple[Held, Held]:
    return fabric.flows(), fabric.groups()


def wait_until_held(fabric: Fabric, wanted: tuple[Held, Held], *, timeout_s: float = 15.0) -> None:
    """Until every switch holds exactly these flows, groups and meters."""

    def same() -> bool:
        now = held(fabric)
        for kind, before, after in zip(("flows", "groups and meters"), wanted, now, strict=True):
            for name in before:
                gone, come = set(before[name]) - set(after[name]), set(after[name]) - set(before[name])
                assert before[name] == after[name], f"{name} {kind}: missing {sorted(gone)}, extra {sorted(come)}"
        return True

    eventually(same, timeout_s, "all switches hold what they did")


def test_changed_flows_groups_and_meters_are_repaired(watchful: Fabric) -> None:
    """Actions changed by mod-flows with the cookie kept, flows deleted, added in our name, groups and meters changed:
    all undone within the drift period; the flow of somebody else stays."""
    rig = watchful.rig
    a, b = (rig.hosts[name] for name in "ab")
    wanted = held(watchful)
    group = re.findall(r"group_id=(\d+)", rig.ofctl("dump-groups", "s1"))[-1]
    meter = re.findall(r"meter=(\d+)", rig.ofctl("dump-meters", "s1"))[-1]
    rig.ofctl("mod-flows", "s1", "table=76,actions=drop")
    rig.ofctl("mod-flows", "s3", "table=56,actions=resubmit(,100)")
    rig.ofctl("mod-flows", "s3", "table=0,in_port=1,actions=goto_table:76")
    rig.ofctl("del-flows", "s1", f"table={tables.FDB.number}")
    rig.ofctl("del-flows", "s11")
    rig.ofctl("add-flow", "s1", f"table=0,priority=60000,cookie={OURS:#x},actions=drop")
    rig.ofctl("add-flow", "s12", f"table=2,priority=60000,cookie={OURS:#x},actions=in_port")
    rig.ofctl("add-flow", "s2", f"table=7,priority=7,cookie={FOREIGN:#x},actions=drop")
    rig.ofctl("mod-group", "s1", f"group_id={group},type=all,bucket=actions=output:77")
    rig.ofctl("add-group", "s2", "group_id=0x10000990,type=all,bucket=actions=drop")
    rig.ofctl("mod-meter", "s1", f"meter={meter} kbps burst stats bands=type=drop rate=64 burst_size=16")
    rig.ofctl("add-meter", "s3", "meter=6000 kbps burst stats bands=type=drop rate=64 burst_size=16")
    wanted[0]["s2"] = rig.flows("s2")
    assert held(watchful) != wanted
    wait_until_held(watchful, wanted, timeout_s=10 * DRIFT_PERIOD_S)
    assert any(f"cookie={FOREIGN:#x}" in flow for flow in wanted[0]["s2"])
    assert a.ping(b).lost == 0
    assert "drift_found" in watchful.pliantd.log()


def test_deleted_groups_and_meters_come_back_with_their_flows(watchful: Fabric) -> None:
    """Open vSwitch deletes the flows that used a group or a meter along with it: everything returns."""
    rig = watchful.rig
    a, b = (rig.hosts[name] for name in "ab")
    wanted = held(watchful)
    for name in ("s1", "s3"):
        rig.ofctl("del-groups", name)
        rig.ofctl("del-meters", name)
    assert held(watchful) != wanted
    wait_until_held(watchful, wanted, timeout_s=10 * DRIFT_PERIOD_S)
    assert a.ping(b).lost == 0


def test_nothing_is_written_while_nothing_drifts(watchful: Fabric) -> None:
    """Three read-backs later every flow is as old as it was and has kept its counters."""
    rig = watchful.rig
    a, b = (rig.hosts[name] for name in "ab")
    log = watchful.pliantd.log()
    ages = {name: rig.ofctl("dump-flows", name) for name in watchful.switches}
    with a.probe(b, packets_per_s=100) as probe:
        eventually(lambda: _age(rig, "s1") > 3 * DRIFT_PERIOD_S + _oldest(ages["s1"]), what="three drift periods")
        assert probe.finish().lost == 0
    for name, before in ages.items():
        assert _youngest(rig.ofctl("dump-flows", name)) > _youngest(before) + 3 * DRIFT_PERIOD_S
    assert "drift_found" not in watchful.pliantd.log().removeprefix(log)


def test_restarted_ovs_vswitchd_is_restored_by_itself(fabric: Fabric) -> None:
    """ovs-vswitchd is killed and started: flows, groups, meters are as before, and hosts reach each other."""
    a, b = two_hosts(fabric)
    wanted = held(fabric)
    fabric.rig.stop_vswitchd()
    fabric.rig.start_vswitchd()
    wait_until_held(fabric, wanted, timeout_s=30)
    fabric.wait_in_sync()
    assert a.ping(b).lost == 0
    assert a.ping("fd00::12").lost == 0


def test_change_while_ovs_vswitchd_is_down_is_there_when_it_returns(fabric: Fabric) -> None:
    """A port created and another deleted while no switch runs: acknowledged, and true once they are back."""
    a, b = two_hosts(fabric)
    c = fabric.add_host("c", 2, 1, 13)
    network = "tenants/red/networks/n"
    fabric.rig.stop_vswitchd()
    for number in (*fabric.leaves, *fabric.spines):
        fabric.wait_connected(number, connected=False)
    fabric.client.ports.create(fabric.port(network, c))
    fabric.client.ports.delete(f"{network}/ports/b")
    fabric.rig.start_vswitchd()
    fabric.wait_in_sync(timeout_s=30)
    eventually(lambda: a.ping(c, count=1).lost == 0, what="a reaches c")
    assert a.ping(b, count=2).received == 0


def _age(rig: Rig, name: str) -> float:
    return _oldest(rig.ofctl("dump-flows", name))


def _durations(stats: str) -> list[float]:
    return [float(found) for found in re.findall(r"duration=([\d.]+)s", stats)]


def _oldest(stats: str) -> float:
    return max(_durations(stats), default=0.0)


def _youngest(stats: str) -> float:
    return min(_durations(stats), default=0.0)
