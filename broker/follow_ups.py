"""What follows a job that is done, as a turn or an application's own transaction stores it."""

from __future__ import annotations

from collections.abc import Sequence

from ..messages.jobs import Instant, JobRecord, NewJob
from ..rules.new_jobs import follow_ups
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
                other = job._replace(id=f"{job.id}~{ended.no}")
                asked[made[job.id]] = other
                (stored[place],) = insert([other])
        return stored

    return asked, insert_in_order(insert_new, asked)
