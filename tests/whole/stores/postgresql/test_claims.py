"""Claims on PostgreSQL, while others hold rows of due jobs."""

from __future__ import annotations

import contextlib

import psycopg
import pytest
from lamplighter.stores.postgresql.store import PostgresStore
from lamplighter.stores.turn_ports import HELD_UP_SECONDS

from support.conformance.kit import DONE, NOW, SUCCEEDED, new, put, take, want


@pytest.fixture
def store(postgres):
    with contextlib.closing(PostgresStore(postgres)) as one:
        one.open()
        yield one


@pytest.fixture
def held(postgres, store):
    """Two due jobs. A transaction that stays open holds the first."""
    put(store, new("held"), new("free"))
    with contextlib.closing(psycopg.connect(postgres.partition("?")[0])) as other:
        other.execute("select from shared.lamplighter_jobs where id = 'held' for update")
        yield other


def claimed(store, now=NOW, **changes):
    """What a claim gives, and when to look again."""
    with store.turn("b", now) as turn:
        found = turn.jobs.claim([want(**changes)], suspect=True)
    return [claim.job.id for claim in found.claims["work"]], found.next_due.get("work")


def test_a_due_job_that_another_holds_is_passed_over_and_looked_at_again_soon(store, held):
    assert claimed(store, begun=5) == (["free"], NOW + HELD_UP_SECONDS)

    held.rollback()
    assert claimed(store, NOW + HELD_UP_SECONDS, begun=5) == (["held"], float("inf"))


def test_a_job_that_is_held_for_long_is_looked_at_less_and_less(store, held):
    waits = [claimed(store, NOW + after, begun=5)[1] - NOW - after for after in (0.0, 0.1, 0.5, 60.0)]

    assert waits == pytest.approx([HELD_UP_SECONDS, 0.1, 0.5, 1.0])


def test_a_claim_that_is_full_says_nothing_of_others(store, held):
    assert claimed(store, begun=1) == (["free"], None)


@pytest.mark.parametrize("why", ["paused", "limited", "total", "must begin", "suspect"])
def test_a_due_job_that_no_row_lock_holds_back_is_not_looked_at_in_a_moment(store, why):
    put(store, new("a"))
    changes = {"begun": 5}
    with store.turn("b", NOW) as turn:
        if why == "paused":
            turn.jobs.pause("work", paused=True)
        elif why == "limited":
            turn.jobs.limit("work", 0)
        elif why == "total":
            changes["total"] = 0
        else:
            column, value = ("must_begin", 1) if why == "must begin" else ("suspect_until", NOW + 9)
            turn.connection.execute(f"update lamplighter_jobs set {column} = {value}")
            changes = {"begun": 0, "prefetched": 5}

    assert claimed(store, **changes) == ([], None)


def test_what_many_claims_have_logged_is_kept_without_a_trip_for_each(store, monkeypatch):
    put(store, *(new(f"j{number}") for number in range(9)))
    jobs, trips, ask = take(store, begun=9), [], store._writer._ask
    monkeypatch.setattr(store._writer, "_ask", lambda *sends: trips.append(sends) or ask(*sends))

    def end(some, log):
        del trips[:]
        with store.turn("b", NOW) as turn:
            assert None not in turn.jobs.settle_all([(job, SUCCEEDED._replace(log=log), DONE) for job in some])
        return len(trips)

    # The second turn prepares the statement.
    assert end(jobs[:4], None) + 3 > end(jobs[4:], '[[1.0,"info","line"]]')
    assert [store.table.logged(job.id) for job in jobs[4:]] == [[(1, '[[1.0,"info","line"]]')]] * 5
