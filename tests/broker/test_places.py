"""`workers_max`: so many jobs run at once, of whichever names, and no name waits for ever."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamplighter import Discard, Job, Runtime, Snooze
from lamplighter.broker.claims import share_out
from lamplighter.stores.turn_ports import Want
from lamplighter.testing import Simulation

from support.rabbitmq.simulated import SimulatedRabbitMQ


def want(name: str, lanes: int) -> Want:
    return Want(name=name, boot="b", incarnation=1, begun=lanes, prefetched=3, interruptions_max=3)


class Queues:
    """So many jobs are due of each name."""

    def __init__(self, **due: int) -> None:
        self.due = due
        self.got: Counter[str] = Counter()

    def claim(self, wants: list[Want]) -> dict[str, range]:
        assert all(one.begun > 0 and one.prefetched == 0 for one in wants)
        got = {one.name: min(one.begun, self.due.get(one.name, 0)) for one in wants}
        for name, count in got.items():
            self.due[name] = self.due.get(name, 0) - count
        self.got.update(got)
        return {name: range(count) for name, count in got.items()}


@pytest.mark.parametrize(
    ("lanes", "due", "places", "got"),
    [
        ({"a": 9, "b": 9}, {"a": 9, "b": 9}, 4, {"a": 2, "b": 2}),
        ({"a": 9, "b": 9}, {"a": 9, "b": 1}, 4, {"a": 3, "b": 1}),
        ({"a": 2, "b": 9}, {"a": 9, "b": 9}, 6, {"a": 2, "b": 4}),
        ({"a": 9, "idle": 9, "b": 9}, {"a": 9, "b": 9}, 7, {"a": 4, "b": 3}),
        ({"a": 1, "b": 1, "c": 1}, {"a": 9, "b": 9, "c": 9}, 2, {"a": 1, "b": 1}),
        ({"a": 1}, {"a": 9}, 0, {}),
    ],
)
def test_names_that_wait_get_as_many_places_as_there_are(lanes, due, places, got):
    queues = Queues(**due)

    share_out([want(*one) for one in lanes.items()], places, queues.claim, names=list(lanes), served="")

    assert +queues.got == got


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(1, 6))
def test_whoever_waits_is_served_within_one_round_of_the_others(lanes: list[int], places: int) -> None:
    names = [f"n{number}" for number in range(len(lanes))]
    queues, served = Queues(**dict.fromkeys(names, 1000)), ""

    for _ in names:
        served = share_out(
            [want(*one) for one in zip(names, lanes, strict=True)], places, queues.claim, names=names, served=served
        )

    assert all(queues.got[name] for name in names)


def test_no_more_jobs_run_at_once_than_there_are_places_and_no_more_threads_stay(runtime, recorder):
    rt = runtime(workers_max=3, start=False)
    lock, running, most, begun, three = threading.Lock(), set(), [0], itertools.count(1), threading.Barrier(3)

    def work(job):
        with lock:
            running.add(job.id)
            most[0] = max(most[0], len(running))
            is_early = next(begun) <= 3
        if is_early:
            three.wait(30)
        job.sleep(0.002)
        with lock:
            running.remove(job.id)

    names = [f"name-{number}" for number in range(8)]
    for name in names:
        rt.jobs.add_handler(name, work, concurrency=2)
    rt.start()
    jobs = rt.jobs.queue_many([(name, None) for _ in range(12) for name in names])
    for job in jobs:
        rt.jobs.join(job, timeout=30)

    def idle():
        return sum(thread.name.startswith("lamplighter lane") for thread in threading.enumerate())

    recorder.until(lambda: idle() <= 3, "the threads beyond three to end")
    assert most[0] == 3
    assert recorder.of("job.released") == []


def test_a_job_of_one_name_gets_the_next_place_whatever_waits_of_another(runtime, recorder):
    rt = runtime(workers_max=2, start=False)
    steps = threading.Semaphore(0)
    rt.jobs.add_handler("many", lambda job: steps.acquire(timeout=30), concurrency=2)
    rt.jobs.add_handler("one", lambda job: "served")
    rt.start()
    recorder.until(lambda: rt.boot.post.find("broker") is not None, "the broker to be found")
    recorder.until(lambda: len(rt.boot.post.find("broker")._state.capacities) == 2, "both names to offer places")
    rt.jobs.queue_many([("many", None)] * 50)
    recorder.wait_for("job.started", count=2)
    single = rt.jobs.queue("one")

    steps.release()

    assert rt.jobs.join(single, timeout=30).result == "served"
    steps.release(100)


def test_below_the_limit_jobs_are_claimed_in_advance_as_ever(runtime, recorder):
    rt = runtime(workers_max=4, start=False)
    rt.jobs.add_handler("quick", lambda job: None, concurrency=4)
    rt.start()

    for job in rt.jobs.queue_many([("quick", None)] * 400):
        rt.jobs.join(job, timeout=30)

    assert recorder.of("job.claimed", begun=False)


def test_a_new_broker_gives_out_no_place_before_it_knows_what_is_held(runtime, recorder, monkeypatch):
    rt = runtime(workers_max=2, start=False)
    release, asked = threading.Event(), threading.Event()
    rt.jobs.add_handler("holds", lambda job: release.wait(30), concurrency=2)
    rt.jobs.add_handler("waits", lambda job: None)
    rt.start()
    rt.jobs.queue_many([("holds", None)] * 2)
    recorder.wait_for("job.started", count=2)
    waiting = rt.jobs.queue("waits")
    actor, post = rt.boot.post.find("handler:holds"), rt.boot.post
    offer = actor._offer
    monkeypatch.setattr(actor, "_offer", lambda *takers: (asked.wait(30), offer(*takers)))

    post.find("broker").actor_ref.tell("no mail of ours")
    recorder.wait_for("actor.restarted", child="broker")
    recorder.until(lambda: "waits" in post.find("broker")._state.capacities, "the idle one to answer")
    rt.jobs.queue("nobody")
    before = rt.jobs.get(waiting).state
    asked.set()
    recorder.until(lambda: "holds" in post.find("broker")._state.capacities, "the other to answer")
    rt.jobs.queue("nobody")

    assert (before, rt.jobs.get(waiting).state) == ("queued", "queued")
    release.set()
    rt.jobs.join(waiting, timeout=30)


@pytest.mark.parametrize("server", [None, SimulatedRabbitMQ], ids=["sqlite", "rabbitmq"])
def test_a_process_without_a_free_place_holds_nothing_that_another_could_run(server):
    def register(runtime: Runtime) -> None:
        for name in ("long", "short", "other"):
            runtime.jobs.add_handler(name, lambda job: job.sleep(job.data), concurrency=2)

    with Simulation(register, seed=5, processes=2, server=server, workers_max=1) as simulation:
        jobs = simulation.runtime.jobs
        jobs.queue("long", 3600.0)
        simulation.run(seconds=5)
        queued = [jobs.queue(name, 0.1) for name in ("short", "other") for _ in range(10)]
        simulation.run(seconds=60)

        assert {jobs.join(job, timeout=1).state for job in queued} == {"done"}


@pytest.mark.parametrize("server", [None, SimulatedRabbitMQ], ids=["sqlite", "rabbitmq"])
def test_in_days_of_long_and_short_jobs_on_two_processes_none_is_left_behind(server):
    running: dict[int, set[str]] = {}
    most: Counter[int] = Counter()

    def register(runtime: Runtime) -> None:
        process = runtime.environment.whereabouts()[1]
        running[process] = set()

        def work(job):
            running[process].add(job.token)
            most[process] = max(most[process], len(running[process]))
            job.sleep(job.data)
            running[process].discard(job.token)

        for name in ("long", "short", "other"):
            runtime.jobs.add_handler(name, work, concurrency=3)

    with Simulation(register, seed=3, processes=2, server=server, workers_max=4) as simulation:
        jobs = simulation.runtime.jobs
        longs = [jobs.queue("long", 600.0) for _ in range(20)]
        simulation.run(seconds=30)
        queued = [jobs.queue(name, 1.0) for name in ("short", "other") for _ in range(30)]
        simulation.run(minutes=25)
        states = Counter(jobs.join(job, timeout=1).state for job in queued)
        simulation.settle(seconds=2 * 3600)
        simulation.check()

        assert states == {"done": 60}
        assert {jobs.join(job, timeout=1).state for job in longs} == {"done"}
    assert set(most.values()) == {4}


def ends(job: Job[Any]) -> Any:
    """Ends as its data say."""
    match job.data:
        case "an error":
            raise ValueError(job.data)
        case "a snooze":
            raise Snooze(3600)
        case "a discard":
            raise Discard(job.data)
        case "a cancel" | "a timeout":
            job.sleep(30)
    return job.data


@pytest.mark.parametrize("end", ["an error", "a snooze", "a discard", "a cancel", "a timeout"])
@pytest.mark.parametrize("limit", ["concurrency", "concurrency_total", "concurrency_per_group", "workers_max"])
def test_a_place_comes_back_however_the_job_that_had_it_ends(
    runtime: Callable[..., Runtime], recorder: Any, limit: str, end: str
) -> None:
    rt = runtime(**({limit: 1} if limit == "workers_max" else {}))
    rt.jobs.add_handler("work", ends, **({limit: 1} if limit != "workers_max" else {}))
    for again in (1, 2):
        job = rt.jobs.queue("work", end, group="a", max_attempts=1, timeout=0.05 if end == "a timeout" else None)
        recorder.wait_for("job.started", job_id=job.id)
        if end == "a cancel":
            rt.jobs.cancel(job)

        after = rt.jobs.queue("work", again, group="a")

        assert rt.jobs.join(after, timeout=15).result == again
        assert rt.jobs.get(job).record.claim_no == 1
