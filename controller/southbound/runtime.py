"""The I/O loop of all switches, its listeners, and the os-ken applications around it.

One thread 'of-io' carries every connection, with 2 switches or 200; each application has one thread of its own.

    runtime = Runtime()
    runtime.add(Punts, ...)
    runtime.start()
    port = runtime.listen("127.0.0.1", 0)
    ...
    runtime.stop()

os-ken keeps its applications in a process-wide table: one Runtime at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import stat
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from controller.model.ids import format_dpid
from controller.southbound.complaints import Complaints
from controller.southbound.datapath import SwitchDatapath
from controller.southbound.guard import guarded
from controller.southbound.osken import OPENFLOW_1_3, EventSource, app_manager, pin_version
from controller.southbound.readback import Ownership
from controller.southbound.timing import Timing
from controller.southbound.tls import TlsDoor

log = structlog.get_logger()

BACKLOG = 2_048
"""A whole fabric may connect at once; with os-ken's 50 a thousand switches took 16 s instead of 1."""
_CALL_S = 10.0
T = TypeVar("T")


class Runtime:
    """Implements datapath.Home."""

    def __init__(self, *, timing: Timing = Timing(), ownership: Ownership = Ownership()) -> None:  # noqa: B008  # frozen
        pin_version()
        self.timing = timing
        self.ownership = ownership
        self.loop = asyncio.new_event_loop()
        """Runs in the thread 'of-io'.  Other tasks may run on it too, if they never block; `stop` cancels them."""
        self.loop.set_exception_handler(self._loop_failed)
        self.complaints = Complaints(self.loop.time)
        self._manager = app_manager.AppManager()
        self.source = self._manager.instantiate(EventSource)
        self._apps: list[Any] = []
        self._servers: list[asyncio.Server] = []
        self._paths: list[str] = []
        self._connections: set[SwitchDatapath] = set()
        self._speakers: dict[int, SwitchDatapath] = {}
        self._ticker: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="of-io", daemon=True)

    # -- assembling

    def add(self, app_class: type[Any], *args: Any, **kwargs: Any) -> Any:
        """Make an os-ken application with these arguments; any OSKenApp will do, ours or not.  Only before `start`."""
        versions = getattr(app_class, "OFP_VERSIONS", None)
        if versions is not None and OPENFLOW_1_3 not in versions:
            raise ValueError(f"{app_class.__name__} does not speak OpenFlow 1.3: its OFP_VERSIONS are {versions}")
        app = self._manager.instantiate(guarded(app_class), *args, **kwargs)
        self._apps.append(app)
        return app

    def start(self) -> None:
        for app in self._apps:
            app.start()
        self._thread.start()

    def listen(self, address: str, port: int = 0, *, tls: ssl.SSLContext | None = None) -> int:
        """Accept switches at a host and port (0: any free one), or at a unix socket if the address is an absolute path.

        Returns the port, 0 for a unix socket.  OSError if it cannot be bound.
        """
        return self._call(self._listen(address, port, tls))

    async def _listen(self, address: str, port: int, tls: ssl.SSLContext | None) -> int:
        def accept() -> asyncio.Protocol:
            return self._connection() if tls is None else TlsDoor(tls, self._connection, self.complaints)

        if address.startswith("/"):
            server: asyncio.Server = await self.loop.create_unix_server(accept, address, backlog=BACKLOG)
            self._paths.append(address)
        else:
            server = await self.loop.create_server(accept, address, port, backlog=BACKLOG)
            port = server.sockets[0].getsockname()[1]
        self._servers.append(server)
        log.info("listening", address=address, port=port, tls=tls is not None)
        return 0 if address.startswith("/") else port

    def _connection(self) -> SwitchDatapath:
        return SwitchDatapath(self)

    def datapaths(self) -> dict[int, SwitchDatapath]:
        """The switches whose handshake is done, by dpid."""
        return {dpid: datapath for dpid, datapath in list(self._speakers.items()) if datapath.state == "main"}

    # -- what a connection needs (I/O thread)

    def arrived(self, datapath: SwitchDatapath) -> None:
        self._connections.add(datapath)

    def left(self, datapath: SwitchDatapath) -> None:
        self._connections.discard(datapath)
        if self._speakers.get(datapath.dpid) is datapath:
            del self._speakers[datapath.dpid]

    async def admit(self, datapath: SwitchDatapath) -> bool:
        """One connection per dpid: the older one stays if it still answers, so no impostor evicts a live switch."""
        while (older := self._speakers.get(datapath.dpid)) is not None:
            if await older.answers(self.timing.duplicate_s):
                datapath.end(f"datapath id {format_dpid(datapath.dpid)} is taken by a live switch at {older.peer}")
                return False
            older.end(f"replaced by a new connection from {datapath.peer}, as it did not answer")
            await older.ended
        if datapath.end_reason:
            return False
        self._speakers[datapath.dpid] = datapath
        return True

    # -- running and stopping

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self._ticker = self.loop.create_task(self._tick())
        self.loop.run_forever()
        self.loop.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self.timing.tick_s)
            now_s = self.loop.time()
            for datapath in list(self._connections):
                datapath.check(now_s)

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End listeners, connections, applications and the loop, within about this time.  True if all ended.

        An application that hangs is left behind and logged.
        """
        deadline_s = time.monotonic() + timeout_s
        if self._thread.is_alive():
            self._call(self._close())
        for name in list(self._manager.applications):
            # One by one, for os-ken's table is not thread-safe; in a thread, for an application's stop() may hang.
            end = self._manager.uninstantiate
            ending = threading.Thread(target=end, args=(name,), name=f"stop-{name}", daemon=True)
            ending.start()
            ending.join(max(0.1, deadline_s - time.monotonic()))
            if ending.is_alive():
                log.error("app_hangs", app=name, consequence="its thread is left behind")
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(max(0.1, deadline_s - time.monotonic()))
        elif not self.loop.is_closed():
            self.loop.close()
        return not self._thread.is_alive()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for path in self._paths:
            with contextlib.suppress(OSError):  # somebody else removed it
                if stat.S_ISSOCK(os.stat(path).st_mode):
                    os.unlink(path)
        ended = [datapath.ended for datapath in self._connections]
        for datapath in list(self._connections):
            datapath.end("Pliant stops")
        if ended:
            await asyncio.wait(ended, timeout=1.0)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(_CALL_S)

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What no connection could handle: accept() out of file descriptors, our own mistakes."""
        error = context.get("exception")
        self.complaints.warn("io_failed", type(error).__name__, message=context.get("message"), error=repr(error))
