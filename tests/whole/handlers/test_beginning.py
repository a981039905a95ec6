"""A timeout begins with the function. Until then a job waits for a child process or an event loop, at no cost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lamplighter import JobFailed

from ...handlers.test_beginning import LIMIT, _why

SLOW_MODULE = """
import os
import threading

from lamplighter.handlers.child import IS_CHILD

if IS_CHILD.is_set():
    with open({imports!r}, "w") as file:
        print(os.getpid(), file=file)
    with open({goes_on!r}) as told:
        told.read()


def deadline(job):
    return job.deadline.isoformat()


def hangs(job):
    job.progress(1)
    threading.Event().wait()
"""


class Importing:
    """A module that a child process imports as long as the test wants."""

    def __init__(self, folder, importable):
        self.imports, self.goes_on = str(folder / "imports"), str(folder / "goes on")
        for path in (self.imports, self.goes_on):
            os.mkfifo(path)
        self.module = importable("slow_module", SLOW_MODULE.format(imports=self.imports, goes_on=self.goes_on))

    def wait(self):
        """Until a child imports it. Its number."""
        with open(self.imports) as file:
            return int(file.read())

    def go_on(self):
        """Have the child go on."""
        with open(self.goes_on, "w") as file:
            file.write("go on")


@pytest.fixture
def importing(tmp_path, importable):
    return Importing(tmp_path, importable)


def test_the_import_in_a_child_does_not_count_against_the_timeout(timed, time, recorder, importing):
    rt = timed(begin_seconds_max=3600)
    rt.jobs.add_handler("work", importing.module.deadline, isolation="process", timeout=2, max_attempts=1)
    first, second = rt.jobs.queue("work"), rt.jobs.queue("work")
    importing.wait()
    time.advance(100)
    assert "has not begun (its child is still importing slow_module)" in str(_why(rt, first))
    importing.go_on()

    results = [rt.jobs.join(job, timeout=15).result for job in (first, second)]

    assert [(told, rt.jobs.attempts(job)) for told, job in zip(results, (first, second), strict=True)] == [
        ("2026-03-02T00:01:42+00:00", []),
        ("2026-03-02T00:01:42+00:00", []),
    ]


def test_the_timeout_in_a_child_begins_after_the_import(timed, time, recorder, importing):
    rt = timed(begin_seconds_max=3600)
    rt.jobs.add_handler("work", importing.module.hangs, isolation="process", timeout=2, max_attempts=1)
    job = rt.jobs.queue("work")
    importing.wait()
    time.advance(100)
    importing.go_on()
    recorder.until(lambda: rt.jobs.get(job).progress_report, "the function to run")
    time.advance(2)

    with pytest.raises(JobFailed, match="timed out"):
        rt.jobs.join(job, timeout=15)


@pytest.mark.parametrize("options", [{}, {"timeout": 1}])
def test_a_child_that_imports_for_too_long_is_replaced_at_no_attempt(timed, time, recorder, importing, options):
    rt = timed(begin_seconds_max=LIMIT)
    rt.jobs.add_handler("work", importing.module.deadline, isolation="process", max_attempts=1, **options)
    job = rt.jobs.queue("work")
    importing.wait()

    time.advance(LIMIT + 2)

    failed = recorder.wait_for("job.failed", job_id=job.id)
    assert (failed["outcome"], failed["attempt"]) == ("interrupted", 0)
    assert failed["reason"] == "interrupted: not begun within 10 s: its child is still importing slow_module"
    importing.wait()
    assert rt.jobs.get(job).record.interruptions == 0, "nobody is blamed for it"


def test_a_child_ends_whose_job_was_taken_back_while_it_imported(timed, recorder, importing):
    rt = timed(begin_seconds_max=3600)
    rt.jobs.add_handler("work", importing.module.deadline, isolation="process")
    job = rt.jobs.queue("work")
    child = importing.wait()

    rt.jobs.pause("work")
    importing.go_on()

    recorder.until(lambda: not Path(f"/proc/{child}").exists(), "the child to end")
    assert rt.jobs.get(job).state == "queued"
