"""Progress: reports in quick succession are merged, and the last one of a job is kept."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from types import SimpleNamespace

import pytest
from lamplighter import JobFailed
from lamplighter.environment import Environment
from lamplighter.handlers.lane import PROGRESS_SECONDS_MIN, Lane
from lamplighter.messages.jobs import Claim, JobRecord
from lamplighter.messages.outcomes import Outcome, OutcomeKind

DONE = Outcome(kind=OutcomeKind.SUCCEEDED)


class ManualClock:
    """Time that the test moves."""

    def __init__(self):
        self.seconds = 0.0
        self.calls = []

    def now(self):
        return self.seconds

    monotonic = now

    def after(self, seconds, call):
        self.calls.append((self.seconds + seconds, call))

    def move(self, seconds):
        self.seconds += seconds
        due = [call for at, call in self.calls if at <= self.seconds]
        self.calls = [(at, call) for at, call in self.calls if at > self.seconds]
        for call in due:
            call()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def told():
    return []


@pytest.fixture
def lane(clock, told):
    context = SimpleNamespace(
        clock=clock,
        environment=Environment(),
        tell=lambda to, body: told.append(body.progress),
        ended=lambda *_: told.append("ended"),
    )
    claim = Claim(JobRecord(1, "job", "x", "null", "running", 0, 0.0, 0.0, "job", claim_no=1))
    return Lane(1, SimpleNamespace(name="x", timeout=None), claim, context, lambda _: None)


def test_reports_in_quick_succession_are_merged(lane, clock, told):
    for number in range(1000):
        lane.report(str(number))
    assert told == ["0"]

    clock.move(PROGRESS_SECONDS_MIN)

    assert told == ["0", "999"]
    assert clock.calls == []


def test_a_report_that_comes_late_enough_is_told_at_once(lane, clock, told):
    lane.report("1")
    clock.move(PROGRESS_SECONDS_MIN)
    lane.report("2")

    assert told == ["1", "2"]


def test_the_last_report_is_told_before_the_end(lane, clock, told):
    lane.report("1")
    lane.report("2")
    lane.finish(DONE)
    clock.move(PROGRESS_SECONDS_MIN)

    assert told == ["1", "2", "ended"]


def test_the_last_report_of_a_thread_that_is_given_up_is_told_and_none_after_it(lane, clock, told):
    lane.report("1")
    lane.report("2")
    lane.abandon("timed out")
    lane.report("3")
    clock.move(PROGRESS_SECONDS_MIN)
    lane.finish(DONE)

    assert told == ["1", "2", "ended"]


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_a_job_that_has_ended_shows_its_last_report(runtime, kind):
    rt = runtime()

    def on_thread(job):
        for number in range(1, 101):
            job.progress(number, 100)

    async def as_task(job):
        on_thread(job)

    rt.jobs.add_handler("counts", on_thread if kind == "thread" else as_task)

    job = rt.jobs.join(rt.jobs.queue("counts"), timeout=15)

    assert job.progress_report == {"done": 100, "total": 100, "note": None}
    assert rt.jobs.get(job).progress_report == job.progress_report


@pytest.mark.parametrize("own_transaction", [False, True])
def test_a_job_that_its_handler_marks_done_shows_its_last_report(runtime, tmp_path, own_transaction):
    rt = runtime(tmp_path / "app.db")

    @rt.jobs.handler("counts")
    def counts(job):
        for number in range(1, 101):
            job.progress(number, 100)
        if not own_transaction:
            rt.jobs.mark_done(job)
            return
        with closing(sqlite3.connect(tmp_path / "app.db")) as host, host:
            host.execute("create table counted (number)")
            # The runtime cannot write before this transaction has ended, and the claim is over by then.
            job.progress(101, 100)
            rt.jobs.mark_done(job.token, connection=host)

    job = rt.jobs.join(rt.jobs.queue("counts"), timeout=15)

    assert rt.jobs.get(job).progress_report["done"] == (101 if own_transaction else 100)
    assert job.progress_report == rt.jobs.get(job).progress_report


def test_a_job_that_has_timed_out_shows_how_far_it_was(runtime):
    rt = runtime()
    goes_on = threading.Event()

    @rt.jobs.handler("hangs", timeout=0.2, max_attempts=1)
    def hangs(job):
        for number in range(1, 101):
            job.progress(number, 100)
        goes_on.wait(30)

    try:
        with pytest.raises(JobFailed) as failed:
            rt.jobs.join(rt.jobs.queue("hangs"), timeout=15)
    finally:
        goes_on.set()

    assert failed.value.job.progress_report["done"] == 100
