"""An option that a call does not have: every face names it, and what there is instead."""

from __future__ import annotations

import pytest

FUNCTIONS = """
from lamplighter import UsageError

def queues(job):
    try:
        job.queue("mail", **job.data)
    except UsageError as error:
        return str(error)

def queues_numbers(job):
    try:
        job.queue("mail", {1: "one"})
    except UsageError as error:
        return str(error)
"""


@pytest.fixture
def functions(importable):
    return importable("queueing_functions", FUNCTIONS)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_an_unknown_option_inside_a_handler_is_the_callers_fault(runtime, functions, isolation):
    rt = runtime()
    rt.jobs.add_handler("work", functions.queues, isolation=isolation)

    said = rt.jobs.join(rt.jobs.queue("work", {"colour": "red"}), timeout=15).result

    assert said.startswith("unknown option colour. The options of job.queue are id, delay, at, priority,")
    assert rt.jobs.counts("mail")["queued"] == 0


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_data_that_json_would_change_is_refused_inside_every_handler(runtime, functions, isolation):
    rt = runtime()
    rt.jobs.add_handler("work", functions.queues_numbers, isolation=isolation)

    said = rt.jobs.join(rt.jobs.queue("work"), timeout=15).result

    assert said.startswith("expected only str keys at data, got: 1")
    assert rt.jobs.counts("mail")["queued"] == 0
