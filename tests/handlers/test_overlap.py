"""A job is not started beside its own old thread: not before that has ended, or lane_grace_seconds have passed."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from lamplighter import JobFailed
from lamplighter.environment import Environment
from lamplighter.handlers import pool
from lamplighter.handlers.handler import JobTimeout
from lamplighter.handlers.outcomes import UNENDED
from lamplighter.handlers.pool import ThreadRunner


class Work:
    """A handler that heeds no signal until it is let go, and counts who is in it."""

    def __init__(self):
        self.goes_on = threading.Event()
        self.is_in = threading.Event()
        self.inside = self.most = self.starts = 0

    def __call__(self, job):
        if job.data == "other":
            return "other"
        self.starts += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.is_in.set()
        self.goes_on.wait(30)
        self.inside -= 1
        return "done"


@pytest.fixture
def work():
    work = Work()
    yield work
    work.goes_on.set()


def start_again(rt, work, handler, job):
    work.is_in.clear()
    rt.stop(drain=0.0)
    rt.start()


def remove_its_handler(rt, work, handler, job):
    rt.jobs.remove_handler(handler, drain=0.0)
    rt.jobs.add_handler("tidy", work)


WAYS = {"stop and start": start_again, "remove_handler": remove_its_handler}


@pytest.mark.parametrize("way", WAYS)
def test_a_job_that_lost_its_claim_waits_for_its_old_thread(runtime, recorder, work, way):
    rt = runtime(lane_grace_seconds=600)
    handler = rt.jobs.add_handler("tidy", work)
    job = rt.jobs.queue("tidy")
    assert work.is_in.wait(15)

    WAYS[way](rt, work, handler, job)
    recorder.wait_for("job.waiting", job_id=job.id)
    # Others of the name do not wait with it, though one at a time may run.
    assert rt.jobs.join(rt.jobs.queue("tidy", "other"), timeout=15).result == "other"
    starts = work.starts
    work.goes_on.set()

    assert rt.jobs.join(job, timeout=15).result == "done"
    assert (starts, work.starts, work.most) == (1, 2, 1)


def test_a_job_that_has_timed_out_waits_for_its_old_thread(timed, time, recorder, work):
    rt = timed(lane_grace_seconds=600)
    rt.jobs.add_handler("tidy", work, timeout=1, backoff=[0])
    job = rt.jobs.queue("tidy")
    assert work.is_in.wait(15)
    time.advance(1)

    recorder.wait_for("job.waiting", job_id=job.id)
    assert work.most == 1
    work.goes_on.set()

    assert rt.jobs.join(job, timeout=15).result == "done"
    assert work.most == 1


def test_a_job_starts_beside_an_old_thread_that_has_had_its_time(timed, time, recorder, work):
    rt = timed(lane_grace_seconds=5)
    rt.jobs.add_handler("tidy", work, timeout=1, backoff=[0], max_attempts=2)
    job = rt.jobs.queue("tidy")
    assert work.is_in.wait(15)
    work.is_in.clear()
    time.advance(1)
    recorder.wait_for("job.waiting", job_id=job.id)
    time.advance(5)
    assert work.is_in.wait(15)
    time.advance(1)

    with pytest.raises(JobFailed, match="timed out"):
        rt.jobs.join(job, timeout=15)
    assert work.starts == 2
    assert recorder.of("lane.abandoned", job_id=job.id)


def test_a_canceled_job_that_heeds_nothing_is_given_up_and_no_stop_waits_for_it(timed, time, recorder, work):
    rt = timed(lane_grace_seconds=5)
    rt.jobs.add_handler("tidy", work)
    job = rt.jobs.queue("tidy")
    assert work.is_in.wait(15)
    actor = rt.boot.post.find("handler:tidy")
    assert not actor.holds_nothing

    rt.jobs.cancel(job)

    # Its time begins when the actor hears that the claim is lost.
    recorder.until(lambda: time.advance(5) or recorder.of("lane.abandoned", job_id=job.id), "its lane to be given up")
    recorder.until(lambda: actor.holds_nothing, "the handler's actor to hold nothing")


def test_what_a_stopped_runtime_left_running_is_in_the_health_of_its_next_life(runtime, work):
    rt = runtime(lane_grace_seconds=600)
    rt.jobs.add_handler("tidy", work)
    rt.jobs.queue("tidy", id="hangs")
    assert work.is_in.wait(15)

    start_again(rt, work, None, None)

    assert [lane.job_id for lane in rt.health().abandoned] == ["hangs"]
    work.goes_on.set()
    assert rt.jobs.join("hangs", timeout=15).result == "done"
    assert rt.health().abandoned == ()


def test_a_job_does_not_wait_for_a_thread_that_could_not_be_made(runtime, recorder):
    makers = [ThreadRunner, exhausted]

    def make():
        return makers.pop()()

    rt = runtime(lane_grace_seconds=600, environment=Environment(runners={"thread": make}))
    rt.jobs.add_handler("tidy", lambda job: "done", backoff=[0])

    assert rt.jobs.join(rt.jobs.queue("tidy"), timeout=15).result == "done"
    assert recorder.of("job.waiting") == []
    assert rt.health().abandoned == ()


def exhausted():
    raise OSError(24, "Too many open files")


def test_a_stop_does_not_wait_for_a_job_that_waits_for_its_old_thread(runtime, recorder, work):
    rt = runtime(lane_grace_seconds=600)
    rt.jobs.add_handler("tidy", work)
    job = rt.jobs.queue("tidy")
    assert work.is_in.wait(15)
    start_again(rt, work, None, job)
    recorder.wait_for("job.waiting", job_id=job.id)

    rt.stop(drain=60)

    assert work.inside == 1
    assert recorder.of("runtime.draining") == []
    rt.start()
    work.goes_on.set()
    assert rt.jobs.join(job, timeout=15).result == "done"
    assert work.most == 1


def test_a_timeout_that_comes_as_its_function_returns_is_taken_back(monkeypatch):
    strikes: list[object] = []
    worker = ThreadRunner.worker(ThreadRunner(), Environment())
    worker.thread = SimpleNamespace(strike=strikes.append)
    lane = SimpleNamespace(handler=SimpleNamespace(on_timeout="raise"))
    monkeypatch.setattr(pool, "execute", lambda lane: worker.kill(lane) or UNENDED)

    assert worker.run(lane) is UNENDED
    worker.kill(lane)

    assert strikes == [JobTimeout, None]
    # The next one is not struck, and nothing is to be taken back from it.
    monkeypatch.setattr(pool, "execute", lambda lane: UNENDED)
    strikes.clear()
    assert worker.run(lane) is UNENDED
    assert strikes == []
