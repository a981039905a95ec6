"""Which queued jobs are due, and when the next ones will be.

A job without a delay is ready, in an index in the order of claims; only after a clock was set back is one of them due
later. Delayed and backed-off jobs lie in two other indexes: by priority, in the same order, and by time. So they cost
the ready jobs nothing, however many they are.

The limits of claims are bound as `+:limit`: a newer SQLite plans a statement anew for each bound limit that it can see,
which takes several times as long as the claim's look at the jobs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from ...messages.jobs import Instant, JobRecord
from ...messages.names import paused_at
from ..ports import DueCheck
from . import turns
from .database import Database
from .job_rows import WHOLE
from .names import read_pauses
from .turns import ALONE, CLAIMABLE, PRIORITIES_MAX, SKIP_LOCKED, priorities

LONGEST_DUE_MAX = 1_000
"""Where jobs waited at many priorities, a claim picks from so many that have been due longest."""

READY = f"""
  select {WHOLE} from lamplighter_jobs
  where state = 'queued' and waits = 0 and name = :name and run_at <= :now {CLAIMABLE}
  order by priority desc, run_at, no limit +:limit {SKIP_LOCKED}
"""

WAITED = f"""
  select {WHOLE} from lamplighter_jobs
  where state = 'queued' and waits = 1 and name = :name and priority = :priority and run_at <= :now {CLAIMABLE}
  order by run_at, no limit +:limit {SKIP_LOCKED}
"""

WAITED_LONGEST = f"""
  select {WHOLE} from lamplighter_jobs where no in (
    select no from lamplighter_jobs indexed by lamplighter_jobs_later
    where state = 'queued' and waits = 1 and name = :name and run_at <= :now {CLAIMABLE}
    order by run_at limit {LONGEST_DUE_MAX})
  order by priority desc, run_at, no limit +:limit {SKIP_LOCKED}
"""

SUSPECT = f"""
  select {WHOLE} from lamplighter_jobs
  where state = 'queued' and name = :name and suspect_until > :now and run_at <= :now and rev > 0
    and {ALONE}
    and (expires_at is null or expires_at > :now)
  order by priority desc, run_at, no limit 1 {SKIP_LOCKED}
"""

FIRST_READY = """select run_at from lamplighter_jobs indexed by lamplighter_jobs_ready
                 where state = 'queued' and waits = 0 and name = :name order by priority desc, run_at, no limit 1"""

ANY_READY = """select 1 from lamplighter_jobs indexed by lamplighter_jobs_ready
               where state = 'queued' and waits = 0 and name = :name and run_at <= :now limit 1"""

FIRST_WAITING = """select min(run_at) from lamplighter_jobs indexed by lamplighter_jobs_later
                   where state = 'queued' and waits = 1 and name = :name"""

FRONT = f"select :name, ({FIRST_READY}), ({FIRST_WAITING}), ({turns.HIGHEST})"

HIGHEST_WAITING = """select max(priority) from lamplighter_jobs indexed by lamplighter_jobs_waiting
                     where state = 'queued' and waits = 1 and name = :name"""


MAY_EXPIRE = "expires_at is not null and (state = 'queued' or deferred = 1)"

NEXT_EXPIRY = f"select min(expires_at) from lamplighter_jobs where {MAY_EXPIRE}"
"""The next expiry of a queued job, or of the claim of a returned handler."""


def order(job: JobRecord) -> tuple[int, Instant, int]:
    return -job.priority, job.run_at, job.row_id


class QueueHead(NamedTuple):
    """The first of a name's queued jobs.

    Attributes:
        ready: when the first job without a delay is due.
        waiting: when the first delayed one is.
        highest: the highest priority of jobs with groups; None if there are none.
    """

    name: str
    ready: Instant | None
    waiting: Instant | None
    highest: int | None

    def has_waited(self, now: Instant) -> bool:
        return self.waiting is not None and self.waiting <= now


def front_of(connection: Database, name: str) -> QueueHead:
    return QueueHead._make(connection.execute(FRONT, {"name": name}).fetchone())


def jobs(connection: Database, front: QueueHead, now: Instant, limit: int) -> list[JobRecord]:
    """The jobs of a name that may be claimed now, in order. No suspects."""
    name = front.name
    ready = [] if front.ready is None else _jobs(connection, READY, name=name, now=now, limit=limit)
    if front.waiting is None or front.waiting > now:
        return ready
    # With enough jobs found, no job after the last of them is needed.
    least = ready[-1].priority if len(ready) == limit else None
    return sorted([*ready, *_waited(connection, name, now, limit, least)], key=order)[:limit]


def suspect(connection: Database, name: str, now: Instant) -> JobRecord | None:
    """The next suspect of a name, if it may be claimed now."""
    return next(iter(_jobs(connection, SUSPECT, name=name, now=now)), None)


def outlook(connection: Database, names: Collection[str], now: Instant) -> DueCheck:
    query = f"""select ({NEXT_EXPIRY}), exists (select 1 from lamplighter_jobs where rev <= 0)
                  or exists (select 1 from lamplighter_schedule_changes)
                  or exists (select 1 from lamplighter_parents_to_check)"""
    expiry, is_due = connection.execute(query).fetchone()
    is_due = is_due or (expiry is not None and expiry <= now)
    paused = paused_at(read_pauses(connection), now) if names else {}
    fronts = [front_of(connection, name) for name in names]
    lines = [front.name for front in fronts if front.highest is not None]
    is_due = is_due or any(_is_any(connection, front, now) for front in fronts if front.name not in paused)
    is_due = is_due or any(turns.is_due(connection, name, now) for name in lines if name not in paused)
    resumed = (pause.until for name, pause in paused.items() if name in names)
    following = (_following(connection, front, now) for front in fronts)
    in_line = (turns.first(connection, name, now) for name in lines)
    return DueCheck(bool(is_due), earliest(*resumed, *following, *in_line), expiry)


def is_due(connection: Database, name: str, now: Instant) -> bool:
    front = front_of(connection, name)
    return _is_any(connection, front, now) or (front.highest is not None and turns.is_due(connection, name, now))


def _is_any(connection: Database, front: QueueHead, now: Instant) -> bool:
    if front.has_waited(now) or front.ready is None:
        return front.has_waited(now)
    return front.ready <= now or _one(connection, ANY_READY, name=front.name, now=now) is not None


def _following(connection: Database, front: QueueHead, now: Instant) -> Instant | None:
    waiting = front.waiting
    if front.has_waited(now):
        waiting = _one(connection, FIRST_WAITING + " and run_at > :now", name=front.name, now=now)
    return earliest(front.ready if front.ready is not None and front.ready > now else None, waiting)


def _waited(connection: Database, name: str, now: Instant, limit: int, least: int | None) -> list[JobRecord]:
    found: list[JobRecord] = []
    for tried, priority in enumerate(priorities(connection, HIGHEST_WAITING, name)):
        if len(found) == limit or (least is not None and priority < least):
            return found
        if tried == PRIORITIES_MAX:
            return _jobs(connection, WAITED_LONGEST, name=name, now=now, limit=limit)
        rest = limit - len(found)
        found += _jobs(connection, WAITED, name=name, now=now, priority=priority, limit=rest)
    return found


def earliest(*instants: Instant | None) -> Instant | None:
    return min((at for at in instants if at is not None), default=None)


def _jobs(connection: Database, query: str, **values: Any) -> list[JobRecord]:
    return list(map(JobRecord._make, connection.execute(query, values)))


def _one(connection: Database, query: str, **values: Any) -> Any:
    row = connection.execute(query, values).fetchone()
    return None if row is None else row[0]
