"""How many jobs there are, of which names: read from indexes, and only up to a cap."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from ...messages.jobs import ENDED, Instant, JobRecord, JobState, Seconds
from ...messages.queries import CappedCounts, Census
from . import due, finding
from .claimable import PRIORITIES_MAX
from .finding import UNFINISHED

READY = """select count(*), min(run_at), count(case when run_at > :now then 1 end) from (
             select run_at from lamplighter_jobs indexed by lamplighter_jobs_ready
             where state = 'queued' and waits = 0 and name = :name limit :cap)"""

WAITED = """select count(*), min(run_at) from (
              select run_at from lamplighter_jobs indexed by lamplighter_jobs_later
              where state = 'queued' and waits = 1 and name = :name and run_at <= :now limit :cap)"""

WAITING = """select count(*) from (
               select 1 from lamplighter_jobs indexed by lamplighter_jobs_later
               where state = 'queued' and waits = 1 and name = :name and run_at > :now limit :cap)"""

GROUPED = """select count(*), min(run_at), count(case when run_at > :now then 1 end) from (
               select run_at from lamplighter_jobs indexed by lamplighter_jobs_grouped
               where state = 'queued' and waits = 3 and name = :name limit :cap)"""

LINKED = f"select count(*) from (select 1 {UNFINISHED[2][1]} and name = :name limit :cap)"

HIGHEST_READY = """select max(priority) from lamplighter_jobs indexed by lamplighter_jobs_ready
                   where state = 'queued' and waits = 0 and name = :name"""

OLDEST_READY = """select min(run_at) from lamplighter_jobs indexed by lamplighter_jobs_ready
                  where state = 'queued' and waits = 0 and name = :name and priority = :priority"""

ENDED_ROWS = """from lamplighter_jobs indexed by lamplighter_jobs_ended
                where state = :state and ended_at is not null"""

MAY_BE_DUE = (finding.READY, finding.WAITING, finding.GROUPED)

TALLIED = "from lamplighter_tallies where span = 0 and start = 0"

CHILDREN = "from lamplighter_jobs indexed by lamplighter_jobs_children where corr = :root_id and corr <> id"


def census(connection: sqlite3.Connection, names: Collection[str], cap: int, now: Instant) -> dict[str, Census]:
    return {name: _census(connection, {"name": name, "cap": cap, "now": now}) for name in names}


def _census(connection: sqlite3.Connection, about: dict[str, Any]) -> Census:
    ready, oldest, not_yet = connection.execute(READY, about).fetchone()
    waited, oldest_waited = connection.execute(WAITED, about).fetchone()
    (waiting,) = connection.execute(WAITING, about).fetchone()
    grouped, oldest_grouped, grouped_later = connection.execute(GROUPED, about).fetchone()
    (linked,) = connection.execute(LINKED, about).fetchone()
    running = _count(connection, f"{UNFINISHED[-1][1]} and name = :name", about)
    cap, dues = about["cap"], [oldest, oldest_waited, oldest_grouped]
    if ready >= cap:
        # The counted jobs are those of the highest priorities. Others may be due longer.
        dues += _oldest(connection, about)
    due_at = min((at for at in dues if at is not None and at <= about["now"]), default=None)
    due_now, later = ready - not_yet + waited + grouped - grouped_later, waiting + not_yet + grouped_later + linked
    return Census(
        ready=min(due_now, cap),
        scheduled=min(later, cap),
        running=running,
        capped=max(ready, grouped, due_now, later, running) >= cap,
        oldest_ready=due_at,
    )


def _oldest(connection: sqlite3.Connection, about: dict[str, Any]) -> Iterator[Instant | None]:
    """The oldest job of each priority, of as many priorities as a claim looks at: one index seek each."""
    (priority,) = connection.execute(HIGHEST_READY, about).fetchone()
    for _ in range(PRIORITIES_MAX):
        if priority is None:
            return
        yield connection.execute(OLDEST_READY, {**about, "priority": priority}).fetchone()[0]
        below = {**about, "priority": priority}
        (priority,) = connection.execute(f"{HIGHEST_READY} and priority < :priority", below).fetchone()


def by_state(connection: sqlite3.Connection, name: str | None, seconds_max: Seconds | None = None) -> dict[str, int]:
    query = "select state, count(*) from lamplighter_jobs where :name is null or name = :name group by state"
    found = dict(connection.execute(query, {"name": name}).fetchall())
    return {state.value: found.get(state.value, 0) for state in JobState}


def counts(connection: sqlite3.Connection, name: str | None, cap: int) -> CappedCounts:
    about = {"name": name, "cap": cap}
    found, capped = dict.fromkeys((state.value for state in JobState), 0), set[str]()
    for unfinished, rows in UNFINISHED:
        found[unfinished.value] += _count(connection, rows if name is None else f"{rows} and name = :name", about)
    for ended in ENDED:
        state = ended.value
        looked = _count(connection, ENDED_ROWS, {**about, "state": state})
        found[state] = looked if name is None else _of_name(connection, {**about, "state": state})
        capped |= {state} if looked >= cap else set()
    capped |= {state for state, count in found.items() if count >= cap}
    return CappedCounts({state: min(count, cap) for state, count in found.items()}, frozenset(capped))


def _of_name(connection: sqlite3.Connection, about: dict[str, Any]) -> int:
    """Count the last ended jobs of a name: no index knows more."""
    newest = f"select name {ENDED_ROWS} order by ended_at desc limit :cap"
    return int(connection.execute(f"select count(*) from ({newest}) where name = :name", about).fetchone()[0])


def _count(connection: sqlite3.Connection, rows: str, about: dict[str, Any]) -> int:
    return int(connection.execute(f"select count(*) from (select 1 {rows} limit :cap)", about).fetchone()[0])


def names(connection: sqlite3.Connection, first: str = "", limit: int | None = None) -> list[str]:
    # The empty name, `OTHERS`, has sums of no particular name.
    places = [_distinct(connection, rows, first or "\0") for rows in (*(rows for _, rows in UNFINISHED), TALLIED)]
    return sorted({name for found in places for name in islice(found, limit)})[:limit]


def due_names(connection: sqlite3.Connection, now: Instant, limit: int) -> list[str]:
    found = {name for rows in MAY_BE_DUE for name in islice(_distinct(connection, rows), limit)}
    return [name for name in sorted(found) if due.is_due(connection, name, now)][:limit]


def _distinct(connection: sqlite3.Connection, rows: str, first: str = "") -> Iterator[str]:
    (name,) = connection.execute(f"select min(name) {rows} and name >= :name", {"name": first}).fetchone()
    while name is not None:
        yield name
        (name,) = connection.execute(f"select min(name) {rows} and name > :name", {"name": name}).fetchone()


def children(connection: sqlite3.Connection, root_id: str, limit: int) -> Sequence[JobRecord]:
    rows = connection.execute(f"select * {CHILDREN} order by no limit :limit", {"root_id": root_id, "limit": limit})
    return list(map(JobRecord._make, rows))
