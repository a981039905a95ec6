"""Waiting for the end of a job, by whoever has joined it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

from ..errors import JobFailed, alike
from ..job import Job
from ..messages.jobs import ENDED, JobRecord, JobState, Seconds
from ..messages.mail import Reply
from ..rules.validation import check_seconds, unknown_job
from .boot import Boot
from .job_refs import Ref, types_of

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
        raise TimeoutError(f"job {job_id} has not ended within {timeout} s{_still(boot, job_id)}") from None
    finally:
        boot.joins.drop(job_id, reply)


def _still(boot: Boot, job_id: str) -> str:
    """Where a job is that somebody has waited for in vain."""
    job = boot.store.jobs.known((job_id,)).get(job_id)
    if job is None or job.state in ENDED:
        return ""
    if job.state == JobState.RUNNING:
        return f": attempt {job.attempt + 1} is running"
    wait = job.run_at - boot.clock.now()
    if wait > 0.0:
        return f": it is queued, and due in {wait:.1f} s"
    if job.name in boot.store.jobs.paused():
        return f": it is queued, and {job.name!r} is paused"
    names = {*boot.share.names(), *(name for one in boot.store.surroundings(boot.id).boots for name in one.names)}
    if job.name in names or (boot.store.peers is not None and boot.store.peers.is_handled(job.name)):
        return ": it is queued, behind others"
    hint = "".join(f"; did you mean {close!r}?" for close in alike(job.name, names))
    return f": it is queued, and no running process on {boot.store.address} has a handler for {job.name!r}{hint}"


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
        raise unknown_job(job_id, " to this runtime, which has not queued it" if boot.store.table is None else "")
    return record


def outcome(record: JobRecord, job: Ref) -> Job[Any]:
    """The job that was waited for, as it has ended.

    Raises:
        JobFailed: it is dead or cancelled.
    """
    ended: Job[Any] = Job(record, types=types_of(job))
    if ended.state is not JobState.DONE:
        raise JobFailed(f"job {ended.id} ({ended.name}) is {ended.state.value}: {ended.error or ended.reason}", ended)
    return ended
