"""Since when a job runs, and on which runtime, where jobs are messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from lamplighter import Job, JobFailed, Runtime
from lamplighter.messages.jobs import JobRecord, JobState
from lamplighter.stores.rabbitmq import job_message as wire

JOIN_SECONDS = 15.0

CLAIMED = JobRecord(
    no=7,
    id="a",
    name="work",
    data="null",
    state=JobState.RUNNING.value,
    priority=0,
    run_at=1.0,
    queued_at=1.0,
    corr="a",
    claim_no=1,
    boot="b",
    claimed_at=2.0,
)


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


def test_a_job_that_waits_says_nothing_of_who_ran_it_last() -> None:
    waiting = wire.waiting(CLAIMED._replace(state=JobState.QUEUED.value))

    assert not {"boot", "claimed_at"} & json.loads(waiting).keys()
    assert (wire.read(waiting).boot, wire.read(waiting).claimed_at) == (None, None)


@pytest.mark.parametrize("boot", ["b", None], ids=["this version", "one before"])
def test_who_has_run_a_job_is_read_where_a_version_has_said_it(boot: str | None) -> None:
    ended = wire.ended(CLAIMED._replace(state=JobState.DEAD.value, boot=boot, ended_at=3.0))

    assert ("boot" in json.loads(ended)) is (boot is not None)
    assert (wire.read_ended(ended).boot, wire.read_ended(ended).claimed_at) == (boot, 2.0)
