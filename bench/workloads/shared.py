"""What most systems can do: queue one by one and in bulk, drain a backlog, start a job soon."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from measuring import percentiles_ms
from peers.base import AsyncPeer, Peer
from starts import ran

from .base import Bench, Figures, Workload

BATCH_JOBS = 500
WARM_UP_JOBS = 20
PACE_JOBS_PER_SECOND = 100
PATIENCE = 3.0
"""A drain that takes so many times the seconds of the size is ended, and what has begun is counted."""


def enqueue(producers: int, bench: Bench) -> Figures:
    """So many threads queue one job after the other; tasks, for a system whose calls are coroutines."""
    peer, numbers = bench.open(), count()
    if isinstance(peer, AsyncPeer):
        return enqueue_in_tasks(producers, bench, peer)
    peer.queue(next(numbers))

    # The threads stay for all rounds, and meet before and after each: starting them is not what is measured.
    begin, end = threading.Barrier(producers + 1), threading.Barrier(producers + 1)
    totals, until = [0] * producers, 0.0

    def produce(place: int) -> None:
        try:
            while True:
                begin.wait()
                queued = 0
                while not queued or time.perf_counter() < until:
                    peer.queue(next(numbers))
                    queued += 1
                totals[place] = queued
                end.wait()
        finally:
            # Only an error leads here; whoever waits for this thread is not to wait for ever.
            begin.abort()
            end.abort()

    def work(seconds: float) -> int:
        nonlocal until
        until = time.perf_counter() + seconds
        begin.wait()
        end.wait()
        return sum(totals)

    for place in range(producers):
        threading.Thread(target=produce, args=(place,), daemon=True).start()
    return closed(peer, bench.rate(work))


def enqueue_in_tasks(producers: int, bench: Bench, opened: Any = None) -> Figures:
    """So many tasks of one event loop queue one job after the other."""
    peer: Any = opened or bench.open()
    numbers = count()
    run = peer.run if isinstance(peer, AsyncPeer) else asyncio.run

    async def produce(until: float) -> int:
        queued = 0
        while not queued or time.perf_counter() < until:
            await peer.aqueue(next(numbers))
            queued += 1
        return queued

    async def all_of_them(seconds: float) -> int:
        until = time.perf_counter() + seconds
        return sum(await asyncio.gather(*(produce(until) for _ in range(producers))))

    peer.queue(next(numbers))
    return closed(peer, bench.rate(lambda seconds: run(all_of_them(seconds))))


def bulk(bench: Bench) -> Figures:
    """One producer queues batches."""
    peer = bench.open()
    peer.queue_many(range(BATCH_JOBS))

    def work(seconds: float) -> int:
        queued, until = 0, time.perf_counter() + seconds
        while not queued or time.perf_counter() < until:
            peer.queue_many(range(queued, queued + BATCH_JOBS))
            queued += BATCH_JOBS
        return queued

    return closed(peer, bench.rate(work))


def drain(work: Callable[[Any], None], bench: Bench) -> Figures:
    """A backlog is queued first; then it is worked off. From the first start to the last end, or the last start."""
    peer = bench.open()
    queued = fill(peer, bench)
    ran.expect(queued)
    before = bench.look_at_raw()
    used = time.process_time()
    work(peer)
    whole = ran.wait(bench.size.seconds_all * PATIENCE)
    if whole:
        peer.finish(queued)
    ended = time.perf_counter()
    began = ran.at[0][1]
    done, used = len(ran.at), time.process_time() - used
    closed(peer, {})
    raw = (before + bench.look_at_raw()) / 2
    per_second = done / (ended - began)
    return {"per_second": per_second, "ratio": per_second / raw, "cpu_us": used / done * 1e6, "jobs": done}


def fill(peer: Peer, bench: Bench) -> int:
    """Queue the jobs of the size, or what can be queued in its seconds; give how many."""
    queued, began = 0, time.perf_counter()
    one_by_one = "bulk-500" in peer.cannot
    while queued < bench.size.jobs and time.perf_counter() < began + bench.size.seconds_all:
        if one_by_one:
            peer.queue(queued)
            queued += 1
        else:
            batch = range(queued, min(queued + BATCH_JOBS, bench.size.jobs))
            peer.queue_many(batch)
            queued += len(batch)
    return queued


def latency(bench: Bench) -> Figures:
    """From the call that queues a job to the first statement of its handler, at 100 jobs a second."""
    peer = bench.open()
    peer.work()
    _warm_up(peer)
    return closed(peer, beside_raw(bench, peer, PACE_JOBS_PER_SECOND))


def latency_at_half_load(bench: Bench) -> Figures:
    """The same, at half of what one producer and one worker can do together."""
    peer = bench.open()
    peer.work()
    _warm_up(peer)
    ran.expect(10**9)
    began, queued = time.perf_counter(), 0
    while not queued or time.perf_counter() < began + bench.size.seconds_all / 5:
        peer.queue(queued)
        queued += 1
    while len(ran.at) < queued:
        time.sleep(0.002)
    capacity = queued / (time.perf_counter() - began)
    return closed(peer, {**beside_raw(bench, peer, capacity / 2), "pace": capacity / 2})


def beside_raw(bench: Bench, peer: Peer, pace: float) -> Figures:
    """Rounds at a steady pace that take turns with raw SQLite; percentiles of how long each job waited."""
    waits: list[float] = []
    bench.look_at_raw()
    for _ in range(bench.size.rounds):
        waits.extend(paced(peer, pace, bench.size.seconds))
        bench.look_at_raw()
    return {**percentiles_ms(waits), "jobs": len(waits)}


def paced(peer: Peer, pace: float, seconds: float) -> list[float]:
    """Queue at a steady pace, and give how long each job waited."""
    jobs = max(1, int(pace * seconds))
    sent: list[float] = []
    ran.expect(jobs)
    began = time.perf_counter()
    for number in range(jobs):
        wait = began + number / pace - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        sent.append(time.perf_counter())
        peer.queue(number)
    if not ran.wait(seconds * PATIENCE + 60.0):
        raise RuntimeError(f"expected {jobs} jobs to begin, got: {len(ran.at)}")
    return [at - sent[number] for number, at in ran.at]


def _warm_up(peer: Peer) -> None:
    ran.expect(WARM_UP_JOBS)
    for number in range(WARM_UP_JOBS):
        peer.queue(number)
    if not ran.wait(60.0):
        raise RuntimeError("expected the worker to begin its first jobs within a minute")


def closed(peer: Peer, figures: Figures) -> Figures:
    peer.close()
    return figures


def one_lane(peer: Peer) -> None:
    """One worker, one job at a time."""
    peer.work()


WORKLOADS = (
    Workload(id="enqueue-1", title="queue one by one, 1 thread", run=partial(enqueue, 1), systems="all"),
    Workload(id="enqueue-8", title="8 threads", run=partial(enqueue, 8), systems="all", when="ours"),
    Workload(id="enqueue-64", title="64 threads", run=partial(enqueue, 64), systems="all", when="ours"),
    Workload(
        id="enqueue-async-64", title="64 asyncio tasks", run=partial(enqueue_in_tasks, 64), systems="all", when="ours"
    ),
    Workload(id="bulk-500", title="in batches of 500", run=bulk, systems="all", when="ours"),
    Workload(id="drain-1", title="drain, one worker, one job at a time", run=partial(drain, one_lane), systems="all"),
    Workload(id="latency-100", title="queue to start at 100 jobs a second", run=latency, systems="all"),
    Workload(id="latency-half", title="queue to start at half load", run=latency_at_half_load),
)
