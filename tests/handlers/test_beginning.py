"""A timeout begins with the function. Until then a job waits for a child process or an event loop, at no cost."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

import pytest

LIMIT = 10.0
"""`begin_seconds_max` of these runtimes."""


class Blocking:
    """A coroutine handler, and a job of it that blocks the event loop as long as the test wants."""

    def __init__(self):
        self.goes_on, self.blocks, self.called = threading.Event(), threading.Event(), []
        self.deadlines = []
        self.stays = False

    async def __call__(self, job):
        self.called.append(job.id)
        self.deadlines.append(job.deadline)
        if job.data == "block":
            self.blocks.set()
            assert self.goes_on.wait(30)
        if self.stays and job.data in ("block", "waits"):
            await asyncio.Event().wait()
        return job.data


@contextmanager
def blocked(rt, *, block=None, **options):
    """A handler whose event loop is blocked by a job: it, and the job."""
    handler = Blocking()
    rt.jobs.add_handler("work", handler, concurrency=4, max_attempts=1, **options)
    culprit = rt.jobs.queue("work", "block", timeout=block)
    assert handler.blocks.wait(15)
    try:
        yield handler, culprit
    finally:
        handler.goes_on.set()


def test_a_coroutine_that_waits_for_its_first_step_is_not_timed_out(timed, time, recorder):
    rt = timed(begin_seconds_max=3600, lane_grace_seconds=3600)
    with blocked(rt, block=60, timeout=1) as (handler, culprit):
        job = rt.jobs.queue("work", "waits")
        recorder.wait_for("job.started", job_id=job.id)
        time.advance(50)
        assert f"has not begun (its event loop is blocked by job {culprit.id})" in str(_why(rt, job))
        handler.goes_on.set()

        assert rt.jobs.join(job, timeout=15).result == "waits"


def test_the_timeout_of_a_coroutine_begins_once_its_loop_has_come_to_it(timed, time, recorder):
    rt = timed(begin_seconds_max=3600, lane_grace_seconds=3600)
    with blocked(rt, block=3600, timeout=60) as (handler, _):
        job = rt.jobs.queue("work", "waits")
        recorder.wait_for("job.started", job_id=job.id)
        time.advance(50)
        began = rt.environment.clock().now()
        handler.goes_on.set()
        rt.jobs.join(job, timeout=15)

        assert handler.deadlines[-1].timestamp() == began + 60


def test_a_timeout_that_was_over_before_the_first_step_ends_the_job_after_it(timed, time, recorder):
    rt = timed(begin_seconds_max=3600, lane_grace_seconds=3600)
    with blocked(rt, block=3600, timeout=60) as (handler, _):
        job = rt.jobs.queue("work", "waits")
        recorder.wait_for("job.started", job_id=job.id)
        time.advance(100)
        handler.stays = True
        handler.goes_on.set()
        recorder.until(lambda: job.id in handler.called, "it to begin")

        time.advance(61)

        assert recorder.wait_for("job.dead", job_id=job.id)["attempt"] == 1


def test_a_loop_that_does_not_answer_gets_no_more_jobs_until_it_does(timed, time, recorder):
    rt = timed(begin_seconds_max=3600, lane_grace_seconds=3600)
    with blocked(rt, block=600, timeout=4) as (handler, _):
        waits = rt.jobs.queue("work", "waits")
        recorder.wait_for("job.started", job_id=waits.id)
        time.advance(1.5)
        others = [rt.jobs.queue("work", number) for number in range(3)]
        recorder.until(lambda: [rt.jobs.get(job).state for job in others] == ["queued"] * 3, "them to be given back")
        assert recorder.of("job.started", job_id=others[0].id) == []
        # No end of another job tells that it answers again.
        handler.stays = True
        handler.goes_on.set()

        assert [rt.jobs.join(job, timeout=15).attempt for job in others] == [1] * 3


def test_a_job_without_a_timeout_does_not_block_the_others_for_ever(timed, time, recorder):
    rt = timed(begin_seconds_max=LIMIT, lane_grace_seconds=5)
    with blocked(rt) as (handler, culprit):
        job = rt.jobs.queue("work", "waits")
        started = recorder.wait_for("job.started", job_id=job.id)

        # The first look is too early, and each next one two seconds later.
        time.advance(LIMIT - 1)
        time.advance(2)
        failed = recorder.wait_for("job.failed", job_id=job.id)
        # Its loop is given up.
        time.advance(5)
        done = rt.jobs.join(job, timeout=15)

        reason = f"interrupted: not begun within 10 s: its event loop is blocked by job {culprit.id}"
        assert (failed["reason"], failed["attempt"]) == (reason, 0)
        assert failed["ts"] - started["ts"] == pytest.approx(LIMIT + 1, abs=0.01)
        assert (done.attempt, handler.called) == (1, [culprit.id, job.id])
        assert rt.jobs.get(culprit).state == "running"
        handler.goes_on.set()
        assert rt.jobs.join(culprit, timeout=15).result == "block"


@pytest.mark.parametrize(("begin_seconds_max", "green", "yellow"), [(3600, 9, 11), (4, 1, 3)])
def test_health_tells_of_a_name_whose_jobs_do_not_begin(timed, time, recorder, begin_seconds_max, green, yellow):
    rt = timed(begin_seconds_max=begin_seconds_max, lane_grace_seconds=3600)
    with blocked(rt) as (handler, culprit):
        jobs = rt.jobs.queue_many([("work", "waits")] * 2)
        for job in jobs:
            recorder.wait_for("job.started", job_id=job.id)

        time.advance(green)
        before = rt.health()
        time.advance(yellow - green)
        while_blocked, shown = rt.health(), rt.boot.views.runtime().health
        handler.goes_on.set()
        for job in jobs:
            rt.jobs.join(job, timeout=15)

    (reason,) = while_blocked.reasons
    assert reason in [
        f"job {job.id} (work) has not begun for {yellow} s: its event loop is blocked by job {culprit.id}"
        for job in jobs
    ]
    assert [before.status, while_blocked.status, shown.reasons] == ["green", "yellow", (reason,)]
    assert rt.health().status == "green"


def test_a_lane_that_has_begun_meanwhile_is_not_given_up_for_not_beginning(timed, recorder):
    rt, begun, goes_on = timed(), threading.Event(), threading.Event()

    def work(job):
        begun.set()
        assert goes_on.wait(30)
        return "done"

    rt.jobs.add_handler("work", work, max_attempts=1)
    job = rt.jobs.queue("work")
    assert begun.wait(15)
    (lane,) = rt.boot.lanes.open("work")

    assert not lane.abandon("not begun", unbegun=True)
    goes_on.set()
    assert rt.jobs.join(job, timeout=15).result == "done"


def _why(rt, job):
    """What a caller is told who does not wait for the end of a job."""
    with pytest.raises(TimeoutError) as told:
        rt.jobs.join(job, timeout=0.01)
    return told.value
