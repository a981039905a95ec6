"""How many jobs there are, of which names; and the jobs before one: those claimed first, and running ones that may keep
it from being claimed. All of it is read from indexes, and only up to a cap.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from ...messages.jobs import ENDED, Instant, JobRecord, JobState, Seconds
from ...messages.queries import CappedCounts, Census
from ..ports import QueuePosition
from . import due, job_rows, turns
from .database import Database
from .job_rows import UNFINISHED
from .names import spent_to
from .turns import CLAIMABLE, PRIORITIES_MAX, priorities

DUE = "count(*), min(run_at), count(case when run_at > :now then 1 end)"

READY = f"select {DUE} from (select run_at {job_rows.READY} and name = :name limit :cap) as few"

GROUPED = f"select {DUE} from (select run_at {job_rows.GROUPED} and name = :name limit :cap) as few"

LATER = "from lamplighter_jobs indexed by lamplighter_jobs_later where state = 'queued' and waits = 1 and name = :name"

WAITED = f"select count(*), min(run_at) from (select run_at {LATER} and run_at <= :now limit :cap) as few"

WAITING = f"{LATER} and run_at > :now"

HIGHEST_READY = f"select max(priority) {job_rows.READY} and name = :name"

OLDEST_READY = f"select min(run_at) {job_rows.READY} and name = :name and priority = :priority"

ENDED_ROWS = """from lamplighter_jobs indexed by lamplighter_jobs_ended
                where state = :state and ended_at is not null"""

MAY_BE_DUE = (job_rows.READY, job_rows.WAITING, job_rows.GROUPED)

TALLIED = "from lamplighter_tallies where span = 0 and start = 0"

CHILDREN = "from lamplighter_jobs indexed by lamplighter_jobs_children where corr = :root_id and corr <> id"


def census(connection: Database, names: Collection[str], cap: int, now: Instant) -> dict[str, Census]:
    return {name: _census(connection, {"name": name, "cap": cap, "now": now}) for name in names}


def _census(connection: Database, about: dict[str, Any]) -> Census:
    ready, oldest, not_yet = connection.execute(READY, about).fetchone()
    waited, oldest_waited = connection.execute(WAITED, about).fetchone()
    waiting = _count(connection, WAITING, about)
    grouped, oldest_grouped, grouped_later = connection.execute(GROUPED, about).fetchone()
    linked = _count(connection, f"{job_rows.LINKED} and name = :name", about)
    running = _count(connection, f"{job_rows.RUNNING} and name = :name", about)
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


def _oldest(connection: Database, about: dict[str, Any]) -> Iterator[Instant | None]:
    """The oldest job of each priority, of as many priorities as a claim looks at: one index seek each."""
    for priority in islice(priorities(connection, HIGHEST_READY, about["name"]), PRIORITIES_MAX):
        yield connection.execute(OLDEST_READY, {**about, "priority": priority}).fetchone()[0]


def by_state(connection: Database, name: str | None, seconds_max: Seconds | None = None) -> dict[str, int]:
    query = "select state, count(*) from lamplighter_jobs where name = :name or :name is null group by state"
    found = dict(connection.execute(query, {"name": name}).fetchall())
    return {state.value: found.get(state.value, 0) for state in JobState}


def counts(connection: Database, name: str | None, cap: int) -> CappedCounts:
    about = {"name": name, "cap": cap}
    found, capped = dict.fromkeys((state.value for state in JobState), 0), set[str]()
    for unfinished, rows in UNFINISHED:
        found[unfinished.value] += _count(connection, rows if name is None else f"{rows} and name = :name", about)
    for ended in ENDED:
        state = ended.value
        looked = _count(connection, ENDED_ROWS, {**about, "state": state})
        # Only the last ended jobs of a name are counted: no index knows more.
        newest = f"from (select name {ENDED_ROWS} order by ended_at desc limit :cap) as ended where name = :name"
        found[state] = looked if name is None else _count(connection, newest, {**about, "state": state})
        capped |= {state} if looked >= cap else set()
    capped |= {state for state, count in found.items() if count >= cap}
    return CappedCounts({state: min(count, cap) for state, count in found.items()}, frozenset(capped))


def _count(connection: Database, rows: str, about: dict[str, Any]) -> int:
    return int(connection.execute(f"select count(*) from (select 1 {rows} limit :cap) as few", about).fetchone()[0])


def names(connection: Database, first: str = "", limit: int | None = None) -> list[str]:
    # The empty name, `OTHERS`, has sums of no particular name.
    places = [_distinct(connection, rows, first or "\0") for rows in (*(rows for _, rows in UNFINISHED), TALLIED)]
    return sorted({name for found in places for name in islice(found, limit)})[:limit]


def due_names(connection: Database, now: Instant, limit: int) -> list[str]:
    found = {name for rows in MAY_BE_DUE for name in islice(_distinct(connection, rows), limit)}
    return [name for name in sorted(found) if due.is_due(connection, name, now)][:limit]


def _distinct(connection: Database, rows: str, first: str = "") -> Iterator[str]:
    # The first text after another is that with NUL, which not every database knows.
    than = ">" if first.endswith("\0") else ">="
    about = {"name": first.removesuffix("\0")}
    (name,) = connection.execute(f"select min(name) {rows} and name {than} :name", about).fetchone()
    while name is not None:
        yield name
        (name,) = connection.execute(f"select min(name) {rows} and name > :name", {"name": name}).fetchone()


def children(connection: Database, root_id: str, limit: int) -> Sequence[JobRecord]:
    rows = connection.execute(
        f"select {job_rows.WHOLE} {CHILDREN} order by no limit :limit", {"root_id": root_id, "limit": limit}
    )
    return list(map(JobRecord._make, rows))


RUNNING_MAX = 10_000
"""The count of a name's running jobs stops here: there are as many as lanes."""

SUSPECTS_MAX = 1_000
"""The most running suspects that are read. There are as many as processes."""

# The order of claims, as three ranges of an index in this order: a higher priority, an earlier time, an earlier row.
_READY_AHEAD = " union all ".join(
    f"select 1 {job_rows.READY} and name = :name and {range} and run_at <= :now {CLAIMABLE}"
    for range in (
        "priority > :priority",
        "priority = :priority and run_at < :run_at",
        "priority = :priority and run_at = :run_at and no < :row_id",
    )
)

READY_AHEAD = f"from ({_READY_AHEAD}) as ahead"

# Very many jobs that are not due may wait at higher priorities. Due ones are adjacent by time.
DUE_WAITED = f"select no {LATER} and run_at <= :now limit :cap"

WAITED_AHEAD = f"""from lamplighter_jobs where no in ({DUE_WAITED})
    and (priority > :priority or (priority = :priority and (run_at < :run_at or (run_at = :run_at and no < :row_id))))
    {CLAIMABLE}
"""

GROUP_AHEAD = f"""{job_rows.GROUPED} and name = :name and priority = :priority and group_key = :group_key
                 and run_at <= :now and (run_at < :run_at or (run_at = :run_at and no < :row_id)) {CLAIMABLE}"""

SUSPECTS = f"select boot, id {job_rows.RUNNING} and suspect_until > :now limit {SUSPECTS_MAX}"

SAME_SCHEDULE = "select id from lamplighter_jobs where schedule = :schedule and state = 'running' order by no limit 1"


def before(connection: Database, job: JobRecord, now: Instant, most: int) -> QueuePosition:
    about: dict[str, Any] = {"now": now, "cap": most, **job._asdict()}
    of_group = group_spent_to = None
    if job.group_key is None:
        ready, waited = _count(connection, READY_AHEAD, about), _count(connection, WAITED_AHEAD, about)
        looked = _count(connection, f"from ({DUE_WAITED}) as waited", about)
    else:
        ready, waited, looked = _count(connection, GROUP_AHEAD, about), 0, 0
        of_group = turns.running(connection, job.name, job.group_key)
        group_spent_to = spent_to(connection, job.name, job.group_key)
    sibling = connection.execute(SAME_SCHEDULE, about).fetchone() if job.one_at_a_time else None
    return QueuePosition(
        ahead=min(ready + waited, most),
        is_capped=ready + waited >= most or looked >= most,
        running=_count(connection, f"{job_rows.RUNNING} and name = :name", {**about, "cap": RUNNING_MAX}),
        same_schedule=None if sibling is None else sibling[0],
        suspects=dict(connection.execute(SUSPECTS, about)) if job.suspect_until is not None else {},
        spent_to=spent_to(connection, job.name),
        of_group=of_group,
        group_spent_to=group_spent_to,
    )
