"""What ports carry: by the switch's clock, through resets, and asked only while somebody follows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.fabric.ports import EndPoint
from controller.openflow import decode, messages
from controller.openflow.decode import PortStat
from controller.reconcile.datapath import Disconnected
from controller.reconcile.rates import Rate, rates
from controller.reconcile.usage import Usage
from tests.support import of_replies
from tests.support.eventually import eventually

S = 1_000_000_000


def stat(port_no: int = 1, *, packets: int = 0, sent: int = 0, at_ns: int = 0) -> PortStat:
    return PortStat(port_no, 0, packets, 0, sent, at_ns)


def test_rate_is_by_the_switchs_own_clock() -> None:
    """A million bytes in two of its seconds are 4 Mbit/s, whenever the answers came."""
    before = {1: stat(packets=10, sent=500, at_ns=5 * S)}
    assert rates(before, [stat(packets=30, sent=1_000_500, at_ns=7 * S)]) == {1: Rate(kbps=4_000, packets_per_s=10)}


@pytest.mark.parametrize("now", [
    stat(packets=5, sent=10, at_ns=9 * S), stat(packets=50, sent=900, at_ns=S), stat(packets=50, sent=900, at_ns=5 * S),
    stat(2, packets=50, sent=900, at_ns=9 * S),
])  # fmt: skip
def test_no_rate_where_counters_start_over_or_time_stands(now: PortStat) -> None:
    """Counters or clock that went back, the same look twice, a port that is new: nothing is known until the next one.
    """
    assert rates({1: stat(packets=10, sent=500, at_ns=5 * S)}, [now]) == {}


@given(st.lists(st.builds(PortStat, *[st.integers(0, 2**32 - 1)], *[st.integers(0, 2**64 - 1)] * 4,
                          st.integers(0, 2**32 * S - 1)), max_size=5))  # fmt: skip
def test_counters_of_ports_are_read_back(stats: list[PortStat]) -> None:
    """Through the bytes of OpenFlow."""
    assert decode.port_stats([of_replies.port_stats(stats)]) == stats


def test_cut_counters_are_refused() -> None:
    """Half a port is none."""
    with pytest.raises(decode.DecodeError):
        decode.port_stats([of_replies.multipart(messages.PORT_STATS, [bytes(100)])])


class Counting:
    """A switch whose port 1 sends 1,000 bytes in every 8 ms of its clock, which is one second a look."""

    def __init__(self) -> None:
        self.asked = 0
        self.silent: list[Future[list[bytes]]] | None = None
        self.gone = False

    def request(self, frame: bytes) -> Future[list[bytes]]:
        assert frame == messages.port_stats_request()
        self.asked += 1
        answer: Future[list[bytes]] = Future()
        if self.gone:
            answer.set_exception(Disconnected("gone"))
        elif self.silent is not None:
            self.silent.append(answer)
        else:
            answer.set_result([of_replies.port_stats([stat(packets=self.asked, sent=125_000 * self.asked,
                                                           at_ns=self.asked * S)])])  # fmt: skip
        return answer


@pytest.fixture
def io() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_switches_are_asked_only_while_somebody_follows(io: asyncio.AbstractEventLoop) -> None:
    """The first follower starts it, the last one ends it, and what was known is forgotten; then it starts afresh."""
    switch, told = Counting(), threading.Event()
    usage = Usage(lambda: {7: switch}, io, period_s=0.02)  # type: ignore[dict-item]
    assert switch.asked == 0
    leave, leave_too = usage.follow(told.set), usage.follow(lambda: None)
    eventually(lambda: usage.rates.get(EndPoint(7, 1)) == Rate(kbps=1_000, packets_per_s=1), what="a rate is known")
    assert told.is_set()
    leave()
    leave_too()
    eventually(lambda: not usage.rates, what="it is forgotten")
    asked = switch.asked
    usage.follow(lambda: None)
    eventually(lambda: switch.asked > asked + 3, what="asked again")


def test_follower_that_fails_costs_the_others_nothing(io: asyncio.AbstractEventLoop) -> None:
    """Its event loop may be closed by now; it is told no more."""
    failures, told = [], threading.Event()

    def fail() -> None:
        failures.append(1)
        raise RuntimeError("Event loop is closed")

    switch = Counting()
    usage = Usage(lambda: {7: switch}, io, period_s=0.02)  # type: ignore[dict-item]
    usage.follow(fail)
    usage.follow(told.set)
    eventually(lambda: bool(usage.rates), what="rounds go on")
    assert (len(failures), told.is_set()) == (1, True)


def test_slow_switch_is_asked_once_and_one_that_goes_shows_nothing(io: asyncio.AbstractEventLoop) -> None:
    """Nobody waits for it, the others are asked on."""
    slow, quick = Counting(), Counting()
    slow.silent = []
    usage = Usage(lambda: {1: slow, 2: quick}, io, period_s=0.02)  # type: ignore[dict-item]
    usage.follow(lambda: None)
    eventually(lambda: quick.asked > 5 and bool(usage.rates), what="the other is asked on")
    assert slow.asked == 1
    quick.gone = True
    eventually(lambda: not usage.rates, what="nothing is known of one that went away")
