"""When `pause` has returned, no job of the name starts any more on this runtime."""

from __future__ import annotations

import threading

from lamplighter.lanes.calls import call
from lamplighter.messages.outcomes import OutcomeKind

from .test_lanes import House, claim


def test_nothing_starts_once_a_pause_has_returned_though_it_was_claimed_in_advance(runtime, recorder):
    rt = runtime()
    paused, many = threading.Event(), threading.Event()
    late, started = [], []

    @rt.jobs.handler("quick")
    def quick(job):
        (late if paused.is_set() else started).append(job.id)
        if len(started) > 200:
            many.set()

    rt.jobs.add_handler("beside", lambda job: None)
    for _ in range(3):
        rt.jobs.queue_many([("quick", None)] * 2000)
        assert many.wait(15)
        rt.jobs.pause("quick")
        paused.set()
        assert rt.jobs.counts("quick")["queued"] > 0, "some were left to start"
        # Others go on, so that whatever was under way has had its time.
        assert rt.jobs.join(rt.jobs.queue("beside"), timeout=15).state == "done"
        assert len(late) <= 1, "the one whose function was just being called may come to its first line now"
        paused.clear()
        many.clear()
        started.clear()
        late.clear()
        rt.jobs.resume("quick")

    recorder.until(lambda: rt.jobs.counts("quick")["done"] == 6000, "that all ran after the last resume", timeout=60)


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
    assert call(waiting).kind is OutcomeKind.INTERRUPTED
    assert called == []
