"""A watch as a call: what becomes of it when its client goes at the wrong moment."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from pliant.v1 import watch_pb2

from controller.model.tenancy import Tenant
from controller.northbound.calls import Backend, Calls
from controller.northbound.pages import Pager
from controller.northbound.watch import WatchServicer
from controller.service.watch import EventKind, Subscription
from tests.support.api import TOKEN, KnownBandwidth, KnownConfirmations, KnownOperator
from tests.support.service import Service


def test_client_that_goes_while_it_subscribes_leaves_no_subscription(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read history takes a while, and a subscription that nobody reads would gather commits for ever."""
    service = Service(tmp_path / "pliant.db")
    asked, gone, made = threading.Event(), threading.Event(), list[Subscription]()
    subscribe = service.engine.watch

    def slow(*what: Any, **how: Any) -> Subscription:
        asked.set()
        assert gone.wait(5)
        made.append(subscribe(*what, **how))
        return made[0]

    monkeypatch.setattr(service.engine, "watch", slow)
    asyncio.run(_go_while_subscribing(service, asked, gone))
    service.engine.create(Tenant(name="tenants/later")).result(5)
    assert [event.kind for event in made[0].take()] == [EventKind.SYNCED]
    service.engine.close()
    service.store.close()


async def _go_while_subscribing(service: Service, asked: threading.Event, gone: threading.Event) -> None:
    backend = Backend(
        engine=service.engine, confirmations=KnownConfirmations(), operator=KnownOperator(), bandwidth=KnownBandwidth(),
        version="", started_s=0,
    )
    call = WatchServicer(Calls(backend, Pager(TOKEN))).Watch(watch_pb2.WatchRequest(), None)  # type: ignore[arg-type]
    reading = asyncio.ensure_future(anext(call))
    await asyncio.to_thread(asked.wait, 5)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    gone.set()
    await asyncio.get_running_loop().shutdown_default_executor()
