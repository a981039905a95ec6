"""`Retry`: an attempt has failed, and its handler says when the next one comes."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from lamplighter import JobFailed, Retry, Runtime, UsageError
from lamplighter.testing import Inline

JOIN_SECONDS_MAX = 20


def test_the_next_attempt_comes_after_the_seconds_that_the_handler_has_said():
    def register(runtime: Runtime) -> None:
        def work(job):
            if job.attempt == 1:
                raise Retry(90)

        runtime.jobs.add_handler("work", work, backoff=[1])

    with Inline(register) as app:
        job = app.jobs.queue("work")
        failed_at = app.jobs.attempts(job)[0].ended_at
        waiting = app.jobs.get(job)
        app.advance(minutes=2)

        assert waiting.run_at.timestamp() == pytest.approx(failed_at + 90, rel=0, abs=0.001)
        assert app.jobs.get(job).started_at - waiting.run_at < timedelta(seconds=1)


def test_after_the_last_attempt_the_job_is_dead(runtime):
    rt = runtime()
    seen = []

    def work(job):
        error = Retry(0, "busy")
        seen.append(job.is_tried_again(error))
        raise error

    rt.jobs.add_handler("work", work, max_attempts=2)

    with pytest.raises(JobFailed) as caught:
        rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)

    assert (caught.value.job.reason, caught.value.job.error) == ("failed in attempt 2 of 2", "Retry: busy")
    assert seen == [True, False]


@pytest.mark.parametrize("options", [{"retry_on": OSError}, {"discard_on": Exception}])
def test_no_class_of_errors_decides(runtime, options):
    rt = runtime()

    def work(job):
        if job.attempt == 1:
            raise Retry(0)

    rt.jobs.add_handler("work", work, **options)

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX).state == "done"


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "60", None, True])
def test_what_is_no_time_is_refused(seconds):
    with pytest.raises(
        UsageError, match=r"expected Retry\(seconds\) to be a number of seconds or a timedelta, 0 or more"
    ):
        Retry(seconds)


def test_a_class_that_does_not_call_ours_fails_as_a_bug(runtime):
    class Mine(Retry):
        def __init__(self):
            pass

    rt = runtime()

    def work(job):
        raise Mine

    rt.jobs.add_handler("work", work, max_attempts=1)
    job = rt.jobs.queue("work")
    with suppress(JobFailed):
        rt.jobs.join(job, timeout=JOIN_SECONDS_MAX)

    assert rt.jobs.get(job).error.startswith("Mine: expected Retry(seconds) to be a number of seconds")


@pytest.mark.parametrize("option", ["retry_on", "discard_on"])
def test_it_is_no_error_that_a_handler_could_name(runtime, option):
    with pytest.raises(UsageError, match=f"expected {option} to name errors, got: Retry"):
        runtime().jobs.add_handler("work", print, **{option: Retry})
