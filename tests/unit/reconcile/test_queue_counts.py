"""What queues dropped, and of whom: counted in packets, told in bytes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from immutables import Map

from controller.fabric.ports import EndPoint
from controller.model.bandwidth import BandwidthPolicy, Drops, TrafficClass
from controller.model.queues import BEST_EFFORT, Grant, NetworkGrant, PortGrant, QueueCount, leaf_queue
from controller.qos.accounts import Accounts
from controller.reconcile.grants import Granted
from controller.reconcile.owners import link_name
from controller.reconcile.queue_counts import NOT_LOOKED, PERIOD_S, Counts, QueueCounts
from controller.reconcile.status import View
from tests.support.worlds import Lab

RED = "tenants/red"
AT = EndPoint(11, 1)
BIG, SMALL = 1_500, 64


class Port:
    """A link's port with a queue of red's, looked at whenever a test says so."""

    def __init__(self) -> None:
        self.lab = lab = Lab.leaf_spine()
        lab.network("red")
        lab.port("red", "a", at=(11, 3), bandwidth=BandwidthPolicy(guarantee_out_kbps=1_000))
        lab.port("red", "b", at=(12, 3), bandwidth=BandwidthPolicy(guarantee_in_kbps=1_000))
        lab.port("red", "limited", at=(13, 3), bandwidth=BandwidthPolicy(ceiling_in_kbps=1_000))
        self.queue = leaf_queue(lab.intent.keys.queue_id(RED))
        granted = Granted(grants=Map({AT: Map({RED: Grant(guarantee_kbps=1_000)})}))
        self.view = View(world=lab.world, granted=granted)
        self.counts: Counts = {}
        self.now_s = 0.0
        self.restart(Accounts())

    def restart(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.counting = QueueCounts(
            lambda: self.view, self.answer, accounts, post=self.call, wall_clock=lambda: self.now_s)

    def answer(self, at: EndPoint) -> Future[Counts]:
        answer: Future[Counts] = Future()
        answer.set_result(self.counts)
        return answer

    def call(self, deed: Callable[[], None]) -> None:
        deed()

    def look(self, mine: QueueCount, others: QueueCount = NOT_LOOKED) -> int:
        """Bytes that red lost so far."""
        self.look_at({self.queue: mine, BEST_EFFORT: others})
        return self.accounts.drops(RED, "out").by_link

    def look_at(self, counts: Counts) -> None:
        self.counts = counts
        self.now_s += PERIOD_S
        self.counting.tick(self.now_s)


def test_what_a_queue_dropped_is_its_owners_and_the_links() -> None:
    """Best effort's is the link's alone; once more the same is nothing new."""
    port = Port()
    port.look(NOT_LOOKED)
    for _ in range(2):
        assert port.look(QueueCount(100 * BIG, 100, 10), QueueCount(100 * SMALL, 100, 5)) == 10 * BIG
        assert port.accounts.drops(link_name(AT), "out").by_link == 10 * BIG + 5 * SMALL


def test_frames_are_taken_to_be_as_long_as_those_of_the_same_time() -> None:
    """A million long ones before do not make a flood of the shortest weigh twenty times as much."""
    port = Port()
    port.look(QueueCount(10**6 * BIG, 10**6, 0))
    assert port.look(QueueCount(10**6 * BIG + 1_000 * SMALL, 10**6 + 1_000, 500)) == 500 * SMALL
    assert port.look(QueueCount(10**6 * BIG + 1_000 * SMALL + 10 * BIG, 10**6 + 1_010, 501)) == 500 * SMALL + BIG


def test_counting_continues_through_restarts_and_queues_that_are_made_anew() -> None:
    """Of pliantd, which counts what was dropped meanwhile; and of the queue, which begins at zero."""
    port = Port()
    port.look(NOT_LOOKED)
    assert port.look(QueueCount(100 * BIG, 100, 10)) == 10 * BIG
    accounts = Accounts()
    for key, record in port.accounts.changes().items():
        assert record is not None
        accounts.restore(key, record)
    port.restart(accounts)
    assert port.look(QueueCount(200 * BIG, 200, 30)) == 30 * BIG
    assert port.look(QueueCount(5 * BIG, 5, 1)) == 31 * BIG
    assert port.look(QueueCount(6 * BIG, 6, 3)) == 33 * BIG


TERMS = {"guarantee_kbps": 1_000, "weight": 1, "traffic_class": TrafficClass.STANDARD}
NET = f"{RED}/networks/net"
A, B = f"{NET}/ports/a", f"{NET}/ports/b"


def lost(accounts: Accounts, *names: str) -> list[tuple[int, int]]:
    """Frames each lost out and in, by whatever."""
    return [(sum_of(accounts.drops(name, "out")), sum_of(accounts.drops(name, "in"))) for name in names]


def sum_of(drops: Drops) -> int:
    return (drops.by_link + drops.by_port) // BIG


def test_part_of_an_owner_loses_for_all_above_it() -> None:
    """A queue of a port counts for its network and tenant as well, one of a network for the tenant; and what a port
    does not send, it does not receive.  A tenant's only network is the tenant.
    """
    port = Port()
    world = port.lab.world
    ports = {A: PortGrant(**TERMS, sends=True, receives=True), B: PortGrant(**TERMS, sends=False, receives=True)}
    grant = Grant(guarantee_kbps=1_000, networks=Map({NET: NetworkGrant(**TERMS, ports=Map(ports))}))
    port.view = View(world=world, granted=Granted(grants=Map({AT: Map({RED: grant})})))
    a, b, red = (leaf_queue(world.intent.keys.queue_id(name)) for name in (A, B, RED))
    for packets, drops in ((0, (0, 0, 0)), (100, (1, 20, 300))):
        port.look_at({number: QueueCount(packets * BIG, packets, dropped)
                      for number, dropped in zip((a, b, red), drops, strict=True)})
    assert lost(port.accounts, A, B, NET, RED) == [(1, 0), (0, 20), (321, 0), (321, 0)]
    assert port.accounts.drops(link_name(AT), "out").by_link == 321 * BIG


def test_queues_that_are_a_ceiling_lose_for_whom_it_limits() -> None:
    """On an access port, in place of a meter: whoever's queue it is, the port that is there does not receive it."""
    port = Port()
    world, at, limited = port.lab.world, EndPoint(13, 3), f"{NET}/ports/limited"
    grants = Map({A: Grant(guarantee_kbps=1_000), limited: Grant(guarantee_kbps=0, ceiling_kbps=1_000)})
    port.view = View(world=world, granted=Granted(grants=Map({at: grants})))
    a = leaf_queue(world.intent.keys.queue_id(A))
    for packets, drops in ((0, (0, 0)), (100, (1, 20))):
        port.look_at({number: QueueCount(packets * BIG, packets, dropped)
                      for number, dropped in zip((a, BEST_EFFORT), drops, strict=True)})
    assert lost(port.accounts, A, limited, NET) == [(1, 0), (0, 21), (1, 21)]
    assert port.accounts.drops(limited, "in").by_port == 21 * BIG


def test_what_is_dropped_now_is_known_as_a_rate_also_by_a_clock_that_begins_anew() -> None:
    """It is no longer counted as carried, and where it is a ceiling's, it is the port's own."""
    port = Port()
    for n in range(3):
        port.look(QueueCount(100 * n * BIG, 100 * n, 100 * n))
    kbps = 100 * BIG // 125 // int(PERIOD_S)
    assert port.accounts.offered_kbps(RED, "out") == (kbps, kbps)
    accounts = Accounts()
    for key, record in port.accounts.changes().items():
        assert record is not None
        accounts.restore(key, record)
    port.now_s = 0.0
    port.restart(accounts)
    assert port.look(QueueCount(300 * BIG, 300, 300)) == 300 * BIG
