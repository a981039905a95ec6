"""What became of jobs is counted, and stored by turns now and then."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamplighter import Discard, JobFailed, Runtime, StaleClaim
from lamplighter.broker.outbox import Outbox
from lamplighter.broker.tallies import FLUSH_SECONDS, NAMES_MAX, Tallies, TurnTime, TurnTimes
from lamplighter.environment import Environment
from lamplighter.messages.boots import LedgerTurn
from lamplighter.messages.jobs import Transition
from lamplighter.messages.tallies import BOUNDS, EVER, HOUR, LOCK, MINUTE, OTHERS, SPANS, TURN, Tally
from lamplighter.messages.views import TurnView
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.transitions import born
from lamplighter.testing import drain
from lamplighter.testing.manual_clock import ManualTime

from support.conformance.kit import NOW, new

buckets = st.lists(st.integers(0, 9), max_size=len(BOUNDS) + 1).map(tuple)


def stored(path: object, span: int = EVER) -> dict[tuple[str, str], int]:
    store = SqliteStore(str(path))
    store.open()
    assert store.tallies is not None
    found = store.tallies.between(span, 0.0, 1e11)
    store.close()
    return {(tally.name, tally.kind): tally.n for tally in found if tally.kind not in (TURN, LOCK)}


def turns(path: object) -> list[Tally]:
    """What the store has of write batches."""
    store = SqliteStore(str(path))
    store.open()
    assert store.tallies is not None
    found = [one for one in store.tallies.between(EVER, 0.0, 1e11) if one.kind in (TURN, LOCK)]
    store.close()
    return found


def moved(event: str, name: str = "work", claimed_at: float | None = None, **fields: object) -> Transition:
    job = born(new("j", name=name), 1)._replace(claimed_at=claimed_at)
    return Transition(event, job, "queued", fields)


def counted(*moves: Transition, now: float = NOW) -> Sequence[Tally]:
    tallies = Tallies()
    tallies.take(Outbox(transitions=list(moves)), now, 0.0)
    return tallies.tallies()


def test_all_that_became_of_jobs_is_stored_when_a_runtime_has_stopped(tmp_path):
    runtime = Runtime(tmp_path / "jobs.db")

    @runtime.jobs.handler("mail", backoff=[0], max_attempts=2)
    def mail(job):
        if job.data == "fails":
            raise ValueError(job.data)
        if job.data == "pointless":
            raise Discard("nobody wants it")

    with runtime:
        fine, fails, pointless = (runtime.jobs.queue("mail", data) for data in ("fine", "fails", "pointless"))
        runtime.jobs.join(fine)
        for job in (fails, pointless):
            with pytest.raises(JobFailed):
                runtime.jobs.join(job)
        runtime.jobs.cancel(runtime.jobs.queue("nobody"))

    assert [stored(tmp_path / "jobs.db", span) for span in (EVER, HOUR)] == [
        {
            ("mail", "queued"): 3,
            ("mail", "waited"): 4,
            ("mail", "ran.succeeded"): 1,
            ("mail", "ran.failed"): 2,
            ("mail", "ran.discarded"): 1,
            ("mail", "done"): 1,
            ("mail", "dead"): 2,
            ("nobody", "queued"): 1,
            ("nobody", "cancelled"): 1,
        }
    ] * 2


def test_a_runtime_that_goes_on_stores_them_though_nothing_more_comes(runtime, tmp_path, recorder):
    time = ManualTime(NOW)
    rt = runtime(environment=Environment(clock=time.clock))
    rt.jobs.queue("nobody")
    assert stored(tmp_path / "jobs.db") == {}

    time.advance(FLUSH_SECONDS)
    # The broker is given its mail in order, so the turn before this one has stored them.
    rt.jobs.resume("nothing")

    assert stored(tmp_path / "jobs.db") == {("nobody", "queued"): 1}


def test_write_batches_are_summed_up_and_one_that_stores_sums_is_followed_by_none(runtime, tmp_path, recorder):
    time, path = ManualTime(NOW), tmp_path / "jobs.db"
    rt = runtime(environment=Environment(clock=time.clock))
    rt.jobs.queue("nobody")
    rt.jobs.queue("nobody")
    time.advance(FLUSH_SECONDS)
    drain(rt)

    with closing(sqlite3.connect(path)) as other:
        before = other.execute("pragma data_version").fetchone()
        for _ in range(3):
            time.advance(FLUSH_SECONDS)
            drain(rt)
        after = other.execute("pragma data_version").fetchone()

    assert [(one.name, one.kind, one.n, sum(one.buckets)) for one in turns(path)] == [
        (OTHERS, LOCK, 2, 2),
        (OTHERS, TURN, 2, 2),
    ]
    assert before == after
    assert rt.boot.store.table.names() == ["nobody"]


def test_of_a_write_batch_it_is_counted_how_long_it_took_and_could_not_write():
    tallies = Tallies()
    did = LedgerTurn("b", 1, 1, NOW, ())

    tallies.take(Outbox(did=did), NOW, 0.0, TurnTime(0.75, 0.5))
    tallies.take(Outbox(), NOW, 0.0, TurnTime(9.0, 9.0))

    found = {one.kind: (one.name, one.n, one.seconds) for one in tallies.tallies() if one.span == EVER}
    assert found == {TURN: (OTHERS, 1, 0.75), LOCK: (OTHERS, 1, 0.5)}


def test_the_last_write_batch_is_told_beside_the_present_one_once_one_was_stored():
    time = ManualTime(0.0)
    times, views = TurnTimes(time.clock().monotonic), []

    def look(trouble: str | None = None) -> None:
        time.advance(1)
        views.append(times.view(trouble))

    look()
    for is_stored in (False, True, False):
        times.began, times.writes_from = time.elapsed, None
        look("locked")
        times.writes_from = time.elapsed
        look()
        times.end(is_stored=is_stored)
        look()

    waits = TurnView(under_way_seconds=1.0, is_waiting=True, trouble="locked")
    writes, last = TurnView(under_way_seconds=2.0), {"took_seconds": 2.0, "waited_seconds": 1.0}
    after = [replace(waits, **last), replace(writes, **last), TurnView(**last)]
    assert views == [TurnView(), waits, writes, TurnView(), waits, writes, TurnView(**last), *after]


def test_an_attempt_that_had_lost_its_claim_is_counted(runtime, tmp_path):
    rt = runtime()
    begun, tokens = threading.Event(), []
    rt.jobs.add_handler("slow", lambda job: (tokens.append(job.token), begun.set()), auto_done=False)
    job = rt.jobs.queue("slow")
    assert begun.wait(15)
    rt.jobs.requeue(job, delay=3600)
    with pytest.raises(StaleClaim):
        rt.jobs.mark_done(tokens[0])
    rt.stop()

    assert stored(tmp_path / "jobs.db")["slow", "fenced"] == 1


def test_how_long_jobs_wait_and_run_is_summed_up():
    tallies = counted(
        moved("job.claimed"),
        moved("job.done", claimed_at=NOW, outcome="succeeded"),
        moved("job.done", claimed_at=NOW + 29.5, outcome="succeeded"),
        now=NOW + 30.0,
    )

    found = {one.kind: one for one in tallies if one.span == EVER}
    assert {kind: (one.n, one.seconds) for kind, one in found.items()} == {
        "waited": (1, 30.0),
        "done": (2, 0.0),
        "ran.succeeded": (2, 30.5),
    }
    assert [bound for bound, n in zip(BOUNDS, found["ran.succeeded"].buckets, strict=False) if n] == [0.5, 30.0]


def test_what_takes_longer_than_any_bound_has_a_bucket_too():
    (tally,) = {one.buckets for one in counted(moved("job.claimed"), now=NOW + 1e6)}

    assert (len(tally), tally[-1]) == (len(BOUNDS) + 1, 1)


def test_a_clock_that_went_back_makes_no_negative_time():
    assert {one.seconds for one in counted(moved("job.claimed"), now=NOW - 50.0)} == {0.0}


def test_a_name_that_is_one_too_many_is_counted_with_the_others():
    moves = [moved("job.queued", name=f"n{number}") for number in range(NAMES_MAX + 3)]

    names = {one.name: one.n for one in counted(*moves) if one.span == EVER}

    assert (len(names), names[OTHERS]) == (NAMES_MAX + 1, 3)


def test_minutes_add_up_to_their_hour():
    tallies = Tallies()
    for minute in (0, 60, 60):
        tallies.take(Outbox(transitions=[moved("job.queued")]), 3600.0 + minute, 0.0)

    found = [(one.span, one.start, one.n) for one in tallies.tallies()]
    assert sorted(found) == [(EVER, 0, 3), (MINUTE, 3600, 1), (MINUTE, 3660, 2), (HOUR, 3600, 3)]


def test_what_is_stored_is_not_stored_again():
    tallies = Tallies()
    assert tallies.take(Outbox(transitions=[moved("job.queued")]), NOW, 5.0)
    assert not tallies.take(Outbox(transitions=[moved("job.queued")]), NOW, 6.0)
    assert not tallies.is_due(14.9)
    assert tallies.is_due(15.0)

    assert tallies.take(Outbox(transitions=[moved("job.done")], is_tallied=True), NOW, 15.0)

    assert {one.kind for one in tallies.tallies()} == {"done"}
    assert not tallies.is_due(24.9)


@given(buckets, buckets)
def test_two_sums_have_as_many_as_both_together(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    tally = Tally(MINUTE, 60, "work", "waited", sum(one), float(sum(one)), one)

    both = tally.plus(tally._replace(n=sum(other), seconds=float(sum(other)), buckets=other))

    assert both.n == sum(both.buckets) == both.seconds
    assert both == tally._replace(n=sum(other), seconds=float(sum(other)), buckets=other).plus(tally)


def test_a_clock_that_was_set_back_makes_no_time_negative():
    claimed = moved("job.claimed", claimed_at=NOW)
    done = moved("job.done", claimed_at=NOW, outcome="succeeded")

    assert [tally.seconds for tally in counted(claimed, done, now=NOW - 5) if tally.buckets] == [0.0] * 2 * len(SPANS)
    assert {tally.seconds for tally in counted(claimed, done, now=NOW + 5) if tally.buckets} == {5.0}
