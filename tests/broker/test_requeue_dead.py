"""Many dead jobs put back at a stroke."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from lamplighter import JobFailed, JobSpec, Runtime, UsageError

JOIN_SECONDS = 15.0


@pytest.fixture
def one(runtime: Callable[..., Runtime]) -> Runtime:
    made: Runtime = runtime()
    made.broken = True  # type: ignore[attr-defined]

    def work(job: object) -> str:
        if made.broken:  # type: ignore[attr-defined]
            raise ValueError("broken")
        return "whole"

    for name in ("a", "b"):
        made.jobs.add_handler(name, work, max_attempts=1, concurrency=4)
    return made


def die(runtime: Runtime, name: str, count: int, **options: object) -> list[str]:
    jobs = runtime.jobs.queue_many([JobSpec(name=name, data=number, **options) for number in range(count)])  # type: ignore[arg-type]
    for job in jobs:
        with pytest.raises(JobFailed):
            runtime.jobs.join(job, timeout=JOIN_SECONDS)
    return [job.id for job in jobs]


def test_the_dead_of_a_name_or_all_are_queued_again_with_their_attempts_reset(one: Runtime) -> None:
    of_a, of_b = die(one, "a", 3), die(one, "b", 2)
    one.broken = False  # type: ignore[attr-defined]

    assert (one.jobs.requeue_dead("a"), one.jobs.requeue_dead(), one.jobs.requeue_dead()) == (3, 2, 0)

    ended = [one.jobs.join(job_id, timeout=JOIN_SECONDS) for job_id in (*of_a, *of_b)]
    assert {(job.result, job.attempt) for job in ended} == {("whole", 1)}


def test_one_that_dies_again_meanwhile_is_not_queued_a_third_time(one: Runtime) -> None:
    died = die(one, "a", 5)

    assert one.jobs.requeue_dead() == 5

    for job_id in died:
        with pytest.raises(JobFailed):
            one.jobs.join(job_id, timeout=JOIN_SECONDS)
        assert len(one.jobs.attempts(job_id)) == 2


def test_one_whose_unique_key_is_taken_stays_dead_and_the_others_do_not(one: Runtime) -> None:
    (keyed,) = die(one, "a", 1, unique="k")
    (other,) = die(one, "a", 1)
    one.jobs.queue("a", unique="k", delay=3600.0)
    one.broken = False  # type: ignore[attr-defined]

    assert one.jobs.requeue_dead("a") == 1

    assert (one.jobs.get(keyed).state, one.jobs.join(other, timeout=JOIN_SECONDS).state) == ("dead", "done")


def test_they_can_wait_before_they_are_due(one: Runtime) -> None:
    (died,) = die(one, "a", 1)

    one.jobs.requeue_dead(delay=3600.0)

    assert one.jobs.get(died).state == "queued"
    assert one.jobs.get(died).run_at.timestamp() == pytest.approx(one.boot.clock.now() + 3600.0, abs=60.0)


def test_an_asyncio_host_does_the_same(one: Runtime) -> None:
    died = die(one, "a", 3)
    one.broken = False  # type: ignore[attr-defined]

    assert asyncio.run(one.jobs.arequeue_dead("a")) == 3

    assert {one.jobs.join(job_id, timeout=JOIN_SECONDS).state for job_id in died} == {"done"}


def test_a_name_that_cannot_be_is_refused(one: Runtime) -> None:
    with pytest.raises(UsageError, match="expected name"):
        one.jobs.requeue_dead("")
