"""Rows of `lamplighter_jobs`: how a job becomes one, and a change of it an update that is fenced."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Any

from ...messages.jobs import JobRecord, JobState, NewJob
from ..transitions import UNCOUNTED, is_to_wait

KEYS_MAX = 500
"""How many keys one statement looks up: SQLite may take no more than 999 parameters."""


def _values_of(names: Sequence[str]) -> Callable[[NewJob], tuple[Any, ...]]:
    return itemgetter(*map(NewJob._fields.index, names))


OPTIONAL = tuple(NewJob._field_defaults)
PLAIN = tuple(name for name in NewJob._fields if name not in OPTIONAL)
"""The columns that every new job has. A column that a job lacks need not be bound: that is a quarter of an insert."""

STORED = tuple(name for name in NewJob._fields if name in JobRecord._fields)
COLUMNS = (*STORED, "waits")
"""The columns of a new job that has more; its parents lie in a table of their own."""

NOTHING_MORE = tuple(NewJob._field_defaults.values())
"""The other fields of a new job that has none of them."""

_plain, _optional, _stored = map(_values_of, (PLAIN, OPTIONAL, STORED))

NEXT_NO = """1 + max((select last_no from lamplighter_store), (select coalesce(max(no), 0) from lamplighter_jobs))"""
"""The `no` of the next job: one that no job has had, though retention may have removed the last of them.

`autoincrement` would do it too, by writing to a table of its own, which is a page more in every commit.
"""


def insertion(jobs: Sequence[NewJob], first_no: int, *, twins: str = "") -> tuple[str, list[Any]]:
    """The statement, with its values, that inserts jobs, all of them or none.

    Args:
        first_no: the `no` of the first; those of the others follow it.
        twins: what is to happen when one is there already. It raises `sqlite3.IntegrityError` unless something is said.
    """
    values: list[Any] = []
    if all(job.run_at <= job.queued_at and _optional(job) == NOTHING_MORE for job in jobs):
        for no, job in enumerate(jobs, first_no):
            values.append(no)
            values += _plain(job)
        return _insert(PLAIN, len(jobs), twins), values
    for no, job in enumerate(jobs, first_no):
        values.append(no)
        values += _stored(job)
        values.append(is_to_wait(job))
    return _insert(COLUMNS, len(jobs), twins), values


@cache
def _insert(columns: tuple[str, ...], rows: int, twins: str) -> str:
    row = f"('queued', {', '.join('?' * (len(columns) + 1))})"
    return f"""insert into lamplighter_jobs (state, no, {", ".join(columns)})
               values {", ".join([row] * rows)} {twins}"""


def insert_unless_known(connection: sqlite3.Connection, job: NewJob, no: int) -> bool:
    """Insert a job. False when there is a twin, as `stored_twin` says."""
    return connection.execute(*insertion((job,), no, twins="on conflict do nothing")).rowcount == 1


def insert_uncounted(cursor: sqlite3.Cursor, job: NewJob) -> int | None:
    """Insert a job in a transaction that is not a turn. Its `no`; None where `insert_unless_known` says False."""
    columns = (*COLUMNS, "rev")
    query = f"""insert into lamplighter_jobs (no, state, {", ".join(columns)})
                values ({NEXT_NO}, 'queued', {", ".join("?" * len(columns))}) on conflict do nothing"""
    inserted = cursor.execute(query, (*_stored(job), is_to_wait(job), UNCOUNTED))
    return inserted.lastrowid if inserted.rowcount == 1 else None


def stored_twin(connection: sqlite3.Connection | sqlite3.Cursor, job: NewJob) -> JobRecord:
    """The job that keeps this one from being inserted: it has the same id, the same unique key and is unfinished, or
    holds the same debounce key.

    Raises:
        sqlite3.IntegrityError: there is none, so something else does.
    """
    row = connection.execute("select * from lamplighter_jobs where id = ?", (job.id,)).fetchone()
    if row is None and job.debounce_key is not None:
        query = "select * from lamplighter_jobs where name = ? and debounce_key = ? and debounce_until is not null"
        row = connection.execute(query, (job.name, job.debounce_key)).fetchone()
    return key_holder(connection, job) if row is None else JobRecord._make(row)


def key_holder(connection: sqlite3.Connection | sqlite3.Cursor, job: NewJob | JobRecord) -> JobRecord:
    """The unfinished job that has the name and the unique key of a job which is to be queued.

    Raises:
        sqlite3.IntegrityError: there is none, so something else keeps the job out.
    """
    row = connection.execute(
        """select * from lamplighter_jobs
           where name = ? and unique_key = ? and state in ('queued', 'running')""",
        (job.name, job.unique_key),
    ).fetchone()
    if row is None:
        raise kept_out(1)
    return JobRecord._make(row)


def jobs_by_id(connection: sqlite3.Connection | sqlite3.Cursor, job_ids: Collection[str]) -> dict[str, JobRecord]:
    """Those of these jobs that are stored."""
    rows = in_batches(connection, "select * from lamplighter_jobs where id in ({places})", job_ids)
    return {job.id: job for job in map(JobRecord._make, rows)}


def in_batches(
    connection: sqlite3.Connection | sqlite3.Cursor, query: str, keys: Collection[str], *more: Any
) -> Iterator[tuple[Any, ...]]:
    """The rows of a query with `{places}` for keys, and with more values behind them."""
    asked = list(keys)
    for first in range(0, len(asked), KEYS_MAX):
        some = asked[first : first + KEYS_MAX]
        yield from connection.execute(query.format(places=", ".join("?" * len(some))), (*some, *more)).fetchall()


def kept_out(jobs: int) -> sqlite3.IntegrityError:
    """The error for jobs that were not inserted although there is none with their id or key."""
    return sqlite3.IntegrityError(f"a trigger on lamplighter_jobs, which is not ours, has kept {jobs} jobs out")


def update(connection: sqlite3.Connection | sqlite3.Cursor, job: JobRecord, changes: dict[str, Any]) -> bool:
    """Change columns of a job if its `no`, `claim_no` and `state` are as the caller saw them. Whether they were."""
    done = connection.execute(_update(tuple(changes)), (*changes.values(), job.no, job.claim_no, job.state))
    return done.rowcount == 1


@cache
def _update(columns: tuple[str, ...]) -> str:
    settings = ", ".join(f"{column} = ?" for column in columns)
    return f"update lamplighter_jobs set {settings} where no = ? and claim_no = ? and state = ?"


def update_together(
    connection: sqlite3.Connection,
    jobs: Sequence[JobRecord],
    columns: tuple[str, ...],
    values: Sequence[tuple[Any, ...]],
) -> bool:
    """`update` several jobs of one state, in the same columns: all of them, or none. Whether they were.

    Args:
        values: of the columns, for each job.
    """
    bound: list[Any] = []
    own: dict[str, tuple[Any, ...]] = {}
    for column, those in zip(columns, zip(*values, strict=True), strict=True):
        if those.count(those[0]) == len(those):
            bound.append(those[0])
        else:
            own[column] = those
    rows = zip([job.no for job in jobs], [job.claim_no for job in jobs], *own.values(), strict=True)
    query = _update_together(columns, tuple(own), JobState(jobs[0].state), len(jobs))
    connection.execute("savepoint lamplighter_together")
    done = connection.execute(query, (*bound, *chain.from_iterable(rows))).rowcount
    # One that is there twice is changed once.
    is_done = done == len(jobs)
    if not is_done:
        connection.execute("rollback to lamplighter_together")
    connection.execute("release lamplighter_together")
    return is_done


@cache
def _update_together(columns: tuple[str, ...], own: tuple[str, ...], state: JobState, jobs: int) -> str:
    """The statement of `update_together`. The state is no parameter: of one that an index might go by, SQLite makes the
    whole statement anew each time that it is bound.

    Args:
        own: those of the columns that get a value of its own for each job.
    """
    settings = [f"{column} = ?" for column in columns if column not in own]
    settings += [f"{column} = each.column{place}" for place, column in enumerate(own, 3)]
    row = f"({', '.join('?' * (len(own) + 2))})"
    return f"""update lamplighter_jobs set {", ".join(settings)}
               from (values {", ".join([row] * jobs)}) as each
               where no = each.column1 and claim_no = each.column2 and state = '{state}'"""


def changed(job: JobRecord, columns: tuple[str, ...], values: Iterable[Any]) -> JobRecord:
    """The record of a job after a change of these columns."""
    return JobRecord._make(_places(columns)((*job, *values)))


@cache
def _places(columns: tuple[str, ...]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A getter of a changed record's values out of those of the one before, with the new ones behind them."""
    places = {column: len(JobRecord._fields) + place for place, column in enumerate(columns)}
    return itemgetter(*(places.get(column, place) for place, column in enumerate(JobRecord._fields)))
