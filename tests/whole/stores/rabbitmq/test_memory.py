"""What a runtime on RabbitMQ remembers of jobs is bounded, and what it forgets it does not tell wrongly."""

from __future__ import annotations

from queue import SimpleQueue

import pytest
from lamplighter import NotSupported, RestartBudget, StaleClaim
from lamplighter.testing.draining import is_idle

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


@pytest.mark.parametrize("restarts_max", [0, 5], ids=["quarantined", "restarted"])
def test_a_job_that_waits_for_its_token_outlives_its_handler_actor_and_the_broker(url, runtime, recorder, restarts_max):
    rt, tokens = runtime(url), SimpleQueue()
    budget = RestartBudget(restarts_max=restarts_max)
    rt.jobs.add_handler("work", lambda job: tokens.put(job.token), auto_done=False, restart=budget)
    job = rt.jobs.queue("work")
    token = tokens.get(timeout=JOIN_SECONDS)
    after = "actor.restarted" if restarts_max else "actor.quarantined"

    for child, event in (("handler:work", after), ("broker", "actor.restarted")):
        recorder.until(lambda: is_idle(rt), "its actors to wait")
        # The message is no mail, so the actor dies over it.
        rt.boot.post.find(child).actor_ref.tell("dies")
        recorder.wait_for(event, child=child)
    recorder.until(lambda: is_idle(rt), "the broker to know what is held")

    rt.jobs.mark_done(token, 7)
    assert rt.jobs.join(job, timeout=JOIN_SECONDS).result == 7
    assert (recorder.of("job.failed"), tokens.empty()) == ([], True)
