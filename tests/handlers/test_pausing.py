"""When `pause` has returned, no job of the name starts any more on this runtime."""

from __future__ import annotations

import threading

from lamplighter.handlers.execute import execute
from lamplighter.messages.outcomes import OutcomeKind

from .test_lanes import House, claim


def test_what_was_claimed_in_advance_does_not_start_once_a_pause_has_returned(runtime, recorder):
    rt = runtime(unstarted_seconds=600)
    holds, goes_on, paused = threading.Event(), threading.Event(), threading.Event()
    late = []

    @rt.jobs.handler("quick")
    def quick(job):
        if paused.is_set():
            late.append(job.id)
        if job.data == "hold":
            holds.set()
            goes_on.wait(30)

    # So many that their mean duration says that some may be claimed in advance.
    rt.jobs.queue_many([("quick", None)] * 300)
    recorder.until(lambda: rt.jobs.counts("quick")["done"] == 300)
    rt.jobs.queue_many([("quick", "hold"), *[("quick", None)] * 50])
    assert holds.wait(15)
    recorder.until(lambda: rt.jobs.counts("quick")["running"] > 1, "some that are claimed in advance")

    rt.jobs.pause("quick")
    paused.set()
    goes_on.set()
    recorder.until(lambda: rt.jobs.counts("quick")["running"] == 0)

    assert late == []
    assert rt.jobs.counts("quick")["queued"] == 50
    rt.jobs.resume("quick")
    recorder.until(lambda: rt.jobs.counts("quick")["done"] == 351)


def test_a_pause_of_a_name_that_nobody_handles_is_answered(runtime):
    rt = runtime()

    rt.jobs.pause("nobody")

    rt.jobs.resume("nobody")


def test_a_lane_is_taken_back_only_before_its_function_is_called():
    house, called = House(), []
    waiting, running = house.lane(claim(1), called.append), house.lane(claim(2), called.append)
    running.begin()

    assert waiting.take_back("not started")
    assert not running.take_back("not started")
    assert execute(waiting).kind is OutcomeKind.INTERRUPTED
    assert called == []
