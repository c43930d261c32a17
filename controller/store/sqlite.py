"""The embedded store: one SQLite file that one pliantd owns.

Knows SQL, files and locks; refuses to know what the values mean.  Durability is SQLite's: write-ahead log with
synchronous=FULL, so a transaction that returned survives SIGKILL and power loss, and one that did not leaves no trace.
One connection writes, another reads (WAL readers see the last commit and block nobody); each has its own lock.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from controller.service.interfaces import Answer, Compacted, Compare, CompareFailed, Record, StoreFailed, Write
from controller.store.schema import ForeignFile, ensure_schema

_ADVICE = {
    sqlite3.SQLITE_NOTADB: "it is damaged or no Pliant store; restore a backup, or move it away to start empty",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore a backup, or move it away to start empty",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable for this user",
    sqlite3.SQLITE_CANTOPEN: "make sure that its directory exists and is writable for this user",
    sqlite3.SQLITE_FULL: "free some disk space",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write; look at the kernel's log",
    sqlite3.SQLITE_BUSY: "another program holds a lock on it; close that program",
}
_COLUMNS = "SELECT key, value, create_revision, revision FROM version"
_LAST_TEXT = "\U0010ffff"
"""Sorts after every character a key can hold, so [prefix, prefix + this) is everything under the prefix."""


class SqliteStore:
    """Implements service.interfaces.Store.  Opening raises StoreFailed with the file and the remedy."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        with ExitStack() as opened:
            opened.callback(os.close, _own(path))
            with self._explained("open"):
                self._writer = opened.enter_context(closing(_connect(path)))
                ensure_schema(self._writer)
                damage = self._writer.execute("PRAGMA quick_check(1)").fetchone()[0]
                if damage != "ok":
                    raise sqlite3.DatabaseError(damage)
                self._writer.execute("PRAGMA journal_mode = WAL")
                # Nothing proves a file writable like writing: refuse a read-only one now, not at the first request.
                self._writer.execute("UPDATE position SET revision = revision")
                self._revision: int = self._writer.execute("SELECT revision FROM position").fetchone()[0]
                self._reader = opened.enter_context(closing(_connect(path)))
            self._opened = opened.pop_all()

    def revision(self) -> int:
        return self._revision

    def txn(self, compares: Sequence[Compare], writes: Sequence[Write], answer: Answer | None = None) -> int:
        with self._write_lock:
            revision = self._revision + bool(writes)
            with self._transaction() as db:
                for compare in compares:
                    _check(db, compare)
                for write in writes:
                    _put(db, write, revision)
                if writes:
                    db.execute("UPDATE position SET revision = ?", (revision,))
                if answer:
                    row = (answer.request_id, answer.digest, answer.response, answer.answered_s)
                    db.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?)", row)
            self._revision = revision  # only now: the COMMIT is on disk
            return revision

    def list(self, prefix: str, at: int | None = None) -> Sequence[Record]:
        selected = f"{_COLUMNS} WHERE key >= ? AND key < ? AND value IS NOT NULL"
        within = (prefix, prefix + _LAST_TEXT)
        with self._reading() as db:
            if at is None:
                rows = db.execute(f"{selected} AND until IS NULL ORDER BY key", within)
            else:
                _check_kept(db, at)
                seen_at = "revision <= ? AND (until IS NULL OR until > ?)"
                rows = db.execute(f"{selected} AND {seen_at} ORDER BY key", (*within, at, at))
            return _records(rows)

    def history(self, prefix: str, after: int) -> Sequence[Record]:
        with self._reading() as db:
            _check_kept(db, after)
            changes = f"{_COLUMNS} WHERE revision > ? AND key >= ? AND key < ? ORDER BY revision, key"
            return _records(db.execute(changes, (after, prefix, prefix + _LAST_TEXT)))

    def answer(self, request_id: str) -> Answer | None:
        with self._reading() as db:
            select = "SELECT digest, response, answered_s FROM answer WHERE request_id = ?"
            row = db.execute(select, (request_id,)).fetchone()
        return Answer(request_id=request_id, digest=row[0], response=row[1], answered_s=row[2]) if row else None

    def compact(self, keep_revisions: int, answers_before_s: float) -> None:
        with self._write_lock:
            horizon = max(0, self._revision - keep_revisions)
            with self._transaction() as db:
                db.execute("DELETE FROM version WHERE until <= ?", (horizon,))
                db.execute("DELETE FROM version WHERE revision <= ? AND until IS NULL AND value IS NULL", (horizon,))
                db.execute("UPDATE position SET compacted = max(compacted, ?)", (horizon,))
                db.execute("DELETE FROM answer WHERE answered_s < ?", (answers_before_s,))

    def cached(self) -> Mapping[str, bytes]:
        with self._reading() as db:
            return dict(db.execute("SELECT key, value FROM cache ORDER BY key").fetchall())

    def save_cache(self, items: Mapping[str, bytes | None]) -> None:
        with self._write_lock, self._transaction() as db:
            for key, value in items.items():
                if value is None:
                    db.execute("DELETE FROM cache WHERE key = ?", (key,))
                else:
                    db.execute("INSERT OR REPLACE INTO cache VALUES (?, ?)", (key, value))

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            self._opened.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything or nothing, on disk when it returns.  The caller holds the write lock."""
        with self._explained("write to"):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # some errors (disk full) have rolled back already
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view, however many statements."""
        with self._read_lock, self._explained("read"):
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                self._reader.rollback()

    @contextmanager
    def _explained(self, deed: str) -> Iterator[None]:
        """Turn SQLite's errors into what an operator needs: which file, what happened, what to do."""
        try:
            yield
        except ForeignFile as error:
            raise StoreFailed(f"cannot {deed} the store {self._path}: it {error}") from error
        except sqlite3.ProgrammingError as error:
            raise StoreFailed(f"cannot {deed} the store {self._path}: it is closed") from error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            advice = _ADVICE.get(code, "see the error before this one")
            raise StoreFailed(f"cannot {deed} the store {self._path}: {error}; {advice}") from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _own(path: Path) -> int:
    """Take the file for this process and return the lock's descriptor.  The kernel lets go however the process ends.

    The lock is on a file of its own: closing any descriptor of the database itself would drop SQLite's locks on it.
    """
    lock_path = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreFailed(
            f"cannot open the store {path}: {error.strerror} ({lock_path.name}); "
            "make sure that its directory exists and is writable for this user"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(descriptor, 20).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise StoreFailed(
            f"the store {path} belongs to a running pliantd (pid {owner}): "
            "stop that one, or start this one with another file"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _check(db: sqlite3.Connection, compare: Compare) -> None:
    row = db.execute(
        "SELECT revision FROM version WHERE key = ? AND until IS NULL AND value IS NOT NULL", (compare.key,)
    ).fetchone()
    found = row[0] if row else 0
    if found != compare.mod_revision:
        raise CompareFailed(f"{compare.key} is at revision {found}, not at {compare.mod_revision}")


def _put(db: sqlite3.Connection, write: Write, revision: int) -> None:
    """End the key's current version at `revision` and begin the next one there."""
    row = db.execute(
        "SELECT create_revision, value IS NULL FROM version WHERE key = ? AND until IS NULL", (write.key,)
    ).fetchone()
    absent = row is None or row[1]
    if absent and write.value is None:
        return
    if row is not None:
        db.execute("UPDATE version SET until = ? WHERE key = ? AND until IS NULL", (revision, write.key))
    created = revision if absent else row[0]
    db.execute(
        "INSERT INTO version (key, revision, create_revision, value) VALUES (?, ?, ?, ?)",
        (write.key, revision, created, write.value),
    )


def _check_kept(db: sqlite3.Connection, revision: int) -> None:
    newest, oldest = db.execute("SELECT revision, compacted FROM position").fetchone()
    if revision < oldest:
        raise Compacted(oldest)
    if revision > newest:
        raise ValueError(f"revision {revision} has not been yet; the newest is {newest}")


def _records(rows: sqlite3.Cursor) -> Sequence[Record]:
    return [
        Record(key=key, value=value, create_revision=created, mod_revision=revision)
        for key, value, created, revision in rows
    ]
