"""Rows of `lamplighter_follow_ups`: what follows a job that an application has marked as done in its own transaction.

The log tells the end of a job and the births of those that follow it in one turn. Each row is there until a turn has
counted both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from ...messages.jobs import JobRecord

HOST_FOLLOW_UPS = (
    "create table lamplighter_follow_ups (child integer primary key, parent integer not null) strict",
    "create index lamplighter_follow_ups_of on lamplighter_follow_ups (parent)",
)
"""Both are numbers of jobs."""

PARENT = """select p.* from lamplighter_follow_ups f join lamplighter_jobs p on p.no = f.parent
            where f.child = ? and p.rev <= 0"""

CHILDREN = """select c.* from lamplighter_follow_ups f join lamplighter_jobs c on c.no = f.child
              where f.parent = ? and c.rev <= 0 order by f.child"""


def note(cursor: sqlite3.Cursor, ended: JobRecord, born: Sequence[JobRecord]) -> None:
    """Jobs that were inserted follow one that has ended, in a transaction that is not a turn."""
    cursor.executemany("insert into lamplighter_follow_ups values (?, ?)", [(job.no, ended.no) for job in born])


def are_any(connection: sqlite3.Connection) -> bool:
    """Whether there are rows."""
    return bool(connection.execute("select exists (select 1 from lamplighter_follow_ups)").fetchone()[0])


def take(
    connection: sqlite3.Connection, job: JobRecord
) -> Iterator[tuple[JobRecord, JobRecord | None, Sequence[JobRecord]]]:
    """All that one turn tells together with a job: each with that which it follows, if it does, and with those that
    follow it. Their rows are taken out.
    """
    while (row := connection.execute(PARENT, (job.no,)).fetchone()) is not None:
        job = JobRecord._make(row)
    rest: list[tuple[JobRecord, JobRecord | None]] = [(job, None)]
    while rest:
        job, followed = rest.pop()
        children = [JobRecord._make(row) for row in connection.execute(CHILDREN, (job.no,))]
        connection.execute("delete from lamplighter_follow_ups where parent = ?", (job.no,))
        yield job, followed, children
        rest += [(child, job) for child in reversed(children)]
