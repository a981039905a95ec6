"""A process whose main thread ends while its runtime runs: what the next one finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from lamplighter import Runtime

from ...faults.kit import eventually
from ...support.logs import run_script

SCRIPT = """
import atexit, sys, threading
from lamplighter import Runtime

runtime = Runtime("jobs.db", drain=0.1)
begun = threading.Event()

@runtime.jobs.handler("work")
def work(job):
    begun.set()
    threading.Event().wait()

def live():
    runtime.jobs.queue("work", id="it")
    begun.wait(30)
    sys.exit()

"""


@pytest.mark.parametrize(
    ("main", "interruptions"),
    [
        ("runtime.start(); live()", 1),
        ("runtime.start(); atexit.register(runtime.stop, drain=0); live()", 0),
        ("with runtime: live()", 0),
    ],
    ids=["nothing", "atexit", "with"],
)
def test_an_exit_is_held_against_a_job_unless_it_stops_the_runtime(tmp_path: Path, main: str, interruptions: int):
    run_script(SCRIPT + main, tmp_path)

    with Runtime(tmp_path / "jobs.db") as runtime:
        eventually(lambda: runtime.jobs.get("it").state == "queued", what="the job to be given back")
        job, attempts = runtime.jobs.get("it"), runtime.jobs.attempts("it")

    assert (job.record.interruptions, len(attempts)) == (interruptions, interruptions)
    assert all("died" in str(attempt.error) for attempt in attempts)


FINALIZER = """
import os
from unittest.mock import Mock
from lamplighter import Runtime

runtime = Runtime("jobs.db", reply_seconds_max=3600)
jobs = runtime.jobs

class Late:
    def __del__(self, write=os.write):
        try:
            CALL
        except Exception as error:
            write(1, f"{type(error).__name__}: {error}".encode())

runtime.start()
jobs.queue("work", id="it")
late = Late()
late.cycle = late
"""


@pytest.mark.parametrize("broker", ["", "runtime.boot.post.tell = Mock(return_value=False)"], ids=["", "gone"])
@pytest.mark.parametrize("call", ["jobs.queue('work')", "jobs.queue_many([('work', 1)])", "jobs.join('it')"])
def test_a_finalizer_at_the_end_of_python_is_told_that_nobody_answers(tmp_path: Path, call: str, broker: str):
    # It waited for reply_seconds_max, for each object that was alive.
    said = run_script(FINALIZER.replace("CALL", call) + broker, tmp_path)

    assert said.startswith("UsageError: expected a call that may wait for the runtime, got one as the interpreter ends")
