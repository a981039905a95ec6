"""What a runtime on RabbitMQ remembers of jobs is bounded, and what it forgets it does not tell wrongly."""

from __future__ import annotations

from queue import SimpleQueue

import pytest
from lamplighter import NotSupported, StaleClaim

JOIN_SECONDS = 15.0


def test_a_token_that_was_used_is_stale_and_its_own_ending_twice_is_one(url: str, runtime) -> None:
    web, worker, tokens = runtime(url), runtime(url), SimpleQueue()
    worker.jobs.add_handler("work", lambda job: tokens.put(job.token), auto_done=False)
    job = web.jobs.queue("work")
    token = tokens.get(timeout=JOIN_SECONDS)

    worker.jobs.mark_done(token, 7)
    worker.jobs.mark_done(token, 7)

    assert web.jobs.join(job, timeout=JOIN_SECONDS).result == 7
    with pytest.raises(StaleClaim, match="no longer holds it"):
        worker.jobs.mark_done(f"{job.id}:7")
    assert worker.jobs.cancel(job).state == "done"
    with pytest.raises(NotSupported, match="can be found by its id"):
        worker.jobs.requeue(job)


def test_a_token_is_stale_once_its_attempt_has_timed_out_and_another_decides(url: str, runtime) -> None:
    worker, tokens = runtime(url), SimpleQueue()
    worker.jobs.add_handler("work", lambda job: tokens.put(job.token), auto_done=False, timeout=0.2, backoff=[0.1])
    job = worker.jobs.queue("work")
    first, second = tokens.get(timeout=JOIN_SECONDS), tokens.get(timeout=JOIN_SECONDS)

    with pytest.raises(StaleClaim):
        worker.jobs.mark_done(first)

    assert (first.partition(":")[0], second.partition(":")[0]) == (job.id, job.id)
