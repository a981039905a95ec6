"""Jobs of one call, of which some wait for others: each is stored before those that wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import UsageError
from ..messages.jobs import JobRecord, NewJob
from ..rules.capabilities import needed
from ..rules.links import named_ids, resolved
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
