"""Handlers that fork in a simulation: the forked child is a process of its own, and its parent goes on."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from lamplighter import Job, NotStarted, Runtime
from lamplighter.handlers import execute
from lamplighter.testing import Faults, Simulation
from lamplighter.testing.simulation.verdict import Violation

JOBS = 20


def queue_some(runtime: Runtime) -> None:
    for number in range(JOBS):
        runtime.jobs.queue("work", number, id=f"job-{number}")


def work(job: Job) -> object:
    job.sleep(0.5)
    return job.data


async def work_async(job: Job) -> object:
    await asyncio.sleep(0.5)
    return job.data


@pytest.mark.parametrize(("handler", "isolation"), [(work, "thread"), (work_async, "thread"), (work, "process")])
def test_of_a_job_whose_handler_forks_the_parent_alone_says_how_it_ended(handler, isolation):
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", handler, concurrency=3, isolation=isolation)

    with Simulation(register, host=queue_some, faults=Faults(fork=1.0)) as simulation:
        simulation.run(minutes=2)
        simulation.check()
        results = [simulation.runtime.jobs.get(f"job-{number}").result for number in range(JOBS)]

        assert results == list(range(JOBS))
        # The first have begun before there were faults.
        assert simulation.reached["fork"] == simulation.reached["forked child left"] > JOBS // 2


def test_a_forked_child_that_goes_on_as_its_parent_is_found(monkeypatch):
    monkeypatch.setattr(execute.Execution, "_end_if_forked", lambda call, error: None)

    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", work)

    with (
        Simulation(register, host=queue_some, faults=Faults(fork=1.0)) as simulation,
        pytest.raises(Violation, match="a forked child came out of the function of job-"),
    ):
        simulation.run(minutes=2)


def test_forked_children_outlive_a_host_that_is_killed_and_touch_nothing():
    faults = Faults(fork=0.5, kill_process=0.02)
    reached: Counter[str] = Counter()
    for seed in range(5):
        with Simulation(
            lambda runtime: runtime.jobs.add_handler("work", work), host=queue_some, seed=seed, faults=faults
        ) as simulation:
            simulation.run(minutes=2)
            simulation.check()
            reached += simulation.reached

    assert reached["kill_process"] > 0
    assert 0 < reached["forked child left"] <= reached["fork"]


def test_a_runtime_knows_its_process_by_its_environment():
    with Simulation(lambda runtime: None) as simulation:
        current_boot = simulation.runtime.current_boot
        current_boot.get().pid += 1

        with pytest.raises(NotStarted, match="started in another process, before a fork"):
            current_boot.get()
