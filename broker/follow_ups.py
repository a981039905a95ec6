"""The jobs that follow a job that is done, as a turn or an application's own transaction stores it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from ..errors import UsageError
from ..messages.jobs import Instant, JobRecord, NewJob
from ..rules.capabilities import needed
from ..rules.links import named_ids, resolved
from ..rules.new_jobs import follow_up_id, follow_ups
from ..rules.validation import unknown_parent

Stored = list[tuple[JobRecord, bool]]
"""For each requested job: the stored job, and whether it is new."""

Insert = Callable[[Sequence[NewJob]], Stored]


class KnowsJobs(Protocol):
    """Where jobs are looked for that others are to wait for: the links of a turn, for one."""

    def unknown(self, job_ids: Sequence[str]) -> Collection[str]:
        """Those of these ids that no job has."""


def check_parents(links: KnowsJobs | None, jobs: Sequence[NewJob]) -> None:
    """Check that the parents of a call's jobs exist, before any of these is stored.

    Raises:
        UnknownJob: a parent does not exist.
        UsageError: a parent stands later in the same call.
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
    """`insert` the jobs of one call, some of which may wait for earlier ones of it."""
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
    """Store the follow-up jobs of `ended` (its record before its end). Return the requests, and each stored job with
    whether it is new.

    Args:
        has_table: whether the store keeps every job in a table. There an end is never stored twice, so a generated id
            that is known belongs to a follow-up of an earlier job with the same id, which retention has removed.
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
    """Whether a second end as done equals the first, as far as the store can tell: the same result, and the same number
    of follow-ups with the same names, data and keys. A known id of the caller keeps the data of the first.

    Args:
        twin: finds the stored job that has the id of a new one, or else holds its key.
    """
    if result != done.result:
        return False
    before = done._replace(move_no=done.move_no - 1)
    for number, job in enumerate(then, start=1):
        job_id = job.id or follow_up_id(before, number)
        found = [twin(job._replace(id=one)) for one in (job_id, _instead(job_id, before))]
        if not any(one is not None and (job.id or _says(one) == _says(job)) for one in found):
            return False
    return not find([follow_up_id(before, len(then) + 1)])


def _says(job: NewJob | JobRecord) -> tuple[str | None, ...]:
    """The fields by which two follow-ups are compared."""
    return job.name, job.data, job.unique_key, job.debounce_key


def _instead(job_id: str, ended: JobRecord) -> str:
    """A follow-up's id, where an earlier job already has the generated one."""
    return f"{job_id}~{ended.row_id}"
