"""A message in a queue can be given no other data, and none is found by a key."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lamplighter import Debounce, Job, JobSpec, NotSupported, Runtime

INSTEAD = (
    "this store keeps queues, no table of jobs: a message in a queue cannot be given other data: queue with a delay, "
    "and have the handler look up what is newest, and end at once where that is done"
)

DOC = Debounce("doc-7", quiet=5, at_most=60)

JOIN_SECONDS = 15.0


def test_a_debounce_is_refused_before_anything_is_stored(url: str, runtime: Callable[..., Runtime]) -> None:
    rt = runtime(url)

    def work(job: Job[None]) -> str:
        with pytest.raises(NotSupported) as refusal:
            job.then(JobSpec(name="index", debounce=DOC))
        return str(refusal.value)

    rt.jobs.add_handler("work", work)
    for call in (
        lambda: rt.jobs.queue("index", 7, debounce=DOC),
        lambda: rt.jobs.queue_many([("index", 1), JobSpec(name="index", debounce=DOC)]),
    ):
        with pytest.raises(NotSupported) as refusal:
            call()
        assert str(refusal.value) == INSTEAD

    job = rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS)
    assert job.result == INSTEAD
    assert rt.jobs.counts("index")["queued"] == 0
