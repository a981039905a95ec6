"""One job that ends its process each time, among a hundred innocent ones, long ones included.

poison.py STORE HOW: `exit` with os._exit, or `segfault`. The first life queues the jobs; every life says `idle` when
nothing is left.
"""

from __future__ import annotations

import ctypes
import os
import sys

from common import install_oracle, say
from lamplighter import Job, JobFailed, Runtime

store, how = sys.argv[1], sys.argv[2]
runtime = Runtime(store)


@runtime.jobs.handler("work", concurrency=8)
def work(job: Job) -> str:
    """Innocent or not."""
    if job.data == "poison":
        job.sleep(0.1)
        if how == "segfault":
            ctypes.string_at(0)
        os._exit(3)
    if job.data == "long":
        job.sleep(0.4)
    return "done"


@runtime.jobs.handler("other")
def other(job: Job) -> str:
    """Another name, long too."""
    job.sleep(0.3)
    return "done"


with runtime:
    install_oracle(store)
    if not runtime.jobs.list(limit=1):
        runtime.jobs.pause("work")
        kinds = ["long"] * 4 + ["poison"] + ["short"] * 90
        for number, kind in enumerate(kinds):
            runtime.jobs.queue("work", kind, id=f"{kind}-{number}")
        for number in range(6):
            runtime.jobs.queue("other", id=f"other-{number}")
        runtime.jobs.resume("work")
    say("queued")
    while waiting := [*runtime.jobs.list(state="queued", limit=1000), *runtime.jobs.list(state="running", limit=1000)]:
        for job in waiting:
            try:
                runtime.jobs.join(job)
            except JobFailed as failed:
                say("failed", job.id, failed)
    for job in runtime.jobs.list(state="dead"):
        say("dead", job.id, len(runtime.jobs.attempts(job)), job.reason)
        for attempt in runtime.jobs.attempts(job):
            say("attempt", attempt.outcome, attempt.begun, attempt.boot, attempt.error)
    say("idle")
    sys.stdin.read()
