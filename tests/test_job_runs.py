"""Since when a job runs, and on which runtime: what `job.started_at` and `job.runs_on` say all its life."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import timedelta

import pytest
from lamplighter import Cancel, Discard, JobFailed, Retry, Runtime, Snooze
from lamplighter.testing import Inline
from lamplighter.testing.simulation.simulation import START

JOIN_SECONDS_MAX = 15


def ended(rt, job):
    """The job as it ended, well or not."""
    with contextlib.suppress(JobFailed):
        rt.jobs.join(job, timeout=JOIN_SECONDS_MAX)
    return rt.jobs.get(job)


def runs(job):
    return job.started_at, job.runs_on


def test_a_running_job_says_since_when_and_where(timed, time):
    rt = timed()
    rt.jobs.add_handler("work", lambda job: job.sleep(100))
    job = rt.jobs.queue("work", delay=10)
    assert runs(job) == (None, None)

    time.advance(10)
    while rt.jobs.get(job).state != "running":
        rt.wait(0.01)

    assert runs(rt.jobs.get(job)) == (job.queued_at + timedelta(seconds=10), rt.boot.id)


@pytest.mark.parametrize("end", ["done", "dead", "discarded", "cancelled", "marked", "deferred"])
def test_whatever_ends_a_job_its_last_run_stays_known(runtime, end):
    rt = runtime()
    tokens = []

    def work(job):
        tokens.append(job.token)
        match end:
            case "dead":
                raise ValueError("no")
            case "discarded":
                raise Discard("no")
            case "cancelled":
                raise Cancel("not needed")
            case "marked":
                rt.jobs.mark_done(job)

    rt.jobs.add_handler("work", work, max_attempts=1, auto_done=end != "deferred")
    job = rt.jobs.queue("work")
    if end == "deferred":
        while not tokens or not rt.jobs.get(job).record.deferred:
            rt.wait(0.01)
        rt.jobs.mark_done(tokens[0])

    job = ended(rt, job)

    assert job.runs_on == rt.boot.id
    assert job.queued_at <= job.started_at <= job.ended_at


def test_a_job_marked_done_in_a_transaction_of_the_application_keeps_its_last_run(runtime, tmp_path):
    rt = runtime()

    def mark_done(job):
        with contextlib.closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
            rt.jobs.mark_done(job, connection=connection)
            connection.commit()

    rt.jobs.add_handler("work", mark_done)

    job = ended(rt, rt.jobs.queue("work"))

    assert (job.state, job.runs_on) == ("done", rt.boot.id)


def test_a_job_that_waits_for_another_attempt_runs_nowhere(runtime):
    rt = runtime()

    def work(job):
        if job.data == "snooze":
            raise Snooze(3600)
        raise ValueError("later")

    rt.jobs.add_handler("work", work, backoff=[3600])
    jobs = rt.jobs.queue_many([("work", "snooze"), ("work", "fail")])
    while any(rt.jobs.get(job).record.claim_no == 0 or rt.jobs.get(job).state == "running" for job in jobs):
        rt.wait(0.01)

    waiting = [rt.jobs.get(job) for job in jobs]
    assert [job.runs_on for job in waiting] == [None, None]
    assert all(job.started_at >= job.queued_at for job in waiting), "when they were tried last"
    # It ends where it is, and nobody has run it to its end.
    rt.jobs.cancel(jobs[0])
    rt.jobs.mark_done(jobs[1])
    assert [runs(rt.jobs.get(job)) for job in jobs] == [(job.started_at, None) for job in waiting]


def test_a_job_that_is_requeued_runs_nowhere_until_it_is_claimed_again(runtime):
    rt = runtime()
    handler = rt.jobs.add_handler("work", lambda job: None)
    job = ended(rt, rt.jobs.queue("work"))
    rt.jobs.remove_handler(handler)
    first = rt.boot.id

    again = rt.jobs.requeue(job)
    rt.stop()
    rt.start()
    rt.jobs.add_handler("work", lambda job: None)

    assert runs(again) == (None, None)
    last = ended(rt, again)
    assert last.runs_on == rt.boot.id != first
    assert last.started_at > job.started_at


def test_of_two_runtimes_on_one_file_a_job_says_which_has_run_it(runtime):
    one, other = runtime(), runtime()
    one.jobs.add_handler("here", lambda job: None)
    other.jobs.add_handler("there", lambda job: None)

    jobs = [ended(one, one.jobs.queue(name)) for name in ("here", "there")]

    assert [job.runs_on for job in jobs] == [one.boot.id, other.boot.id]
    assert [job.runs_on for job in one.jobs.list(state="done")] == [other.boot.id, one.boot.id]


def test_a_job_that_has_ended_is_not_taken_for_one_that_runs(runtime):
    """Its runtime is gone, and whoever starts next looks for jobs that are left behind."""
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    job = ended(rt, rt.jobs.queue("work"))
    rt.stop()

    rt.start()

    assert runs(rt.jobs.get(job)) == runs(job)
    assert (rt.jobs.get(job).state, rt.jobs.counts()["running"]) == ("done", 0)


def test_inline_says_when_and_where_too() -> None:
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: job.sleep(5) and job.runs_on)

    with Inline(register) as app:
        app.jobs.queue("work", delay=60)
        (job,) = app.advance(minutes=2)

    assert timedelta(seconds=60) <= job.started_at - START < timedelta(seconds=61)
    assert timedelta(seconds=5) <= job.ended_at - job.started_at < timedelta(seconds=6)
    assert job.runs_on == job.result


ATTEMPT_FAILS = {
    "ValueError()": (ValueError(), True, False),
    "KeyError()": (KeyError(), False, False),
    "Retry()": (Retry(0), True, False),
    "Snooze()": (Snooze(0), True, True),
    "Discard()": (Discard("no"), False, False),
    "Cancel()": (Cancel("no"), False, False),
}
"""Errors, and whether another attempt follows after the first of two attempts, and after the second."""


def test_a_job_knows_whether_it_is_tried_again_after_each_kind_of_error(runtime):
    rt, told = runtime(), []

    def work(job):
        told.append({name: job.is_tried_again(error) for name, (error, *_) in ATTEMPT_FAILS.items()})
        if len(told) == 1:
            raise ValueError

    rt.jobs.add_handler("work", work, max_attempts=2, backoff=[0], discard_on=[KeyError])
    rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    assert told == [{name: one[1 + attempt] for name, one in ATTEMPT_FAILS.items()} for attempt in (0, 1)]
