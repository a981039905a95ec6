"""A signal reaches the job's function, wherever the job is at that moment; and a claim's time goes on whoever dies."""

from __future__ import annotations

import json
import threading

import pytest
from lamplighter.handlers.processes import ProcessRunner
from lamplighter.messages.mail import Progressed

from ...handlers.test_lanes import House, claim


def test_a_signal_that_comes_before_a_child_has_its_job_is_passed_on(importable):
    sleepy = importable("sleepy", "def sleeps(job): return job.sleep(600), job.cancel_reason\n")
    house, ended, outcomes = House(), threading.Event(), []
    house.context.ended = lambda lane, outcome, *_: (outcomes.append(outcome), ended.set())
    lane = house.lane(claim(1), sleepy.sleeps)
    lane.signal("cancelled")
    runner = ProcessRunner()

    runner.start(lane)

    assert ended.wait(30)
    runner.close()
    assert json.loads(outcomes[0].result) == [False, "cancelled"], "it was woken"


@pytest.mark.parametrize("is_early", [True, False])
def test_a_child_process_hears_that_the_runtime_stops(importable, is_early):
    stopped = importable(
        "stopped",
        "def sleeps(job):\n"
        "    job.progress(0)\n"
        "    return job.sleep(600), job.sleep(600), job.stopping, job.cancelled\n",
    )
    house, began, ended, outcomes = House(), threading.Event(), threading.Event(), []
    house.context.ended = lambda lane, outcome, *_: (outcomes.append(outcome), ended.set())
    house.context.tell = lambda to, body: isinstance(body, Progressed) and began.set()
    lane = house.lane(claim(1), stopped.sleeps)
    runner = ProcessRunner()
    if is_early:
        house.context.stopping.set()

    runner.start(lane)
    if not is_early:
        assert began.wait(30)
        house.context.stopping.set()
        lane.begin_stop()

    assert ended.wait(30)
    runner.close()
    assert json.loads(outcomes[0].result) == [False, False, True, False]
