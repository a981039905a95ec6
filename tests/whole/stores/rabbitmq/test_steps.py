"""Steps of jobs are kept in a table, and there is none here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lamplighter import Job, NotSupported, Runtime

INSTEAD = "this store keeps queues, no table of jobs: make each step a job: job.then"

JOIN_SECONDS = 15.0


def test_a_step_is_refused_before_its_function_is_called(url: str, runtime: Callable[..., Runtime]) -> None:
    rt, called = runtime(url), list[str]()

    def work(job: Job[None]) -> list[str]:
        said = []
        for step in (
            lambda: job.step("x", called.append, "x"),
            lambda: job.snooze("nap", 1),
            lambda: job.wait("approval"),
        ):
            try:
                step()
            except NotSupported as error:
                said.append(str(error))
        return said

    rt.jobs.add_handler("work", work)
    job = rt.jobs.join(rt.jobs.queue("work"), timeout=JOIN_SECONDS)

    assert (job.result, called) == ([INSTEAD] * 3, [])


def test_no_signal_can_be_sent(url: str, runtime: Callable[..., Runtime]) -> None:
    rt = runtime(url)
    job = rt.jobs.queue("work")

    with pytest.raises(NotSupported, match="no job can be found to tell it something"):
        rt.jobs.signal(job, "approval")


def test_no_steps_can_be_looked_at_or_removed(url: str, runtime: Callable[..., Runtime]) -> None:
    rt = runtime(url)
    job = rt.jobs.queue("work")

    for call in (
        lambda: rt.jobs.steps(job),
        lambda: rt.jobs.requeue(job, afresh=True),
        lambda: rt.jobs.requeue_many("state:dead", afresh=True),
    ):
        with pytest.raises(NotSupported, match=INSTEAD):
            call()
