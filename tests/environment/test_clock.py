"""The clock's own memory: what nobody waits for any more is not kept."""

from __future__ import annotations

import time as walltime


def test_deadlines_go_with_their_jobs(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None, timeout=3600, concurrency=4)

    for job in rt.jobs.queue_many([("work", n) for n in range(200)]):
        rt.jobs.join(job, timeout=10)
    actor = rt.boot.post.find("handler:work")
    recorder.until(lambda: actor.holds_nothing, "the handler to hold nothing")

    live = [due for due, _, timed in rt.boot.clock._monotonic if timed.call is not None]
    assert [due for due in live if due - walltime.monotonic() > 600] == []


def test_the_clocks_heap_does_not_grow_with_jobs_that_have_ended(runtime, recorder):
    rt = runtime(durability="os")
    rt.jobs.add_handler("work", lambda job: None, timeout=3600, concurrency=4)

    for job in rt.jobs.queue_many([("work", n) for n in range(1000)]):
        rt.jobs.join(job, timeout=10)

    assert len(rt.boot.clock._monotonic) < 500
