"""Which jobs are due, and when the next ones will be: right in every mixture, however much waits for later."""

from __future__ import annotations

import random
import re

import pytest
from lamplighter.stores.tables import due, turns

from support.conformance.kit import FAILED, NOW, RETRY, claim_in, new, put, take

STEPS = 100
"""So many steps of SQLite's machine are counted as one."""


def steps_of(store, call):
    """How much SQLite has to do for it, whatever the machine."""
    steps = 0

    def step():
        nonlocal steps
        steps += 1

    store._writer.set_progress_handler(step, STEPS)
    call(store)
    store._writer.set_progress_handler(None, STEPS)
    return steps


def claim(store):
    with store.turn("b", NOW) as turn:
        (claimed,) = claim_in(turn)
        turn.jobs.release(claimed.job, "not started")


def outlook(store):
    assert store.jobs.outlook(["work"], NOW)[:2] == (True, NOW + 100)


@pytest.mark.parametrize("call", [claim, outlook])
@pytest.mark.parametrize("waited", [0, 50], ids=["at-once", "after-a-delay"])
def test_jobs_that_wait_at_many_priorities_cost_the_others_nothing(store, call, waited):
    put(store, *[new(f"due-{n}", priority=-n - 1, run_at=NOW, queued_at=NOW - waited) for n in range(3)])
    put(store, *[new(f"few-{n}", priority=n, run_at=NOW + 100) for n in range(due.PRIORITIES_MAX)])
    few = steps_of(store, call)
    put(store, *[new(f"many-{n}", priority=n + 99, run_at=NOW + 100) for n in range(3_000)])

    many = steps_of(store, call)

    assert many <= 2 * few + 10


@pytest.mark.parametrize("seed", range(20))
def test_jobs_are_claimed_in_order_whatever_waits_beside_them(store, seed):
    chance = random.Random(seed)
    priorities = chance.choice([1, 3, 10 * due.PRIORITIES_MAX])
    jobs = [
        new(
            f"j{n}",
            priority=chance.randrange(priorities),
            run_at=NOW + chance.uniform(-20, 20),
            queued_at=NOW - chance.choice([0, 10]),
        )
        for n in range(120)
    ]
    stored = put(store, *jobs)
    right = sorted((job for job in stored if job.run_at <= NOW), key=due.order)

    taken = []
    while some := take(store, begun=chance.randrange(1, 5)):
        taken += some

    assert [job.id for job in taken] == [job.id for job in right]


@pytest.mark.parametrize("told_to_wait", ["by a back-off", "by a requeue"])
def test_a_wait_that_a_clock_set_back_has_told_is_waited_for(store, told_to_wait):
    put(store, new("a"))
    (claimed,) = take(store)
    with store.turn("b", NOW - 3600) as turn:
        if told_to_wait == "by a back-off":
            turn.jobs.settle(claimed, FAILED, RETRY._replace(run_at=NOW - 3540))
        else:
            turn.jobs.requeue(claimed, NOW - 3540)

    early, next_due, late = (
        take(store, NOW - 3541),
        store.jobs.outlook(["work"], NOW - 3541).next_due,
        take(store, NOW - 3540),
    )

    assert (early, next_due, [job.id for job in late]) == ([], NOW - 3540, ["a"])


def test_a_job_that_waited_and_was_interrupted_is_due_at_once(store):
    put(store, new("a", run_at=NOW + 10))
    (claimed,) = take(store, NOW + 10)
    with store.turn("b", NOW + 5) as turn:
        turn.jobs.settle(claimed, FAILED, RETRY._replace(run_at=NOW + 5))

    assert [job.id for job in take(store, NOW + 5)] == ["a"]


@pytest.mark.parametrize("query", [due.READY, due.WAITED, due.WAITED_LONGEST, turns.LINE])
def test_the_planner_sees_no_bound_limit(query):
    """It would plan anew for each value. The SQLite of this Python may be too old to do so, or too new."""
    assert "limit +:" in query
    assert not re.search(r"limit\s+[:?]", query)
