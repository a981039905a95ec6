"""Rows of `lamplighter_follow_ups`: follow-ups of a job that an application marked as done in its own transaction.

The log has an end and the births of its follow-ups in one turn. A row stays until a turn has counted both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...messages.jobs import JobRecord
from .database import Database, Statements
from .job_rows import listed

HOST_FOLLOW_UPS = (
    "create table lamplighter_follow_ups (child integer primary key, parent integer not null) strict",
    "create index lamplighter_follow_ups_of on lamplighter_follow_ups (parent)",
)

PARENT = f"""select {listed(JobRecord._fields, "p.")}
            from lamplighter_follow_ups f join lamplighter_jobs p on p.no = f.parent
            where f.child = ? and p.rev <= 0"""

CHILDREN = f"""select {listed(JobRecord._fields, "c.")}
              from lamplighter_follow_ups f join lamplighter_jobs c on c.no = f.child
              where f.parent = ? and c.rev <= 0 order by f.child"""


def note(cursor: Statements, ended: JobRecord, born: Sequence[JobRecord]) -> None:
    """Note that inserted jobs follow an ended one, in a transaction that is not a turn."""
    rows = [(job.row_id, ended.row_id) for job in born]
    cursor.executemany("insert into lamplighter_follow_ups (child, parent) values (?, ?)", rows)


def are_any(connection: Database) -> bool:
    return bool(connection.execute("select exists (select 1 from lamplighter_follow_ups)").fetchone()[0])


def take(connection: Database, job: JobRecord) -> Iterator[tuple[JobRecord, JobRecord | None, Sequence[JobRecord]]]:
    """Take out the rows that one turn logs with a job: (job, the job that it follows, its followers)."""
    while (row := connection.execute(PARENT, (job.row_id,)).fetchone()) is not None:
        job = JobRecord._make(row)
    rest: list[tuple[JobRecord, JobRecord | None]] = [(job, None)]
    while rest:
        job, followed = rest.pop()
        children = [JobRecord._make(row) for row in connection.execute(CHILDREN, (job.row_id,))]
        connection.execute("delete from lamplighter_follow_ups where parent = ?", (job.row_id,))
        yield job, followed, children
        rest += [(child, job) for child in reversed(children)]
