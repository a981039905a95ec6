"""What a job costs on worker threads, coroutines and child processes, and when each job queues the next."""

from __future__ import annotations

import queue
import threading
import time
from functools import partial

from lamplighter import Job
from peers.lamplighter import Lamplighter, nothing
from starts import ran

from .base import Bench, Figures, Workload
from .shared import closed, drain, fill

LANES = 4
TASKS = 100
PROCESSES = 2
STEPPING_JOBS, STEPS_A_JOB = 20, 2_000


def four_lanes(peer: Lamplighter) -> None:
    """Four threads of one handler."""
    peer.jobs.add_handler("nothing", nothing, concurrency=LANES)


def hundred_tasks(peer: Lamplighter) -> None:
    """A coroutine function, a hundred at once."""
    peer.jobs.add_handler("nothing", nothing_async, concurrency=TASKS)


async def nothing_async(job: Job) -> None:
    """A job that does nothing, as a coroutine."""
    ran(job.data)


def drain_by_processes(bench: Bench) -> Figures:
    """Like the other drains, but the children are started first, and what has begun is seen in the store."""
    peer = Lamplighter(bench.folder)
    peer.jobs.add_handler("nothing", nothing, concurrency=PROCESSES, isolation="process")
    for job in [peer.jobs.queue("nothing", number) for number in range(PROCESSES * 2)]:
        peer.jobs.join(job, timeout=60)
    peer.jobs.pause("nothing")
    queued = fill(peer, bench)
    before, used, began = bench.look_at_raw(), time.process_time(), time.perf_counter()
    peer.jobs.resume("nothing")
    peer.finish(PROCESSES * 2 + queued)
    per_second = queued / (time.perf_counter() - began)
    used = time.process_time() - used
    peer.close()
    ratio = per_second / ((before + bench.look_at_raw()) / 2)
    return {"per_second": per_second, "ratio": ratio, "cpu_us": used / queued * 1e6, "jobs": queued}


def chain(bench: Bench) -> Figures:
    """Each job queues the next one, and ends."""
    peer = Lamplighter(bench.folder)
    ended = threading.Event()
    until = 0.0
    links = 0

    def link(job: Job) -> None:
        nonlocal links
        links += 1
        if time.perf_counter() < until:
            peer.jobs.queue("link")
        else:
            ended.set()

    def work(seconds: float) -> int:
        nonlocal until, links
        until, links = time.perf_counter() + seconds, 0
        ended.clear()
        peer.jobs.queue("link")
        ended.wait()
        return links

    peer.jobs.add_handler("link", link)
    return closed(peer, bench.rate(work))


def steps(bench: Bench) -> Figures:
    """A job keeps steps, one after the other: each goes from its function to the disk and back. When one has many, the
    next job goes on.
    """
    peer = Lamplighter(bench.folder)
    orders: queue.SimpleQueue[float | None] = queue.SimpleQueue()
    taken: queue.SimpleQueue[int] = queue.SimpleQueue()

    def stepping(job: Job) -> None:
        number = 0
        while number < STEPS_A_JOB and (seconds := orders.get()) is not None:
            first, until = number, time.perf_counter() + seconds
            while time.perf_counter() < until:
                job.step(f"step {number}", int)
                number += 1
            taken.put(number - first)

    def work(seconds: float) -> int:
        orders.put(seconds)
        return taken.get()

    peer.jobs.add_handler("stepping", stepping)
    jobs = peer.jobs.queue_many([("stepping", None)] * STEPPING_JOBS)
    figures = bench.rate(work)
    for job in jobs:
        orders.put(None)
        peer.jobs.join(job, timeout=60)
    return closed(peer, figures)


WORKLOADS = (
    Workload(id="steps", title="steps of a job, one after the other", run=steps),
    Workload(
        id="drain-4", title="drain by four worker threads", run=partial(drain, four_lanes), systems="both", when="ours"
    ),
    Workload(
        id="drain-async-100",
        title="drain by a coroutine, 100 at once",
        run=partial(drain, hundred_tasks),
        systems="both",
        when="ours",
    ),
    Workload(id="drain-processes", title="drain by two child processes", run=drain_by_processes),
    Workload(id="chain", title="a chain: each job queues the next", run=chain),
)
