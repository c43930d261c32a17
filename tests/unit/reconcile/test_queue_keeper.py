"""The queue keeper: who is told what, when, and what is made of it.  The driver is one that only remembers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest
from immutables import Map

from controller.fabric.events import LinkSeen, PortObserved, PortRemoved, PortsBound, QueuesFound
from controller.fabric.graph import EndPoint, Fabric, SwitchDisconnected
from controller.fabric.ports import Switch, SwitchPort
from controller.model.bandwidth import BandwidthPolicy
from controller.model.queues import Grant, PortQueues, QueueCount
from controller.pipeline.world import World
from controller.reconcile.grants import Granted
from controller.reconcile.queue_driver import Brought, Choice
from controller.reconcile.queue_keeper import QueueKeeper
from controller.reconcile.queueing import port_queues
from controller.reconcile.status import View
from tests.support.eventually import eventually
from tests.support.worlds import Lab

RED = "tenants/red"
LEAF = 11
UPLINK = EndPoint(LEAF, 1)
GRANT = Map({RED: Grant(guarantee_kbps=5_000)})


def view_of(world: World, grants: Map[EndPoint, Map[str, Grant]]) -> View:
    return View(world=world, granted=Granted(grants=grants))


class Memory:
    """A driver whose ports hold whatever they were told last, but for those that are broken."""

    name = "memory"

    def __init__(self) -> None:
        self.holds: dict[SwitchPort, PortQueues | None] = {}
        self.calls: list[Mapping[SwitchPort, PortQueues | None]] = []
        self.broken: dict[int, str] = {}
        self.writes = 0
        self.expected = 0

    def expect(self, n_families: int) -> bool:
        before, self.expected = self.expected, n_families
        return n_families != before

    async def bring(self, dpid: int, wanted: Mapping[SwitchPort, PortQueues | None]) -> Brought:
        assert threading.current_thread().name == "queues"
        self.calls.append(wanted)
        written = sum(self.holds.get(port) != queues for port, queues in wanted.items())
        self.holds.update(wanted)
        self.writes += written
        return Brought({n: why for n, why in self.broken.items() if n in {p.port_no for p in wanted}}, written)

    async def count(self, dpid: int, port: SwitchPort) -> Mapping[int, QueueCount]:
        return {0: QueueCount(dpid, port.port_no, 0)} if self.holds.get(port) else {}


@dataclass
class Stage:
    """A keeper at work, the view that it sees, and what it says."""

    view: View
    remove_after_s: float = 0.4
    check_period_s: float = 3_600.0
    driver: Memory = field(default_factory=Memory)
    choice: Choice = field(init=False)
    told: list[QueuesFound] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    """switches, each time that their driver was chosen"""
    keeper: QueueKeeper = field(init=False)

    def __post_init__(self) -> None:
        self.choice = Choice(self.driver)
        self.keeper = QueueKeeper(
            lambda: self.view, self.choose, self.report, remove_after_s=self.remove_after_s,
            check_period_s=self.check_period_s)

    def choose(self, switch: Switch) -> Choice:
        self.asked.append(switch.dpid)
        return self.choice

    def report(self, found: QueuesFound) -> None:
        """As the loop does: it is in the next view."""
        self.told.append(found)
        self.change(fabric=self.fabric.apply(found)[0])

    @property
    def fabric(self) -> Fabric:
        return self.view.world.fabric

    def change(self, *, fabric: Fabric | None = None, grants: Map[EndPoint, Map[str, Grant]] | None = None) -> None:
        world = self.view.world if fabric is None else replace(self.view.world, fabric=fabric)
        self.view = view_of(world, self.view.grants if grants is None else grants)
        self.keeper.wake()

    def port(self, at: EndPoint = UPLINK) -> SwitchPort:
        port = self.fabric.port(at)
        assert port is not None
        return port

    def holds(self, grants: Map[str, Grant] = GRANT, at: EndPoint = UPLINK) -> bool:
        return self.driver.holds.get(self.port(at)) == port_queues(self.view.world, at, grants)


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Its parameter, if it has one: after how many seconds queues that nobody is granted go."""
    lab = Lab.leaf_spine()
    lab.network("red")
    stage = Stage(view_of(lab.world, Map()), remove_after_s=getattr(request, "param", 0.4))
    stage.keeper.start()
    yield stage
    assert stage.keeper.stop()


def until(check: Callable[[], bool], what: str) -> None:
    eventually(check, timeout_s=10.0, what=what)


def test_port_gets_queues_with_its_first_grant_and_loses_them_after_its_last(stage: Stage) -> None:
    """Only that port is written to; what is the same again is not written."""
    stage.change(grants=Map({UPLINK: GRANT}))
    until(stage.holds, "the queues are there")
    assert {port for port, queues in stage.driver.holds.items() if queues} == {stage.port()}
    writes = stage.driver.writes
    stage.change(grants=Map({UPLINK: Map(dict(GRANT))}))
    more = Map({RED: Grant(guarantee_kbps=6_000)})
    stage.change(grants=Map({UPLINK: more}))
    until(lambda: stage.holds(more), "the new rate is there")
    assert stage.driver.writes == writes + 1
    stage.change(grants=Map())
    until(lambda: stage.driver.holds[stage.port()] is None, "they are gone")


def test_driver_knows_how_many_queues_there_are_and_makes_all_anew_where_that_matters(stage: Stage) -> None:
    """Before it makes the first one; a port more, and the others are looked at again."""
    other = EndPoint(12, 1)
    stage.change(grants=Map({UPLINK: GRANT}))
    until(stage.holds, "the queues are there")
    assert stage.driver.expected == 2
    calls = len(stage.driver.calls)
    stage.change(grants=Map({UPLINK: GRANT, other: GRANT}))
    until(lambda: stage.holds(at=other), "the other port's queues are there")
    assert stage.driver.expected == 4
    until(lambda: any(stage.port() in call for call in stage.driver.calls[calls:]), "the first port was looked at")


def test_switch_says_who_makes_its_queues_and_where_that_fails(stage: Stage) -> None:
    """Found and told once; a fault is tried again until it is none, and then that is told."""
    until(lambda: stage.fabric.switches[LEAF].queue_driver == "memory", "the driver is known")
    stage.driver.broken[1] = "no such thing"
    stage.change(grants=Map({UPLINK: GRANT}))
    until(lambda: stage.fabric.switches[LEAF].queue_faults == Map({1: "no such thing"}), "the fault is known")
    del stage.driver.broken[1]
    until(lambda: not stage.fabric.switches[LEAF].queue_faults, "it is none any more")
    assert len(stage.told) < 20, "told when it changes, not over and over"


@pytest.mark.parametrize("stage", [2.0], indirect=True)
def test_grant_that_comes_and_goes_in_a_moment_removes_nothing(stage: Stage) -> None:
    """As after a restart, until all is known: the queues of before stay."""
    stage.change(grants=Map({UPLINK: GRANT}))
    until(stage.holds, "the queues are there")
    stage.change(grants=Map())
    time.sleep(0.1)
    stage.change(grants=Map({UPLINK: GRANT}))
    time.sleep(2.5)
    assert None not in [call[stage.port()] for call in stage.driver.calls if stage.port() in call]


def test_ceiling_that_queues_hold_is_told_when_it_holds_and_before_it_goes(stage: Stage) -> None:
    """So that its meter can go and come; where the queues fail, or have another rate, it is not held."""
    at = EndPoint(LEAF, 5)
    lab = Lab.leaf_spine()
    lab.network("red")
    for name, port_no in (("a", 4), ("d", 5)):
        lab.port("red", name, at=(LEAF, port_no), bandwidth=BandwidthPolicy(guarantee_out_kbps=2_000))
    ports = "tenants/red/networks/net/ports"

    def grants(ceiling_kbps: int) -> Map[EndPoint, Map[str, Grant]]:
        return Map({at: Map({f"{ports}/a": Grant(guarantee_kbps=2_000),
                             f"{ports}/d": Grant(guarantee_kbps=0, ceiling_kbps=ceiling_kbps)})})

    def shaped() -> Map[int, int]:
        return stage.fabric.switches[LEAF].shaped

    stage.view = view_of(lab.world, Map())
    stage.change(grants=grants(9_000))
    until(lambda: shaped() == Map({5: 9_000}), "the ceiling is held")
    assert stage.holds(grants(9_000)[at], at)
    stage.change(grants=grants(7_000))
    until(lambda: shaped() == Map({5: 7_000}), "the other ceiling is held")
    stage.driver.broken[5] = "no such thing"
    stage.change(grants=grants(6_000))
    until(lambda: not shaped(), "it is not held any more")
    del stage.driver.broken[5]
    until(lambda: shaped() == Map({5: 6_000}), "it is held again")
    stage.change(grants=Map())
    until(lambda: not shaped(), "it is told before the queues go")
    told = len(stage.told)
    until(lambda: stage.driver.holds[stage.port(at)] is None, "they are gone")
    assert not any(found.shaped for found in stage.told[told:])


def test_ceiling_that_queues_held_before_a_restart_is_held_all_the_time() -> None:
    """It is told as not held only if nobody wants these queues when all is known."""
    lab = Lab.leaf_spine()
    lab.network("red")
    lab.port("red", "d", at=(LEAF, 5))
    held = QueuesFound(dpid=LEAF, driver="memory", shaped=Map({5: 9_000}))
    stage = Stage(view_of(replace(lab.world, fabric=lab.fabric.apply(held)[0]), Map()), remove_after_s=1.0)
    stage.keeper.start()
    try:
        until(lambda: not stage.fabric.switches[LEAF].shaped, "nobody wants it")
        of_leaf = [found.shaped for found in stage.told if found.dpid == LEAF]
        assert of_leaf[0] == Map({5: 9_000}) and of_leaf[-1] == Map()
    finally:
        assert stage.keeper.stop()


def test_switch_out_of_reach_keeps_its_queues_and_gets_them_when_it_is_back(stage: Stage) -> None:
    """Nothing is done to it meanwhile."""
    connected = stage.fabric
    stage.change(fabric=connected.apply(SwitchDisconnected(dpid=LEAF))[0])
    time.sleep(0.3)
    calls = len(stage.driver.calls)
    stage.change(grants=Map({UPLINK: GRANT}))
    time.sleep(0.3)
    assert not any(stage.port() in call for call in stage.driver.calls[calls:])
    stage.change(fabric=connected)
    until(stage.holds, "the queues are there")


def test_switch_that_connects_anew_is_looked_at(stage: Stage) -> None:
    """It may have started, and Open vSwitch that starts removes the queues of its ports."""
    stage.change(grants=Map({UPLINK: GRANT}))
    until(stage.holds, "the queues are there")
    connected = stage.fabric
    stage.change(fabric=connected.apply(SwitchDisconnected(dpid=LEAF))[0])
    time.sleep(0.3)
    stage.driver.holds.clear()
    stage.change(fabric=connected)
    until(stage.holds, "they are there again")


def test_port_that_went_and_came_back_as_it_was_is_looked_at(stage: Stage) -> None:
    """Between two looks; what a device had, it lost with that."""
    stage.change(grants=Map({UPLINK: GRANT}))
    until(stage.holds, "the queues are there")
    port, link = stage.port(), stage.fabric.links[UPLINK]
    gone, _ = stage.fabric.apply(PortRemoved(dpid=LEAF, port_no=port.port_no))
    stage.driver.holds.clear()
    back, _ = gone.apply(PortObserved(dpid=LEAF, port=replace(port)))
    for seen in (LinkSeen(src=link.src, dst=link.dst), LinkSeen(src=link.dst, dst=link.src)):
        back, _ = back.apply(seen)
    stage.change(fabric=back)
    until(stage.holds, "they are there again")


def test_driver_that_works_no_longer_is_told_and_the_next_one_does_all(stage: Stage) -> None:
    """The choice is made again when what it depends on is different."""
    stage.change(grants=Map({UPLINK: GRANT}))
    until(stage.holds, "the queues are there")
    stage.choice = Choice(None, "nothing works")
    stage.keeper.choose_again()
    until(lambda: stage.fabric.switches[LEAF].no_queues == "nothing works", "it is told")
    stage.driver = Memory()
    stage.choice = Choice(stage.driver)
    stage.keeper.choose_again()
    until(stage.holds, "the other driver made the queues")
    assert stage.fabric.switches[LEAF].no_queues == ""


def test_driver_is_chosen_again_when_a_port_comes_but_not_when_one_is_bound(stage: Stage) -> None:
    """To choose means to look at all ports of a switch, and each port that a tenant creates is bound somewhere."""
    stage.change(grants=Map({UPLINK: GRANT}))
    until(stage.holds, "the queues are there")
    asked = stage.asked.count(LEAF)
    bound, _ = stage.fabric.apply(PortsBound(added=frozenset({EndPoint(LEAF, 5)}), removed=frozenset()))
    assert bound.switches[LEAF].ports is not stage.fabric.switches[LEAF].ports
    stage.change(fabric=bound)
    more = Map({RED: Grant(guarantee_kbps=6_000)})
    stage.change(grants=Map({UPLINK: more}))
    until(lambda: stage.holds(more), "the look is over")
    assert stage.asked.count(LEAF) == asked
    fresh = SwitchPort(port_no=99, name="fresh", mac="0e:00:00:00:00:99", up=True)
    stage.change(fabric=stage.fabric.apply(PortObserved(dpid=LEAF, port=fresh))[0])
    until(lambda: stage.asked.count(LEAF) > asked, "the driver is chosen again")


def test_statistics_are_of_ports_with_queues_and_end_with_the_keeper(stage: Stage) -> None:
    """By queue; nothing where there are none, and nothing but an answer after the end."""
    assert stage.keeper.statistics(UPLINK).result(5) == {}
    stage.change(grants=Map({UPLINK: GRANT}))
    until(stage.holds, "the queues are there")
    assert stage.keeper.statistics(UPLINK).result(5) == {0: QueueCount(LEAF, 1, 0)}
    assert stage.keeper.statistics(EndPoint(99, 1)).result(5) == {}
    stage.keeper.stop()
    assert stage.keeper.statistics(UPLINK).result(5) == {}


def test_queues_that_somebody_removed_are_there_again_once_they_are_counted(stage: Stage) -> None:
    """They may be the only thing that holds a ceiling: nobody waits for the next check.  What failed waits its turn."""
    stage.change(grants=Map({UPLINK: GRANT}))
    until(stage.holds, "the queues are there")
    stage.driver.holds[stage.port()] = None
    assert stage.keeper.statistics(UPLINK).result(5) == {}
    until(stage.holds, "they are there again")
    until(lambda: stage.told[-1].faults == Map(), "all is well")
    stage.driver.holds[stage.port()], stage.driver.broken[UPLINK.port_no] = None, "somebody else's"
    assert stage.keeper.statistics(UPLINK).result(5) == {}
    until(lambda: UPLINK.port_no in stage.told[-1].faults, "it says so")


def test_switched_off_removes_what_was_made_before(stage: Stage) -> None:
    """Each port is told once to have none, whatever is granted, and the switch says why."""
    off = Memory()
    told: list[QueuesFound] = []
    stage.change(grants=Map({UPLINK: GRANT}))
    keeper = QueueKeeper(
        lambda: stage.view, lambda switch: Choice(off), told.append, switched_off=True, remove_after_s=0.1)
    keeper.start()
    try:
        until(lambda: off.holds.get(stage.port(), ...) is None, "the port is told to have none")
        until(lambda: any(found.dpid == LEAF for found in told), "it is told")
        assert {(found.driver, found.why_not) for found in told} == {
            ("", "queues are switched off in pliantd's configuration")}
    finally:
        assert keeper.stop()
