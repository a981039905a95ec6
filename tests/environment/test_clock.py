"""The clock's own memory, and the steps of wall time that it notices."""

from __future__ import annotations

import threading
import time as walltime

import pytest
from lamplighter.environment import clock as clock_module
from lamplighter.environment.clock import (
    CANCELLED_CALLS_MIN,
    COMPARED_SECONDS_MAX,
    COMPARISONS_MAX,
    STEP_SECONDS_MAX,
    SystemClock,
)


def test_deadlines_go_with_their_jobs(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None, timeout=3600, concurrency=4)

    for job in rt.jobs.queue_many([("work", n) for n in range(200)]):
        rt.jobs.join(job, timeout=10)
    actor = rt.boot.post.find("handler:work")
    recorder.until(lambda: actor.holds_nothing, "the handler to hold nothing")

    live = [due for due, _, timed in rt.boot.clock._monotonic if timed.call is not None]
    assert [due for due in live if due - walltime.monotonic() > 600] == []


def test_the_clocks_heap_does_not_grow_with_jobs_that_have_ended(runtime, recorder):
    rt = runtime(durability="os")
    rt.jobs.add_handler("work", lambda job: None, timeout=3600, concurrency=4)

    for job in rt.jobs.queue_many([("work", n) for n in range(1000)]):
        rt.jobs.join(job, timeout=10)

    assert len(rt.boot.clock._monotonic) < 500


@pytest.mark.parametrize("is_wall", [False, True])
def test_cancelled_calls_are_cleared_away_long_before_they_would_be_due(is_wall):
    # Of most jobs the deadline is never set, because they end sooner: so many do not show this.
    clock, made = SystemClock(), []

    def later(number):
        call = lambda: made.append(number)  # noqa: E731
        return clock.at(walltime.time() + 3600 + number, call) if is_wall else clock.after(3600 + number, call)

    timers = [later(number) for number in range(10 * CANCELLED_CALLS_MIN)]
    kept = timers[::100]
    for timer in timers:
        if timer not in kept:
            timer.cancel()

    left = [timed for _, _, timed in (*clock._monotonic, *clock._wall)]
    assert len(left) <= 2 * CANCELLED_CALLS_MIN
    assert [timed for timed in sorted(left, key=lambda one: one.due) if timed.call is not None] == kept


class SteppedTime:
    """The wall time of this process, set forward or back by `ahead` seconds."""

    def __init__(self, monkeypatch):
        self.ahead = 0.0
        real = walltime.time
        monkeypatch.setattr(walltime, "time", lambda: real() + self.ahead)


@pytest.fixture
def stepped(monkeypatch):
    return SteppedTime(monkeypatch)


@pytest.mark.parametrize("step", [3600.0, -3600.0, 2.0, -2.0])
def test_a_step_of_wall_time_is_noticed_once_in_either_direction(stepped, step):
    clock, jumps, heard_too = SystemClock(), [], []
    clock.on_jump(jumps.append)
    clock.on_jump(heard_too.append)
    clock.notice()
    unstepped = list(jumps)

    for _ in range(2):
        stepped.ahead = step
        clock.notice()

    assert (unstepped, jumps) == ([], [pytest.approx(step, abs=0.5)])
    assert heard_too == jumps


@pytest.mark.parametrize("step", [0.6, -0.6])
def test_small_steps_are_noticed_when_they_have_become_a_large_one(stepped, step):
    clock, jumps = SystemClock(), []
    clock.on_jump(jumps.append)

    for number in (1, 2):
        stepped.ahead = number * step
        clock.notice()

    assert jumps == [pytest.approx(2 * step, abs=0.3)]


@pytest.mark.parametrize(
    ("disturbed", "jump"), [(0, None), (1, None), (COMPARISONS_MAX - 1, None), (COMPARISONS_MAX, 1800.0)]
)
def test_a_process_that_was_put_aside_between_two_readings_compares_a_few_times(monkeypatch, disturbed, jump):
    elapsed, left = 0.0, 0
    monkeypatch.setattr(walltime, "monotonic", lambda: elapsed)

    def wall():
        nonlocal elapsed, left
        # The process stands still for an hour after it has read the wall time.
        now, left = 1e9 + elapsed, left - 1
        elapsed += 3600.0 if left >= 0 else COMPARED_SECONDS_MAX / 2
        return now

    monkeypatch.setattr(walltime, "time", wall)
    clock, jumps = SystemClock(), []
    clock.on_jump(jumps.append)
    left = disturbed

    clock.notice()

    assert jumps == ([] if jump is None else [pytest.approx(-jump, abs=1)])


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_the_clocks_thread_notices_a_step_by_itself(stepped, step):
    clock, jumps, noticed = SystemClock(), [], threading.Event()
    clock.on_jump(lambda delta: (jumps.append(delta), noticed.set()))
    clock.start()

    stepped.ahead = step

    assert noticed.wait(15)
    clock.stop()
    assert jumps == [pytest.approx(step, abs=0.5)]


@pytest.mark.parametrize("seconds", [(), (3600.0,), (3600.0, 7200.0)])
def test_a_clock_without_a_call_that_is_due_soon_sleeps_as_long_as_it_may(seconds):
    clock = SystemClock()
    for later in seconds:
        clock.after(later, int)
        clock.at(walltime.time() + later, int)

    assert clock._step() == STEP_SECONDS_MAX


@pytest.mark.parametrize("is_wall", [False, True])
def test_a_clock_that_sleeps_long_is_woken_by_an_earlier_call_and_by_its_stop(recorder, monkeypatch, is_wall):
    monkeypatch.setattr(clock_module, "STEP_SECONDS_MAX", 3600.0)
    clock, made = SystemClock(), threading.Event()

    def sleep_long():
        recorder.until(lambda: clock._waits_until > walltime.monotonic() + 1800, "the clock to sleep")

    clock.start()
    sleep_long()
    if is_wall:
        clock.at(walltime.time(), made.set)
    else:
        clock.after(0.0, made.set)
    assert made.wait(15)
    sleep_long()
    stopping = threading.Thread(target=clock.stop)
    stopping.start()
    stopping.join(15)

    assert not stopping.is_alive()
    assert not clock._thread.is_alive()


def test_a_clock_may_be_stopped_by_a_call_of_its_own():
    clock, stopped = SystemClock(), threading.Event()
    clock.start()

    clock.after(0.0, lambda: (clock.stop(), stopped.set()))

    assert stopped.wait(15)


def test_a_stop_waits_for_the_call_that_is_being_made():
    clock, begun, returned = SystemClock(), threading.Event(), threading.Event()
    was_waited_for = []

    def call():
        begun.set()
        was_waited_for.append(not returned.wait(0.3))

    clock.after(0.0, call)
    clock.start()
    assert begun.wait(15)

    clock.stop()
    returned.set()

    assert not clock._thread.is_alive()
    assert was_waited_for == [True]


def test_a_call_that_fails_is_told_and_takes_no_other_with_it(monkeypatch):
    told, made = [], threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda failed: told.append(failed.exc_value))
    clock, error = SystemClock(), ValueError("no")

    def fails():
        raise error

    clock.after(0.0, fails)
    clock.after(0.0, made.set)
    clock.start()

    assert made.wait(15)
    clock.stop()
    assert told == [error]
