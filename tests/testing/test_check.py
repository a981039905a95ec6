"""What `check` finds, also where lines of the log were lost on purpose."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from lamplighter import Runtime, UsageError
from lamplighter.testing import Faults, Simulation, Violation


def register(runtime: Runtime) -> None:
    runtime.jobs.add_handler("work", lambda job: job.data)


def lose(sim: Simulation, job_id: str) -> None:
    """What a bug in the store would do."""
    with closing(sqlite3.connect(sim.path)) as store, store:
        store.execute("delete from lamplighter_jobs where id = ?", (job_id,))


def lived(faults: Faults, **options: Any) -> Simulation:
    return Simulation(register, seed=1, faults=faults, **options)


def test_a_fault_of_the_log_that_never_struck_hides_nothing() -> None:
    with lived(Faults(log_error=1e-12)) as sim:
        job = sim.runtime.jobs.queue("work", delay=86_400)
        sim.run(minutes=1)
        assert sim.check().ok
        lose(sim, job.id)

        with pytest.raises(Violation, match=f"{job.id} was queued, and the store has no such job"):
            sim.check()


@pytest.mark.parametrize("delay", [0, 86_400])
def test_a_lost_job_is_found_where_lines_of_the_log_were_lost_too(delay: int) -> None:
    with lived(Faults(log_error=0.3)) as sim:
        jobs = [sim.runtime.jobs.queue("work", delay=delay) for _ in range(5)]
        for _ in range(20):
            sim.runtime.jobs.queue("work", delay=60)
        sim.run(minutes=5)
        sim.check()
        assert sim.reached["log_error"] > 0
        lose(sim, jobs[2].id)

        with pytest.raises(Violation, match=f"lost: the store has no job {jobs[2].id}"):
            sim.check()


def test_a_job_without_any_line_is_found_when_it_was_accepted_and_lost() -> None:
    accepted: list[str] = []

    def host(runtime: Runtime) -> None:
        runtime.wait(10)
        accepted.append(runtime.jobs.queue("work", delay=86_400).id)

    with lived(Faults(log_error=1.0), host=host) as sim:
        sim.run(minutes=1)
        assert (sim.reached["log_error"] > 0, accepted[0] in sim.log) == (True, False)
        lose(sim, accepted[0])

        with pytest.raises(Violation, match=f"lost: the store has no job {accepted[0]}"):
            sim.check()


@pytest.mark.parametrize("chance", [0.05, 0.5, 1.0])
def test_what_retention_removes_is_not_lost_whatever_the_lines_and_the_clock_do(
    chance: float,
) -> None:
    for seed in range(3):
        faults = Faults(log_error=chance, clock_jump=0.01, crash_actor=0.01)
        with Simulation(register, seed=seed, faults=faults, keep_done_seconds=2 * 3600.0) as sim:
            for _ in range(5):
                sim.runtime.jobs.queue("work")
                sim.run(hours=2)
            sim.check()
            assert sim.runtime.jobs.counts("work")["done"] < 5


@pytest.mark.parametrize("level", ["warning", "error", "bogus"])
def test_a_level_that_nothing_can_be_checked_by_is_refused(level: str) -> None:
    with pytest.raises(UsageError, match=f"expected level to be debug or info.* got: '{level}'"):
        Simulation(register, level=level)


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_lost_job_is_found_at_every_level_that_is_taken(level: str) -> None:
    with lived(Faults(), level=level) as sim:
        ended = sim.runtime.jobs.queue("work")
        job = sim.runtime.jobs.queue("work", delay=86_400)
        sim.run(minutes=1)
        assert sim.check().ok
        lose(sim, job.id)

        with pytest.raises(Violation):
            sim.check()
        assert ended.id in sim.log
