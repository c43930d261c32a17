"""Watches over the contract: what is, what changes, and going on after a cut."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from pliant import Client
from pliant.v1 import watch_pb2
from pliant.v1.common_pb2 import STATE_ACTIVE
from pliant.v1.network_pb2 import Port
from pliant.v1.tenant_pb2 import Tenant
from pliant.v1.watch_pb2 import (
    EVENT_TYPE_ADDED,
    EVENT_TYPE_DELETED,
    EVENT_TYPE_MODIFIED,
    EVENT_TYPE_SYNCED,
)

from controller.model.status import State
from tests.support.api import Api
from tests.unit.api.names import NETWORK, PORTS, SUBNET, port, refusal


def kinds_and_names(events: list[watch_pb2.WatchResponse]) -> list[tuple[int, str]]:
    return [(event.type, getattr(event.resource, event.resource.WhichOneof("kind") or "port").name) for event in events]


def take(watch: Iterator[watch_pb2.WatchResponse], count: int) -> list[watch_pb2.WatchResponse]:
    return [next(watch) for _ in range(count)]


def test_watch_tells_what_is_and_then_what_changes(api: Api, network: Client) -> None:
    """ADDED for all there is, SYNCED, then each change of intent and of status."""
    with network.watch(NETWORK) as watch:
        names = [(EVENT_TYPE_ADDED, NETWORK), (EVENT_TYPE_ADDED, SUBNET), (EVENT_TYPE_SYNCED, "")]
        assert kinds_and_names(take(watch, 3)) == names
        network.ports.create(port("p1"))
        api.service.status.states[f"{PORTS}/p1"] = State.ACTIVE
        (added,) = take(watch, 1)
        assert kinds_and_names([added]) == [(EVENT_TYPE_ADDED, f"{PORTS}/p1")]
        api.service.engine.status_changed({f"{PORTS}/p1"})
        (active,) = take(watch, 1)
        assert (active.type, active.resource.port.state) == (EVENT_TYPE_MODIFIED, STATE_ACTIVE)
        network.ports.update(Port(name=f"{PORTS}/p1", display_name="x"), ["display_name"])
        (modified,) = take(watch, 1)
        assert (modified.type, modified.resource.port.display_name) == (EVENT_TYPE_MODIFIED, "x")
        network.tenants.create(Tenant(name="tenants/red"))
        network.ports.delete(f"{PORTS}/p1")
        (deleted,) = take(watch, 1)
        assert kinds_and_names([deleted]) == [(EVENT_TYPE_DELETED, f"{PORTS}/p1")]


def test_watch_shows_only_the_kinds_asked_for(network: Client) -> None:
    """Others are not sent at all."""
    network.ports.create(port("p1"))
    with network.watch(kinds=[watch_pb2.KIND_PORT]) as watch:
        assert kinds_and_names(take(watch, 2)) == [(EVENT_TYPE_ADDED, f"{PORTS}/p1"), (EVENT_TYPE_SYNCED, "")]


def test_watch_goes_on_after_a_token_or_a_revision(network: Client) -> None:
    """Without what was told before."""
    with network.watch(NETWORK) as watch:
        take(watch, 3)
        token, revision = watch.resume_token, network.server_info().revision
    network.ports.create(port("p1"))
    for resumed in (network.watch(NETWORK, resume_token=token), network.watch(NETWORK, start_revision=revision)):
        with resumed as watch:
            first = next(event for event in watch if event.type == EVENT_TYPE_ADDED)
            assert first.resource.port.name == f"{PORTS}/p1"


def test_watch_outlives_a_restart_of_the_controller(api: Api, network: Client) -> None:
    """The client resumes where it was: no event is lost or told twice."""
    with network.watch(NETWORK, kinds=[watch_pb2.KIND_PORT]) as watch:
        network.ports.create(port("p1"))
        told = [event for event in take(watch, 2) if event.type == EVENT_TYPE_ADDED]
        api.restart()
        network.ports.create(port("p2"))
        told += [event for event in take(watch, 4) if event.type == EVENT_TYPE_ADDED][:1]
        assert [event.resource.port.name for event in told] == [f"{PORTS}/p1", f"{PORTS}/p2"]


def test_watch_of_a_revision_that_is_gone_is_out_of_range(api: Api, network: Client) -> None:
    """Whoever was away for too long must list again."""
    revision = network.server_info().revision
    for n in range(5):
        network.ports.create(port(f"p{n}"))
    api.service.store.compact(2, 0.0)
    error = refusal(lambda: next(network.watch(start_revision=revision)))
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED")


def test_watches_do_not_starve_calls(api: Api, network: Client) -> None:
    """A watch is a coroutine, not a thread of a pool."""
    watches = [network.watch() for _ in range(100)]
    for watch in watches:
        take(watch, 4)
    network.ports.create(port("p1"))
    for watch in watches:
        assert next(watch).resource.port.name == f"{PORTS}/p1"
        watch.close()
