"""Handlers in child processes."""

from __future__ import annotations

import sys
import time as walltime

import pytest
from lamplighter import JobFailed

from ...handlers.test_processes import PROCESS_FUNCTIONS


@pytest.fixture
def functions(importable):
    return importable("process_functions", PROCESS_FUNCTIONS)


def test_a_child_that_queues_with_a_bad_option_gets_an_error_and_its_lane_goes_on(runtime, functions):
    rt = runtime()
    rt.jobs.add_handler("work", functions.asks_badly, isolation="process", max_attempts=1)

    with pytest.raises(JobFailed) as caught:
        rt.jobs.join(rt.jobs.queue("work", "badly"), timeout=10)
    after = rt.jobs.join(rt.jobs.queue("work", "well"), timeout=10)

    assert "tomorrow" in caught.value.job.error
    assert after.result == "fine"
    assert rt.jobs.counts("other")["queued"] == 0


@pytest.mark.parametrize("how_many", ["one", "several"])
def test_a_child_compares_what_after_is_given_with_nothing_before_it_is_checked(runtime, functions, how_many):
    rt = runtime()
    rt.jobs.add_handler("work", functions.waits_for_nothing_known, isolation="process", max_attempts=1)

    with pytest.raises(JobFailed) as caught:
        rt.jobs.join(rt.jobs.queue("work", how_many), timeout=10)

    assert "expected after to hold Jobs, ids or JobSpecs of this call, got: <" in caught.value.job.error
    assert "no comparison" not in caught.value.job.error


def test_a_job_that_can_have_no_child_process_waits_for_its_back_off(runtime, recorder, functions, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    rt = runtime()
    rt.jobs.add_handler("work", functions.asks_badly, isolation="process", max_attempts=3, backoff=[3600])
    job = rt.jobs.queue("work")

    retried = recorder.wait_for("job.failed", job_id=job.id)
    kept = rt.jobs.get(job)

    assert retried["run_at"] - walltime.time() > 3000
    assert (kept.state, kept.attempt, kept.record.claim_no) == ("queued", 1, 1)
    assert "/nonexistent/python" in rt.jobs.attempts(job)[0].error
