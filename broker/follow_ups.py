"""The jobs that follow a job that is done, as a turn or an application's own transaction stores it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from ..errors import UsageError
from ..messages.jobs import Instant, JobRecord, NewJob
from ..rules.capabilities import needed
from ..rules.links import named_ids, resolved
from ..rules.new_jobs import follow_up_id, follow_ups
from ..rules.validation import unknown_parent
from ..stores.turn_ports import JobLinks

Stored = list[tuple[JobRecord, bool]]
"""For each job that was to be queued, the job that is stored, and whether it is new."""

Insert = Callable[[Sequence[NewJob]], Stored]
"""`JobQueue.insert`."""


def check_parents(links: JobLinks | None, jobs: Sequence[NewJob]) -> None:
    """Make sure that the jobs are there which the jobs of one call are to wait for, before any of these is stored.

    Raises:
        UnknownJob: one is not.
        UsageError: it stands in the same call, and later.
        NotSupported: the store cannot have a job wait for others.
    """
    ids = named_ids(jobs)
    if not ids:
        return
    missing = set(needed(links, "after").unknown(ids))
    for place, job in enumerate(jobs if missing else ()):
        for parent in job.parents:
            if parent.job_id not in missing:
                continue
            if any(one.id == parent.job_id for one in jobs[place:]):
                raise UsageError(f"expected the JobSpec {job.name!r} to stand after those it waits for")
            raise unknown_parent(parent.job_id)
        missing.discard(job.id)


def insert_in_order(insert: Insert, jobs: Sequence[NewJob]) -> Stored:
    """`insert` the jobs of one call, of which some may wait for others that stand before them."""
    stored: Stored = []
    ids: list[str] = []
    batch: list[NewJob] = []
    for job in jobs:
        if any(parent.place >= len(stored) for parent in job.parents):
            stored += insert(batch)
            ids += (record.id for record, _ in stored[len(ids) :])
            batch = []
        batch.append(resolved(job, ids) if job.parents else job)
    return stored + insert(batch) if batch else stored


def store_follow_ups(
    insert: Insert, ended: JobRecord, then: Sequence[NewJob], now: Instant, *, has_table: bool
) -> tuple[list[NewJob], list[tuple[JobRecord, bool]]]:
    """Store the jobs that follow one which is done: what was asked for, and of each what is stored, and whether it is
    new.

    Args:
        ended: the job as it was before its end.
        has_table: whether the store keeps every job in a table. The same end is stored there no second time, so an id
            that was made for a job and is known is another job's: one that followed an earlier job of the same id,
            which retention has removed.
    """
    asked = follow_ups(ended, then, now)
    made = {job.id: place for place, job in enumerate(asked) if has_table and not then[place].id}

    def insert_new(jobs: Sequence[NewJob]) -> Stored:
        stored = insert(jobs)
        for place, (job, (record, fresh)) in enumerate(zip(jobs, stored, strict=True)):
            if not fresh and record.id == job.id and job.id in made:
                other = job._replace(id=_instead(job.id, ended))
                asked[made[job.id]] = other
                (stored[place],) = insert([other])
        return stored

    return asked, insert_in_order(insert_new, asked)


def is_said_again(
    find: Callable[[Collection[str]], Mapping[str, JobRecord]],
    twin: Callable[[NewJob], JobRecord | None],
    done: JobRecord,
    result: str | None,
    then: Sequence[NewJob],
) -> bool:
    """Whether an end of a job as done says what its first end has said, as far as the store can tell: the result, and
    how many jobs follow, with which names, data and keys. A known id of the caller keeps the data of the first.

    Args:
        find: finds stored jobs by their ids.
        twin: finds the stored job that has the id of a new one, or else holds its key.
    """
    if result != done.result:
        return False
    before = done._replace(rev=done.rev - 1)
    for number, job in enumerate(then, start=1):
        job_id = job.id or follow_up_id(before, number)
        found = [twin(job._replace(id=one)) for one in (job_id, _instead(job_id, before))]
        if not any(one is not None and (job.id or _says(one) == _says(job)) for one in found):
            return False
    return not find([follow_up_id(before, len(then) + 1)])


def _says(job: NewJob | JobRecord) -> tuple[str | None, ...]:
    """How two jobs that follow are told apart."""
    return job.name, job.data, job.unique_key, job.debounce_key


def _instead(job_id: str, ended: JobRecord) -> str:
    """The id of a job that follows another, where an earlier job has the one that was made for it."""
    return f"{job_id}~{ended.no}"
