"""The running controller: starts what build.py joined, in order, and stops it in reverse.

    start   reconcile loop (compiles what was stored) ─► southbound (switches connect), queues ─► northbound
    stop    northbound ─► service ─► queues ─► southbound ─► reconcile ─► store; switches keep forwarding as they are
"""

from __future__ import annotations

import sys

import structlog
from prometheus_client import start_http_server

from apps.pliantd.datapath import Datapaths
from apps.pliantd.garbage import set_aside
from apps.pliantd.packets import Packets
from controller.build import CannotBuild, Controller, build, openflow_tls
from controller.config import Config, split_address
from controller.northbound.auth import TokenFileError
from controller.northbound.server import CannotListen
from controller.service.interfaces import StoreFailed

log = structlog.get_logger()


class StartFailed(Exception):
    """The controller cannot run like this; the message says why and what would help."""


class Process:
    """One pliantd.  Use once."""

    def __init__(self, config: Config) -> None:
        """StartFailed if the state directory, a certificate or the database cannot be used."""
        self._config = config
        try:
            self._controller: Controller = build(config)
        except (CannotBuild, StoreFailed, TokenFileError) as error:
            raise StartFailed(str(error)) from error
        self.openflow_address = ""
        self.grpc_address = ""

    def start(self) -> None:
        """Returns when switches and clients can connect.  StartFailed if an address cannot be listened on."""
        controller = self._controller
        set_aside()
        # A change passes through four threads; with Python's 5 ms each may wait that long for one that computes.
        sys.setswitchinterval(0.0005)
        controller.runtime.add(Datapaths, loop=controller.loop)
        controller.runtime.add(Packets, loop=controller.loop)
        controller.loop.start()
        controller.telemetry.start()
        controller.runtime.start()
        controller.liveness.start()
        controller.queues.start()
        try:
            self._listen_for_switches()
            self._listen_for_clients()
        except (CannotBuild, CannotListen, StartFailed) as error:
            self.stop()
            raise StartFailed(str(error)) from error

    def stop(self) -> bool:
        """True if everything ended in time."""
        controller = self._controller
        stopped = {
            "northbound": controller.server.stop(),
            "service": controller.engine.close(),
            "queues": controller.queues.stop(),
            "southbound": controller.runtime.stop(),
            "telemetry": controller.telemetry.stop(),
            "reconcile": controller.loop.stop(),
        }
        controller.store.close()
        late = [part for part, in_time in stopped.items() if not in_time]
        if late:
            log.error("stopped_late", parts=late)
        return not late

    def _listen_for_switches(self) -> None:
        settings = self._config.openflow
        tls = openflow_tls(settings)
        try:
            if settings.listen:
                host, port = split_address(settings.listen)
                self.openflow_address = f"{host}:{self._controller.runtime.listen(host, port, tls=tls)}"
            if settings.unix:
                self._controller.runtime.listen(settings.unix)
        except OSError as error:
            where = settings.listen if not self.openflow_address else settings.unix
            raise StartFailed(f"cannot listen for switches on {where}: {error.strerror or error}; "
                              "is another controller running?") from error

    def _listen_for_clients(self) -> None:
        port = self._controller.server.start()
        if self._config.grpc.listen:
            self.grpc_address = f"{split_address(self._config.grpc.listen)[0]}:{port}"
        if self._config.metrics_listen:
            host, metrics_port = split_address(self._config.metrics_listen)
            try:
                start_http_server(metrics_port, host)
            except OSError as error:
                raise StartFailed(f"cannot serve metrics on {self._config.metrics_listen}: {error.strerror}") from error
