"""What a client that hangs up does to what it asked for."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from pliant.v1.tenant_pb2 import CreateTenantRequest, Tenant

from controller.intent.snapshot import Snapshot
from controller.northbound.calls import Backend, Calls
from controller.northbound.pages import Pager
from controller.northbound.resources import TENANT
from tests.support.api import TOKEN, KnownBandwidth, KnownConfirmations, KnownOperator
from tests.support.service import TIMEOUT_S, Service


class Doorman:
    """A gate that keeps the writer busy until it is told to let it pass."""

    def __init__(self) -> None:
        self.asked, self.open = threading.Event(), threading.Event()

    def check(self, before: Snapshot, after: Snapshot, changed: frozenset[str]) -> None:
        self.asked.set()
        assert self.open.wait(TIMEOUT_S)


async def _hang_up_while_it_waits(calls: Calls, doorman: Doorman) -> None:
    def create(tenant: str) -> asyncio.Task[Tenant]:
        request = CreateTenantRequest(tenant_id=tenant, tenant=Tenant())
        return asyncio.ensure_future(calls.create(TENANT, request))

    first = create("first")
    await asyncio.to_thread(doorman.asked.wait, TIMEOUT_S)
    # The writer is busy with the first: the second has been accepted, and waits for its turn.
    second = create("second")
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    doorman.open.set()
    await first


def test_transaction_that_was_accepted_is_done_even_if_its_client_hangs_up(tmp_path: Path) -> None:
    """Whether it happens must not depend on how long the writer's queue was."""
    doorman = Doorman()
    service = Service(tmp_path / "p.db", gates=[doorman])
    backend = Backend(
        engine=service.engine, confirmations=KnownConfirmations(), operator=KnownOperator(), bandwidth=KnownBandwidth(),
        version="", started_s=0,
    )
    try:
        asyncio.run(_hang_up_while_it_waits(Calls(backend, Pager(TOKEN)), doorman))
        assert service.engine.close(TIMEOUT_S)
        assert set(service.engine.snapshot().tenants) == {"tenants/first", "tenants/second"}
    finally:
        doorman.open.set()
        service.engine.close()
        service.store.close()
