"""The writes of an application in its own transaction, on its own connection to the same file.

Its jobs are marked as uncounted (`move_no`), its changes of schedules lie apart, and neither is logged: the broker's
next turn counts and carries them out. A rollback leaves nothing.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...errors import UsageError
from ...messages.jobs import Attribution, Instant, JobRecord, JobState, NewJob
from ...messages.outcomes import Outcome, Verdict
from ...messages.schedules import HostChange, ScheduleRecord
from ...messages.steps import SIGNAL, StepRecord
from ...rules.validation import unknown_parent
from ..tables import host_follow_ups, links, steps
from ..tables.job_rows import changed, insert_uncounted, jobs_by_id, stored_twin, update
from ..tables.schedule_changes import insert_change, schedule_as_changed
from ..transitions import LET_GO, UNCOUNTED, born, ending, finished, is_replaced_by, replaced

LEGACY = -1
"""`sqlite3.LEGACY_TRANSACTION_CONTROL`, which Python 3.11 lacks."""

TAKE_LOCK = "update lamplighter_store set one = one where false"
"""Begins the transaction by a write, where sqlite3 begins it: one that began by reading cannot wait for the lock."""


class SqliteHostTurn:
    def __init__(self, cursor: sqlite3.Cursor, now: Instant) -> None:
        self._cursor = cursor
        self._now = now

    def insert(self, job: NewJob) -> tuple[JobRecord, bool]:
        if job.parents and (missing := links.unknown(self._cursor, [one.job_id for one in job.parents])):
            raise unknown_parent(missing[0])
        if not job.parents:
            return self._insert(job)
        with self.wholly():
            return self._insert(job)

    def _insert(self, job: NewJob) -> tuple[JobRecord, bool]:
        row_id = insert_uncounted(self._cursor, job)
        if row_id is None:
            twin = stored_twin(self._cursor, job)
            if not is_replaced_by(twin, job):
                return twin, False
            return self._move(twin, JobState.QUEUED.value, replaced(twin, job)), True
        if job.parents:
            links.tie(self._cursor, row_id, job.parents)
        return born(job, row_id, move_no=UNCOUNTED), True

    @contextlib.contextmanager
    def wholly(self) -> Iterator[None]:
        # sqlite3 begins no transaction for a savepoint.
        self._cursor.execute(TAKE_LOCK)
        self._cursor.execute("savepoint lamplighter")
        try:
            yield
        except BaseException:
            # After some errors SQLite itself has rolled back the transaction.
            if self._cursor.connection.in_transaction:
                self._cursor.execute("rollback to lamplighter")
                self._cursor.execute("release lamplighter")
            raise
        self._cursor.execute("release lamplighter")

    def find(self, job_id: str) -> JobRecord | None:
        self._cursor.execute(TAKE_LOCK)
        return jobs_by_id(self._cursor, (job_id,)).get(job_id)

    def settle(self, claimed: JobRecord, outcome: Outcome, verdict: Verdict) -> None:
        self._move(claimed, verdict.state.value, ending(claimed, outcome, verdict, self._now))

    def finish(self, job: JobRecord, result: str | None) -> None:
        self._move(job, JobState.DONE.value, {**finished(result, self._now), **LET_GO})

    def send(self, job: JobRecord, signal: str, data: str, who: Attribution) -> tuple[StepRecord, bool]:
        from ..tables.signals import send

        kept, is_new = send(self._cursor, job, StepRecord(SIGNAL + signal, data, steps.SENT, self._now), who)
        if is_new:
            self._move(job, job.state, {})
        return kept, is_new

    def follow(self, ended: JobRecord, born: Sequence[JobRecord]) -> None:
        host_follow_ups.note(self._cursor, ended, born)

    def schedule(self, schedule_id: str) -> ScheduleRecord | None:
        self._cursor.execute(TAKE_LOCK)
        return schedule_as_changed(self._cursor, schedule_id)

    def change_schedule(self, change: HostChange) -> None:
        insert_change(self._cursor, change)

    def _move(self, before: JobRecord, state: str, changes: dict[str, Any]) -> JobRecord:
        # A job that was moved before, and not counted since, has such a `move_no` already.
        changes = {**changes, "state": state, "move_no": -abs(before.move_no)}
        update(self._cursor, before, changes)
        return changed(before, tuple(changes), changes.values())


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
    found = _unwrap(connection)
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
        UsageError: it is open on another file, or in a transaction that cannot be trusted.
    """
    texts = raw.text_factory
    raw.text_factory = str
    try:
        # Created this way, the cursor has no row factory and is no subclass of the host's.
        cursor = sqlite3.Cursor(raw)
        _check_file(cursor, address)
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
            "transaction; see docs/embedding.md, Savepoints"
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


def _is_aiosqlite(connection: Any) -> bool:
    """Whether it is an aiosqlite connection, which has a thread of its own. aiosqlite is not a dependency."""
    return type(connection).__module__.partition(".")[0] == "aiosqlite" and hasattr(connection, "_execute")


def _unwrap(connection: Any) -> Any:
    """The sqlite3 or aiosqlite connection inside SQLAlchemy's and Django's objects, found by shape: no dependencies."""
    for _ in range(5):
        if isinstance(connection, sqlite3.Connection) or _is_aiosqlite(connection):
            return connection
        # SQLAlchemy's Connection begins its transaction at the first statement that it sees, and it does not see ours:
        # without this its commit() would do nothing, and the job would be rolled back.
        if callable(getattr(connection, "in_transaction", None)) and not connection.in_transaction():
            connection.begin()
        # Django's connection may be closed between transactions.
        if callable(ensure := getattr(connection, "ensure_connection", None)):
            ensure()
        inner = getattr(connection, "driver_connection", None)
        if inner is None:
            # A method of a Session. A sqlite3.Connection is callable too, and must not be called.
            inner = getattr(connection, "connection", None)
            inner = inner() if inspect.ismethod(inner) else inner
        connection = inner
    return None
