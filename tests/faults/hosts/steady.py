"""Queues jobs and works through them, to be killed at any instant.

steady.py STORE PREFIX FIRST LAST EFFECTS: queues PREFIX-FIRST to PREFIX-LAST, saying what was accepted; then says
`idle` once nothing is left, if it lives so long.
"""

from __future__ import annotations

import os
import sys

from common import install_oracle, say
from lamplighter import Job, JobFailed, JobSpec, Runtime

store, prefix, first, last, effects = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
runtime = Runtime(store, interruptions_max=1000, reply_seconds_max=60.0)
log = os.open(effects, os.O_CREAT | os.O_APPEND | os.O_WRONLY)


@runtime.jobs.handler("work", concurrency=4, max_attempts=1000, backoff=[0.01])
def work(job: Job) -> int:
    """One effect a run. Some jobs fail once, and some yield the processor in the middle."""
    os.write(log, f"{job.token}\n".encode())
    number = job.data["number"]
    if number % 17 == 0 and job.attempt == 1:
        raise ValueError("once")
    if number % 5 == 0:
        job.sleep(0.002)
    return int(number)


@runtime.jobs.handler("tick")
def tick(job: Job) -> None:
    """Every second."""
    os.write(log, f"{job.token}\n".encode())


runtime.scheduler.add("tick", "* * * * * *")
with runtime:
    install_oracle(store)
    say("started")
    number = first
    while number <= last:
        # One by one and in bulk: both ways of being accepted.
        more = 1 if number % 3 else min(20, last - number + 1)
        jobs = range(number, number + more)
        if more == 1:
            runtime.jobs.queue("work", {"number": number}, id=f"{prefix}-{number}")
        else:
            runtime.jobs.queue_many([JobSpec(name="work", data={"number": n}, id=f"{prefix}-{n}") for n in jobs])
        number += more
        say("accepted", number)
    for state in ("running", "queued", "running", "queued"):
        while waiting := runtime.jobs.list("work", state=state, limit=1000):
            for job in waiting:
                try:
                    runtime.jobs.join(job)
                except JobFailed as failed:
                    say("failed", failed)
    say("idle")
    sys.stdin.read()
