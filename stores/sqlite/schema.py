"""The schema of a file: how it is created and migrated. The version is not in `user_version`, which is the host's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from ..tables.schema import CREATION, VERSION, check_version, read_store_id
from .connections import begin_writing

MIGRATIONS: dict[int, tuple[str, ...]] = {}
"""The statements that lead to a version from the one before. Version 3 is that of 0.2.0, the first release.

A migration that renames a table sets `pragma legacy_alter_table = on` before, and off afterwards: otherwise SQLite
reads each view of the application, and fails if one is broken.
"""

OLDEST = VERSION - len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, busy_ms: int, new_id: Callable[[], str] | None = None) -> str:
    """Bring the file to `VERSION`, in one transaction. A file of that version is only read.

    Args:
        busy_ms: how long to wait for it.
        new_id: makes the id of a new store; SQLite does by default.

    Returns:
        The store's id.

    Raises:
        SchemaTooNew: a newer Lamplighter wrote the file; nothing is changed.
        StoreError: the file is older than `OLDEST`; nothing is changed.
    """
    # Another process may keep the write lock for long, and the start of a runtime must not fail because of that.
    named = "select 1 from lamplighter_store where store_id is not null"
    if read_version(connection) == VERSION and connection.execute(named).fetchone():
        return read_store_id(connection)
    begin_writing(connection, busy_ms)
    try:
        version = read_version(connection)
        check_version(version, VERSION, OLDEST)
        if version == 0:
            version = VERSION
            for statement in CREATION:
                connection.execute(statement)
        for step in range(version + 1, VERSION + 1):
            for statement in MIGRATIONS[step]:
                connection.execute(statement)
            connection.execute("update lamplighter_store set schema_version = ?", (step,))
        # A new file at the same path is another store, and a log can tell.
        connection.execute(
            "update lamplighter_store set store_id = ifnull(?, lower(hex(randomblob(12)))) where store_id is null",
            (None if new_id is None else new_id(),),
        )
        store_id = read_store_id(connection)
        connection.execute("commit")
        return store_id
    except BaseException:
        # A full disk may have ended the transaction already.
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def read_version(connection: sqlite3.Connection) -> int:
    """The schema version of the file; 0 without our tables."""
    found = connection.execute(
        "select count(*) from sqlite_schema where type = 'table' and name = 'lamplighter_store'"
    ).fetchone()[0]
    if not found:
        return 0
    return int(connection.execute("select schema_version from lamplighter_store").fetchone()[0])
