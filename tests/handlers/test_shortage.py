"""A process that is short of threads: a job whose function was not called is given back at no cost."""

from __future__ import annotations

import threading

import pytest
from lamplighter.environment.environment import Environment
from lamplighter.environment.threads import spawn

REFUSED = "can't start new thread"


class Threads:
    """Starts threads for lanes as long as there are some left, and all others."""

    def __init__(self, left):
        self.left, self.refused = left, 0

    def __call__(self, work, name):
        if name.startswith(("lane ", "loop ")):
            if self.left == 0:
                self.refused += 1
                raise RuntimeError(REFUSED)
            self.left -= 1
        return spawn(work, name)


@pytest.fixture
def short(runtime, time):
    """Makes a runtime with so many threads for lanes: it, and the threads."""

    def make(left=0, **options):
        threads = Threads(left)
        return runtime(environment=Environment(clock=time.clock, spawn=threads), **options), threads

    return make


async def waits(job):
    return job.data


@pytest.mark.parametrize(
    ("fn", "reason"),
    [
        (lambda job: job.data, f"no worker thread could be started: {REFUSED}"),
        (waits, f"no event loop could be started: {REFUSED}"),
    ],
    ids=["thread", "event loop"],
)
def test_a_job_for_which_there_is_no_thread_uses_no_attempt(short, time, recorder, fn, reason):
    rt, threads = short()
    rt.jobs.add_handler("work", fn, max_attempts=1)

    job = rt.jobs.queue("work", 7)
    for again in range(1, 4):
        recorder.wait_for("job.released", job_id=job.id, count=again)
        kept, health = rt.jobs.get(job), rt.health()
        assert (kept.state, kept.attempt, kept.record.claim_no, rt.jobs.attempts(job)) == ("queued", 0, again, [])
        assert (health.status, health.reasons) == ("yellow", (f"jobs of 'work' wait: {reason}",))
        assert rt.boot.views.runtime().health.reasons == health.reasons
        # It tries once after each pause, not more often.
        assert threads.refused == again
        if again == 3:
            threads.left = 1
        time.advance(1)

    done = rt.jobs.join(job, timeout=15)
    assert (done.result, done.attempt) == (7, 1)
    recorder.until(lambda: rt.health().status == "green", "the end of the shortage to be seen")
    (line,) = recorder.of("lane.refused")
    assert (line["level"], line["job_name"], line["reason"]) == ("warning", "work", reason)


def test_a_shortage_begins_no_pause_for_the_lanes_that_there_are(short, recorder):
    rt, threads = short(2)
    running, goes_on = threading.Semaphore(0), threading.Semaphore(0)

    def work(job):
        running.release()
        assert goes_on.acquire(timeout=30)

    rt.jobs.add_handler("work", work, concurrency=4, max_attempts=1)
    jobs = rt.jobs.queue_many([("work", number) for number in range(6)])
    for _ in range(2):
        assert running.acquire(timeout=15)
    recorder.wait_for("job.released")

    for _ in jobs:
        goes_on.release()
    ended = rt.jobs.join_many(jobs, timeout=15)

    assert [job.attempt for job in ended] == [1] * 6
    assert threads.refused == 1
    assert rt.health().status == "yellow"


def test_all_lanes_are_used_again_while_a_job_runs_on_one_more(short, time, recorder):
    rt, threads = short()
    running, goes_on = threading.Semaphore(0), threading.Event()

    def work(job):
        running.release()
        assert goes_on.wait(30)

    rt.jobs.add_handler("work", work, concurrency=3, max_attempts=1)
    jobs = rt.jobs.queue_many([("work", number) for number in range(3)])
    recorder.wait_for("lane.refused")
    threads.left = 3
    time.advance(1)
    assert running.acquire(timeout=15)
    time.advance(1)
    for _ in range(2):
        assert running.acquire(timeout=15)

    assert rt.health().status == "green"
    goes_on.set()
    assert [job.attempt for job in rt.jobs.join_many(jobs, timeout=15)] == [1] * 3


def test_another_process_runs_what_one_without_threads_has_given_back(short, runtime, time, recorder):
    starved, _ = short()
    starved.jobs.add_handler("work", lambda job: "starved", max_attempts=1)
    job = starved.jobs.queue("work")
    recorder.wait_for("job.released", job_id=job.id)

    healthy = runtime()
    healthy.jobs.add_handler("work", lambda job: "healthy", max_attempts=1)

    done = healthy.jobs.join(job, timeout=15)
    assert (done.result, done.attempt) == ("healthy", 1)
    assert starved.health().status == "yellow"
    # No job waits for a thread here any more.
    for _ in range(5):
        time.advance(1)
    recorder.until(lambda: starved.health().status == "green", "the shortage to count as over")
