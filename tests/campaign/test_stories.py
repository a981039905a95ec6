"""Bugs that simulations have found, each with its story."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from lamplighter import Runtime, StaleClaim
from lamplighter.testing.simulation.faults import Faults
from lamplighter.testing.simulation.simulation import Simulation


def test_an_id_that_is_used_again_is_not_finished_by_a_lane_of_its_first_life():
    # Claim numbers began anew with the second life of the id, and the fence knew nothing but the id and the number.
    tokens = []

    def register(runtime: Runtime) -> None:
        def deaf(job):
            tokens.append(job.token)
            first = len(tokens) == 1
            runtime.environment.event().wait(60 if first else 120)
            return "the first life's" if first else "the second life's"

        runtime.jobs.add_handler("work", deaf, timeout=1, max_attempts=1)

    with Simulation(register, keep_dead_seconds=4, lane_grace_seconds=1) as simulation:
        simulation.runtime.jobs.queue("work", id="a")
        simulation.run(seconds=30)
        again = simulation.runtime.jobs.queue("work", id="a", timeout=1000)
        simulation.run(seconds=300)

        assert (again.deduplicated, tokens) == (False, ["a:1", "a:1"])
        assert simulation.runtime.jobs.get("a").result == "the second life's"
        assert '"event":"job.fenced"' in simulation.log


def test_a_commit_that_raised_and_was_stored_is_told_and_its_claims_are_given_out():
    # The claims of that turn had been delivered to nobody, and no line told what it did.
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: job.attempt)

    unknown = "store.turn.committed=9*off->1*raise(sqlite3.OperationalError: disk I/O error)->off"
    with Simulation(register, failpoints=unknown) as simulation:
        jobs = [simulation.runtime.jobs.queue("work", n, id=f"job-{n}") for n in range(6)]
        simulation.run(seconds=60)

        assert [simulation.runtime.jobs.get(job).result for job in jobs] == [1] * 6
        assert '"event":"turn.recovered"' in simulation.log
        simulation.check()


@pytest.mark.parametrize("turns", range(3))
def test_a_schedule_whose_change_was_stored_though_its_commit_raised_is_told_of(turns):
    # It went on by the new rule, and no line told of another one than the old.
    lives = []

    def register(runtime: Runtime) -> None:
        lives.append(runtime)
        runtime.scheduler.add("work", "*/30 * * * * *" if len(lives) == 1 else "*/25 * * * * *", key="moving")
        if len(lives) == 2:
            unknown = f"{turns}*off->1*raise(sqlite3.OperationalError: disk I/O error)->off"
            runtime.environment.failpoints.arm("store.turn.committed", unknown)

    with Simulation(register) as simulation:
        simulation.run(seconds=40)
        simulation.kill()
        simulation.run(seconds=60)

        assert '"schedule.changed"' in simulation.log
        simulation.check()


def test_a_boot_whose_registration_was_stored_though_it_raised_registers_again():
    # It met its own row: UNIQUE constraint failed.
    unknown = "store.turn.committed=1*raise(sqlite3.OperationalError: disk I/O error)->off"

    with Simulation(lambda runtime: None, failpoints=unknown) as simulation:
        assert simulation.runtime.health().status == "green"


def test_a_token_of_an_earlier_life_of_an_id_may_end_nothing_through_the_job_itself():
    held = []

    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", held.append, auto_done=False, timeout=1, max_attempts=1)

    with Simulation(register, keep_dead_seconds=4) as simulation:
        jobs = simulation.runtime.jobs
        jobs.queue("work", id="a")
        simulation.run(seconds=30)
        jobs.queue("work", id="a", timeout=1000)
        simulation.run(seconds=5)

        with pytest.raises(StaleClaim):
            jobs.mark_done(held[0])
        with closing(sqlite3.connect(simulation.path)) as connection, pytest.raises(StaleClaim):
            jobs.mark_done(held[0], connection=connection)
        jobs.mark_done(held[1], "by the second")
        assert jobs.get("a").result == "by the second"


def test_what_brokers_had_stored_and_not_told_is_told_by_the_one_that_lives():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: None, concurrency=3)

    with Simulation(
        register, seed=4, faults=Faults(crash_actor=0.3, crash_only="broker"), restarts_max=1000
    ) as simulation:
        simulation.runtime.jobs.queue_many([("work", n) for n in range(20)])
        simulation.run(minutes=5)

        assert simulation.reached["crash_actor"] > 5
        simulation.check()
