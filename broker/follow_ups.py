"""What follows a job that is done, as a turn or an application's own transaction stores it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..messages.jobs import Instant, JobRecord, NewJob
from ..rules.new_jobs import follow_ups

Insert = Callable[[Sequence[NewJob]], list[tuple[JobRecord, bool]]]
"""`JobQueue.insert`."""


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
    stored = insert(asked)
    for place, (record, fresh) in enumerate(stored if has_table else ()):
        if not fresh and not then[place].id and record.id == asked[place].id:
            asked[place] = asked[place]._replace(id=f"{record.id}~{ended.no}")
            (stored[place],) = insert([asked[place]])
    return asked, stored
