"""Rows of `lamplighter_jobs`: inserts, and fenced updates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any

from ...errors import StoreError
from ...messages.jobs import WAITS_FOR_JOBS, WAITS_ITS_TURN, JobRecord, JobState, NewJob, stored_name
from ..transitions import UNCOUNTED, is_to_wait, record_of
from .database import Database, Statements

READY = "from lamplighter_jobs indexed by lamplighter_jobs_ready where state = 'queued' and waits = 0"

WAITING = "from lamplighter_jobs indexed by lamplighter_jobs_waiting where state = 'queued' and waits = 1"

LINKED = f"from lamplighter_jobs indexed by lamplighter_jobs_linked where state = 'queued' and waits = {WAITS_FOR_JOBS}"

GROUPED = (
    f"from lamplighter_jobs indexed by lamplighter_jobs_grouped where state = 'queued' and waits = {WAITS_ITS_TURN}"
)

HIGHEST_GROUPED = f"select max(priority) {GROUPED} and name = :name"

RUNNING = "from lamplighter_jobs indexed by lamplighter_jobs_running where state = 'running'"

UNFINISHED = (
    *((JobState.QUEUED, rows) for rows in (READY, WAITING, LINKED, GROUPED)),
    (JobState.RUNNING, RUNNING),
)
"""Rows of the indexes that begin with the name, and their state."""

KEPT = "order by no /*pg for no key update */"
"""Nobody else changes the jobs that were read so until the turn has ended."""

HOLDERS = {
    "debounce_key": f"debounce_until is not null {KEPT}",
    "unique_key": "state in ('queued', 'running')",
}
"""Which job of those with a key holds it, by the kind of the key."""

STATE = "coalesce(state, '')"
"""The state of a row that is found by its number. With the bare column, PostgreSQL may read the index of all running
jobs instead."""

HELD_BY = "coalesce(boot, '') = ?"
"""The fence has the boot as well: where a store has gone back, a claim of another boot may have the same number."""

KEYS_MAX = 500
"""SQLite may allow only 999 parameters in a statement."""


def _values_of(names: Sequence[str]) -> Callable[[NewJob], tuple[Any, ...]]:
    return itemgetter(*map(NewJob._fields.index, names))


OPTIONAL = tuple(NewJob._field_defaults)
PLAIN = tuple(name for name in NewJob._fields if name not in OPTIONAL)
"""Columns of a job without options. Unbound columns save a quarter of an insert."""

STORED = tuple(name for name in NewJob._fields if name in JobRecord._fields)
COLUMNS = (*STORED, "waits")
"""Columns of a job with options; its parents have a table of their own."""

NOTHING_MORE = tuple(NewJob._field_defaults.values())

ID = attrgetter("id")

plain_values, _optional, stored_values = map(_values_of, (PLAIN, OPTIONAL, STORED))

NEXT_NO = """1 + max((select last_no from lamplighter_store), (select coalesce(max(no), 0) from lamplighter_jobs))"""
"""Never used before, even if retention removed the last jobs. `autoincrement` would write a page more in every commit.
"""


def insertion(jobs: Sequence[NewJob], first_no: int, *, twins: str = "") -> tuple[str, list[Any]]:
    """The statement and values that insert jobs, all of them or none.

    Args:
        first_no: the `row_id` of the first; the others follow.
        twins: the conflict clause; without one a twin raises `Database.IntegrityError`.
    """
    values: list[Any] = []
    is_plain = True
    for job in jobs:
        is_plain = is_plain and job.run_at <= job.queued_at and _optional(job) == NOTHING_MORE
    if is_plain:
        for row_id, job in enumerate(jobs, first_no):
            values.append(row_id)
            values += plain_values(job)
        return _insert(PLAIN, len(jobs), twins), values
    for row_id, job in enumerate(jobs, first_no):
        values.append(row_id)
        values += stored_values(job)
        values.append(is_to_wait(job))
    return _insert(COLUMNS, len(jobs), twins), values


@cache
def _insert(columns: tuple[str, ...], rows: int, twins: str) -> str:
    row = f"('queued', {', '.join('?' * (len(columns) + 1))})"
    return f"""insert into lamplighter_jobs (state, no, {listed(columns)})
               values {", ".join([row] * rows)} {twins}"""


def listed(fields: Sequence[str], of: str = "") -> str:
    return ", ".join(of + stored_name(field) for field in fields)


WHOLE = listed(JobRecord._fields)
"""The columns of a record. Never `*`: a newer version may add columns while this one runs."""


def free_job(no: str) -> str:
    """The job with a number, for a `left join`, which keeps it until the turn has ended. Nothing where another
    transaction does."""
    return f"/*pg lateral (select * from*/ lamplighter_jobs /*pg where no = {no} for no key update skip locked)*/"


def insert_unless_known(connection: Database, job: NewJob, row_id: int) -> bool:
    """Insert a job. False if there is a twin, see `stored_twins`."""
    return connection.execute(*insertion((job,), row_id, twins="on conflict do nothing")).rowcount == 1


def insert_uncounted(cursor: Statements, job: NewJob) -> int | None:
    """Insert a job in a transaction that is not a turn. Returns its `row_id`; None if there is a twin."""
    columns = listed((*COLUMNS, "move_no"))
    query = f"""insert into lamplighter_jobs (no, state, {columns})
                values ({NEXT_NO}, 'queued', {", ".join("?" * (len(COLUMNS) + 1))})
                on conflict do nothing returning no"""
    inserted = cursor.execute(query, (*stored_values(job), is_to_wait(job), UNCOUNTED)).fetchall()
    return int(inserted[0][0]) if inserted else None


def stored_twins(connection: Statements, jobs: Sequence[NewJob]) -> list[JobRecord | None]:
    """For each job the stored one that keeps it out: same id, same debounce key, or same unique key and unfinished."""
    known = jobs_by_id(connection, dict.fromkeys(map(ID, jobs)), KEPT)
    twins = [known.get(job.id) for job in jobs]
    for kind in HOLDERS:
        held = key_holders(connection, [job for job, twin in zip(jobs, twins, strict=True) if twin is None], kind)
        key_of = attrgetter("name", kind)
        twins = [twin or held.get(key_of(job)) for job, twin in zip(jobs, twins, strict=True)]
    return twins


def key_holders(
    connection: Statements, jobs: Sequence[NewJob | JobRecord], kind: str
) -> dict[tuple[str, str], JobRecord]:
    """The jobs that hold the keys of some jobs, by name and key.

    Args:
        kind: of the keys, one of `HOLDERS`.
    """
    asked: dict[str, dict[str, None]] = {}
    for job in jobs:
        if (key := getattr(job, kind)) is not None:
            asked.setdefault(job.name, {})[key] = None
    query = f"select {WHOLE} from lamplighter_jobs where {kind} in ({{places}}) and name = ? and {HOLDERS[kind]}"
    rows = chain.from_iterable(in_batches(connection, query, asked[name], name) for name in sorted(asked))
    holders = list(map(JobRecord._make, rows))
    return dict(zip(map(attrgetter("name", kind), holders), holders, strict=True))


def jobs_by_id(connection: Statements, job_ids: Collection[str], more: str = "") -> dict[str, JobRecord]:
    """Jobs by their ids.

    Args:
        more: the rest of the statement.
    """
    rows = in_batches(connection, f"select {WHOLE} from lamplighter_jobs where id in ({{places}}) {more}", job_ids)
    jobs = list(map(JobRecord._make, rows))
    return dict(zip(map(ID, jobs), jobs, strict=True))


def in_batches(connection: Statements, query: str, keys: Collection[str], *more: Any) -> list[tuple[Any, ...]]:
    asked, rows = list(keys), list[tuple[Any, ...]]()
    for first in range(0, len(asked), KEYS_MAX):
        some = asked[first : first + KEYS_MAX]
        rows += connection.execute(query.format(places=", ".join("?" * len(some))), (*some, *more))
    return rows


class KeptOut(StoreError):
    """Jobs were not inserted, and no stored job is in their way."""

    def __init__(self, jobs: int) -> None:
        super().__init__(f"a trigger on lamplighter_jobs, which is not ours, has kept {jobs} jobs out")


def update(connection: Statements, job: JobRecord, changes: dict[str, Any]) -> bool:
    """Change columns of a job if the fence is as the caller saw it; returns whether it was."""
    seen = (job.row_id, job.claim_no, job.state, job.boot or "")
    done = connection.execute(_update(tuple(changes)), (*changes.values(), *seen))
    return done.rowcount == 1


@cache
def _update(columns: tuple[str, ...]) -> str:
    settings = ", ".join(f"{stored_name(column)} = ?" for column in columns)
    return f"update lamplighter_jobs set {settings} where no = ? and claim_no = ? and state = ? and {HELD_BY}"


def update_together(
    connection: Database,
    jobs: Sequence[JobRecord],
    columns: tuple[str, ...],
    values: Sequence[tuple[Any, ...]],
) -> bool:
    """`update` several jobs of one state and boot in the same columns, all or none; returns whether they were."""
    connection.execute("savepoint lamplighter_together")
    # Duplicates are updated once.
    is_done = connection.execute(*bound_together(jobs, columns, values)).rowcount == len(jobs)
    if not is_done:
        connection.execute("rollback to lamplighter_together")
    connection.execute("release lamplighter_together")
    return is_done


def bound_together(
    jobs: Sequence[JobRecord], columns: tuple[str, ...], values: Sequence[tuple[Any, ...]]
) -> tuple[str, tuple[Any, ...]]:
    """The statement of `update_together`, and its parameters."""
    bound, own = shared_values(columns, values)
    rows = zip([job.row_id for job in jobs], [job.claim_no for job in jobs], *own.values(), strict=True)
    query = _update_together(columns, tuple(own), JobState(jobs[0].state), len(jobs))
    return query, (*bound, *chain.from_iterable(rows), jobs[0].boot or "")


def shared_values(
    columns: tuple[str, ...], values: Sequence[tuple[Any, ...]]
) -> tuple[list[Any], dict[str, tuple[Any, ...]]]:
    """The values of the columns that have one for all jobs, in order, and by column those of the others."""
    bound: list[Any] = []
    own: dict[str, tuple[Any, ...]] = {}
    for column, those in zip(columns, zip(*values, strict=True), strict=True):
        if those.count(those[0]) == len(those):
            bound.append(those[0])
        else:
            own[column] = those
    return bound, own


@cache
def _update_together(columns: tuple[str, ...], own: tuple[str, ...], state: JobState, jobs: int) -> str:
    """The statement of `update_together`. The state is no parameter: SQLite would plan the statement anew at each
    binding of a value that an index might use.

    Args:
        own: columns with a value for each job.
    """
    settings = [f"{stored_name(column)} = ?" for column in columns if column not in own]
    settings += [f"{stored_name(column)} = each.column{place}" for place, column in enumerate(own, 3)]
    row = f"({', '.join('?' * (len(own) + 2))})"
    return f"""update lamplighter_jobs set {", ".join(settings)}
               from (values {", ".join([row] * jobs)}) as each
               where no = each.column1 and claim_no = each.column2 and {STATE} = '{state}' and {HELD_BY}"""


def changed(job: JobRecord, columns: tuple[str, ...], values: Iterable[Any]) -> JobRecord:
    return record_of(_places(columns)((*job, *values)))


@cache
def _places(columns: tuple[str, ...]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A getter of a changed record's values out of the old record's, followed by the new ones."""
    places = {column: len(JobRecord._fields) + place for place, column in enumerate(columns)}
    return itemgetter(*(places.get(column, place) for place, column in enumerate(JobRecord._fields)))
