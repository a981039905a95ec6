"""What a host writes in its own transaction, on its own connection to the same file.

The rows are left untold (no revision): the broker's next turn gives them one. If the host rolls back, they never were.
"""

from __future__ import annotations

import inspect
import os
import sqlite3
from typing import Any

from ..errors import UsageError
from ..messages.jobs import Instant, JobRecord, NewJob
from .moves import UNTOLD, born
from .rows import insert_unless_known, stored_twin

FINISH_JOB = """
  update lamplighter_jobs
  set state = 'done', settled_no = coalesce(:claim_no, 0), result = :result, ended_at = :now,
      reason = null, error = null, traceback = null, boot = null, incarnation = null,
      deferred = 0, attempt = attempt + (state = 'running'), rev = null
  where id = :id and (:no is null or no = :no)
    and ((:claim_no is null and state = 'queued') or (claim_no = :claim_no and state = 'running'))
"""


def same_file(connection: Any, address: str) -> sqlite3.Connection:
    """The sqlite3 connection inside what the host gave, if it is open on the store's file.

    Raises:
        UsageError: it is something else, or open on another file.
    """
    raw = _unwrap(connection)
    if raw is None:
        raise UsageError(
            "expected connection= to be an open sqlite3.Connection, or a SQLAlchemy Connection or Session on SQLite, "
            f"got: {type(connection).__module__}.{type(connection).__qualname__}"
        )
    files = [row[2] for row in raw.execute("pragma database_list") if row[1] == "main"]
    if not (files and files[0] and os.path.exists(address) and os.path.samefile(files[0], address)):
        got = files[0] if files and files[0] else "a database in memory"
        raise UsageError(f"expected connection= to be open on the store's file {address}, got: {got}")
    return raw


def queue_on(connection: sqlite3.Connection, job: NewJob) -> tuple[JobRecord, bool]:
    """Insert a job; see `base.Store.queue_on`."""
    # The host may have a row factory of its own; ours are plain tuples.
    cursor = connection.cursor()
    cursor.row_factory = None
    no = insert_unless_known(cursor, job, UNTOLD)
    return (stored_twin(cursor, job), False) if no is None else (born(job, no, UNTOLD), True)


def finish_on(
    connection: sqlite3.Connection,
    job_id: str,
    no: int | None,
    claim_no: int | None,
    result: str | None,
    now: Instant,
) -> bool:
    """Mark a job done; see `base.Store.finish_on`."""
    values = {"no": no, "claim_no": claim_no, "result": result, "now": now, "id": job_id}
    done = connection.execute(FINISH_JOB, values)
    return done.rowcount == 1


def _unwrap(connection: Any) -> sqlite3.Connection | None:
    """Look through SQLAlchemy's Session, Connection and pool proxy, by shape: it is not a dependency."""
    for _ in range(5):
        if isinstance(connection, sqlite3.Connection):
            return connection
        # A SQLAlchemy Connection begins its transaction at the first statement that it sees, and it sees none of ours:
        # without this its commit() would do nothing, and the job would be rolled back with the connection.
        if callable(getattr(connection, "in_transaction", None)) and not connection.in_transaction():
            connection.begin()
        inner = getattr(connection, "driver_connection", None)
        if inner is None:
            # Of a Session it is a method. A sqlite3.Connection is callable too, and must not be called.
            inner = getattr(connection, "connection", None)
            inner = inner() if inspect.ismethod(inner) else inner
        connection = inner
    return None
