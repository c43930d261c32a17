"""The copy of a server's database, through everything that may happen to a connection."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from controller.build import CannotBuild, ovsdb_tls
from controller.config import Ovsdb
from controller.southbound.complaints import Complaints
from controller.southbound.ovsdb import connection
from controller.southbound.ovsdb import database as databases
from controller.southbound.ovsdb.connection import Gone, Patience, RefusedError
from controller.southbound.ovsdb.database import Database
from controller.southbound.ovsdb.framing import Framer
from controller.southbound.ovsdb.remote import Remote
from controller.southbound.ovsdb.rows import Uuid
from tests.unit.southbound.ovsdb.server import SCHEMA, Server, update

FAST = Patience(connect_s=0.5, answer_s=0.3, probe_s=0.1, dead_s=0.4)
BRIDGE = {"Bridge": {"b": {"initial": {"name": "s1"}}}}


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(databases, "LAST_RETRY_S", 0.05)


class Run:
    """A database, the server it follows, and what was logged."""

    def __init__(self, server: Server, database: Database, logs: list[Any]) -> None:
        self.server, self.database, self.logs = server, database, logs
        self.changes = 0

    async def until(self, check: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not check():
                await asyncio.sleep(0.005)

    def reasons(self) -> list[str]:
        return [log["reason"] for log in self.logs if log["event"] == "ovsdb_unreachable"]

    def names(self) -> set[str]:
        return {row["name"] for row in self.database.rows("Bridge").values()}


@asynccontextmanager
async def following(path: Path, *, started: bool = True, **answers: Any) -> AsyncIterator[Run]:
    server = Server(path / "db.sock")
    server.answers |= {"monitor_cond": BRIDGE, **answers}
    if started:
        await server.start()
    loop = asyncio.get_running_loop()
    database = Database(server.remote, Complaints(loop.time), patience=FAST)
    with capture_logs() as logs:
        run = Run(server, database, logs)

        def changed() -> None:
            run.changes += 1

        database.follow(changed)
        task = loop.create_task(database.run())
        yield run
        task.cancel()


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


def test_database_is_copied_and_kept_up_to_date(tmp_path: Path) -> None:
    """Dump, then updates; an update in one piece with the dump comes after it."""
    async def scene() -> None:
        async with following(tmp_path) as run:
            run.server.after_dump = update({"Bridge": {"b": {"modify": {"name": "s2"}}}})
            await run.until(lambda: run.names() == {"s2"})
            run.server.update({"Bridge": {"c": {"insert": {"name": "s3"}}}})
            await run.until(lambda: run.names() == {"s2", "s3"})
            run.server.update({"Bridge": {"b": {"delete": None}}})
            await run.until(lambda: run.names() == {"s3"})
            assert run.changes == 4
            assert set(run.database.rows("Bridge")) == {Uuid("c")}

    play(scene)


def test_server_that_is_late_goes_away_and_returns_is_followed_again(tmp_path: Path) -> None:
    """Out of reach there are no rows, and whoever follows them is told; a transaction is refused at once."""
    async def scene() -> None:
        async with following(tmp_path, started=False) as run:
            await run.until(lambda: len(run.reasons()) > 1)
            await run.server.start()
            await run.until(lambda: run.database.live)
            changes = run.changes
            await run.server.stop()
            await run.until(lambda: not run.database.live)
            assert run.changes == changes + 1 and run.names() == set()
            with pytest.raises(Gone):
                await run.database.transact({"op": "comment"})
            await run.server.start()
            await run.until(lambda: run.names() == {"s1"})
            assert "closed by the server" in run.reasons()

    play(scene)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 400\r\n", "malformed: something else than a JSON object"),
        (b'{"method": nil}', "malformed: no JSON"),
        (update({"Nonsense": {}}), "malformed: no updates of a table"),
        (update({"Bridge": {"x": {"modify": {}}}}), "malformed: no change of a row"),
        (update({"Bridge": {"b": {"modify": {"name": 5}}}}), "malformed: 5 is no string"),
    ],
)
def test_malformed_bytes_end_the_connection_with_their_reason(tmp_path: Path, said: bytes, reason: str) -> None:
    """And the copy, which may be wrong by now, is made anew."""
    async def scene() -> None:
        async with following(tmp_path) as run:
            await run.until(lambda: run.database.live)
            run.server.say(said)
            await run.until(lambda: run.server.connections == 2 and run.database.live)
            assert run.reasons()[0].startswith(reason)
            assert run.names() == {"s1"}

    play(scene)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"get_schema": {"tables": {}}}, "the schema has no tables/Bridge"),
        ({"monitor_cond": {"Bridge": {"b": {"initial": {"ports": 5}}}}}, "malformed: 5 is no uuid"),
        ({"monitor_cond": None}, "malformed: no updates"),
    ],
)
def test_server_of_something_else_is_left_and_tried_again(tmp_path: Path, answers: Any, reason: str) -> None:
    """What it says first is already wrong."""
    async def scene() -> None:
        async with following(tmp_path, **answers) as run:
            await run.until(lambda: len(run.reasons()) > 1)
            assert run.reasons()[0].startswith(reason)
            assert not run.database.live
            run.server.answers |= {"get_schema": SCHEMA, "monitor_cond": BRIDGE}
            await run.until(lambda: run.database.live)

    play(scene)


def test_message_that_does_not_end_ends_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by the longest message that makes sense."""
    monkeypatch.setattr(connection, "Framer", partial(Framer, 4_000))

    async def scene() -> None:
        async with following(tmp_path) as run:
            await run.until(lambda: run.server.heard)
            run.server.say(b'{"x": "' + b"x" * 5_000)
            await run.until(run.reasons)
            assert "more than 4000 bytes" in run.reasons()[0]

    play(scene)


def test_silent_server_is_probed_and_then_given_up(tmp_path: Path) -> None:
    """One that answers echoes stays; one that stopped answering does not."""
    async def scene() -> None:
        async with following(tmp_path) as run:
            await run.until(lambda: len(run.server.asked("echo")) >= 5)
            assert run.server.connections == 1
            run.server._answer = lambda message: []  # type: ignore[method-assign]
            await run.until(run.reasons)
            assert run.reasons()[0].startswith("silent for 0.")

    play(scene)


def test_unanswered_call_ends_the_connection(tmp_path: Path) -> None:
    """A server that takes echoes and no transactions is of no use."""
    async def scene() -> None:
        async with following(tmp_path) as run:
            await run.until(lambda: run.database.live)
            del run.server.answers["transact"]
            with pytest.raises(Gone, match=r"transact was not answered within 0\.3 s"):
                await run.database.transact({"op": "comment"})
            await run.until(lambda: run.server.connections == 2)

    play(scene)


def test_transaction_is_answered_or_refused_in_the_servers_words(tmp_path: Path) -> None:
    """An error of one operation is an error of all; so is one of the call."""
    async def scene() -> None:
        async with following(tmp_path) as run:
            await run.until(lambda: run.database.live)
            assert await run.database.transact({"op": "comment"}) == [{"count": 1}]
            assert run.server.asked("transact") == [["Open_vSwitch", {"op": "comment"}]]
            run.server.answers["transact"] = [{}, {"error": "constraint violation", "details": "no such port"}]
            with pytest.raises(RefusedError, match="constraint violation: no such port"):
                await run.database.transact({}, {})
            run.server.errors["transact"] = "not allowed"
            with pytest.raises(RefusedError, match="not allowed"):
                await run.database.transact({})
            assert run.server.connections == 1

    play(scene)


def test_echo_of_the_server_is_answered_and_strange_messages_are_ignored(tmp_path: Path) -> None:
    """Answers to nobody, unknown notifications, updates of another monitor."""
    async def scene() -> None:
        async with following(tmp_path) as run:
            await run.until(lambda: run.database.live)
            for message in (
                {"id": 999, "result": 1, "error": None}, {"id": "x", "result": 1}, {}, {"method": "stolen"},
                {"method": "update2", "params": ["another", {"Bridge": 5}]}, {"method": "update2", "params": None},
                {"id": "e", "method": "echo", "params": [7]},
            ):
                run.server.say(json.dumps(message).encode())
            await run.until(lambda: {"id": "e", "result": [7], "error": None} in run.server.heard)
            assert run.server.connections == 1

    play(scene)


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    files = directory / f"{name}.pem", directory / f"{name}-key.pem"
    what = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name}"
    subprocess.run(
        ["openssl", *what.split(), "-out", str(files[0]), "-keyout", str(files[1])], check=True, capture_output=True)
    return files


def test_tls_needs_the_right_authority_at_both_ends(tmp_path: Path) -> None:
    """Names do not matter, as with Open vSwitch itself; a server or a client of another authority gets no further."""
    server_files, client_files, stranger = (certificate(tmp_path, name) for name in ("server", "client", "stranger"))

    def settings(remote: Remote, ca: Path, shown: tuple[Path, Path]) -> Ovsdb:
        return Ovsdb(remote=str(remote), ca=str(ca), certificate=str(shown[0]), key=str(shown[1]))

    async def scene(ca: Path, shown: tuple[Path, Path]) -> tuple[bool, list[str]]:
        server = Server(tmp_path / "unused")
        server.answers["monitor_cond"] = BRIDGE
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client_files[0]))
        context.load_cert_chain(*server_files)
        context.verify_mode = ssl.CERT_REQUIRED
        await server.start_tls(context)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: None)  # the server's own words about who was refused
        tls = ovsdb_tls(settings(server.remote, ca, shown))
        with capture_logs() as logs:
            held = Database(server.remote, Complaints(loop.time), tls=tls, patience=FAST)
            task = loop.create_task(held.run())
            run = Run(server, held, logs)
            await run.until(lambda: held.live or len(run.reasons()) > 1)
            task.cancel()
            return held.live, run.reasons()

    assert asyncio.run(scene(server_files[0], client_files)) == (True, [])
    refused, reasons = asyncio.run(scene(stranger[0], client_files))
    assert not refused and "CERTIFICATE_VERIFY_FAILED" in reasons[0]
    assert not asyncio.run(scene(server_files[0], stranger))[0]
    with pytest.raises(CannotBuild, match="cannot use the certificate, key or ca of ssl:h:1"):
        ovsdb_tls(Ovsdb(remote="ssl:h:1", ca=str(tmp_path / "none.pem")))


@pytest.mark.parametrize(
    "text", ["", "unix:", "unix:db.sock", "tcp:1.2.3.4", "tcp::6640", "ssl:h:0", "tcp:h:70000", "x:h:1"])
def test_remote_that_is_none_is_refused(text: str) -> None:
    """The message shows what would do."""
    with pytest.raises(ValueError, match="is not unix:/PATH, tcp:HOST:PORT or ssl:HOST:PORT"):
        Remote.parse(text)


def test_remote_is_read_as_ovs_vsctl_reads_it() -> None:
    """IPv6 in brackets."""
    assert Remote.parse("unix:/run/db.sock").path == "/run/db.sock"
    remote = Remote.parse("ssl:[fd00::1]:6640")
    assert (remote.host, remote.port, remote.tls) == ("fd00::1", 6640, True)
