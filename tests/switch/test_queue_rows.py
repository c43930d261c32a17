"""Queues by OVSDB rows, on a real server and switch: as asked, found right again, removed at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping

import pytest
from immutables import Map

from apps.lab.openvswitch import RUN_DIR, SOCKET
from controller.fabric.ports import Switch, SwitchPort
from controller.model.bandwidth import TrafficClass
from controller.model.queues import BEST_EFFORT, OfSlice, PortQueues, Queue
from controller.reconcile.queue_driver import Brought
from controller.southbound.complaints import Complaints
from controller.southbound.ovsdb.database import Database
from controller.southbound.ovsdb.remote import Remote
from controller.southbound.queues.netlink import Netlink
from controller.southbound.queues.ovsdb import OvsdbQueues
from controller.southbound.queues.probe import Preference, Probe
from controller.southbound.queues.tc import Tc
from controller.southbound.runtime import Runtime
from tests.support.eventually import eventually
from tests.support.netns import inside
from tests.support.rig import Host, Rig

LISTEN = f"{RUN_DIR}/pliant-test.sock"
RATE_KBPS = 50_000


class Stage:
    """One switch with two hosts, connected to a runtime, and its database."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.runtime = Runtime()
        self.runtime.start()
        self.runtime.listen(str(rig.sandbox.path(LISTEN)))
        rig.add_bridge("s1", 1, f"unix:{LISTEN}")
        self.hosts = [rig.add_host(f"h{n}", "s1", n, ip=f"10.0.0.{n}/24") for n in (1, 2)]
        self.database = Database(Remote.parse(f"unix:{rig.sandbox.path(SOCKET)}"), Complaints(time.monotonic))
        eventually(lambda: self.runtime.datapaths().get(1), what="the switch connected")
        self.queues = self.new_driver()
        asyncio.run_coroutine_threadsafe(self.database.run(), self.runtime.loop)
        eventually(lambda: self.queues.is_settled, what="the database is known")

    def new_driver(self) -> OvsdbQueues:
        queues = OvsdbQueues(self.runtime.loop, [self.database], lambda dpid: self.runtime.datapaths().get(dpid))
        queues.start(lambda: None)
        return queues

    def bring(self, wanted: Mapping[SwitchPort, PortQueues | None]) -> Brought:
        return asyncio.run(self.queues.bring(1, wanted))

    def rows(self, table: str) -> int:
        return len(self.rig.vsctl("--bare", "--columns=_uuid", "list", table).split())

    def qos(self, column: str) -> str:
        return self.rig.vsctl("get", "qos", self.rig.vsctl("get", "port", "s1-h2", "qos"), column)


PORT = SwitchPort(port_no=2, name="s1-h2", mac="", up=True)


@pytest.fixture
def stage(ovs: Rig) -> Iterator[Stage]:
    made = Stage(ovs)
    yield made
    made.runtime.stop()


def port_queues(guarantees: Mapping[int, int]) -> PortQueues:
    rest = Queue(number=BEST_EFFORT, whose=(), guarantee_kbps=RATE_KBPS - sum(guarantees.values()),
                 ceiling_kbps=RATE_KBPS)
    return PortQueues(rate_kbps=RATE_KBPS, queues=(rest, *(
        Queue(number=n, whose=(OfSlice(n),), guarantee_kbps=kbps, ceiling_kbps=40_000,
              traffic_class=TrafficClass.CRITICAL) for n, kbps in sorted(guarantees.items()))))


def test_rows_are_as_asked_change_in_place_and_leave_nothing_behind(stage: Stage) -> None:
    """A second driver, as after a restart, writes nothing; what stays keeps its row; nothing of ours is left over."""
    brought = stage.bring({PORT: port_queues({4: 10_000, 8: 20_000})})
    assert brought.written > 0 and not brought.faults, brought
    assert stage.qos("type") == "linux-htb"
    assert stage.qos("other_config") == '{max-rate="50000000"}'
    shown = stage.rig.sandbox.run("tc", "class", "show", "dev", "s1-h2")
    assert "rate 10Mbit ceil 40Mbit" in shown and "rate 20Mbit ceil 40Mbit" in shown
    four = stage.qos("queues:4")
    assert stage.rig.vsctl("get", "queue", four, "other_config:priority") == '"0"'
    stage.queues = stage.new_driver()
    assert stage.bring({PORT: port_queues({4: 10_000, 8: 20_000})}) == Brought({}, 0)
    assert not stage.bring({PORT: port_queues({4: 15_000, 700: 1_000})}).faults
    assert stage.qos("queues:4") == four
    assert stage.rig.vsctl("get", "queue", four, "other_config:min-rate") == '"15000000"'
    assert (stage.rows("qos"), stage.rows("queue")) == (1, 3)
    counted = asyncio.run(stage.queues.count(1, PORT))
    assert counted.keys() == {BEST_EFFORT, 4, 700}
    assert stage.bring({PORT: None}).written > 0
    assert (stage.rows("qos"), stage.rows("queue")) == (0, 0)
    assert stage.rig.vsctl("get", "port", "s1-h2", "qos") == "[]"
    assert stage.bring({PORT: None}) == Brought({}, 0)


def test_rows_of_somebody_else_are_left_alone(stage: Stage) -> None:
    """A QoS that an operator made stays, and what we had goes with a port that goes."""
    stage.rig.vsctl("set", "port", "s1-h2", "qos=@q", "--", "--id=@q", "create", "qos", "type=linux-htb",
                    "other_config:max-rate=7000000")
    brought = stage.bring({PORT: port_queues({4: 10_000})})
    assert brought.written == 0 and "somebody else" in brought.faults[2]
    assert stage.bring({PORT: None}) == Brought({}, 0)
    assert stage.qos("other_config") == '{max-rate="7000000"}'
    one = SwitchPort(port_no=1, name="s1-h1", mac="", up=True)
    assert not stage.bring({one: port_queues({4: 10_000})}).faults
    assert (stage.rows("qos"), stage.rows("queue")) == (2, 2)
    stage.rig.vsctl("del-port", "s1", "s1-h1")
    eventually(lambda: asyncio.run(stage.queues.bring(1, {PORT: None})).written, what="rows nobody refers to go")
    assert (stage.rows("qos"), stage.rows("queue")) == (1, 0)
    gone = stage.bring({one: port_queues({4: 10_000})})
    assert "no database in reach knows s1-h1" in gone.faults[1]


def test_userspace_datapath_heeds_no_chosen_queue_so_tc_is_chosen(stage: Stage) -> None:
    """Rows are taken, the queue is there, a flow chooses it, and nothing comes through it: hence the probe."""
    rig, (one, other) = stage.rig, stage.hosts
    assert not stage.bring({PORT: port_queues({4: 10_000})}).faults
    rig.ofctl("add-flow", "s1", "in_port=1,actions=set_queue:4,output:2")
    rig.ofctl("add-flow", "s1", "in_port=2,actions=output:1")
    assert one.ping(other, count=5).lost == 0
    counted = asyncio.run(stage.queues.count(1, PORT))
    assert counted[4].packets == 0 and counted[BEST_EFFORT].packets >= 5
    stage.bring({PORT: None})
    tc = Tc(lambda family: inside(rig.sandbox, lambda: Netlink(family)))
    switch = known(rig, other)
    assert stage.queues.types[1] == "netdev"
    assert Probe(tc, stage.queues)(switch).driver is tc
    remote = Switch(dpid=1, connected=True, ports=Map({2: PORT}))
    for preference, at, why in (
            (Preference.OVSDB, switch, "user space"), (Preference.AUTO, remote, "none of its ports"),
            (Preference.TC, remote, "none of its ports")):
        choice = Probe(tc, stage.queues, preference)(at)
        assert choice.driver is None and why in choice.why_not
    elsewhere = OvsdbQueues(stage.runtime.loop, [], lambda dpid: None)
    assert Probe(tc, elsewhere)(switch).driver is tc
    assert "no Open vSwitch database" in Probe(tc, elsewhere)(remote).why_not


def known(rig: Rig, host: Host) -> Switch:
    """The switch as it says itself what its port is."""
    mac = rig.vsctl("get", "interface", host.interface, "mac_in_use").strip('"')
    port = SwitchPort(port_no=host.port_no, name=host.interface, mac=mac, up=True)
    return Switch(dpid=1, connected=True, ports=Map({host.port_no: port}))
