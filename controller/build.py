"""Joins the packages into one controller.  With config.py the only module that sees every package.

    store ─► service engine ──commits──► reconcile loop ──targets──► sessions ──► southbound
                    ▲                         │
               northbound ◄──── status, confirmations, fabric
"""

from __future__ import annotations

import os
import ssl
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from controller.config import Config, Listener, Ovsdb, split_address
from controller.fabric.discovery import Discovery
from controller.fabric.holddown import HoldDown
from controller.northbound.auth import ensure_token
from controller.northbound.calls import Backend
from controller.northbound.server import Listen, Server, Tls
from controller.pipeline.tables import OWNED_GROUPS, OWNED_METERS
from controller.reconcile.admission import Admission
from controller.reconcile.bandwidth import Bandwidth
from controller.reconcile.elastic import Elastic
from controller.reconcile.keeper import Keeper
from controller.reconcile.loop import Loop
from controller.reconcile.metrics import CARRIED
from controller.reconcile.offering import Offering
from controller.reconcile.operator import Operator
from controller.reconcile.path_gate import PathGate
from controller.reconcile.queue_counts import QueueCounts
from controller.reconcile.queue_keeper import QueueKeeper
from controller.reconcile.telemetry import Telemetry
from controller.service.engine import Engine
from controller.southbound.ovsdb.database import Database
from controller.southbound.ovsdb.liveness import Liveness
from controller.southbound.ovsdb.remote import Remote
from controller.southbound.queues.ovsdb import OvsdbQueues
from controller.southbound.queues.probe import Preference, Probe
from controller.southbound.queues.tc import Tc
from controller.southbound.readback import Ownership
from controller.southbound.runtime import Runtime
from controller.southbound.timing import Timing
from controller.store.sqlite import SqliteStore

KEY_BYTES = 32
NONCE_BYTES = 8


class CannotBuild(Exception):
    """A file that the configuration names cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """All that runs in one pliantd, joined and not yet started."""

    config: Config
    store: SqliteStore
    runtime: Runtime
    loop: Loop
    telemetry: Telemetry
    engine: Engine
    server: Server
    liveness: Liveness
    queues: QueueKeeper


def build(config: Config) -> Controller:
    """Open the store, load what was asked and observed, and join all parts.  Nothing listens or runs yet.

    StoreFailed, TokenFileError or CannotBuild if something cannot be used.
    """
    try:
        config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotBuild(f"cannot make the state directory {config.state_dir}: {error.strerror}") from error
    token = ensure_token(config.token_file)
    tls = _grpc_tls(config.grpc)
    store = SqliteStore(config.database)
    runtime = Runtime(
        timing=Timing(
            handshake_s=config.openflow.handshake_timeout_s, probe_s=config.openflow.echo_period_s,
            dead_s=config.openflow.dead_after_s),
        ownership=Ownership(group=OWNED_GROUPS.__contains__, meter=OWNED_METERS.__contains__),
    )
    keeper = Keeper(store)
    fabric, labels = keeper.restore(config.fabric.default_port_role)
    # The loop and the service engine need each other: the loop calls back only once it runs.
    loop = Loop(
        fabric, labels, keeper,
        # A key for each start: probes do not outlive the process that sent them.
        discovery=Discovery(os.urandom(KEY_BYTES), lambda: os.urandom(NONCE_BYTES),
                            period_s=config.fabric.probe_period_s, lost_after=config.fabric.lost_after_probes),
        holddown=HoldDown(config.fabric.hold_down_s),
        io_loop=runtime.loop, clock=time.monotonic, wall_clock=time.time,
        drift_period_s=config.reconcile.drift_period_s,
    )
    admission = Admission(loop.view, lambda: engine.snapshot(), time.time)
    engine = Engine(
        store, clock=time.time, fabric=loop, status=loop, on_commit=loop.committed, new_uid=lambda: uuid.uuid4().hex,
        gates=(PathGate(loop.fabric), admission),
    )
    databases = [
        Database(Remote.parse(settings.remote), runtime.complaints, tls=ovsdb_tls(settings))
        for settings in config.ovsdb]
    liveness = Liveness(
        runtime.loop, databases, runtime.complaints, interval_ms=config.fabric.bfd_interval_ms,
        fabric=loop.fabric, report=loop.wires_dead)
    queues = _queues(config, runtime, loop, databases)
    telemetry = Telemetry(lambda: loop.view().world, loop.datapaths, store, clock=time.monotonic, wall_clock=time.time,
                          touched=loop.journal.reader())
    elastic = Elastic(lambda: loop.view().world, loop.datapaths, loop.set_shares, store, clock=time.monotonic,
                      post=telemetry.post)
    telemetry.also(elastic.tick)
    offering = Offering(lambda: loop.view().world, loop.datapaths, loop.set_offers, store, clock=time.monotonic,
                        post=telemetry.post, touched=loop.journal.reader())
    telemetry.also(offering.tick)
    queue_counts = QueueCounts(
        loop.view, queues.statistics, telemetry.accounts, post=telemetry.post, wall_clock=time.time)
    telemetry.also(queue_counts.tick)
    CARRIED.usage = telemetry.usage
    bandwidth = Bandwidth(telemetry, loop.view, admission.quote, clock=time.monotonic, wall_clock=time.time)
    telemetry.also(bandwidth.tick)
    operator = Operator(loop, telemetry)

    def fabric_changed() -> None:
        liveness.wake()
        operator.fabric_changed()

    offering.restore()
    loop.load(engine.snapshot(), status_changed=engine.status_changed, fabric_changed=fabric_changed,
              view_changed=queues.wake)
    elastic.restore()
    backend = Backend(
        engine=engine, confirmations=loop, operator=operator, version=version("pliant"), started_s=time.time(),
        bandwidth=bandwidth)
    host, port = split_address(config.grpc.listen) if config.grpc.listen else ("", 0)
    server = Server(backend, Listen(host=host, port=port, unix=config.grpc_unix, tls=tls), token=token)
    return Controller(config=config, store=store, runtime=runtime, loop=loop, telemetry=telemetry, engine=engine,
                      server=server, liveness=liveness, queues=queues)


def _queues(config: Config, runtime: Runtime, loop: Loop, databases: Sequence[Database]) -> QueueKeeper:
    ovsdb = OvsdbQueues(runtime.loop, databases, loop.datapath)
    preference = config.queues.driver
    keeper = QueueKeeper(
        loop.view, Probe(Tc(), ovsdb, preference), loop.queues_found, switched_off=preference is Preference.NONE)
    ovsdb.start(keeper.choose_again)
    return keeper


def ovsdb_tls(settings: Ovsdb) -> ssl.SSLContext | None:
    """The TLS context for a database that has a `ca`.  CannotBuild if a file cannot be used."""
    if not settings.ca:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca)
        # As Open vSwitch does: its certificates name switches, not hosts, so the authority has to be one of one's own.
        context.check_hostname = False
        if settings.certificate:
            context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise CannotBuild(f"cannot use the certificate, key or ca of {settings.remote}: {error}") from error
    return context


def openflow_tls(listener: Listener) -> ssl.SSLContext | None:
    """The TLS context of the OpenFlow listener, if it has a certificate; with `ca`, switches must show one of its."""
    return _server_tls(listener, "OpenFlow") if listener.certificate else None


def _server_tls(listener: Listener, what: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(listener.certificate, listener.key)
        if listener.ca:
            context.load_verify_locations(listener.ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise CannotBuild(f"cannot use the {what} listener's certificate, key or ca: {error}") from error
    return context


def _grpc_tls(listener: Listener) -> Tls | None:
    if not listener.certificate:
        return None
    ca = _read(listener.ca) if listener.ca else b""
    tls = Tls(certificate=_read(listener.certificate), key=_read(listener.key), client_ca=ca)
    _server_tls(listener, "gRPC")  # gRPC itself does not say what it cannot use
    return tls


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CannotBuild(f"cannot read {path}: {error.strerror}") from error
