"""Since when a job runs, and on which runtime: what `job.started_at` and `job.runs_on` say all its life."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ..test_job_runs import ended, runs

FUNCTIONS = """
def tells(job):
    return [job.started_at.isoformat(), job.runs_on, job.to_dict()["started_at"], job.to_dict()["runs_on"]]


async def tells_async(job):
    return tells(job)
"""


@pytest.mark.parametrize("kind", ["thread", "task", "process"])
def test_a_handler_knows_since_when_and_where_its_job_runs(runtime, importable, kind):
    module = importable("telling", FUNCTIONS)
    rt = runtime()
    fn = module.tells_async if kind == "task" else module.tells
    rt.jobs.add_handler("work", fn, isolation="process" if kind == "process" else "thread")
    queued_at = datetime.now(UTC)

    job = ended(rt, rt.jobs.queue("work"))

    started_at, runs_on, *as_dict = job.result
    assert queued_at <= job.started_at <= job.ended_at
    assert (datetime.fromisoformat(started_at), runs_on) == runs(job) == (job.started_at, rt.boot.id)
    assert as_dict == [started_at, runs_on]


@pytest.mark.parametrize("kind", ["thread", "process"])
@pytest.mark.parametrize("seconds", ["1e10", "inf", "nan", "-1"])
def test_a_sleep_that_is_no_time_is_refused(runtime, importable, kind, seconds):
    # It ended the job with an OverflowError, or waited for ever.
    module = importable("sleeping", "def sleeps(job):\n    job.sleep(float(job.data))\n")
    rt = runtime()
    rt.jobs.add_handler("work", module.sleeps, isolation=kind, max_attempts=1)

    job = ended(rt, rt.jobs.queue("work", seconds))

    assert "UsageError: expected seconds to be a number of seconds" in job.error
