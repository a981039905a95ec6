"""What runs a job: lanes on threads, tasks and processes, typed payloads, retries, timeouts, and hostile functions."""

from __future__ import annotations

import pytest
from lamplighter.admin.inspector import inspector_at

from ...handlers.test_handlers import ending, finish


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_handler_sees_how_many_attempts_its_job_has(runtime, importable, isolation):
    counts = importable("counts", "def says(job): return job.max_attempts\n")
    rt = runtime()
    rt.jobs.add_handler("work", counts.says, isolation=isolation, max_attempts=3)

    jobs = [rt.jobs.queue("work"), rt.jobs.queue("work", max_attempts=7)]

    assert [job.max_attempts for job in jobs] == [None, 7]
    assert [rt.jobs.join(job, timeout=20).result for job in jobs] == [3, 7]


LANE_FUNCTIONS = """
import os, time

def pid(job):
    job.progress(1, 2)
    job.log.info("from the child")
    return [os.getpid(), job.queue("child", job.data).id]

def hang(job):
    time.sleep(60)

def say_and_hang(job):
    job.log.info("still here")
    hang(job)

def die(job):
    os._exit(3)

def fail(job):
    raise ValueError("in the child")
"""


@pytest.fixture
def functions(importable):
    return importable("lane_functions", LANE_FUNCTIONS)


def test_a_process_lane_runs_in_another_process_and_can_queue(runtime, functions):
    import os

    rt = runtime()
    rt.jobs.add_handler("work", functions.pid, isolation="process")

    pid, child = finish(rt, "work", "hello").result

    assert pid != os.getpid()
    assert rt.jobs.get(child).data == "hello"


def test_the_lines_of_a_job_that_runs_in_a_child_are_shown(runtime, recorder, functions, tmp_path):
    rt = runtime()
    rt.jobs.add_handler("work", functions.say_and_hang, isolation="process")
    rt.jobs.queue("work", id="a")

    with inspector_at(tmp_path / "jobs.db") as inspector:
        recorder.until(lambda: inspector.job("a").output, "the first line")

        assert [one.text for one in inspector.job("a").output] == ["still here"]


def test_a_failure_in_a_process_is_told_with_its_traceback(runtime, functions):
    rt = runtime()
    rt.jobs.add_handler("work", functions.fail, isolation="process", max_attempts=1)

    dead = ending(rt, "work")

    assert dead.error == "ValueError: in the child"
    first, where, *_ = dead.traceback.splitlines()
    assert first == "Traceback (most recent call last):"
    assert "lane_functions.py" in where, "how the function came to be called is of no interest"


def test_a_process_lane_that_hangs_is_killed_for_real(runtime, recorder, functions):
    rt = runtime()
    rt.jobs.add_handler("work", functions.hang, isolation="process", timeout=0.5, max_attempts=1)

    assert "timed out" in ending(rt, "work").error
    recorder.until(lambda: not rt.boot.lanes.open(), "the lane to end")
    assert rt.health().abandoned == ()


def test_a_job_that_kills_its_process_each_time_is_dead_as_poison(runtime, functions):
    # After the second time it is a suspect, and nothing but the turn that says so makes the next attempt come.
    rt = runtime()
    rt.jobs.add_handler("work", functions.die, isolation="process")

    dead = ending(rt, "work")

    assert dead.reason.startswith("poison: interrupted 3 times")
    assert [(one.outcome, one.error) for one in rt.jobs.attempts(dead)] == [
        ("interrupted", "its process exited with code 3")
    ] * 3
