"""Scripted handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lamplighter import Job, Runtime, UsageError
from lamplighter.testing import (
    Faults,
    Inline,
    Script,
    Simulation,
    crash,
    discard,
    drain,
    fail,
    hang,
    ok,
    snooze,
    work,
)


def test_the_nth_call_does_the_nth_thing_and_the_last_repeats() -> None:
    script = Script("mail", [fail("no route"), fail(ValueError("bad address")), snooze(5), ok({"sent": 1})])

    with Inline(lambda runtime: script.add_to(runtime, backoff=[10])) as app:
        job = app.jobs.queue("mail")
        errors = [job.error]
        app.advance(seconds=11)
        errors.append(app.jobs.get(job).error)
        (done,) = app.advance(seconds=60)
        again = app.jobs.queue("mail")

    assert errors == ["RuntimeError: no route", "ValueError: bad address"]
    assert (done.result, again.result) == ({"sent": 1}, {"sent": 1})
    assert [(call.step, call.attempt, call.claim_no) for call in script.calls_of(job)] == [
        ("fail", 1, 1),
        ("fail", 2, 2),
        ("snooze", 3, 3),
        ("ok", 3, 4),
    ]
    assert [call.number for call in script.calls] == [1, 2, 3, 4, 5]


def test_a_function_says_what_to_do_by_job_and_call() -> None:
    def steps(job: Job[Any], number: int) -> Any:
        return discard("odd") if job.data % 2 else {"call": number}

    with Inline(Script("work", steps).add_to) as app:
        jobs = app.jobs.queue_many([("work", n) for n in range(3)])

    assert {job.data: job.state for job in jobs} == {0: "done", 1: "dead", 2: "done"}
    assert jobs[1].reason == "odd"
    assert jobs[0].result["call"] in (1, 2, 3)


def test_times_are_virtual() -> None:
    script = Script("work", [work(3600, "late")])

    with Inline(script.add_to) as app:
        job = app.jobs.queue("work", {"a": 1})

    (call,) = script.calls
    assert call.ended_at is not None
    assert round((call.ended_at - call.started_at).total_seconds()) == 3600
    assert (job.result, call.data, call.job_id) == ("late", {"a": 1}, job.id)


def test_work_ends_at_the_signal_and_a_hang_ignores_it() -> None:
    for step, seconds in ((work(100), 10), (hang(100), 100)):
        script = Script("work", [step, ok()])
        with Inline(lambda runtime, script=script: script.add_to(runtime, timeout=10)) as app:  # type: ignore[misc]
            app.jobs.queue("work")
            app.advance(minutes=5)

        first = script.calls[0]
        assert first.ended_at is not None
        assert round((first.ended_at - first.started_at).total_seconds()) == seconds


def test_a_hang_that_returns_late_changes_nothing() -> None:
    script = Script("work", [hang(100), ok("second")])

    with Inline(lambda runtime: script.add_to(runtime, timeout=10)) as app:
        job = app.jobs.queue("work")
        app.advance(minutes=5)

        assert app.jobs.get(job).result == "second"
        assert '"event":"job.fenced"' in app.log


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, MemoryError])
def test_a_crash_ends_the_attempt_and_nothing_else(error: type[BaseException]) -> None:
    script = Script("work", [crash(error), ok()])

    with Inline(script.add_to) as app:
        job = app.jobs.queue("work")

        assert job.error == f"{error.__name__}: scripted"
        app.advance(seconds=5)
        assert app.jobs.get(job).state == "done"


def test_the_same_script_goes_on_through_the_lives_of_a_killed_process() -> None:
    script = Script("work", [work(600)])

    with Simulation(script.add_to, faults=Faults(kill_process=0.05)) as sim:
        for _ in range(20):
            sim.runtime.jobs.queue("work")
        sim.run(hours=2)
        sim.check()

    assert [call.number for call in script.calls] == list(range(1, len(script.calls) + 1))
    assert any(call.ended_at is None for call in script.calls)
    assert script.calls[-1].ended_at is not None


def test_it_works_on_real_threads(runtime: Callable[..., Runtime]) -> None:
    rt = runtime()
    script = Script("work", [fail("boom"), hang(), ok(7)])
    script.add_to(rt, backoff=[0], concurrency=2)
    jobs = rt.jobs.queue_many([("work", 1), ("work", 2)])
    with pytest.raises(TimeoutError):
        drain(rt, timeout=0.1)

    script.release()

    drain(rt, timeout=15)
    assert [rt.jobs.get(job).state for job in jobs] == ["done", "done"]
    assert sorted(call.step for call in script.calls) == ["fail", "hang", "ok"]


@pytest.mark.parametrize("steps", [[], ["ok"], [ok]])
def test_what_is_no_script_is_refused(steps: Any) -> None:
    with pytest.raises(UsageError, match="expected steps such as"):
        Script("work", steps)
