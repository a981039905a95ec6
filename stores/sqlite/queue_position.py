"""The jobs before a queued job: those claimed first, and running ones that may keep it from being claimed.

All of it is read from indexes, and only up to a cap.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from ...messages.jobs import Instant, JobRecord
from ..ports import QueuePosition
from . import rates, turns
from .claimable import CLAIMABLE

RUNNING_MAX = 10_000
"""The count of a name's running jobs stops here: there are as many as lanes."""

SUSPECTS_MAX = 1_000
"""The most running suspects that are read. There are as many as processes."""

# The order of claims, as three ranges of an index in this order: a higher priority, an earlier time, an earlier row.
READY_AHEAD = " union all ".join(
    f"""select 1 from lamplighter_jobs indexed by lamplighter_jobs_ready
        where state = 'queued' and waits = 0 and name = :name and {range} and run_at <= :now {CLAIMABLE}"""
    for range in (
        "priority > :priority",
        "priority = :priority and run_at < :run_at",
        "priority = :priority and run_at = :run_at and no < :row_id",
    )
)

# Very many jobs that are not due may wait at higher priorities. Due ones are adjacent by time.
DUE_WAITED = """select no from lamplighter_jobs indexed by lamplighter_jobs_later
                where state = 'queued' and waits = 1 and name = :name and run_at <= :now limit :most"""

WAITED_AHEAD = f"""
  select 1 from lamplighter_jobs where no in ({DUE_WAITED})
    and (priority > :priority or (priority = :priority and (run_at < :run_at or (run_at = :run_at and no < :row_id))))
    {CLAIMABLE}
"""

GROUP_AHEAD = f"""select 1 from lamplighter_jobs indexed by lamplighter_jobs_grouped
                  where state = 'queued' and waits = 3 and name = :name and priority = :priority
                    and group_key = :group_key and run_at <= :now
                    and (run_at < :run_at or (run_at = :run_at and no < :row_id)) {CLAIMABLE}"""

RUNNING = """select 1 from lamplighter_jobs indexed by lamplighter_jobs_running
             where state = 'running' and name = :name"""

SUSPECTS = f"""select boot, id from lamplighter_jobs indexed by lamplighter_jobs_running
               where state = 'running' and suspect_until > :now limit {SUSPECTS_MAX}"""

SAME_SCHEDULE = "select id from lamplighter_jobs where schedule = :schedule and state = 'running' order by no limit 1"


def before(connection: sqlite3.Connection, job: JobRecord, now: Instant, most: int) -> QueuePosition:
    about: dict[str, Any] = {"now": now, "most": most, **job._asdict()}
    of_group = group_spent_to = None
    if job.group_key is None:
        ready, waited = _count(connection, READY_AHEAD, about), _count(connection, WAITED_AHEAD, about)
        looked = _count(connection, DUE_WAITED, about)
    else:
        ready, waited, looked = _count(connection, GROUP_AHEAD, about), 0, 0
        of_group = turns.running(connection, job.name, job.group_key)
        group_spent_to = rates.spent_to(connection, job.name, job.group_key)
    sibling = connection.execute(SAME_SCHEDULE, about).fetchone() if job.one_at_a_time else None
    return QueuePosition(
        ahead=min(ready + waited, most),
        is_capped=ready + waited >= most or looked >= most,
        running=_count(connection, RUNNING, {**about, "most": RUNNING_MAX}),
        same_schedule=None if sibling is None else sibling[0],
        suspects=dict(connection.execute(SUSPECTS, about)) if job.suspect_until is not None else {},
        spent_to=rates.spent_to(connection, job.name),
        of_group=of_group,
        group_spent_to=group_spent_to,
    )


def _count(connection: sqlite3.Connection, query: str, about: dict[str, Any]) -> int:
    limit = "" if query.endswith("limit :most") else " limit :most"
    return int(connection.execute(f"select count(*) from ({query}{limit})", about).fetchone()[0])
