"""What only the SQLite engine can get wrong: its file, its lock, its disk, and a death at any moment."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.service.interfaces import StoreFailed, Write
from controller.store.schema import SCHEMA_VERSION
from controller.store.sqlite import SqliteStore

ROOT = Path(__file__).resolve().parents[3]


def refusal(path: Path) -> str:
    with pytest.raises(StoreFailed) as caught:
        SqliteStore(path).close()
    assert str(path) in str(caught.value)
    return str(caught.value)


def fill(path: Path, changes: int = 3) -> None:
    store = SqliteStore(path)
    for step in range(changes):
        store.txn([], [Write(key=f"k{step}", value=b"x" * 1_000)])
    store.close()


def test_sqlite_is_durable_by_configuration(tmp_path: Path) -> None:
    """The promise rests on two settings; the file carries one and every connection of ours the other."""
    store = SqliteStore(tmp_path / "p.db")
    for connection in (store._writer, store._reader):
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    store.close()


def test_sqlite_second_owner_is_refused(tmp_path: Path) -> None:
    """While one store has the file a second is refused by name and pid; afterwards it may have it."""
    path = tmp_path / "p.db"
    first = SqliteStore(path)
    assert f"pid {os.getpid()}" in refusal(path)
    first.txn([], [Write(key="still", value=b"works")])
    first.close()
    fill(path)


def test_sqlite_owner_that_was_killed_frees_the_file(tmp_path: Path) -> None:
    """The lock dies with its process, so a restart after SIGKILL needs no clean-up."""
    path = tmp_path / "p.db"
    writer = Writer(path)
    writer.acknowledged(at_least=1)
    assert f"pid {writer.process.pid}" in refusal(path)
    writer.kill()
    fill(path)


def test_sqlite_newer_schema_is_refused(tmp_path: Path) -> None:
    """A file of a newer version is left as it is, and the message says what to do."""
    path = tmp_path / "p.db"
    fill(path)
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert "newer Pliant" in refusal(path)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION + 1,)


def test_sqlite_database_of_another_program_is_refused_untouched(tmp_path: Path) -> None:
    """Somebody else's database is not adopted, converted, or written to."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = path.read_bytes()
    assert "another program" in refusal(path)
    assert path.read_bytes() == before


def test_sqlite_text_file_is_refused(tmp_path: Path) -> None:
    """What is no database is said to be none."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to have a header of one hundred bytes " * 4)
    assert "not a database" in refusal(path)


@pytest.mark.parametrize("seed", range(5))
def test_sqlite_damaged_file_is_refused(tmp_path: Path, seed: int) -> None:
    """Overwritten pages are found when the file is opened, not when a tenant's network is missing."""
    path = tmp_path / "p.db"
    fill(path, changes=50)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(random.Random(seed).randbytes(size - 4_096))
    assert "damaged" in refusal(path)


def test_sqlite_missing_directory_is_explained(tmp_path: Path) -> None:
    """A path that leads nowhere says so, and creates nothing."""
    assert "make sure that its directory exists" in refusal(tmp_path / "absent" / "p.db")
    assert list(tmp_path.iterdir()) == []


def test_sqlite_directory_in_the_place_of_the_file_is_explained(tmp_path: Path) -> None:
    """A directory is no store."""
    (tmp_path / "p.db").mkdir()
    assert "unable to open" in refusal(tmp_path / "p.db")


def test_sqlite_lock_of_another_program_is_explained(tmp_path: Path) -> None:
    """An administrator's open transaction delays the start for a moment, then refuses it with the reason."""
    path = tmp_path / "p.db"
    fill(path)
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        assert "close that program" in refusal(path)
        db.execute("ROLLBACK")
    fill(path)


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory that another user can enter (pytest's are private)."""
    directory = Path(tempfile.mkdtemp(prefix="pliant-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become a user without write permission")
@pytest.mark.parametrize("directory_mode", [0o755, 0o777])
def test_sqlite_read_only_is_refused_at_the_start(public_directory: Path, directory_mode: int) -> None:
    """A store that cannot be written is refused when it is opened, whether it is the file or its directory."""
    path = public_directory / "p.db"
    fill(path)
    (public_directory / "p.db.lock").unlink()
    public_directory.chmod(directory_mode)
    pid = os.fork()
    if pid == 0:  # no exec: the user nobody may not read this checkout
        status = 2
        try:
            os.setgid(65_534)
            os.setuid(65_534)
            SqliteStore(path)
        except StoreFailed as error:
            status = 0 if "writable for this user" in str(error) else 1
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_sqlite_full_disk_changes_nothing_and_heals(tmp_path: Path) -> None:
    """What does not fit fails with the reason; the store keeps what it had and goes on when there is room."""
    path = tmp_path / "p.db"
    store = SqliteStore(path)
    store.txn([], [Write(key="a", value=b"1")])
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreFailed, match="free some disk space"):
        store.txn([], [Write(key="a", value=b"2"), Write(key="big", value=b"x" * 100_000)])
    assert store.revision() == 1
    assert [(r.key, r.value) for r in store.list("")] == [("a", b"1")]
    store._writer.execute("PRAGMA max_page_count = 1000000")
    assert store.txn([], [Write(key="a", value=b"3")]) == 2
    store.close()


def test_sqlite_closed_store_says_so(tmp_path: Path) -> None:
    """A late caller meets StoreFailed, not a crash; closing twice is harmless."""
    store = SqliteStore(tmp_path / "p.db")
    store.close()
    store.close()
    with pytest.raises(StoreFailed, match="closed"):
        store.txn([], [Write(key="a", value=b"")])
    with pytest.raises(StoreFailed, match="closed"):
        store.list("")


def test_sqlite_can_be_inspected_while_it_is_in_use(tmp_path: Path) -> None:
    """An operator's sqlite3 shell reads (and backs up) the file of a running pliantd."""
    path = tmp_path / "p.db"
    store = SqliteStore(path)
    store.txn([], [Write(key="a", value=b"1")])
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        assert db.execute("SELECT key, value FROM version").fetchall() == [("a", b"1")]
    store.txn([], [Write(key="a", value=b"2")])
    store.close()


COMMIT_FOREVER = """
import os, sys
from pathlib import Path
from controller.service.interfaces import Answer, Write
from controller.store.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]))
while True:
    n = store.revision() + 1
    writes = [Write(key=key, value=b"%d" % n) for key in ("left", "right", f"k{n:06}")]
    revision = store.txn([], writes, Answer(request_id=str(n), digest=b"", response=b"%d" % n, answered_s=n))
    if n % 50 == 0:
        store.compact(keep_revisions=25, answers_before_s=n - 25)
    os.write(1, b"%d\\n" % revision)
"""


class Writer:
    """A process that commits in a loop and prints each revision once it is acknowledged."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMIT_FOREVER, str(path)], stdout=subprocess.PIPE, cwd=ROOT,
        )

    def acknowledged(self, at_least: int) -> int:
        """Wait for that many acknowledgements; the revision of the last."""
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline() for _ in range(at_least)]
        assert lines[-1], "the writer ended by itself"
        return int(lines[-1])

    def kill(self) -> int:
        """SIGKILL, whatever it is doing; the last acknowledged revision, 0 if all were read before."""
        self.process.send_signal(signal.SIGKILL)
        assert self.process.stdout is not None
        rest = self.process.stdout.read().split(b"\n")[:-1]
        self.process.stdout.close()
        self.process.wait()
        return int(rest[-1]) if rest else 0


def test_sqlite_killed_at_any_moment_keeps_every_acknowledged_change(tmp_path: Path) -> None:
    """Ten times SIGKILL in the middle of work: what was acknowledged is there, and nothing is there by half."""
    path = tmp_path / "p.db"
    dice = random.Random(1)
    last = 0
    for _ in range(10):
        writer = Writer(path)
        last = max(last, writer.acknowledged(at_least=dice.randint(1, 120)), writer.kill())
        store = SqliteStore(path)
        revision = store.revision()
        seen = {r.key: r.value for r in store.list("")}
        assert revision >= last
        assert seen["left"] == seen["right"] == b"%d" % revision
        assert [key for key in sorted(seen) if key.startswith("k")] == [f"k{n:06}" for n in range(1, revision + 1)]
        answer = store.answer(str(revision))
        assert answer is not None
        assert answer.response == b"%d" % revision
        recent = max(0, revision - 20)
        assert {r.mod_revision for r in store.history("", recent)} == set(range(recent + 1, revision + 1))
        last = revision
        store.close()
