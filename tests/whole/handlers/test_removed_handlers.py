"""A handler that is removed while its jobs run: they end, and nothing stays behind."""

from __future__ import annotations

import os

import pytest
from lamplighter.testing.draining import is_idle

from ...handlers.test_removed_handlers import threads_of

PROCESS_FUNCTIONS = """
def waits(job):
    with open(job.data) as fifo:
        return fifo.readline()
"""


@pytest.fixture
def functions(importable):
    return importable("process_functions", PROCESS_FUNCTIONS)


def test_removing_a_handler_whose_job_still_runs_leaves_no_child_process_behind(runtime, recorder, functions, tmp_path):
    os.mkfifo(tmp_path / "go")
    rt = runtime()
    handler = rt.jobs.add_handler("leaving", functions.waits, isolation="process")
    job = rt.jobs.queue("leaving", str(tmp_path / "go"))
    recorder.wait_for("job.started", job_id=job.id)
    # Opened for reading too, so that nobody has to wait for the other end.
    fifo = os.open(tmp_path / "go", os.O_RDWR)
    try:
        rt.jobs.remove_handler(handler)
        recorder.until(lambda: is_idle(rt), "the actors to be idle")
        there = threads_of("lane leaving")
        os.write(fifo, b"went\n")
        assert rt.jobs.join(job, timeout=10).result == "went\n"
    finally:
        os.close(fifo)

    recorder.until(lambda: not threads_of("lane leaving"), "the child's keeper to end", timeout=5)
    recorder.until(lambda: not threads_of("child exit"), "the child to end", timeout=5)
    assert "lamplighter process lane leaving" in there
