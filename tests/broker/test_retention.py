"""What is kept of what has ended, and for how long."""

from __future__ import annotations

import pytest
from lamplighter.broker.retention import PRUNED_ROWS_MAX
from lamplighter.environment import Environment
from lamplighter.stores.sqlite.attempts import ATTEMPTS_KEPT_MAX
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.testing.manual_clock import ManualTime

from support.conformance.kit import DONE, FAILED, NOW, RETRY, SUCCEEDED, new, put, take

KEEP_SECONDS = 86_400.0
HOUSEKEEPING_SECONDS = 301.0
"""After so long a runtime looks what it may remove, if it keeps things for longer than that."""


def test_what_is_too_old_is_removed_batch_after_batch_without_a_pause(runtime, tmp_path, recorder):
    time = ManualTime(NOW)
    store = SqliteStore(str(tmp_path / "jobs.db"))
    store.open()
    put(store, *[new(f"j{n}") for n in range(2 * PRUNED_ROWS_MAX + 1)])
    claimed = take(store, begun=2 * PRUNED_ROWS_MAX + 1)
    with store.turn("b", NOW - KEEP_SECONDS) as turn:
        for job in claimed:
            turn.jobs.settle(job, SUCCEEDED, DONE)
    store.close()
    rt = runtime(environment=Environment(clock=time.clock), keep_done_seconds=KEEP_SECONDS)
    rt.jobs.resume("nothing")

    time.advance(HOUSEKEEPING_SECONDS)
    recorder.wait_for("retention.pruned", count=3)

    batches = [line["rows"] for line in recorder.of("retention.pruned")]
    assert batches == [PRUNED_ROWS_MAX, PRUNED_ROWS_MAX, 1]
    assert rt.jobs.counts()["done"] == 0


@pytest.fixture
def store():
    one = SqliteStore(":memory:")
    one.open()
    yield one
    one.close()


def test_of_a_jobs_attempts_the_newest_are_kept(store):
    put(store, new("a"), new("b"))
    attempts = ATTEMPTS_KEPT_MAX + 3

    for _ in range(attempts):
        claimed = take(store, begun=2)
        with store.turn("b", NOW) as turn:
            for job in claimed:
                turn.jobs.settle(job, FAILED, RETRY)

    for job_id in ("a", "b"):
        kept = [attempt.claim_no for attempt in store.table.attempts(job_id)]
        assert kept == list(range(attempts - ATTEMPTS_KEPT_MAX + 1, attempts + 1))
