"""Rows of `lamplighter_follow_ups`: follow-ups of a job that an application marked as done in its own transaction.

The log has an end and the births of its follow-ups in one turn. A row stays until a turn has counted both.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...messages.jobs import JobRecord
from .database import Database, Statements
from .job_rows import free_job, listed

HOST_FOLLOW_UPS = (
    "create table lamplighter_follow_ups (child integer primary key, parent integer not null) strict",
    "create index lamplighter_follow_ups_of on lamplighter_follow_ups (parent)",
)


def _uncounted(which: str, by: str, *, waits: bool) -> str:
    """The uncounted jobs that follow one, or are followed; nulls for one that another transaction holds, unless the
    turn is to wait for that, as its changes do.
    """
    found = "join lamplighter_jobs" if waits else f"left join {free_job(f'f.{which}')}"
    return f"""select {listed(JobRecord._fields, "j.")}
               from lamplighter_follow_ups f join lamplighter_jobs u on u.no = f.{which} and u.rev <= 0
               {found} j on j.no = f.{which} where f.{by} = ? and coalesce(j.rev, 0) <= 0 order by f.{which}"""


PARENT = {waits: _uncounted("parent", "child", waits=waits) for waits in (False, True)}
CHILDREN = {waits: _uncounted("child", "parent", waits=waits) for waits in (False, True)}


def note(cursor: Statements, ended: JobRecord, born: Sequence[JobRecord]) -> None:
    """Note that inserted jobs follow an ended one, in a transaction that is not a turn."""
    rows = [(job.row_id, ended.row_id) for job in born]
    cursor.executemany("insert into lamplighter_follow_ups (child, parent) values (?, ?)", rows)


def are_any(connection: Database) -> bool:
    return bool(connection.execute("select exists (select 1 from lamplighter_follow_ups)").fetchone()[0])


def together(connection: Database, job: JobRecord, *, waits: bool) -> list[tuple[JobRecord, JobRecord | None, int]]:
    """What one turn logs with a job: (job, the job that it follows, how many follow it). Nothing where another
    transaction holds one of them, unless the turn waits for that.
    """
    while (row := connection.execute(PARENT[waits], (job.row_id,)).fetchone()) is not None:
        if row[0] is None:
            return []
        job = JobRecord._make(row)
    found: list[tuple[JobRecord, JobRecord | None, int]] = []
    rest: list[tuple[JobRecord, JobRecord | None]] = [(job, None)]
    while rest:
        job, followed = rest.pop()
        rows = connection.execute(CHILDREN[waits], (job.row_id,)).fetchall()
        if any(row[0] is None for row in rows):
            return []
        found.append((job, followed, len(rows)))
        rest += [(JobRecord._make(row), job) for row in reversed(rows)]
    return found


def untie(connection: Database, ended: Sequence[JobRecord]) -> None:
    connection.executemany("delete from lamplighter_follow_ups where parent = ?", [(job.row_id,) for job in ended])
