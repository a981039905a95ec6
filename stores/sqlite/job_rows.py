"""Rows of `lamplighter_jobs`: how a job becomes one, and a change of it an update that is fenced."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from ...messages.jobs import JobRecord, NewJob
from ..transitions import FirstMark, is_to_wait

PLAIN = NewJob._fields[: -len(NewJob._field_defaults)]
"""What every new job has. What a job lacks need not be bound: that is a quarter of what an insert costs."""

NOTHING_MORE = tuple(NewJob._field_defaults.values())
"""The other fields of a new job that has none of them."""


def insertion(jobs: Sequence[NewJob], firsts: Sequence[FirstMark], *, twins: str = "") -> tuple[str, list[Any]]:
    """The statement, with its values, that inserts jobs, all of them or none.

    Args:
        firsts: the first mark of each.
        twins: what is to happen when one is there already. It raises `sqlite3.IntegrityError` unless something is said.
    """
    values: list[Any] = []
    if all(job.run_at <= job.queued_at and job[len(PLAIN) :] == NOTHING_MORE for job in jobs):
        for job, first in zip(jobs, firsts, strict=True):
            values += job[: len(PLAIN)]
            values += first
        return _insert(PLAIN, len(jobs), twins), values
    for job, first in zip(jobs, firsts, strict=True):
        values += job
        values.append(is_to_wait(job))
        values += first
    return _insert((*NewJob._fields, "waits"), len(jobs), twins), values


COLUMNS = {"one_at_a_time": "solo", "counts_attempt": "begun", "must_begin": "wary"}
"""Fields of a job whose columns have kept the names of 0.1.0. To rename a column, SQLite reads every view of the file,
and fails if one of the application's own is broken.
"""


@cache
def _insert(columns: tuple[str, ...], rows: int, twins: str) -> str:
    row = f"('queued', {', '.join('?' * (len(columns) + 3))})"
    names = ", ".join(COLUMNS.get(column, column) for column in columns)
    return f"""insert into lamplighter_jobs (state, {names}, rev, told, trail)
               values {", ".join([row] * rows)} {twins}"""


def insert_unless_known(connection: sqlite3.Connection | sqlite3.Cursor, job: NewJob, first: FirstMark) -> int | None:
    """Insert a job and return its `no`; None when there is one with the same id, or an unfinished one with the same
    key.
    """
    inserted = connection.execute(*insertion((job,), (first,), twins="on conflict do nothing"))
    return inserted.lastrowid if inserted.rowcount == 1 else None


def stored_twin(connection: sqlite3.Connection | sqlite3.Cursor, job: NewJob) -> JobRecord:
    """The job that keeps this one from being inserted: it has the same id, or the same key and is unfinished.

    Raises:
        sqlite3.IntegrityError: there is none, so something else does.
    """
    row = connection.execute("select * from lamplighter_jobs where id = ?", (job.id,)).fetchone()
    if row is None:
        row = connection.execute(
            """select * from lamplighter_jobs
               where name = ? and unique_key = ? and state in ('queued', 'running')""",
            (job.name, job.unique_key),
        ).fetchone()
    if row is None:
        raise kept_out(1)
    return JobRecord._make(row)


def kept_out(jobs: int) -> sqlite3.IntegrityError:
    """The error for jobs that were not inserted although there is none with their id or key."""
    return sqlite3.IntegrityError(f"a trigger on lamplighter_jobs, which is not ours, has kept {jobs} jobs out")


@cache
def fenced_update(columns: tuple[str, ...]) -> tuple[str, Callable[[tuple[Any, ...]], tuple[Any, ...]]]:
    """The update of these columns where `no`, `claim_no` and `state` are still as the caller saw them.

    With it, what makes the changed record's values of the old ones with the new values behind them.
    """
    settings = ", ".join(f"{COLUMNS.get(column, column)} = ?" for column in columns)
    places = {column: len(JobRecord._fields) + place for place, column in enumerate(columns)}
    update = f"update lamplighter_jobs set {settings} where no = ? and claim_no = ? and state = ?"
    return update, itemgetter(*(places.get(column, place) for place, column in enumerate(JobRecord._fields)))
