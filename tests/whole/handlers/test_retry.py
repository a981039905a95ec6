"""`Retry`: an attempt has failed, and its handler says when the next one comes."""

from __future__ import annotations

import pytest

from ...handlers.test_retry import JOIN_SECONDS_MAX

FUNCTIONS = """
from lamplighter import Retry


def again(job):
    if job.attempt == 1:
        try:
            int("seven")
        except ValueError as error:
            raise Retry(0, "the other side is busy") from error
    if job.attempt == 2:
        raise Retry(0.01)
    return job.attempt


async def again_async(job):
    return again(job)
"""


@pytest.mark.parametrize("kind", ["thread", "task", "process"])
def test_it_is_an_attempt_that_has_failed_whatever_the_function_runs_on(runtime, recorder, importable, kind):
    module = importable("functions_that_say_retry", FUNCTIONS)
    rt = runtime()
    fn = module.again_async if kind == "task" else module.again
    rt.jobs.add_handler("work", fn, isolation="process" if kind == "process" else "thread", backoff=[3600])

    job = rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)

    first, second = rt.jobs.attempts(job)
    assert job.result == 3
    assert (first.outcome, first.error) == ("failed", "Retry: the other side is busy")
    assert "ValueError" in first.traceback
    assert (second.error, second.traceback) == ("Retry: tried again as its handler asked for", None)
    assert recorder.wait_for("job.failed")["reason"] == "failed in attempt 1 of 20"
