"""The gRPC server: one thread with one event loop, TCP on this machine and a unix socket.

    thread "northbound"  start() ─► bind ─► serve ... stop() ─► refuse new calls ─► grace ─► cut ─► join

The unix socket is opened by its file mode, TCP by the bearer token.  An address that others can reach needs TLS, or the
server does not start.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from pliant.v1 import (
    apply_pb2,
    apply_pb2_grpc,
    bandwidth_pb2,
    bandwidth_pb2_grpc,
    fabric_pb2,
    fabric_pb2_grpc,
    network_pb2,
    network_pb2_grpc,
    peering_pb2,
    peering_pb2_grpc,
    pipe_pb2,
    pipe_pb2_grpc,
    tenant_pb2,
    tenant_pb2_grpc,
    watch_pb2,
    watch_pb2_grpc,
)

from controller.northbound.apply import ApplyServicer
from controller.northbound.bandwidth import QuoteServicer, UsageServicer
from controller.northbound.calls import Backend, Calls
from controller.northbound.fabric import FabricServicer
from controller.northbound.interceptors import Surround
from controller.northbound.network import NetworkServicer
from controller.northbound.pages import Pager
from controller.northbound.peering import PeeringServicer
from controller.northbound.pipe import PipeServicer
from controller.northbound.tenancy import TenantServicer
from controller.northbound.watch import WatchServicer

log = structlog.get_logger()

MAX_REQUEST_BYTES = 16 << 20
MAX_METADATA_BYTES = 16 << 10
START_TIMEOUT_S = 10.0
MAX_UNIX_PATH_BYTES = 107
OPTIONS = [
    # Two controllers on one address must be an error, not a lottery.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
]


class CannotListen(Exception):
    """An address cannot or must not be listened on; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM bytes.  With `client_ca` clients must show a certificate that it signed."""

    certificate: bytes
    key: bytes
    client_ca: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where to listen.  `host` "" is no TCP; port 0 lets the system choose; `unix` None is no unix socket."""

    host: str = "127.0.0.1"
    port: int = 50051
    unix: Path | None = None
    unix_mode: int = 0o600
    tls: Tls | None = None


class Server:
    """Serves a Backend from `start` to `stop`.  Use once."""

    def __init__(self, backend: Backend, listen: Listen, *, token: str) -> None:
        self._backend = backend
        self._listen = listen
        self._token = token
        self._ready: Future[int] = Future()
        self._grace_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="northbound", daemon=True)

    def start(self) -> int:
        """Bind and serve; returns the TCP port (0 if there is none).  CannotListen if an address does not do."""
        check_address(self._listen)
        self._thread.start()
        return self._ready.result(START_TIMEOUT_S)

    def stop(self, grace_s: float = 2.0) -> bool:
        """Refuse new calls, give those under way `grace_s` seconds, cut the rest.  True if the thread has ended."""
        if self._loop is not None and self._stopping is not None:
            self._grace_s = grace_s
            try:
                self._loop.call_soon_threadsafe(self._stopping.set)
            except RuntimeError:
                log.debug("northbound_already_stopped")
            self._thread.join(grace_s + 3.0)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            if self._ready.done():
                log.exception("northbound_died")
            else:
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = grpc.aio.server(interceptors=[Surround(self._token)], options=OPTIONS)
        health = self._add_services(server)
        port = _bind(server, self._listen)
        await server.start()
        await health.set("", health_pb2.HealthCheckResponse.SERVING)
        unix = str(self._listen.unix) if self._listen.unix else ""
        log.info("northbound_listening", host=self._listen.host, port=port, unix=unix, tls=self._listen.tls is not None)
        self._ready.set_result(port)
        await self._stopping.wait()
        await health.enter_graceful_shutdown()
        await server.stop(self._grace_s)
        if self._listen.unix:
            self._listen.unix.unlink(missing_ok=True)

    def _add_services(self, server: grpc.aio.Server) -> HealthServicer:
        calls, health = Calls(self._backend, Pager(self._token)), HealthServicer()
        tenant_pb2_grpc.add_TenantServiceServicer_to_server(TenantServicer(calls), server)
        network_pb2_grpc.add_NetworkServiceServicer_to_server(NetworkServicer(calls), server)
        peering_pb2_grpc.add_PeeringServiceServicer_to_server(PeeringServicer(calls), server)
        pipe_pb2_grpc.add_PipeServiceServicer_to_server(PipeServicer(calls), server)
        apply_pb2_grpc.add_ApplyServiceServicer_to_server(ApplyServicer(calls), server)
        watch_pb2_grpc.add_WatchServiceServicer_to_server(WatchServicer(calls), server)
        bandwidth_pb2_grpc.add_UsageServiceServicer_to_server(UsageServicer(calls), server)
        bandwidth_pb2_grpc.add_QuoteServiceServicer_to_server(QuoteServicer(calls), server)
        fabric_pb2_grpc.add_FabricServiceServicer_to_server(FabricServicer(calls), server)
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        files = (tenant_pb2, network_pb2, peering_pb2, pipe_pb2, apply_pb2, watch_pb2, bandwidth_pb2, fabric_pb2,
                 health_pb2)
        names = [service.full_name for file in files for service in file.DESCRIPTOR.services_by_name.values()]
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
        return health


def check_address(listen: Listen) -> None:
    """CannotListen if others could reach the address and there is no TLS, or if it is no address at all."""
    if not listen.host:
        return
    host = "127.0.0.1" if listen.host == "localhost" else listen.host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise CannotListen(f"{listen.host!r} is not an IP address to listen on") from None
    if not address.is_loopback and listen.tls is None:
        raise CannotListen(
            f"{listen.host} can be reached from other machines: give the gRPC listener a certificate and a key, "
            "or let it listen on 127.0.0.1"
        )


def _bind(server: grpc.aio.Server, listen: Listen) -> int:
    port = 0
    if listen.host:
        address = f"[{listen.host}]:{listen.port}" if ":" in listen.host else f"{listen.host}:{listen.port}"
        try:
            if listen.tls is not None:
                port = server.add_secure_port(address, _credentials(listen.tls))
            else:
                port = server.add_insecure_port(address)
        except RuntimeError as error:
            raise CannotListen(f"cannot listen on {address}: is another controller running?") from error
    if listen.unix:
        _bind_unix(server, listen.unix, listen.unix_mode)
    return port


def _bind_unix(server: grpc.aio.Server, path: Path, mode: int) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotListen(f"cannot listen on {path}: cannot make its directory: {error.strerror}") from error
    if path.exists() and not path.is_socket():
        raise CannotListen(f"cannot listen on {path}: there is a file that is no socket")
    if path.is_socket() and _is_served(path):
        raise CannotListen(f"cannot listen on {path}: another controller does")
    # The mode is the authorisation, so it must hold from the first instant.
    before = os.umask(0o777 & ~mode)
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        why = "its path is longer than 107 bytes" if len(os.fsencode(path)) > MAX_UNIX_PATH_BYTES else str(error)
        raise CannotListen(f"cannot listen on {path}: {why}") from error
    finally:
        os.umask(before)


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    pair = [(tls.key, tls.certificate)]
    return grpc.ssl_server_credentials(pair, tls.client_ca or None, require_client_auth=bool(tls.client_ca))
