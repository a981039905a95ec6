"""Claims are taken in advance by what was measured, and nobody waits for it. In virtual time, where work takes none."""

from __future__ import annotations

import json

from lamplighter import Runtime
from lamplighter.handlers.lanes import PrefetchSizer
from lamplighter.rules.limits import Limits
from lamplighter.testing import Simulation


def instants(simulation, event):
    """By job id, when the event was said of it last."""
    lines = (json.loads(line) for line in simulation.log.splitlines())
    return {line["job_id"]: line["ts"] for line in lines if line["event"] == event}


def test_a_slow_handler_is_never_made_to_wait_by_fast_ones():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("fast", lambda job: None, concurrency=4)
        runtime.jobs.add_handler("slow", lambda job: job.sleep(10))

    with Simulation(register) as simulation:
        jobs = simulation.runtime.jobs
        jobs.queue_many([("fast", None)] * 300)
        slow = [job.id for job in jobs.queue_many([("slow", None)] * 5)]
        jobs.queue_many([("fast", None)] * 300)
        began = instants(simulation, "job.queued")[slow[0]]
        simulation.run(seconds=60)
        ended = instants(simulation, "job.done")

    assert [round(ended[job] - began) for job in slow] == [10, 20, 30, 40, 50]


def test_fast_jobs_taken_in_advance_do_not_wait_behind_a_slow_one_of_their_name():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: job.sleep(job.data))

    # One lane in each process: what the one with the slow job had taken goes back, and the other takes it.
    with Simulation(register, processes=2) as simulation:
        jobs = simulation.runtime.jobs
        # So that many are taken in advance.
        jobs.queue_many([("work", 0.0001)] * 200)
        simulation.run(seconds=5)
        first, *rest = [job.id for job in jobs.queue_many([("work", 100.0), *[("work", 0.0001)] * 200])]
        began = instants(simulation, "job.queued")[first]
        simulation.run(seconds=50)
        ended = instants(simulation, "job.done")

    assert first not in ended
    assert max(ended[job] for job in rest) - began < 1.0


def test_a_name_whose_jobs_were_slow_once_is_taken_in_advance_again():
    sizer = PrefetchSizer(Limits())
    sizer.note(0.0001)
    before = sizer.prefetch(1)

    sizer.note_stuck()
    stuck = sizer.prefetch(1)
    sizer.note(0.0001)

    assert (before > 0, stuck, sizer.prefetch(1)) == (True, 0, before)


def test_one_job_that_had_to_wait_for_the_machine_leaves_claims_in_advance():
    sizer = PrefetchSizer(Limits())
    for seconds in [0.00005] * 40 + [0.05]:
        sizer.note(seconds)

    assert sizer.prefetch(1) >= 8


def trips(sizer: PrefetchSizer, seconds: float) -> None:
    for start in range(1, 21):
        sizer.note_trip(start, begins=True)
        # A second report during the trip does not begin it anew.
        sizer.note_trip(start + seconds / 2, begins=True)
        sizer.note_trip(start + seconds, begins=False)


def test_as_much_is_taken_in_advance_as_is_done_until_more_can_come():
    limits = Limits(prefetch_seconds=0.02, unstarted_seconds=0.05)
    sizer = PrefetchSizer(limits)
    sizer.note(0.005)
    before = sizer.prefetch(1), sizer.unstarted_seconds

    trips(sizer, 0.17)

    assert before == (4, 0.05)
    assert sizer.prefetch(1) == 32
    assert 0.33 < sizer.unstarted_seconds < 0.35


def test_a_store_that_stood_still_does_not_count_as_a_long_way():
    sizer = PrefetchSizer(Limits())
    sizer.note(0.05)

    trips(sizer, 600)

    assert sizer.prefetch(1) == 8
    assert sizer.unstarted_seconds <= 1.0


def test_the_way_of_an_ending_is_measured(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.join(rt.jobs.queue("work"), timeout=10)
    pace = rt.boot.post.find("handler:work")._pace

    recorder.until(lambda: pace.unstarted_seconds and pace._trip > 0.0, "the way to be noted")


def test_a_job_a_second_is_started_at_once():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: None)

    def host(runtime: Runtime) -> None:
        for number in range(20):
            runtime.jobs.queue("work", id=f"job-{number}")
            runtime.environment.event().wait(1.0)

    with Simulation(register, host=host) as simulation:
        simulation.run(seconds=30)
        queued, started = instants(simulation, "job.queued"), instants(simulation, "job.started")

    assert len(started) == 20
    assert max(started[job] - queued[job] for job in started) < 0.001


def test_a_job_that_another_ones_lane_has_started_is_said_to_be_and_has_its_deadline():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: job.sleep(job.data), timeout=5, max_attempts=1)

    with Simulation(register) as simulation:
        jobs = simulation.runtime.jobs
        jobs.queue_many([("work", 0.0001)] * 200)
        simulation.run(seconds=5)
        *_, long = [job.id for job in jobs.queue_many([("work", 0.0001)] * 5 + [("work", 60.0)])]
        simulation.run(seconds=20)
        started, ended = instants(simulation, "job.started"), instants(simulation, "job.dead")

    assert 5.0 <= ended[long] - started[long] < 5.1
