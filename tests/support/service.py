"""The engine over a real store, with a fabric, statuses and a clock that a test decides."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from ipaddress import IPv4Network
from pathlib import Path

from controller.fabric.graph import Fabric
from controller.intent.keys import NO_KEYS, Keys
from controller.intent.snapshot import Resource, Snapshot
from controller.model.network import Attachment, Network, Port, Subnet
from controller.model.status import State, Status
from controller.model.tenancy import Tenant
from controller.service.engine import Commit, Engine, Outcome
from controller.service.interfaces import Gate, Store
from controller.store.sqlite import SqliteStore

TENANT = "tenants/acme"
NETWORK = f"{TENANT}/networks/red"
SUBNET = f"{NETWORK}/subnets/main"
TIMEOUT_S = 20


class KnownFabric:
    """A FabricView that knows what it was told."""

    def __init__(self) -> None:
        self.refused: dict[Attachment, str] = {}

    def fabric(self) -> Fabric:
        raise NotImplementedError("the service asks for attachments only")

    def attachable(self, attachment: Attachment, port: str) -> str | None:
        return self.refused.get(attachment)


class KnownStatus:
    """A StatusView that knows what it was told; everything else is PENDING."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.confirmed = 0

    def status(self, name: str) -> Status:
        return Status(state=self.states.get(name, State.PENDING))

    def floor(self) -> int:
        return self.confirmed


class Service:
    """An engine that can be stopped and started again on the same file."""

    def __init__(self, path: Path, open_store: Callable[[Path], Store] = SqliteStore,
                 gates: Sequence[Gate] = ()) -> None:
        self.path = path
        self.fabric = KnownFabric()
        self.status = KnownStatus()
        self.now_s = 1_000_000.0
        self.commits: list[Commit] = []
        self._open_store = open_store
        self._gates = gates
        self._uids = itertools.count(1)
        self.start()

    def start(self) -> None:
        self.store = self._open_store(self.path)
        self.engine = Engine(
            self.store, clock=lambda: self.now_s, fabric=self.fabric, status=self.status,
            on_commit=self.commits.append, new_uid=lambda: f"uid-{next(self._uids)}", gates=self._gates,
        )

    def stop(self) -> None:
        assert self.engine.close(TIMEOUT_S)
        self.store.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    # -- use cases, awaited

    def create(self, obj: Resource) -> Outcome:
        return self.engine.create(obj).result(TIMEOUT_S)

    def build(self) -> None:
        """TENANT with NETWORK with SUBNET, at generation 1."""
        self.engine.apply([Tenant(name=TENANT), Network(name=NETWORK), subnet()]).result(TIMEOUT_S)


def subnet(name: str = SUBNET, cidr: str = "10.0.0.0/16") -> Subnet:
    return Subnet(name=name, ipv4_cidr=IPv4Network(cidr))


def port(port_id: str, *, network: str = NETWORK, dpid: int = 0, port_no: int = 0) -> Port:
    """A port of the network's subnet "main"; attached if `dpid` is given."""
    return Port(
        name=f"{network}/ports/{port_id}", subnet=f"{network}/subnets/main", mac="",
        attachment=Attachment(dpid=dpid, port_no=port_no) if dpid else None,
    )


def assert_same(left: Snapshot, right: Snapshot) -> None:
    """Equal in every respect that outlives a process: objects, indexes, and keys with their pools and quarantine."""
    assert left.objects() == right.objects()
    assert replace(left, keys=NO_KEYS) == replace(right, keys=NO_KEYS)
    assert _lasting(left.keys) == _lasting(right.keys)


def _lasting(keys: Keys) -> dict[str, object]:
    """Everything but which records changed last, which only helps to write the next transaction."""
    return {f.name: getattr(keys, f.name) for f in fields(keys) if f.name not in ("generation", "since", "touched")}
