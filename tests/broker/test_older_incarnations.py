"""What is told late is about a HandlerActor that is no more: the one that lives keeps its claims and its lanes."""

from __future__ import annotations

import threading

import pytest
from lamplighter.messages.mail import Capacity, Died
from lamplighter.messages.names import NameLimits
from lamplighter.testing.draining import is_idle

SECONDS_MAX = 15
OLDER = 0
LATE = (
    Died("handler:work", OLDER, "it died long ago"),
    Capacity("work", OLDER, lanes=9, prefetch=9, limits=NameLimits(), policy=None, held=(), answers=0),
    Capacity("work", OLDER, lanes=0, prefetch=0, limits=NameLimits(), policy=None, held=(), answers=0),
)


@pytest.mark.parametrize("message", LATE, ids=["death", "lanes", "end"])
def test_what_is_told_late_of_an_older_incarnation_changes_nothing(runtime, recorder, message):
    rt, go, most = runtime(), threading.Event(), []
    running = set()

    def work(job):
        running.add(job.id)
        most.append(len(running))
        go.wait(SECONDS_MAX)
        running.discard(job.id)

    rt.jobs.add_handler("work", work, concurrency=2)
    jobs = [rt.jobs.queue("work") for _ in range(2)]
    recorder.until(lambda: len(running) == 2, "both to run")

    rt.boot.post.tell("broker", message)
    jobs += [rt.jobs.queue("work") for _ in range(4)]
    recorder.until(lambda: is_idle(rt), "the message to be handled")
    (row,) = rt.boot.store.surroundings("b").boots
    go.set()
    done = [rt.jobs.join(job, timeout=SECONDS_MAX) for job in jobs]

    assert [(job.state, job.record.claim_no) for job in done[:2]] == [("done", 1)] * 2
    assert (max(most), recorder.of("job.failed"), row.names) == (2, [], ("work",))
