"""`job.step`: what a step's function has returned is kept, and the next attempt goes on from there."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
