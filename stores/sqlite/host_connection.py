"""The writes of an application in its own transaction, on its own connection to the same file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from typing import Any

from ...errors import UsageError
from ...messages.jobs import Instant, JobRecord
from ...messages.schedules import ScheduleRecord
from ..tables.host_turn import TableHostTurn, driver_connection

LEGACY = -1
"""`sqlite3.LEGACY_TRANSACTION_CONTROL`, which Python 3.11 lacks."""

TAKE_LOCK = "update lamplighter_store set one = one where false"
"""Begins the transaction by a write, where sqlite3 begins it: one that began by reading cannot wait for the lock."""


class SqliteHostTurn(TableHostTurn):
    def __init__(self, cursor: sqlite3.Cursor, now: Instant) -> None:
        super().__init__(cursor, now)
        self._cursor = cursor

    @contextlib.contextmanager
    def wholly(self) -> Iterator[None]:
        # sqlite3 begins no transaction for a savepoint.
        self._cursor.execute(TAKE_LOCK)
        with super().wholly():
            yield

    def _is_in_transaction(self) -> bool:
        # After some errors SQLite itself has rolled back the transaction.
        return self._cursor.connection.in_transaction

    def find(self, job_id: str) -> JobRecord | None:
        self._cursor.execute(TAKE_LOCK)
        return super().find(job_id)

    def schedule(self, schedule_id: str) -> ScheduleRecord | None:
        self._cursor.execute(TAKE_LOCK)
        return super().schedule(schedule_id)


def run_on(
    connection: Any, work: Callable[[Any, sqlite3.Connection], Any], note: Callable[[Any], object] = lambda used: None
) -> Any:
    """Do work with the application's connection and the sqlite3 connection inside it, on the thread of the latter.
    Returns the result of the work; an awaitable of it for an AsyncSession, an AsyncConnection or an
    aiosqlite.Connection.

    Args:
        note: called with the connection that was used, where SQLAlchemy allows to use it.

    Raises:
        UsageError: another kind of connection.
    """
    if _is_aiosqlite(connection):
        return connection._execute(work, connection, connection._conn)
    run_sync = getattr(connection, "run_sync", None)
    if callable(run_sync):
        return run_sync(run_on, work, note)
    found = driver_connection(connection, _is_driver)
    if found is None:
        raise UsageError(
            "expected connection= to be an open sqlite3.Connection, or a SQLAlchemy Connection or Session, or Django's "
            f"connection, on SQLite, got: {type(connection).__module__}.{type(connection).__qualname__}"
        )
    if isinstance(found, sqlite3.Connection):
        done = work(connection, found)
    else:
        # The Session or Connection inside run_sync, or one that SQLAlchemy would refuse to use here.
        done = sys.modules["sqlalchemy.util"].await_only(found._execute(work, connection, found._conn))
    note(connection)
    return done


@contextlib.contextmanager
def cursor_of(connection: Any, raw: sqlite3.Connection, address: str) -> Iterator[sqlite3.Cursor]:
    """A cursor on the host's sqlite3 connection, if it is open on the store's file.

    It gives plain rows of str, whatever factories the host has set.

    Raises:
        UsageError: it is closed, or open on another file, or in a transaction that cannot be trusted.
    """
    texts = raw.text_factory
    raw.text_factory = str
    try:
        try:
            # Created this way, the cursor has no row factory and is no subclass of the host's.
            cursor = sqlite3.Cursor(raw)
            _check_file(cursor, address)
        except sqlite3.ProgrammingError as error:
            says = f"expected connection= to be open, and to be used on the thread that opened it, got: {error}"
            raise UsageError(says) from error
        _check_savepoint(connection, raw)
        _check_transaction(raw)
        yield cursor
    finally:
        raw.text_factory = texts


def _check_file(cursor: sqlite3.Cursor, address: str) -> None:
    files = [row[2] for row in cursor.execute("pragma database_list") if row[1] == "main"]
    if not (files and files[0] and os.path.exists(address) and os.path.samefile(files[0], address)):
        got = files[0] if files and files[0] else "a database in memory"
        raise UsageError(f"expected connection= to be open on the store's file {address}, got: {got}")


def _check_savepoint(connection: Any, raw: sqlite3.Connection) -> None:
    """Refuse SAVEPOINTs where sqlite3 emits no BEGIN before them: SQLAlchemy's release of the first would commit, and a
    rollback of the transaction find nothing.
    """
    is_nested = getattr(connection, "in_nested_transaction", None)
    if _begins_itself(raw) and callable(is_nested) and is_nested():
        raise UsageError(
            "expected connection= to be outside of begin_nested(), or SQLAlchemy to begin transactions itself: sqlite3 "
            "may have begun none, and then the end of the savepoint commits this whatever becomes of the "
            "transaction; see docs/transactions.md, Savepoints"
        )


def _check_transaction(raw: sqlite3.Connection) -> None:
    """In autocommit mode, each statement before a BEGIN is stored at once, and cannot be rolled back."""
    if not raw.in_transaction and not _begins_itself(raw):
        raise UsageError(
            "expected connection= to be in a transaction, got: one in autocommit mode, which would store this at "
            "once, whatever becomes of your other work; execute BEGIN first, or leave connection= out"
        )


def _begins_itself(raw: sqlite3.Connection) -> bool:
    return raw.isolation_level is not None and getattr(raw, "autocommit", LEGACY) == LEGACY


def _is_driver(connection: Any) -> bool:
    return isinstance(connection, sqlite3.Connection) or _is_aiosqlite(connection)


def _is_aiosqlite(connection: Any) -> bool:
    """Whether it is an aiosqlite connection, which has a thread of its own. aiosqlite is not a dependency."""
    return type(connection).__module__.partition(".")[0] == "aiosqlite" and hasattr(connection, "_execute")
