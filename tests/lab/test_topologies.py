"""Each topology is usable by plain `mn`, as a user starts it: Debian's Mininet, no package of ours on its path.

Everything runs in a sandbox: a failing `mn` cleans up by killing and deleting, machine-wide and by name.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from apps.lab.sandbox import SandboxError
from tests.support.rig import Rig

_FILES = Path(__file__).resolve().parents[2] / "topologies"


def _mn(ovs: Rig, topology: str, *options: str, commands: str = "") -> str:
    ovs.own_tmp()
    name = topology.partition(",")[0]
    argv = ["mn", "--custom", str(_FILES / f"{name}.py"), "--topo", topology, *options]
    return ovs.sandbox.run("sh", "-c", '"$0" "$@" 2>&1', *argv, stdin=commands, timeout_s=120)


@pytest.mark.lab
@pytest.mark.parametrize(
    ("topology", "dpids", "hosts"),
    [
        ("single,hosts=3", {"s1": 1}, 3),
        ("linear,switches=3,hosts=2", {"s1": 1, "s2": 2, "s3": 3}, 6),
        (
            "leaf_spine,spines=2,leaves=3,hosts=2",
            {"spine1": 0x101, "spine2": 0x102, "leaf1": 0x201, "leaf2": 0x202, "leaf3": 0x203},
            6,
        ),
        (
            "fat_tree,k=2",
            {"core1": 0x1001, "agg1": 0x2001, "agg2": 0x2002, "edge1": 0x3001, "edge2": 0x3002},
            2,
        ),
        ("ring,switches=3,hosts=2", {"s1": 1, "s2": 2, "s3": 3}, 6),
        ("dumbbell,hosts=1,mbps=10", {"left": 1, "right": 2}, 2),
        ("wan,name=abilene", {f"s{site}": site for site in range(1, 12)}, 11),
    ],
)
def test_topology_starts_under_plain_mn_without_a_controller(
    ovs: Rig, topology: str, dpids: dict[str, int], hosts: int
) -> None:
    """Each switch has its dpid, fail secure and OpenFlow 1.3; each host the documented MAC and address."""
    questions = [f"sh echo {name} $(ovs-vsctl get bridge {name} datapath_id fail_mode protocols)" for name in dpids]
    questions += [f"h{number} echo h{number} $(ip -br address show h{number}-eth0)" for number in range(1, hosts + 1)]
    questions += [f"h{number} cat /sys/class/net/h{number}-eth0/address" for number in range(1, hosts + 1)]
    said = _mn(ovs, topology, "--controller", "remote", commands="\n".join([*questions, "exit"]))
    for name, dpid in dpids.items():
        assert re.search(rf'{name} "?{dpid:016x}"? secure \[OpenFlow13\]', said), said
    for number in range(1, hosts + 1):
        assert f"10.0.0.{number}/24" in said
        assert f"00:00:00:00:00:{number:02x}" in said
    assert ovs.vsctl("list-br") == ""


def _once_it_listens(client: str) -> str:
    """A server that is started with -D may come to listen only after the shell has gone on."""
    return f"for try in $(seq 50); do {client} && break; sleep 0.2; done"


@pytest.mark.lab
@pytest.mark.parametrize("topology", ["single", "linear", "leaf_spine,spines=1", "fat_tree,k=2", "dumbbell"])
def test_topology_carries_traffic_when_its_switches_forward(ovs: Rig, topology: str) -> None:
    """Wires and hosts are right: with a forwarding flow in each switch, and no loop, every host reaches every other.

    TCP too, which needs checksum offload to be off.
    """
    forward = "sh for s in $(ovs-vsctl list-br); do ovs-ofctl -O OpenFlow13 add-flow $s actions=NORMAL; done"
    transfer = f"h2 iperf3 -s -D\nh1 {_once_it_listens('iperf3 -c 10.0.0.2 -n 1M')}"
    said = _mn(ovs, topology, "--controller", "remote", commands=f"{forward}\npingall\n{transfer}\nexit\n")
    assert " 0% dropped" in said, said
    assert re.search(r"[1-9][\d.]* [KM]Bytes .* receiver", said), said


@pytest.mark.lab
def test_dumbbell_wire_carries_its_rate_and_spares_the_neighbours(ovs: Rig) -> None:
    """10 Mbit/s across, by a queue of 20 frames; while a flood fills it, hosts on one side lose nothing."""
    commands = [
        "sh for s in left right; do ovs-ofctl -O OpenFlow13 add-flow $s actions=NORMAL; done",
        "pingall",
        "h4 iperf3 -s -D",
        f"h1 {_once_it_listens('iperf3 -c 10.0.0.4 -t 3 -C cubic')}",
        "sh tc qdisc show dev left-eth1",
        "h1 iperf3 -u -b 60M -c 10.0.0.4 -t 5 > /dev/null 2>&1 &",
        "h3 ping -c 200 -i 0.01 -s 1400 -q 10.0.0.2",
        "exit",
    ]
    said = _mn(ovs, "dumbbell,hosts=3,mbps=10", "--controller", "remote", commands="\n".join(commands))
    rate = re.search(r"([\d.]+) Mbits/sec +receiver", said)
    assert rate and 8.5 <= float(rate[1]) <= 10, said
    assert "direct_qlen 20" in said, said
    assert "200 packets transmitted, 200 received" in said, said


@pytest.mark.lab
@pytest.mark.parametrize(
    ("topology", "says"),
    [
        ("single,hosts=0", "hosts=0: must be a whole number from 1 to 254"),
        ("linear,switches=many", "switches=many: must be a whole number from 1 to 254"),
        ("leaf_spine,spines=2,leaves=100,hosts=3", "hosts=3: must be a whole number from 1 to 2"),
        ("ring,switches=2", "switches=2: must be a whole number from 3 to 254"),
        ("fat_tree,k=3", "k=3: must be even"),
        ("wan,name=polska", "abilene and b4 are built in; others are in the package topohub"),
        ("leaf_spine,spine=2", "unexpected keyword argument 'spine'"),
    ],
)
def test_topology_refuses_senseless_parameters_by_name(ovs: Rig, topology: str, says: str) -> None:
    """A wrong parameter is named, with what it may be, before anything is built."""
    try:
        said = _mn(ovs, topology, "--controller", "remote")
    except SandboxError as error:
        said = str(error)
    assert says in said


def test_topology_files_share_their_common_part() -> None:
    """What each file must carry for itself, since `mn` executes it alone, is the same text in all."""
    parts = {file.name: file.read_text().partition("# Below this line")[2] for file in _FILES.glob("[a-z]*.py")}
    assert len(parts) >= 3
    assert len(set(parts.values())) == 1
    assert all("_datapath" in part for part in parts.values())
