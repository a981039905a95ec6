"""What runtimes on one file do about one another: how often they look, and how soon they learn, in virtual time."""

from __future__ import annotations

from collections import Counter

import pytest
from lamplighter import Runtime, StoreUnavailable
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.testing.simulation.simulation import Simulation


@pytest.fixture
def looks(monkeypatch) -> Counter[str]:
    """How often each kind of look at the neighbours reached a store."""
    counted: Counter[str] = Counter()
    for what in ("changed", "surroundings"):
        original = getattr(SqliteStore, what)

        def counting(store, *asked, what=what, original=original):
            counted[what] += 1
            return original(store, *asked)

        monkeypatch.setattr(SqliteStore, what, counting)
    return counted


def nothing(runtime: Runtime) -> None:
    """Nobody handles anything."""


def test_a_runtime_that_is_alone_on_its_file_polls_nothing(looks):
    with Simulation(nothing) as simulation:
        simulation.run(seconds=5)
        looks.clear()
        simulation.run(minutes=2)

        assert not looks


def test_two_on_a_file_with_nothing_to_do_look_once_a_second_each(looks):
    with Simulation(nothing, processes=2) as simulation:
        simulation.run(seconds=5)
        looks.clear()
        simulation.run(minutes=2)

        assert 2 * 118 <= looks["changed"] <= 2 * 121
        assert looks["surroundings"] == 0


def idle(runtime: Runtime) -> None:
    """A lane is free for a job of this name."""
    runtime.jobs.add_handler("other", lambda job: None)


@pytest.mark.parametrize("has_free_lane", [True, False])
def test_under_load_a_neighbours_changes_are_read_fifty_times_a_second_at_most(looks, has_free_lane):
    with Simulation(idle if has_free_lane else nothing, processes=2) as simulation:
        _, busy = simulation.runtimes
        simulation.run(seconds=5)
        looks.clear()
        began = simulation.now
        for _ in range(200):
            busy.jobs.queue("nobody")
        simulation.run(seconds=1)
        lasted = (simulation.now - began).total_seconds()

        # Each hint may tell of a job that a free lane can begin.
        assert (looks["changed"] > 100) is has_free_lane
        assert 0 < looks["surroundings"] <= lasted * 50 + 1


def test_each_claim_that_a_neighbour_ends_is_signalled_at_once_also_right_after_one():
    # Only the first is read of with its hint. What is put off must not wait for the next poll.
    stopped = []

    with Simulation(nothing, processes=2) as simulation:
        one, two = simulation.runtimes
        one.jobs.add_handler("long", lambda job: (job.sleep(1000), stopped.append(job.id)), concurrency=8)
        jobs = [one.jobs.queue("long").id for _ in range(8)]
        assert simulation.run(seconds=60, until=lambda: one.jobs.counts("long")["running"] == 8)
        for job_id in jobs:
            two.jobs.cancel(job_id)
            simulation.run(seconds=0.006)
        simulation.run(seconds=0.05)

        assert sorted(stopped) == sorted(jobs)


def test_a_look_abroad_that_fails_is_taken_again_soon_though_nobody_writes(monkeypatch):
    # It waited for the next mail, which on a quiet runtime was the poll.
    stopped = []

    with Simulation(nothing, processes=2) as simulation:
        one, two = simulation.runtimes
        one.jobs.add_handler("long", lambda job: (job.sleep(1000), stopped.append(job.id)))
        job = one.jobs.queue("long")
        assert simulation.run(seconds=60, until=lambda: one.jobs.counts("long")["running"] == 1)
        simulation.run(seconds=5)
        failures = [StoreUnavailable("disk I/O error")]
        changed = one.boot.store.changed

        def failing_once():
            if failures:
                raise failures.pop()
            return changed()

        monkeypatch.setattr(one.boot.store, "changed", failing_once)
        two.jobs.cancel(job)
        simulation.run(seconds=0.2)

        assert (failures, stopped) == ([], [job.id])
