"""Time that a test owns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from lamplighter import Runtime
from lamplighter.environment import Environment
from lamplighter.testing import ManualTime, drain


def test_time_stands_still_until_the_test_lets_it_pass() -> None:
    time = ManualTime(datetime(2026, 1, 1, tzinfo=UTC))
    clock = time.clock()
    made: list[str] = []
    clock.after(10, lambda: made.append("after"))
    clock.after(10, lambda: made.append("after it"))
    clock.at(time.wall + 20, lambda: made.append("at"))
    clock.at(time.wall + 20, lambda: made.append("at the same instant"))

    told = []
    for seconds in (9, 1, 10):
        time.advance(seconds)
        told.append(list(made))

    of_ten = ["after", "after it"]
    assert told == [[], of_ten, [*of_ten, "at", "at the same instant"]]
    assert (time.now, clock.monotonic()) == (datetime(2026, 1, 1, 0, 0, 20, tzinfo=UTC), 20)


def test_a_cancelled_call_is_not_made() -> None:
    time, made = ManualTime(), []
    call = time.clock().after(1, lambda: made.append(1))

    call.cancel()
    time.advance(2)

    assert made == []


def test_a_step_moves_wall_time_alone_and_is_told() -> None:
    time, jumps, made = ManualTime(0.0), [], []
    clock = time.clock()
    clock.on_jump(jumps.append)
    clock.after(10, lambda: made.append("after"))
    clock.at(10, lambda: made.append("at"))

    time.step(3600)

    assert (jumps, made, clock.now(), clock.monotonic()) == ([3600], ["at"], 3600, 0)


def test_a_stopped_clock_makes_no_more_calls_and_the_next_life_has_its_own() -> None:
    time, made = ManualTime(), []
    first, second = time.clock(), time.clock()
    first.after(1, lambda: made.append("first"))
    second.after(1, lambda: made.append("second"))

    first.stop()
    time.advance(1)

    assert made == ["second"]


@pytest.mark.parametrize("days", [1, 30])
def test_a_runtime_on_real_threads_lives_through_days_in_no_time(days: int) -> None:
    time = ManualTime(datetime(2026, 1, 1, tzinfo=UTC))
    runtime = Runtime(":memory:", environment=Environment(clock=time.clock), keep_done_seconds=1e9)
    runtime.jobs.add_handler("nightly", lambda job: job.slot.day)
    runtime.scheduler.add("nightly", "0 3 * * *")
    with runtime:
        for _ in range(days):
            time.advance(timedelta(days=1).total_seconds())
            drain(runtime, timeout=15)

        results = [job.result for job in reversed(runtime.jobs.list("nightly"))]

    assert results == list(range(1, days + 1))
