"""A wire for a control channel that a test can cut: a TCP relay in the sandbox, one for each switch that needs it.

Runs as a script (standard library only): `relay.py LISTEN_PORT HOST PORT`.

    cut()      both sides see the connection end, and a switch that tries again is refused
    freeze()   nothing comes through and nobody is told, as when a switch in between dies
    restore()  after either
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self

from apps.lab.sandbox import Process, Sandbox

_CHUNK_BYTES = 1 << 16


class Relay:
    """Context manager; cut and restored at will."""

    def __init__(self, sandbox: Sandbox, port: int, to: str) -> None:
        self._sandbox = sandbox
        self._port = port
        self._to = to
        self._process: Process | None = None
        self._frozen = False

    @property
    def target(self) -> str:
        """What the bridge is given as its controller."""
        return f"tcp:127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.restore()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

    def restore(self) -> None:
        """Let the switch through."""
        if self._process is not None:
            assert self._frozen
            self._process.send_signal(signal.SIGCONT)
            self._frozen = False
            return
        host, _, port = self._to.rpartition(":")
        self._process = self._sandbox.popen(
            sys.executable, __file__, str(self._port), host, port, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "relaying\n"

    def freeze(self) -> None:
        """Swallow everything, say nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self._frozen = True

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        process, self._process, self._frozen = self._process, None, False
        if process is not None:
            process.kill()
            process.wait(10)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.transport.abort()


async def _relay(listen_port: int, host: str, port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_pump(reader, other_writer), _pump(other_reader, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", listen_port)
    print("relaying", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_relay(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
