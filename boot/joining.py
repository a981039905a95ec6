"""Waiting for the end of a job, by whoever has joined it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

from ..errors import JobFailed, UnknownJob
from ..job import Job
from ..messages.jobs import ENDED, JobRecord, JobState, Seconds
from ..messages.mail import Reply
from ..rules.validation import check_seconds
from .boot import Boot

R = TypeVar("R", bound=Reply)


def seconds_of(timeout: Seconds | None) -> Seconds | None:
    """How long a caller waits at most; None for ever.

    Raises:
        UsageError: that is no time.
    """
    return None if timeout is None else check_seconds(timeout, "timeout")


@contextlib.contextmanager
def awaiting(boot: Boot, job_id: str, reply: R, timeout: Seconds | None) -> Iterator[R]:
    """Have a reply answered when a job ends, as long as this lasts. The job may have ended before: look once inside.

    Raises:
        TimeoutError: it has not ended within `timeout` seconds.
    """
    boot.joins.add(job_id, reply)
    try:
        yield reply
    except TimeoutError:
        raise TimeoutError(f"job {job_id} has not ended within {timeout} s") from None
    finally:
        boot.joins.drop(job_id, reply)


def ended(boot: Boot, job_id: str) -> JobRecord | None:
    """The job if it has ended.

    Raises:
        UnknownJob: it is not in the store.
    """
    record = stored(boot, job_id)
    return record if record.state in ENDED else None


def stored(boot: Boot, job_id: str) -> JobRecord:
    """The job.

    Raises:
        UnknownJob: it is not in the store.
    """
    record = boot.store.jobs.known((job_id,)).get(job_id)
    if record is None:
        where = " that this runtime has queued" if boot.store.table is None else ""
        raise UnknownJob(f"expected the id of a stored job{where}, got: {job_id!r}")
    return record


def outcome(record: JobRecord) -> Job[Any]:
    """The job as it has ended.

    Raises:
        JobFailed: it is dead or cancelled.
    """
    job: Job[Any] = Job(record)
    if job.state is not JobState.DONE:
        raise JobFailed(f"job {job.id} ({job.name}) is {job.state.value}: {job.error or job.reason}", job)
    return job
