"""Since when a job runs, and on which runtime, where jobs are messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lamplighter import Job, JobFailed, Runtime

JOIN_SECONDS = 15.0


def end(job: Job[Any]) -> list[str | None]:
    """Ends well, or not."""
    if job.data == "dead":
        raise ValueError("broken")
    return [job.runs_on, job.started_at and job.started_at.isoformat()]


def test_whoever_has_queued_a_job_learns_who_has_run_it(url: str, runtime: Callable[..., Runtime]) -> None:
    one, other = runtime(url), runtime(url)
    other.jobs.add_handler("work", end, max_attempts=1)

    done = one.jobs.join(one.jobs.queue("work"), timeout=JOIN_SECONDS)
    with pytest.raises(JobFailed) as caught:
        one.jobs.join(one.jobs.queue("work", "dead"), timeout=JOIN_SECONDS)
    dead = caught.value.job

    worker = other.boot
    assert worker is not None
    assert done.started_at is not None
    assert [done.runs_on, done.started_at.isoformat()] == done.result
    assert (done.runs_on, dead.runs_on) == (worker.id, worker.id)
    (listed,) = one.jobs.list(state="dead")
    assert (listed.runs_on, listed.started_at) == (worker.id, dead.started_at)
    again = one.jobs.requeue(listed)
    assert (again.runs_on, again.started_at) == (None, None)
