"""The gRPC server in this process, over the real engine and store; the fabric is a value that the test decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from pliant import Client

from controller.fabric.events import Event, LinkSeen, SwitchConnected, SwitchForgotten
from controller.fabric.graph import EndPoint, Fabric, SwitchFeatures, SwitchPort
from controller.fabric.paths.alternatives import alternatives
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.path import Path as FabricPath
from controller.fabric.paths.shortest import all_pairs
from controller.intent.snapshot import Resource
from controller.model.bandwidth import BandwidthStatus
from controller.model.errors import FailedPrecondition, NotFound
from controller.model.status import DropCount, SwitchSync
from controller.model.usage import Quote, Usage
from controller.northbound.calls import Backend
from controller.northbound.server import Listen, Server
from controller.reconcile.rates import Rate
from controller.reconcile.ways import Way
from tests.support.service import Service

TOKEN = "a-token-for-tests-only"


def done(value: object = None) -> Future[object]:
    future: Future[object] = Future()
    future.set_result(value)
    return future


class KnownOperator:
    """An Operator over a fabric that events make; every connected switch is in sync at generation 1."""

    def __init__(self) -> None:
        self.value = Fabric()
        self.counts: list[DropCount] = []
        self.refusal: FailedPrecondition | None = None
        """why nothing may be declared without force"""
        self.forced: list[bool] = []
        self.known_ways: dict[tuple[int, int] | tuple[int, int, str], tuple[Way, ...]] = {}
        self.places: dict[str, EndPoint] = {}
        self.used: set[EndPoint] = set()
        self.known_rates: dict[EndPoint, Rate] = {}
        self.followers: list[Callable[[], None]] = []
        self.rate_followers: list[Callable[[], None]] = []

    def tell(self, *events: Event) -> None:
        for event in events:
            self.value, _ = self.value.apply(event)
        for notify in self.followers:
            notify()

    def fabric(self) -> Fabric:
        return self.value

    def sync(self, dpid: int) -> SwitchSync:
        return SwitchSync(in_sync=self.value.switches[dpid].connected, confirmed_generation=1)

    def drops(self) -> Future[Sequence[DropCount]]:
        return done(self.counts)  # type: ignore[return-value]

    def declare(self, events: Sequence[Event], *, force: bool = False) -> Future[None]:
        self.forced.append(force)
        if self.refusal is not None and not force:
            future: Future[None] = Future()
            future.set_exception(self.refusal)
            return future
        self.tell(*events)
        return done()  # type: ignore[return-value]

    def ways(self, src: int, dst: int, network: str = "") -> tuple[Way, ...]:
        return self.known_ways.get((src, dst, network), self.known_ways.get((src, dst), ()))

    def alternatives(self, src: int, dst: int, k: int) -> tuple[FabricPath, ...]:
        return alternatives(all_pairs(Topology.of(self.value)), src, dst, k)

    def place_of(self, port: str) -> EndPoint | None:
        return self.places.get(port)

    def in_use(self) -> set[EndPoint]:
        return self.used

    def rates(self) -> dict[EndPoint, Rate]:
        return self.known_rates

    def follow_rates(self, notify: Callable[[], None]) -> Callable[[], None]:
        return self._follow(self.rate_followers, notify)

    def follow(self, notify: Callable[[], None]) -> Callable[[], None]:
        return self._follow(self.followers, notify)

    @staticmethod
    def _follow(followers: list[Callable[[], None]], notify: Callable[[], None]) -> Callable[[], None]:
        followers.append(notify)
        return lambda: followers.remove(notify)

    def forget(self, dpid: int) -> Future[None]:
        switch, future = self.value.switches.get(dpid), Future[None]()
        if switch is None:
            future.set_exception(NotFound("NOT_FOUND", f"switch {dpid} never connected"))
        elif switch.connected:
            future.set_exception(FailedPrecondition("SWITCH_CONNECTED", f"switch {dpid} is connected"))
        else:
            self.tell(SwitchForgotten(dpid=dpid))
            future.set_result(None)
        return future


class KnownConfirmations:
    """Confirms at once, unless a test says who lags, or that it breaks."""

    def __init__(self) -> None:
        self.lagging: tuple[int, ...] = ()
        self.broken = False
        self.waited: list[tuple[int, float]] = []

    def wait(self, generation: int, timeout_s: float) -> Future[tuple[int, ...]]:
        self.waited.append((generation, timeout_s))
        if self.broken:
            raise RuntimeError("the reconcile loop is gone")
        return done(self.lagging)  # type: ignore[return-value]


class KnownBandwidth:
    """A Bandwidth that knows what it was told."""

    def __init__(self) -> None:
        self.statuses: dict[str, BandwidthStatus] = {}
        self.usages: dict[str, list[Usage]] = {}
        """by kind"""
        self.followers: list[Callable[[], None]] = []
        self.answer = Quote(fits=True, largest_in_kbps=0, largest_out_kbps=0)
        self.asked: list[Resource] = []

    def look(self, kind: str, *usages: Usage) -> None:
        """As if the switches had been looked at."""
        self.usages[kind] = list(usages)
        for notify in tuple(self.followers):
            notify()

    def status(self, name: str) -> BandwidthStatus | None:
        return self.statuses.get(name)

    def usage(self, kind: str, parent: str) -> Sequence[Usage]:
        above = f"{parent}/" if parent else ""
        return [each for each in self.usages.get(kind, ()) if f"{each.name}/".startswith(above)]

    def follow(self, notify: Callable[[], None]) -> Callable[[], None]:
        self.followers.append(notify)
        return lambda: self.followers.remove(notify)

    def quote(self, obj: Resource) -> Quote:
        self.asked.append(obj)
        return self.answer


class Api:
    """A server and a client of it.  `restart` keeps the port."""

    def __init__(self, directory: Path) -> None:
        self.service = Service(directory / "pliant.db")
        self.operator, self.confirmations = KnownOperator(), KnownConfirmations()
        self.bandwidth = KnownBandwidth()
        self.unix = directory / "p.sock"
        self.port = 0
        self.start()
        self.target = f"127.0.0.1:{self.port}"
        self.client = Client(self.target, token=TOKEN)

    def start(self) -> None:
        self.backend = Backend(
            engine=self.service.engine,
            confirmations=self.confirmations,
            operator=self.operator,
            bandwidth=self.bandwidth,
            version="1.2.3",
            started_s=1_000_000.0,
        )
        self.server = Server(self.backend, Listen(port=self.port, unix=self.unix), token=TOKEN)
        self.port = self.server.start()

    def restart(self) -> None:
        self.service.stop()
        assert self.server.stop(grace_s=0.5)
        self.service.start()
        self.start()

    def close(self) -> None:
        self.client.close()
        self.service.engine.close()
        assert self.server.stop(grace_s=0.1)
        self.service.store.close()


def switch_ports(count: int) -> tuple[SwitchPort, ...]:
    return tuple(
        SwitchPort(port_no=n, name=f"eth{n}", mac=f"02:00:00:00:00:{n:02x}", up=True, speed_kbps=1_000_000)
        for n in range(1, count + 1)
    )


def two_switches() -> list[Event]:
    """Switches 1 and 2, joined by their ports 1 in both directions."""
    features = SwitchFeatures(max_meters=100, software="3.1")
    return [
        *(SwitchConnected(dpid=dpid, features=features, ports=switch_ports(2)) for dpid in (1, 2)),
        LinkSeen(src=EndPoint(1, 1), dst=EndPoint(2, 1)),
        LinkSeen(src=EndPoint(2, 1), dst=EndPoint(1, 1)),
    ]
