"""The picture of a job's states shows the ways that the job has gone, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from threading import Event

import pytest
from lamplighter import JobFailed, Runtime
from lamplighter.messages.jobs import JobState
from lamplighter.web.rendering import WAYS

from .kit import Page

Q, R = JobState.QUEUED, JobState.RUNNING


@pytest.mark.parametrize(
    ("job_id", "ways"),
    [
        ("done", {(Q, R), (R, JobState.DONE)}),
        ("dead", {(Q, R), (R, JobState.DEAD)}),
        ("tried twice", {(Q, R), (R, Q), (R, JobState.DEAD)}),
        ("failed, and waits", {(Q, R), (R, Q)}),
        ("failed, then cancelled", {(Q, R), (R, Q), (Q, JobState.CANCELLED)}),
        ("never run", set()),
        ("never run, and cancelled", {(Q, JobState.CANCELLED)}),
        ("runs", {(Q, R)}),
        ("cancelled while it ran", {(Q, R), (R, JobState.CANCELLED)}),
    ],
)
def test_the_picture_of_a_job_shows_the_ways_that_it_has_gone(
    lives: Page, job_id: str, ways: set[tuple[JobState, JobState]]
) -> None:
    drawn = re.findall(r'<g class="been"><path d="([^"]+)"', lives.text(f"/jobs/{job_id}"))

    assert {(start, end) for start, end, path in WAYS if path in drawn} == ways


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page over jobs of which each has gone other ways; one of them runs."""
    store = tmp_path_factory.mktemp("lives") / "jobs.db"
    runtime, over = Runtime(store), Event()
    begun = {name: Event() for name in ("runs", "cancelled while it ran")}

    def run(job):
        if job.id in begun:
            begun[job.id].set()
            over.wait()
        elif job.id != "done":
            raise ValueError(job.id)

    jobs = runtime.jobs
    jobs.add_handler("once", run, max_attempts=1, concurrency=4)
    jobs.add_handler("twice", run, max_attempts=2, backoff=[0.0])
    jobs.add_handler("later", run, max_attempts=2, backoff=[9000.0])
    failed = Event()
    runtime.subscribe(lambda event: failed.set(), ["job.failed"])
    with runtime:
        jobs.join(jobs.queue("once", id="done"))
        for name, job_id in (("once", "dead"), ("twice", "tried twice")):
            with pytest.raises(JobFailed):
                jobs.join(jobs.queue(name, id=job_id))
        for job_id in ("failed, and waits", "failed, then cancelled"):
            failed.clear()
            jobs.queue("later", id=job_id)
            assert failed.wait(30)
        jobs.cancel("failed, then cancelled")
        for job_id in ("never run", "never run, and cancelled"):
            jobs.queue("once", id=job_id, delay=9000)
        jobs.cancel("never run, and cancelled")
        for job_id, has_begun in begun.items():
            jobs.queue("once", id=job_id)
            assert has_begun.wait(30)
        jobs.cancel("cancelled while it ran")
        yield Page(store)
        over.set()
