"""A signal reaches the job's function, wherever the job is at that moment; and a claim's time goes on whoever dies."""

from __future__ import annotations

import queue
import threading

import pytest
from lamplighter import Runtime
from lamplighter.testing.simulation.simulation import Simulation


def test_a_requeued_job_is_asked_to_end_at_once_though_it_is_to_run_much_later(runtime):
    rt = runtime()
    began, heeded = threading.Event(), threading.Event()

    @rt.jobs.handler("long")
    def long(job):
        began.set()
        if not job.sleep(600):
            heeded.set()

    job = rt.jobs.queue("long")
    assert began.wait(15)

    rt.jobs.requeue(job, delay=3600)

    assert heeded.wait(15)
    assert rt.jobs.get(job).state == "queued"


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda rt, job, time: rt.jobs.cancel(job), "cancelled"),
        (lambda rt, job, time: rt.jobs.requeue(job, delay=3600), "requeued"),
        (lambda rt, job, time: rt.stop(drain=0.0), "the runtime stopped"),
        (lambda rt, job, time: time.advance(600), "timed out"),
    ],
    ids=["cancel", "requeue", "stop", "timeout"],
)
def test_a_job_that_is_to_end_is_told_why(timed, time, act, reason):
    rt = timed()
    began, reasons = threading.Event(), queue.SimpleQueue()

    @rt.jobs.handler("long", timeout=600)
    def long(job):
        reasons.put(job.cancel_reason)
        began.set()
        while not job.cancelled:
            job.sleep(3600)
        reasons.put(job.cancel_reason)

    job = rt.jobs.queue("long")
    assert began.wait(15)

    act(rt, job, time)

    assert (reasons.get(timeout=15), reasons.get(timeout=15)) == (None, reason)


def test_a_claim_whose_handler_has_returned_gets_no_more_time_by_the_brokers_death():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("asks", lambda job: None, auto_done=False, timeout=100)

    with Simulation(register, seed=1) as simulation:
        begin = simulation.now.timestamp()
        job = simulation.runtime.jobs.queue("asks")
        for seconds in (40, 40):
            simulation.run(seconds=seconds)
            simulation.runtime.current_boot.get().post.find("broker").actor_ref.tell("this is no mail, and kills it")
        simulation.run(until=lambda: bool(simulation.runtime.jobs.attempts(job)), seconds=600)
        (attempt,) = simulation.runtime.jobs.attempts(job)

    assert (attempt.outcome, round(attempt.ended_at - begin)) == ("timed_out", 100)
