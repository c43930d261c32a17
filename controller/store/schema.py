"""The tables of a Pliant store file, and how a file is recognised, created, and refused.

    version   every value a key has had and when: visible at revision r if revision <= r < until (until NULL: still).
              A NULL value is a deletion, kept until compaction so that watchers hear of it.
    position  one row: the revision counter, and the revision up to which history is compacted
    answer    what was answered to a request_id
    cache     observed state; has no revision
"""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x506C_6961  # "Plia": file(1) and we tell our files from others by it
SCHEMA_VERSION = 2
"""1 had the same tables, but keys that intent/renumber.py writes anew when they are read."""

_CREATE = """
CREATE TABLE version (
    key             TEXT    NOT NULL,
    revision        INTEGER NOT NULL,
    until           INTEGER,
    create_revision INTEGER NOT NULL,
    value           BLOB,
    PRIMARY KEY (key, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX version_by_revision ON version (revision);
CREATE UNIQUE INDEX version_current ON version (key) WHERE until IS NULL;
CREATE INDEX version_past ON version (until) WHERE until IS NOT NULL;
CREATE TABLE position (
    only            INTEGER PRIMARY KEY CHECK (only = 1),
    revision        INTEGER NOT NULL,
    compacted       INTEGER NOT NULL
) STRICT;
INSERT INTO position VALUES (1, 0, 0);
CREATE TABLE answer (
    request_id      TEXT    PRIMARY KEY,
    digest          BLOB    NOT NULL,
    response        BLOB    NOT NULL,
    answered_s      REAL    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX answer_by_age ON answer (answered_s);
CREATE TABLE cache (
    key             TEXT    PRIMARY KEY,
    value           BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
"""


class ForeignFile(Exception):
    """The file is a sound database, but not one this version can use.  Says what it is and what to do."""


def ensure_schema(connection: sqlite3.Connection) -> None:
    """Create the tables in an empty file; accept a file of this version or an older; ForeignFile for any other."""
    application_id = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    if application_id == APPLICATION_ID and version == SCHEMA_VERSION:
        return
    if application_id == APPLICATION_ID and version > SCHEMA_VERSION:
        raise ForeignFile(
            f"was written by a newer Pliant (schema {version}, this one knows {SCHEMA_VERSION}): "
            "run that version or a later one, or start with another file"
        )
    if application_id == APPLICATION_ID and version == 1:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")  # an older Pliant must not take them for its own
        return
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables or application_id:
        raise ForeignFile("is the database of another program: give Pliant a file of its own")
    mark = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}"
    connection.execute("BEGIN IMMEDIATE")
    for statement in (_CREATE + mark).split(";"):
        connection.execute(statement)
    connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
