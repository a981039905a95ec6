"""What the story of a job tells of those that it has waited for."""

from __future__ import annotations

import pytest
from lamplighter import Discard, JobSpec, Runtime
from lamplighter.history.trace.job import biography

from ..kit import logger_to


@pytest.fixture(params=["debug", "info"])
def told(request, tmp_path):
    """The stories of jobs of a run, as a function of their ids."""
    runtime = Runtime(tmp_path / "jobs.db", logger=logger_to(tmp_path / "log", request.param))
    runtime.jobs.add_handler("work", lambda job: job.data)

    def die(job):
        raise Discard("no")

    runtime.jobs.add_handler("die", die)
    with runtime:
        parts = [JobSpec(name="work", data=number, id=f"part{number}") for number in range(3)]
        runtime.jobs.queue_many([*parts, JobSpec(name="work", id="whole", after=parts)])
        runtime.jobs.queue("die", id="dead")
        runtime.jobs.queue("work", id="doomed", after="dead")
        runtime.jobs.join(runtime.jobs.queue("work", id="last", after_ended=["doomed", "whole"]), 30)
        runtime.jobs.queue("work", id="late", delay=3600)
        runtime.jobs.queue("work", id="waits", after=["late", "last"])

    def story(job_id):
        life = biography([str(tmp_path / "log")], job_id)
        assert life is not None
        assert life.gaps == 0
        return request.param, [entry.says for entry in life.entries]

    return story


def test_a_job_that_waited_says_for_how_many_and_for_how_long(told):
    level, says = told("whole")

    assert any(one.startswith("queued") and "waits for 3 jobs" in one for one in says)
    (freed,) = (one for one in says if one.startswith("freed"))
    assert "3 jobs that it has waited for ended; it waited for 3 of 3 until" in freed
    assert freed.endswith("ended last (done)")
    assert any(one.startswith("waits for part0, part1, part2") for one in says) == (level == "debug")


def test_a_job_that_is_doomed_says_with_which(told):
    _, says = told("doomed")

    # Should the other have died before it was queued, it is born and doomed in one turn, and its lines come after that.
    assert any(one.startswith("dead") and "job dead" in one for one in says)


def test_a_job_that_still_waits_says_so_when_the_log_ends(told):
    level, says = told("waits")

    waits = "1 of 2 jobs: late" if level == "debug" else "some of 2 jobs, which only lines at debug name"
    assert says[-1] == f"when these logs end, it waits for {waits}"
