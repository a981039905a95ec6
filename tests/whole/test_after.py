"""`after` and `after_ended`: jobs that wait for others, and share their fate."""

from __future__ import annotations

import pytest
from lamplighter import Runtime

from ..test_after import JOIN_SECONDS_MAX


@pytest.mark.parametrize("lane", ["thread", "task", "process"])
def test_every_kind_of_lane_reads_and_names_parents(runtime, importable, lane):
    module = importable(
        "functions_with_parents",
        """
from lamplighter import JobSpec, UsageError

def gather(job):
    return [one.result for one in job.parents()]

async def gather_async(job):
    return gather(job)

def plan(job):
    parts = [JobSpec(name="part", data=n) for n in range(150)]
    queued = job.queue_many([*parts, JobSpec(name="gather", after=parts, after_ended=job)])
    job.then(JobSpec(name="gather", id="then", after=[queued[0], queued[1].id]))
    try:
        job.queue_many([JobSpec(name="gather", after=parts[0])])
    except UsageError as error:
        return [queued[-1].id, str(error)]

async def plan_async(job):
    parts = [JobSpec(name="part", data=n) for n in range(150)]
    queued = await job.aqueue_many([*parts, JobSpec(name="gather", after=parts, after_ended=job)])
    job.then(JobSpec(name="gather", id="then", after=[queued[0], queued[1].id]))
    try:
        await job.aqueue_many([JobSpec(name="gather", after=parts[0])])
    except UsageError as error:
        return [queued[-1].id, str(error)]
""",
    )
    rt: Runtime = runtime(workers_max=4)
    rt.jobs.add_handler("part", lambda job: job.data)
    suffix, isolation = ("_async" if lane == "task" else ""), ("process" if lane == "process" else "thread")
    for name in ("gather", "plan"):
        rt.jobs.add_handler(name, getattr(module, name + suffix), isolation=isolation)

    gather_id, error = planned = rt.jobs.join(rt.jobs.queue("plan"), JOIN_SECONDS_MAX).result

    assert rt.jobs.join(gather_id, JOIN_SECONDS_MAX).result == [*range(150), planned]
    assert rt.jobs.join("then", JOIN_SECONDS_MAX).result == [0, 1]
    assert error == "expected after to hold a JobSpec that is queued in the same call, got: JobSpec(name='part')"
