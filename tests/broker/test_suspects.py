"""Jobs that may have killed their processes run one at a time in a runtime, whatever their names."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
from lamplighter import Job, Snooze
from lamplighter.environment.clock import SystemClock
from lamplighter.stores.sqlite.store import SqliteStore

from support.conformance.kit import FAILED, NOW, RETRY, claim_in, new, put, want


@pytest.fixture
def file(tmp_path):
    """A store with two suspects of different names."""
    store = SqliteStore(str(tmp_path / "app.db"))
    store.open()
    with closing(store):
        put(store, new("one", name="first"), new("two", name="second"))
        suspect = RETRY._replace(suspect_until=SystemClock().now() + 3600)
        with store.turn("b", NOW) as turn:
            for name in ("first", "second"):
                for claim in claim_in(turn, name=name):
                    turn.jobs.settle(claim.job, FAILED, suspect)
    return tmp_path / "app.db"


def test_one_turn_claims_one_suspect_for_all_names(file):
    store = SqliteStore(str(file))
    store.open()

    with closing(store), store.turn("b", SystemClock().now()) as turn:
        claimed = turn.jobs.claim([want(name="first"), want(name="second")], suspect=True).claims

    assert sum(map(len, claimed.values())) == 1


@pytest.mark.parametrize("error", [ValueError("not what kills processes"), Snooze(3600)])
def test_a_suspect_whose_next_run_fails_or_snoozes_is_one_still(runtime, recorder, file, error):
    def work(job: Job) -> None:
        raise error

    rt = runtime(file, start=False)
    rt.jobs.add_handler("first", work, backoff=[3600])
    rt.start()
    recorder.until(lambda: recorder.of("job.failed") or recorder.of("job.snoozed"), "the run to end")

    ran, untouched = (rt.jobs.get(job).record for job in ("one", "two"))
    assert (ran.claim_no, ran.state) == (2, "queued")
    assert ran.suspect_until == untouched.suspect_until is not None


def test_of_two_suspects_the_second_waits_until_the_first_has_ended(runtime, recorder, file):
    may_end, running = threading.Event(), threading.Semaphore(0)

    def work(job: Job) -> None:
        running.release()
        may_end.wait(15)

    rt = runtime(file, start=False)
    for name in ("first", "second"):
        rt.jobs.add_handler(name, work, concurrency=2)
    rt.jobs.add_handler("innocent", lambda job: None)
    rt.start()
    assert running.acquire(timeout=15)

    # A turn in which everything that may run is claimed.
    rt.jobs.join(rt.jobs.queue("innocent"), timeout=15)
    meanwhile = {event["job_id"] for event in recorder.of("job.claimed")} & {"one", "two"}
    may_end.set()

    assert len(meanwhile) == 1
    assert [rt.jobs.join(job, timeout=15).state for job in ("one", "two")] == ["done", "done"]
