"""Works through jobs, to be killed at any instant.

worker.py URL EFFECTS [--every-second]: notes in the file EFFECTS when a job's function begins and ends.
"""

from __future__ import annotations

import os
import sys

from lamplighter import Job, Runtime

url, effects, *options = sys.argv[1:]
runtime = Runtime(url, interruptions_max=1000)
log = os.open(effects, os.O_CREAT | os.O_APPEND | os.O_WRONLY)


def note(*words: object) -> None:
    """One line, in one write, so that a SIGKILL never leaves half of one."""
    os.write(log, (" ".join(map(str, words)) + "\n").encode())


@runtime.jobs.handler("work", concurrency=4, max_attempts=1000, backoff=[0.01])
def work(job: Job) -> int:
    """Some jobs fail once, and some yield the processor in the middle."""
    number = job.data["number"]
    note("run", job.id, job.token, os.getpid())
    if number % 17 == 0 and job.attempt == 1:
        raise ValueError("once")
    if number % 5 == 0:
        job.sleep(0.005)
    note("end", job.id, job.token, os.getpid())
    return int(number)


@runtime.jobs.handler("tick")
def tick(job: Job) -> None:
    """Every second."""
    assert job.slot is not None
    note("tick", job.id, job.slot.timestamp(), os.getpid())


if "--every-second" in options:
    runtime.scheduler.add("tick", "* * * * * *", catch_up="all")
runtime.subscribe(lambda event: print("leads", flush=True), events=["scheduler.leads"])
with runtime:
    print("started", os.getpid(), flush=True)
    sys.stdin.read()
