"""What stands before a queued job, as far as indexes tell it."""

from __future__ import annotations

import random

import pytest
from lamplighter.messages.jobs import JobState
from lamplighter.messages.queries import JobQuery
from lamplighter.stores.tables import due

from support.conformance.kit import NOW, new, put, take

MOST = 1_000


@pytest.mark.parametrize("seed", range(20))
def test_as_many_jobs_are_ahead_as_are_claimed_before_it(store, seed):
    chance = random.Random(seed)
    jobs = [
        new(
            f"j{n}",
            priority=chance.randrange(3),
            run_at=NOW + chance.choice([-9, -5, -5, 20]),
            queued_at=NOW - chance.choice([0, 10]),
            expires_at=chance.choice([None, None, NOW - 1, NOW + 50]),
        )
        for n in range(60)
    ]
    stored = put(store, *jobs)
    claimable = [job for job in stored if job.run_at <= NOW and (job.expires_at or NOW + 1) > NOW]

    counted = {job.id: store.table.before(job, NOW, MOST).ahead for job in claimable}

    assert counted == {job.id: place for place, job in enumerate(sorted(claimable, key=due.order))}


def test_no_more_are_counted_than_somebody_wants_to_know(store):
    *_, last = put(store, *[new(f"j{n}", run_at=NOW - 9) for n in range(30)])

    assert store.table.before(last, NOW, 10)[:2] == (10, True)
    assert store.table.before(last, NOW, 30)[:2] == (29, False)


def test_what_waits_and_is_due_may_hide_more_than_was_looked_at(store):
    put(store, *[new(f"w{n}", priority=-1, run_at=NOW - 5, queued_at=NOW - 9) for n in range(20)])
    (job,) = put(store, new("job", run_at=NOW - 1))

    assert store.table.before(job, NOW, 10)[:2] == (0, True)
    assert store.table.before(job, NOW, 30)[:2] == (0, False)


def test_running_jobs_of_its_name_are_counted_and_no_others(store):
    put(store, *[new(f"j{n}", run_at=NOW) for n in range(3)], new("other", name="other", run_at=NOW))
    take(store, begun=2)
    last = store.table.find(JobQuery(names=("work",), states=(JobState.QUEUED,)), limit=1).jobs[0]

    assert store.table.before(last, NOW, MOST).running == 2


def test_a_running_job_of_the_same_schedule_stands_before_one_that_runs_alone(store):
    first, second, other = put(
        store,
        new("first", schedule="s", run_at=NOW, one_at_a_time=1),
        new("second", schedule="s", run_at=NOW + 1, one_at_a_time=1),
        new("other", schedule="s", run_at=NOW + 1),
    )
    take(store, begun=1)

    assert store.table.before(second, NOW + 2, MOST).same_schedule == first.id
    assert store.table.before(other, NOW + 2, MOST).same_schedule is None


def test_before_a_job_of_a_group_stand_those_of_its_group_alone(store):
    put(store, *[new(f"j{n}", group_key="ab"[n % 2], run_at=NOW) for n in range(8)], new("other", run_at=NOW))
    running = [job for job in take(store, begun=4, per_group=5) if job.group_key == "b"]
    queued = store.table.find(JobQuery(names=("work",), states=(JobState.QUEUED,)), limit=9).jobs
    waiting = sorted((job for job in queued if job.group_key == "b"), key=lambda job: job.row_id)

    found = store.table.before(waiting[-1], NOW, MOST)

    assert (found.ahead, found.is_capped, found.of_group) == (len(waiting) - 1, False, len(running))
    assert store.table.before(waiting[-1], NOW, 1)[:2] == (1, True)
    assert store.table.before(waiting[0], NOW, 1)[:2] == (0, False)
