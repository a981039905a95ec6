"""Asyncio handlers: their loop goes on, whatever one task of it does."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest
from lamplighter import JobSpec
from lamplighter.handlers.tasks import patience_with


def threads_of(name):
    """The threads that run the jobs of a name."""
    return [thread.name for thread in threading.enumerate() if thread.name.endswith(f" {name}")]


def test_sys_exit_in_a_sub_task_of_an_async_handler_does_not_stop_the_loop(runtime, recorder):
    rt = runtime()

    async def leaves():
        sys.exit(3)

    async def work(job):
        sub = asyncio.create_task(leaves())
        await asyncio.wait([sub])
        return repr(sub.exception())

    rt.jobs.add_handler("work", work, max_attempts=1)

    for _ in range(2):
        assert rt.jobs.join(rt.jobs.queue("work"), timeout=5).result == "SystemExit(3)"
    assert rt.health().status == "green"


def test_tasks_beside_a_blocking_one_run_again_and_are_cancelled_once_it_unblocks(runtime, recorder):
    rt = runtime(lane_grace_seconds=0.1)
    go, runs, cancelled = threading.Event(), [], []

    async def work(job):
        if job.data == "block":
            go.wait(10)
            return None
        runs.append(job.token)
        if len(runs) > 1:
            return "again"
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append((job.token, job.cancelled))
            raise

    rt.jobs.add_handler("work", work, concurrency=2)
    beside = rt.jobs.queue("work", "beside")
    recorder.until(lambda: runs, "the one beside to run")
    rt.jobs.queue("work", "block", timeout=0.1, max_attempts=1)

    again = rt.jobs.join(beside, timeout=10)
    before = list(cancelled)
    go.set()
    recorder.until(lambda: cancelled, "the lost task to be cancelled", timeout=5)
    recorder.until(lambda: len(threads_of("loop work")) == 1, "the loop that was blocked to end", timeout=5)

    assert (again.result, again.attempt, runs) == ("again", 1, [f"{beside.id}:1", f"{beside.id}:2"])
    assert before == []
    assert cancelled == [(f"{beside.id}:1", True)]


def test_a_task_that_had_not_begun_when_its_loop_was_given_up_never_begins(runtime, recorder):
    # Its job ran again on another loop, and once more, beside that or after, when the first loop was unblocked.
    rt = runtime(lane_grace_seconds=0.1)
    go, runs = threading.Event(), []

    async def work(job):
        if job.data == "block":
            go.wait(10)
        else:
            runs.append(job.token)
        return job.data

    rt.jobs.add_handler("work", work, concurrency=2)
    blocks = JobSpec("work", "block", timeout=0.1, max_attempts=1)
    _, beside = rt.jobs.queue_many([blocks, ("work", "beside")])

    again = rt.jobs.join(beside, timeout=10)
    go.set()
    recorder.until(lambda: len(threads_of("loop work")) == 1, "the loop that was blocked to end", timeout=5)

    assert again.result == "beside"
    assert len(runs) == 1, runs


@pytest.mark.parametrize(
    ("timeout", "grace", "patience"),
    [(None, 5.0, 5.0), (None, 0.01, 0.1), (100.0, 5.0, 5.0), (20.0, 5.0, 5.0), (4.0, 5.0, 1.0), (0.1, 5.0, 0.1)],
)
def test_a_loop_may_be_silent_for_a_share_of_the_timeout_within_bounds(timeout, grace, patience):
    assert patience_with(timeout, grace) == patience
