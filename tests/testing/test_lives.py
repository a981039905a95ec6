"""Lives of a simulation's processes: some only queue, some are killed on purpose, deaf, or slow to start."""

from __future__ import annotations

import os

import pytest
from lamplighter import Job, Runtime, UsageError
from lamplighter.testing import Faults, Simulation


def register(runtime: Runtime) -> None:
    runtime.jobs.add_handler("work", lambda job: job.data)


def queue_some(runtime: Runtime) -> None:
    """What the main thread of each process does."""
    for number in range(5):
        runtime.jobs.queue("work", number, id=f"{runtime.environment.whereabouts()[1]}-{number}")


def test_a_producer_handles_nothing_and_its_jobs_are_done_by_the_others():
    with Simulation(register, host=queue_some, producers=2) as simulation:
        simulation.run(seconds=10)
        simulation.check()
        worker, *producers = simulation.runtimes

        assert [producer.current_boot.get().share.works for producer in producers] == [False, False]
        assert [actor.name for actor in producers[0].tree()] == ["supervisor", "broker"]
        assert worker.jobs.counts()["done"] == 15


def test_a_process_that_is_killed_on_purpose_is_started_again():
    with Simulation(register, processes=2) as simulation:
        before = [runtime.current_boot.get().id for runtime in simulation.runtimes]
        simulation.kill(2)
        after = [runtime.current_boot.get().id for runtime in simulation.runtimes]

        assert (after[0] == before[0], after[1] == before[1]) == (True, False)
        assert simulation.reached["kill_process"] == 1


@pytest.mark.parametrize(("asleep", "is_done"), [(True, True), (False, False)])
def test_a_delay_goes_on_while_the_machine_sleeps_and_not_when_its_clock_is_set(asleep, is_done):
    with Simulation(register) as simulation:
        job = simulation.runtime.jobs.queue("work", 1, delay=1800)
        simulation.step_clock(3600, asleep=asleep)
        simulation.run(seconds=10)

        assert (simulation.runtime.jobs.get(job).state == "done") is is_done


def test_a_process_that_is_deaf_for_good_still_runs_what_another_queues():
    with Simulation(register, producers=1, faults=Faults(deafen=1.0)) as simulation:
        simulation.run(seconds=5)
        producer = simulation.runtimes[1]
        job = producer.jobs.queue("work", 1)

        assert producer.jobs.join(job, timeout=30).result == 1
        assert simulation.reached["deafen"] > 0


def test_a_start_that_fails_midway_is_tried_again():
    with Simulation(
        register, processes=3, host=queue_some, faults=Faults(fail_start=0.3, kill_process=0.05)
    ) as simulation:
        simulation.run(minutes=2)
        simulation.check()

        assert simulation.reached["fail_start"] > 0


@pytest.mark.parametrize(("options", "number"), [({"processes": 2}, 3), ({}, 0), ({}, True)])
def test_only_a_process_that_there_is_can_be_killed(options, number):
    with Simulation(register, **options) as simulation, pytest.raises(UsageError, match="the number of a process"):
        simulation.kill(number)


@pytest.mark.parametrize("producers", [-1, True, 1.0])
def test_producers_are_counted_from_none(producers):
    with pytest.raises(UsageError, match="producers"):
        Simulation(register, producers=producers)


def work(job: Job) -> object:
    job.sleep(0.5)
    return job.data


def test_a_child_that_is_killed_interrupts_its_own_job_and_the_others_are_done():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", work, concurrency=2, isolation="process", interruptions_max=100)

    with Simulation(register, host=queue_some, faults=Faults(kill_child=0.5), seed=1) as simulation:
        simulation.run(minutes=30)
        simulation.check()
        jobs = simulation.runtime.jobs
        attempts = [attempt for number in range(5) for attempt in jobs.attempts(f"1-{number}")]

        assert {(attempt.outcome, attempt.error) for attempt in attempts} == {
            ("interrupted", "its process was killed by SIGKILL")
        }
        assert len(attempts) == simulation.reached["kill_child"] > 0
        assert jobs.counts()["done"] == 5


def test_simulations_that_are_over_leave_no_more_files_open_the_more_there_are():
    def open_files() -> int:
        places = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        return sum("lamplighter-" in os.readlink(place) for place in places if os.path.islink(place))

    counts = []
    for seed in range(3):
        with Simulation(register, processes=2, seed=seed) as simulation:
            simulation.operator(by="ada").pause("nobody")
            simulation.run(seconds=1)
            assert open_files() > 0
        counts.append(open_files())

    assert counts == counts[:1] * 3
