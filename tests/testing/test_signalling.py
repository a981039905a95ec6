"""Signals in a simulation: a process stops as `run` does, once, however many come and however they fall."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from functools import partial

import pytest
from lamplighter import Job, Runtime, Snooze
from lamplighter.environment.environment import Environment
from lamplighter.testing import Faults, Simulation
from lamplighter.testing.simulation.virtual_primitives import VirtualEvent, VirtualLock, VirtualRelock
from lamplighter.testing.simulation.virtual_scheduler import Process, VirtualScheduler

SIGNALS = Faults(signal_burst=0.02)


def register(runtime: Runtime) -> None:
    runtime.jobs.add_handler("work", work, concurrency=3, timeout=60)


def work(job: Job) -> object:
    # Woken by a stop, every other one goes back, and the rest are done.
    if not job.sleep(float(job.data)) and job.stopping and job.data % 2:
        raise Snooze(0)
    return job.data


def queue_some(runtime: Runtime) -> None:
    for number in range(20):
        runtime.jobs.queue("work", number, id=f"job-{number}")
    runtime.wait(3600)


def told(log: str, event: str) -> Counter[str]:
    return Counter(line["boot"] for line in map(json.loads, log.splitlines()) if line["event"] == event)


def test_a_process_that_is_told_to_stop_stops_once_and_uses_no_attempt():
    reached: Counter[str] = Counter()
    for seed in range(5):
        with Simulation(register, host=queue_some, seed=seed, faults=SIGNALS) as simulation:
            simulation.run(minutes=5)
            simulation.check()
            jobs = [simulation.runtime.jobs.get(f"job-{number}") for number in range(20)]
            reached += simulation.reached

            assert [job.result for job in jobs] == list(range(20))
            for event in ("runtime.stopping", "runtime.stopped"):
                assert set(told(simulation.log, event).values()) <= {1}

    assert reached["signal"] > reached["stopped"] > 0


def test_who_asks_for_a_runtime_that_is_stopping_gets_the_next_one():
    with Simulation(register, host=queue_some, faults=Faults(signal_burst=1.0)) as simulation:
        before = simulation.runtime.current_boot.get().id
        simulation.run(seconds=0.1)

        assert simulation.runtime.current_boot.get().id != before


def test_a_signal_that_nobody_handles_yet_kills_the_process_that_starts():
    def scheduled(runtime: Runtime) -> None:
        register(runtime)
        # Its start is over when they are stored.
        runtime.scheduler.add("work", "@every 1m", 1)

    with Simulation(scheduled, faults=Faults(signal_burst=0.3)) as simulation:
        simulation.run(minutes=5)
        simulation.settle()

        assert simulation.reached["signal killed"] > 0


@pytest.mark.parametrize("call", ["set", "wait"])
@pytest.mark.parametrize(("is_the_same", "goes_on"), [(True, False), (False, True)])
def test_a_signal_waits_for_ever_for_the_lock_of_an_event_that_its_thread_is_in(call, is_the_same, goes_on):
    world = VirtualScheduler(random.Random(0), 0.0)
    event, other = VirtualEvent(world), VirtualEvent(world)
    task = world.spawn(lambda: getattr(event, call)(*[1.0] * (call == "wait")), "in the event", Process(1))
    world.interrupt(task, event.set if is_the_same else other.set)

    world.sleep(5.0)
    is_over = task.is_over
    world.end()

    assert (is_over, other.is_set()) == (goes_on, not is_the_same)


@pytest.mark.parametrize(("make", "depth"), [(VirtualLock, 1), (VirtualRelock, 1), (VirtualRelock, 2)])
def test_a_lock_is_held_by_one_task_at_a_time_as_they_have_asked_for_it(make, depth):
    world = VirtualScheduler(random.Random(0), 0.0)
    lock, held = make(world), []

    def hold(name, more):
        with lock:
            if more > 1:
                hold(name, more - 1)
            held.append((name, round(world.elapsed, 3)))
            world.sleep(1.0)

    for name in "abc":
        world.spawn(partial(hold, name, depth), name, Process(1))
        world.sleep(0.1)
    world.sleep(10.0)
    world.end()

    assert held == [(name, number * depth + more) for number, name in enumerate("abc") for more in range(depth)]


def test_what_a_signal_called_before_is_given_back():
    set_signal, before = Environment().signal, signal.getsignal(signal.SIGTERM)
    try:
        assert set_signal(signal.SIGTERM, signal.SIG_IGN) is before
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
