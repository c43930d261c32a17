"""The gRPC server in this process, over the real engine and store; the fabric is a value that the test decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from pliant import Client

from controller.fabric.events import CapacityDeclared, Event, LinkSeen, RoleDeclared, SwitchConnected, SwitchForgotten
from controller.fabric.graph import EndPoint, Fabric, PortRole, SwitchFeatures, SwitchPort
from controller.model.errors import FailedPrecondition, NotFound
from controller.model.status import DropCount, SwitchSync
from controller.northbound.calls import Backend
from controller.northbound.server import Listen, Server
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

    def tell(self, *events: Event) -> None:
        for event in events:
            self.value, _ = self.value.apply(event)

    def fabric(self) -> Fabric:
        return self.value

    def sync(self, dpid: int) -> SwitchSync:
        return SwitchSync(in_sync=self.value.switches[dpid].connected, confirmed_generation=1)

    def drops(self) -> Future[Sequence[DropCount]]:
        return done(self.counts)  # type: ignore[return-value]

    def declare_roles(self, dpid: int, roles: Mapping[str, PortRole]) -> Future[None]:
        before = self.value.declared_roles.get(dpid, {})
        self.tell(*(RoleDeclared(dpid=dpid, interface=name, role=None) for name in before if name not in roles))
        self.tell(*(RoleDeclared(dpid=dpid, interface=name, role=role) for name, role in roles.items()))
        return done()  # type: ignore[return-value]

    def declare_capacity(self, src: EndPoint, capacity_kbps: int | None) -> Future[None]:
        self.tell(CapacityDeclared(src=src, capacity_kbps=capacity_kbps))
        return done()  # type: ignore[return-value]

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


class Api:
    """A server and a client of it.  `restart` keeps the port."""

    def __init__(self, directory: Path) -> None:
        self.service = Service(directory / "pliant.db")
        self.operator, self.confirmations = KnownOperator(), KnownConfirmations()
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
