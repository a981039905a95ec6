"""How a job ends whose handler says so, for whoever has queued it elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lamplighter import Cancel, Discard, Job, JobFailed, Runtime

from ....conftest import Recorder

JOIN_SECONDS = 15.0


def end(job: Job[Any]) -> None:
    """Ends on purpose, one way or the other."""
    if job.data is None:
        raise Cancel("the order was deleted")
    try:
        int(job.data)
    except ValueError as error:
        raise Discard("not a number") from error


def test_a_cancel_and_a_discard_reach_the_runtime_that_queued_the_job(
    url: str, runtime: Callable[..., Runtime], recorder: Recorder
) -> None:
    one, other = runtime(url), runtime(url)
    other.jobs.add_handler("work", end)
    jobs = one.jobs.queue_many([("work", None), ("work", "seven")])

    ended = []
    for job in jobs:
        with pytest.raises(JobFailed) as caught:
            one.jobs.join(job, timeout=JOIN_SECONDS)
        ended.append(caught.value.job)
    cancelled, dead = ended

    assert (cancelled.state, cancelled.reason, cancelled.error) == ("cancelled", "the order was deleted", None)
    assert (dead.state, dead.reason) == ("dead", "not a number")
    assert "ValueError: invalid literal" in str(dead.traceback)
    assert [job.id for job in one.jobs.list(state="dead")] == [dead.id], "a cancelled job is none"
    assert recorder.wait_for("job.cancelled", job_id=cancelled.id)["level"] == "info"
    assert recorder.wait_for("job.dead", job_id=dead.id)["traceback"] == dead.traceback
