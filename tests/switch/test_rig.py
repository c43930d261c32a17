"""The ground that the real-switch tests stand on: sandboxes, bridges, hosts, measurements."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apps.lab.frames import udp_frame
from apps.lab.openvswitch import OpenVSwitch
from apps.lab.sandbox import Sandbox, SandboxError
from tests.support.eventually import eventually
from tests.support.rig import Rig

_FORWARD = "priority=10,actions=NORMAL"


def test_hosts_on_one_bridge_reach_each_other_only_through_its_flows(ovs: Rig) -> None:
    """A new bridge forwards nothing (fail secure); a flow makes it forward."""
    ovs.add_bridge("s1", 0x11)
    one, two = (ovs.add_host(f"h{n}", "s1", n, ip=f"10.0.0.{n}/24") for n in (1, 2))
    assert one.ping(two, count=2).received == 0
    ovs.ofctl("add-flow", "s1", _FORWARD)
    assert one.ping(two).lost == 0
    assert set(one.arping(two).macs) == {two.mac}


def test_links_carry_frames_between_bridges_and_take_down(ovs: Rig) -> None:
    """Two bridges, one wire; a wire that is down loses the frames, and only then."""
    for number in (1, 2):
        ovs.add_bridge(f"s{number}", number)
        ovs.ofctl("add-flow", f"s{number}", _FORWARD)
    one, two = (ovs.add_host(f"h{n}", f"s{n}", 1, ip=f"10.0.0.{n}/24") for n in (1, 2))
    end, _ = ovs.add_link("s1", 9, "s2", 9)
    assert one.ping(two).lost == 0
    ovs.set_link(end, up=False)
    assert one.ping(two, count=2).received == 0


def test_rates_are_measured_at_the_receiver(ovs: Rig) -> None:
    """A 5 Mbit/s meter is seen by TCP, by UDP and by the probe's own count."""
    ovs.add_bridge("s1", 0x11)
    one, two = (ovs.add_host(f"h{n}", "s1", n, ip=f"10.0.0.{n}/24") for n in (1, 2))
    ovs.ofctl("add-meter", "s1", "meter=1 kbps burst stats bands=type=drop rate=5000 burst_size=1250")
    ovs.ofctl("add-flow", "s1", "in_port=1,actions=meter:1,NORMAL")
    ovs.ofctl("add-flow", "s1", "in_port=2,actions=NORMAL")
    assert 3500 < one.tcp_rate_to(two, duration_s=4).rate_kbps < 5250
    assert one.udp_rate_to(two, offered_kbps=10_000, duration_s=4).rate_kbps == pytest.approx(4850, rel=0.12)


def test_probe_counts_every_lost_packet(ovs: Rig) -> None:
    """A stream through a bridge loses nothing while forwarded, and what a missing flow drops is counted."""
    ovs.add_bridge("s1", 0x11)
    ovs.ofctl("add-flow", "s1", _FORWARD)
    one, two = (ovs.add_host(f"h{n}", "s1", n, ip=f"10.0.0.{n}/24") for n in (1, 2))
    assert one.ping(two).lost == 0
    with one.probe(two) as probe:
        ovs.ofctl("add-flow", "s1", "priority=20,actions=NORMAL")
        whole = probe.finish()
    assert whole.lost == 0
    assert whole.duplicates == 0
    with one.probe(two) as probe:
        ovs.ofctl("add-flow", "s1", "priority=30,udp,actions=drop")
        eventually(lambda: "n_packets=0" not in ovs.ofctl("dump-flows", "s1", "udp"), 5, "a dropped packet")
        ovs.ofctl("--strict", "del-flows", "s1", "priority=30,udp")
        broken = probe.finish()
    assert 0 < broken.lost < broken.sent


def test_capture_sees_a_frame_with_false_addresses(ovs: Rig) -> None:
    """What one host puts on the wire, whatever it claims, arrives at the other byte for byte."""
    ovs.add_bridge("s1", 0x11)
    ovs.ofctl("add-flow", "s1", "in_port=1,actions=output:2")
    one, two = (ovs.add_host(f"h{n}", "s1", n) for n in (1, 2))
    frame = udp_frame(src_mac="02:bd:00:00:00:01", dst_mac=two.mac, src_ip="198.51.100.1", dst_ip="10.0.0.2")
    with two.capture() as capture:
        one.send_frame(frame, count=3)
        assert capture.finish().count(frame) == 3


def test_vswitchd_restart_forgets_flows_and_keeps_bridges(ovs: Rig) -> None:
    """The rig's crash is a true crash: what only the daemon held is gone."""
    ovs.add_bridge("s1", 0x11)
    ovs.ofctl("add-flow", "s1", _FORWARD)
    ovs.stop_vswitchd()
    ovs.start_vswitchd()
    assert ovs.vsctl("list-br") == "s1"
    assert ovs.flows("s1") == []


@pytest.mark.ovs
def test_sandboxes_do_not_see_each_other() -> None:
    """Two userspace switches at once, each with its own database, network and processes."""
    with OpenVSwitch() as one, OpenVSwitch() as two:
        one.add_bridge("s1", 1)
        assert two.vsctl("list-br") == ""
        two.add_bridge("s1", 2)
        assert one.ofctl("show", "s1").splitlines()[0].endswith("0000000000000001")


@pytest.mark.ovs
def test_sandbox_leaves_nothing_when_its_owner_is_killed(tmp_path: Path) -> None:
    """SIGKILL of the owner ends every process of the sandbox, daemons and orphans alike."""
    script = (
        "from apps.lab.openvswitch import OpenVSwitch\n"
        "ovs = OpenVSwitch().start()\n"
        "ovs.sandbox.run('sh', '-c', 'setsid sleep 1000 >/dev/null 2>&1 &')\n"
        "print(ovs.sandbox.pid, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        namespace = os.readlink(f"/proc/{int(owner.stdout.readline())}/ns/pid")
        assert len(_members(namespace)) >= 4
        owner.send_signal(signal.SIGKILL)
        eventually(lambda: not _members(namespace), 5, "an empty process namespace")


@pytest.mark.ovs
def test_sandbox_command_errors_say_which_and_why() -> None:
    """A failed command names itself and passes on what it said; a stopped sandbox refuses."""
    with Sandbox() as sandbox:
        with pytest.raises(SandboxError, match=r"ls /nowhere: exit status 2\n.*No such file"):
            sandbox.run("ls", "/nowhere")
        with pytest.raises(SandboxError, match="not done after"):
            sandbox.run("sleep", "30", timeout_s=0.2)
    sandbox.stop()
    with pytest.raises(SandboxError, match="not running"):
        sandbox.run("true")


@pytest.mark.ovs
def test_process_signals_reach_the_command() -> None:
    """A signal meets the command inside, which may answer it, and its status is what the caller sees."""
    with Sandbox() as sandbox:
        process = sandbox.popen(
            "sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done", stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(5) == 7


def _members(pid_namespace: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "ns/pid") == pid_namespace:
                found.append(process.name)
        except OSError:
            continue  # it ended while we looked
    return found
