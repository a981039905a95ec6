"""Rows of `lamplighter_jobs`: how a job becomes one, and a change of it an update that is fenced."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import cache
from operator import itemgetter
from typing import Any

from ..messages.jobs import JobRecord, NewJob
from .moves import first_mark

INSERT_JOB = """
  insert into lamplighter_jobs
    (id, name, data, state, priority, run_at, queued_at, corr, max_attempts, timeout, expires_at, unique_key,
     schedule, slot, solo, rev, told, trail)
  values (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  on conflict do nothing
"""


def job_values(job: NewJob, rev: int | None) -> tuple[Any, ...]:
    """The parameters of `INSERT_JOB`. Without a revision the job is untold: the next turn gives it one."""
    told, trail = first_mark(job, rev)
    return (
        job.id, job.name, job.data, job.priority, job.run_at, job.queued_at, job.corr, job.max_attempts, job.timeout,
        job.expires_at, job.unique_key, job.schedule, job.slot, int(job.solo), rev, told, trail,
    )  # fmt: skip


def stored_twin(connection: sqlite3.Connection | sqlite3.Cursor, job: NewJob) -> JobRecord:
    """The job that stands in the way of inserting this one: the same id, or the same unfinished key."""
    row = connection.execute("select * from lamplighter_jobs where id = ?", (job.id,)).fetchone()
    if row is None:
        row = connection.execute(
            """select * from lamplighter_jobs
               where name = ? and unique_key = ? and state in ('queued', 'running')""",
            (job.name, job.unique_key),
        ).fetchone()
    return JobRecord._make(row)


def priorities(connection: sqlite3.Connection, name: str) -> Iterator[int]:
    """The priorities of a name's queued jobs, highest first.

    One index seek a priority, so that a far future full of delayed jobs is never read through.
    """
    head = "select max(priority) from lamplighter_jobs where state = 'queued' and name = ?"
    found = connection.execute(head, (name,)).fetchone()[0]
    while found is not None:
        yield found
        found = connection.execute(head + " and priority < ?", (name, found)).fetchone()[0]


@cache
def fenced_update(columns: tuple[str, ...]) -> tuple[str, Callable[[tuple[Any, ...]], tuple[Any, ...]]]:
    """The update of these columns where `no`, `claim_no` and `state` are still as the caller saw them.

    With it, what makes the changed record's values of the old ones with the new values behind them.
    """
    settings = ", ".join(f"{column} = ?" for column in columns)
    places = {column: len(JobRecord._fields) + place for place, column in enumerate(columns)}
    update = f"update lamplighter_jobs set {settings} where no = ? and claim_no = ? and state = ?"
    return update, itemgetter(*(places.get(column, place) for place, column in enumerate(JobRecord._fields)))
