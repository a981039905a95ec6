"""The jobs that follow a job that is done, as a turn or an application's own transaction stores it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from ..messages.jobs import Instant, JobRecord, NewJob
from ..rules.new_jobs import follow_up_id, follow_ups
from .in_order import Insert, Stored, insert_in_order


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
