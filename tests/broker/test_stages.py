"""The stages of a turn come in an order, and each sees what those before it have done in the same turn."""

from __future__ import annotations

import json

import pytest
from lamplighter.testing.simulation.simulation import Simulation


def turn_of(simulation, event, job):
    """The number of the turn in which something has become of a job."""
    lines = map(json.loads, simulation.log.splitlines())
    (turn,) = [line["turn"] for line in lines if line["event"] == event and line["job_id"] == job.id]
    return turn


def test_a_claim_that_is_overdue_and_the_job_that_waits_for_it_end_in_one_turn():
    def register(runtime):
        runtime.jobs.add_handler("approve", lambda job: None, auto_done=False, max_attempts=1, timeout=60)

    with Simulation(register) as simulation:
        parent = simulation.runtime.jobs.queue("approve")
        child = simulation.runtime.jobs.queue("approve", after=parent)
        simulation.run(seconds=90)

        assert turn_of(simulation, "job.dead", parent) == turn_of(simulation, "job.doomed", child)


def test_a_claim_that_is_overdue_has_its_line_though_nothing_is_claimed_in_its_turn():
    def register(runtime):
        runtime.jobs.add_handler("approve", lambda job: None, auto_done=False, max_attempts=1, timeout=60)

    with Simulation(register) as simulation:
        job = simulation.runtime.jobs.queue("approve")
        simulation.run(seconds=90)

        assert turn_of(simulation, "job.dead", job) > 0


@pytest.mark.parametrize(
    ("total", "hold", "running"),
    [
        (None, lambda jobs: jobs.pause("work"), 0),
        (None, lambda jobs: jobs.limit("work", 1), 1),
        (1, lambda jobs: None, 1),
    ],
    ids=["pause", "limit", "total"],
)
def test_each_of_what_may_hold_a_name_holds_it_alone(total, hold, running):
    def register(runtime):
        runtime.jobs.add_handler("work", lambda job: job.sleep(50), concurrency=4, concurrency_total=total)

    with Simulation(register) as simulation:
        jobs = simulation.runtime.jobs
        hold(jobs)
        jobs.queue_many([("work", None)] * 4)
        simulation.run(seconds=5)

        assert jobs.counts("work")["running"] == running
