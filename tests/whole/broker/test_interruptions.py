"""Interruptions that are blamed on a job: how long they count, and what forgets them."""

from __future__ import annotations

import pytest
from lamplighter import JobFailed

DEADLY = """
import os

def dies(job):
    os._exit(3)
"""


@pytest.fixture
def dies(importable):
    """A handler that ends its child process."""
    return importable("deadly_functions", DEADLY).dies


def dead(rt, job):
    """The job once it has died."""
    with pytest.raises(JobFailed) as ended:
        rt.jobs.join(job, timeout=15)
    return ended.value.job


def test_a_requeue_forgets_interruptions_and_keeps_their_history(runtime, dies):
    rt = runtime()
    rt.jobs.add_handler("work", dies, isolation="process", interruptions_max=2)
    job = rt.jobs.queue("work")

    first = dead(rt, job)
    rt.jobs.requeue(job)
    second = dead(rt, job)

    kept = rt.jobs.attempts(job)
    assert [job.reason.partition(" within")[0] for job in (first, second)] == ["poison: interrupted 2 times"] * 2
    assert [(one.outcome, one.claim_no) for one in kept] == [("interrupted", n) for n in (1, 2, 3, 4)]
