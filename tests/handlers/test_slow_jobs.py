"""An attempt that runs far beyond the usual time of its name is told, once."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from lamplighter import Runtime, UsageError
from lamplighter.environment.clock import Clock
from lamplighter.handlers.lanes import RUNS_KEPT, RUNS_MIN, WATCH_SECONDS, DurationBaseline, Lanes, LaneWatch
from lamplighter.history.trace.sentences import sentence
from lamplighter.messages.outcomes import OutcomeKind
from lamplighter.rules.limits import Limits
from lamplighter.testing import Simulation

JOIN_SECONDS_MAX = 15


def told(simulation, event="job.slow"):
    """The events of a kind, in order."""
    lines = map(json.loads, simulation.log.splitlines())
    return [line for line in lines if line["event"] == event]


def after_runs(simulation, seconds, *, runs=RUNS_MIN, name="work"):
    """Have some runs of this length behind it."""
    for _ in range(runs):
        simulation.runtime.jobs.queue(name, seconds)
        simulation.run(seconds=seconds + 1)


def sleeper(**options):
    """Registers a handler that takes as long as its data says."""

    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: job.sleep(job.data), **options)

    return register


def test_an_attempt_that_runs_far_beyond_the_usual_time_is_told_once():
    with Simulation(sleeper()) as simulation:
        after_runs(simulation, 8)
        job = simulation.runtime.jobs.queue("work", 3600)
        simulation.run(seconds=79)
        assert told(simulation) == []
        simulation.run(seconds=3600)

        (slow,) = told(simulation)
        assert simulation.runtime.jobs.get(job).state == "done"
    assert (slow["level"], slow["job_id"], slow["job_name"], slow["claim_no"]) == ("warning", job.id, "work", 1)
    assert (slow["attempt"], slow["actor"], slow["corr"]) == (1, "handler:work", job.id)
    assert 80 <= slow["seconds"] <= 80 + WATCH_SECONDS
    assert slow["usual"] == pytest.approx(8, abs=0.5)


def test_no_attempt_is_slow_that_runs_for_less_than_a_minute():
    with Simulation(sleeper()) as simulation:
        after_runs(simulation, 0.01)
        simulation.runtime.jobs.queue("work", 59)
        simulation.run(minutes=5)

        assert told(simulation) == []


@pytest.mark.parametrize(
    ("options", "seconds", "at"),
    [
        ({"slow_seconds_min": 5}, 20, 10),
        ({"slow_factor": 3}, 100, 60),
        ({"slow_seconds_min": 0, "slow_factor": 1.5}, 20, 1.5),
    ],
    ids=["seconds", "factor", "both"],
)
def test_what_is_slow_can_be_said(options, seconds, at):
    with Simulation(sleeper(), **options) as simulation:
        after_runs(simulation, 1)
        simulation.runtime.jobs.queue("work", seconds)
        simulation.run(seconds=seconds + 5)

        (slow,) = told(simulation)
    assert at <= slow["seconds"] <= at + WATCH_SECONDS


def test_nothing_is_usual_before_so_many_attempts_have_succeeded():
    with Simulation(sleeper()) as simulation:
        after_runs(simulation, 1, runs=RUNS_MIN - 1)
        simulation.runtime.jobs.queue("work", 600)
        simulation.run(seconds=700)
        assert told(simulation) == []

        simulation.runtime.jobs.queue("work", 600)
        simulation.run(seconds=700)
        assert len(told(simulation)) == 1


def test_what_has_failed_or_was_stopped_says_nothing_about_the_usual_time():
    def register(runtime: Runtime) -> None:
        @runtime.jobs.handler("work", concurrency=2, max_attempts=1, timeout=7200)
        def work(job):
            if job.data == "fail":
                raise ValueError("at once")
            job.sleep(job.data)

    with Simulation(register) as simulation:
        jobs = simulation.runtime.jobs
        jobs.queue_many([("work", "fail")] * 50)
        jobs.cancel(jobs.queue("work", 10_000))
        jobs.queue("work", 600)
        simulation.run(seconds=700)

        assert told(simulation) == []


def test_each_name_has_its_own_usual_time():
    def register(runtime: Runtime) -> None:
        for name in ("quick", "long"):
            runtime.jobs.add_handler(name, lambda job: job.sleep(job.data), concurrency=10)

    with Simulation(register) as simulation:
        jobs = simulation.runtime.jobs
        jobs.queue_many([(name, seconds) for name, seconds in (("quick", 1), ("long", 600)) for _ in range(RUNS_MIN)])
        simulation.run(seconds=700)
        jobs.queue("long", 600)
        quick = jobs.queue("quick", 600)
        simulation.run(seconds=700)

        assert [slow["job_id"] for slow in told(simulation)] == [quick.id]


def test_a_second_attempt_is_told_of_as_the_first_was():
    def register(runtime: Runtime) -> None:
        @runtime.jobs.handler("work", backoff=[0], max_attempts=2)
        def work(job):
            job.sleep(job.data)
            if job.data > 100 and job.attempt == 1:
                raise ValueError("after all")

    with Simulation(register) as simulation:
        after_runs(simulation, 1)
        job = simulation.runtime.jobs.queue("work", 300)
        simulation.run(seconds=700)

        assert [(slow["job_id"], slow["attempt"]) for slow in told(simulation)] == [(job.id, 1), (job.id, 2)]


def test_what_was_given_up_is_hung_and_not_slow():
    def register(runtime: Runtime) -> None:
        @runtime.jobs.handler("work", timeout=30, max_attempts=1)
        def work(job):
            event = runtime.environment.event()
            event.wait(job.data)

    with Simulation(register) as simulation:
        after_runs(simulation, 1)
        simulation.runtime.jobs.queue("work", 600)
        simulation.run(seconds=700)

        assert (len(told(simulation, "lane.abandoned")), told(simulation)) == (1, [])


def test_an_actor_that_begins_anew_tells_nothing_of_the_attempts_before():
    with Simulation(sleeper(concurrency=2)) as simulation:
        after_runs(simulation, 1)
        job = simulation.runtime.jobs.queue("work", 600)
        simulation.run(seconds=70)
        boot = simulation.runtime.boot
        assert boot is not None
        boot.post.tell("handler:work", "a message that no HandlerActor hears")
        simulation.run(seconds=700)

        assert len(told(simulation, "actor.crashed")) == 1
        assert [(slow["job_id"], slow["claim_no"]) for slow in told(simulation)] == [(job.id, 1)]


def test_a_thread_says_where_it_is(timed, time, recorder):
    rt, release = timed(slow_seconds_min=60), threading.Event()
    waits = threading.Event()

    def work(job):
        if job.data == "slow":
            waits.set()
            release.wait(JOIN_SECONDS_MAX)

    rt.jobs.add_handler("work", work)
    for _ in range(RUNS_MIN):
        rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)
    job = rt.jobs.queue("work", "slow")
    recorder.wait_for("job.started", job_id=job.id)
    assert waits.wait(JOIN_SECONDS_MAX)
    time.advance(59)
    time.advance(WATCH_SECONDS)

    slow = recorder.wait_for("job.slow", job_id=job.id)
    release.set()
    rt.jobs.join(job, timeout=JOIN_SECONDS_MAX)

    assert "release.wait(JOIN_SECONDS_MAX)" in slow["stack"]
    assert (slow["seconds"], slow["usual"]) == (61.0, 0.0)
    assert len(recorder.of("job.slow")) == 1


@pytest.mark.parametrize("blocks", [False, True], ids=["awaits", "blocks its loop"])
def test_a_coroutine_says_where_it_is(timed, time, recorder, blocks):
    rt, release = timed(), threading.Event()
    waits = threading.Event()

    async def wait():
        waits.set()
        if blocks:
            release.wait(JOIN_SECONDS_MAX)
        while not release.is_set():
            await asyncio.sleep(0.01)

    async def work(job):
        if job.data == "slow":
            await wait()

    rt.jobs.add_handler("work", work)
    for _ in range(RUNS_MIN):
        rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS_MAX)
    job = rt.jobs.queue("work", "slow")
    recorder.wait_for("job.started", job_id=job.id)
    assert waits.wait(JOIN_SECONDS_MAX)
    recorder.until(lambda: time.advance(61) or recorder.of("job.slow", job_id=job.id), "it to be slow")
    stack = recorder.of("job.slow", job_id=job.id)[0]["stack"]
    release.set()
    rt.jobs.join(job, timeout=JOIN_SECONDS_MAX)

    assert ("release.wait(JOIN_SECONDS_MAX)" if blocks else "await asyncio.sleep(0.01)") in stack


def test_the_usual_time_is_the_median_of_the_newest_runs():
    usual = DurationBaseline()
    for _ in range(RUNS_MIN - 1):
        usual.note(OutcomeKind.SUCCEEDED, 1.0)
    assert usual.seconds() is None
    usual.note(OutcomeKind.SUCCEEDED, 1_000_000.0)
    assert usual.seconds() == 1.0
    for _ in range(RUNS_KEPT // 2 + 2):
        usual.note(OutcomeKind.DEFERRED, 5.0)
    assert usual.seconds() == 5.0
    for _ in range(RUNS_KEPT):
        usual.note(OutcomeKind.SUCCEEDED, 7.0)
    assert usual.seconds() == 7.0


def test_nobody_looks_while_nothing_runs(time):
    clock: Clock = time.clock()
    heard: list[object] = []
    lanes = Lanes(lambda **_: None)  # type: ignore[arg-type,return-value]
    watch = LaneWatch(lanes, "work", clock, Limits(), tell=heard.append, is_over=lambda: False)

    watch.begin()

    assert time._by_elapsed == []
    assert (watch.slow(), heard) == ([], [])


@pytest.mark.parametrize("value", [0, 0.5, -1, True, "10", float("nan"), float("inf")])
def test_a_factor_is_a_number_from_one_on(value):
    with pytest.raises(UsageError, match="expected slow_factor to be a number, 1 or more and at most 1e"):
        Runtime(":memory:", slow_factor=value)


def test_a_trace_says_it_in_words():
    said = {"event": "job.slow", "seq": 1, "boot": "b", "attempt": 2, "seconds": 80.123, "usual": 0.5}

    assert sentence(said) == "attempt 2 has run for 80.1 s, and 500 ms is usual; it goes on"
