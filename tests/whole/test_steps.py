"""`job.step`: what a step's function has returned is kept, and the next attempt goes on from there."""

from __future__ import annotations

import subprocess
import sys

import pytest
from lamplighter import JobFailed

from ..support.forked import REFUSED, said_of_a_forked_call
from ..test_steps import (
    lanes_of,
    test_a_step_inside_of_a_step_is_kept_too,
    test_a_step_with_retries_is_called_again_wherever_its_handler_runs,
    test_results_that_are_too_large_together_are_refused,
    test_steps_of_one_attempt_may_be_taken_side_by_side,
    test_the_function_of_a_step_cannot_say_what_follows,
    test_the_next_attempt_goes_on_after_the_steps_that_are_kept,
    test_too_large_results_are_refused,
    test_too_many_steps_are_refused,
    test_what_cannot_be_is_refused_and_the_handler_is_told,
    test_what_raises_is_not_kept_and_may_be_tried_again,
)

__all__ = [
    "test_a_step_inside_of_a_step_is_kept_too",
    "test_a_step_with_retries_is_called_again_wherever_its_handler_runs",
    "test_results_that_are_too_large_together_are_refused",
    "test_steps_of_one_attempt_may_be_taken_side_by_side",
    "test_the_function_of_a_step_cannot_say_what_follows",
    "test_the_next_attempt_goes_on_after_the_steps_that_are_kept",
    "test_too_large_results_are_refused",
    "test_too_many_steps_are_refused",
    "test_what_cannot_be_is_refused_and_the_handler_is_told",
    "test_what_raises_is_not_kept_and_may_be_tried_again",
]
"""These run here again, with the `lanes` of this module."""


@pytest.fixture
def lanes(runtime, importable, tmp_path):
    """The fixture of the tests that are imported here, with lanes in processes."""
    return lanes_of("process", runtime, importable, tmp_path)


DYING_AFTER_A_COMMIT = """
import os, sqlite3, sys
from contextlib import closing
from lamplighter import Runtime, Step

runtime = Runtime(sys.argv[1])

def debit(db):
    db.execute("insert into debits values (7)")
    return 7

def order(job):
    with closing(sqlite3.connect(sys.argv[1])) as db:
        job.step(Step("debit", connection=db), debit, db)
        if job.record.claim_no == 1:
            os.kill(os.getpid(), 9)
        db.commit()
        if job.record.claim_no == 2:
            os.kill(os.getpid(), 9)
        print(db.execute("select count(*) from debits").fetchone(), flush=True)

runtime.jobs.add_handler("order", order)
with runtime:
    with closing(sqlite3.connect(sys.argv[1])) as db:
        db.execute("create table if not exists debits (cents integer)")
    runtime.jobs.queue("order", id="a")
    runtime.jobs.join("a", timeout=60)
"""


def test_a_step_is_done_once_though_its_process_dies_around_the_commit(tmp_path):
    host = [sys.executable, "-P", "-c", DYING_AFTER_A_COMMIT, str(tmp_path / "jobs.db")]

    runs = [subprocess.run(host, capture_output=True, text=True, check=False, timeout=100) for _ in range(3)]

    assert [(run.returncode, run.stdout) for run in runs] == [(-9, ""), (-9, ""), (0, "(1,)\n")]


def test_in_a_child_process_no_step_has_a_connection(runtime, importable):
    module = importable(
        "steps_with_a_connection",
        "import lamplighter\n\ndef work(job):\n    return job.step(lamplighter.Step('x', connection=7), str)\n",
    )
    rt = runtime()
    rt.jobs.add_handler("work", module.work, isolation="process", max_attempts=1)

    with pytest.raises(JobFailed, match="expected no connection of step 'x' in a child process"):
        rt.jobs.join(rt.jobs.queue("work"), timeout=60)


def test_in_a_forked_child_no_step_is_taken(tmp_path):
    assert said_of_a_forked_call(tmp_path / "jobs.db", 'job.step("x", os._exit, 8)') == REFUSED


DYING = """
import os, sys
from lamplighter import Runtime

runtime = Runtime(sys.argv[1])

def order(job):
    number = job.step("pay", lambda: print("pay", flush=True) or 7)
    if job.record.claim_no == 1:
        os.kill(os.getpid(), 9)
    print("go on", number, flush=True)

runtime.jobs.add_handler("order", order)
with runtime:
    runtime.jobs.queue("order", id="a")
    runtime.jobs.join("a", timeout=60)
"""


def test_a_step_is_not_taken_again_after_the_death_of_its_process(tmp_path):
    host = [sys.executable, "-P", "-c", DYING, str(tmp_path / "jobs.db")]

    first = subprocess.run(host, capture_output=True, text=True, check=False, timeout=100)
    second = subprocess.run(host, capture_output=True, text=True, check=True, timeout=100)

    assert (first.returncode, first.stdout) == (-9, "pay\n")
    assert second.stdout == "go on 7\n"
