"""Queues by the kernel's traffic control, on devices that are ports of real switches."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import time

import pytest
from hypothesis import Phase, given, settings
from immutables import Map
from structlog.testing import capture_logs

from controller.fabric.ports import Switch, SwitchPort
from controller.model.bandwidth import TrafficClass
from controller.model.queues import (
    BEST_EFFORT,
    EXPLICIT,
    OfDestination,
    OfPair,
    OfSlice,
    OfSource,
    PortQueues,
    Queue,
    inner_queue,
    leaf_queue,
)
from controller.reconcile.queue_driver import Brought
from controller.southbound.queues import answers, messages
from controller.southbound.queues.messages import HANDLE, Class
from controller.southbound.queues.netlink import KernelRefused, Netlink
from tests.support import queue_trees
from tests.support.netns import inside
from tests.support.queue_trees import ports
from tests.support.rig import Rig
from tests.support.tc import (
    SEND_BUFFER_FORCE,
    Sent,
    X,
    Z,
    add_device,
    best_effort,
    bring,
    driver,
    switch_port,
    tc_show,
    tenants,
)


@pytest.fixture
def device(ovs: Rig) -> str:
    return add_device(ovs)


def test_queues_are_as_asked_and_found_right_again(ovs: Rig, device: str) -> None:
    """tc shows every class and filter; a second driver, as after a restart, changes nothing; at the end all is gone."""
    port = switch_port(ovs, device)
    queues = PortQueues(rate_kbps=50_000, queues=(
        best_effort(50_000, 20_000),
        Queue(number=X, whose=(OfSlice(X),), guarantee_kbps=10_000, ceiling_kbps=50_000, weight=2,
              traffic_class=TrafficClass.CRITICAL),
        Queue(number=Z, whose=(OfSlice(Z),), guarantee_kbps=10_000, ceiling_kbps=15_000,
              traffic_class=TrafficClass.BULK),
        Queue(number=16_390, whose=(OfPair(0x020000000011, Z << 10 | 1, 1), OfPair(0x020000000012, X << 10 | 1, 1)),
              guarantee_kbps=10_000, ceiling_kbps=50_000),
    ))
    brought = bring(driver(ovs), {port: queues})
    assert brought.written > 0 and not brought.faults
    classes = tc_show(ovs, "class", device)
    for shown in ("5011:5 parent 5011:ffff", "prio 0 rate 10Mbit ceil 50Mbit", "prio 2 rate 10Mbit ceil 15Mbit",
                  "5011:4006 parent 5011:ffff", "5011:ffff root rate 50Mbit ceil 50Mbit", "5011:fffe parent"):
        assert shown in classes
    filters = tc_show(ovs, "filter", device)
    assert filters.count("flowid 5011:4006") == 2
    assert f"match {X << 10:08x}/00fffc00 at -12" in filters
    assert "pfifo_head_drop" in tc_show(ovs, "qdisc", device)
    again = driver(ovs)
    assert bring(again, {port: queues}) == Brought({}, 0)
    assert bring(again, {port: None}).written == 1
    assert "5011" not in tc_show(ovs, "qdisc", device)
    assert bring(again, {port: None}) == Brought({}, 0)


def test_thousand_guarantees_change_in_one_batch(ovs: Rig, device: str) -> None:
    """Each class is changed where it is: the counters go on; what was asked is there, and costs little."""
    port, tc = switch_port(ovs, device), driver(ovs)
    before = tenants(dict.fromkeys(range(1, 1001), 90), rate_kbps=100_000)
    assert bring(tc, {port: before}).written > 3_000
    after = tenants({n: 80 if n % 2 else 95 for n in range(1, 1001)}, rate_kbps=100_000)
    begun_s = time.monotonic()
    brought = bring(tc, {port: after})
    took_s = time.monotonic() - begun_s
    print(f"1,000 rates: {took_s * 1000:.0f} ms with reading before and after")
    # Each of the thousand, best effort, and what of best effort is control's.
    assert not brought.faults and 1_000 <= brought.written <= 1_002
    shown = tc_show(ovs, "class", device)
    assert shown.count("rate 80Kbit") == shown.count("rate 95Kbit") == 500
    assert bring(tc, {port: after}) == Brought({}, 0)
    assert bring(tc, {port: tenants({7: 1_000}, rate_kbps=100_000)}).faults == {}
    assert tc_show(ovs, "class", device).count("class htb") == 4


def test_any_change_ends_in_what_was_asked(ovs: Rig, device: str) -> None:
    """From one tree to another, thirty times: the kernel takes each change as it is, and none is left to make."""
    port, tc = switch_port(ovs, device), driver(ovs)
    refused = list[list[object]]()

    @settings(max_examples=30, derandomize=True, database=None, deadline=None, phases=[Phase.generate])
    @given(ports())
    def change(queues: PortQueues) -> None:
        with capture_logs() as logs:
            brought = bring(tc, {port: queues})
        assert brought.faults == {}, brought
        refused.append([log for log in logs if log["event"] == "queues_refused"])
        assert bring(tc, {port: queues}) == Brought({}, 0)

    change()
    assert not any(refused)


def test_each_kind_of_frame_has_its_queue(ovs: Rig, device: str) -> None:
    """By slice, source, destination on its edge only, pair, also under an explicit path's label; probes are control's;
    on an access port, where there is no label, by source.  Who is asked first is as the model says.
    """
    port, tc = switch_port(ovs, device), driver(ovs)
    a, b, c, key = 0x02000000000A, 0x02000000000B, 0x02000000000C, X << 10 | 7
    inner = inner_queue(1)
    queues = queue_trees.port(
        queue_trees.queue(inner, guarantee_kbps=90),
        queue_trees.queue(leaf_queue(1), OfSlice(X), parent=inner),
        queue_trees.queue(leaf_queue(2), OfSource(X, a), parent=inner),
        queue_trees.queue(leaf_queue(3), OfDestination(1, key), parent=inner),
        queue_trees.queue(leaf_queue(4), OfSource(X, b, second=True), parent=inner),
        queue_trees.queue(leaf_queue(5), OfSlice(Z)),
        queue_trees.queue(leaf_queue(6), OfPair(c, key, 1), OfPair(c, key, EXPLICIT)))
    assert bring(tc, {port: queues}).faults == {}
    path, other = 0xF123, Z << 10 | 7
    with inside(ovs.sandbox, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)) as sender:
        sender.bind((device, 0))

        def taken(*frames: Sent | bytes) -> set[int]:
            """The queues that counted them."""
            before = asyncio.run(tc.count(1, port))
            for frame in frames:
                sender.send(frame if isinstance(frame, bytes) else frame.raw())
            counts = asyncio.run(tc.count(1, port))
            return {number for number, count in counts.items() if count.packets > before[number].packets}

        assert taken(Sent(key24=X << 10 | 1), Sent(key24=X << 10 | 1023, edge_id=2)) == {leaf_queue(1)}
        assert taken(Sent(key24=key, source_mac=a), Sent(key24=X << 10, source_mac=a)) == {leaf_queue(2)}
        assert taken(Sent(key24=key), Sent(key24=key, source_mac=b)) == {leaf_queue(3)}
        assert taken(Sent(key24=key, edge_id=2), Sent(key24=key, explicit=path)) == {leaf_queue(1)}
        assert taken(Sent(key24=X << 10 | 8, source_mac=b), Sent(key24=key, edge_id=2, source_mac=b)) == {leaf_queue(4)}
        assert taken(Sent(key24=other), Sent(key24=other, source_mac=a)) == {leaf_queue(5)}
        assert taken(Sent(key24=key, source_mac=c), Sent(key24=key, explicit=path, source_mac=c)) == {leaf_queue(6)}
        assert taken(Sent(key24=key, source_mac=c, edge_id=2)) == {leaf_queue(1)}
        assert taken(Sent(key24=9 << 10)) == {BEST_EFFORT}
        assert taken(bytes.fromhex("0180c200000e 020000000001 88cc") + bytes(60)) == set(), "control's"
        access = queue_trees.port(
            queue_trees.queue(leaf_queue(2), OfSource(0, a)), queue_trees.queue(leaf_queue(6), OfPair(c, 0, 0)))
        assert bring(tc, {port: access}).faults == {}
        assert taken(Sent(key24=key, source_mac=a), Sent(source_mac=a)) == {leaf_queue(2)}
        assert taken(Sent(source_mac=c)) == {leaf_queue(6)}
        assert taken(Sent(source_mac=b), Sent()) == {BEST_EFFORT}


def test_queues_of_somebody_else_are_left_alone(ovs: Rig, device: str) -> None:
    """As Mininet's TCLink makes them: told, not touched, also when ours are to go; gone, ours come."""
    port, tc = switch_port(ovs, device), driver(ovs)
    ovs.sandbox.run("tc", "qdisc", "add", "dev", device, "root", "handle", "5:", "htb", "default", "1")
    ovs.sandbox.run("tc", "class", "add", "dev", device, "parent", "5:", "classid", "5:1", "htb", "rate", "10mbit")
    before = tc_show(ovs, "qdisc", device), tc_show(ovs, "class", device)
    brought = bring(tc, {port: tenants({X: 1_000})})
    assert brought.written == 0
    assert "somebody else" in brought.faults[1] and "htb 5:" in brought.faults[1]
    assert bring(tc, {port: None}) == Brought({}, 0)
    assert (tc_show(ovs, "qdisc", device), tc_show(ovs, "class", device)) == before
    ovs.sandbox.run("tc", "qdisc", "del", "dev", device, "root")
    assert bring(tc, {port: tenants({X: 1_000})}).faults == {}
    assert "5011:5" in tc_show(ovs, "class", device)


def test_what_somebody_changed_is_put_right(ovs: Rig, device: str) -> None:
    """A class gone, a rate changed, a filter too many, another leaf: all as asked again, and nothing else written."""
    port, tc, wanted = switch_port(ovs, device), driver(ovs), tenants({X: 5_000, Z: 5_000})
    bring(tc, {port: wanted})
    shown = [tc_show(ovs, what, device) for what in ("class", "qdisc")]
    changes = [
        "class change dev p1 parent 5011:ffff classid 5011:5 htb rate 1mbit ceil 2mbit",
        "qdisc replace dev p1 parent 5011:12c bfifo limit 100000",
        "filter add dev p1 parent 5011: protocol ip prio 1 u32 match ip dport 80 0xffff flowid 5011:5",
    ]
    for change in changes:
        ovs.sandbox.run("tc", *change.split())
    brought = bring(tc, {port: wanted})
    assert not brought.faults and 0 < brought.written < 8
    classes, _ = (tc_show(ovs, what, device) for what in ("class", "qdisc"))
    assert "rate 5Mbit ceil 30Mbit" in classes and "1Mbit" not in classes
    assert "bfifo" not in tc_show(ovs, "qdisc", device)
    assert "dport" not in tc_show(ovs, "filter", device) and "00000050" not in tc_show(ovs, "filter", device)
    assert bring(tc, {port: wanted}) == Brought({}, 0)
    assert len(shown[0].splitlines()) == len(classes.splitlines())


def test_device_that_vanishes_or_is_another_is_no_error(ovs: Rig, device: str) -> None:
    """Told as what it is, and forgotten; a device of the same name with another MAC is not the switch's port."""
    port, tc = switch_port(ovs, device), driver(ovs)
    other = SwitchPort(port_no=1, name=device, mac="02:00:00:00:00:99", up=True)
    odd = (SwitchPort(port_no=2 + n, name=name, mac=port.mac, up=True)
           for n, name in enumerate(("", "p1x", "a-name-too-long-for-a-device", "ä" * 8, "p/1")))
    none = Map({each.port_no: each for each in (other, *odd)})
    assert "none of its ports" in tc.why_not(Switch(dpid=1, connected=True, ports=none))
    assert tc.why_not(Switch(dpid=1, connected=True, ports=Map({1: port}))) == ""
    assert "no device p1" in bring(tc, {other: tenants({X: 1_000})}).faults[1]
    assert bring(tc, {port: tenants({X: 1_000})}).faults == {}
    ovs.sandbox.run("ip", "link", "del", device)
    assert "no device p1" in bring(tc, {port: tenants({X: 2_000})}).faults[1]
    assert bring(tc, {port: None}) == Brought({}, 0)


def test_each_order_that_is_refused_is_told_and_the_others_are_followed(ovs: Rig, device: str) -> None:
    """By its place, in the kernel's words, also among more orders than go into one batch."""
    netlink = inside(ovs.sandbox, Netlink)
    (found,) = netlink.ask(messages.get_device(device), answers.read_device)
    refused = netlink.order([messages.delete_root(found.number)])
    assert [(each.position, each.error.number) for each in refused] in ([(0, errno.EINVAL)], [(0, errno.ENOENT)])
    assert str(refused[0].error)
    share = Class(HANDLE, 1_000, 1_000, 100, 100, 1_514, 0)
    orders = [messages.put_class(found.number, minor, share) for minor in range(1, 451)]
    orders[3] = orders[300] = messages.delete_class(found.number, 0x4000)
    refused = netlink.order([messages.add_root(found.number, 1), *orders])
    assert [each.position for each in refused] == [4, 301]
    classes = netlink.ask(messages.get_classes(found.number), answers.read_class)
    assert {handle & 0xFFFF for handle, _, _ in classes} == set(range(1, 451)) - {4, 301}
    with pytest.raises(KernelRefused, match="no such device"):
        netlink.ask(messages.get_device("p3"), answers.read_device)
    netlink.close()


def test_leaves_are_as_long_as_the_switchs_socket_allows(ovs: Rig, device: str) -> None:
    """The smallest socket that sends for all devices counts; a longer one, longer leaves, but no more than 20 ms."""
    port, tc = switch_port(ovs, device), driver(ovs)

    def limits(n_queues: int) -> set[str]:
        tc.expect(n_queues)
        bring(tc, {port: tenants({X: 1_000})})
        return set(re.findall(r"limit (\d+)p", tc_show(ovs, "qdisc", device)))

    assert limits(4) == {"20"}
    with inside(ovs.sandbox, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)) as sender:
        assert limits(4) == {"20"}
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
        assert limits(1) == {"14"}
        sender.setsockopt(socket.SOL_SOCKET, SEND_BUFFER_FORCE, 2_000_000)
        assert limits(50) == {"30"}
        assert limits(5) == {"49"}
